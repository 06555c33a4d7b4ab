"""What a plan will take in hours and disk space, from rates measured in earlier runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

from ..core.errors import BenchError
from ..core.scorecard import ScoreCard, read_card
from ..core.speeds import read_speeds
from ..core.storage import CHECKPOINT, PREDICTIONS, SCORECARD, cache_home
from ..core.types import FAKE, Video
from ..core.workers import available_cores
from .cells import Cell, group_cells
from .plan import read_finished
from .sources import DataSource

TRAINED = 3.0  # One image's forward and backward pass, in forward passes.
PREPARED_S = 1.3  # Core seconds for a video of 10 s at 720p with 32 frames, if nothing was measured.
CARDS = 20  # How many of a detector's earlier cards are read.


class GroupCost(NamedTuple):
    """A training with its test sets: images to train on and to score, and the known scoring rate."""

    detector: str
    seed: int
    cells: int
    to_do: int
    train_images: int
    score_images: int
    images_per_s: float | None

    @property
    def hours(self) -> float | None:
        """How long it takes; None if no rate is known."""
        work = TRAINED * self.train_images + self.score_images
        if not work:
            return 0.0
        return work / self.images_per_s / 3600 if self.images_per_s else None

    def describe(self) -> dict[str, object]:
        """Return it as a row for a table or JSON."""
        return {**self._asdict(), "hours": None if self.hours is None else round(self.hours, 2)}


class PreparationCost(NamedTuple):
    """Videos whose faces must be found: hours on this machine's cores, bytes needed, and bytes free."""

    videos: int
    hours: float
    bytes: int
    free_bytes: int
    is_measured: bool


def estimate_groups(cells: Sequence[Cell]) -> list[GroupCost]:
    """Return what each training with its test sets will take."""
    return [_estimate_group(group) for group in group_cells(cells)]


def _estimate_group(group: list[Cell]) -> GroupCost:
    first, to_do = group[0], [c for c in group if read_finished(c) is None]
    frames = first.settings.faces.frames
    val = len(first.val.split("val")) * frames if first.val else 0
    train_images = score_images = 0
    if to_do and first.train and first.is_trained_here and not (first.folder / CHECKPOINT).is_file():
        epochs = first.settings.train.epochs
        train_images, score_images = epochs * _count_epoch(first, first.train.split("train")), epochs * val
    if to_do and not (first.folder / "val" / PREDICTIONS).is_file():
        score_images += val
    score_images += sum(len(c.test.split("test")) * frames for c in to_do)
    return GroupCost(
        first.name, first.seed, len(group), len(to_do), train_images, score_images, _find_rate(first) if to_do else None
    )


def _count_epoch(cell: Cell, videos: Sequence[Video]) -> int:
    """Return the images of an epoch."""
    settings = cell.settings.train
    if settings.steps_per_epoch:
        return settings.steps_per_epoch * settings.batch_size
    fakes = sum(v.label == FAKE for v in videos)
    return cell.settings.faces.frames * (2 * max(fakes, len(videos) - fakes) if settings.balance else len(videos))


def _find_rate(cell: Cell) -> float | None:
    """Return a detector's images per second, from earlier runs or from a speed measurement."""
    cards = islice(_read_cards(cell), CARDS)
    rates = [c.throughput.pipeline_images_per_s for c in cards if c.throughput and c.throughput.pipeline_images_per_s]
    if not rates:
        rates = [speed.best.value for speed in read_speeds(cell.runs)[0] if speed.detector == cell.entry.name]
    return median(rates) if rates else None


def _read_cards(cell: Cell) -> Iterator[ScoreCard]:
    for path in cell.folder.parent.glob(f"*/test.*/{SCORECARD}"):
        try:
            card = read_card(path, "It is recomputed")
        except BenchError:  # The run itself will report it.
            continue
        if isinstance(card, ScoreCard):
            yield card


def estimate_preparation(cells: Sequence[Cell]) -> PreparationCost:
    """Return what finding the faces that no store has yet will take."""
    from ...datasets.faces.disk_space import estimate_bytes, measure_free
    from ...datasets.faces.face_store import FaceStore

    needed: dict[Path, set[str]] = {}
    stores, size = dict[Path, FaceStore](), 0
    asked = {  # Each once, however many cells ask.
        (s.store_folder(c.settings.faces), s, split): c.settings.faces for c in cells for s, split in _list_splits(c)
    }
    for (folder, source, split), faces in asked.items():
        store = stores.setdefault(folder, FaceStore(folder))
        lacking = {v.id for v in source.split(split) if store.find_outcome(v.id) is None}
        fresh = lacking - needed.setdefault(folder, set())
        needed[folder] |= fresh
        size += estimate_bytes(store, len(fresh) * faces.frames, faces.encoding) if fresh else 0
    videos = sum(map(len, needed.values()))
    rate = _find_preparing_rate(cells[0].runs)
    seconds = videos * (1 / rate if rate else PREPARED_S) / available_cores()
    return PreparationCost(videos, seconds / 3600, size, measure_free(cache_home()), rate is not None)


def _list_splits(cell: Cell) -> Iterator[tuple[DataSource, str]]:
    """Yield the splits whose faces an unfinished cell needs."""
    if read_finished(cell) is not None:
        return
    yield cell.test, "test"
    if cell.val:
        yield cell.val, "val"
    if cell.train and cell.is_trained_here and not (cell.folder / CHECKPOINT).is_file():
        yield cell.train, "train"


def _find_preparing_rate(runs: Path) -> float | None:
    """Return how many videos per second one process took from file to score, if that was measured."""
    rates = [speed.videos["mp4"].value for speed in read_speeds(runs)[0] if "mp4" in speed.videos]
    return max(rates, default=None)
