"""One of the processes that share a PyTorch training's steps: what they exchange and sum."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch import distributed as dist

from ...benchmark.core.shared_steps import RankLeftError, Ranks
from ..common.training import Arrays
from .shared_norms import SharedNorms

Told = TypeVar("Told")
TIMEOUT = timedelta(minutes=10)
"""How long a rank waits for the others' part of a step."""
POLL_S = 0.05
LEAVE_S = 60.0


def write_word(store: dist.Store, name: str, word: object) -> None:
    """Store something under a name for the other processes of a command."""
    store.set(name, pickle.dumps(word))  # type: ignore[arg-type]  # It takes bytes, whatever its types say.


def read_word(store: dist.Store, name: str) -> Any:
    """Return what was stored under a name, which must exist."""
    return pickle.loads(store.get(name))  # from a process of this command # nosec B301


class TorchRanks(Ranks):
    """A group of processes, joined when this is made and left by `leave`; one at a time in a process.

    Args:
        store: where the ranks find each other and leave messages.
        rank, count: this rank's number, and the number of ranks.
        seed: the training's; each step's random draws follow from it.
        sharing: how many ranks share the processors that torch sees.
        cuda: add tensors up on GPUs, with NCCL; otherwise on processors, with gloo.
    """

    def __init__(self, store: dist.Store, rank: int, count: int, *, seed: int, cuda: bool = False, sharing: int = 1):
        self.store, self.rank, self.count = store, rank, count
        self.sharing, self._seed = sharing, seed
        self._all_have_it = False  # The whole batch, since some ranks have lost all of their part.
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        try:
            dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=TIMEOUT)
        except RuntimeError as error:
            self._explain(error)

    # ---- messages

    def gather(self, told: Told) -> list[Told]:
        """Return what each rank passes, in the order of ranks; all must call this at the same point."""
        found: list[Told | None] = [None] * self.count
        try:
            dist.all_gather_object(found, told)
        except RuntimeError as error:
            self._explain(error)
        return found  # type: ignore[return-value]

    def broadcast(self, told: Told | None) -> Told:
        """Return what rank 0 passes."""
        held = [told]
        try:
            dist.broadcast_object_list(held)
        except RuntimeError as error:
            self._explain(error)
        return held[0]  # type: ignore[return-value]

    def let_go_on(self, epoch: int) -> None:
        """Let the other ranks continue after an epoch."""
        write_word(self.store, f"epoch {epoch}", "")

    def wait_for(self, epoch: int) -> None:
        """Wait, as long as it takes, until rank 0 continues after an epoch.

        Raises:
            BenchError: it is gone.
        """
        self._wait_for_word(f"epoch {epoch}")

    def leave(self, reason: str = "") -> None:
        """Leave the group. A `reason` means that the work isn't done: the others then stop with that reason."""
        with suppress(RuntimeError):  # The process that holds the messages may be gone.
            write_word(self.store, f"left {self.rank}", reason)
            if not reason and not self.rank:
                for rank in range(1, self.count):
                    self._wait_for_word(f"left {rank}", LEAVE_S)
        dist.destroy_process_group()

    def _wait_for_word(self, name: str, seconds: float = float("inf")) -> None:
        started = time.monotonic()
        try:
            while not self.store.check([name]) and time.monotonic() - started < seconds:
                if self.store.check(["left 0"]) and self.rank:
                    raise RuntimeError("it left")
                time.sleep(POLL_S)
        except RuntimeError as error:
            self._explain(error)

    def _explain(self, error: RuntimeError) -> NoReturn:
        """Report which rank left, and why, if it said so."""
        with suppress(RuntimeError):
            for rank in (r for r in range(self.count) if r != self.rank and self.store.check([f"left {r}"])):
                if reason := read_word(self.store, f"left {rank}"):
                    raise RankLeftError(f"rank {rank} of {self.count} stopped: {reason}", rank) from error
        raise RankLeftError(
            f"another of this training's {self.count} processes is gone: killed, perhaps for lack of memory, or out of "
            "reach. What is finished is kept: run the command again"
        ) from error

    # ---- a step

    def seed(self, step: int) -> None:
        """Seed the draws from seed, step and rank: dropout differs between ranks, and resuming changes nothing."""
        torch.manual_seed(int(np.random.SeedSequence([self._seed, step, self.rank]).generate_state(1, np.uint64)[0]))

    def count_rows(self, own: int) -> list[int]:
        """Return how many rows each rank has; faster than `gather`."""
        counts = torch.zeros(self.count, dtype=torch.int64)
        counts[self.rank] = own
        return [int(n) for n in self.add_up(counts)]

    def share(self, batch: Arrays) -> Arrays:
        """Return this rank's part of a batch, or the whole batch on every rank if a rank has lost all of its part."""
        rows = self.count_rows(_count_rows(batch))
        self._all_have_it = any(rows) and not all(rows)
        if not self._all_have_it:
            return batch
        parts = [part for part in self.gather(batch) if _count_rows(part)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def share_norms(self) -> AbstractContextManager[object]:
        """Return a context in which batch norms see the images of all ranks."""
        return nullcontext() if self._all_have_it else SharedNorms(self.add_up)

    def add_up(self, tensor: Tensor) -> Tensor:
        """Return the sum of all ranks' tensors, which have the same shape; `tensor` is overwritten."""
        try:
            dist.all_reduce(tensor)
        except RuntimeError as error:
            self._explain(error)
        return tensor

    def add_up_each(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the sums of all ranks' tensors, in one message."""
        whole = self.add_up(torch.cat([tensor.detach().flatten() for tensor in tensors]))
        parts = whole.split([tensor.numel() for tensor in tensors])
        return [part.view_as(tensor).to(tensor.dtype) for part, tensor in zip(parts, tensors, strict=True)]

    def add_up_gradients(self, parameters: Iterable[nn.Parameter], losses: dict[str, Tensor]) -> dict[str, Tensor]:
        """Set gradients to the sums over all ranks, and return the losses' sums.

        A parameter that no rank's loss reaches has no gradient, as in one process.
        """
        trained = [p for p in parameters if p.requires_grad]
        counts = self.add_up(torch.tensor([p.grad is not None for p in trained], dtype=torch.int32))
        reached = [p for p, count in zip(trained, counts.tolist(), strict=True) if count]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in reached]
        sums = self.add_up_each([*gradients, *losses.values()])
        for p, gradient in zip(reached, sums, strict=False):
            p.grad = gradient
        return dict(zip(losses, sums[len(reached) :], strict=True))


def _count_rows(batch: Arrays) -> int:
    return len(next(iter(batch.values()), ()))
