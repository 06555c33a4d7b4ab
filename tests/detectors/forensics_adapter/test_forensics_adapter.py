"""Forensics Adapter against golden vectors of the released code without its random fusion; masks; bad input."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.types import Face, TrainSample, Video
from crossfake.detectors import create
from crossfake.detectors.common.crops import BoxCrop
from crossfake.detectors.forensics_adapter.detector import copy_clip
from crossfake.detectors.forensics_adapter.network import ForensicsNet, GuidedClip, Sizes, build_attention_mask
from crossfake.detectors.forensics_adapter.objective import compute_losses
from crossfake.detectors.forensics_adapter.sampler import ForensicsSampler
from crossfake.detectors.forensics_adapter.targets import label_patches, make_boundary
from golden import fill, make_face, read_golden, smooth_input

GOLDEN = Sizes(width=128, layers=16, projected=768, queries=16, hidden=32, out=24)
SMALL = {"sizes": {"width": 64, "layers": 8, "projected": 32, "queries": 8, "hidden": 16, "out": 8}, "input_size": 64}


@pytest.fixture(scope="module")
def expected():
    return read_golden("forensicsadapter")


@pytest.fixture(scope="module")
def weights():
    with torch.device("meta"):
        network = ForensicsNet(GOLDEN)
    return fill(network.state_dict(), 1.0)


@pytest.fixture(scope="module")
def masks():
    drawn = np.zeros((4, 256, 256), np.uint8)
    drawn[0, 60:150, 70:180] = drawn[1, 10:40, 200:250] = 255
    return drawn


def test_the_network_of_a_checkpoints_sizes_is_the_released_one(expected, weights):
    extra = {"clip_model.logit_scale": np.zeros(()), "rec_attn_clip.proj": np.zeros((128, 768))}
    detector = create("forensics-adapter").load({**extra, **weights})
    assert detector.sizes == GOLDEN
    out = detector.outputs(smooth_input((4, 3, 256, 256), "fa", -1.8, 2.1))
    np.testing.assert_allclose(out["logits"], expected["logits"], atol=2e-5)
    np.testing.assert_allclose(out["attn_bias"][..., ::4, ::4], expected["attn_bias_slice"], rtol=1e-5, atol=1e-4)


def test_the_attention_mask_is_the_released_one(expected):
    found = build_attention_mask(torch.tensor(expected["attn_bias_in"]), 2)
    np.testing.assert_array_equal(found, expected["attn_mask_example"])


def test_targets_are_the_released_ones(expected, masks):
    np.testing.assert_allclose(make_boundary(masks[0])[100], expected["xray0_row100"], atol=1e-6)
    found = np.stack([label_patches(mask, 16) for mask in masks])
    np.testing.assert_array_equal(found, expected["patch_label_16"])


def test_losses_are_the_released_ones(expected, weights, masks):
    network = ForensicsNet(GOLDEN).eval()
    network.load_state_dict({k: torch.tensor(v) for k, v in weights.items()})
    batch = {
        "label": torch.tensor([1, 1, 0, 0]),
        "boundary": torch.tensor(np.stack([make_boundary(mask) for mask in masks])),
        "patches": torch.tensor(expected["patch_label_16"]).float(),
        "clip_patches": torch.tensor(expected["clip_patch_label_14"]).float(),
    }
    x = torch.tensor(smooth_input((4, 3, 256, 256), "fa", -1.8, 2.1))
    with torch.no_grad():
        out = network(x, torch.tensor(expected["if_boundary"]).float().unflatten(1, (16, 16)))
        losses = compute_losses(out, batch)
    np.testing.assert_allclose(out["xray"][..., ::16, ::16], expected["xray_slice"], atol=2e-5)
    found = [losses[k].item() for k in ("cls", "xray", "intra", "clip", "loss")]
    np.testing.assert_allclose(found, expected["losses_cls_xray_intra_clip_overall"], rtol=1e-5)


@torch.no_grad()
def test_timms_clip_is_copied_whole():
    args = {"depth": 2, "embed_dim": 64, "num_heads": 1, "num_classes": 32}
    clip = timm.create_model("vit_large_patch14_clip_quickgelu_224", **args).eval()
    guided = GuidedClip(Sizes(width=64, layers=2, projected=32, queries=4, hidden=8, out=8)).eval()
    copy_clip(guided, clip)
    tokens = torch.randn(2, 6, 64)
    for ours, theirs in zip(guided.resblocks, clip.blocks, strict=True):
        np.testing.assert_allclose(ours(tokens, torch.zeros(2, 6, 6)), theirs(tokens), atol=1e-5)
    np.testing.assert_allclose(guided.vit.proj, clip.head.weight.T)


def test_a_step_leaves_clip_unchanged_and_learns_where_fakes_were_forged():
    from crossfake.benchmark.core.settings import TrainSettings

    angle = np.linspace(0, 2 * np.pi, 81, endpoint=False)
    landmarks = np.stack([60 + 30 * np.cos(angle), 60 + 30 * np.sin(angle)], 1).astype(np.float32)
    real = make_face(120, 120, "real")
    fake = real.copy()
    fake[40:80, 45:75] = 255 - fake[40:80, 45:75]
    faces = [Face(image, landmarks, np.float32([30, 30, 90, 90]), 0, (0, 0), (120, 120)) for image in (real, fake)]
    sampler, rng = ForensicsSampler(BoxCrop(64)), np.random.default_rng(0)
    examples = [sampler(TrainSample(faces[0], 0), rng), sampler(TrainSample(faces[1], 1, faces[0]), rng)]
    assert not examples[0]["patches"].any()
    assert 0.1 < examples[1]["patches"].mean() < 0.6
    assert sampler(TrainSample(faces[1], 1), rng) == {}
    detector = create("forensics-adapter", **SMALL)
    before = detector.state()
    session = detector.training(TrainSettings(lr=1e-3, threads=1), 1, 1)
    losses = session.step({k: np.stack([e[k] for e in examples]) for k in examples[0]})
    assert all(np.isfinite(v) for v in losses.values())
    changed = {k for k, v in detector.state().items() if not np.array_equal(v, before[k])}
    assert changed
    assert not any(k.startswith("rec_attn_clip.") and "intra" not in k for k in changed)


def test_fakes_need_their_originals():
    detector = create("forensics-adapter", **SMALL)
    real, fake, alone = (
        Video(name, None, label, method, "train", original=original)
        for name, label, method, original in (("r", 0, "real", None), ("f", 1, "swap", "r"), ("g", 1, "swap", "x"))
    )
    assert detector.inspect_training_set([real, fake, alone], {})[0] == [real, fake]
    with pytest.raises(BenchError, match="none of 2 training videos is a fake whose original"):
        detector.inspect_training_set([real, alone], {})


def test_weights_that_do_not_fit_leave_the_detector_unchanged():
    detector = create("forensics-adapter", **SMALL)
    with pytest.raises(BenchError, match="another architecture"):
        detector.load({"adapter.ln_pre.weight": np.zeros(192), "something": np.zeros(3)})
    assert detector.is_empty
    assert detector.sizes.queries == 8
    with pytest.raises(BenchError, match="sizes 'layrs'"):
        create("forensics-adapter", sizes={"layrs": 3})
