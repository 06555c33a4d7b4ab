"""The list of videos that take no part, as `--exclude` names it."""

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
    """Read which videos take no part: an id or a path a line; `#` begins a remark.

    Raises:
        BenchError: there is no such file, it is no text, or it names no video.
    """
    if not path.is_file():
        raise BenchError(f"no list {path}. --exclude takes a text file with one video's id or path per line")
    lines = map(str.strip, read_text(path).splitlines())
    found = frozenset(line.removeprefix("./") for line in lines if line and not line.startswith("#"))
    if not found:
        raise BenchError(f"{path} names no video. --exclude takes a text file with one video's id or path per line")
    return found


def check_excluded(path: Path, names: frozenset[str], sources: Iterable[DataSource], reporter: Reporter) -> None:
    """Say which names of an exclude list are no video's here.

    Raises:
        BenchError: none is; tells one, and the nearest id.
    """
    ids = {name for source in sources for v in source.videos for name in (v.id, str(v.path))}
    unknown = sorted(names - ids)
    if not unknown:
        return
    ending = unknown[0].rpartition("/")[2]
    near = [i for i in sorted(ids) if i.endswith(ending)] or sorted(ids)[:1000]  # All of a large set would take long.
    first = f"first: {shorten(unknown[0])}.{did_you_mean(unknown[0], near)}"
    told = f"{len(unknown)} of {len(names)} lines of {path} name no video of these datasets; {first}"
    if len(unknown) == len(names):
        raise BenchError(f"{told} Write ids as scorecards and predictions have them")
    reporter.say(f"note: {told}")
