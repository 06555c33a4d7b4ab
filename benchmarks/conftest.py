"""Shared by all benchmarks: one core, and the home folder isn't touched. README.md describes the conventions."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest


@pytest.fixture(scope="session", autouse=True)
def one_core(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Times are for one core: OpenCV's threads are turned off here, others by OMP_NUM_THREADS=1."""
    cv2.setNumThreads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def data() -> Path:
    """The small files that tests and benchmarks share."""
    return Path(__file__).resolve().parents[1] / "tests" / "data"
