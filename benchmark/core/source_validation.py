"""What is fixed on the source validation split for a test set, besides threshold and temperature."""

from __future__ import annotations

from pydantic import Field

from .records import Record


class CarriedThreshold(Record):
    """A threshold with a stated false positive rate on the source validation split, and its interval.

    `hi` is None if the threshold may be anywhere above the highest of the `reals`.
    """

    value: float
    lo: float
    hi: float | None
    reals: int


class SourceValidation(Record):
    """What is fixed on the source validation split: the prior that scores assume, and thresholds by FPR.

    `prior` is None if scores aren't probabilities; `reals` is the split's number of real videos.
    """

    prior: float | None = None
    thresholds: dict[str, CarriedThreshold] = Field(default_factory=dict)
    reals: int = 0
