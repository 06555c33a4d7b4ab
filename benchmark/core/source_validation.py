"""What the source validation split fixes for a test set, besides threshold and temperature."""

from __future__ import annotations

from pydantic import Field

from .records import Record


class CarriedThreshold(Record):
    """A threshold of a stated false positive rate on the source validation split, and between what ends it may lie.

    `hi` is None where it may be any above the highest of the `reals`.
    """

    value: float
    lo: float
    hi: float | None
    reals: int


class SourceValidation(Record):
    """What else the source validation split fixes: the share of fakes that scores are made for, and thresholds by FPR.

    `prior` is None where scores aren't probabilities; `reals` are the split's.
    """

    prior: float | None = None
    thresholds: dict[str, CarriedThreshold] = Field(default_factory=dict)
    reals: int = 0
