"""Verbs that torchrun can start as several processes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import wraps

from ..core.errors import BenchError
from ..core.torchrun import read_rank


def share_with_ranks(action: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Wrap a verb's action: if torchrun started several processes, all but the first only follow trainings."""

    @wraps(action)
    def act(arguments: argparse.Namespace) -> int:
        if (rank := read_rank()) is None:
            return action(arguments)
        from ..stages.shared_trainings import follow, lead

        if arguments.devices not in (None, rank.ranks):
            raise BenchError(f"torchrun has started {rank.ranks} processes, a device each. Leave out --devices")
        if rank.number:
            follow(arguments.command)
            return 0
        arguments.devices = rank.ranks
        with lead(arguments.command):
            return action(arguments)

    return act
