"""What a score means: real or fake by the threshold of the checkpoint's run, or uncertain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy

from ..core.errors import BenchError
from ..core.scorecard import ScoreCard, read_card
from ..core.storage import SCORECARD

LEVEL = 0.95
FEWEST_FRAMES = 3  # for an interval of their mean


class Threshold(NamedTuple):
    """The lowest score that counts as fake, and the threshold's origin in words."""

    value: float
    source: str

    def judge(self, scores: Sequence[float]) -> str:
        """Return `fake` or `real`, or `uncertain` if the threshold is inside the interval of the frames' mean.

        The interval is Student's, 95 %, treating frames as independent: it says how well the frames agree, not how
        often the detector errs. A picture and fewer than three frames have none.
        """
        mean, half = float(np.mean(scores)), 0.0
        if len(scores) >= FEWEST_FRAMES:
            reach = scipy.stats.t.ppf((1 + LEVEL) / 2, len(scores) - 1)
            half = float(reach * np.std(scores, ddof=1) / len(scores) ** 0.5)
        if abs(mean - self.value) < half:
            return "uncertain"
        return "fake" if mean >= self.value else "real"


def find_threshold(checkpoint: Path | None) -> Threshold | None:
    """Return the threshold of the run whose folder contains a checkpoint; None if there is none."""
    if checkpoint is None:
        return None
    for path in sorted(checkpoint.parent.glob(f"test.*/{SCORECARD}")):
        try:
            card = read_card(path)
        except BenchError:  # A bad card next to a checkpoint shouldn't prevent scoring.
            continue
        if isinstance(card, ScoreCard) and card.operating_point[0] is not None:
            return Threshold(card.operating_point[0], f"{card.threshold.rule} of {card.cell.train}")
    return None


def describe_scores(threshold: Threshold | None) -> str:
    """Explain the numbers and the basis of verdicts."""
    told = "score: P(fake), from 0 to 1, the mean over a person's frames; "
    if threshold is None:
        return f"{told}no verdict: there is no run with a threshold next to these weights"
    return f"{told}threshold {threshold.value:.3f} ({threshold.source}); uncertain: the frames disagree about it"
