"""Ranks of a training as threads of one process, which imports torch only once: `train_together(2, work)`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

from crossfake.detectors.common_torch.ranks import TorchRanks
from torch import Tensor

Result = TypeVar("Result")
WAIT_S = 60


class ThreadRanks(TorchRanks):
    """`TorchRanks` without its process group: messages go through a list."""

    def __init__(self, rank: int, told: list[Any], barrier: Barrier):
        self.rank, self.count, self.sharing, self._seed, self._all_have_it = rank, len(told), 1, 0, False
        self.told, self.barrier = told, barrier

    def gather(self, told: Any) -> list[Any]:
        self.told[self.rank] = told
        self.barrier.wait(WAIT_S)
        found = list(self.told)
        self.barrier.wait(WAIT_S)
        return found

    def broadcast(self, told: Any) -> Any:
        return self.gather(told)[0]

    def add_up(self, tensor: Tensor) -> Tensor:
        parts = self.gather(tensor.clone())
        return tensor.copy_(sum(parts[1:], parts[0]))

    def seed(self, step: int) -> None:
        """Leave the random state unchanged, since all threads share it."""


def train_together(count: int, work: Callable[[TorchRanks], Result]) -> list[Result]:
    """Return the results of each rank's work."""
    told, barrier = [None] * count, Barrier(count)
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda rank: work(ThreadRanks(rank, told, barrier)), range(count)))
