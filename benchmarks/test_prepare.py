"""Preparing a 10 s 720p video, compared with decoding every frame and running dlib's HOG detector, as others do."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from crossfake.benchmark.core.settings import FaceSettings
from crossfake.benchmark.core.types import Video
from crossfake.datasets.faces.prepare import prepare
from crossfake.datasets.faces.sampling import choose_frames

FRAMES, RATE = 250, 25
SAMPLED = 32


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph of a face moving over a blurred copy of it, with noise: 1280 x 720, H.264, 10 s."""
    astronaut = pytest.importorskip("skimage.data").astronaut()
    rng = np.random.default_rng(0)
    background = cv2.GaussianBlur(cv2.resize(astronaut, (1280, 1280))[280:1000], (0, 0), 12)
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "23", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for i in range(FRAMES):
            frame = background.copy()
            x, y = round(384 + 300 * np.sin(i / 40)), round(104 + 90 * np.cos(i / 25))
            frame[y : y + 512, x : x + 512] = astronaut
            noisy = np.clip(frame + rng.normal(0, 3, frame.shape[:2])[..., None], 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
        container.mux(stream.encode())
    return path


def ours(film: Path, folder: Path) -> int:
    """Decode, detect, place 81 landmarks, track, crop, write the store."""
    store = prepare([Video("film.mp4", film, 0, "real", "test")], FaceSettings(finder="mediapipe"), folder)
    return len(store)


def everything_and_hog(film: Path) -> int:
    """Decode every frame, run the HOG detector with one upsampling on the sampled ones: no landmarks, no store."""
    dlib = pytest.importorskip("dlib")
    detector = dlib.get_frontal_face_detector()
    video = cv2.VideoCapture(str(film), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    sampled = [cv2.cvtColor(frames[i], cv2.COLOR_BGR2RGB) for i in choose_frames(len(frames), SAMPLED)]
    return sum(bool(detector(frame, 1)) for frame in sampled)


@pytest.mark.benchmark(group="prepare 10 s of 720p")
def test_ours(benchmark, film, tmp_path):
    folders = (tmp_path / str(i) for i in range(99))
    found = benchmark.pedantic(lambda: ours(film, next(folders)), rounds=3, warmup_rounds=1)
    assert found == SAMPLED


@pytest.mark.benchmark(group="prepare 10 s of 720p")
def test_every_frame_and_dlibs_hog(benchmark, film):
    found = benchmark.pedantic(lambda: everything_and_hog(film), rounds=2)
    assert found >= 0.9 * SAMPLED
