"""Each layer against PyTorch's: outputs, gradients and running statistics; padding rows have no influence."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
nnx = pytest.importorskip("flax.nnx")
timm_layers = pytest.importorskip("timm.layers")

import jax.numpy as jnp
from crossfake.detectors.common_jax import layers
from crossfake.detectors.common_jax.layers import Conv, Init, Mode
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

TRAIN = Mode(train=True)


def images(n=2, size=8, channels=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, size, size, channels)).astype(np.float32)


def as_torch(x):
    return torch.from_numpy(np.ascontiguousarray(np.asarray(x).transpose(0, 3, 1, 2)))


def assert_same(ours, theirs, atol=1e-5):
    np.testing.assert_allclose(np.asarray(ours).transpose(0, 3, 1, 2), theirs.detach().numpy(), atol=atol)


def run(layer, x, *mode):
    """Compile a layer as a whole and run it, which is faster than compiling its operations one by one."""
    return nnx.jit(lambda layer, x: layer(x, *mode))(layer, jnp.asarray(x))


@settings(max_examples=8)  # Each example is compiled.
@given(
    size=st.integers(5, 12),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 2),
    padding=st.integers(0, 2),
    depthwise=st.booleans(),
    bias=st.booleans(),
)
def test_convolutions_equal_pytorchs(size, kernel, stride, padding, depthwise, bias):
    groups, outer = (4, 4) if depthwise else (1, 6)
    padding = 0 if kernel == 1 else padding
    conv = Conv(4, outer, kernel, Init(0), stride=stride, padding=padding, groups=groups, bias=bias)
    x = images(size=size, channels=4)
    weight = torch.from_numpy(np.asarray(conv.weight[...]))
    shift = torch.from_numpy(np.asarray(conv.bias[...])) if bias else None
    assert_same(run(conv, x), F.conv2d(as_torch(x), weight, shift, stride, padding, groups=groups))


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("groups", [1, 4])
def test_same_padding_puts_the_odd_pixel_at_the_right_and_bottom(kernel, stride, size, groups):
    conv = Conv(4, 4, kernel, Init(0), stride=stride, padding="SAME", groups=groups, bias=False)
    theirs = timm_layers.Conv2dSame(4, 4, kernel, stride, groups=groups, bias=False)
    theirs.weight.data = torch.from_numpy(np.asarray(conv.weight[...]))
    x = images(size=size, channels=4)
    assert_same(run(conv, x), theirs(as_torch(x)))
    if (stride, size) == (2, 8):  # Here symmetric padding would differ.
        symmetric = F.conv2d(as_torch(x), theirs.weight, stride=2, padding=kernel // 2, groups=groups)
        assert float((symmetric - theirs(as_torch(x))).detach().abs().max()) > 0.1


def test_both_forms_of_depthwise_convolution_agree_and_each_platform_gets_its_own():
    conv = Conv(6, 6, 5, Init(0), stride=2, padding=2, groups=6, bias=False)
    x, weight, pads = jnp.asarray(images(channels=6)), conv.weight[...], [(2, 2), (2, 2)]
    shifted = jax.jit(lambda x: layers._sum_shifted(x, weight, 2, pads))(x)
    np.testing.assert_allclose(shifted, layers._convolve(x, weight, 2, pads, groups=6), atol=1e-5)
    either = jax.jit(lambda x: layers._convolve_depthwise(x, weight, 2, pads))
    assert "feature_group_count = 6" in jax.export.export(either, platforms=["tpu"])(x).mlir_module()
    assert "feature_group_count" not in jax.export.export(either, platforms=["cpu"])(x).mlir_module()


@pytest.mark.parametrize(("size", "stride", "padding"), [(3, 2, 1), (2, 2, 0), (4, 4, 0)])
def test_max_pooling_and_its_gradient(size, stride, padding):
    x = images(size=9)
    leaf = as_torch(x).requires_grad_()
    theirs = F.max_pool2d(leaf, size, stride, padding)
    (theirs**2).sum().backward()

    def pool(x):
        y = layers.max_pool(x, size, stride, padding)
        return (y**2).sum(), y

    gradient, ours = jax.jit(jax.grad(pool, has_aux=True))(jnp.asarray(x))
    assert_same(ours, theirs)
    assert_same(gradient, leaf.grad)


@pytest.mark.parametrize("size", [7, 8])
def test_average_pooling_ignores_pixels_beyond_the_border(size):
    x = images(size=size)
    assert_same(
        layers.avg_pool(jnp.asarray(x), 2), F.avg_pool2d(as_torch(x), 2, ceil_mode=True, count_include_pad=False)
    )


@pytest.mark.parametrize(("eps", "momentum"), [(1e-5, 0.1), (1e-3, 0.01)])
def test_batch_norm_trains_and_evaluates_like_pytorchs(eps, momentum):
    ours = layers.BatchNorm(3, Init(0), eps=eps, momentum=momentum)
    theirs = torch.nn.BatchNorm2d(3, eps, momentum)
    train = nnx.jit(lambda norm, x: norm(x, TRAIN))
    for seed in range(3):
        x = 0.02 * images(n=3, size=2, seed=seed) + 5  # Small variances, so that eps matters.
        assert_same(train(ours, x), theirs(as_torch(x)), atol=1e-3)
    for name in ("running_mean", "running_var"):
        np.testing.assert_allclose(getattr(ours, name)[...], getattr(theirs, name), rtol=1e-5)
    assert int(ours.num_batches_tracked[...]) == int(theirs.num_batches_tracked) == 3
    assert_same(run(ours, x, layers.EVALUATION), theirs.eval()(as_torch(x)), atol=1e-4)


def test_running_variance_is_the_unbiased_one():
    norm = layers.BatchNorm(1, Init(0), momentum=1.0)
    x = np.array([1.0, 2.0, 4.0], np.float32).reshape(3, 1, 1, 1)
    run(norm, x, TRAIN)
    assert float(norm.running_var[0]) == pytest.approx(np.var(x, ddof=1))


def test_padding_rows_leave_batch_statistics_alone():
    x = images(n=5)
    padded = np.concatenate([x, np.full((3, *x.shape[1:]), 7.0, np.float32)])
    present = jnp.asarray([1.0] * 5 + [0.0] * 3)
    plain, masked = layers.BatchNorm(3, Init(0)), layers.BatchNorm(3, Init(0))
    expected = run(plain, x, TRAIN)
    np.testing.assert_allclose(run(masked, padded, Mode(train=True, present=present))[:5], expected, atol=1e-5)
    np.testing.assert_allclose(masked.running_var[...], plain.running_var[...], rtol=1e-6)
    np.testing.assert_allclose(masked.running_mean[...], plain.running_mean[...], rtol=1e-5)
    assert float(Mode(present=present).mean(jnp.arange(8.0))) == 2


def test_linear_equals_pytorchs():
    linear = layers.Linear(5, 3, Init(0))
    x = images(n=4, size=1, channels=5).reshape(4, 5)
    weight, bias = (torch.from_numpy(np.asarray(v[...])) for v in (linear.weight, linear.bias))
    np.testing.assert_allclose(run(linear, x), F.linear(torch.from_numpy(x), weight, bias), atol=1e-6)


def test_dropout_drops_a_share_and_keeps_the_mean():
    mode = Mode(train=True, rngs=nnx.Rngs(dropout=0))
    dropped = np.asarray(layers.dropout(jnp.ones((100, 200)), 0.3, mode))
    assert np.mean(dropped == 0) == pytest.approx(0.3, abs=0.02)
    assert dropped.max() == pytest.approx(1 / 0.7)
    again = np.asarray(layers.dropout(jnp.ones((100, 200)), 0.3, mode))
    assert np.any(again != dropped)
    assert np.all(layers.dropout(jnp.ones(9), 0.3, layers.EVALUATION) == 1)


def test_drop_path_drops_whole_examples():
    mode = Mode(train=True, rngs=nnx.Rngs(dropout=0))
    kept = np.asarray(layers.drop_path(jnp.ones((200, 2, 2, 3)), 0.25, mode)).reshape(200, -1)
    assert set(np.unique(kept)) == {0, np.float32(1 / 0.75)}
    assert np.all(kept == kept[:, :1])
    assert np.mean(kept[:, 0] == 0) == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize("fan_out", [0, 1, 8])
def test_initial_weights_are_drawn_as_in_pytorch_and_timm(fan_out):
    groups = fan_out if fan_out > 1 else 1
    conv = Conv(8 * groups, 64 * groups, 3, Init(0), groups=groups, fan_out=fan_out)
    theirs = torch.nn.Conv2d(8 * groups, 64 * groups, 3, groups=groups)
    if fan_out:
        torch.nn.init.normal_(theirs.weight, 0, (2 / (9 * 64)) ** 0.5)
    ours, expected = np.asarray(conv.weight[...]), theirs.weight.detach().numpy()
    assert ours.shape == expected.shape
    assert ours.std() == pytest.approx(expected.std(), rel=0.1)
    assert np.abs(ours).max() == pytest.approx(np.abs(expected).max(), rel=0.3)
    assert bool(np.any(conv.bias[...])) == (not fan_out)


def test_a_seed_fixes_initial_weights_and_no_seed_gives_only_shapes():
    first, again, other = (np.asarray(Conv(3, 4, 3, Init(seed)).weight[...]) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert Conv(3, 4, 3, Init()).weight.get_value() == jax.ShapeDtypeStruct((4, 3, 3, 3), np.float32)


def test_layers_work_in_the_format_of_their_input_and_batch_statistics_in_float32():
    x = jnp.asarray(images(), jnp.bfloat16)
    conv, norm = Conv(3, 4, 3, Init(0)), layers.BatchNorm(4, Init(0))
    y = run(norm, conv(x), TRAIN)
    assert y.dtype == jnp.bfloat16
    assert norm.running_var[...].dtype == jnp.float32
    exact = run(layers.BatchNorm(4, Init(0)), conv(x.astype(jnp.float32)), TRAIN)
    np.testing.assert_allclose(y.astype(jnp.float32), exact, atol=0.05)


SHAPES = {  # Channels in and out, kernel, stride, groups, pixels: as in networks' first layers and later in Xception.
    "xception": (3, 32, 3, 2, 1, 71),
    "resnet34": (3, 64, 7, 2, 1, 112),
    "depthwise": (16, 16, 3, 1, 16, 36),
    "pointwise": (64, 128, 1, 1, 1, 36),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_as_close_to_double_precision_as_single_precision_sums_allow(shape):
    """The error of a sum in any order: n terms with random signs, added one by one, end within eps * sqrt(n).

    Measured: at most 0.2 of that.
    """
    inner, outer, kernel, stride, groups, size = SHAPES[shape]
    conv = Conv(inner, outer, kernel, Init(0), stride=stride, padding=kernel // 2, groups=groups, bias=False)
    graph, params = nnx.split(conv, nnx.Param)
    x = images(size=size, channels=inner)
    towards = np.random.default_rng(1).normal(size=np.shape(conv(jnp.asarray(x)))).astype(np.float32)

    def weigh(x, params):
        return jnp.vdot(nnx.merge(graph, params, copy=True)(x), towards)

    to_image, to_params = jax.jit(jax.grad(weigh, (0, 1)))(jnp.asarray(x), params)
    ours = to_image.transpose(0, 3, 1, 2), to_params["weight"][...]
    weight = torch.from_numpy(np.array(conv.weight[...]))
    leaves = [v.double().requires_grad_() for v in (as_torch(x), weight)]
    y = F.conv2d(*leaves, stride=stride, padding=kernel // 2, groups=groups)
    expected = [v.numpy() for v in torch.autograd.grad((y * as_torch(towards)).sum(), leaves)]
    terms = (outer // groups * kernel**2, np.prod(towards.shape[:3]))
    for found, exact, n in zip(ours, expected, terms, strict=True):
        off = np.linalg.norm(found - exact) / np.linalg.norm(exact)
        assert off < np.finfo(np.float32).eps * n**0.5


def test_batch_norm_gradients_are_as_close_to_double_precision_as_pytorchs():
    x, towards = 2 * images(n=4, size=36, channels=32) + 1, images(n=4, size=36, channels=32, seed=1)

    def weigh(x):
        return jnp.vdot(layers.BatchNorm(32, Init(0))(x, TRAIN), towards)

    def differentiate(dtype):
        leaf = as_torch(x).to(dtype).requires_grad_()
        y = F.batch_norm(leaf, None, None, training=True)
        return torch.autograd.grad((y * as_torch(towards)).sum(), leaf)[0].double().numpy()

    single, exact = differentiate(torch.float32), differentiate(torch.float64)
    ours = np.asarray(jax.jit(jax.grad(weigh))(jnp.asarray(x))).transpose(0, 3, 1, 2)
    assert np.linalg.norm(ours - exact) < 4 * np.linalg.norm(single - exact)
