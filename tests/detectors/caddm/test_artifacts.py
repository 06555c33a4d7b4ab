"""Where CADDM sees artifacts: decoded anchors in the face's crop, the most certain first."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from crossfake.benchmark.core.types import Face
from crossfake.detectors.caddm.alignment import compute_align_matrix, make_template, shift_to_crop, to_frame_landmarks
from crossfake.detectors.caddm.artifacts import MAX_BOXES, locate_artifacts, select_strongest
from crossfake.detectors.caddm.targets import assign, decode, encode, iou, priors, to_corners

BOX = np.array([[0.2, 0.3, 0.5, 0.8]], np.float32)


def test_decoding_undoes_encoding():
    anchors = priors()[:40]
    boxes = np.tile(BOX, (40, 1))
    assert to_corners(decode(encode(boxes, anchors), anchors)) == pytest.approx(boxes, abs=1e-5)


def answers(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a perfect network's output for these boxes."""
    loc, conf = assign(boxes)
    return loc, np.stack([1 - conf, conf], 1) * 8.0


def test_a_perfect_network_gives_each_box_once():
    found = select_strongest(*answers(BOX))
    assert found == pytest.approx(BOX, abs=1e-5)


def test_overlapping_boxes_are_merged_and_their_number_is_limited():
    rng = np.random.default_rng(0)
    found = select_strongest(rng.normal(0, 0.3, (168, 4)), rng.normal(0, 2, (168, 2)))
    assert 1 <= len(found) <= MAX_BOXES
    assert (iou(found, found) - np.eye(len(found))).max() <= 0.3
    assert ((found >= 0) & (found <= 1)).all()


def test_without_artifacts_there_are_no_boxes():
    assert select_strongest(np.zeros((168, 4)), np.tile([1.0, -1.0], (168, 1))).shape == (0, 4)


@pytest.mark.parametrize("boxes_xy", [True, False])
def test_boxes_are_placed_in_the_face_crop_where_the_network_saw_them(boxes_xy):
    landmarks = np.random.default_rng(1).uniform(20, 80, (81, 2)).astype(np.float32)
    face = Face(np.zeros((120, 100, 3), np.uint8), landmarks, np.float32([20, 20, 80, 80]), 0, (7, 5), (300, 300))
    loc, conf = answers(BOX)
    detector = SimpleNamespace(
        input_size=112,
        policy=SimpleNamespace(boxes_xy=boxes_xy),
        crop=lambda face: np.zeros((112, 112, 3), np.uint8),
        outputs_of=lambda frames: {"loc": loc[None], "conf": conf[None]},
    )
    (polygons,) = locate_artifacts(detector, [face])
    assert polygons.shape == (1, 4, 2)
    matrix = shift_to_crop(compute_align_matrix(to_frame_landmarks(face), size=112), face.top_left)
    seen = np.c_[polygons[0], np.ones(4)] @ matrix.T
    x0, y0, x1, y1 = BOX[0] if boxes_xy else BOX[0][[1, 0, 3, 2]]
    assert seen[:, :2] / seen[:, 2:] / 112 == pytest.approx(
        np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), abs=1e-3
    )


def test_a_real_detector_answers_for_every_face():
    pytest.importorskip("torch", reason="needs torch")
    from crossfake.detectors import create

    made = create("caddm", backend="torch", backbone="timm:resnet10t", input_size=112)
    points = np.vstack([make_template(0.9, 112)] * 17)[:81].astype(np.float32)
    rng = np.random.default_rng(0)

    def face():
        crop, moved = rng.integers(0, 255, (112, 112, 3), np.uint8), points + rng.normal(0, 3, (81, 2))
        return Face(crop, moved.astype(np.float32), np.float32([10, 10, 100, 100]), 0, (0, 0), (112, 112))

    faces = [face() for _ in range(3)]
    found = made.artifacts(faces)
    assert len(found) == 3
    assert all(p.ndim == 3 and p.shape[1:] == (4, 2) for p in found)
