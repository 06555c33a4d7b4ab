"""A dataset's list of videos, cheap to send to another process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from ..core.types import FAKE, REAL, Video


class Listing(Sequence[Video]):
    """The videos of a dataset; other processes get only its name, and list the videos again if needed."""

    def __init__(self, name: str, root: Path, videos: Sequence[Video] | None = None):
        self.name, self.root, self._videos = name, root, videos

    def __getstate__(self) -> tuple[str, Path]:
        return self.name, self.root

    def __setstate__(self, state: tuple[str, Path]) -> None:
        self.__init__(*state)  # type: ignore[misc]

    @property
    def videos(self) -> Sequence[Video]:
        """The videos, listed on first use."""
        from ...datasets.base import load_videos

        if self._videos is None:
            self._videos = load_videos(self.name, self.root).videos
        return self._videos

    def __len__(self) -> int:
        return len(self.videos)

    @overload
    def __getitem__(self, index: int) -> Video: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Video]: ...
    def __getitem__(self, index: int | slice) -> Video | Sequence[Video]:
        return self.videos[index]

    def __iter__(self) -> Iterator[Video]:
        return iter(self.videos)


def limit_videos(videos: list[Video], limit: int) -> list[Video]:
    """Take reals in order, then fakes of these reals, alternating between methods."""
    reals = [v for v in videos if v.label == REAL][:limit]
    ids = {v.id for v in reals}

    def order(v: Video) -> tuple[bool, str]:
        return v.original not in ids, hashlib.sha256(v.id.encode()).hexdigest()

    fakes = sorted((v for v in videos if v.label == FAKE), key=order)[:limit]
    return sorted([*reals, *fakes], key=lambda v: v.id)
