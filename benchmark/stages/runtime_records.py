"""The runtime chosen for some weights on this machine, stored next to the checkpoint: same command, same key."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ...detectors.runtimes import DEFAULT, Way, parse_way
from ..core.cell_description import RuntimeUse
from ..core.display import say_once
from ..core.errors import BenchError
from ..core.keys import hash_key
from ..core.precisions import AUTO
from ..core.provenance import name_device
from ..core.records import Record
from ..core.storage import write_json

MOST_BYTES = 100_000
find_device_name = cache(name_device)


class Choice(Record):
    """A way of scoring, and the number of images from which it saves more than its start costs (None: never).

    It isn't used before it `is_compared` with PyTorch in fp32 on the source validation split.
    """

    use: RuntimeUse
    worth_from: int | None = None
    is_compared: bool = False

    @property
    def way(self) -> Way:
        """The way itself."""
        return Way(self.use.runtime, self.use.precision)

    def decide(self, images: int) -> Way | None:
        """Return how this many images are scored; None if it must be compared first."""
        if self.worth_from is None or images < self.worth_from:
            return DEFAULT
        return self.way if self.is_compared else None


def read_choice(folder: Path, asked: Way, device: str = AUTO) -> Choice | None:
    """Return the choice for the weights in a run folder on this machine; None if there is none or it is damaged."""
    path = _locate(folder, asked, device)
    if not path.is_file():
        return None
    try:
        choice = Choice.read(path, "It is chosen again", MOST_BYTES)
        parse_way(*choice.way)
    except BenchError as error:
        say_once(str(error))
        return None
    return None if choice.way.is_open else choice


def write_choice(folder: Path, asked: Way, choice: Choice, device: str = AUTO) -> None:
    """Store the choice."""
    write_json(_locate(folder, asked, device), choice.to_json())


def _locate(folder: Path, asked: Way, device: str) -> Path:
    return folder / f"runtime.{hash_key([find_device_name(device), *asked])}.json"
