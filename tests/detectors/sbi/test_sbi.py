"""SBI's network against golden vectors, and training data that it rejects."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.benchmark.core.types import Video
from crossfake.detectors import create
from golden import load_filled, read_golden, smooth_input

SMALL = {"backbone": "timm:resnet10t", "backbone_args": {"channels": [4, 4, 8, 8]}, "input_size": 32}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "size", "count", "low"), [("paper", 380, 1, 0), ("released", 380, 1, 0), ("deepfakebench", 256, 2, -1)]
)
def test_the_network_is_the_released_one(variant, size, count, low):
    detector = load_filled(create("sbi", variant=variant, input_size=size), 1.4)
    bench = variant == "deepfakebench"
    expected = read_golden("efficientnetb4_dfb" if bench else "sbi_model")
    out = detector.outputs(smooth_input((count, 3, size, size), "effdfb" if bench else "sbi", low, 1))
    np.testing.assert_allclose(out["logits"], expected["logits" if bench else "logits071"], atol=2e-5)
    np.testing.assert_allclose(out["feat"][:, :8], expected["feat_slice"], atol=2e-5)


def test_names_are_the_released_ones_and_the_stems_differ():
    with torch.device("meta"):
        paper, bench = create("sbi"), create("sbi", variant="deepfakebench")
    names = set(paper.to_reference(paper.names()))
    assert {"net._conv_stem.weight", "net._fc.bias", "net._blocks.31._project_conv.weight"} <= names
    assert len(names) == 706
    theirs = set(bench.to_reference(bench.names()))
    assert {"backbone.last_layer.weight", "backbone.efficientnet._conv_stem.weight"} <= theirs
    x = torch.zeros(1, 3, 256, 256, device="meta")
    assert [d.network.conv_stem(x).shape[-1] for d in (paper, bench)] == [128, 127]


def test_a_step_learns_only_from_pairs():
    torch.manual_seed(0)
    detector = create("sbi", **SMALL)
    session = detector.training(TrainSettings(lr=1e-2, batch_size=8, sharpness="sam", threads=1), 10, 10)
    rng = np.random.default_rng(0)
    real = rng.integers(0, 60, (8, 32, 32, 3))
    batch = {"image": np.stack([real, real + 100], 1).astype(np.uint8), "label": np.tile([0, 1], (8, 1))}
    losses = [session.step(batch)["loss"] for _ in range(10)]
    assert losses[-1] < 0.3 < losses[0]
    assert int(detector.state()["bn1.num_batches_tracked"]) == 20  # Both passes of SAM are counted.


def make_video(label: int) -> Video:
    return Video(f"{label}.mp4", None, label, "real" if label == 0 else "swap", "train")


def test_it_learns_only_from_real_videos_and_says_so_if_there_are_none():
    detector = create("sbi", **SMALL)
    videos = [make_video(0), make_video(1)]
    kept, why = detector.inspect_training_set(videos, {v.id: 3 for v in videos})
    assert [v.label for v in kept] == [0]
    assert "makes its own fakes" in why
    with pytest.raises(BenchError, match="none of 1 training videos is real"):
        detector.inspect_training_set(videos[1:], {"1.mp4": 3})
    with pytest.raises(BenchError, match=r"--set train\.balance=false"):
        detector.check_training(TrainSettings(balance=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "papr"}, "Did you mean 'paper'"),
        ({"backbone": "resnet"}, "timm:NAME"),
        ({"input_size": 8}, "32 or more"),
    ],
)
def test_impossible_options_are_a_one_line_error(options, message):
    with pytest.raises(BenchError, match=message):
        create("sbi", **options)


def test_weights_of_another_variant_are_refused():
    with torch.device("meta"):
        detector = create("sbi", variant="deepfakebench")
    with pytest.raises(BenchError, match="another architecture"):
        detector.load({"net._conv_stem.weight": np.zeros((48, 3, 3, 3), np.float32)})
