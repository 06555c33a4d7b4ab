"""Which published weights a network started from, so that trainings from different ones never share a row."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from .contracts import HasNetwork, Scores


@runtime_checkable
class TellsStart(Protocol):
    """A network, or a part of one, that says what it started from: `resnet34.tv_in1k sha256:...`."""

    started_from: str


def list_start_weights(detector: Scores) -> list[str]:
    """Return what the parts of a detector's network started from, without duplicates; empty for random weights."""
    parts = getattr(detector.network, "modules", None) if isinstance(detector, HasNetwork) else None
    return sorted({part.started_from for part in parts() if isinstance(part, TellsStart)}) if callable(parts) else []
