"""Network blocks against timm's in training mode: names, outputs, gradients and running statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
nnx = pytest.importorskip("flax.nnx")
timm = pytest.importorskip("timm")

import jax.numpy as jnp
from crossfake.detectors.common_jax import efficientnet, resnet, xception
from crossfake.detectors.common_jax.detector import flatten_state
from crossfake.detectors.common_jax.layers import EVALUATION, Init, Mode
from timm.models import resnet as timm_resnet
from timm.models.xception import Block as TimmBlock


def mbconv(stage: int, index: int, inner: int, outer: int, kernel: int, stride: int, expand: int) -> tuple[Any, Any]:
    ours = efficientnet.MBConv(inner, outer, kernel, expand, Init(0), stride=stride, momentum=0.01, drop=0.0)
    with torch.device("meta"):  # Its weights are replaced.
        theirs = timm.create_model("tf_efficientnet_b3", bn_momentum=0.01)
    return ours, theirs.blocks[stage][index].to_empty(device="cpu")


def basic(inner: int, outer: int, stride: int, pooled: bool) -> tuple[Any, Any]:
    ours = resnet.BasicBlock(inner, outer, Init(0), stride=stride, pooled=pooled)
    made = timm_resnet.downsample_avg if pooled else timm_resnet.downsample_conv
    shortcut = made(inner, outer, 1, stride) if ours.downsample else None
    return ours, timm_resnet.BasicBlock(inner, outer, stride, shortcut)


def separable(number: int, inner: int, outer: int) -> tuple[Any, Any]:
    ours = xception.Block(number, inner, outer, Init(0))
    halves = inner != outer
    theirs = TimmBlock(
        inner, outer, 2 if halves else 3, 2 if halves else 1, start_with_relu=number > 1, grow_first=number < 12
    )
    return ours, theirs


CASES = {
    "mbconv-plain": lambda: mbconv(0, 1, 24, 24, 3, 1, 1),
    "mbconv-halves": lambda: mbconv(2, 0, 32, 48, 5, 2, 6),
    "basic": lambda: basic(4, 4, 1, False),
    "basic-halves": lambda: basic(4, 8, 2, False),
    "basic-pooled": lambda: basic(4, 8, 2, True),
    "basic-widens-pooled": lambda: basic(4, 8, 1, True),
    "xception-1": lambda: separable(1, 4, 8),
    "xception-3": lambda: separable(3, 4, 8),
    "xception-4": lambda: separable(4, 8, 8),
    "xception-12": lambda: separable(12, 4, 8),
}

INNER = {"mbconv-plain": 24, "mbconv-halves": 32, "xception-4": 8}  # Channels, where they aren't 4.


QUICK = ("mbconv-halves", "basic-widens-pooled")


@pytest.mark.parametrize("case", [c if c in QUICK else pytest.param(c, marks=pytest.mark.slow) for c in CASES])
def test_a_block_equals_timms(case):
    ours, theirs = CASES[case]()
    graph, params, rest = nnx.split(ours, nnx.Param, ...)
    # The initial zero scales at a block's end would hide most of it.
    params = jax.tree.map(lambda p: p + 0.1 * np.random.default_rng(1).normal(size=p.shape).astype(np.float32), params)
    weights = {**flatten_state(params), **flatten_state(rest)}
    theirs.double().train().load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in weights.items()})
    inner = INNER.get(case, 4)
    x = np.random.default_rng(0).normal(size=(3, 7, 7, inner)).astype(np.float32)

    def loss(params: Any, rest: Any) -> Any:
        block = nnx.merge(graph, params, rest, copy=True)
        y = block(jnp.asarray(x), Mode(train=True))
        return (y**2).sum(), (y, nnx.state(block, nnx.Not(nnx.Param)))

    grads, (y, rest) = jax.jit(jax.grad(loss, has_aux=True))(params, rest)
    expected = theirs(torch.from_numpy(x).permute(0, 3, 1, 2).double())
    (expected**2).sum().backward()
    np.testing.assert_allclose(y.transpose(0, 3, 1, 2), expected.detach(), atol=1e-4)
    for key, parameter in theirs.named_parameters():
        np.testing.assert_allclose(flatten_state(grads)[key], parameter.grad, rtol=1e-3, atol=2e-3, err_msg=key)
    for key, value in theirs.named_buffers():
        np.testing.assert_allclose(flatten_state(rest)[key], value, rtol=1e-4, atol=1e-6, err_msg=key)
    theirs.eval()
    y = jax.jit(lambda *state: nnx.merge(graph, *state)(jnp.asarray(x), EVALUATION))(params, rest)
    np.testing.assert_allclose(
        y.transpose(0, 3, 1, 2), theirs(torch.from_numpy(x).permute(0, 3, 1, 2).double()).detach(), atol=1e-4
    )
