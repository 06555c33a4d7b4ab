"""Links faces from frame to frame into people, by overlap and then by size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...benchmark.core.types import Face
from .boxes import compute_area, compute_iou

SAME_PERSON_IOU = 0.1
LIKE_SIZE = 2.0

Track = dict[int, int]
"""A person's faces: by the frame's position in the sequence, the face's index in that frame."""


def group_faces_by_person(frames: Sequence[Sequence[Face]]) -> list[list[Face]]:
    """Sort the faces from each frame by person, the main one first; see `track_people`."""
    boxes = [np.array([face.frame_box for face in faces]).reshape(-1, 4) for faces in frames]
    return [[frames[number][i] for number, i in person.items()] for person in track_people(boxes)]


def track_people(frames: Sequence[np.ndarray]) -> list[Track]:
    """Separate the people in a video; the first is the main one, to whom the first frame's largest face belongs.

    A face continues the track whose last face it overlaps most. A face that overlaps none continues a remaining track
    whose last face has the most similar size (up to twice). Tracks that never appear together count as one person: so
    nobody is lost at a cut or jump, and in a video with one face per frame all faces belong to one person.

    Args:
        frames: the boxes (N, 4) of each frame's faces; N may be 0.
    """
    left = sorted(_link_faces(frames), key=lambda track: _get_entrance(track, frames))
    found = []
    while left:
        person, rest = dict(left[0]), []
        for track in left[1:]:
            if person.keys().isdisjoint(track):
                person.update(track)
            else:
                rest.append(track)
        found.append(dict(sorted(person.items())))
        left = rest
    return found


def _get_entrance(track: Track, frames: Sequence[np.ndarray]) -> tuple[int, float]:
    first, face = next(iter(track.items()))
    return first, -float(compute_area(frames[first][face]))


def _link_faces(frames: Sequence[np.ndarray]) -> list[Track]:
    tracks: list[Track] = []
    last: list[np.ndarray] = []
    for number, boxes in enumerate(frames):
        known = _match_faces(boxes, last)
        for i, box in enumerate(boxes):
            track = known.get(i, len(tracks))
            if track == len(tracks):
                tracks.append({})
                last.append(box)
            tracks[track][number] = i
            last[track] = box
    return tracks


def _match_faces(boxes: np.ndarray, last: list[np.ndarray]) -> dict[int, int]:
    """Match faces to tracks one to one, the best pairs first; return the tracks by face."""
    matched: dict[int, int] = {}
    if not len(boxes) or not last:
        return matched
    shared = np.array([compute_iou(box, np.array(last)) for box in boxes])
    sides, known = (np.log(np.maximum(compute_area(np.array(b)), 1)) / 2 for b in (boxes, last))
    unlike = np.abs(sides[:, None] - known)
    for cost, most in ((-shared, -SAME_PERSON_IOU), (unlike, np.log(LIKE_SIZE))):
        for i, track in zip(*np.unravel_index(np.argsort(cost, axis=None, kind="stable"), cost.shape), strict=True):
            if cost[i, track] < most and i not in matched and track not in matched.values():
                matched[int(i)] = int(track)
    return matched
