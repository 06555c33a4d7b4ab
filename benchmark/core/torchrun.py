"""Which of several processes this is, from torchrun's variables; cluster launchers set the same ones."""

from __future__ import annotations

import os
from typing import NamedTuple

from .errors import BenchError
from .readers import shorten


class Rank(NamedTuple):
    """This process's number, from torchrun: among all, and among those on this machine."""

    number: int
    ranks: int
    local: int
    local_count: int


def read_rank() -> Rank | None:
    """Return which of several processes this is, if torchrun (or a launcher that sets its variables) started them.

    Raises:
        BenchError: a variable isn't a number.
    """
    found = [os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")]
    if not all(found) or found[1] == "1":
        return None
    local = [os.environ.get("LOCAL_RANK", "0"), os.environ.get("LOCAL_WORLD_SIZE", "1")]
    try:
        return Rank(*map(int, [*found[:2], *local]))
    except ValueError:
        told = ", ".join(f"RANK={found[0]} WORLD_SIZE={found[1]} LOCAL_RANK={local[0]}".split())
        raise BenchError(f"these variables are torchrun's, and not numbers: {shorten(told)}. Unset them") from None
