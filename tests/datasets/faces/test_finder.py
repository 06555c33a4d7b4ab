from itertools import pairwise

import cv2
import numpy as np
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.datasets.demo.world import read_ground_truth
from crossfake.datasets.faces.finder import load_finder
from crossfake.datasets.faces.landmarks import TABLE, convert_mesh
from crossfake.datasets.faces.mediapipe import (
    AnchorLayout,
    Candidate,
    choose_smaller_sides,
    compute_upright_map,
    cut_square,
    enclose_frame,
    merge_overlapping,
    tile_squares,
)
from crossfake.datasets.faces.sampling import VideoFile


@pytest.fixture(scope="module")
def finder():
    return load_finder("mediapipe")


@pytest.fixture(scope="module")
def shots(demo):
    """Real and fake frames of the demo world with their true landmarks: (frame, (81, 2)) pairs."""
    table = read_ground_truth(demo)
    found = []
    for video, rows in table.groupby("video"):
        known = dict(zip(rows["frame"], rows["landmarks"], strict=True))
        found += [(frame, known[i].reshape(81, 2)) for i, frame in VideoFile(demo / video).frames([0, 5])]
    return found


def error(points, true):
    """Mean distance of dlib's points 17 to 67 (all but the jaw), relative to that of the outer eye corners."""
    return np.linalg.norm(points - true, axis=1)[17:68].mean() / np.linalg.norm(true[36] - true[45])


def test_faces_of_the_demo_world_are_found(finder, shots):
    found = [finder.find(frame) for frame, _ in shots]
    assert sum(len(f) == 1 for f in found) >= 0.95 * len(shots)


def test_landmarks_match_those_of_the_demo_world(finder, shots):
    pairs = [(found[0].landmarks, true) for frame, true in shots if (found := finder.find(frame))]
    assert np.mean([error(p, t) for p, t in pairs]) < 0.06
    eyes = [np.array([p[36:42].mean(0), p[42:48].mean(0)]) - [t[36:42].mean(0), t[42:48].mean(0)] for p, t in pairs]
    assert np.abs(np.mean(eyes, axis=(0, 1))).max() < 1  # pixels: no shift to one side


def test_frames_without_a_face_have_none(finder):
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    assert finder.find(noise) == []
    assert finder.find(np.zeros((500, 400, 3), np.uint8)) == []
    assert finder.find(np.zeros((1, 1, 3), np.uint8)) == []


def test_turned_face_is_found_with_turned_landmarks(finder, shots):
    frame, true = shots[0]
    side = frame.shape[0]
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), 30, 1)
    turned = cv2.warpAffine(frame, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    (found,) = finder.find(turned)
    moved = true @ matrix[:, :2].T + matrix[:, 2]
    assert error(found.landmarks, moved) < 0.1


def test_small_face_in_a_wide_frame_is_found(finder, shots):
    frame, true = shots[0]
    small = cv2.resize(frame, (150, 150), interpolation=cv2.INTER_AREA)
    wide = np.full((720, 1280, 3), 90, np.uint8)
    wide[500:650, 1000:1150] = small
    (found,) = finder.find(wide)
    assert error(found.landmarks, true * 150 / frame.shape[0] + [1000, 500]) < 0.15


def test_two_faces_are_both_found(finder, shots):
    pair = np.hstack([shots[0][0], shots[-1][0]])
    left, right = sorted(finder.find(pair), key=lambda d: d.box[0])
    assert left.box[2] < pair.shape[1] / 2 < right.box[0]
    assert 0.5 < left.score <= 1


def test_finding_gives_the_same_result_each_time(finder, shots):
    frame = shots[1][0]
    first, second = finder.find(frame)[0], load_finder("mediapipe").find(frame)[0]
    assert np.array_equal(first.landmarks, second.landmarks)
    assert np.array_equal(first.box, second.box)


def test_an_unknown_finder_gets_the_nearest_name_as_a_suggestion():
    with pytest.raises(BenchError, match=r"no face finder named 'mediapip'\. Did you mean 'mediapipe'\?"):
        load_finder("mediapip")


def test_table_has_81_points_each_once_and_mirrored():
    assert len(TABLE) == 81
    assert len({frozenset(p) if isinstance(p, tuple) else p for p in TABLE}) == 81


def test_mesh_points_are_selected_by_the_table():
    mesh = np.stack([np.arange(468), -np.arange(468)], axis=1)
    points = convert_mesh(mesh)
    assert points.shape == (81, 2)
    assert points.dtype == np.float32
    assert points[8].tolist() == [152, -152]  # the chin
    assert points[1].tolist() == [129.5, -129.5]  # between 127 and 132


def test_anchors_are_as_the_models_expect():
    short = AnchorLayout(128, ((8, 2), (16, 6)), 0.5).make_anchors()
    assert short.shape == (896, 2)
    assert short[:3].tolist() == [[0.03125, 0.03125], [0.03125, 0.03125], [0.09375, 0.03125]]
    assert short[512].tolist() == [0.0625, 0.0625]
    assert AnchorLayout(192, ((4, 1),), 0.6).make_anchors().shape == (2304, 2)


@pytest.mark.parametrize(
    ("size", "sides"), [((720, 1280), [720, 360]), ((192, 192), []), ((360, 640), [360]), ((400, 400), [200])]
)
def test_smaller_squares_are_searched_only_where_they_show_more(size, sides):
    frame = np.zeros((*size, 3), np.uint8)
    assert choose_smaller_sides(frame) == sides
    for side in sides:
        squares = tile_squares(frame, side)
        assert {(s.x, s.y) for s in squares} >= {(0, 0), (size[1] - side, size[0] - side)}
        columns = sorted({s.x for s in squares})
        assert all(b - a <= side * 2 / 3 for a, b in pairwise(columns))


def test_square_is_cut_with_black_around_the_frame():
    frame = np.full((60, 100, 3), 200, np.uint8)
    square = cut_square(frame, enclose_frame(frame), 50)
    assert square.shape == (50, 50, 3)
    assert (square[:10] == 0).all()
    assert (square[10:40] == 200).all()
    assert (square[40:] == 0).all()


def test_upright_square_levels_the_eyes():
    matrix = compute_upright_map(np.array([50.0, 40.0]), 96, np.array([[40.0, 30.0], [60.0, 50.0]]))
    assert matrix @ [96, 96, 1] == pytest.approx([50, 40])
    assert np.linalg.norm(matrix[:, 0]) == pytest.approx(0.5)
    assert matrix[:, 0] / 0.5 == pytest.approx([2**-0.5, 2**-0.5])


def test_overlapping_candidates_are_merged_by_score():
    def candidate(score: float, x: float) -> Candidate:
        return Candidate(score, np.array([x, 0, x + 10, 10.0]), np.array([[x, 3], [x + 5, 3.0]]))

    first, second = merge_overlapping([candidate(0.4, 2), candidate(0.9, 100), candidate(0.8, 0.5)])
    assert (first.score, first.box[0]) == (0.9, 100)
    assert second.score == 0.8
    assert second.box[0] == pytest.approx((0.8 * 0.5 + 0.4 * 2) / 1.2)
    assert merge_overlapping([]) == []
