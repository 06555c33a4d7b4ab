"""Prepares damaged faces again and repeats the work that reads them."""

from __future__ import annotations

from collections.abc import Callable

from ..core.progress import Reporter
from ..core.types import T


def remake_damaged(use: Callable[[], T], reporter: Reporter, forget: Callable[[], object] = lambda: None) -> T:
    """Run work that prepares and reads faces; repeat it once if a shard of the face store turns out to be damaged.

    That shard is removed, so that it is prepared again; `forget` is called first.

    Raises:
        DamagedShardError: another shard is damaged too.
    """
    from ...datasets.faces.face_store import DamagedShardError

    try:
        return use()
    except DamagedShardError as error:
        reporter.say(f"{error.finding}: its faces are prepared again")
        error.path.unlink(missing_ok=True)
        forget()
    return use()
