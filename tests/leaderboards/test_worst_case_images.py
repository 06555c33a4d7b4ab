"""The worst mistakes: which videos and faces are shown, and in what order."""

from __future__ import annotations

import base64
import shutil

import cv2
import numpy as np
import pytest
from crossfake.benchmark.core.types import Face
from crossfake.benchmark.stages.worst_cases import CASES_PER_LABEL
from crossfake.leaderboards.load import load_cards
from crossfake.leaderboards.worst_case_images import OUTLINE, SIZE, cut_face, load_worst_cases


@pytest.fixture
def card(runs):
    return next(c for c in load_cards(runs) if c.cell.name == "meso4" and c.cell.test == "celebdf")


def test_misses_and_false_alarms_come_worst_first(card):
    found = load_worst_cases(card)
    misses, alarms = found["misses"], found["false alarms"]
    threshold = card.threshold.value
    assert 0 < len(misses) <= CASES_PER_LABEL
    assert all(m.video.startswith("fake/") and m.method == "Swap" and m.score < threshold for m in misses)
    assert all(m.video.startswith("real/") and m.score >= threshold for m in alarms)
    assert [m.score for m in misses] == sorted(m.score for m in misses)
    assert [m.score for m in alarms] == sorted((m.score for m in alarms), reverse=True)


def test_a_face_is_a_small_picture_of_the_frame_that_was_scored(card):
    shown = [m for kind in load_worst_cases(card).values() for m in kind if m.image]
    assert shown
    for m in shown:
        head, _, content = m.image.partition(",")
        assert head == "data:image/jpeg;base64"
        image = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (SIZE, SIZE, 3)
        red = 20 * (int(m.video[5:7]) % 10)
        assert abs(int(image[48, 48, 2]) - red) < 8


def test_without_a_store_or_predictions_less_is_shown(card, tmp_path):
    shutil.copy(card.predictions_path, tmp_path / "p.parquet")
    moved = card.model_copy(update={"predictions": str(tmp_path / "p.parquet"), "faces": str(tmp_path / "gone")})
    assert all(m.image == "" for kind in load_worst_cases(moved).values() for m in kind)
    long = card.model_copy(update={"faces": "a" * 5000})
    assert all(m.image == "" for kind in load_worst_cases(long).values() for m in kind)
    assert load_worst_cases(card.model_copy(update={"predictions": str(tmp_path / "none.parquet")})) == {}


def test_the_crop_is_the_square_around_the_box():
    crop = np.zeros((60, 80, 3), np.uint8)
    crop[20:40, 30:50] = 255
    face = Face(crop, np.zeros((81, 2), np.float32), np.array([30, 20, 50, 40], np.float32), 0, (0, 0), (80, 60))
    image = cut_face(face)
    inside = image[48 - 34 : 48 + 34, 48 - 34 : 48 + 34]  # The box is 1 / 1.3 of the square, or 74 pixels.
    assert inside.min() > 250
    assert image[:6].max() < 5


def test_suspected_artifacts_are_outlined_in_place():
    crop, box = np.zeros((60, 80, 3), np.uint8), np.float32([30, 20, 50, 40])
    face = Face(crop, np.zeros((81, 2), np.float32), box, 0, (0, 0), (80, 60))
    image = cut_face(face, [[[30, 20], [50, 20], [50, 40], [30, 40]]])
    drawn = np.argwhere(image.any(-1))
    assert drawn.min(0) == pytest.approx([11, 11], abs=2)  # The box's corner: 48 - 96 / 1.3 / 2.
    assert drawn.max(0) == pytest.approx([85, 85], abs=2)
    assert tuple(image[48, drawn[:, 1].min() : drawn[:, 1].min() + 3].max(0)) == pytest.approx(OUTLINE, abs=40)


def test_outlined_mistakes_are_distinguished_from_others(card):
    video = load_worst_cases(card)["misses"][0].video
    seen = card.model_copy(update={"artifacts": {video: [[(12, 12), (25, 12), (25, 25), (12, 25)]]}})
    found = load_worst_cases(seen)["misses"]
    assert [m.outlined for m in found] == [m.video == video for m in found]
