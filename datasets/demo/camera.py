"""What surrounds the faces: light, background, the camera's blur and noise, and the video file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ...benchmark.core.storage import write_atomically
from .face_grid import Image, make_fractal_noise, smoothstep, to_colour_tuple
from .motion import FRAME

RATE = 25  # frames per second of the files
NOISE_SHEET = 640  # pixels


@dataclass(frozen=True)
class Camera:
    """How a dataset was filmed; pairs are ends of uniform ranges.

    `noise` and `blur` are standard deviations, of intensities 0..1 and in pixels; `exposure` scales the light;
    `crf` is the H.264 quality (lower is better); `liveliness` scales the poses.
    """

    noise: tuple[float, float]
    blur: tuple[float, float]
    exposure: tuple[float, float]
    crf: int
    liveliness: float


CAMERAS = {
    "ffpp": Camera(noise=(0.008, 0.016), blur=(0.3, 0.6), exposure=(0.85, 1.10), crf=20, liveliness=1.0),
    "celebdf": Camera(noise=(0.006, 0.014), blur=(0.3, 0.75), exposure=(0.80, 1.15), crf=22, liveliness=1.0),
    "dfd": Camera(noise=(0.006, 0.012), blur=(0.3, 0.6), exposure=(0.90, 1.10), crf=20, liveliness=1.1),
    "dfdc": Camera(noise=(0.010, 0.030), blur=(0.3, 1.0), exposure=(0.50, 1.0), crf=25, liveliness=1.3),
}


@dataclass(frozen=True, eq=False)
class Light:
    """A distant lamp: unit `direction` to it, its strengths, and the (3,) RGB tint of all light."""

    direction: np.ndarray
    ambient: float
    diffuse: float
    specular: float
    colour: np.ndarray


def draw_light(rng: np.random.Generator, camera: Camera) -> Light:
    """Draw a lamp from above, left or right of the camera."""
    side, height = rng.normal() * 0.7, rng.uniform(-0.9, -0.1)
    direction = np.array([np.sin(side), np.sin(height), np.cos(side) * np.cos(height)])
    exposure, ambient = rng.uniform(*camera.exposure), rng.uniform(0.35, 0.6)
    return Light(
        direction=direction / np.linalg.norm(direction),
        ambient=ambient * exposure,
        diffuse=(1.02 - ambient) * exposure * 1.1,
        specular=rng.uniform(0.02, 0.10) * exposure,
        colour=np.array([1 + rng.normal() * 0.05, 1, 1 + rng.normal() * 0.07]),
    )


def draw_background(rng: np.random.Generator) -> np.ndarray:
    """Draw a blurred room, (FRAME, FRAME, 3) uint8 RGB: a wall with a gradient and stains, furniture, lamps."""
    wall, other = _draw_muted_colour(rng), _draw_muted_colour(rng)
    gradient = rng.normal(size=2) @ np.stack(np.meshgrid(*[np.linspace(-1, 1, FRAME)] * 2)).reshape(2, -1)
    mix = smoothstep(-2, 2, 0.6 * make_fractal_noise(rng, FRAME, 3, 4) + gradient.reshape(FRAME, FRAME))[..., None]
    room = np.ascontiguousarray(255 * (wall * mix + other * (1 - mix)), np.uint8)
    for _ in range(int(rng.integers(1, 6))):
        corner, size = rng.integers(0, FRAME, 2), rng.integers(10, FRAME // 2, 2)
        colour = to_colour_tuple(255 * _draw_muted_colour(rng))
        cv2.rectangle(room, tuple(map(int, corner)), tuple(map(int, corner + size)), colour, -1)
    for _ in range(int(rng.integers(0, 4))):
        centre, colour = (
            rng.integers(0, FRAME, 2),
            to_colour_tuple(np.minimum(255 * _draw_muted_colour(rng) + 100, 255)),
        )
        cv2.circle(room, tuple(map(int, centre)), int(rng.integers(3, 9)), colour, -1, cv2.LINE_AA)
    return cv2.GaussianBlur(room, (0, 0), rng.uniform(0.8, 3))


def _draw_muted_colour(rng: np.random.Generator) -> np.ndarray:
    """Draw a typical colour of a room, 0..1: mostly grey, rarely vivid."""
    return np.clip(rng.uniform(0.15, 0.8) * (1 + 0.2 * rng.normal(size=3).clip(-2, 2)), 0.03, 0.95)


@lru_cache(maxsize=1)
def _make_noise_sheet() -> Image:
    return np.random.default_rng(5).standard_normal((NOISE_SHEET, NOISE_SHEET, 3), dtype=np.float32)


def expose(image: Image, rng: np.random.Generator, noise: float, blur: float) -> Image:
    """Blur an image and add sensor noise, taken from a window of one large sheet, which is cheaper."""
    image = cv2.GaussianBlur(image, (0, 0), blur)
    y, x = rng.integers(0, NOISE_SHEET - FRAME, 2)
    return np.clip(image + np.float32(noise) * _make_noise_sheet()[y : y + FRAME, x : x + FRAME], 0, 1)


def write_video(path: Path, frames: list[np.ndarray], crf: int) -> None:
    """Write uint8 RGB frames as H.264, atomically, with reproducible bytes.

    So it uses one thread and no macroblock tree: with it, x264 (core 165, AVX code) gave different bytes in a third of
    runs.
    """
    import av

    with write_atomically(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width = stream.height = FRAME
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast", "threads": "1", "x264-params": "mbtree=0"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
