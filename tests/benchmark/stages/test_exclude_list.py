"""Videos excluded by a list."""

from __future__ import annotations

from pathlib import Path

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.stages.exclude_list import check_excluded, read_exclude_list


def test_an_exclude_list_has_one_id_per_line(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("# from a scorecard\n\n ./real/a.mp4 \nfake/b c.mp4\nreal/a.mp4\n")
    assert read_exclude_list(path) == {"real/a.mp4", "fake/b c.mp4"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names no video"),
        (b"# nothing\n", "names no video"),
        (b"\xff\xfe\xff", "begins as UTF-16 but isn't"),
        (b"a\x80", "not UTF-8"),
        (None, "no list"),
    ],
)
def test_an_invalid_exclude_list_is_refused(tmp_path, content, message):
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BenchError, match=message):
        read_exclude_list(path)


def test_unknown_names_are_reported_and_refused_if_all_are_unknown(planned, capsys):
    source, path = planned.source(), Path("list.txt")
    check_excluded(path, frozenset({"real/test.mp4"}), [source], Reporter())
    assert capsys.readouterr().out == ""
    check_excluded(path, frozenset({"real/test.mp4", "real/tst.mp4"}), [source], Reporter())
    assert (
        "note: 1 of 2 lines of list.txt match no video of these datasets; first: real/tst.mp4."
        in capsys.readouterr().out
    )
    with pytest.raises(BenchError, match=r"1 of 1 lines .* first: real/tst\.mp4\. Did you mean 'real/test\.mp4'\?"):
        check_excluded(path, frozenset({"real/tst.mp4"}), [source], Reporter())
