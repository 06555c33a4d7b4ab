"""How fast a detector is on one device: what the speed stage writes, and the boards read."""

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
"""Raise when the way of measuring changes: what an earlier one wrote is measured again, and read no more."""
BUSY = 0.1
"""The share of a machine that other work may take before its speeds are marked."""
RANDOM_WEIGHTS = "random"
MOST_BYTES = 2**20


class Condition(NamedTuple):
    """What two speeds must have in common to be compared."""

    device: str
    precision: str
    threads: int

    def describe(self) -> str:
        """Write `AMD EPYC, fp32, 2 threads`; threads only where a processor does the work."""
        threads = f", {self.threads} thread{'' if self.threads == 1 else 's'}" if self.threads else ""
        return f"{self.device}, {self.precision}{threads}"


class Latency(Record):
    """Milliseconds from one image to its score, over `runs`; the 99th percentile needs 100 of them."""

    p50_ms: PositiveFloat
    p95_ms: PositiveFloat
    p99_ms: PositiveFloat | None
    runs: int


class Rate(Record):
    """How many a second, the median of `runs`; the middle half of them lies between `lo` and `hi`."""

    value: PositiveFloat
    lo: PositiveFloat
    hi: PositiveFloat
    runs: int


class BatchRate(Rate):
    """Images a second in batches of one size; `per_core_s` is of a second of the process's own processor time."""

    batch: int
    per_core_s: PositiveFloat | None = None


class Pipeline(Rate):
    """Videos a second from a file to a score, one process, a video a run; `frames` of each are scored."""

    frames: int
    world: str


class Memory(Record):
    """Bytes: of the process at its highest and before the detector was made, and of the device at its highest."""

    rss_peak: int | None = None
    rss_before: int | None = None
    device_peak: int | None = None


class Load(Record):
    """Processor cores in use while it was measured: by the measurement, by everything else, and how many there are."""

    own: float
    others: float | None
    cores: int

    @property
    def is_busy(self) -> bool:
        """Whether other work took enough to slow the measurement down."""
        return self.others is not None and self.others > BUSY * self.cores

    def describe(self) -> str:
        """Say how much of the machine was others'."""
        if self.others is None:
            return "what else ran on the machine isn't known here"
        return f"other work took {self.others:.1f} of {self.cores} cores"


class Speed(Record):
    """How fast one architecture is under one condition.

    `images` are by batch size, the smallest first; `image` is a crop's height and width. They are timed by the `clock`
    on the wall; where a single thread of a processor does all the work, by the processor's, which stands still while
    others have it. `weights` is `random`, or says whose they were. `activations` are the numbers that convolutions and
    matrix products put out for one image. `seconds` is what the measurement was given, `host` the machine as it is
    known without any backend.
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
        """Whether other work on the machine has slowed it down: a processor's own clock hardly notices."""
        return self.clock == "wall" and self.load.is_busy

    @property
    def condition(self) -> Condition:
        """What it can be compared under."""
        return Condition(self.device, self.precision, self.threads)

    @property
    def best(self) -> BatchRate:
        """The batch that gives the most images a second."""
        return max(self.images, key=lambda rate: rate.value)

    @property
    def key(self) -> str:
        """The name of its file: a hash of everything that makes it a different measurement."""
        packages = self.provenance.packages
        versions = [packages.get(name) for name in ("crossfake", self.backend, self.runtime)]
        return hash_key([self.schema_version, self.architecture, *self.condition, self.runtime, versions])

    def locate(self, runs: Path) -> Path:
        """Return its file below a folder of runs."""
        device = "".join(c if c.isalnum() else "-" for c in strip_separators(self.device).lower())
        return speed_folder(runs) / "-".join(filter(None, device.split("-"))) / f"{self.key}.json"

    def write(self, runs: Path) -> Path:
        """Write its file, and return where that is."""
        path = self.locate(runs)
        write_json(path, self.to_json())
        return path


def speed_folder(runs: Path) -> Path:
    """Return where speeds are kept below a folder of runs."""
    return runs / "speed"


def read_speeds(runs: Path) -> tuple[list[Speed], list[str]]:
    """Read all speeds of a folder of runs; return them, and what is wrong with files that hold none, a line each."""
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
