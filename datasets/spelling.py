"""How people spell splits, labels, folders and file names: one interpretation for all adapters."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from ..benchmark.core.types import FAKE, REAL

# What OpenCV and FFmpeg decode. No .gif: it may be a picture or a video, and its 256 colours hide artifacts.
_FILMS = "mp4 m4v mov avi mkv webm mpg mpeg vob ts mts m2ts wmv asf flv f4v 3gp 3g2 ogv y4m"
_PICTURES = "jpg jpeg jpe jfif jp2 png bmp dib webp avif tif tiff ppm pgm pnm"
VIDEO_SUFFIXES = frozenset(f".{kind}" for kind in _FILMS.split())
PICTURE_SUFFIXES = frozenset(f".{kind}" for kind in _PICTURES.split())
MEDIA_SUFFIXES = VIDEO_SUFFIXES | PICTURE_SUFFIXES

SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
# Words that clearly name a class, and words that do if nothing else in the path does (GenImage, Kaggle).
CLASS_WORDS = {"real": REAL, "reals": REAL, "fake": FAKE, "fakes": FAKE}
OTHER_CLASS_WORDS = {
    **dict.fromkeys(("original", "originals", "nature", "natural", "genuine", "pristine", "authentic"), REAL),
    **dict.fromkeys(("manipulated", "ai", "synthetic", "generated", "forged", "deepfake", "deepfakes"), FAKE),
}
# Words without meaning for class or split: `real_images`, `0_real`, `train_set`.
FILLERS = frozenset(("0", "1", "video", "videos", "image", "images", "frames", "face", "faces", "data", "set"))


class FolderName(NamedTuple):
    """What a folder's name says: the split, the label, and whether it is one of CLASS_WORDS; None if nothing."""

    split: str | None = None
    label: int | None = None
    certain: bool = False


def parse_folder_name(name: str) -> FolderName:
    """Read a folder's name if all its words are known: `Validation`, `0_real`, `training_fake`, `nature`."""
    words = [w for w in re.split(r"[\s_.-]+", name.casefold()) if w and w not in FILLERS]
    labels = {CLASS_WORDS.get(w, OTHER_CLASS_WORDS.get(w)) for w in words if w not in SPLIT_WORDS}
    splits = {SPLIT_WORDS[w] for w in words if w in SPLIT_WORDS}
    if None in labels or len(labels) > 1 or len(splits) > 1:
        return FolderName()
    certain = any(w in CLASS_WORDS for w in words)
    return FolderName(next(iter(splits), None), next(iter(labels), None), certain)


def get_suffix(name: str) -> str:
    """Return the suffix in lower case: `.mp4` for `x/a.MP4`."""
    name = name.rpartition("/")[2]  # Plain strings: pathlib would take seconds for a million frames.
    dot = name.rfind(".")
    return name[dot:].lower() if 0 < dot < len(name) - 1 else ""


def get_stem(path: str) -> str:
    """Return a file's name without folders and media suffixes: `a.b` for `x/a.b.mp4.AVI`."""
    name = path.rpartition("/")[2]
    while (dot := name.rfind(".")) > 0 and name[dot:].lower() in MEDIA_SUFFIXES:
        name = name[:dot]
    return name


def make_stem_key(path: str) -> str:
    """Return what all spellings and encodings of one video share: the path in lower case, without suffix."""
    folder, slash, _ = path.rpartition("/")
    key = f"{folder}{slash}{get_stem(path)}"
    return key.lower() if key.isascii() else unicodedata.normalize("NFC", key).casefold()
