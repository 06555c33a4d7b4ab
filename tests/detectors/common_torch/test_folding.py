"""Folded copies: fewer layers with the same outputs, if a convolution's output only goes to its batch norm."""

from __future__ import annotations

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from crossfake.detectors.common_torch.folding import fold_network
from torch import Tensor, nn
from torch.nn import functional as F


class Small(nn.Module):
    """Two convolutions and a batch norm, connected according to `way`."""

    def __init__(self, way: Callable[[Small, Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.other, self.norm, self.way = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1), norm(3), way

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self, x)


def norm(channels: int) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(channels)
    for value in (made.weight, made.bias, made.running_mean, made.running_var):
        nn.init.uniform_(value, 0.5, 2.0)
    return made


def fold(network: nn.Module, x: Tensor) -> tuple[nn.Module, float]:
    network.eval()
    folded = fold_network(network, lambda copy: copy(x[:1]), torch.contiguous_format)
    with torch.no_grad():
        return folded, float((folded(x) - network(x)).abs().max() / network(x).abs().max())


def count_norms(network: nn.Module) -> int:
    return sum(getattr(module, "running_mean", None) is not None for module in network.modules())


X = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
WAYS = {
    "its result goes to the norm alone": (lambda s, x: s.norm(s.conv(x)), 0),
    "the norm comes first": (lambda s, x: s.conv(s.norm(x)), 1),
    "something comes between": (lambda s, x: s.norm(F.relu(s.conv(x))), 1),
    "its result is used twice": (lambda s, x: (y := s.conv(x)) + s.norm(y), 1),
    "its result is changed in place": (lambda s, x: s.norm(s.conv(x).add_(1)), 1),
    "it runs twice": (lambda s, x: s.norm(s.conv(s.conv(x))), 1),
    "the norm runs twice": (lambda s, x: s.norm(s.conv(x)) + s.norm(s.other(x)), 1),
}


@pytest.mark.parametrize("case", WAYS)
def test_a_convolution_is_folded_only_where_nothing_else_sees_its_result(case):
    way, left = WAYS[case]
    network = Small(way)
    folded, error = fold(network, X)
    assert error < 1e-5
    assert (count_norms(folded), count_norms(network)) == (left, 1)


@pytest.mark.parametrize("name", ["resnet10t", "tf_mobilenetv3_small_minimal_100"])
def test_all_norms_of_timm_networks_are_folded_even_behind_padding(name):
    timm = pytest.importorskip("timm")
    network = timm.create_model(name, num_classes=2)
    for module in network.modules():
        if getattr(module, "running_mean", None) is not None:
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    folded, error = fold(network, X)
    assert error < 1e-4
    assert count_norms(folded) == 0 < count_norms(network)
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


def test_unchanged_tensors_are_shared_and_dtype_and_layout_are_as_requested():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), norm(4), nn.PReLU(), nn.Flatten(), nn.Linear(4 * 30 * 30, 2)).eval()
    folded = fold_network(network, lambda copy: copy(X[:1]), torch.channels_last)
    assert folded[2].weight is network[2].weight
    assert folded[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert not network[0].weight.is_contiguous(memory_format=torch.channels_last)
    half = fold_network(network, lambda copy: copy(X[:1]), torch.contiguous_format, torch.bfloat16)
    assert (half[0].weight.dtype, half[4].weight.dtype, half[2].weight.dtype) == (
        torch.bfloat16,
        torch.bfloat16,
        torch.float32,
    )
