"""The part of Ray that is used, as types: Ray needn't be installed, and its own types say little."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol, TypedDict, TypeVar, overload

if TYPE_CHECKING:
    from .ray_engine import Note, Notes

Result = TypeVar("Result")
Made = TypeVar("Made", covariant=True)


class Task(Protocol[Result]):
    """Stands for a result that another process has or will have: a `ray.ObjectRef`."""

    def future(self) -> Future[Result]: ...


class Remote(Protocol[Made]):
    """What `remote` calls in another process; a task among the arguments arrives there as its result."""

    def remote(self, *arguments: object) -> Made: ...


class NotesActor(Protocol):
    """`Notes` in a process of its own."""

    tell: Remote[Task[None]]
    take: Remote[Task[list[Note]]]


class MakesRemote(Protocol):
    """Makes a function remote."""

    def __call__(self, function: Callable[..., Result]) -> Remote[Task[Result]]: ...


class Node(TypedDict):
    """A computer of the cluster; its resources by name, such as `CPU`."""

    Alive: bool
    Resources: dict[str, float]


class TaskError(Exception):
    """What `ray.exceptions.RayTaskError` has: the error that a task's function raised."""

    cause: Exception


class RayExceptions(Protocol):
    """The module `ray.exceptions`."""

    RayError: type[Exception]
    RayTaskError: type[TaskError]


class RuntimeContext(Protocol):
    """What Ray says of the process that asks."""

    def get_node_id(self) -> str: ...


class Ray(Protocol):
    """The module `ray`, connected to a cluster."""

    exceptions: RayExceptions

    @overload
    def remote(self, *, num_cpus: int, num_gpus: int = 0, max_retries: int) -> MakesRemote: ...
    @overload
    def remote(self, *, num_cpus: int, scheduling_strategy: object) -> Callable[[type[Notes]], Remote[NotesActor]]: ...
    def put(self, value: Result) -> Task[Result]: ...
    def get(self, task: Task[Result]) -> Result: ...
    def wait(
        self, tasks: list[Task[Result]], *, timeout: float | None = None
    ) -> tuple[list[Task[Result]], list[Task[Result]]]: ...
    def cancel(self, task: Task[Result], *, force: bool) -> None: ...
    def nodes(self) -> list[Node]: ...
    def cluster_resources(self) -> Mapping[str, float]: ...
    def get_runtime_context(self) -> RuntimeContext: ...
