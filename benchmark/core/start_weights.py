"""Which published weights a network started from, so that trainings from different ones never share a row."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from .contracts import HasNetwork, Scores


@runtime_checkable
class TellsStart(Protocol):
    """A detector, its network, or a part of that, which says what it started from: `resnet34.tv_in1k sha256:...`."""

    started_from: str


def list_start_weights(detector: Scores) -> list[str]:
    """Return what a detector, or the parts of its network, started from, without duplicates; empty if at random."""
    modules = getattr(detector.network, "modules", None) if isinstance(detector, HasNetwork) else None
    parts: list[object] = [detector, *(modules() if callable(modules) else [])]
    return sorted({part.started_from for part in parts if isinstance(part, TellsStart)} - {""})


def join_start_weights(detector: Scores) -> str:
    """Return `list_start_weights` as one line, as checkpoints have it."""
    return "; ".join(list_start_weights(detector))
