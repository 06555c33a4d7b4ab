"""Wrappers and prefixes are removed only if names then fit; the rest is reported in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.detectors.common.fit import Found, check_fit, find_weights, strip_prefix, tell_found
from hypothesis import given
from hypothesis import strategies as st

NAMES = ["conv.weight", "bn.weight", "bn.num_batches_tracked", "head.weight"]
EXPECTED = {name: np.zeros((2, 3) if "bn" not in name else ()) for name in NAMES}
PARTS = ["_orig_mod.", "module.", "model.", "net.", "network.", "student."]


def hide(prefix: str, values: dict[str, Any] = EXPECTED) -> dict[str, Any]:
    return {prefix + name: value for name, value in values.items()}


@given(st.lists(st.sampled_from(PARTS), max_size=5).map("".join))
def test_whatever_prefixes_all_names_have_are_taken_off(prefix):
    found = strip_prefix(Found((), "", hide(prefix)), EXPECTED)
    assert (found.prefix, dict(found.weights)) == (prefix, EXPECTED)


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map("".join), st.sampled_from(NAMES))
def test_a_prefix_that_one_name_lacks_stays(prefix, bare):
    weights = hide(prefix)
    weights[bare] = weights.pop(prefix + bare)
    assert strip_prefix(Found((), "", weights), EXPECTED).weights.keys() == weights.keys()


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map("".join))
def test_a_prefix_that_the_network_has_itself_stays(prefix):
    own = hide(prefix)
    assert strip_prefix(Found((), "", own), own).prefix == ""
    assert strip_prefix(Found((), "", hide("module.", own)), own).prefix == "module."


@given(st.dictionaries(st.text(), st.integers(), min_size=1))
def test_other_names_are_left_as_they_are(weights):
    assert strip_prefix(Found((), "", weights), EXPECTED).weights == weights


@given(
    st.lists(st.sampled_from(["state_dict", "model", "net", "params", "ema", "anything", "checkpoint"]), max_size=3),
    st.lists(st.sampled_from(PARTS), max_size=3).map("".join),
)
def test_weights_are_found_under_any_wrappers(place, prefix):
    content = hide(prefix)
    for name in reversed(place):
        content = {"epoch": 3, name: content, "optimizer": {"state": {0: {"step": 1}}, "param_groups": [1]}}
    found, others = find_weights(content, EXPECTED)
    assert (found.place, found.prefix, dict(found.weights)) == (tuple(place), prefix, EXPECTED)
    assert others == []


def test_of_two_that_fit_the_trained_ones_are_taken_and_both_are_told():
    averaged = {name: value + 1 for name, value in EXPECTED.items()}
    for names in (("params", "params_ema"), ("state_dict", "ema"), ("model", "whatever"), ("network", "model")):
        for order in (names, names[::-1]):
            content = {name: hide("module.", EXPECTED if name == names[0] else averaged) for name in order}
            found, others = find_weights(content, EXPECTED)
            assert found.place == (names[0],)
            line = tell_found(found, others, "w.pth")
            assert line.startswith(f"w.pth: took the weights under '{names[0]}', without the prefix 'module.'; those ")
            assert f"under '{names[1]}', without the prefix 'module.' would fit as well" in line


def test_one_that_fits_is_taken_before_one_that_does_not():
    larger = {name: np.zeros((9, 9)) for name in EXPECTED}
    lacking = {name: EXPECTED[name] for name in NAMES[:2]}
    for other in (larger, lacking, {**EXPECTED, "more": np.zeros(1)}):
        found, others = find_weights({"state_dict": other, "ema": EXPECTED}, EXPECTED)
        assert (found.place, others) == (("ema",), [])


def test_the_same_weights_under_two_names_are_no_choice():
    assert find_weights({"model": EXPECTED, "state_dict": EXPECTED}, EXPECTED)[1] == []


def test_a_checkpoint_that_holds_itself_is_looked_through_once():
    content: dict[str, Any] = {f"again{i}": {} for i in range(50)}
    for name in content:
        content[name] = content
    content["state_dict"] = EXPECTED
    assert find_weights(content, EXPECTED)[0].place == ("state_dict",)


def test_nothing_is_said_of_bare_weights():
    assert tell_found(*find_weights(EXPECTED, EXPECTED), "w.pth") == ""


def test_counters_may_be_missing_and_nothing_else():
    check_fit({k: v for k, v in EXPECTED.items() if "num_batches" not in k}, EXPECTED, "w")
    with pytest.raises(BenchError, match=r"3 keys missing \(first: conv.weight, bn.weight, head.weight\)"):
        check_fit({}, EXPECTED, "w")


def test_names_of_what_does_not_fit_are_safe_and_short():
    given = {**hide("\x1b[31m"), "x" * 10_000: np.zeros(1)}
    with pytest.raises(BenchError) as raised:
        check_fit(given, EXPECTED, "w")
    assert not {"\x1b", "\n"} & set(str(raised.value))
    assert len(str(raised.value)) < 1000
