"""What a core can supply: a face store's encodings, training examples, crops for scoring, and batches in transit.

Faces of 200 and 300 pixels in 720p, with their context. The old way reads PNGs, always a fake's original, and sends
batches through a pipe. Processor seconds of this process, methods in turn, medians; other work may be running.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.core.settings import FaceSettings, TrainSettings
from crossfake.benchmark.core.types import FAKE, REAL, Face, PrepareResult, TrainSample, Video
from crossfake.benchmark.core.workers import IN_PROCESS, WorkerPool
from crossfake.benchmark.stages.kept_crops import keep_crops
from crossfake.benchmark.stages.training_batches import Batches, index_frames
from crossfake.benchmark.stages.training_state import Progress, StateKeeper
from crossfake.benchmark.stages.validation import Validation
from crossfake.benchmark.stages.video_crops import VideoCrops
from crossfake.datasets.faces.encodings import decode, encode
from crossfake.datasets.faces.face_store import FaceStore, write_shard
from crossfake.detectors import create
from crossfake.detectors.baselines.augment import ClassifierSampler
from crossfake.detectors.caddm.alignment import align_face
from crossfake.detectors.caddm.sampler import CaddmSampler
from crossfake.detectors.common.augmentations import AugmentedSampler, mirror
from crossfake.detectors.common.crops import BoxCrop

SIZES, ENCODINGS, ROUNDS = (200, 300), ("png", "zstd", "jpeg95", "jpeg444"), 5
GRAIN = 1.2  # Grey levels of noise, so that a PNG of these faces is as large as one of a video's.
REALS, FAKES = 5, 25  # CADDM's mix of FF++: five manipulations of each real video.
BATCH, STEPS = 128, 100
FRAMES = 32
NAMES = ("real", "fake")


@cache
def make_faces(data: Path, size: int) -> dict[str, Face]:
    """Return a fake face, whose landmarks are `size` pixels high, and its original."""
    rng, made = np.random.default_rng(0), {}
    with np.load(data / "caddm" / "preprocessing.npz") as packed:
        scale = size / np.ptp(packed["landmarks"], axis=0).max()
        landmarks = packed["landmarks"] * scale
        frames = {"real": decode(packed["source.png"].tobytes()), "fake": decode(packed["fake.png"].tobytes())}
    x, y = (int(v) for v in np.maximum((landmarks.min(0) + landmarks.max(0)) / 2 - size, 0))
    for name, image in frames.items():
        frame = cv2.resize(image, None, fx=scale, fy=scale)
        crop = frame[y : y + 2 * size, x : x + 2 * size]
        noisy = np.clip(np.rint(crop + rng.normal(0, GRAIN, crop.shape)), 0, 255).astype(np.uint8)
        points = (landmarks - [x, y]).astype(np.float32)
        box = np.concatenate([points.min(0), points.max(0)])
        made[name] = Face(noisy, points, box, 0, (x, y), (1280, 720))
    return made


def make_stores(data: Path, folder: Path, size: int) -> dict[str, FaceStore]:
    """Write a store of both faces in each encoding."""
    for name in ENCODINGS:
        rows = [
            (PrepareResult(v, "ok", 1, 1, (0,)), [(face, encode(face.crop, name))])
            for v, face in make_faces(data, size).items()
        ]
        write_shard(folder / name / "a.arrow", {}, rows)
    return {name: FaceStore(folder / name) for name in ENCODINGS}


def compare(ways: dict[str, Callable[[], object]], each: int) -> dict[str, float]:
    """Return milliseconds per item for ways that do `each` items: measured in turn, median over rounds."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, way in ways.items():
            started = time.process_time()
            way()
            if number:  # The first is a warm-up.
                taken[name].append(1000 * (time.process_time() - started) / each)
    return {name: statistics.median(values) for name, values in taken.items()}


def report(benchmark, what: str, found: dict[str, float]) -> None:
    """Print and store the results; pytest-benchmark's own timing is meaningless here."""
    first = next(iter(found.values()))
    benchmark.extra_info |= {f"{what}, {name}, ms": ms for name, ms in found.items()}
    for name, ms in found.items():
        print(f"  {what}, {name}: {ms:.2f} ms, {1000 / ms:.0f} a second, {first / ms:.2f} times the first way's")


@pytest.fixture(autouse=True)
def timed_by_itself(benchmark):
    yield
    benchmark.pedantic(lambda: None)


@pytest.mark.parametrize("size", SIZES)
def test_encodings(benchmark, data, size):
    crop = make_faces(data, size)["fake"].crop
    packed = {name: encode(crop, name) for name in ENCODINGS}
    print(f"\n  bytes of a crop of {crop.shape[1]} px:", {name: len(content) for name, content in packed.items()})
    report(benchmark, f"encoding at {size} px", compare({e: lambda e=e: encode(crop, e) for e in ENCODINGS}, 1))
    ways = {e: lambda e=e: [decode(packed[e]) for _ in range(10)] for e in ENCODINGS}
    report(benchmark, f"decoding at {size} px", compare(ways, 10))


def make_examples(store: FaceStore, sampler, fakes: int, paired: bool) -> None:
    for seed in range(REALS + fakes):
        label = int(seed >= REALS)
        original = store.face("real", 0) if label and paired else None
        sampler(TrainSample(store.face(NAMES[label], 0), label, original), np.random.default_rng(seed))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("who", ["caddm", "plain"])
def test_training_examples(benchmark, data, tmp_path, size, who):
    stores, plain = make_stores(data, tmp_path, size), who == "plain"
    sampler = ClassifierSampler(BoxCrop(224)) if plain else CaddmSampler()
    ways = {"the old way": lambda: make_examples(stores["png"], sampler, FAKES, True)}
    for name in ENCODINGS:
        ways[name] = lambda name=name: make_examples(stores[name], sampler, FAKES, not plain)
    report(benchmark, f"{who} example at {size} px", compare(ways, REALS + FAKES))


def test_caddm_fakes_at_720p(benchmark, data, tmp_path):
    stores, sampler = make_stores(data, tmp_path, 340), CaddmSampler()

    def make(store: FaceStore) -> None:
        for seed in range(FAKES):
            sample = TrainSample(store.face("fake", 0), FAKE, store.face("real", 0))
            sampler(sample, np.random.default_rng(seed))

    ways = {name: lambda name=name: make(stores[name]) for name in ENCODINGS}
    report(benchmark, "caddm fake and original, crops of 680 px", compare(ways, FAKES))


def test_crops_of_256_px(benchmark, data):
    """A network's input from cut faces: here bytes, which the device normalises; a PNG loader gives floats."""
    crop = cv2.resize(make_faces(data, 200)["fake"].crop, (256, 256), interpolation=cv2.INTER_AREA)
    packed = {name: encode(crop, name) for name in ENCODINGS}

    def load_floats() -> None:
        image = decode(packed["png"])
        scaled = cv2.resize(image, (256, 256), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
        np.ascontiguousarray(((scaled - 0.5) / 0.5).transpose(2, 0, 1), np.float32)

    ways = {"a PNG loader": lambda: [load_floats() for _ in range(20)]}
    for name in ENCODINGS:
        ways[name] = lambda name=name: [decode(packed[name]) for _ in range(20)]
    report(benchmark, "crop of 256 px", compare(ways, 20))


@pytest.mark.parametrize("size", SIZES)
def test_scoring_crops(benchmark, data, tmp_path, size):
    stores = make_stores(data, tmp_path, size)
    ways = {e: lambda e=e: [align_face(stores[e].face("fake", 0)) for _ in range(20)] for e in ENCODINGS}
    report(benchmark, f"crop to score at {size} px", compare(ways, 20))


@pytest.mark.parametrize("size", SIZES)
def test_kept_crops(benchmark, data, tmp_path, size):
    """Crops of a video read as `faces.crops: keep` leaves them, against cut ones; to score, and to train on."""
    face, cropper = make_faces(data, size)["fake"], partial(align_face, size=224)
    rows = [(replace(face, frame=i), encode(face.crop, "zstd")) for i in range(FRAMES)]
    outcome = PrepareResult("fake", "ok", FRAMES, FRAMES, tuple(range(FRAMES)))
    write_shard(tmp_path / "store" / "a.arrow", {}, [(outcome, rows)])
    store = FaceStore(tmp_path / "store")
    video = Video("fake", Path("fake.mp4"), FAKE, "any", "train")
    kept = keep_crops(FaceSettings(crops="keep"), store, cropper, [video], Reporter(quiet=True), IN_PROCESS)
    assert kept is not None
    ways = {name: partial(VideoCrops(store, cropper, crops), "fake") for name, crops in (("cut", None), ("kept", kept))}
    assert np.array_equal(ways["cut"](), ways["kept"]())
    report(benchmark, f"crop to score at {size} px", compare(ways | {"keeping": partial(kept, "fake")}, FRAMES))
    frames, sampler = index_frames([video], store)[0], AugmentedSampler(cropper, mirror)
    ways = {
        name: partial(Batches(frames, store, sampler, FRAMES, False, 0, crops), 0)
        for name, crops in (("cut", None), ("kept", kept))
    }
    report(benchmark, f"crop to train on at {size} px", compare(ways, FRAMES))


def make_batch(step: int) -> tuple[dict[str, np.ndarray], list[str]]:
    return {"image": np.full((BATCH, 224, 224, 3), step % 256, np.uint8), "label": np.full(BATCH, REAL)}, []


def test_batches(benchmark):
    with WorkerPool(1) as pool:
        ways = {
            name: lambda shares=shares: sum(1 for _ in pool.map(make_batch, range(STEPS), shares=shares))
            for name, shares in (("through a pipe", False), ("shared memory", True))
        }
        report(benchmark, "main process's time for a batch of 128 x 224", compare(ways, STEPS))


@pytest.mark.parametrize("backbone", ["resnet34", "efficientnet-b4"])
def test_saving_a_state(benchmark, data, tmp_path, backbone):
    """CADDM's networks of published size after a step: what a save keeps the training waiting, and then its thread."""
    detector = create("caddm", backbone=backbone, pretrained=False)
    session, sampler = detector.training(TrainSettings(optimizer="adamw"), 1, 1), CaddmSampler()
    sample = TrainSample(make_faces(data, 200)["real"], REAL)
    examples = [sampler(sample, np.random.default_rng(seed)) for seed in range(2)]
    session.step({name: np.stack([one[name] for one in examples]) for name in examples[0]})
    print(f"\n  {backbone}, {detector.parameters_count() / 1e6:.1f} million parameters")
    for what, epoch in (("state and best weights", 1), ("state", -1), ("state", -1)):
        begun, waited, own = time.perf_counter(), time.thread_time(), time.process_time()
        with StateKeeper(tmp_path / str(epoch)) as keeper:
            keeper.save(session, Progress(best_epoch=epoch), detector.state() if epoch >= 0 else {})
            paused, waited = time.perf_counter() - begun, time.thread_time() - waited
        found = [paused, waited, time.process_time() - own - waited, time.perf_counter() - begun]
        size = sum(path.stat().st_size for path in (tmp_path / str(epoch)).iterdir()) / 1e9
        benchmark.extra_info[f"{backbone}, {what}"] = [*found, size]
        told = "pause {:.2f} s ({:.2f} of the processor's), thread {:.2f} processor s, {:.2f} s in all".format(*found)
        print(f"  {what}: {told}, {size:.2f} GB")


@pytest.mark.parametrize("size", SIZES)
def test_validation_amid_training(benchmark, data, tmp_path, size):
    """The first epoch's validation, which cuts, and a later one, which reads; a tenth of FF++'s 840 videos."""
    face, frames = make_faces(data, size)["fake"], tuple(range(FRAMES))
    image = encode(face.crop, "zstd")
    rows = [(replace(face, frame=i), image) for i in frames]
    videos = [Video(f"{i}.mp4", Path(f"{i}.mp4"), i % 2, "any", "val") for i in range(84)]
    for video in videos:
        outcome = PrepareResult(video.id, "ok", FRAMES, FRAMES, frames)
        write_shard(tmp_path / "store" / f"{video.id}.arrow", {}, [(outcome, rows)])
    cropper, store = partial(align_face, size=224), FaceStore(tmp_path / "store")
    validation = Validation(cropper, store, videos, None, tmp_path / "run", IN_PROCESS)
    found = {}
    for what in ("which cuts", "later", "later"):
        started = time.process_time()
        validation.compute_auc(Free())
        found[what] = 1000 * (time.process_time() - started) / (len(videos) * FRAMES)
    report(benchmark, f"a crop of validation at {size} px", found)


class Free:
    """A detector that costs nothing, so that what is measured is how crops come to it."""

    def score(self, frames: np.ndarray) -> np.ndarray:
        return np.arange(len(frames)) / len(frames)
