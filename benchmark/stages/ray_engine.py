"""Trainings and chunks of other work as Ray tasks, on all GPUs of this machine or a cluster.

If a worker or node dies, its task runs again elsewhere: finished work is reused, and a training resumes from its last
state. Nodes share the folders for runs, data and cache, and the one in which the command is started.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ..core import environment
from ..core.device_names import CPU, CUDA, parse_device
from ..core.errors import BenchError
from ..core.packages import find_package
from ..core.precisions import AUTO
from ..core.progress import REPORT_EVERY, Reporter, Tick
from ..core.workers import Item, Result, WorkerPool, available_cores
from .cells import Cell, group_cells
from .engines import EngineChoice, parse_engine

if TYPE_CHECKING:
    from ..core.scorecard import Card
    from .ray_types import NotesActor, Ray, Remote, Task
    from .runner import RunOptions

RETRIES = 3  # How often a task is repeated after its worker or node died.
ANSWERS_WITHIN = 3.0  # Seconds.
POLL_S = 0.5
AHEAD = 2  # Items in flight per processor.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # With empty settings (RFC 9113).


def check_ray(choice: EngineChoice) -> None:
    """Check that Ray is installed, and that its address answers: Ray itself would try for minutes.

    Raises:
        BenchError: it isn't, or it doesn't.
    """
    if find_package("ray") is None:
        raise BenchError("--engine ray needs Ray: pip install 'crossfake[ray]', on every node")
    address = choice.address or environment.read(environment.RAY_ADDRESS)
    place = address.removeprefix("ray://")
    if place in ("", "auto", "local"):
        return
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port[:6]) < 65536:
        raise BenchError(f"--address {address[:60]} is not HOST:PORT, such as 10.0.0.1:6379")
    if problem := _find_silence(host.strip("[]"), int(port)):
        raise BenchError(f"no Ray cluster answers at {address} ({problem}). Start one: ray start --head")


def _find_silence(host: str, port: int) -> str:
    """Return why nothing answers like a gRPC server, with HTTP/2 frames; empty if one does."""
    try:
        with socket.create_connection((host, port), ANSWERS_WITHIN) as connection:
            connection.settimeout(ANSWERS_WITHIN)
            connection.sendall(_GREETING)
            return "" if connection.recv(9)[3:4] == b"\x04" else "something else is there"
    except OSError as error:
        return error.strerror or str(error)


@contextmanager
def connect(choice: EngineChoice) -> Iterator[Ray]:
    """Yield the module `ray`, connected to its cluster or to a local one that ends with the block.

    Raises:
        BenchError: there is no cluster.
    """
    import ray

    known = {name: environment.read(name) for name in environment.VARIABLES if name != environment.RAY_ADDRESS}
    variables = {name: value for name, value in known.items() if value}
    address = choice.address or environment.read(environment.RAY_ADDRESS) or "local"
    try:
        ray.init(
            address, runtime_env={"env_vars": variables}, log_to_driver=False, logging_level="ERROR", namespace="bench"
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        told = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BenchError(f"no Ray cluster at {address}: {told}. Start one: ray start --head") from None
    try:
        yield ray
    finally:
        ray.shutdown()


class Need(NamedTuple):
    """The resources that a task requests, under Ray's names."""

    num_cpus: int
    num_gpus: int


def find_need(nodes: Sequence[Mapping[str, float]], gpus: int, workers: int, device: str = AUTO) -> Need:
    """Return what a training needs: its GPUs with their share of a node's processors, or a whole node's processors.

    Args:
        nodes: the resources of each node.
        gpus: GPUs per training, if there are any.
        workers: the requested processes; the default, the number of cores here, doesn't apply to other nodes.
        device: the kind of device to use: `cpu` ignores GPUs, `cuda` requires them.

    Raises:
        BenchError: no node has that many GPUs, or any.
    """
    most = 0 if device == CPU else int(max((node.get("GPU", 0) for node in nodes), default=0))
    if device == CUDA and not most:
        raise BenchError("no device cuda here: no node of the Ray cluster has a GPU. Use --device cpu")
    if most and most < gpus:
        raise BenchError(f"no node has {gpus} GPUs, the largest has {most}. Use --gpus-per-group {most} or fewer")
    if most:
        shares = [node.get("CPU", 1) * gpus / node["GPU"] for node in nodes if node.get("GPU", 0) >= gpus]
    else:
        shares = [node["CPU"] for node in nodes if node.get("CPU")]
    share = int(min(shares, default=1))
    asked = share if workers == available_cores() else workers
    return Need(max(1, min(asked, share)), gpus if most else 0)


class Note(NamedTuple):
    """A group's message: a line, or a task's progress."""

    group: int
    text: str
    done: int = 0
    total: int = 0


class Notes:
    """Holds groups' messages until the command reads them; an actor on the command's own node."""

    def __init__(self) -> None:
        self.held: list[Note] = []

    def tell(self, note: Note) -> None:
        """Store a note."""
        self.held.append(note)

    def take(self) -> list[Note]:
        """Return and clear the stored notes."""
        taken, self.held = self.held, []
        return taken


class RelayedReporter(Reporter):
    """Logs like other reporters, but passes what it would print to `tell`."""

    def __init__(self, group: int, tell: Callable[[Note], object]):
        super().__init__(quiet=True)
        self.group, self.tell = group, tell

    def say(self, line: str) -> None:
        """Pass on a line, and log it."""
        super().say(line)
        self.tell(Note(self.group, line))

    @contextmanager
    def _print_lines(self, label: str) -> Iterator[Tick]:
        last = 0.0

        def tick(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= 1:
                last = time.monotonic()
                self.tell(Note(self.group, label, done, total))

        yield tick


class View:
    """Shows all groups together: their lines after their names, and every 30 seconds each one's progress."""

    def __init__(self, reporter: Reporter, names: Sequence[str]):
        self.reporter, self.names = reporter, names
        self.at: dict[int, Note] = {}
        self.done: set[int] = set()
        self.last = time.monotonic()

    def show(self, notes: Iterable[Note]) -> None:
        """Read new messages from groups."""
        for note in notes:
            if note.total:
                self.at[note.group] = note
            else:
                self.reporter.say(f"{self.names[note.group]}: {note.text}")
        if time.monotonic() - self.last >= REPORT_EVERY:
            self.last = time.monotonic()
            self.reporter.say(self.describe())

    def finish(self, group: int) -> None:
        """Note that a group is done."""
        self.done.add(group)
        self.at.pop(group, None)

    def describe(self) -> str:
        """Describe everyone's progress in one line."""
        running = [f"{self.names[i]}: {n.text}, {n.done} of {n.total}" for i, n in sorted(self.at.items())]
        return "; ".join([f"{len(self.done)} of {len(self.names)} trainings done", *running])


def run_on_ray(cells: Sequence[Cell], options: RunOptions) -> Iterator[tuple[Cell, Card]]:
    """Run each training with its test sets as one task; a group whose tasks all died has failures."""
    choice, groups = parse_engine(options.engine), group_cells(cells)
    with connect(choice) as ray:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        need = find_need(nodes, choice.gpus, options.pool.workers, parse_device(cells[0].device).kind)
        options.reporter.say(
            f"Ray: {len(nodes)} nodes; each of {len(groups)} trainings gets {need.num_cpus} processors and "
            f"{need.num_gpus} GPUs"
        )
        view = View(options.reporter, [f"{group[0].name} seed {group[0].seed}" for group in groups])
        notes = _start_notes(ray)
        work = ray.remote(max_retries=RETRIES, **need._asdict())(run_group)
        workers, folder = min(options.pool.workers, need.num_cpus), os.getcwd()
        waiting = {
            work.remote(group, number, notes, workers, options.batch_size, options.command, folder): number
            for number, group in enumerate(groups)
        }
        while waiting:
            done, _ = ray.wait(list(waiting), timeout=POLL_S)
            told = ray.get(notes.take.remote())
            view.show(told)
            for task in done:
                number = waiting.pop(task)
                view.finish(number)
                yield from zip(groups[number], _fetch(ray, task, groups[number], options), strict=True)


def _start_notes(ray: Ray) -> NotesActor:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(num_cpus=0, scheduling_strategy=here)(Notes).remote()


def _fetch(ray: Ray, task: Task[list[Card]], group: Sequence[Cell], options: RunOptions) -> list[Card]:
    """Return a task's scorecards; if it was lost for good, failures that say why."""
    from .run_folder import record_failure

    try:
        return ray.get(task)
    except ray.exceptions.RayError as error:
        return [record_failure(cell, options, _describe(error)) for cell in group]


def _describe(error: Exception) -> str:
    """Describe in one line how a task ended."""
    cause = getattr(error, "cause", None) or error
    return f"on Ray: {type(cause).__name__}: {(str(cause).strip() or 'no details').splitlines()[0]}"


def run_group(
    group: list[Cell], number: int, notes: NotesActor, workers: int, batch_size: int, command: str, folder: str
) -> list[Card]:
    """Run the cells of a training in this Ray process, as `--engine inline` does."""
    from .runner import RunOptions, run

    _enter(folder)
    reporter = RelayedReporter(number, notes.tell.remote)
    with WorkerPool(workers) as pool:
        return run(group, RunOptions(reporter, pool, batch_size, command=command))


def _enter(folder: str) -> None:
    """Change to the folder in which the command was started: paths may be relative to it."""
    try:
        os.chdir(folder)
    except OSError:
        told = f"{socket.gethostname()} has no folder {folder}"
        raise BenchError(f"{told}: start the command in a folder that all nodes share") from None


class RayPool(WorkerPool):
    """All processors of a Ray cluster as worker processes; connects when there is work."""

    def __init__(self, choice: EngineChoice):
        super().__init__(1)
        self.choice = choice
        self._connection = ExitStack()
        self._ray: Ray | None = None

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        plugin: str = "",
        *,
        ordered: bool = True,
        shares: bool = False,
    ) -> Iterator[Result]:
        """Yield function(item) for every item, each as a task on one processor; see `WorkerPool.map`.

        Results come through Ray's own shared memory, whatever `shares` says.

        Raises:
            BenchError: a task and its retries were lost.
            Exception: whatever the function raises.
        """
        ray = self._connect()
        work: Remote[Task[Result]] = ray.remote(num_cpus=1, max_retries=RETRIES)(_apply)
        sent = ray.put(function)
        waiting: list[Task[Result]] = []
        try:
            for item in items:
                waiting.append(work.remote(sent, item, plugin, os.getcwd()))
                if len(waiting) > AHEAD * self.workers:
                    yield _take(ray, waiting, ordered)
            while waiting:
                yield _take(ray, waiting, ordered)
        finally:
            for task in waiting:
                ray.cancel(task, force=True)

    def _connect(self) -> Ray:
        if self._ray is None:
            self._ray = self._connection.enter_context(connect(self.choice))
            self.workers = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        return self._ray

    def close(self) -> None:
        """Disconnect from the cluster; another `map` reconnects."""
        self._ray = None
        self._connection.close()


def _take(ray: Ray, waiting: list[Task[Result]], ordered: bool) -> Result:
    """Wait for the next result, and return it."""
    first = waiting[0] if ordered else ray.wait(waiting)[0][0]
    waiting.remove(first)
    try:
        return ray.get(first)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise BenchError(f"{_describe(error)}. Finished work is kept: repeat the command") from None


def _apply(function: Callable[[Item], Result], item: Item, plugin: str, folder: str) -> Result:
    """Do one piece of work in a Ray process."""
    if plugin:
        from ..core.registry import import_target

        import_target(plugin)
    _enter(folder)
    return function(item)
