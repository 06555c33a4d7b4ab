"""The predict stage for pictures and videos that belong to no dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...datasets.faces.finder import load_finder
from ..core.errors import BenchError
from ..core.progress import Reporter
from .annotate import annotate
from .detectors import LoadedDetector
from .media import FileResult, FileScorer
from .verdict import describe_scores, find_threshold


def predict_files(
    files: Mapping[Path, str],
    loaded: LoadedDetector,
    reporter: Reporter,
    batch_size: int = 32,
    annotate_into: Path | None = None,
) -> list[FileResult]:
    """Score pictures and videos and, if requested, write them with boxes and scores drawn in.

    Args:
        files: from `media.list_files`, each with its output name.
        loaded: the detector.
        reporter: receives progress.
        batch_size: images scored at once.
        annotate_into: the folder for annotated files.

    Raises:
        BenchError: a file would be overwritten by its annotated version.
    """
    for path, name in files.items() if annotate_into else ():
        if annotate_into and (out := annotate_into / name).exists() and out.samefile(path):
            raise BenchError(f"--annotate {annotate_into} would overwrite {path}. Give another folder")
    loaded.settle_runtime(len(files) * loaded.settings.faces.frames, reporter)
    loaded.tell_device(batch_size, reporter)
    finder = load_finder(loaded.settings.faces.finder)
    threshold = find_threshold(loaded.checkpoint)
    scorer = FileScorer(loaded.detector, loaded.cropper, finder, loaded.settings.faces, batch_size, threshold)
    scored = []
    with reporter.task(f"scoring {len(files)} file{'s' * (len(files) > 1)}") as tick:
        for path, name in files.items():
            scored.append(scorer(path))
            if annotate_into and scored[-1].people:
                annotate(path, scored[-1], annotate_into, name)
            tick(len(scored), len(files))
    reporter.say(describe_scores(threshold))
    return scored
