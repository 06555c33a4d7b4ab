"""How far the 68 points taken from Face Mesh are from those of dlib's predictor: the table in docs/faces.md.

    python benchmarks/landmark_error.py shape_predictor_68_face_landmarks.dat [VIDEO...]

on the two photographs in scikit-image and matplotlib, and on 8 frames of each video.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import dlib
import numpy as np
import pandas as pd
from crossfake.datasets.faces.boxes import compute_iou
from crossfake.datasets.faces.dlib81 import compute_dlib_box
from crossfake.datasets.faces.finder import load_finder
from crossfake.datasets.faces.sampling import VideoFile, choose_frames


def pictures(videos: list[Path]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and uint8 (H, W, 3) RGB pictures."""
    import matplotlib
    import skimage.data

    yield "astronaut", skimage.data.astronaut()
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    yield "grace_hopper", cv2.cvtColor(cv2.imread(str(hopper)), cv2.COLOR_BGR2RGB)
    for video in videos:
        clip = VideoFile(video)
        yield from ((video.stem, frame) for _, frame in clip.frames(choose_frames(clip.reported_frames, 8)))


def points(predictor: dlib.shape_predictor, frame: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return dlib's (68, 2) points within a box (4,)."""
    shape = predictor(frame, dlib.rectangle(*np.rint(box).astype(int).tolist()))
    return np.array([(p.x, p.y) for p in shape.parts()])


def main(predictor_file: str, *videos: str) -> None:
    """Print mean distances, relative to the distance between the outer eye corners, for each picture."""
    finder, detector = load_finder("mediapipe"), dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(predictor_file)
    rows = []
    for name, frame in pictures([Path(v) for v in videos]):
        hogs = np.array([[r.left(), r.top(), r.right(), r.bottom()] for r in detector(frame, 1)], float).reshape(-1, 4)
        for face in finder.find(frame):
            drawn = compute_dlib_box(face.landmarks)
            if not len(hogs) or (shared := compute_iou(drawn, hogs)).max() < 0.3:
                continue  # dlib doesn't find this face: there is nothing to compare.
            theirs = points(predictor, frame, hogs[shared.argmax()])
            apart = np.linalg.norm(face.landmarks[:68] - theirs, axis=1)
            again = np.linalg.norm(points(predictor, frame, drawn) - theirs, axis=1)
            unit = np.linalg.norm(theirs[36] - theirs[45])
            rows.append([name, *(d.mean() / unit for d in (apart[17:], apart[:17], again))])
    table = pd.DataFrame(rows, columns=["picture", "inner (17-67)", "jaw (0-16)", "dlib within our box"])
    means = table.groupby("picture").mean()
    means.insert(0, "faces", table.groupby("picture").size())
    means.loc["all faces"] = [len(table), *table.drop(columns="picture").mean()]
    print(means.round(3).to_markdown())


if __name__ == "__main__":
    main(*sys.argv[1:])
