"""Shared by all tests: no home folder is touched, and one tiny demo world serves the whole session."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# No deadline: machines that are busy with other work are slow now and then.
settings.register_profile("crossfake", deadline=None)
settings.load_profile("crossfake")


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(session_cache))
    monkeypatch.delenv("BENCH_DATA", raising=False)


@pytest.fixture(scope="session")
def tiny_world(session_cache: Path) -> Path:
    """The tiny demo world, where `--data demo:tiny` finds it too."""
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
