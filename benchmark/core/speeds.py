"""How fast a detector is on one device: written by the speed stage, read by the boards."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field, NonNegativeInt, PositiveFloat, ValidationError

from .display import escape_texts
from .errors import BenchError
from .keys import hash_key
from .provenance import Provenance
from .readers import read_json
from .records import Record, describe_flaw
from .storage import strip_separators, write_json

SPEED_VERSION = 1
"""Raise when the way of measuring changes: earlier results are ignored and measured again."""
BUSY = 0.1
"""The share of a machine that other work may take before speeds are marked as busy."""
RANDOM_WEIGHTS = "random"
MOST_BYTES = 2**20


class Condition(NamedTuple):
    """The conditions that two speeds must share to be compared."""

    device: str
    precision: str
    threads: int

    def describe(self) -> str:
        """Write `AMD EPYC, fp32, 2 threads`; threads only if a processor does the work."""
        threads = f", {self.threads} thread{'' if self.threads == 1 else 's'}" if self.threads else ""
        return f"{self.device}, {self.precision}{threads}"


class Latency(Record):
    """Milliseconds from one image to its score, over `runs`; the 99th percentile needs 100 of them."""

    p50_ms: PositiveFloat
    p95_ms: PositiveFloat
    p99_ms: PositiveFloat | None
    runs: int


class Rate(Record):
    """Items per second: the median of `runs`, and their quartiles `lo` and `hi`."""

    value: PositiveFloat
    lo: PositiveFloat
    hi: PositiveFloat
    runs: int


class BatchRate(Rate):
    """Images per second in batches of one size; `per_core_s` is per second of the process's own processor time."""

    batch: int
    per_core_s: PositiveFloat | None = None


class Pipeline(Rate):
    """Videos per second from file to score, in one process, one video per run; `frames` of each are scored."""

    frames: int
    world: str


class Memory(Record):
    """Bytes: the process's peak and its size before the detector was made, and the device's peak."""

    rss_peak: int | None = None
    rss_before: int | None = None
    device_peak: int | None = None


class Load(Record):
    """Processor cores used during the measurement: by it, by everything else, and the total number."""

    own: float
    others: float | None
    cores: int

    @property
    def is_busy(self) -> bool:
        """Whether other work took enough to slow the measurement down."""
        return self.others is not None and self.others > BUSY * self.cores

    def describe(self) -> str:
        """Say how much of the machine other work took."""
        if self.others is None:
            return "the load of other work isn't known here"
        return f"other work took {self.others:.1f} of {self.cores} cores"


class Speed(Record):
    """How fast one architecture is under one condition.

    `images` are by batch size, the smallest first; `image` is a crop's height and width. The `clock` is the wall clock,
    or, if a single processor thread does all the work, the processor's, which stops while other work runs. `weights` is
    `random`, or says whose they were. `activations` counts the outputs of convolutions and matrix products for one
    image. `seconds` is the time given to the measurement, `host` the machine as known without any backend.
    """

    schema_version: int
    kind: Literal["speed"]
    detector: str
    backend: str
    options: dict[str, object]
    code: str | None
    weights: str
    runtime: str
    device: str
    precision: str
    threads: NonNegativeInt
    clock: Literal["wall", "processor"]
    image: tuple[int, int] = Field(strict=False)
    latency: Latency
    images: list[BatchRate] = Field(min_length=1)
    videos: dict[str, Pipeline]
    params: int | None
    flops: int | None
    activations: int | None
    memory: Memory
    load_s: float
    first_call_s: float
    compile_s: float
    load: Load
    seconds: float
    architecture: str
    host: str
    provenance: Provenance

    @property
    def is_disturbed(self) -> bool:
        """Whether other work slowed it down, which hardly affects a processor's own clock."""
        return self.clock == "wall" and self.load.is_busy

    @property
    def condition(self) -> Condition:
        """The conditions under which it can be compared."""
        return Condition(self.device, self.precision, self.threads)

    @property
    def best(self) -> BatchRate:
        """The batch with the most images per second."""
        return max(self.images, key=lambda rate: rate.value)

    @property
    def key(self) -> str:
        """The name of its file: a hash of everything that distinguishes measurements."""
        packages = self.provenance.packages
        versions = [packages.get(name) for name in ("crossfake", self.backend, self.runtime)]
        return hash_key([self.schema_version, self.architecture, *self.condition, self.runtime, versions])

    def locate(self, runs: Path) -> Path:
        """Return the path of its file in a folder of runs."""
        device = "".join(c if c.isalnum() else "-" for c in strip_separators(self.device).lower())
        return speed_folder(runs) / "-".join(filter(None, device.split("-"))) / f"{self.key}.json"

    def write(self, runs: Path) -> Path:
        """Write its file, and return the path."""
        path = self.locate(runs)
        write_json(path, self.to_json())
        return path


def speed_folder(runs: Path) -> Path:
    """Return the folder of speeds in a folder of runs."""
    return runs / "speed"


def read_speeds(runs: Path) -> tuple[list[Speed], list[str]]:
    """Read all speeds in a folder of runs; return them, and one line per file that can't be read."""
    found, problems = [], []
    for path in sorted(speed_folder(runs).glob("*/*.json")):
        try:
            speed = _read(path)
        except BenchError as error:
            problems.append(str(error))
        else:
            found += [speed] if speed.schema_version == SPEED_VERSION else []
    return found, problems


def _read(path: Path) -> Speed:
    hint = "Remove it, and measure again: bench speed"
    try:
        return Speed.model_validate(escape_texts(read_json(path, dict, hint, MOST_BYTES)))
    except ValidationError as error:
        raise BenchError(f"{path}: {describe_flaw(error)}. {hint}") from None
