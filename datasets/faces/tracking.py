"""Who is who in a video: faces linked from frame to frame into people, by overlap and then by size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...benchmark.core.types import Face
from .boxes import compute_area, compute_iou

SAME_PERSON_IOU = 0.1
LIKE_SIZE = 2.0

Track = dict[int, int]
"""Where somebody is: by the frame's place in the sequence, the place of the face among that frame's."""


def group_faces_by_person(frames: Sequence[Sequence[Face]]) -> list[list[Face]]:
    """Sort the faces cut from each frame by person, the main one first; see `track_people`."""
    boxes = [np.array([face.frame_box for face in faces]).reshape(-1, 4) for faces in frames]
    return [[frames[number][i] for number, i in person.items()] for person in track_people(boxes)]


def track_people(frames: Sequence[np.ndarray]) -> list[Track]:
    """Tell the people of a video apart; the main one comes first, to whom the first frame's largest face belongs.

    A face continues the track whose last face it overlaps most; one that overlaps none, with a track left over whose
    last face's side is most like its own, up to twice. Tracks that are never seen together count as one person: so a
    cut or a leap loses nobody, and in a video with one face per frame all faces belong to one person.

    Args:
        frames: the boxes (N, 4) of each frame's faces, N from 0 on.
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
