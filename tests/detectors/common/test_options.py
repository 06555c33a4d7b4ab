"""Every invalid option gives a one-line error before anything is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Optional

import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.registry import detectors
from crossfake.detectors import create, create_from
from crossfake.detectors.common.options import Option, check_options, describe_misfit, list_options

CADDM = {"backbone": "timm:resnet10t", "backbone_args": {"channels": [4, 8, 8, 8], "stem_width": 8}, "input_size": 112}
PGFDD = {**CADDM, "input_size": 64, "width": 16}
OF_BOTH = [
    (
        "caddm",
        {"detection_weight": "abc"},
        "weight must be a valid number, got 'abc'. .*detection_weight=0.1$",
    ),
    ("caddm", {"detection_weight": -1}, "detection_weight must be 0 or more, got -1"),
    ("caddm", {"detection_weight": float("nan")}, "detection_weight must be 0 or more, got nan"),
    (
        "caddm",
        {"recipe_args": {"partial": "half"}},
        r"recipe_args.partial must be a valid number, got 'half'. .*partial: 0.2",
    ),
    ("caddm", {"recipe_args": {"partial": 7}}, "recipe_args.partial must be from 0 to 1, got 7"),
    ("caddm", {"recipe_args": {"jitter": 2}}, "recipe_args.jitter must be from 0 to 1, got 2"),
    ("caddm", {"recipe_args": {"photometric": -1}}, "recipe_args.photometric must be 0 or more, got -1"),
    ("caddm", {"recipe_args": {"flip": 1}}, "recipe_args.flip must be a valid boolean, got 1"),
    ("caddm", {"recipe_args": ["partial"]}, "recipe_args must be a mapping {name: value}, got \\['partial'\\]"),
    ("caddm", {"input_size": "abc"}, "input_size must be a valid integer, got 'abc'. .* --set options.input_size=224"),
    ("caddm", {"input_size": 0}, "input_size must be 32 or more, got 0"),
    ("caddm", {"backbone": None}, "backbone must be a valid string, got null. .*options.backbone=efficientnet-b4"),
    ("caddm", {"backbone": "resnet43"}, "no CADDM backbone.* 'resnet43'. Did you mean 'resnet34'"),
    ("caddm", {"backbone_args": {"foo": 3}}, "foo"),
    ("caddm", {"backbone_args": {"channels": "abc"}}, "resnet10t.*backbone_args"),
    ("caddm", {"backbone_args": {3: 3}}, "backbone_args '3'"),
    ("caddm", {"stage": "last"}, "stage must be a valid integer, got 'last'"),
    ("meso4", {"input_size": "abc"}, "meso4: input_size must be a valid integer, got 'abc'"),
    ("meso4", {"input_size": 40}, "input_size must be a multiple of 32, at least 32, got 40"),
    ("pgfdd", {"width": "abc"}, "width must be a valid integer, got 'abc'. Give it as --set options.width=512"),
    ("pgfdd", {"width": 5}, "width must be a multiple of 8, at least 8, got 5"),
    ("pgfdd", {"exact": "yes"}, "exact must be a valid boolean, got 'yes'"),
    ("pgfdd", {"backbone_args": {"foo": 3}}, "foo"),
    ("resnet34", {"arch": "resnet43"}, "no .*'resnet43'. Did you mean 'resnet34'"),
    ("resnet34", {"input_size": -5}, "input_size must be 32 or more, got -5"),
    ("xception", {"arch_args": {"a": 1}}, "'a'"),
    ("xception", {"arch_args": "a"}, "arch_args must be a mapping {name: value}, got 'a'"),
    ("xception", {"pretrained": 2}, "pretrained must be a valid boolean, got 2"),
]
OF_JAX = [
    ("caddm", {"stage": 9}, "stage must be from 1 to 4, got 9"),
    ("caddm", {"stage": 0}, "stage must be from 1 to 4, got 0"),
    ("caddm", {"backbone_args": {"chanels": [4]}}, "no backbone_args 'chanels'. Did you mean 'channels'"),
    (
        "caddm",
        {"backbone_args": {"channels": [16]}},
        r"backbone_args.channels must be tuple\[int, int, int, int\], got .16.",
    ),
    ("resnet34", {"arch": "resnet50"}, "no network in JAX named 'resnet50'. Did you mean 'resnet34'.*--backend torch"),
]
OF_TORCH = [
    ("caddm", {"stage": 9}, "can't be built: .*Check backbone_args, stage"),
    (
        "resnet34",
        {"arch_args": {"num_classes": 3}},
        "doesn't accept arch_args 'num_classes'.*Leave it out of options.arch_args",
    ),
]


@pytest.mark.parametrize(
    ("backend", "name", "options", "message"),
    [
        *(("torch", *case) for case in (*OF_BOTH, *OF_TORCH)),
        *(("jax", *case) for case in (*OF_BOTH, *OF_JAX)),
    ],
)
def test_impossible_values_are_a_one_line_error(backend, name, options, message):
    for package in {"torch": ("torch", "timm"), "jax": ("jax", "flax", "optax")}[backend]:
        pytest.importorskip(package)
    with pytest.raises(BenchError, match=message) as raised:
        create(name, backend=backend, **{**{"caddm": CADDM, "pgfdd": PGFDD}.get(name, {}), **options})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "taken", "refused"),
    [
        (int, [3, np.int64(3)], [True, 3.0, "3", None]),
        (float, [3, 0.5, np.float32(0.5)], [True, "0.5", None]),
        (bool, [True, np.bool_(False)], [1, "true"]),
        (str, ["", "a"], [None, 1]),
        (int | None, [None, 1], ["a"]),
        (Optional[str], [None, "a"], [1]),  # noqa: UP045
        (Literal["a", "b"], ["a"], ["c"]),
        (Mapping[str, Any], [{}, {"a": 1}], [[1], "a", None]),
        (dict, [{1: 1}], [[]]),
        (tuple[int, ...], [[], [1, 2], (1,)], ["ab", [1.5], 1]),
        (tuple[int, int], [[1, 2]], [[1], [1, 2, 3]]),
        (Sequence[str], [["a"]], ["abc", [1]]),
        (list, [[1, "a"]], [{}, "abc"]),
        (Any, [1, None], []),
        (Path, ["somewhere"], []),
        ([int, float], ["anything"], []),  # Not a type, so it isn't checked.
    ],
)
def test_values_an_annotation_accepts(kind, taken, refused):
    assert [v for v in taken if describe_misfit(v, kind)] == []
    assert [v for v in refused if not describe_misfit(v, kind)] == []


def written(folder: Path, init: str) -> Any:
    path = folder / "mine.py"
    path.write_text(
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from somewhere import Unknown\n"
        f"class Mine:\n    def __init__(self, {init}\n    def score(self, frames): ...\n"
    )
    return detectors.find(f"{path}:Mine")


def test_a_users_detector_is_checked_by_its_annotations_if_any(tmp_path):
    made = create_from(written(tmp_path, "size, shape: int = 3, **others): self.given = size, shape, others"), size="a")
    assert made.given == ("a", 3, {})
    entry = written(tmp_path, "size, shape: int = 3, **others): self.given = size, shape, others")
    assert create_from(entry, size=None, more=1).given == (None, 3, {"more": 1})
    with pytest.raises(BenchError, match=r"mine: shape must be a valid integer, got 'a'. .*options.shape=3"):
        create_from(entry, size=1, shape="a")
    with pytest.raises(BenchError, match="missing a required argument: 'size'"):
        create_from(entry)


def test_annotations_that_cannot_be_resolved_are_ignored(tmp_path):
    entry = written(tmp_path, "a: Unknown = 1, b: int = 2): self.given = a, b")
    assert create_from(entry, a="x", b="y").given == ("x", "y")
    with pytest.raises(BenchError, match=r"has no option 'c'\. Its options: a, b"):
        create_from(entry, c=1)


def test_a_mistake_in_a_users_code_is_not_reported_as_a_wrong_option(tmp_path):
    entry = written(tmp_path, "args=None): dict.fromkeys(wrong=1)")
    with pytest.raises(TypeError, match="keyword"):
        create_from(entry, args={"other": 1})
    entry = written(tmp_path, "args=None): (lambda known=1: known)(**args)")
    with pytest.raises(
        BenchError, match=r"mine doesn't accept args 'other': .*unexpected keyword.* Leave it out of options.args"
    ):
        create_from(entry, args={"other": 1})


@pytest.mark.parametrize("name", ["caddm", "pgfdd", "pgfdd_fixed", "meso4", "xception", "resnet34", "efficientnet-b4"])
def test_both_ports_accept_the_same_options(name):
    for package in ("torch", "timm", "jax", "flax", "optax"):
        pytest.importorskip(package)
    options, others = (list_options(detectors.find(name, backend).load()) for backend in ("torch", "jax"))
    assert {k: v for k, v in options.items() if k != "variant"} == others  # Only PyTorch has variants.
    assert "input_size" in options


def test_options_of_a_signature():
    def maker(a, b: int = 2, *rest, c: str | None = None, **others): ...

    assert list(list_options(maker)) == ["a", "b", "c", "**"]
    assert list_options(maker)["c"] == Option(str | None, None)
    assert list(list_options(maker, keyword_only=True)) == ["c", "**"]
    with pytest.raises(BenchError, match=r"^it: x.n must be a list, got 'aaaaaa.*\.\.\.\. Give it as"):
        check_options("it", {"n": "a" * 99}, {"n": Option(list[int])}, "x")
