"""Validation during training: worker processes cut the crops once, and they are scored after each epoch."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from ...detectors.runtimes import DEFAULT, Way, find_obstacle, use_way
from ..core.contracts import Cropper, FaceReader, Scores
from ..core.errors import BenchError
from ..core.storage import make_folder, name_write_errors
from ..core.types import Video
from ..core.workers import WorkerPool
from ..stats import metrics
from ..stats.scoring import pool_frames
from .kept_crops import KeptCrops
from .out_of_memory import BatchScorer
from .predict import list_rows
from .runtime_choice import Shift, compare_scores
from .video_crops import Chosen, VideoCrops

BATCH = 32


@dataclass
class Validation:
    """A training's validation split, with at most `frames` evenly spaced faces per video (None: all).

    The crops are in an unnamed file in `folder`, which the system frees whenever and however the process ends.
    """

    cropper: Cropper
    store: FaceReader
    videos: list[Video]
    frames: int | None
    folder: Path
    pool: WorkerPool
    plugin: str = ""
    kept: KeptCrops | None = None

    def compute_auc(self, detector: Scores, precision: str = DEFAULT.precision) -> float:
        """Return the AUC of the videos' scores.

        Raises:
            BenchError: a score isn't a finite number.
            WriteError: the crops can't be stored, for example because the disk is full.
        """
        table = self._score(detector, Way(precision=precision)).sort_values(["video", "frame"], ignore_index=True)
        videos = pool_frames(table)
        return float(metrics.auc(videos["label"], videos["score"]))

    def choose_precision(self, detector: Scores, wanted: str) -> tuple[str, Shift | None]:
        """Return what to score in: what a training computes in, where that agrees with fp32 by the agreement rule.

        Also return by how much it differs; None where there was nothing to compare.
        """
        way = Way(precision=wanted)
        if way == DEFAULT or way.is_open or find_obstacle(detector, way):
            return DEFAULT.precision, None
        shift = compare_scores(self._score(detector, DEFAULT), self._score(detector, way))
        return wanted if shift.agrees(wanted) else DEFAULT.precision, shift

    def _score(self, detector: Scores, way: Way) -> pd.DataFrame:
        """Return the rows with the scores that a way gives; the detector is left as it was."""
        crops, table = self._crops, self._rows
        starts, scorer = range(0, len(crops), BATCH), BatchScorer(use_way(detector, way))
        scores = np.concatenate([scorer.score(np.array(crops[i : i + BATCH])) for i in starts])
        use_way(detector, DEFAULT)
        return table.assign(score=scores)

    @cached_property
    def _chosen(self) -> list[Chosen]:
        chosen = []
        for video in self.videos:
            count = len(self.store.frames(video.id))
            wanted = min(count, self.frames or count)
            if wanted:
                places = np.linspace(0, count - 1, wanted).astype(int)
                chosen.append(Chosen(video.id, tuple(places.tolist())))
        return chosen

    @cached_property
    def _rows(self) -> pd.DataFrame:
        kept = {one.video: one.places for one in self._chosen}
        rows = list_rows([v for v in self.videos if v.id in kept], self.store, everybody=False)
        places = rows.groupby("video", sort=False).cumcount()
        wanted = [place in kept[video] for video, place in zip(rows["video"], places, strict=True)]
        return rows[wanted].reset_index(drop=True)

    @cached_property
    def _crops(self) -> np.ndarray:
        """The crops (n, S, S, 3), mapped from the file that they were written to."""
        made = self.pool.map(VideoCrops(self.store, self.cropper, self.kept), self._chosen, self.plugin, shares=True)
        make_folder(self.folder)
        shape, dtype, count = (0, 0, 0), np.dtype(np.uint8), 0
        with tempfile.TemporaryFile(dir=self.folder) as file, name_write_errors(self.folder / "validation crops"):
            for crops in made:
                if count and (crops.shape[1:], crops.dtype) != (shape, dtype):
                    raise BenchError(f"a detector's crops must have one shape, got {shape} and {crops.shape[1:]}")
                shape, dtype, count = crops.shape[1:], crops.dtype, count + len(crops)
                file.write(np.ascontiguousarray(crops).data)
            file.flush()
            return np.memmap(file, dtype, "r", shape=(count, *shape))
