from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from crossfake.datasets.faces.finder import Detection

Film = Callable[..., Path]


@pytest.fixture(scope="session")
def demo(tiny_world: Path) -> Path:
    return tiny_world


@pytest.fixture
def film(tmp_path) -> Film:
    """Write a video whose frame i has grey level 40 + 4 * i, so that the level gives the index."""

    def write(
        name: str = "film.mp4",
        count: int = 40,
        codec: str = "libx264",
        size: tuple[int, int] = (64, 48),
        **options: str,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", options=options) as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            stream.gop_size = 5
            stream.bit_rate = 4_000_000
            for i in range(count):
                picture = np.full((size[1], size[0], 3), 40 + 4 * i, np.uint8)
                picture[: size[1] // 4, : size[0] // 4] = 250  # marks the top left corner
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        return path

    return write


class Stub:
    """A finder that returns each red rectangle of a frame as a face."""

    def find(self, frame: np.ndarray) -> list[Detection]:
        red = (frame[..., 0] > 150) & (frame[..., 1] < 100)
        count, _, stats, _ = cv2.connectedComponentsWithStats(red.astype(np.uint8))
        return [self.detection(*stats[i, :4]) for i in range(1, count)]

    @staticmethod
    def detection(x: float, y: float, width: float, height: float) -> Detection:
        t = np.linspace(0, 2 * np.pi, 81)
        ring = np.stack([x + width * (0.5 + 0.5 * np.cos(t)), y + height * (0.5 + 0.5 * np.sin(t))], axis=1)
        return Detection(np.array([x, y, x + width, y + height], np.float32), ring.astype(np.float32), 0.9)


@pytest.fixture
def stub() -> Stub:
    return Stub()
