"""Fixtures for all tests: a separate cache, one tiny demo world per session, and made-up scorecards."""

from __future__ import annotations

import gc
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Collecting tests imports half a million objects that stay; each garbage collection would take seconds over them.
gc.disable()

# One thread for each process of pytest-xdist and for those that tests start. It is read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Compiling takes most of the time of JAX's tests, so fewer passes are run here; `make test-slow` runs all.
if os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1") == "1":
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1")

# Tests load what another test has compiled, even if compiling was fast.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import numpy as np
import pandas as pd
import pytest
from crossfake.benchmark.core import display
from crossfake.benchmark.core.cell_description import CellDescription
from crossfake.benchmark.core.keys import file_hash
from crossfake.benchmark.core.migrations import SCHEMA_VERSION
from crossfake.benchmark.core.predictions import PredictionsMetadata, write_predictions
from crossfake.benchmark.core.records import Record
from crossfake.benchmark.core.scorecard import (
    Failure,
    ScoreCard,
    Scoring,
    Throughput,
)
from crossfake.benchmark.core.speeds import SPEED_VERSION, Speed
from crossfake.benchmark.core.types import Estimate, Face, PrepareResult
from crossfake.benchmark.core.workers import WorkerPool
from crossfake.benchmark.stages import timing
from crossfake.benchmark.stats.operating_points import fit_operating_point
from crossfake.benchmark.stats.scoring import make_scorecard
from crossfake.datasets.faces.encodings import encode
from crossfake.datasets.faces.face_store import write_shard
from hypothesis import settings

# No deadline, as busy machines are sometimes slow.
settings.register_profile("crossfake", deadline=None, max_examples=10)
settings.register_profile("thorough", deadline=None, max_examples=300)  # make test-slow
settings.load_profile("crossfake")


def pytest_collection_finish() -> None:
    """Exclude the imported objects from garbage collection, and collect rarely."""
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def heed_signals() -> None:
    """Restore signals that nohup and background jobs ignore, as processes started by tests would inherit that."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all workers of pytest-xdist share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session", autouse=True)
def session_cache(shared_folder: Path) -> Iterator[Path]:
    """One cache for demo worlds and faces, which are made once; crossfake's locks handle concurrent workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(shared_folder / "cache"))
        patch.delenv("BENCH_DATA", raising=False)
        yield shared_folder / "cache"


@pytest.fixture(autouse=True)
def repeat_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat once-per-process messages in each test, even if pytest reuses an earlier test's folder."""
    monkeypatch.setattr(display, "_said", set())


@pytest.fixture(scope="session", autouse=True)
def hasty_speeds() -> Iterator[None]:
    """Shorten the speed measurement at the end of runs, which tests don't need, to almost nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "SHORT", timing.Effort(0.01, 1))
        yield


@pytest.fixture(scope="session")
def two_workers() -> Iterator[WorkerPool]:
    """Two worker processes for all tests, since starting one takes a second."""
    with WorkerPool(2) as pool:
        yield pool


@pytest.fixture(scope="session")
def tiny_world(session_cache: Path) -> Path:
    """The tiny demo world, in the place where `--data demo:tiny` finds it."""
    from crossfake.datasets.demo.world import GENERATOR_VERSION, render_world

    return render_world(session_cache / "demo" / f"standard-tiny-seed0-v{GENERATOR_VERSION}", "tiny", 0)


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """NASA's portrait of a smiling woman, public domain, from scikit-image: (512, 512, 3) uint8 RGB."""
    image: np.ndarray = pytest.importorskip("skimage.data").astronaut()
    return image


@pytest.fixture(scope="session")
def hopper() -> np.ndarray:
    """The US Navy's portrait of a woman with glasses, public domain, from matplotlib: (600, 512, 3) uint8 RGB."""
    import cv2

    path = Path(pytest.importorskip("matplotlib").get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


# ---- made-up scorecards, and a folder of runs with real predictions and faces

GAP = "video.fairness.intersection.auc_gap"
CELL = {
    "detector": "meso4",
    "name": "meso4",
    "backend": "torch",
    "train": "ff++:c23",
    "test": "celebdf",
    "seed": 0,
    "limit": None,
    "frames": 32,
    "world": "real",
    "protocol": "real",
    "weights": "trained here",
    "selection": "source val",
    "source": "ff++:c23",
    "options": {},
    "recipe_key": "rrr",
    "train_key": "aaa",
    "test_key": "bbb",
}


GROUPS = {"f-a": (0.7, 9, 30), "f-b": (0.5, 2, 3, "few"), "m-a": (0.82, 9, 9)}


def _cell_of(auc: float, real: int, fake: int, left_out: str = "") -> dict[str, Any]:
    more = {"left_out": left_out} if left_out else {}
    return {"video.auc": Estimate(auc, auc - 0.1, auc + 0.1, real + fake), "n_real": real, "n_fake": fake, **more}


def card_of(test: str = "celebdf", auc: float = 0.75, **changes: Any) -> ScoreCard:
    """A finished card in the current schema; keywords that are in CELL change the cell, others the card."""
    of_cell = CELL.keys() | CellDescription.model_fields.keys()
    cell = {**CELL, "test": test, **{k: changes.pop(k) for k in list(changes) if k in of_cell}}
    card = {
        "schema_version": SCHEMA_VERSION,
        "kind": "scorecard",
        "status": "done",
        "cell": cell,
        "metrics": {
            "video.auc": Estimate(auc, auc - 0.05, auc + 0.05, 20),
            "frame.auc": Estimate(auc - 0.1, auc - 0.15, auc - 0.05, 20),
            GAP: Estimate(0.12, 0, 0.3, 9),
        },
        "methods": {},
        "groups": {"intersection": {name: _cell_of(*numbers) for name, numbers in GROUPS.items()}},
        "curves": {},
        "artifacts": {},
        "threshold": {"value": 0.5, "rule": "0.5"},
        "score": {"draws": 50},
        "coverage": {"scored": 19, "official": 20, "dropped": [{"video": "x.mp4", "reason": "no_face"}]},
        "throughput": {"score_images_per_s": 100.4},
        "params": 28_000,
        "flops": 2_500_000_000,
        "faces": None,
        "provenance": {"command": "bench run --detector meso4"},
    }
    return ScoreCard.model_validate({**card, **changes}).place(Path("runs/x/scorecard.json"))


def failed_of(test: str = "celebdf", status: str = "failed", error: str = "out of luck", **changes: Any) -> Failure:
    cell = card_of(test, **changes).cell
    content = {"schema_version": SCHEMA_VERSION, "kind": "failure", "status": status, "error": error, "cell": cell}
    return Failure.model_validate(content).place(Path("runs/x/failure.json"))


@pytest.fixture(scope="session")
def make() -> Callable[..., ScoreCard]:
    return card_of


@pytest.fixture(scope="session")
def make_failed() -> Callable[..., Failure]:
    return failed_of


def speed_of(images_per_s: float = 100.0, p50_ms: float = 20.0, **changes: Any) -> Speed:
    """A speed of `card_of`'s detector on an idle CPU."""
    rate = {"value": images_per_s, "lo": 0.9 * images_per_s, "hi": 1.1 * images_per_s, "runs": 5}
    speed = {
        "schema_version": SPEED_VERSION,
        "kind": "speed",
        "detector": "meso4",
        "backend": "torch",
        "options": {},
        "code": None,
        "weights": "random",
        "runtime": "torch",
        "device": "AMD EPYC",
        "precision": "fp32",
        "threads": 2,
        "clock": "wall",
        "image": (256, 256),
        "latency": {"p50_ms": p50_ms, "p95_ms": 2 * p50_ms, "p99_ms": None, "runs": 20},
        "images": [
            {**rate, "value": images_per_s / 2, "batch": 1},
            {**rate, "batch": 8, "per_core_s": images_per_s / 2},
        ],
        "videos": {},
        "params": 28_000,
        "flops": 2_500_000_000,
        "activations": 1_000_000,
        "memory": {"rss_peak": 5 * 10**8},
        "load_s": 1.0,
        "first_call_s": 0.1,
        "compile_s": 0.0,
        "load": {"own": 2.0, "others": 0.05, "cores": 2},
        "seconds": 20.0,
        "architecture": "aaa",
        "host": "AMD EPYC, 2 cores",
        "provenance": {"command": "bench speed meso4", "packages": {"crossfake": "0.1.0", "torch": "2.14.1"}},
    }
    return Speed.model_validate({**speed, **changes})


@pytest.fixture(scope="session")
def make_speed() -> Callable[..., Speed]:
    return speed_of


def put(path: Path, card: Record | Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(card.to_json() if isinstance(card, Record) else card))
    return path


@pytest.fixture(scope="session")
def save() -> Callable[[Path, Record | Any], Path]:
    return put


def frames_of(seed: int, videos: int = 40, shift: float = 0.35) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        {
            "video": f"{'fake' if v % 2 else 'real'}/{v:02}.mp4",
            "frame": f,
            "label": v % 2,
            "method": "Swap" if v % 2 else "real",
            "gender": "fm"[v // 2 % 2],
            "race": "ab"[v // 4 % 2],
        }
        for v in range(videos)
        for f in (0, 5)
    ]
    table = pd.DataFrame(rows)
    score = 0.3 + shift * table["label"] + rng.normal(0, 0.22, len(table))
    return table.assign(score=score.clip(0.01, 0.99).astype(np.float32))


def face(video: int, frame: int) -> Face:
    crop = np.full((40, 40, 3), (20 * (video % 10), 128, 60), np.uint8)
    landmarks = np.full((81, 2), 20, np.float32)
    return Face(crop, landmarks, np.array([10, 10, 30, 30], np.float32), frame, (0, 0), (40, 40))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two detectors on two test sets of a demo world: really scored, one cell failed, faces in a store."""
    home = tmp_path_factory.mktemp("board")
    videos = list(dict.fromkeys(frames_of(0)["video"]))
    faces = {v: [face(i, frame) for frame in (0, 5)] for i, v in enumerate(videos)}
    shard = [
        (PrepareResult(v, "ok", 2, 2, (0, 5)), [(f, encode(f.crop, "png")) for f in both]) for v, both in faces.items()
    ]
    write_shard(home / "faces" / "one.arrow", {}, shard)
    for i, name in enumerate(("meso4", "<script>alert(1)</script>")):
        for j, test in enumerate(("ff++:c23", "celebdf")):
            changes = {
                "protocol": "demo tiny, seed 0",
                "world": "demo",
                "recipe_key": f"row{i}",
                "train_key": f"run{i}",
            }
            write_run(home / f"runs/{i}/test.{j}", card_of(test, name=name, **changes), 10 * i + j, home / "faces")
    put(home / "runs/0/test.2/failure.json", failed_of("dfdc", protocol="demo tiny, seed 0", recipe_key="row0"))
    return home / "runs"


def write_run(folder: Path, card: ScoreCard, seed: int, faces: Path | None = None) -> None:
    """Write predictions of a test and a validation set, and their scorecard."""
    folder.mkdir(parents=True)
    metadata = PredictionsMetadata(
        official=40,
        cell=card.cell,
        params=28_000,
        flops=2_500_000_000,
        dropped=[],
        faces=str(faces),
        throughput=Throughput(score_images_per_s=100.0 + seed),
    )
    write_predictions(folder / "predictions.parquet", frames_of(seed), metadata)
    val = frames_of(card.cell.seed + 100)
    write_predictions(folder.parent / "val/predictions.parquet", val.assign(video="val/" + val["video"]), metadata)
    made = score_once(folder / "predictions.parquet", val, metadata.model_dump_json())
    told = {"score": Scoring(draws=50), "provenance": card.provenance}
    put(folder / "scorecard.json", made.model_copy(update=told))


SCORED: dict[tuple[str, str], ScoreCard] = {}


def score_once(predictions: Path, val: pd.DataFrame, metadata: str) -> ScoreCard:
    """Make the scorecard once for all tests that write the same predictions."""
    key = (file_hash(predictions), metadata)
    if key not in SCORED:
        point = fit_operating_point(val)
        SCORED[key] = make_scorecard(
            predictions, point.threshold, 50, temperature=point.temperature, source=point.source
        )
    return SCORED[key]


@pytest.fixture(scope="session")
def scored() -> Callable[..., None]:
    return write_run
