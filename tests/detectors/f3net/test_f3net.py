"""F3-Net against golden vectors: FAD as in DeepfakeBench, both branches as in the released code, MixBlock."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from crossfake.benchmark.core.errors import BenchError
from crossfake.detectors import create
from crossfake.detectors.f3net.frequency import DecomposedImages, LocalStatistics, MixBlock, make_dct
from golden import assert_trains_as_released, load_filled, make_input, make_weight, read_golden, smooth_input


def fill_module(module, gain=1.0, start=""):
    state = {k: torch.tensor(make_weight(start + k, tuple(v.shape), gain)) for k, v in module.state_dict().items()}
    module.load_state_dict(state)
    return module.eval()


def test_fad_and_its_network_equal_deepfakebenchs():
    expected, x = read_golden("f3net_fad"), smooth_input((2, 3, 64, 64), "f3")
    detector = load_filled(create("f3net", variant="deepfakebench", input_size=64), 1.0)
    out = detector.outputs(x)
    np.testing.assert_allclose(out["fad"][:, :, ::4, ::4], expected["fad_slice"], atol=2e-5)
    np.testing.assert_allclose(out["feat"][:, :8], expected["feat_slice"], atol=2e-5)
    np.testing.assert_allclose(out["logits"], expected["logits"], atol=2e-5)
    batch = {"image": x, "label": [1, 0]}
    assert_trains_as_released(detector, batch, "f3net_fad", float(expected["train_loss"]))


def test_bands_share_their_border_and_the_transform_is_orthonormal():
    counts = [int(band.base.sum()) for band in DecomposedImages(64).filters]
    assert counts == read_golden("f3net_fad")["band_counts"].tolist()
    assert [int(band.base.sum()) for band in LocalStatistics(False).filters] == [10, 18, 36, 30, 12, 3]
    np.testing.assert_allclose(make_dct(20) @ make_dct(20).T, np.eye(20), atol=1e-6)


def test_mixblock_is_the_released_one():
    expected = read_golden("f3net_mixblock")
    block = fill_module(MixBlock(4))
    maps = (torch.tensor(make_input((2, 4, 5, 5), f"mix/{name}")) for name in ("fad", "lfs"))
    with torch.no_grad():
        fad, lfs = block(*maps)
    np.testing.assert_allclose(fad, expected["y_fad"], atol=1e-6)
    np.testing.assert_allclose(lfs, expected["y_lfs"], atol=1e-6)


def test_lfs_is_the_released_one():
    """The tolerance is the effect of rounding on the logarithm of an almost absent frequency."""
    head = LocalStatistics(paper=False)
    for i, band in enumerate(head.filters):
        band.learnable.data = torch.tensor(make_weight(f"LFS_head.filters.{i}.learnable", (10, 10), 1.0))
    with torch.no_grad():
        found = head(torch.tensor(smooth_input((1, 3, 299, 299), "f3both"))).numpy()
    expected = read_golden("f3net_both")["lfs_slice"]
    np.testing.assert_allclose(found[:, :, ::12, ::12], expected, atol=5e-4)
    assert np.abs(found[:, :, ::12, ::12] - expected).mean() < 1e-5


@pytest.mark.slow
def test_both_branches_are_the_released_ones():
    detector = load_filled(create("f3net", variant="released"), 1.0)
    out = detector.outputs(smooth_input((1, 3, 299, 299), "f3both"))
    np.testing.assert_allclose(out["logits"], read_golden("f3net_both")["logit"], atol=5e-5)


@pytest.mark.slow
def test_mixed_branches_run_and_give_one_logit():
    detector = create("f3net", input_size=67)
    out = detector.outputs(smooth_input((1, 3, 67, 67), "mixed"))
    assert out["logits"].shape == (1, 1)
    assert out["features"].shape == (1, 4096)


def test_weights_of_another_size_and_impossible_options_are_refused():
    with torch.device("meta"):
        large, small = (create("f3net", variant="deepfakebench", input_size=size) for size in (96, 64))
    weights = {k: np.zeros(v.shape, np.float32) for k, v in large.to_reference(large.names()).items()}
    with pytest.raises(BenchError, match=r"4 of another shape \(first: FAD_head\.filters\.0\.learnable, \(96, 96\)"):
        small.load(weights)
    with pytest.raises(BenchError, match="mixblock needs two branches"):
        create("f3net", variant="deepfakebench", mixblock=True)
    with pytest.raises(BenchError, match="can't be mixed at input_size 72"):
        create("f3net", input_size=72)
