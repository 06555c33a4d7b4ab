"""Every runtime gives torch's scores within its precision, follows changed weights, and says why it can't run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.storage import cache_home
from crossfake.detectors import create
from crossfake.detectors.runtimes import DEFAULT, Way, find_obstacle, list_ways, parse_way, use_way
from tiny_torch import TinyTorch

SMALL = {"input_size": 32, "arch_args": {"channels": (4, 4, 8, 8)}}
EXPORTED = ("onnxruntime", "openvino")

# OpenVINO starts programs to identify the CPU, and JAX, if an earlier test has loaded it, warns about forks.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


def make() -> TinyTorch:
    torch.manual_seed(0)
    detector = TinyTorch()
    for name, value in detector.network.state_dict().items():
        if name.startswith("bn1") and value.is_floating_point():
            torch.nn.init.uniform_(value, 0.5, 2.0)
    return detector


def list_exports() -> list[Path]:
    return sorted((cache_home() / "exports").glob("*.onnx"))


def test_scores_are_those_of_the_plain_network(frames):
    torch.manual_seed(0)
    detector = create("timm:resnet10t", **SMALL)
    with torch.no_grad():
        plain = torch.from_numpy(detector.outputs_of(frames)["logits"]).softmax(-1)[:, 1].numpy()
    np.testing.assert_allclose(detector.score(frames), plain, atol=1e-6)
    assert np.ptp(plain) > 1e-4


@pytest.mark.parametrize("runtime", EXPORTED)
def test_an_exported_network_scores_as_torch_does_for_any_batch(runtime, frames):
    pytest.importorskip(runtime)
    expected = make().score(frames)
    detector = use_way(make(), Way(runtime, "fp32"))
    for count in (2, 5, 1):
        np.testing.assert_allclose(detector.score(frames[:count]), expected[:count], atol=1e-6)
    assert np.ptp(expected) > 1e-3
    assert detector.compile_seconds > 0
    assert detector.score(frames[:0]).shape == (0,)


@pytest.mark.parametrize("runtime", ["torch", *EXPORTED])
def test_scores_follow_weights_that_are_loaded_trained_or_changed_in_place(runtime, frames):
    pytest.importorskip(runtime)
    detector, other = use_way(make(), Way(runtime, "fp32")), make()
    first = detector.score(frames)
    with torch.no_grad():
        for made in (detector, other):
            made.network.fc1.bias[1] += 1
    changed = detector.score(frames)
    np.testing.assert_allclose(changed, make_again(other).score(frames), atol=1e-6)
    assert np.abs(changed - first).min() > 0.05
    detector.load({k: v * 0 for k, v in detector.state().items()})
    np.testing.assert_allclose(detector.score(frames), 0.5)
    detector.network.train()
    detector.network.fc1.bias.data[1] = 1.0  # As a user's own training loop might.
    np.testing.assert_allclose(detector.score(frames), 1 / (1 + np.exp(-1)), atol=1e-6)


def make_again(detector: TinyTorch) -> TinyTorch:
    return TinyTorch().load(detector.state())


def test_bf16_is_close_to_fp32_and_refused_where_the_cpu_lacks_it(frames):
    expected = make().score(frames)
    for way in (Way("torch", "bf16"), Way("openvino", "bf16")):
        detector = make()
        if find_obstacle(detector, way):
            with pytest.raises(BenchError, match=r"bf16|isn't installed"):
                use_way(detector, way)
        else:
            found = use_way(detector, way).score(frames)
            np.testing.assert_allclose(found, expected, atol=0.02)
            assert found.dtype == np.float32


def test_exports_are_kept_by_weights_and_the_oldest_are_removed(frames, monkeypatch):
    pytest.importorskip("onnxruntime")
    way = Way("onnxruntime", "fp32")
    use_way(make(), way).score(frames)
    (path,) = list_exports()
    written = path.stat().st_ino
    use_way(make(), way).score(frames)
    assert [p.stat().st_ino for p in list_exports()] == [written]
    os.utime(path, (1, 1))
    monkeypatch.setattr("crossfake.detectors.runtimes.export.MOST_BYTES", path.stat().st_size)
    other = make()
    other.network.fc1.bias.data += 1
    use_way(other, way).score(frames)
    assert len(list_exports()) == 1
    assert path not in list_exports()


def test_a_damaged_export_is_remade(frames):
    pytest.importorskip("onnxruntime")
    expected = use_way(make(), Way("onnxruntime", "fp32")).score(frames)
    (path,) = list_exports()
    path.write_bytes(path.read_bytes()[:100])
    np.testing.assert_array_equal(use_way(make(), Way("onnxruntime", "fp32")).score(frames), expected)


def test_runtimes_are_listed_with_why_they_are_unavailable():
    ways = list_ways(make())
    assert ways[DEFAULT] == ""
    assert "CUDA" in ways[Way("torch", "tf32")] or torch.cuda.is_available()
    assert "quantises" in ways[Way("openvino", "int8")]

    class Own:
        def score(self, frames: np.ndarray) -> np.ndarray:
            return np.zeros(len(frames), np.float32)

    own = list_ways(Own())
    assert [way for way, obstacle in own.items() if not obstacle] == [DEFAULT]
    assert own[Way("openvino", "fp32")] == "Own runs its own network"


def test_a_missing_runtime_is_reported_with_what_to_type(monkeypatch):
    monkeypatch.setattr("crossfake.detectors.runtimes.find_package", lambda name: None)
    with pytest.raises(BenchError, match=r'openvino isn\'t installed: pip install "crossfake\[openvino\]"'):
        use_way(make(), Way("openvino", "fp32"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("", ""), DEFAULT),
        (("torch", "float32"), DEFAULT),
        (("openvino", "bf16"), Way("openvino", "bf16")),
        (("auto", ""), Way("auto", "fp32")),
    ],
)
def test_runtime_names_are_parsed(names, expected):
    assert parse_way(*names) == expected


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("openvin", ""), "Did you mean 'openvino'"),
        (("torch", "fp23"), "Did you mean 'fp32'"),
        (("openvino", "int8"), "no runtime here quantises"),
    ],
)
def test_wrong_names_are_a_one_line_error(names, told):
    with pytest.raises(BenchError, match=told):
        parse_way(*names)


def test_a_network_that_cannot_be_exported_says_so(frames):
    pytest.importorskip("onnxruntime")

    class Odd(TinyTorch):
        def forward(self, x):
            return {"logits": self.network(x)[torch.from_numpy(np.arange(len(x)))].to_sparse().to_dense()}

    with pytest.raises(BenchError, match=r"Odd can't be exported to ONNX: .*Use --runtime torch"):
        use_way(Odd(), Way("onnxruntime", "fp32")).score(frames)


def test_a_network_that_bakes_the_batch_in_says_so(frames):
    pytest.importorskip("onnxruntime")

    class Fixed(TinyTorch):
        def forward(self, x):
            return {"logits": self.network(x)[:2]}

    with pytest.raises(BenchError, match="2 results for 5 images"):
        use_way(Fixed(), Way("onnxruntime", "fp32")).score(frames)
