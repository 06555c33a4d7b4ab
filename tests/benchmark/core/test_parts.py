"""Work is divided into parts without gaps or overlaps, and invalid parts are rejected."""

from __future__ import annotations

import re

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.parts import Part, parse_part


@pytest.mark.parametrize("parts", [1, 2, 7, 12])
def test_the_parts_together_have_each_item_once(parts):
    taken = [item for i in range(parts) for item in Part(i + 1, parts).take(range(10))]
    assert sorted(taken) == list(range(10))


def test_a_part_is_parsed_as_typed():
    assert parse_part("2/8") == Part(2, 8)
    assert parse_part(" 1/1") == Part(1, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0/4", "--part 0/4: there is no such part. They are numbered from 1: 1/4 to 4/4"),
        ("5/4", "--part 5/4: there is no such part. They are numbered from 1: 1/4 to 4/4"),
        ("1/0", "--part 1/0: there is no such part. They are numbered from 1: 1/8 to 8/8"),
        ("1/999999", "--part 1/999999: there is no such part. They are numbered from 1: 1/8 to 8/8"),
        ("x", "--part takes the number of a part and how many there are, such as 2/8, not 'x'"),
        ("-1/4", "such as 2/8, not '-1/4'"),
        ("²/4", "such as 2/8, not '²/4'"),
        ("1/4/2", "such as 2/8, not '1/4/2'"),
    ],
)
def test_an_invalid_part_is_a_one_line_error(text, message):
    with pytest.raises(BenchError, match=re.escape(message)):
        parse_part(text)
