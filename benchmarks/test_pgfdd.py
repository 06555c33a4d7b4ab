"""PG-FDD's scores by the short path, with one encoder, compared with the released code's path through all three."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crossfake.benchmark.core.checkpoints import save
from crossfake.detectors import create

IMAGES = 8
WAYS = pytest.mark.parametrize("exact", [False, True], ids=["short", "exact"])
HELD = """
import ctypes, sys
import numpy as np
from crossfake.detectors import create

def resident():
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # Give back what the weights drawn at the start took.
    return 4096 * int(open("/proc/self/statm").read().split()[1])

create("pgfdd").score(np.zeros((1, 64, 64, 3), np.uint8))
before = resident()
detector = create("pgfdd", exact=sys.argv[2] == "True").load(sys.argv[1])
detector.score(np.zeros((1, 64, 64, 3), np.uint8))
print(resident() - before)
"""

STEP = """
import resource, sys
import numpy as np
from crossfake.benchmark.core.settings import TrainSettings
from crossfake.detectors import create
from crossfake.detectors.pgfdd import network

network.measure_free_memory = lambda device: 0  # With checkpointing, memory is always short.
pairs, rng = int(sys.argv[1]), np.random.default_rng(0)
label = np.repeat([0, 1], pairs)
batch = {
    "image": rng.integers(0, 256, (2 * pairs, 256, 256, 3), dtype=np.uint8),
    "label": label,
    "label_spe": label * rng.integers(1, 6, 2 * pairs),
    "intersec_label": rng.integers(0, 8, 2 * pairs),
}
settings = TrainSettings(balance=True, batch_size=2 * pairs, optimizer="sgd", sharpness="sam")
create("pgfdd", checkpointing=sys.argv[2] == "True").training(settings, 1, 1).step(batch)
print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (IMAGES, 256, 256, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "pgfdd.safetensors"
    save(create("pgfdd"), path, {})
    return path


def bytes_of(benchmark: Any, code: str, *arguments: object) -> int:
    """Run code in a separate process, and return the number that it prints; it goes into `extra_info`."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    how = {"capture_output": True, "check": True}
    found = int(benchmark.pedantic(subprocess.run, args=(command,), kwargs=how, rounds=1).stdout)
    benchmark.extra_info["bytes"] = found
    return found


@WAYS
@pytest.mark.benchmark(group="pgfdd: score 8 images of 256 px")
def test_score(benchmark, checkpoint, frames, exact) -> None:
    detector = create("pgfdd", exact=exact).load(checkpoint)
    scores = benchmark.pedantic(detector.score, args=(frames,), rounds=3, warmup_rounds=1)
    benchmark.extra_info["images_a_second"] = IMAGES / benchmark.stats.stats.min
    np.testing.assert_allclose(scores, create("pgfdd", exact=not exact).load(checkpoint).score(frames), atol=1e-6)


@WAYS
@pytest.mark.benchmark(group="pgfdd: load a checkpoint and score")
def test_memory(benchmark, checkpoint, exact) -> None:
    """The time is that of a whole process; what counts is `bytes`, the additional memory after loading."""
    print(f"  {bytes_of(benchmark, HELD, checkpoint, exact) / 2**20:.0f} MiB held")


@pytest.mark.parametrize("checkpointing", [True, False])
@pytest.mark.parametrize("pairs", [2, pytest.param(16, marks=pytest.mark.slow)])
@pytest.mark.benchmark(group="pgfdd: a training step")
def test_training_memory(benchmark, pairs, checkpointing) -> None:
    """What counts is `bytes`, the peak memory of a process that took one step with pairs of 256 px."""
    print(f"  {pairs} pairs: {bytes_of(benchmark, STEP, pairs, checkpointing) / 2**30:.2f} GiB at most")
