from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from crossfake.datasets.demo.world import render_world


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render_world(tmp_path_factory.mktemp("demo") / "tiny", "tiny")


@pytest.fixture(scope="session")
def read_frames() -> Callable[[Path], np.ndarray]:
    def read(path: Path) -> np.ndarray:
        """Return (F, H, W, 3) float32 RGB, 0..255."""
        with av.open(str(path)) as container:
            return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)]).astype(np.float32)

    return read
