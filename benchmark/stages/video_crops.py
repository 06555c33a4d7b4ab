"""What worker processes do while videos are scored. Nothing heavy is imported here, since each of them does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..core.contracts import Cropper, FaceReader


class Chosen(NamedTuple):
    """Some of a video's faces: their places in the store's order."""

    video: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class VideoCrops:
    """Cuts all crops of a video, or those of its chosen faces."""

    store: FaceReader
    cropper: Cropper

    def __call__(self, asked: str | Chosen) -> np.ndarray:
        """Return the crops (n, S, S, 3) of its frames, in the store's order."""
        if isinstance(asked, str):
            faces = self.store.faces(asked)
        else:
            faces = [self.store.face(asked.video, place) for place in asked.places]
        return np.stack([self.cropper(face) for face in faces])
