"""The frames of the demo world: a fake differs from its real source only in the face."""

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.settings import FaceSettings
from crossfake.benchmark.core.workers import WorkerPool
from crossfake.datasets.demo.shots import render_shot
from crossfake.datasets.demo.world import plan_world, read_ground_truth, render_world
from crossfake.datasets.faces.prepare import find_faces
from sklearn.metrics import roc_auc_score

CORNER = 24
MOST_CORNER_DIFFERENCE = 2.0  # of 255, after the codec


def corners(frames: np.ndarray) -> np.ndarray:
    """Return the two upper corners and a strip of each side, which no head ever covers."""
    return np.concatenate([frames[:, : 4 * CORNER, :CORNER], frames[:, : 4 * CORNER, -CORNER:]], axis=1)


def sources_by_name(root: Path) -> dict[str, str]:
    """Map each fake to the real video that the official naming or metadata implies; DFDC's test set has neither."""
    sources = {}
    for path in sorted(root.rglob("*.mp4")):
        name = path.relative_to(root).as_posix()
        if found := re.search(r"(?:Deepfakes|Face\w+|Neural\w+)/c23/videos/(\d{3})_\d{3}\.mp4$", name):
            sources[name] = f"FaceForensics++/original_sequences/youtube/c23/videos/{found[1]}.mp4"
        elif found := re.search(r"DeepFakeDetection/c23/videos/(\d\d)_\d\d__(\w+)__\w{8}\.mp4$", name):
            sources[name] = f"FaceForensics++/original_sequences/actors/c23/videos/{found[1]}__{found[2]}.mp4"
        elif found := re.search(r"Celeb-synthesis/(id\d+)_id\d+_(\d{4})\.mp4$", name):
            sources[name] = f"Celeb-DF-v2/Celeb-real/{found[1]}_{found[2]}.mp4"
    for metadata in root.glob("DFDC/train/*/metadata.json"):
        folder = metadata.parent.relative_to(root).as_posix()
        for name, row in json.loads(metadata.read_text()).items():
            if row["label"] == "FAKE":
                sources[f"{folder}/{name}"] = f"{folder}/{row['original']}"
    return sources


def test_names_and_ground_truth_agree_on_the_sources(tiny):
    table = read_ground_truth(tiny).drop_duplicates("video").set_index("video")
    known = table.source[table.label == 1].to_dict()
    with (tiny / "DFDC/test/labels.csv").open() as file:
        unnamed = {f"DFDC/test/{row['filename']}" for row in csv.DictReader(file) if row["label"] == "1"}
    assert unnamed
    assert sources_by_name(tiny) == {video: source for video, source in known.items() if video not in unnamed}


def test_fakes_equal_their_real_sources_outside_the_manipulated_box(tiny, read_frames):
    table = read_ground_truth(tiny)
    fakes = table[(table.label == 1) & (table.frame == 0)]
    assert len(fakes) >= 25
    inside_differences = []
    for row in fakes.itertuples():
        fake, real = read_frames(tiny / row.video), read_frames(tiny / row.source)
        assert fake.shape == real.shape
        assert np.abs(corners(fake) - corners(real)).mean() < MOST_CORNER_DIFFERENCE, row.video
        difference = np.abs(fake[0] - real[0]).mean(axis=2)
        inside = np.zeros((192, 192), bool)
        inside[int(row.y0) : int(row.y1), int(row.x0) : int(row.x1)] = True
        inside_differences.append(difference[inside].mean())
        assert difference[inside].mean() > 1.5 * difference[~inside].mean(), row.video
    assert np.median(inside_differences) > 5


def test_corners_of_other_videos_do_differ(tiny, read_frames):
    rows = read_ground_truth(tiny).drop_duplicates("video")
    reals = rows[rows.label == 0].video
    tops = [corners(read_frames(tiny / video)[:1]) for video in reals]
    pairs = [(a, b) for k, a in enumerate(tops) for b in tops[:k]]
    assert min(np.abs(a - b).mean() for a, b in pairs) > MOST_CORNER_DIFFERENCE


def test_landmarks_of_a_fake_are_those_of_its_source(tiny):
    table = read_ground_truth(tiny)
    reals = table[table.label == 0].set_index(["video", "frame"]).landmarks
    for row in table[table.label == 1].itertuples():
        assert np.array_equal(row.landmarks, reals[row.source, row.frame])


def test_faces_fit_the_frame(tiny):
    points = np.stack(read_ground_truth(tiny).landmarks.to_list()).reshape(-1, 81, 2)
    low, high = points.min(axis=1), points.max(axis=1)
    assert low.min() > 0
    assert high.max() < 192
    jaw = np.linalg.norm(points[:, 16] - points[:, 0], axis=1)
    assert 60 < np.percentile(jaw, 5) < np.percentile(jaw, 95) < 105
    left_eye, right_eye, mouth = points[:, 36:42].mean(1), points[:, 42:48].mean(1), points[:, 48:68].mean(1)
    assert (left_eye[:, 0] < right_eye[:, 0]).all()
    assert (mouth[:, 1] > np.maximum(left_eye[:, 1], right_eye[:, 1])).all()


def background(frame: np.ndarray) -> np.ndarray:
    """Return the grey levels of the two strips next to the head, (2, 96, 24)."""
    grey = frame.mean(axis=2)
    return np.stack([grey[:96, :CORNER], grey[:96, -CORNER:]])


def cues(root: Path, video: str, landmarks: np.ndarray, frames: np.ndarray) -> dict[str, float]:
    """Measure properties of a video that must not reveal whether it is fake."""
    red, green, blue = frames.mean(axis=(0, 1, 2))
    low, high = landmarks[:, :68].min(axis=1).mean(axis=0), landmarks[:, :68].max(axis=1).mean(axis=0)
    sharpness = [cv2.Laplacian(strip, cv2.CV_32F).var() for strip in background(frames[len(frames) // 2])]
    return {
        "file size": (root / video).stat().st_size,
        "bytes a frame": (root / video).stat().st_size / len(frames),
        "frames": len(frames),
        "red": red,
        "green": green,
        "blue": blue,
        "luma": 0.299 * red + 0.587 * green + 0.114 * blue,
        "background sharpness": float(np.mean(sharpness)),
        "face x": (low + high)[0] / 2,
        "face y": (low + high)[1] / 2,
        "face size": float((high - low).max()),
    }


def aucs(rows: list[dict[str, float]], labels: list[int]) -> dict[str, float]:
    table = pd.DataFrame(rows)
    return {name: float(roc_auc_score(labels, table[name])) for name in table}


def assert_no_cue(found: dict[str, float]) -> None:
    assert {name: round(auc, 3) for name, auc in found.items() if not 0.35 <= auc <= 0.65} == {}


# The slow test below checks all four datasets completely.
@pytest.mark.parametrize(("dataset", "every"), [("ffpp", 10), pytest.param("celebdf", 3, marks=pytest.mark.slow)])
def test_nothing_but_the_face_separates_real_from_fake(tmp_path, read_frames, dataset, every):
    shots = [s for s in plan_world("default", 0, "standard").shots if s.dataset == dataset and s.split == "test"]
    rows, labels = [], []
    for shot in shots[::every]:
        for known in render_shot(tmp_path, shot):
            frames = read_frames(tmp_path / known.video)
            assert frames.shape == (shot.clip.frames, 192, 192, 3)
            rows.append(cues(tmp_path, known.video, known.landmarks, frames))
            labels.append(int(known.video != shot.real))
    assert len(labels) >= 12
    assert_no_cue(aucs(rows, labels))


@pytest.mark.slow
def test_no_test_set_of_the_default_world_has_a_trivial_cue(tmp_path, read_frames):
    with WorkerPool(2) as pool:
        root = render_world(tmp_path / "world", pool=pool)
    table = read_ground_truth(root)
    found = {}
    for dataset, part in table[table.split == "test"].groupby("dataset"):
        rows, labels = [], []
        for video, known in part.groupby("video"):
            points = np.stack(known.landmarks.to_list()).reshape(-1, 81, 2)
            rows.append(cues(root, video, points, read_frames(root / video)))
            labels.append(int(known.label.iloc[0]))
        found[dataset] = aucs(rows, labels)
    print("\n", pd.DataFrame(found).round(3).to_markdown())  # the table of docs/demo_world.md; shown by -s
    for of_dataset in found.values():
        assert_no_cue(of_dataset)


def test_a_cue_would_be_found():
    labels = [0] * 10 + [1] * 10
    with pytest.raises(AssertionError, match="file size"):
        assert_no_cue(aucs([{"file size": 100.0 - 3 * label + k % 5} for k, label in enumerate(labels)], labels))


def test_leak_world_copies_the_real_videos_and_changes_the_faces(tmp_path, read_frames):
    shots = plan_world("tiny", 0, "leak").shots
    old = next(s for s in shots if s.dataset == "ffpp" and s.split == "test")
    new = next(s for s in shots if s.dataset == "ffpp-new-donors")
    for shot in (old, new):
        render_shot(tmp_path, shot)
    assert (tmp_path / old.real).read_bytes() == (tmp_path / new.real).read_bytes()
    for one, other in zip(old.fakes, new.fakes, strict=True):
        a, b = read_frames(tmp_path / one.path), read_frames(tmp_path / other.path)
        assert np.abs(corners(a) - corners(b)).mean() < MOST_CORNER_DIFFERENCE
        assert np.abs(a - b)[:, 70:120, 70:120].mean() > 4


@pytest.fixture(scope="module")
def finder():
    finder_module = pytest.importorskip("crossfake.datasets.faces.finder")
    try:
        return finder_module.load_finder("mediapipe")
    except BenchError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("is_main", [True, False])
def test_the_mask_shows_which_of_two_people_was_forged(tmp_path, read_frames, finder, is_main):
    shots = [s for s in plan_world("default", 0, "standard").shots if s.dataset == "dfd"]
    shot = next(s for s in shots if s.clip.companion and s.clip.is_main == is_main)
    real, fake = render_shot(tmp_path, shot)
    masks = read_frames(tmp_path / shot.fakes[0].mask)
    assert len(masks) == len(fake.boxes) == shot.clip.frames
    for mask, (x0, y0, x1, y1) in zip(masks, fake.boxes.astype(int), strict=True):
        assert mask[y0:y1, x0:x1].mean() > 128
        assert mask.sum() == pytest.approx(mask[y0 - 4 : y1 + 4, x0 - 4 : x1 + 4].sum(), rel=0.02)
    for known in (real, fake):
        frames = [(i, image.astype(np.uint8)) for i, image in enumerate(read_frames(tmp_path / known.video)[:2])]
        for mask, found_first in ((tmp_path / shot.fakes[0].mask, True), (None, is_main)):
            found = find_faces(frames, FaceSettings(finder="mediapipe"), finder, mask)
            assert found.several == len(frames)
            for face, _ in found.faces:
                away = np.linalg.norm(face.landmarks[30] + face.top_left - known.landmarks[face.frame, 30])
                assert (away < 15) == found_first


@pytest.mark.slow
def test_the_harness_finds_every_face(tiny, read_frames, finder):
    table = read_ground_truth(tiny)
    found, errors = [], []
    for video, rows in table.groupby("video"):
        frame = read_frames(tiny / video)[3].astype(np.uint8)
        points = rows.landmarks.iloc[3].reshape(81, 2)
        faces = finder.find(frame)
        found.append(len(faces) == 1)
        if faces:
            eyes = points[36:42].mean(axis=0) - points[42:48].mean(axis=0)
            error = np.linalg.norm(faces[0].landmarks[17:68] - points[17:68], axis=1).mean()
            errors.append(error / np.linalg.norm(eyes))
    print(f"\none face in {sum(found)} of {len(found)} frames, error {np.median(errors):.3f} of the eyes' distance")
    assert np.mean(found) >= 0.95
    assert np.median(errors) < 0.12
