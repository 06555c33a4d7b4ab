"""CADDM's training examples from fakes, compared with deforming a frame-sized mask like the released code."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from crossfake.benchmark.core.types import FAKE, Face, TrainSample
from crossfake.datasets.faces.encodings import decode, encode
from crossfake.detectors.caddm import sampler as module
from crossfake.detectors.caddm.sampler import POLICIES, CaddmSampler
from scipy.ndimage import gaussian_filter, map_coordinates

EXAMPLES = 40


def frame_sized_elastic(mask: np.ndarray, sigma: float, alpha: float, rng: np.random.Generator) -> np.ndarray:
    """Deform all three channels of a mask with noise drawn and blurred at every pixel of the frame: uint8 (H, W)."""
    shifts = [gaussian_filter(rng.uniform(-1, 1, mask.shape), sigma, mode="constant") * alpha for _ in range(2)]
    rows, columns = np.meshgrid(*(np.arange(n) for n in mask.shape), indexing="ij")
    where = np.stack([rows + shifts[0], columns + shifts[1]])
    shaken = [map_coordinates(mask.astype(np.float64), where, order=1) for _ in range(3)]
    return np.rint(shaken[0]).astype(np.uint8)


def faces(data: Path, scale: float, size: tuple[int, int], context: float | None) -> TrainSample:
    """Return a fake and its original in frames of `size` (width, height), the face 124 x 136 times `scale` pixels.

    Crops are the whole frame, or `context` sides of the landmarks' box, as in the face store.
    """
    with np.load(data / "caddm" / "preprocessing.npz") as packed:
        landmarks = packed["landmarks"] * scale
        frames = {name: decode(packed[f"{name}.png"].tobytes()) for name in ("fake", "source")}
    middle, half = (landmarks.min(0) + landmarks.max(0)) / 2, (np.ptp(landmarks, axis=0).max() / 2) * (context or 99)
    x0, y0 = np.maximum(middle - half, 0).astype(int)
    x1, y1 = np.minimum(middle + half, size).astype(int)
    made = []
    for image in frames.values():
        frame = cv2.resize(image, None, fx=scale, fy=scale)
        beyond = size[1] - frame.shape[0], 0, size[0] - frame.shape[1]
        frame = cv2.copyMakeBorder(frame, 0, *beyond, cv2.BORDER_REFLECT)
        points = (landmarks - [x0, y0]).astype(np.float32)
        box = np.concatenate([points.min(0), points.max(0)])
        made.append(Face(np.ascontiguousarray(frame[y0:y1, x0:x1]), points, box, 0, (int(x0), int(y0)), size))
    return TrainSample(made[0], FAKE, made[1])


def make_examples(sampler: CaddmSampler, sample: TrainSample) -> int:
    """Make a number of examples, each with its own draws, and count the successful ones."""
    return sum(sampler(sample, np.random.default_rng(seed)) is not None for seed in range(EXAMPLES))


def report(benchmark, rounds: int, make) -> int:
    made = benchmark.pedantic(make, rounds=rounds, warmup_rounds=1)
    mean = benchmark.stats.stats.min / EXAMPLES
    benchmark.extra_info |= {"ms_an_example": 1e3 * mean, "examples_a_second": 1 / mean}
    print(f"  {1e3 * mean:.2f} ms per example, {1 / mean:.0f} per second")
    return made


@pytest.mark.parametrize("policy", ["paper", "reference"])
@pytest.mark.benchmark(group="40 fake examples, a face of 272 pixels at 1280x720")
def test_ours(benchmark, data, policy):
    sample = faces(data, 2, (1280, 720), context=2.0)
    assert report(benchmark, 5, partial(make_examples, CaddmSampler(policy=POLICIES[policy]), sample)) > EXAMPLES / 2


@pytest.mark.benchmark(group="40 fake examples, a face of 272 pixels at 1280x720")
def test_mask_as_large_as_the_frame(benchmark, data, monkeypatch):
    """Everything else is ours, so the ratio is only that of the mask."""
    monkeypatch.setattr(module, "shake_hull", frame_sized_elastic)
    sample = faces(data, 2, (1280, 720), context=None)
    assert report(benchmark, 1, partial(make_examples, CaddmSampler(policy=POLICIES["reference"]), sample)) > 20


@pytest.mark.parametrize("policy", ["paper", "reference"])
@pytest.mark.benchmark(group="40 fake examples, a face of 204 pixels at 640x480, decoding both crops included")
def test_from_the_store(benchmark, data, policy):
    sample, sampler = faces(data, 1.5, (640, 480), context=2.0), CaddmSampler(policy=POLICIES[policy])
    packed = [encode(face.crop, "png") for face in (sample.face, sample.original)]

    def make() -> int:
        done = 0
        for seed in range(EXAMPLES):
            fake, source = (
                Face(decode(content), f.landmarks, f.box, 0, f.top_left, f.frame_size)
                for content, f in zip(packed, (sample.face, sample.original), strict=True)
            )
            done += sampler(TrainSample(fake, FAKE, source), np.random.default_rng(seed)) is not None
        return done

    assert report(benchmark, 5, make) > EXAMPLES / 2
