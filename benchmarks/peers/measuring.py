"""Measures two methods in turn, in processor seconds: other work then slows both alike, and the ratio stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

PEER = "peer"


@dataclass(frozen=True)
class Row:
    """A method: `ratio` is the peer's seconds divided by its own, with the range over rounds.

    `goal` is the wanted ratio, if any. `skipped` says why it couldn't be measured.
    """

    what: str
    way: str
    seconds: float = float("nan")
    ratio: float = float("nan")
    lo: float = float("nan")
    hi: float = float("nan")
    goal: float | None = None
    skipped: str = ""

    def describe(self) -> dict[str, object]:
        """Return it as plain data for JSON."""
        return asdict(self)


def time_in_turn(
    ways: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """Return the seconds of each method in each round, after an uncounted round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, run in ways.items():
            before = clock()
            run()
            seconds[name] += [clock() - before] if number else []
    return seconds


def make_rows(what: str, seconds: Mapping[str, list[float]], goals: Mapping[str, float] | None = None) -> list[Row]:
    """Compare every method with the one named `peer`, round by round."""
    rows = [Row(what, PEER, float(np.median(seconds[PEER])), 1.0, 1.0, 1.0)]
    for way, own in seconds.items():
        if way != PEER:
            ratios = np.divide(seconds[PEER], own)
            middle, lo, hi = float(np.median(ratios)), float(ratios.min()), float(ratios.max())
            rows.append(Row(what, way, float(np.median(own)), middle, lo, hi, (goals or {}).get(way)))
    return rows


def has_amx() -> bool:
    """Return whether the processor multiplies bfloat16 tiles, which the bf16 goals assume."""
    import torch

    found: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(found.get("amx_bf16"))
