import cv2
import numpy as np
import pytest
from crossfake.datasets.faces.boxes import compute_area, compute_iou
from crossfake.datasets.faces.crop import compute_context_rectangle, cut_context_crop
from hypothesis import given
from hypothesis import strategies as st

FRAME = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)


def test_rectangle_is_centred_and_of_the_longer_side():
    landmarks = np.array([[60.0, 40.0], [80.0, 70.0]])
    assert compute_context_rectangle(landmarks, 2.0, (160, 120)) == (40, 25, 100, 85)


def test_rectangle_is_clipped_to_the_frame_and_missing_outside_it():
    assert compute_context_rectangle(np.array([[-20.0, 90.0], [20.0, 130.0]]), 2.0, (160, 120)) == (0, 70, 40, 120)
    assert compute_context_rectangle(np.array([[-90.0, 0.0], [-60.0, 30.0]]), 2.0, (160, 120)) is None


@given(st.floats(-50, 200), st.floats(-50, 200), st.floats(1, 300), st.floats(1, 4))
def test_rectangle_holds_all_landmarks_that_are_in_the_frame(x, y, side, context):
    rectangle = compute_context_rectangle(np.array([[x, y], [x + side, y + side / 2]]), context, (160, 120))
    if rectangle:
        x0, y0, x1, y1 = rectangle
        assert 0 <= x0 <= max(x, 0)
        assert 0 <= y0 <= max(y, 0)
        assert min(x + side, 160) <= x1 <= 160
        assert min(y + side / 2, 120) <= y1 <= 120


def test_crop_has_the_frames_exact_pixels_and_coordinates_shift_with_it(stub):
    detection = stub.detection(60, 40, 30, 30)
    face = cut_context_crop(FRAME, 7, detection, 1.5)
    x, y = face.top_left
    height, width = face.crop.shape[:2]
    assert np.array_equal(face.crop, FRAME[y : y + height, x : x + width])
    assert np.allclose(face.landmarks + face.top_left, detection.landmarks)
    assert np.allclose(face.box + np.array([x, y, x, y]), detection.box)
    assert (face.frame, face.frame_size) == (7, (160, 120))
    assert face.landmarks.dtype == face.box.dtype == np.float32


def test_warp_of_the_crop_equals_the_same_warp_of_the_frame(stub):
    face = cut_context_crop(FRAME, 0, stub.detection(60, 40, 30, 30), 3.0)
    whole = np.array([[1.2, 0.3, -60.0], [-0.3, 1.2, -40.0]])
    within = whole.copy()
    within[:, 2] += whole[:, :2] @ face.top_left
    from_frame, from_crop = (cv2.warpAffine(i, m, (40, 40)) for i, m in ((FRAME, whole), (face.crop, within)))
    assert np.array_equal(from_frame, from_crop)


def test_overlap_is_intersection_over_union():
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 3]], np.float32)
    assert compute_iou(boxes[0], boxes) == pytest.approx([1, 1 / 3, 0, 0])
    assert compute_area(np.array([[4, 4, 2, 9]])) == 0
