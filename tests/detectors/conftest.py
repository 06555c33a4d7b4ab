"""What it takes to compare a detector's PyTorch and JAX ports; torch and jax are imported once a test asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="session")
def ports() -> Callable[..., tuple[Any, Any]]:
    """Make both ports of a detector with the same random weights; nothing is dropped out of the first."""

    def make(name: str, **options: Any) -> tuple[Any, Any]:
        torch = pytest.importorskip("torch")
        pytest.importorskip("flax")
        from crossfake.detectors import create

        first = create(name, backend="torch", **options)
        second = create(name, backend="jax", **options)
        rng = np.random.default_rng(0)
        state = {k: _random(k, np.asarray(v), rng) for k, v in first.state().items()}
        for module in first.network.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            if hasattr(module, "drop_prob"):
                module.drop_prob = 0.0
        return first.load(state), second.load(state)

    return make


def _random(key: str, value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw weights that keep signals at their size, and batch norms that do something."""
    if key.endswith("num_batches_tracked"):
        return value
    if value.ndim > 1:
        return rng.normal(0, (1 / np.prod(value.shape[1:])) ** 0.5, value.shape).astype(np.float32)
    if key.endswith(("running_var", "weight")):
        return rng.uniform(0.8, 1.2, value.shape).astype(np.float32)
    return rng.uniform(-0.1, 0.1, value.shape).astype(np.float32)


@pytest.fixture(scope="session")
def train_pass() -> Callable[[Any, Arrays], tuple[dict[str, float], Arrays, Arrays]]:
    """Run a batch through a port in training mode: losses, gradients, weights with the new running statistics."""

    def run(detector: Any, batch: Arrays) -> tuple[dict[str, float], Arrays, Arrays]:
        return (_torch_pass if hasattr(detector, "device") else _jax_pass)(detector, batch)

    return run


@pytest.fixture(scope="session")
def double() -> Callable[[Any], Any]:
    """Make a PyTorch detector work in double precision: in single, two ports differ where a ReLU is just at 0."""
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


def _jax_pass(detector: Any, batch: Arrays) -> tuple[dict[str, float], Arrays, Arrays]:
    import jax
    from crossfake.detectors.common_jax.detector import flatten_state
    from crossfake.detectors.common_jax.layers import Mode
    from flax import nnx

    def loss(params: Any, rest: Any) -> Any:
        network = nnx.merge(detector.graph, params, rest, copy=True)
        losses = detector.losses(network, batch, Mode(train=True))
        return losses["loss"], (losses, nnx.state(network, nnx.Not(nnx.Param)))

    grads, (losses, rest) = jax.jit(jax.grad(loss, has_aux=True))(*detector.weights)
    detector.weights = detector.weights[0], rest
    return (
        {k: float(v) for k, v in losses.items()},
        detector.to_reference({k: np.asarray(v) for k, v in flatten_state(grads).items()}),
        detector.state(),
    )


@pytest.fixture(scope="session")
def assert_same_pass(train_pass: Callable[..., Any]) -> Callable[[tuple[Any, Any], Arrays], None]:
    """Compare with PyTorch in double precision: losses, running statistics, and gradients within 1e-3 of their size.

    In a deep network that is more than single precision gives: then they must be about as near as PyTorch's.
    """

    def check(ports: tuple[Any, Any], batch: Arrays) -> None:
        before = ports[0].state()
        _, single = _torch_gradients(ports[0], batch)
        ports[0].load(before)
        (losses, grads, state), (losses2, grads2, state2) = (train_pass(port, batch) for port in ports)
        assert losses2 == pytest.approx(losses, rel=1e-3)
        assert grads2.keys() == grads.keys()
        largest = max(np.linalg.norm(g) for g in grads.values())
        for key, expected in grads.items():  # Biases before a batch norm have no gradient but rounding.
            allowed = 1e-3 * max(float(np.linalg.norm(expected)), 1e-4 * largest)
            rounding = 2 * np.linalg.norm(single[key] - expected)  # It differs from port to port.
            assert np.linalg.norm(grads2[key] - expected) < max(allowed, rounding), key
        for key in (k for k in state if k.endswith(("running_mean", "running_var", "tracked"))):
            np.testing.assert_allclose(state2[key], state[key], rtol=1e-4, atol=1e-5, err_msg=key)

    return check


@pytest.fixture(scope="session")
def assert_resumes() -> Callable[..., None]:
    """Break a training off, go on in a fresh session, and compare its weights with those of an unbroken one."""

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
