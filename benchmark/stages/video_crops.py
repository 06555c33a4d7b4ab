"""What worker processes do while videos are scored. Nothing heavy is imported here, since each of them does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.contracts import Cropper, FaceReader


@dataclass(frozen=True)
class VideoCrops:
    """Cuts all crops of a video."""

    store: FaceReader
    cropper: Cropper

    def __call__(self, video_id: str) -> np.ndarray:
        """Return the crops (n, S, S, 3) of its frames, in the store's order."""
        return np.stack([self.cropper(face) for face in self.store.faces(video_id)])
