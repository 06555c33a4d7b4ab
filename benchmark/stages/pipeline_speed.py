"""Videos per second to a score: from the video file, and from prepared faces."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np

from ...datasets.faces.finder import load_finder
from ..core.contracts import Cropper, Scores
from ..core.errors import BenchError
from ..core.progress import Reporter
from ..core.settings import Settings
from ..core.speeds import Pipeline
from ..core.types import Video
from .media import FileScorer
from .predict_batch import score_batch
from .sources import DataSource
from .timing import summarise_rate
from .video_crops import VideoCrops

VIDEOS, BATCH = 4, 32


@dataclass(frozen=True)
class PipelineTimer:
    """Times a detector on a source's test videos in one process; the first way includes finding faces."""

    source: DataSource
    reporter: Reporter
    seconds: float

    def __call__(self, detector: Scores, cropper: Cropper, settings: Settings) -> dict[str, Pipeline]:
        """Return videos per second: `mp4` from the files, `store` from prepared faces.

        Raises:
            BenchError: no face was found in any video of the source.
        """
        store = self.source.prepare(["test"], settings.faces, self.reporter)
        outcomes = store.outcomes()
        videos = [v for v in self.source.split("test") if v.id in outcomes and outcomes[v.id].status == "ok"]
        if not videos:
            raise BenchError(f"no face was found in any test video of {self.source.label}. Name another set: --test")
        scorer = FileScorer(detector, cropper, load_finder(settings.faces.finder), settings.faces, BATCH)
        crops_of = VideoCrops(store, cropper)
        ways: dict[str, Callable[[Video], int]] = {
            "mp4": lambda video: sum(map(len, scorer(video.path).people)),
            "store": partial(_score_prepared, detector, crops_of),
        }
        return {name: self._time(score, videos) for name, score in ways.items()}

    def _time(self, score: Callable[[Video], int], videos: Sequence[Video]) -> Pipeline:
        """Time one way: score every video, and repeat until the time is up."""
        score(videos[0])  # To warm up.
        taken, frames, started = [], [], time.perf_counter()
        while True:
            for video in videos:
                before = time.perf_counter()
                frames.append(score(video))
                taken.append(time.perf_counter() - before)
            if time.perf_counter() - started > self.seconds:
                break
        rate, world = summarise_rate(taken), f"{self.source.label}, {self.source.home_root.protocol}"
        told = {name: getattr(rate, name) for name in ("value", "lo", "hi", "runs")}
        return Pipeline(**told, frames=round(median(frames)), world=world)


def _score_prepared(detector: Scores, crops_of: VideoCrops, video: Video) -> int:
    crops = crops_of(video.id)
    scores = [score_batch(detector, crops[i : i + BATCH]) for i in range(0, len(crops), BATCH)]
    return len(np.concatenate(scores))
