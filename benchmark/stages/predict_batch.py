"""Scores one batch and checks the result."""

from __future__ import annotations

import numpy as np

from ..core.contracts import Scores
from ..core.errors import BenchError


def score_batch(detector: Scores, batch: np.ndarray) -> np.ndarray:
    """Return a batch's scores, float32 (N,).

    Raises:
        BenchError: they aren't one finite number per image.
    """
    scores = np.asarray(detector.score(batch), dtype=np.float32)
    if scores.shape != (len(batch),) or not np.isfinite(scores).all():
        raise BenchError(
            f"{type(detector).__name__}.score gave shape {scores.shape} for {len(batch)} images"
            f"{'' if np.isfinite(scores).all() else ', with NaN or infinity'}; "
            "expected one finite number per image"
        )
    return scores
