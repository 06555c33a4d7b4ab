"""Parameters and FLOPs are counted in torch, or stated by the detector, or else unknown."""

from __future__ import annotations

import numpy as np
import pytest
from crossfake.benchmark.stages.cost import count_activations, count_flops, count_parameters

CROP = np.zeros((8, 8, 3), np.uint8)


class Plain:
    def score(self, frames):
        return np.zeros(len(frames), np.float32)


class Knows(Plain):
    def parameters_count(self):
        return 7

    def flops(self, frames):
        return 100.0 * frames.size


def test_a_detector_that_knows_its_cost_is_believed_and_others_are_unknown():
    assert (count_parameters(Knows()), count_flops(Knows(), CROP)) == (7, 100 * 8 * 8 * 3)
    assert (count_parameters(Plain()), count_flops(Plain(), CROP), count_activations(Plain(), CROP)) == (None,) * 3


def test_a_torch_multiply_add_counts_as_two():
    torch = pytest.importorskip("torch", reason="needs torch")

    class Net(Plain):
        network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Flatten(), torch.nn.Linear(256, 2))

        def score(self, frames):
            x = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
            return self.network(x)[:, 1].detach().numpy()

    assert count_flops(Net(), CROP) == 2 * (8 * 8 * 4 * 3 * 9 + 256 * 2)
    assert count_activations(Net(), CROP) == 8 * 8 * 4 + 2


def test_resnet34_has_its_known_flops_and_activations():
    pytest.importorskip("torch", reason="needs torch")
    from crossfake.detectors import create

    made = create("resnet34", backend="torch", pretrained=False, input_size=224)
    assert count_flops(made, np.zeros((224, 224, 3), np.uint8)) == pytest.approx(2 * 3.66e9, rel=0.01)
    assert count_activations(made, np.zeros((224, 224, 3), np.uint8)) == pytest.approx(3.74e6, rel=0.01)  # timm's
