"""Whether groups of people differ, as recorded in a scorecard."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from .records import Record


@dataclass(frozen=True, slots=True, config=ConfigDict(allow_inf_nan=False))
class PairTest:
    """Whether two groups differ: `p_holm` is corrected for the number of pairs.

    Not a Record: a card has hundreds of these, and a Record takes four times the memory.
    """

    groups: tuple[str, str]
    p: Annotated[float, Field(strict=True)]
    p_holm: Annotated[float, Field(strict=True)]


class RateTest(Record):
    """Whether any of several groups differ in a rate, by permutation, and which two."""

    p: float
    pairs: list[PairTest]


class AttributeTests(Record):
    """Whether the groups of an attribute differ, and which gap could have been detected.

    `tests` are by `fpr`, `tpr`, `odds` (both), `dp` (share called fake), `acc` and `auc`; `smallest_gap` (`fpr`, `auc`)
    is the smallest gap between any two groups that is detected with 80 % power, None if there is none.
    """

    groups: list[str]
    tests: dict[str, RateTest]
    smallest_gap: dict[str, float | None]
