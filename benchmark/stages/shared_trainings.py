"""One training shared by several processes, each on its own device: started here (`--devices`), or all by torchrun.

Rank 0 is the command itself: it plans, validates, saves and prints. The others only process their part of each batch:
rank 0 sends them what they need when a training begins.
"""

from __future__ import annotations

import itertools
import pickle
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, NamedTuple

from ...detectors import create_from
from ..core.contracts import InspectsTrainingSet, PlacesNetwork, Scores, Trainable, TrainingSession, make_contract_error
from ..core.device_names import CPU, CUDA
from ..core.errors import BenchError
from ..core.keys import code_hash
from ..core.readers import shorten
from ..core.registry import Entry, MemoryEntry, import_target
from ..core.settings import TrainSettings
from ..core.shared_steps import JoinsRanks, RankLeftError, Ranks, check_pieces, gather_rows
from ..core.torchrun import read_rank
from ..core.workers import WorkerPool, available_cores, start_process
from .training_batches import Batches

if TYPE_CHECKING:
    from torch.distributed import Store, TCPStore

    from ...detectors.common_torch.ranks import TorchRanks
    from .cells import Cell

START_S = 300.0  # For other ranks to come up: importing torch from a slow disk takes minutes.
POLL_S = 0.1
END_S = 10.0  # For started processes to end by themselves.
OVER = "over"
"""The word that ends the sequence of trainings."""


@cache
def _meet() -> Store:
    """Return the store through which torchrun's processes find each other."""
    from torch import distributed as dist

    try:
        store, *_ = next(dist.rendezvous("env://"))
    except (RuntimeError, ValueError) as error:
        raise BenchError(f"torchrun's processes can't find each other: {str(error).splitlines()[0]}") from None
    return store


# ---- before any work


def check_sharing(detector: Scores, entry: Entry, settings: TrainSettings, devices: int) -> None:
    """Check that this many devices can share a detector's training.

    Raises:
        BenchError: they can't, or there are fewer.
    """
    if isinstance(entry, MemoryEntry):
        raise BenchError(f"{entry.name} exists only in this process's memory. With --devices, name it as file.py:Class")
    if entry.backend == "jax":
        raise BenchError(f"JAX already spreads {entry.name}'s batches over all devices. Leave out --devices")
    check_pieces(detector, entry.name, "--devices")
    if settings.compile:
        raise BenchError("train.compile can't be combined with --devices. Leave out one of the two")
    if settings.batch_size < devices:
        raise BenchError(f"train.batch_size={settings.batch_size} gives --devices {devices} less than one frame each")
    kind = _find_kind(detector)
    rank = read_rank()
    wanted, there = rank.local_count if rank else devices, _count_devices(kind)
    if wanted > there:
        here = f"{there} {'processor cores' if kind == CPU else f'devices of kind {kind}'}"
        raise BenchError(f"--devices {wanted} is more than this machine has: {here}")


def _find_kind(detector: Scores) -> str:
    return str(detector.device).partition(":")[0] if isinstance(detector, PlacesNetwork) else CPU


def _count_devices(kind: str) -> int:
    if kind != CUDA:
        return available_cores() if kind == CPU else 1
    import torch

    return torch.cuda.device_count()


# ---- rank 0


class Steps(NamedTuple):
    """The remaining steps of a training, starting with `first`."""

    batches: Batches
    first: int
    total: int
    per_epoch: int


@dataclass(frozen=True)
class Job:
    """A training's description for the other ranks; its `Steps` follow once they have imported the needed code."""

    cell: Cell
    kind: str
    code: str | None
    workers: int
    sharing: int


class Greeting(NamedTuple):
    """What must be the same for all ranks."""

    command: str
    crossfake: str
    torch: str


@dataclass(frozen=True)
class Crew:
    """The processes that share a cell's training with this one, rank 0: torchrun's, or started for that training.

    `workers` is the number of processes that prepare data, over all ranks of a machine.
    """

    cell: Cell
    devices: int
    workers: int

    @contextmanager
    def gather(self, detector: Scores, session: TrainingSession, steps: Steps) -> Iterator[Ranks]:
        """Take steps together with the other ranks inside the block; they start with rank 0's weights.

        Raises:
            BenchError: a rank doesn't start, has another command or version, or is gone.
        """
        if not isinstance(session, JoinsRanks):
            raise make_contract_error(session, JoinsRanks, self.cell.entry.name, "--devices")
        from ...detectors.common_torch.ranks import write_word

        rank, entry = read_rank(), self.cell.entry
        here = rank.local_count if rank else self.devices
        workers = max(1, self.workers // here) if self.workers else 0
        job = Job(self.cell, _find_kind(detector), code_hash(entry), workers, 1 if rank else here)
        with nullcontext(_meet()) if rank else _start_others(self.devices) as store:
            number = store.add("trainings", 1)
            write_word(store, f"training {number}", job)
            with _join(job, store, number, 0, self.devices) as ranks:
                ranks.broadcast(pickle.dumps(steps))
                session.join(ranks)
                yield ranks


@contextmanager
def _join(job: Job, store: Store, number: int, rank: int, count: int) -> Iterator[TorchRanks]:
    """Be one of a training's ranks inside the block; if it fails, tell the others why."""
    from torch.distributed import PrefixStore

    from ...detectors.common_torch.ranks import TorchRanks

    own, seed, cuda = PrefixStore(f"training {number}", store), job.cell.seed, job.kind == CUDA
    ranks, reason = TorchRanks(own, rank, count, seed=seed, cuda=cuda, sharing=job.sharing), "it ended"
    try:
        yield ranks
        reason = ""
    except Exception as error:
        reason = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {shorten(error)}"
        raise
    finally:
        ranks.leave(reason)


@contextmanager
def _start_others(devices: int) -> Iterator[Store]:
    """Start the other ranks on this machine, and end them at the end; yield their meeting point."""
    from ...detectors.common_torch.ranks import write_word

    store = _open_store(devices)
    started = [start_process(_follow_here, store.port, number, devices) for number in range(1, devices)]
    try:
        _await_greetings(store, _make_greeting(""), devices, started)
        yield store
    finally:
        write_word(store, OVER, "")
        for process in started:
            process.join(END_S)
            process.kill()


def _open_store(devices: int) -> TCPStore:
    """Return a meeting point that only this machine reaches: by itself, it would listen to the whole network."""
    from torch.distributed import TCPStore

    with socket.create_server(("127.0.0.1", 0)) as server:
        port, listening = server.getsockname()[1], server.detach()
    return TCPStore("127.0.0.1", port, devices, is_master=True, wait_for_workers=False, master_listen_fd=listening)


@contextmanager
def lead(command: str) -> Iterator[None]:
    """Be torchrun's rank 0 inside the block: the others follow its trainings, and end with it.

    Raises:
        BenchError: a rank doesn't start, or has another command or version.
    """
    from ...detectors.common_torch.ranks import write_word

    rank, store = read_rank(), _meet()
    try:
        _await_greetings(store, _make_greeting(command), rank.ranks if rank else 1)
        yield
    finally:
        write_word(store, OVER, "")


def _await_greetings(store: Store, own: Greeting, ranks: int, processes: Sequence[BaseProcess] = ()) -> None:
    from ...detectors.common_torch.ranks import read_word

    started = time.monotonic()
    for rank in range(1, ranks):
        name = f"greeting {rank}"
        while not store.check([name]):
            if ended := [p.exitcode for p in processes if p.exitcode is not None]:
                raise BenchError(f"a --devices process ended before starting work (exit code {ended[0]}), see above")
            if time.monotonic() - started > START_S:
                raise BenchError(f"rank {rank} of {ranks} didn't start within {START_S:.0f} s")
            time.sleep(POLL_S)
        other: Greeting = read_word(store, name)
        for what, mine, theirs in zip(own._fields, own, other, strict=True):
            if mine != theirs:
                told = f"rank {rank} has {what} '{shorten(theirs)}', rank 0 has {what} '{shorten(mine)}'"
                raise BenchError(f"all ranks must have the same command and versions: {told}")


def _make_greeting(command: str) -> Greeting:
    return Greeting(command, version("crossfake"), version("torch"))


# ---- the other ranks


def follow(command: str) -> None:
    """Take part in rank 0's trainings, as one of torchrun's other ranks, until it ends.

    Raises:
        BenchError: rank 0 is gone, or this rank can't go on.
    """
    rank = read_rank()
    assert rank
    _follow(_meet(), rank.number, rank.ranks, rank.local, command)


def _follow_here(port: int, number: int, devices: int) -> None:
    """Take part in one training as a process that rank 0 started; rank 0 reports what goes wrong."""
    from torch.distributed import TCPStore

    with suppress(BenchError):
        _follow(TCPStore("127.0.0.1", port, devices, is_master=False), number, devices, number, "")


def _follow(store: Store, rank: int, count: int, local: int, command: str) -> None:
    from ...detectors.common_torch.ranks import write_word

    write_word(store, f"greeting {rank}", _make_greeting(command))
    for number in itertools.count(1):
        job = _await_training(store, number)
        if job is None:
            return
        try:
            with _join(job, store, number, rank, count) as ranks:
                _take_part(job, ranks, local)
        except RankLeftError as error:
            if error.rank:  # If rank 0 gives up a training, it may have others.
                raise


def _await_training(store: Store, number: int) -> Job | None:
    from ...detectors.common_torch.ranks import read_word

    try:
        while not store.check([f"training {number}"]):
            if store.check([OVER]):
                return None
            time.sleep(POLL_S)
        found: Job = read_word(store, f"training {number}")
    except RuntimeError as error:
        raise BenchError(f"rank 0 is gone ({str(error).splitlines()[0]})") from None
    return found


def _take_part(job: Job, ranks: TorchRanks, local: int) -> None:
    """Take this rank's part of a training's steps."""
    entry = job.cell.entry
    if entry.plugin:
        import_target(entry.plugin)
    if code_hash(entry) != job.code:
        raise BenchError(f"{entry.target} differs from rank 0's")
    told: bytes = ranks.broadcast(None)
    steps: Steps = pickle.loads(told)  # from rank 0 # nosec B301
    session = _start_session(job, steps, local)
    assert isinstance(session, JoinsRanks)
    session.join(ranks)
    own = steps.batches.share(ranks.rank, ranks.count)
    with WorkerPool(job.workers) as pool:
        made = pool.map(own, range(steps.first, steps.total), entry.plugin, shares=True)
        for step, (batch, lost) in enumerate(made, steps.first + 1):
            if gather_rows(ranks, batch, lost)[0]:
                session.step(batch)
            if step % steps.per_epoch == 0:
                ranks.wait_for(step // steps.per_epoch)


def _start_session(job: Job, steps: Steps, local: int) -> TrainingSession:
    import torch

    made = create_from(job.cell.entry, job.cell.seed, **job.cell.settings.options)
    if job.cell.train and isinstance(made, InspectsTrainingSet):
        videos = job.cell.train.split("train")
        made.inspect_training_set(videos, {v.id: len(steps.batches.store.frames(v.id)) for v in videos})
    if isinstance(made, PlacesNetwork):
        made.device = torch.device(CUDA, local) if job.kind == CUDA else torch.device(job.kind)
    assert isinstance(made, Trainable)  # As it is for rank 0.
    return made.training(job.cell.settings.train, steps.total, steps.per_epoch)
