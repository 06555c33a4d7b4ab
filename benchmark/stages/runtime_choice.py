"""Chooses runtime and precision for a cell: the requested or fastest one that agrees with PyTorch in fp32.

The rule: on the source validation split the frame AUC changes by less than 0.001, and the 99.9 % quantile of the
frames' score differences is below 1e-4 in fp32, below 0.02 in other precisions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...detectors.runtimes import DEFAULT, RUNTIMES, Way, find_obstacle, use_way
from ..core.cell_description import RuntimeUse
from ..core.contracts import Compiles, Scores
from ..core.errors import BenchError
from ..core.precisions import AUTO, PRECISIONS
from ..core.predictions import read_predictions
from ..stats.metrics import auc
from .predict_batch import score_batch
from .runtime_records import Choice, find_device_name, read_choice, write_choice
from .video_crops import VideoCrops

if TYPE_CHECKING:
    import pandas as pd

    from .cells import Cell
    from .runner import Stages
    from .sources import DataSource

MOST_AUC_SHIFT = 0.001
ROUNDS = 3
NOT_TRIED = ("compile",)
"""What `auto` doesn't try: just starting it can take minutes."""


def get_score_limit(precision: str) -> float:
    """Return the limit for the 99.9 % quantile of score differences."""
    return 1e-4 if precision == "fp32" else 0.02


class Shift(NamedTuple):
    """The change in frame AUC and the 99.9 % quantile of score differences between two ways, and the frames."""

    auc: float
    score: float
    frames: int

    def agrees(self, precision: str) -> bool:
        """Whether it is small enough for comparable rows."""
        return self.auc < MOST_AUC_SHIFT and self.score < get_score_limit(precision)

    def describe(self, precision: str) -> str:
        """Describe it with the limits."""
        return (
            f"the frame AUC changes by {self.auc:.2g} (allowed: less than {MOST_AUC_SHIFT:g}), "
            f"scores by {self.score:.2g} (less than {get_score_limit(precision):g})"
        )

    def describe_use(self) -> RuntimeUse:
        """Return it as stored in rows."""
        return RuntimeUse(auc_shift=self.auc, score_shift=self.score, frames=self.frames)


class Speed(NamedTuple):
    """Seconds per image, and seconds to start."""

    image: float
    start: float


def settle_runtime(stages: Stages) -> None:
    """Choose how a cell is scored, or check the request against the rule, once for its weights on this machine.

    Raises:
        BenchError: the request isn't available here, violates the rule, or can't be checked against it.
    """
    asked = stages.cell.asked
    if asked == DEFAULT:
        return
    if not asked.is_open:
        if read_choice(stages.cell.folder, asked, stages.cell.device) is None:
            _check(stages, asked)
    elif stages.cell.way.is_open:
        _choose(stages)


def _check(stages: Stages, asked: Way) -> None:
    detector, _ = stages.load_or_train()
    use_way(detector, asked)
    source = stages.find_validation()
    if source is None and asked.precision != "fp32":
        raise BenchError(
            f"{asked.precision} can't be compared with fp32: there is no source validation split with both classes. "
            "Name one with --val DATASET, or use --precision fp32"
        )
    if source is None:
        return
    shift = _measure_shift(stages, source, asked)
    if not shift.agrees(asked.precision):
        raise BenchError(
            f"{asked} differs too much from torch fp32 on {source.label} val: {shift.describe(asked.precision)}. "
            "Use --runtime torch --precision fp32"
        )
    _keep(
        stages,
        Choice(use=_describe_use(asked, stages.cell).merge(shift.describe_use()), worth_from=0, is_compared=True),
    )


def _choose(stages: Stages) -> None:
    """Return the fastest way that agrees; PyTorch in fp32 if none does or too few images justify its start."""
    cell, source = stages.cell, stages.find_validation()
    if source is not None:
        detector, _ = stages.load_or_train()
        speeds = measure_speeds(detector, list_candidates(detector, cell.asked), _cut_crops(stages, source))
        plain = speeds.pop(DEFAULT).image
        for way in sorted((way for way in speeds if speeds[way].image < plain), key=lambda way: speeds[way].image):
            if choice := _try_way(stages, source, way, speeds[way], plain):
                return _keep(stages, choice)
    return _keep(stages, Choice(use=_describe_use(DEFAULT, cell)))


def _try_way(stages: Stages, source: DataSource, way: Way, speed: Speed, plain: float) -> Choice | None:
    """Return a faster way as a choice, compared only if it is worth it; None if it doesn't agree."""
    images, say = stages.cell.images, stages.options.reporter.say
    worth_from = math.ceil(speed.start / (plain - speed.image))
    told = RuntimeUse(speedup=plain / speed.image, start_s=speed.start)
    use = _describe_use(way, stages.cell).merge(told)
    if images < worth_from:
        say(f"{way} is faster only from {worth_from:,} images; {images:,} are scored with {DEFAULT}")
        return Choice(use=use, worth_from=worth_from)
    shift = _measure_shift(stages, source, way)
    if not shift.agrees(way.precision):
        say(f"not scored with {way}: {shift.describe(way.precision)}")
        return None
    say(f"scored with {way}, {use.speedup:.1f} times as fast as {DEFAULT}: {shift.describe(way.precision)}")
    return Choice(use=use.merge(shift.describe_use()), worth_from=worth_from, is_compared=True)


def _keep(stages: Stages, choice: Choice) -> None:
    write_choice(stages.cell.folder, stages.cell.asked, choice, stages.cell.device)


def list_candidates(detector: Scores, asked: Way) -> list[Way]:
    """Return the available ways that an undecided one may mean."""
    runtimes = [r for r in RUNTIMES if r not in NOT_TRIED] if asked.runtime == AUTO else [asked.runtime]
    precisions = PRECISIONS if asked.precision == AUTO else [asked.precision]
    ways = [Way(r, p) for r in runtimes for p in precisions]
    return [way for way in ways if not find_obstacle(detector, way)]


def measure_speeds(detector: Scores, ways: Sequence[Way], crops: np.ndarray) -> dict[Way, Speed]:
    """Time some ways and PyTorch in fp32 in turn on the same crops; returns the best of a few rounds."""
    starts, best = {}, {}
    for way in dict.fromkeys([DEFAULT, *ways]):
        use_way(detector, way)
        before = _tell_start(detector)
        score_batch(detector, crops)
        starts[way] = _tell_start(detector) - before
        best[way] = min(_time_score(detector, crops) for _ in range(ROUNDS)) / len(crops)
    use_way(detector, DEFAULT)
    return {way: Speed(best[way], starts[way]) for way in best}


def _tell_start(detector: Scores) -> float:
    return detector.compile_seconds if isinstance(detector, Compiles) else 0.0


def _time_score(detector: Scores, crops: np.ndarray) -> float:
    started = time.perf_counter()
    score_batch(detector, crops)
    return time.perf_counter() - started


def _cut_crops(stages: Stages, source: DataSource) -> np.ndarray:
    """Cut a batch of validation crops."""
    store, (_, cropper) = stages.prepare(source, ["val"]), stages.load_or_train()
    seen = [video for video, outcome in store.outcomes().items() if outcome.frames]
    cut = (crop for video in seen for crop in VideoCrops(store, cropper)(video))
    return np.stack(list(islice(cut, stages.options.batch_size)))


def _measure_shift(stages: Stages, source: DataSource, way: Way) -> Shift:
    tables = [read_predictions(stages.predict_validation(source, w))[0] for w in (DEFAULT, way)]
    return compare_scores(*tables)


def compare_scores(plain: pd.DataFrame, other: pd.DataFrame) -> Shift:
    """Return how much two tables of predictions on the same frames differ."""
    both = plain.merge(other[["video", "frame", "score"]], on=["video", "frame"], suffixes=("", "_other"))
    labels, first, second = both["label"].to_numpy(), both["score"].to_numpy(), both["score_other"].to_numpy()
    moved = abs(float(auc(labels, first)) - float(auc(labels, second)))
    return Shift(moved, float(np.quantile(np.abs(first - second), 0.999)), len(both))


def _describe_use(way: Way, cell: Cell) -> RuntimeUse:
    device = find_device_name(cell.device)
    return RuntimeUse(runtime=way.runtime, precision=way.precision, asked=str(cell.asked), device=device)
