"""Checks a plugin's contract part by part, on a few artificial faces or on the dataset's own listing."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...datasets.base import make_adapter, parse_name
from ...detectors.runtimes import DEFAULT, Way, use_way
from ..core.contracts import (
    Cropper,
    CutsCrops,
    KeepsWeights,
    ListsVideos,
    MakesSamples,
    Sampler,
    find_capabilities,
)
from ..core.errors import BenchError
from ..core.precisions import AUTO
from ..core.registry import Entry, datasets, detectors
from ..core.types import FAKE, REAL, SPLITS, Face, TrainSample, Video
from ..core.workers import WorkerPool
from .devices import check_device, place
from .runtime_choice import get_score_limit, list_candidates
from .sources import DataRoot, DataSource

FACES = 5
SIDE = 128
TOLERANCE = 1e-4


def find_plugin(name: str, backend: str = "") -> tuple[Entry, str]:
    """Return the plugin and its kind: a class with a method `videos` is a dataset."""
    head = name.partition(":")[0].casefold()
    if any(head in (e.name.casefold(), *map(str.casefold, e.aliases)) for e in datasets.entries()):
        return parse_name(name)[0], "datasets"
    entry = detectors.find(name, backend)
    own = entry.name.startswith("local/")  # Not in a registry: only the class can tell.
    return entry, "datasets" if own and isinstance(entry.load(), ListsVideos) else "detectors"


class Verdict(NamedTuple):
    """One part of the contract: what failed, or an empty `failure` and what was `seen`."""

    part: str
    failure: str
    seen: str


class ContractError(Exception):
    """A part of the contract is violated."""


def require(kept: bool, failure: str) -> None:
    """Raise ContractError with the problem unless `kept`."""
    if not kept:
        raise ContractError(failure)


def judge(part: str, test: Callable[[], str]) -> Verdict:
    """Run one test, which returns what it saw; any exception is a failure of that part."""
    try:
        return Verdict(part, "", test())
    except (ContractError, BenchError) as error:
        return Verdict(part, str(error), "")
    except Exception as error:  # The plugin may raise anything.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return Verdict(part, f"{type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})", "")


def make_test_faces(count: int = FACES) -> list[Face]:
    """Return faces whose crops are noise, black, white and stripes; only their shape matters, not their content."""
    rng = np.random.default_rng(0)
    angle = np.linspace(0, 2 * np.pi, 81)
    ring = (SIDE / 2 + SIDE / 5 * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(np.float32)
    box = np.array([0.3, 0.3, 0.7, 0.7], np.float32) * SIDE
    looks = [rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(count)]
    looks[1][:], looks[2][:], looks[3][:, ::2] = 0, 255, 0
    return [Face(crop, ring, box, i, (0, 0), (SIDE, SIDE)) for i, crop in enumerate(looks)]


@dataclass
class DetectorCheck:
    """The parts of a detector's contract, each of which builds on the previous ones."""

    entry: Entry
    options: dict[str, object] = field(default_factory=dict)
    asked: Way = DEFAULT
    device: str = AUTO

    def run_checks(self) -> Iterator[Verdict]:
        """Check each part in turn; without a number for every image the rest can't be checked and is left out."""
        first = {
            "making": self.check_making,
            "crops": self.check_crops,
            "scores": self.check_scores,
            "shape": self.check_shape,
            "dtype": self.check_dtype,
        }
        for part, test in first.items():
            verdict = judge(part, test)
            yield verdict
            if verdict.failure:
                return
        rest = {
            "NaN": self.check_finite,
            "range": self.check_range,
            "determinism": self.check_determinism,
            "batch size": self.check_batch_size,
            "input": self.check_input,
        }
        if isinstance(self.detector, CutsCrops):
            rest["pickling"] = self.check_pickling
        if isinstance(self.detector, MakesSamples):
            rest["samples"] = partial(self.check_samples, self.detector)
        if isinstance(self.detector, KeepsWeights):
            rest["checkpoint"] = partial(self.check_checkpoint, self.detector)
        if self.asked != DEFAULT:
            ways = list_candidates(self.detector, self.asked) if self.asked.is_open else [self.asked]
            rest |= {f"{way}": partial(self.check_way, way) for way in ways if way != DEFAULT}
        yield from (judge(part, test) for part, test in rest.items())

    def check_way(self, way: Way) -> str:
        """Another runtime or precision gives nearly the same scores, for batches of any size."""
        scores = np.asarray(use_way(self.detector, way).score(self.frames.copy()))
        alone = np.concatenate([self.detector.score(f[None].copy()) for f in self.frames])
        use_way(self.detector, DEFAULT)
        apart = max(self._describe_difference(scores), self._describe_difference(alone))
        most = get_score_limit(way.precision)
        require(apart <= most, f"scores are {apart:.2g} apart from those of torch fp32; at most {most:g} is allowed")
        return f"within {apart:.1g}"

    def check_making(self) -> str:
        """It can be made from its options, has a method score, and has exactly the abilities on its card."""
        from ...detectors import create_from, get_cropper

        self.detector = place(create_from(self.entry, 0, **self.options), self.device)
        self.cropper: Cropper = get_cropper(self.detector, self.entry)
        can = find_capabilities(self.detector)
        told = self.entry.capabilities if "can" in self.entry.card else can
        require(told == can, f"its card omits abilities: add {', '.join(sorted(can - told))} to the card's can")
        return type(self.detector).__name__

    def check_crops(self) -> str:
        """Every face gives an RGB crop of one size."""
        cut = [np.asarray(self.cropper(face)) for face in make_test_faces()]
        for crop in cut:
            require(crop.dtype == np.uint8, f"the cropper gives {crop.dtype}, expected uint8")
            require(crop.ndim == 3 and crop.shape[2] == 3, f"the cropper gives shape {crop.shape}, expected (S, S, 3)")
        require(len({c.shape for c in cut}) == 1, f"the crops differ in shape: {cut[0].shape}, {cut[-1].shape}")
        self.frames = np.stack(cut)
        return f"uint8 {self.frames.shape}"

    def check_scores(self) -> str:
        """It scores without raising."""
        self.given = self.frames.copy()
        self.answer = np.asarray(self.detector.score(self.given))
        return f"{self.answer.dtype} {self.answer.shape}"

    def check_shape(self) -> str:
        """One number per image."""
        expected = (len(self.frames),)
        require(
            self.answer.shape == expected, f"score gave shape {self.answer.shape} for {FACES} images, not {expected}"
        )
        return str(self.answer.shape)

    def check_dtype(self) -> str:
        """Floating point."""
        require(
            self.answer.dtype.kind == "f", f"score gave {self.answer.dtype}, expected a floating type such as float32"
        )
        return str(self.answer.dtype)

    def check_finite(self) -> str:
        """No NaN or infinity, even for a black and a white image."""
        bad = np.flatnonzero(~np.isfinite(self.answer))
        looks = ["noise", "black", "white", "stripes", "noise"]
        require(not len(bad), f"NaN or infinity for {len(bad)} of {FACES} images: {', '.join(looks[i] for i in bad)}")
        return "none"

    def check_range(self) -> str:
        """A probability."""
        told = self.answer[np.isfinite(self.answer)]
        low, high = (float(told.min()), float(told.max())) if told.size else (0.0, 0.0)
        require(low >= 0 and high <= 1, f"scores from {low:.4g} to {high:.4g}; P(fake) must be from 0 to 1")
        return f"{low:.4g} to {high:.4g}"

    def check_determinism(self) -> str:
        """The same images give the same scores."""
        apart = self._describe_difference(np.asarray(self.detector.score(self.frames.copy())))
        require(apart == 0, f"scoring the same images twice gave scores {apart:.2g} apart")
        return "same twice"

    def check_batch_size(self) -> str:
        """Scores don't depend on what else is in the batch."""
        alone = np.concatenate([np.atleast_1d(self.detector.score(f[None].copy())) for f in self.frames])
        apart = self._describe_difference(alone)
        require(apart <= TOLERANCE, f"scored one by one, scores are {apart:.2g} apart from those of the whole batch")
        return f"one by one within {apart:.1g}"

    def check_input(self) -> str:
        """It doesn't change the images that it is given."""
        require(np.array_equal(self.given, self.frames), "score changed the images that it was given")
        return "unchanged"

    def check_pickling(self) -> str:
        """Its cropper works in a worker process."""
        face = make_test_faces()[0]
        pickle.dumps(self.cropper)  # A pool would avoid processes for objects that can't be sent to them.
        with WorkerPool(1) as pool:
            (there,) = pool.map(self.cropper, [face], self.entry.plugin)
        require(np.array_equal(there, self.frames[0]), "the cropper gives a different crop in a worker process")
        return "works in a worker process"

    def check_samples(self, detector: MakesSamples) -> str:
        """Its sampler gives named arrays, the same for the same draws, and can be sent to a worker process."""
        sampler: Sampler = pickle.loads(pickle.dumps(detector.sampler()))  # ours # nosec B301
        real, fake = make_test_faces()[0], make_test_faces()[-1]
        for sample in (TrainSample(real, REAL), TrainSample(fake, FAKE, real)):
            first, second = (sampler(sample, np.random.default_rng(7)) for _ in range(2))
            if first is None or second is None:
                continue
            require(
                isinstance(first, dict), f"the sampler gives a {type(first).__name__}, expected named arrays or None"
            )
            same = all(np.array_equal(first[name], second[name]) for name in first)
            require(same, "the sampler gives different arrays for the same sample and random numbers")
        return "same for the same draws"

    def check_checkpoint(self, detector: KeepsWeights) -> str:
        """Its weights, saved and loaded into another instance, give the same scores."""
        from ...detectors import create_from

        other = place(create_from(self.entry, 1, **self.options), self.device)
        assert isinstance(other, KeepsWeights)  # Like the first one, which has the same class.
        other.load({name: np.array(value) for name, value in detector.state().items()})
        apart = self._describe_difference(np.asarray(other.score(self.frames.copy())))
        require(apart <= TOLERANCE, f"with the same weights another instance gives scores {apart:.2g} apart")
        return f"{len(detector.state())} arrays, same scores"

    def _describe_difference(self, other: np.ndarray) -> float:
        require(other.shape == self.answer.shape, f"score gave shape {other.shape}, then {self.answer.shape}")
        both = np.isfinite(other) & np.isfinite(self.answer)  # NaN is a separate failure, reported once.
        return float(np.max(np.abs(other - self.answer, dtype=np.float64), where=both, initial=0))


@dataclass
class DatasetCheck:
    """The parts of a dataset's contract."""

    entry: Entry
    root: Path

    def run_checks(self) -> Iterator[Verdict]:
        """Check each part in turn; without a listing the rest can't be checked and is left out."""
        for part, test in (("making", self.check_making), ("listing", self.check_listing)):
            verdict = judge(part, test)
            yield verdict
            if verdict.failure:
                return
        rest = {
            "ids": self.check_ids,
            "labels": self.check_labels,
            "splits": self.check_splits,
            "originals": self.check_originals,
            "files": self.check_files,
            "repeatable": self.check_repeatable,
            "pickling": self.check_pickling,
        }
        yield from (judge(part, test) for part, test in rest.items())

    def check_making(self) -> str:
        """It can be made, and has the methods home and videos."""
        self.adapter = make_adapter(self.entry)
        return type(self.adapter).__name__

    def check_listing(self) -> str:
        """It finds its folder and lists videos."""
        self.home = self.adapter.home(self.root)
        require(isinstance(self.home, Path), f"home gave a {type(self.home).__name__}, expected a Path")
        self.videos = self._list_videos()
        require(bool(self.videos), f"no videos in {self.home}")
        wrong = next((v for v in self.videos if not isinstance(v, Video)), None)
        require(wrong is None, f"videos gave a {type(wrong).__name__}, expected crossfake.benchmark.core.types.Video")
        return f"{len(self.videos)} videos in {self.home}"

    def check_ids(self) -> str:
        """Paths within the dataset, unique and sorted."""
        ids = [v.id for v in self.videos]
        twice = next((a for a, b in zip(sorted(ids), sorted(ids)[1:], strict=False) if a == b), None)
        require(twice is None, f"two videos have the id {twice}; an id is the path within the dataset, suffix included")
        odd = next((i for i in ids if not i or i.startswith("/") or "\\" in i or ".." in i.split("/")), None)
        require(odd is None, f"the id {odd!r} is not a path within the dataset with '/' between its parts")
        require(ids == sorted(ids), "the videos aren't sorted by id")
        return "unique, sorted"

    def check_labels(self) -> str:
        """0 for real, 1 for fake; the method of real videos is `real`."""
        odd = next((v for v in self.videos if v.label not in (REAL, FAKE)), None)
        require(odd is None, f"{odd and odd.id} has the label {odd and odd.label!r}; 0 is real, 1 is fake")
        odd = next((v for v in self.videos if (v.method == "real") != (v.label == REAL)), None)
        require(odd is None, f"{odd and odd.id} has label {odd and odd.label} and method '{odd and odd.method}'")
        return f"{sum(v.label == REAL for v in self.videos)} real, {sum(v.label == FAKE for v in self.videos)} fake"

    def check_splits(self) -> str:
        """Known names, each with both classes."""
        odd = next((v for v in self.videos if v.split not in SPLITS), None)
        require(odd is None, f"{odd and odd.id} is in the split '{odd and odd.split}'; there are {', '.join(SPLITS)}")
        counts = {s: [sum(v.split == s and v.label == label for v in self.videos) for label in (0, 1)] for s in SPLITS}
        present = {s: c for s, c in counts.items() if any(c)}
        lacking = next((s for s, c in present.items() if not all(c)), None)
        require(lacking is None, f"{lacking} has {present.get(lacking or '')} real and fake videos; both are needed")
        return ", ".join(f"{s}: {real} real and {fake} fake" for s, (real, fake) in present.items())

    def check_originals(self) -> str:
        """A fake's original is the id of a real video."""
        reals = {v.id for v in self.videos if v.label == REAL}
        odd = next((v for v in self.videos if v.original is not None and v.original not in reals), None)
        require(
            odd is None, f"the original of {odd and odd.id}, '{odd and odd.original}', is not the id of a real video"
        )
        return f"{sum(v.original is not None for v in self.videos)} fakes have one"

    def check_files(self) -> str:
        """Some exist; a missing file isn't an error but lowers the coverage."""
        there = sum(v.path.is_file() for v in self.videos)
        require(there > 0, f"none of the files exists; the first is {self.videos[0].path}")
        return f"{there} of {len(self.videos)} exist"

    def check_repeatable(self) -> str:
        """The listing is the same every time."""
        require(self._list_videos() == self.videos, "listing the videos twice gave two lists")
        root = DataRoot(self.root, None)
        sources = [DataSource("x", "", self.home, videos, root, None) for videos in (self.videos, self._list_videos())]
        require(sources[0].key(SPLITS) == sources[1].key(SPLITS), "listing the videos twice gave two keys")
        return "same twice"

    def check_pickling(self) -> str:
        """Videos can be sent to worker processes."""
        require(pickle.loads(pickle.dumps(self.videos)) == self.videos, "videos change when they are pickled")  # ours # nosec B301
        return "unchanged"

    def _list_videos(self) -> list[Video]:
        return list(self.adapter.videos(self.home, self.entry.card.get("default_compression", "")))


def make_check(
    entry: Entry,
    kind: str,
    root: Path | None,
    options: dict[str, object],
    asked: Way = DEFAULT,
    device: str = AUTO,
) -> DetectorCheck | DatasetCheck:
    """Return the check of a plugin.

    Raises:
        BenchError: a dataset without a folder, or a device that doesn't exist here.
    """
    if kind == "detectors":
        check_device(device, [entry.backend])
        options = {**entry.card.get("options", {}), **options}
        # Random weights are enough: a check downloads nothing.
        options |= {"pretrained": False} if "pretrained" in options else {}
        return DetectorCheck(entry, options, asked, device)
    if root is None:
        raise BenchError(f"{entry.name} is a dataset. Say where its files are: --data ROOT")
    if not root.is_dir():
        raise BenchError(f"no folder {root} (from --data)")
    return DatasetCheck(entry, root)
