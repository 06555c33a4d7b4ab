"""crossfake's checkpoints: safetensors under the reference's key names, with their origin in the header."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, cast

from .contracts import SavesWeights
from .errors import BenchError
from .readers import parse_json, read_safetensors_metadata, shorten
from .registry import Entry, detectors
from .storage import write_atomically

FINGERPRINT = 16
"""Hexadecimal digits of the fingerprint of a video's content."""


class TrainedOn(TypedDict, total=False):
    """What a checkpoint was trained on.

    `selection` is what it was selected on, `videos` the joined fingerprints of its training and validation videos
    (missing in earlier checkpoints).
    """

    dataset: str
    world: str
    seed: int
    selection: str
    videos: str
    precision: str
    started_from: str


class CheckpointHeader(TypedDict, total=False):
    """What a checkpoint was made from; empty if crossfake didn't write it.

    It holds everything that the trained weights depend on (see `Cell.train_content`), and the training data.
    """

    version: int
    detector: str
    backend: str
    code: str | None
    options: dict[str, object]
    tag: str
    faces: dict[str, object]
    finder: int
    train: dict[str, object] | None
    checkpoint: str | None
    data: str
    seed: int
    lost: str
    groups: str
    trained_on: TrainedOn


TYPE_CLASS = "If it is a class of your own, type it: --detector FILE.py:CLASS"
KINDS: dict[str, type] = {"detector": str, "tag": str, "options": dict, "faces": dict, "trained_on": dict}
"""The types of a header's values."""
TRAINED_ON_KINDS: dict[str, type] = dict.fromkeys(
    ("dataset", "world", "selection", "videos", "precision", "started_from"), str
)
"""The types of the values of its `trained_on`."""


CHECKSUM = re.compile(rb'(?<=\\"crc32\\": \\")[0-9a-f]{8}(?=\\"})')
"""The header's last value: the CRC-32 of the whole file with zeros in its place."""
UNKNOWN = "0" * 8


def save(detector: SavesWeights, path: Path, content: CheckpointHeader) -> None:
    """Write a detector's weights, with their origin and a checksum of the file in the header."""
    from safetensors.numpy import save_file

    with write_atomically(path) as temporary:
        save_file(detector.state(), temporary, metadata={"crossfake": json.dumps({**content, "crc32": UNKNOWN})})
        with temporary.open("r+b") as file:
            written = file.read()
            if place := CHECKSUM.search(written):
                file.seek(place.start())
                file.write(b"%08x" % zlib.crc32(written))


def check_checksum(path: Path) -> None:
    """Check a .safetensors file against its checksum; files without one pass.

    Raises:
        BenchError: the checksum doesn't match.
    """
    header = read_safetensors_metadata(path).get("crossfake", "")
    if '"crc32": ' not in header:
        return
    content = path.read_bytes()
    place = CHECKSUM.search(content)
    whole = place and content[: place.start()] + UNKNOWN.encode() + content[place.end() :]
    if not (place and whole) or b"%08x" % zlib.crc32(whole) != place[0]:
        raise BenchError(f"{path} is damaged: its checksum doesn't match; download it again")


def is_safetensors(path: Path) -> bool:
    """Recognise a .safetensors file by its content, or by its name if the content isn't torch's either."""
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{":
        return True
    return path.suffix.lower() == ".safetensors" and not start.startswith((b"PK", b"\x80"))


def read_header(path: Path) -> CheckpointHeader:
    """Return what a checkpoint was made from; {} if crossfake didn't write it.

    Raises:
        BenchError: no such file, or its header isn't what crossfake writes.
    """
    if not path.is_file():
        raise BenchError(f"no checkpoint {path}. Give a .safetensors file, or the reference's .pkl or .pth")
    if not is_safetensors(path):
        return {}
    try:
        packed = read_safetensors_metadata(path).get("crossfake", "{}")
    except BenchError:
        return {}  # Loading it reports the problem.
    content = parse_json(packed, dict, f"the header of {path}")
    content.pop("crc32", None)
    _check_kinds(content, KINDS, path)
    trained_on = content.get("trained_on", {})
    _check_kinds(trained_on, TRAINED_ON_KINDS, path)
    if not re.fullmatch(rf"([0-9a-f]{{{FINGERPRINT}}})*", trained_on.get("videos", "")):
        raise BenchError(
            f"the header of {path} has videos = {shorten(trained_on['videos'])}, which crossfake never writes"
        )
    return cast(CheckpointHeader, content)


def _check_kinds(content: Mapping[str, object], kinds: Mapping[str, type], path: Path) -> None:
    for name, kind in kinds.items():
        if not isinstance(content.get(name, kind()), kind):
            raise BenchError(
                f"the header of {path} has {name} = {shorten(content[name])}, which crossfake never writes"
            )


def find_named_detector(header: CheckpointHeader, checkpoint: Path | None, backend: str = "") -> Entry:
    """Return the registered detector that a checkpoint's header names: a file never chooses code to run.

    Raises:
        BenchError: it names none, or a user's own class, which must be typed again.
    """
    name = header.get("detector", "")
    if not name:
        ways = "" if checkpoint else "--checkpoint FILE, or "
        problem = f"{checkpoint} doesn't name its detector" if checkpoint else "no detector named"
        raise BenchError(f"{problem}. Give {ways}--detector NAME. See: bench list detectors")
    if not detectors.is_registered(name):
        raise BenchError(
            f"{checkpoint} says it is of {shorten(name)}, which is not a registered detector. {TYPE_CLASS}"
        )
    return detectors.find_registered(name, backend)
