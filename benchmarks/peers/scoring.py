"""Scoring: the released codes use the plain network, eager, on contiguous float32 maps, with separate batch norms.

CADDM's test script gives raw BGR values of 0..255 to ResNet-34 or EfficientNet-B4 with its artifact module; PG-FDD's
runs all three encoders, of which only one decides. Both are measured at their published input size.
"""

from __future__ import annotations

from copy import copy
from typing import Any, NamedTuple

import numpy as np
from crossfake.detectors import create
from crossfake.detectors.runtimes import DEFAULT, Way, list_ways, use_way

from .measuring import PEER, Row, has_amx, make_rows, time_in_turn


class Case(NamedTuple):
    """A detector, its options, and how many images at once; `goals` by runtime-free name of precision."""

    detector: str
    options: dict[str, object]
    batch: int
    goals: dict[str, float]


CASES = {
    "scoring CADDM ResNet-34": Case("caddm", {"backbone": "resnet34"}, 16, {"fp32": 1.5, "bf16": 4.5}),
    "scoring CADDM EfficientNet-B4": Case("caddm", {"backbone": "efficientnet-b4"}, 8, {"fp32": 1.35, "bf16": 5}),
    "scoring PG-FDD": Case("pgfdd", {}, 4, {"fp32": 6, "bf16": 15}),
}


def measure(rounds: int) -> list[Row]:
    """Return a row for each network and way of running it."""
    return [row for what in CASES for row in measure_case(what, rounds)]


def measure_case(what: str, rounds: int) -> list[Row]:
    """Measure one network in every way available here, except torch.compile, which takes minutes to start."""
    case = CASES[what]
    plain = create(case.detector, **case.options)
    shape = (case.batch, plain.input_size, plain.input_size, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    obstacles = list_ways(plain)
    ways = [way for way, why in obstacles.items() if not why and way.runtime != "compile"]
    made = {str(way): start(plain, way, frames) for way in ways}
    runs = {PEER: lambda: score_as_released(plain, frames)}
    runs |= {name: lambda detector=detector: detector.score(frames) for name, detector in made.items()}
    rows = make_rows(f"{what}, batches of {case.batch}", time_in_turn(runs, rounds), choose_goals(case, made))
    return rows + [Row(rows[0].what, "bf16", goal=case.goals["bf16"], skipped="no AMX")] * (not has_amx())


def choose_goals(case: Case, made: dict[str, Any]) -> dict[str, float]:
    """The goal of a precision is one for the quickest of its runtimes, OpenVINO where it is there."""
    best = [name for name in made if name.startswith("openvino")] or [str(DEFAULT)]
    goals = {name: case.goals.get(name.rpartition(" ")[2]) for name in best}
    return {name: goal for name, goal in goals.items() if goal and (has_amx() or not name.endswith("bf16"))}


def start(plain: Any, way: Way, frames: np.ndarray) -> Any:
    """Return a started copy with the same weights that scores in a given way."""
    made = copy(plain)
    use_way(made, way).score(frames)
    return made


def score_as_released(detector: Any, frames: np.ndarray) -> np.ndarray:
    """Score with the plain network, with all its parts."""
    import torch

    whole = copy(detector)
    whole.exact = True
    whole.network.eval()
    with torch.no_grad():
        x = whole.normalise(torch.from_numpy(frames)).contiguous()
        return whole.forward(x)["logits"].softmax(-1)[:, 1].numpy()
