from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest


@pytest.fixture(scope="session")
def tiny(tiny_world: Path) -> Path:
    return tiny_world


@pytest.fixture(scope="session")
def read_frames() -> Callable[[Path], np.ndarray]:
    def read(path: Path) -> np.ndarray:
        """Return (F, H, W, 3) float32 RGB, 0..255."""
        with av.open(str(path)) as container:
            return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)]).astype(np.float32)

    return read
