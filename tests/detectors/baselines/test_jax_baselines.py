"""JAX ports of the plain classifiers: names, outputs, losses, gradients and running statistics as in PyTorch."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flax")
torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.registry import detectors
from crossfake.detectors import create
from crossfake.detectors.common_jax import efficientnet

NARROW = {"input_size": 64, "arch_args": {"channels": (4, 8, 8, 16)}}
CASES = {
    "meso4": ("meso4", {"input_size": 64}),
    "resnet34": ("resnet34", NARROW),
    "xception": ("xception", {"input_size": 71}),
    "efficientnet-b4": ("efficientnet-b4", {"input_size": 64}),
}


def batch(size: int, n: int = 4, seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"image": rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8), "label": np.arange(n) % 2}


@pytest.mark.parametrize("name", ["xception", "efficientnet-b4", "resnet34"])
def test_names_shapes_and_sizes_equal_pytorchs(name):
    with torch.device("meta"):
        theirs = create(name, backend="torch")
    ours = create(name, backend="jax")
    expected = {k: tuple(v.shape) for k, v in theirs.network.state_dict().items()}
    assert {k: v.shape for k, v in ours.names().items()} == expected
    assert ours.parameters_count() == theirs.parameters_count()
    assert ours.input_size == theirs.input_size == detectors.find(name, "jax").card["input_size"]


@pytest.mark.parametrize("case", ["meso4", *(pytest.param(c, marks=pytest.mark.slow) for c in CASES if c != "meso4")])
def test_outputs_and_scores_equal_pytorchs(ports, case):
    name, options = CASES[case]
    first, second = ports(name, **options)
    frames = batch(options["input_size"])["image"]
    x = np.random.default_rng(2).normal(size=(2, 3, *frames.shape[1:3])).astype(np.float32)
    expected, outputs = first.outputs(x), second.outputs(x)
    assert outputs.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(outputs[key], value, atol=1e-4 * max(1, np.abs(value).max()), err_msg=key)
    np.testing.assert_allclose(second.score(frames), first.score(frames), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_training_pass_equals_pytorchs(ports, assert_same_pass, case):
    name, options = CASES[case]
    assert_same_pass(ports(name, **options), batch(options["input_size"]))


@pytest.mark.slow
def test_xception_gradients_round_as_pytorchs(ports, assert_rounds_alike):
    assert_rounds_alike(ports("xception", input_size=71), [batch(71, seed=seed) for seed in range(8)])


def test_widths_round_as_timms():
    assert [efficientnet.round_channels(c * 1.4) for c in (16, 24, 40, 80, 112, 192, 320)] == [
        24,
        32,
        56,
        112,
        160,
        272,
        448,
    ]


def test_pytorch_and_jax_cards_agree():
    for name in ("xception", "efficientnet-b4", "resnet34", "meso4", "caddm", "pgfdd", "pgfdd_fixed"):
        one, other = detectors.find(name, "torch"), detectors.find(name, "jax")
        assert one.aliases == other.aliases
        assert other.capabilities == one.capabilities | {"flops"}
        for key, value in other.card.items():
            if key not in ("options", "can"):
                assert one.card[key] == value, (name, key)


def test_other_timm_models_are_pytorch_only():
    with pytest.raises(BenchError, match=r"'timm:resnet50' has no backend 'jax'; it has: torch. Use --backend torch"):
        create("timm:resnet50", backend="jax")


def test_the_documented_example_is_the_code_and_works_outside_of_the_project(tmp_path):
    """Only their imports differ: modules of the project can't import `crossfake.plugin`, which is above them."""
    root = Path(__file__).resolve().parents[3]
    (example,) = re.findall(
        r"```python\n(.*?)```", (root / "docs" / "backends.md").read_text(encoding="utf-8"), re.DOTALL
    )
    code = (root / "detectors" / "baselines" / "jax_meso.py").read_text(encoding="utf-8")
    start = "@detectors.register("
    assert example.partition(start)[2] == code.partition(start)[2]
    imported = set(re.findall(r"^from (crossfake\S+)", example, re.MULTILINE))
    assert imported == {"crossfake.plugin", "crossfake.plugin.jax"}
    path = tmp_path / "mine.py"
    path.write_text(example, encoding="utf-8")
    detector = create(f"{path}:JaxMeso4", input_size=32)
    assert np.array_equal(
        detector.score(batch(32)["image"]), create("meso4", "jax", input_size=32).score(batch(32)["image"])
    )
