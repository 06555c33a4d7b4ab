"""What the harness expects of plugins: a small Protocol per capability, checked with `isinstance` on creation.

Only `Scores` is required of a detector. What else it can do is also on its card, as `can=(...)` with the words of
`CAPABILITIES`, so that planning needs no import. Without `can` the class itself is inspected.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from .errors import BenchError

if TYPE_CHECKING:
    import numpy as np

    from .settings import TrainSettings
    from .types import Face, PrepareResult, Release, TrainSample, Video

Arrays = Mapping[str, "np.ndarray"]
"""Named arrays: weights, a batch, a network's outputs."""


@runtime_checkable
class Sampler(Protocol):
    """Turns a `TrainSample` into named arrays of fixed shapes, in a worker process. Picklable; imports no backend.

    None means that no example can be made of this sample: it is counted and listed, never replaced. An empty mapping
    means that the recipe leaves it out of this batch, which is counted too.
    """

    def __call__(self, sample: TrainSample, rng: np.random.Generator) -> dict[str, np.ndarray] | None: ...


@runtime_checkable
class TellsOriginals(Protocol):
    """A sampler that says whether it looks at `TrainSample.original`; others are given it wherever there is one."""

    uses_original: bool


@runtime_checkable
class Cropper(Protocol):
    """Cuts a detector's uint8 (S, S, 3) RGB crop from a face, in a worker process. Picklable; imports no backend."""

    def __call__(self, face: Face) -> np.ndarray: ...


# ---- a detector's capabilities


@runtime_checkable
class Scores(Protocol):
    """The one thing every detector does: uint8 (N, H, W, 3) RGB crops in, float32 (N,) probabilities of fake out."""

    def score(self, frames: np.ndarray) -> np.ndarray: ...


@runtime_checkable
class CutsCrops(Protocol):
    """A detector that cuts its own crop; others get the square face box at the card's `input_size`."""

    def cropper(self) -> Cropper:
        """Return what cuts this detector's own crop from the context crop."""


@runtime_checkable
class LoadsWeights(Protocol):
    """A detector that takes a checkpoint."""

    def load(self, weights: Path | str | Arrays) -> Self:
        """Take a checkpoint file (the reference's or ours) or a mapping of names to arrays."""


@runtime_checkable
class SavesWeights(Protocol):
    """A detector whose weights can be saved."""

    def state(self) -> dict[str, np.ndarray]:
        """Return the weights under the reference's key names."""


@runtime_checkable
class KeepsWeights(Scores, LoadsWeights, SavesWeights, Protocol):
    """A detector that takes the weights that it saved."""


@runtime_checkable
class MakesSamples(Protocol):
    """A detector that says how its training examples are made."""

    def sampler(self) -> Sampler:
        """Return what makes training examples for this detector."""


@runtime_checkable
class TrainingSession(Protocol):
    """One training in progress: optimizer, learning rate, a step, and the state that resuming needs."""

    def step(self, batch: dict[str, np.ndarray]) -> dict[str, float]:
        """Take one optimisation step on a batch from the detector's sampler; return the losses, by name."""

    def state(self) -> bytes:
        """Return everything that `restore` needs."""

    def restore(self, packed: bytes) -> None:
        """Go back to the point at which `state` was called."""


class TakesBytes(Protocol):
    """What a state is written to: a file or a file-like object."""

    def write(self, data: bytes, /) -> object:
        """Write some bytes."""


WriteState = Callable[[TakesBytes], object]
"""Writes a training session's state, for `restore`."""


@runtime_checkable
class Snapshots(Protocol):
    """A training session that copies its state in memory, so that another thread can write it meanwhile."""

    def snapshot(self) -> WriteState:
        """Return a function that writes the current state."""


@runtime_checkable
class TellsPrecision(Protocol):
    """A training session that says in which precision its steps are computed: `fp32`, `tf32` or `bf16`."""

    precision: str


@runtime_checkable
class TellsThreads(Protocol):
    """A training session that says how many processor threads its steps use: sums depend on the number."""

    threads: int


@runtime_checkable
class StartsTraining(Protocol):
    """Starts training sessions: one half of `Trainable`, useless without the other."""

    def training(self, settings: TrainSettings, total_steps: int, steps_per_epoch: int) -> TrainingSession:
        """Start a training session."""


@runtime_checkable
class Trainable(StartsTraining, MakesSamples, KeepsWeights, Protocol):
    """A detector that the harness can train."""


@runtime_checkable
class InspectsTrainingSet(Protocol):
    """A detector that inspects the training videos before it learns from them."""

    def inspect_training_set(self, videos: list[Video], frames: Mapping[str, int]) -> tuple[list[Video], str]:
        """Return the videos that it can learn from, and what the others lack; `frames` counts each video's faces."""


@runtime_checkable
class StudiesTrainingSet(Protocol):
    """`InspectsTrainingSet` under its method's former name, which is still called for one version."""

    def study(self, videos: list[Video], frames: Mapping[str, int]) -> tuple[list[Video], str]:
        """See `InspectsTrainingSet.inspect_training_set`."""


@runtime_checkable
class LearnsFromReals(Protocol):
    """A detector that learns from real videos only, if `learns_from_reals_alone` is true."""

    learns_from_reals_alone: bool


@runtime_checkable
class LearnsInPieces(Protocol):
    """A detector that trains on pieces of a batch as on the whole, unless `needs_whole_batch` says why it can't."""

    needs_whole_batch: str


@runtime_checkable
class RunsBlocksAgain(Protocol):
    """A detector whose training can run the network's blocks again in the backward pass, if `runs_blocks_again`."""

    runs_blocks_again: bool


@runtime_checkable
class ChecksTraining(Protocol):
    """A detector that doesn't support every training setting."""

    def check_training(self, settings: TrainSettings) -> None:
        """Raise a BenchError for settings that it can't be trained with."""


@runtime_checkable
class TellsFeatures(Protocol):
    """A detector that returns its network's named outputs, `features` among them."""

    def outputs_of(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Return every named output for uint8 (N, S, S, 3) RGB crops."""


@runtime_checkable
class LocatesArtifacts(Protocol):
    """A detector that says where in a face it sees traces of forgery."""

    def artifacts(self, faces: Sequence[Face]) -> Sequence[Iterable[np.ndarray]]:
        """Return the polygons (points, 2) of each face, in pixels of its context crop."""


@runtime_checkable
class CountsParameters(Protocol):
    """A detector that knows how many parameters it has."""

    def parameters_count(self) -> int:
        """Return the number of trained parameters."""


@runtime_checkable
class CountsFlops(Protocol):
    """A detector that counts its floating-point operations itself."""

    def flops(self, frames: np.ndarray) -> float:
        """Return the floating-point operations of scoring uint8 (N, S, S, 3) RGB crops."""


@runtime_checkable
class HasNetwork(Protocol):
    """A detector with a `network`: if that is a `torch.nn.Module`, torch counts its operations."""

    network: object


@runtime_checkable
class TakesDevice(Protocol):
    """A detector that can be moved to a device (core/device_names.py), or raises a BenchError that lists devices."""

    def use_device(self, name: str) -> None: ...


@runtime_checkable
class PlacesNetwork(Protocol):
    """A detector that moves its network to its `device` before it scores: a `torch.device`."""

    device: object


@runtime_checkable
class Compiles(Protocol):
    """A detector that compiles its network on first use; `compile_seconds` is the time spent on that so far."""

    compile_seconds: float


@runtime_checkable
class Seeded(Protocol):
    """A detector that draws initial weights and dropout from its own `seed`, not from the process's."""

    seed: int


@runtime_checkable
class TakesRuntime(Protocol):
    """A detector whose network other runtimes can run, also in other precisions: see `detectors/runtimes`."""

    runtime: str
    precision: str

    def find_obstacle(self, runtime: str, precision: str) -> str:
        """Return why scoring that way isn't possible here, or "" if it is."""

    def use_runtime(self, runtime: str, precision: str) -> None:
        """Use this runtime and precision for scoring from now on."""


CAPABILITIES: Mapping[str, type] = {
    "crop": CutsCrops,
    "load": LoadsWeights,
    "save": SavesWeights,
    "sample": MakesSamples,
    "train": Trainable,
    "inspect": InspectsTrainingSet,
    "check": ChecksTraining,
    "features": TellsFeatures,
    "artifacts": LocatesArtifacts,
    "parameters": CountsParameters,
    "flops": CountsFlops,
}
"""The words of a card's `can`. What other protocols here ask of detectors is checked on instances."""


def find_capabilities(detector: object) -> frozenset[str]:
    """Return the words of `CAPABILITIES` that hold for a detector, or for a class of detectors."""
    held = issubclass if isinstance(detector, type) else isinstance
    return frozenset(word for word, contract in CAPABILITIES.items() if held(detector, contract))  # type: ignore[arg-type]


def make_contract_error(made: object, contract: type, who: str, needed_by: str) -> BenchError:
    """Return the error for a missing method: "mine.py:Mine has no method sampler(), which training needs"."""
    there = set(dir(made))
    methods = {name: method for part in contract.__mro__ for name, method in _list_methods(part).items()}
    lacking = next(name for name in methods if name not in there)
    arguments = ", ".join(list(inspect.signature(methods[lacking]).parameters)[1:])
    return BenchError(f"{who} has no method {lacking}({arguments}), which {needed_by} needs")


def _list_methods(part: type) -> dict[str, Callable[..., object]]:
    return {name: value for name, value in vars(part).items() if not name.startswith("_") and callable(value)}


# ---- faces and datasets


@runtime_checkable
class FaceReader(Protocol):
    """Prepared faces of a dataset's videos. Cheap to make and to send to other processes."""

    folder: Path

    def outcomes(self) -> dict[str, PrepareResult]:
        """Return the outcome of each prepared video, by id."""

    def count_people(self, video_id: str) -> int:
        """Return how many people of a video have faces here, under the ids that `name_person` gives: 0 or 1.

        More than one only if the faces were prepared with a `faces.people` other than `main`.
        """

    def frames(self, video_id: str) -> list[int]:
        """Return the indices of the video's frames with a face, ascending; an empty list for an unknown video."""

    def faces(self, video_id: str) -> list[Face]:
        """Return the video's faces in the order of `frames`."""

    def face(self, video_id: str, index: int, crop: np.ndarray | None = None) -> Face:
        """Return the face in the frame `frames(video_id)[index]`; with another `crop`, its own isn't decoded."""

    def hash_faces(self, video_id: str) -> str:
        """Hash which video it is and what its faces are: faces that are found again have another hash."""

    def get_relative_boxes(self, video_id: str) -> np.ndarray:
        """Return the boxes (n, 4) around the landmarks of the video's faces, relative to their frames."""


@runtime_checkable
class ListsVideos(Protocol):
    """The half of a `Dataset` that distinguishes its class from a detector's."""

    def videos(self, home: Path, compression: str) -> Sequence[Video]:
        """List every video of the official layout, with its official split, sorted by id."""


@runtime_checkable
class Dataset(ListsVideos, Protocol):
    """An adapter for one official layout."""

    def home(self, root: Path) -> Path:
        """Find the dataset's folder in or under `root`. The BenchError says what was looked for and found."""


@runtime_checkable
class KnowsRelease(Protocol):
    """An adapter that knows what the official release contains."""

    def release(self, home: Path, compression: str) -> Release:
        """Return what should be there, for `bench data check`."""


@runtime_checkable
class ListsParts(Protocol):
    """An adapter for a folder that may hold several datasets, each of which is imported as `format:NAME`."""

    def names(self, root: Path) -> list[str]:
        """Return the names of the datasets that are there."""
