"""Fixtures that compare a detector's PyTorch and JAX ports; torch and jax are imported only when a test needs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def ports() -> Callable[..., tuple[Any, Any]]:
    """Make both ports of a detector with the same random weights, the first one without dropout."""

    def make(name: str, **options: Any) -> tuple[Any, Any]:
        pytest.importorskip("torch")
        pytest.importorskip("flax")
        from crossfake.detectors import create

        return _match(create(name, backend="torch", **options), create(name, backend="jax", **options))

    return make


@pytest.fixture
def tiny_ports() -> tuple[Any, Any]:
    """Like `ports`, with the smallest network."""
    pytest.importorskip("torch")
    from tiny_jax import TinyJax
    from tiny_torch import TinyTorch

    return _match(TinyTorch(), TinyJax())


def _match(first: Any, second: Any) -> tuple[Any, Any]:
    import torch

    rng = np.random.default_rng(0)
    state = {k: _random(k, np.asarray(v), rng) for k, v in first.state().items()}
    for module in first.network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "drop_prob"):
            module.drop_prob = 0.0
    return first.load(state), second.load(state)


def _random(key: str, value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw weights that keep the scale of signals, and batch norms that aren't the identity."""
    if key.endswith("num_batches_tracked"):
        return value
    if value.ndim > 1:
        return rng.normal(0, (1 / np.prod(value.shape[1:])) ** 0.5, value.shape).astype(np.float32)
    if key.endswith(("running_var", "weight")):
        return rng.uniform(0.8, 1.2, value.shape).astype(np.float32)
    return rng.uniform(-0.1, 0.1, value.shape).astype(np.float32)


@pytest.fixture(scope="session")
def train_pass() -> Callable[[Any, Arrays], tuple[dict[str, float], Arrays, Arrays]]:
    """Run a batch in training mode; return losses, gradients, and weights with the new running statistics."""

    def run(detector: Any, batch: Arrays) -> tuple[dict[str, float], Arrays, Arrays]:
        return (_torch_pass if hasattr(detector, "device") else _jax_pass)(detector, batch)

    return run


@pytest.fixture(scope="session")
def double() -> Callable[[Any], Any]:
    """Make a PyTorch detector use double precision; in single precision, two ports differ at ReLUs close to 0."""
    return _double


def _double(detector: Any) -> Any:
    normalise = type(detector).normalise
    detector.normalise = lambda frames: normalise(detector, frames).double()
    detector.network.double()
    return detector


def _torch_pass(detector: Any, batch: Arrays) -> tuple[dict[str, float], Arrays, Arrays]:
    losses, grads = _torch_gradients(_double(detector), batch)
    return losses, grads, detector.state()


def _torch_gradients(detector: Any, batch: Arrays) -> tuple[dict[str, float], Arrays]:
    import torch

    detector.network.train()
    losses = detector.losses({k: torch.from_numpy(v) for k, v in batch.items()})
    detector.network.zero_grad()
    losses["loss"].backward()
    grads = {k: p.grad.numpy() for k, p in detector.network.named_parameters() if p.grad is not None}
    detector.network.zero_grad(set_to_none=True)
    return {k: v.item() for k, v in losses.items()}, detector.to_reference(grads)


def _jax_pass(detector: Any, batch: Arrays, dtype: str = "float32") -> tuple[dict[str, float], Arrays, Arrays]:
    import jax
    from crossfake.detectors.common_jax.detector import flatten_state
    from crossfake.detectors.common_jax.layers import Mode
    from flax import nnx

    def loss(params: Any, rest: Any, batch: Arrays) -> Any:
        network = nnx.merge(detector.graph, params, rest, copy=True)
        losses = detector.losses(network, batch, Mode(train=True, dtype=dtype))
        return losses["loss"], (losses, nnx.state(network, nnx.Not(nnx.Param)))

    differentiate = detector.__dict__.setdefault(f"differentiate_{dtype}", jax.jit(jax.grad(loss, has_aux=True)))
    weights = jax.tree.map(lambda v: v.astype(dtype) if v.dtype == np.float32 else v, detector.weights)
    grads, (losses, rest) = differentiate(*weights, batch)
    detector.weights = detector.weights[0], rest
    return (
        {k: float(v) for k, v in losses.items()},
        detector.to_reference({k: np.asarray(v) for k, v in flatten_state(grads).items()}),
        detector.state(),
    )


@pytest.fixture(scope="session")
def assert_same_pass() -> Callable[[tuple[Any, Any], Arrays], None]:
    """Compare losses, gradients and running statistics of the two ports in double precision.

    In single precision they differ by the effect of rounding on ReLUs and max poolings: if an input is within rounding
    of the kink, the gradient takes the other branch, and one such place in a late layer changes every earlier gradient
    by 1e-3 to 2e-2 of its size, in PyTorch as in JAX (`docs/backends.md`). Where and how often this happens depends on
    the processor's order of summing. In double precision hardly any input is that close to a kink, on any processor:
    the ports differed by 2e-7, which is the rounding of the losses; both compute these in single precision.
    """

    def check(ports: tuple[Any, Any], batch: Arrays) -> None:
        import jax
        import torch

        image = ports[0].normalise(torch.from_numpy(batch["image"])).double().contiguous().numpy()
        batch = {**batch, "image": image}
        losses, grads, state = _torch_pass(ports[0], batch)
        with jax.enable_x64(True):
            losses2, grads2, state2 = _jax_pass(ports[1], batch, "float64")
        assert losses2 == pytest.approx(losses, rel=1e-5)
        assert grads2.keys() == grads.keys()
        largest = max(np.linalg.norm(g) for g in grads.values())
        for key, expected in grads.items():  # Gradients of biases before a batch norm are only rounding errors.
            allowed = 1e-5 * max(float(np.linalg.norm(expected)), 1e-4 * largest)
            assert np.linalg.norm(grads2[key] - expected) < allowed, key
        for key in (k for k in state if k.endswith(("running_mean", "running_var", "tracked"))):
            np.testing.assert_allclose(state2[key], state[key], rtol=1e-6, atol=1e-7, err_msg=key)

    return check


@pytest.fixture(scope="session")
def assert_rounds_alike() -> Callable[[tuple[Any, Any], list[Arrays]], None]:
    """Compare the ports' errors of the whole gradient in single precision, relative to PyTorch in double precision.

    The error depends on the inputs that rounding moves across a kink (see `assert_same_pass`): 3e-6 for a batch without
    any, and up to 2e-2 otherwise. One batch's error says nothing about another's, nor PyTorch's about JAX's.
    """

    def check(ports: tuple[Any, Any], batches: list[Arrays]) -> None:
        first, second = ports
        torch_errors, jax_errors = [], []
        ours = [_jax_pass(second, batch)[1] for batch in batches]
        singles = [_torch_gradients(first, batch)[1] for batch in batches]
        _double(first)
        for batch, single, jax_single in zip(batches, singles, ours, strict=True):
            exact = _torch_gradients(first, batch)[1]
            torch_errors.append(_compute_error(single, exact))
            jax_errors.append(_compute_error(jax_single, exact))
        for name, errors in (("torch", torch_errors), ("jax", jax_errors)):
            print(name, *(f"{error:.1e}" for error in errors))
        assert max(jax_errors) < max(4 * max(torch_errors), 0.03)

    return check


def _compute_error(found: Arrays, exact: Arrays) -> float:
    """Return the distance between all gradients, relative to their norm."""
    off = sum(float(np.sum((found[k] - v) ** 2)) for k, v in exact.items())
    return float(np.sqrt(off / sum(float(np.sum(v**2)) for v in exact.values())))


@pytest.fixture(scope="session")
def assert_resumes() -> Callable[..., None]:
    """Interrupt a training, resume it in a new session, and compare the weights with an uninterrupted one's."""

    def check(
        make: Callable[[], Any], settings: Any, batch: Arrays, steps: int, broken_at: int, seed: Any = lambda _: None
    ) -> None:
        whole, first, second = make(), make(), make()
        seed(1)
        _steps(whole.training(settings, steps, 3), batch, steps)
        seed(1)
        session = first.training(settings, steps, 3)
        _steps(session, batch, broken_at)
        packed = session.state()
        seed(2)
        resumed = second.training(settings, steps, 3)
        resumed.restore(packed)
        _steps(resumed, batch, steps - broken_at)
        ours, theirs = whole.state(), second.state()
        assert ours.keys() == theirs.keys()
        assert all(np.array_equal(ours[k], v) for k, v in theirs.items())
        assert not all(np.array_equal(ours[k], v) for k, v in first.state().items())

    return check


def _steps(session: Any, batch: Arrays, count: int) -> None:
    for _ in range(count):
        session.step(batch)
