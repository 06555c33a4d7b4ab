"""A training step like the released codes', in plain PyTorch, with the same network and batch.

CADDM uses Adam on cross-entropy and the MultiBox loss. PG-FDD uses SAM, two forward and backward passes with SGD, with
batch norm momentum 0 in the second; it searches its worst groups one at a time, waiting for each attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.detectors import create

from .measuring import PEER, Row, has_amx, make_rows, time_in_turn

RHO = 0.05
Arrays = dict[str, np.ndarray]
Step = Callable[[], object]


def measure(rounds: int) -> list[Row]:
    """Return the rows of both networks' training steps, in fp32 and, where it is fast, bf16."""
    return [*measure_caddm(rounds), *measure_pgfdd(rounds)]


def measure_caddm(rounds: int, batch: int = 4) -> list[Row]:
    """ResNet-34, 224 px; half of the images fake, a fifth of their anchors artifacts."""
    detector, rng = create("caddm", backbone="resnet34"), np.random.default_rng(0)
    label = np.arange(batch) % 2
    arrays = {
        "image": rng.integers(0, 256, (batch, 224, 224, 3), dtype=np.uint8),
        "label": label,
        "loc_targets": rng.normal(size=(batch, 168, 4)).astype(np.float32),
        "conf_targets": (rng.random((batch, 168)) < 0.2).astype(np.int64) * label[:, None],
    }
    settings = TrainSettings(optimizer="adam", lr=1e-4, batch_size=batch, threads=1)
    runs = {PEER: make_plain_step(deepcopy(detector), arrays)} | make_own_steps(detector, arrays, settings)
    return finish(f"training CADDM ResNet-34, batches of {batch}", runs, rounds, {"fp32": 1.3, "bf16": 2.5})


def measure_pgfdd(rounds: int, pairs: int = 1) -> list[Row]:
    """256 px, SAM; activations are kept, as there is memory for them."""
    rng, label = np.random.default_rng(0), np.repeat([0, 1], pairs)
    arrays = {
        "image": rng.integers(0, 256, (2 * pairs, 256, 256, 3), dtype=np.uint8),
        "label": label,
        "label_spe": label * rng.integers(1, 6, 2 * pairs),
        "intersec_label": rng.integers(0, 8, 2 * pairs),
    }
    settings = TrainSettings(balance=True, batch_size=2 * pairs, optimizer="sgd", lr=5e-4, sharpness="sam", threads=1)
    runs = {PEER: make_plain_step(create("pgfdd", checkpointing=False), arrays, sam=True)}
    runs |= make_own_steps(create("pgfdd"), arrays, settings)
    return finish(f"training PG-FDD with SAM, batches of {2 * pairs}", runs, rounds, {"fp32": 1.2, "bf16": 2.0})


def finish(what: str, runs: dict[str, Step], rounds: int, goals: dict[str, float]) -> list[Row]:
    """Measure, and say which goal doesn't apply to this processor."""
    skipped = [] if has_amx() else [Row(what, "bf16", goal=goals.pop("bf16"), skipped="no AMX")]
    return make_rows(what, time_in_turn(runs, rounds), goals) + skipped


def make_own_steps(detector: Any, arrays: Arrays, settings: TrainSettings) -> dict[str, Step]:
    """Return crossfake's step by precision, each on a copy."""

    def make(precision: str) -> Step:
        own = TrainSettings.model_validate(settings.model_dump() | {"precision": precision})
        session = deepcopy(detector).training(own, 100, 100)
        return lambda: session.step(arrays)

    return {precision: make(precision) for precision in ("fp32", "bf16")}


def make_plain_step(detector: Any, arrays: Arrays, sam: bool = False) -> Step:
    """Return a step in plain PyTorch: images as contiguous float32 maps, losses read one by one."""
    import torch

    network = detector.network.train()
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    tensors["image"] = detector.normalise(tensors["image"]).contiguous()
    make = torch.optim.SGD if sam else torch.optim.Adam
    optimizer = make(network.parameters(), lr=5e-4, **({"momentum": 0.9, "weight_decay": 5e-3} if sam else {}))

    def descend() -> list[float]:
        optimizer.zero_grad()
        losses = detector.losses(tensors)
        losses["loss"].backward()
        return [value.item() for value in losses.values()]

    def step() -> None:
        descend()
        if sam:
            climb_and_descend(network, descend)
        optimizer.step()

    return step


def climb_and_descend(network: Any, descend: Step) -> None:
    """SAM's second pass: move up the gradient by a fixed length, differentiate there, and move back."""
    import torch

    moved = [p for p in network.parameters() if p.grad is not None]
    before = [p.data.clone() for p in moved]
    norm = torch.norm(torch.stack([p.grad.norm(p=2) for p in moved]), p=2)
    for p in moved:
        p.data.add_(p.grad * (RHO / (norm + 1e-12)))
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 0
    descend()
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum
    for p, old in zip(moved, before, strict=True):
        p.data = old
