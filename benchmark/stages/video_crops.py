"""Work for worker processes while videos are scored. Imports nothing heavy, since each of them imports this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..core.contracts import Cropper, FaceReader

if TYPE_CHECKING:
    from .kept_crops import KeptCrops


class Chosen(NamedTuple):
    """Some of a video's faces: their positions in the store's order."""

    video: str
    places: tuple[int, ...]


@dataclass(frozen=True)
class VideoCrops:
    """Cuts all crops of a video, or those of its chosen faces, unless they are `kept`."""

    store: FaceReader
    cropper: Cropper
    kept: KeptCrops | None = None

    def __call__(self, asked: str | Chosen) -> np.ndarray:
        """Return the crops (n, S, S, 3) of its frames, in the store's order."""
        video, places = (asked, None) if isinstance(asked, str) else asked
        if self.kept and (crops := self.kept.read(video, places)) is not None:
            return crops
        faces = self.store.faces(video) if places is None else [self.store.face(video, place) for place in places]
        return np.stack([self.cropper(face) for face in faces])
