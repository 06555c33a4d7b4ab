"""Whether groups of people differ, as a scorecard tells it."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from .records import Record


@dataclass(frozen=True, slots=True, config=ConfigDict(allow_inf_nan=False))
class PairTest:
    """Whether two groups differ: `p_holm` is corrected for the number of pairs.

    A card has hundreds, and a Record takes four times the memory.
    """

    groups: tuple[str, str]
    p: Annotated[float, Field(strict=True)]
    p_holm: Annotated[float, Field(strict=True)]


class RateTest(Record):
    """Whether any of several groups differ in a rate, by permutation, and which two."""

    p: float
    pairs: list[PairTest]


class AttributeTests(Record):
    """Whether the groups of an attribute differ, and what gap could have been shown.

    `tests` are by `fpr`, `tpr`, `odds` (both), `dp` (share called fake), `acc` and `auc`; `smallest_gap` (`fpr`, `auc`)
    is the smallest between any two groups that is shown with a chance of 80 %, None where none is.
    """

    groups: list[str]
    tests: dict[str, RateTest]
    smallest_gap: dict[str, float | None]
