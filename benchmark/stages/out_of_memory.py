"""Handles batches that don't fit in memory: scoring halves them; training says what would help."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.contracts import Scores
from ..core.display import say_once
from ..core.errors import BenchError
from .predict_batch import score_batch

SIGNS = ("out of memory", "outofmemory", "resource_exhausted", "allocate memory", "failed to allocate", "bad_alloc")


def is_out_of_memory(error: Exception) -> bool:
    """Recognise out-of-memory errors: libraries have their own types for them, and some only a message."""
    told = f"{type(error).__name__} {error}".lower()
    return isinstance(error, MemoryError) or any(sign in told for sign in SIGNS)


@dataclass
class BatchScorer:
    """Scores batches of any size in parts of at most `most` images, halved when memory is short."""

    detector: Scores
    most: int | None = None

    def score(self, batch: np.ndarray) -> np.ndarray:
        """Return a batch's scores, float32 (N,).

        Raises:
            BenchError: see `score_batch`.
        """
        size = min(self.most or len(batch), len(batch))
        try:
            return np.concatenate([score_batch(self.detector, batch[i : i + size]) for i in range(0, len(batch), size)])
        except (MemoryError, RuntimeError) as error:
            if size < 2 or not is_out_of_memory(error):
                raise
        # Out here the error is gone, and with it the memory held by the failed attempt.
        self.most = size // 2
        say_once(f"not enough memory to score {size} images at once: continuing with {self.most}")
        return self.score(batch)


def explain_training(size: int, in_pieces: bool = False, fits: int | None = None, remat: bool = False) -> BenchError:
    """Return what is said where a training step doesn't fit, of so many images at once.

    `in_pieces`: it can be cut; `fits`: so many were tried, and fit; `remat`: blocks could be run again.
    """
    told, half = f"not enough memory to train on {size} images at once", max(size // 2, 1)
    if in_pieces and size > 1:
        advice = f"{fits} at once fit" if fits else "Take a step in pieces"
        return BenchError(f"{told}. {advice}, and it is the same recipe: --set train.micro_batch={fits or half}")
    ways = "On a GPU or TPU, --set train.remat=true needs less, and is the same recipe. Or use" if remat else "Use"
    return BenchError(
        f"{told}. {ways} a smaller batch, which is a different recipe and row: --set train.batch_size={half}"
    )
