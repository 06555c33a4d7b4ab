"""Wrappers and prefixes are removed only if the names fit afterwards; other mismatches give a one-line error."""

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
def test_prefixes_shared_by_all_names_are_removed(prefix):
    found = strip_prefix(Found((), "", hide(prefix)), EXPECTED)
    assert (found.prefix, dict(found.weights)) == (prefix, EXPECTED)


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map("".join), st.sampled_from(NAMES))
def test_a_prefix_missing_from_one_name_stays(prefix, bare):
    weights = hide(prefix)
    weights[bare] = weights.pop(prefix + bare)
    assert strip_prefix(Found((), "", weights), EXPECTED).weights.keys() == weights.keys()


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map("".join))
def test_a_prefix_of_the_networks_own_names_stays(prefix):
    own = hide(prefix)
    assert strip_prefix(Found((), "", own), own).prefix == ""
    assert strip_prefix(Found((), "", hide("module.", own)), own).prefix == "module."


@given(st.dictionaries(st.text(), st.integers(), min_size=1))
def test_other_names_stay_unchanged(weights):
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


def test_of_two_matching_weights_the_trained_ones_are_used_and_both_are_reported():
    averaged = {name: value + 1 for name, value in EXPECTED.items()}
    for names in (("params", "params_ema"), ("state_dict", "ema"), ("model", "whatever"), ("network", "model")):
        for order in (names, names[::-1]):
            content = {name: hide("module.", EXPECTED if name == names[0] else averaged) for name in order}
            found, others = find_weights(content, EXPECTED)
            assert found.place == (names[0],)
            line = tell_found(found, others, "w.pth")
            assert line.startswith(f"w.pth: took the weights under '{names[0]}', without the prefix 'module.'; those ")
            assert f"under '{names[1]}', without the prefix 'module.' would fit as well" in line


def test_matching_weights_are_preferred_to_others():
    larger = {name: np.zeros((9, 9)) for name in EXPECTED}
    lacking = {name: EXPECTED[name] for name in NAMES[:2]}
    for other in (larger, lacking, {**EXPECTED, "more": np.zeros(1)}):
        found, others = find_weights({"state_dict": other, "ema": EXPECTED}, EXPECTED)
        assert (found.place, others) == (("ema",), [])


def test_the_same_weights_under_two_names_need_no_choice():
    assert find_weights({"model": EXPECTED, "state_dict": EXPECTED}, EXPECTED)[1] == []


def test_a_checkpoint_that_contains_itself_is_searched_once():
    content: dict[str, Any] = {f"again{i}": {} for i in range(50)}
    for name in content:
        content[name] = content
    content["state_dict"] = EXPECTED
    assert find_weights(content, EXPECTED)[0].place == ("state_dict",)


def test_bare_weights_give_no_message():
    assert tell_found(*find_weights(EXPECTED, EXPECTED), "w.pth") == ""


def test_only_counters_may_be_missing():
    check_fit({k: v for k, v in EXPECTED.items() if "num_batches" not in k}, EXPECTED, "w")
    with pytest.raises(BenchError, match=r"3 keys missing \(first: conv.weight, bn.weight, head.weight\)"):
        check_fit({}, EXPECTED, "w")


def test_names_of_mismatched_weights_are_shown_safely_and_shortened():
    given = {**hide("\x1b[31m"), "x" * 10_000: np.zeros(1)}
    with pytest.raises(BenchError) as raised:
        check_fit(given, EXPECTED, "w")
    assert not {"\x1b", "\n"} & set(str(raised.value))
    assert len(str(raised.value)) < 1000
