"""DeepfakeBench's Xception and EfficientNet-B4: parameter names, the stem's geometry, golden vectors."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from crossfake.benchmark.core.errors import BenchError
from crossfake.detectors import create
from golden import load_filled, read_golden, smooth_input


@pytest.mark.slow
def test_efficientnet_b4_equals_deepfakebenchs():
    expected = read_golden("efficientnetb4_dfb")
    detector = load_filled(create("efficientnet-b4", variant="deepfakebench"), 1.4)
    out = detector.outputs(smooth_input((2, 3, 256, 256), "effdfb"))
    np.testing.assert_allclose(out["logits"], expected["logits"], atol=2e-5)
    np.testing.assert_allclose(out["features"][:, ::8], expected["feat_gap"], atol=2e-5)


def test_names_equal_deepfakebenchs_and_other_networks_lack_the_variant():
    with torch.device("meta"):
        made = {name: create(name, variant="deepfakebench") for name in ("xception", "efficientnet-b4")}
    names = {k: set(v.to_reference(v.names())) for k, v in made.items()}
    assert {"backbone.conv1.weight", "backbone.last_linear.bias"} < names["xception"]
    assert {"backbone.efficientnet._conv_stem.weight", "backbone.last_layer.bias"} < names["efficientnet-b4"]
    x = torch.zeros(1, 3, 256, 256, device="meta")
    assert made["efficientnet-b4"].network.conv_stem(x).shape[-1] == 127
    with pytest.raises(BenchError, match="'deepfakebench'; only xception and efficientnet-b4 have one"):
        create("resnet34", variant="deepfakebench")
