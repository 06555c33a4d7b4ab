"""The list of videos to leave out, from `--exclude`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import BenchError, did_you_mean
from ..core.progress import Reporter
from ..core.readers import read_text, shorten

if TYPE_CHECKING:
    from .sources import DataSource


def read_exclude_list(path: Path) -> frozenset[str]:
    """Read which videos to leave out: one id or path per line; `#` starts a comment.

    Raises:
        BenchError: there is no such file, it isn't text, or it names no video.
    """
    if not path.is_file():
        raise BenchError(f"no list {path}. --exclude takes a text file with one video's id or path per line")
    lines = map(str.strip, read_text(path).splitlines())
    found = frozenset(line.removeprefix("./") for line in lines if line and not line.startswith("#"))
    if not found:
        raise BenchError(f"{path} names no video. --exclude takes a text file with one video's id or path per line")
    return found


def check_excluded(path: Path, names: frozenset[str], sources: Iterable[DataSource], reporter: Reporter) -> None:
    """Report names in an exclude list that match no video here.

    Raises:
        BenchError: none matches; shows one name and the closest id.
    """
    ids = {name for source in sources for v in source.videos for name in (v.id, str(v.path))}
    unknown = sorted(names - ids)
    if not unknown:
        return
    ending = unknown[0].rpartition("/")[2]
    near = [i for i in sorted(ids) if i.endswith(ending)] or sorted(ids)[:1000]  # All would be slow.
    first = f"first: {shorten(unknown[0])}.{did_you_mean(unknown[0], near)}"
    told = f"{len(unknown)} of {len(names)} lines of {path} match no video of these datasets; {first}"
    if len(unknown) == len(names):
        raise BenchError(f"{told} Write ids as in scorecards and predictions")
    reporter.say(f"note: {told}")
