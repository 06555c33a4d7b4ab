"""People are tracked by overlap, then by size, and across a cut."""

from __future__ import annotations

import numpy as np
from crossfake.datasets.faces.tracking import track_people
from hypothesis import given
from hypothesis import strategies as st


def square(x: float, y: float, side: float) -> list[float]:
    return [x, y, x + side, y + side]


def frames(*content: list[list[float]]) -> list[np.ndarray]:
    return [np.array(boxes, np.float32).reshape(-1, 4) for boxes in content]


def test_overlap_matters_more_than_size():
    left, right = square(0, 0, 40), square(200, 0, 80)
    grown, shrunk = square(5, 5, 80), square(210, 5, 40)  # each stays in place and takes the other's size
    assert track_people(frames([left, right], [grown, shrunk])) == [{0: 1, 1: 1}, {0: 0, 1: 0}]


def test_a_jump_is_tracked_by_size():
    large, small = square(0, 0, 80), square(300, 0, 40)
    assert track_people(frames([large, small], [square(500, 500, 42), square(160, 300, 76)])) == [
        {0: 0, 1: 1},
        {0: 1, 1: 0},
    ]


def test_the_main_person_has_the_largest_face_of_the_first_frame_with_faces():
    small, large = square(0, 0, 20), square(100, 0, 50)
    assert track_people(frames([], [small, large], [small], [large, small])) == [{1: 1, 3: 0}, {1: 0, 2: 0, 3: 1}]


def test_a_newcomer_is_not_mistaken_for_somebody_gone_for_a_frame():
    host, guest = square(0, 0, 50), square(300, 0, 48)
    seen = frames([host], [host, guest], [guest], [host, guest])
    assert track_people(seen) == [{0: 0, 1: 0, 3: 0}, {1: 1, 2: 0, 3: 1}]


def test_after_a_cut_the_remaining_face_is_used():
    assert track_people(frames([square(0, 0, 50)], [square(500, 300, 200)])) == [{0: 0, 1: 0}]


def test_frames_without_faces_give_no_people():
    assert track_people([]) == []
    assert track_people(frames([], [])) == []


boxes = st.builds(square, st.floats(0, 900), st.floats(0, 500), st.floats(0, 400))


@given(st.lists(st.lists(boxes, max_size=1), max_size=12))
def test_one_face_per_frame_is_always_the_same_person(content):
    expected = {number: 0 for number, faces in enumerate(content) if faces}
    assert track_people(frames(*content)) == ([expected] if expected else [])


@given(st.lists(st.lists(boxes, max_size=4), max_size=8))
def test_every_face_has_exactly_one_person_with_one_face_per_frame(content):
    found = track_people(frames(*content))
    places = [(number, i) for person in found for number, i in person.items()]
    assert sorted(places) == [(number, i) for number, faces in enumerate(content) for i in range(len(faces))]
    assert all(list(person) == sorted(person) for person in found)
    if found:
        first = min(number for number, faces in enumerate(content) if faces)
        sizes = [(b[2] - b[0]) * (b[3] - b[1]) for b in np.array(content[first], np.float32)]
        assert sizes[found[0][first]] == max(sizes)
