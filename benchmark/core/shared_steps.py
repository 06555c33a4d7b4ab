"""Ways to take a training step in less memory: in pieces, on several devices, or running parts of the network again.

Of several processes, rank 0 does everything but the steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from .contracts import Arrays, LearnsInPieces, RunsBlocksAgain
from .errors import BenchError

if TYPE_CHECKING:
    from .settings import TrainSettings

Told = TypeVar("Told")


class Ranks:
    """A training's processes as seen by one of them. This class is for a single process; `TorchRanks` has others.

    A batch is divided by position: rank r takes positions r, r + count, r + 2 count and so on.
    """

    rank = 0
    count = 1

    def gather(self, told: Told) -> list[Told]:
        """Return each rank's value, by rank; all must call this at the same point.

        Raises:
            BenchError: another rank is gone.
        """
        return [told]

    def let_go_on(self, epoch: int) -> None:
        """Let the other ranks continue after an epoch: they don't validate."""


ALONE = Ranks()


class RankLeftError(BenchError):
    """A rank of a training is gone: `rank` if it said why, else None."""

    def __init__(self, told: str, rank: int | None = None):
        super().__init__(told)
        self.rank = rank


def gather_rows(ranks: Ranks, batch: Arrays, lost: list[str]) -> tuple[int, list[str]]:
    """Return how many examples the ranks' parts of a batch have together, and the names of all frames lost."""
    told = ranks.gather((len(next(iter(batch.values()), ())), lost))
    return sum(rows for rows, _ in told), [name for _, names in told for name in names]


@runtime_checkable
class JoinsRanks(Protocol):
    """A training session whose steps several processes can take together."""

    def join(self, ranks: Ranks) -> None:
        """Take steps as one of these ranks from now on, starting from rank 0's state."""


def check_pieces(detector: object, who: str, asked: str) -> None:
    """Check that a detector, called `who`, can be trained on pieces of a batch, which was `asked` for.

    Raises:
        BenchError: it can't.
    """
    if not isinstance(detector, LearnsInPieces):
        raise BenchError(f"{who} has no {asked}, which is for PyTorch detectors. Leave it out")
    if detector.needs_whole_batch:
        raise BenchError(f"{who} can't use {asked}: {detector.needs_whole_batch}. Leave it out")


def check_step_settings(detector: object, who: str, settings: TrainSettings) -> None:
    """Check that a detector, called `who`, can be trained with these `micro_batch` and `remat`.

    Raises:
        BenchError: it can't.
    """
    if settings.micro_batch:
        check_pieces(detector, who, "train.micro_batch")
    if settings.remat and not (isinstance(detector, RunsBlocksAgain) and detector.runs_blocks_again):
        raise BenchError(f"{who} has no train.remat, which is for JAX detectors. Leave it out")
