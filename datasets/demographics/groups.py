"""The groups that tables of people know, and which of them are counted as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...benchmark.stats.attributes import UNDEFINED

if TYPE_CHECKING:
    import pandas as pd

MALE, FEMALE = GENDERS = ("male", "female")
RACES = ("asian", "white", "black")
OTHERS = "others"
"""Of none of the races: said of a person, and not the same as not known."""
AGES = ("young", "middle_aged", "senior")
SEVERAL = "several"
"""Where a table says more than one race or age of a frame."""


def merge_undefined_races(frames: pd.DataFrame) -> pd.DataFrame:
    """Count people of an undefined race as `others`, as some papers do."""
    return frames.replace({"race": {UNDEFINED: OTHERS}})


def forget_ambiguous_values(frames: pd.DataFrame) -> pd.DataFrame:
    """Take a race or age as undefined where a frame was given several."""
    return frames.replace({attribute: {SEVERAL: UNDEFINED} for attribute in ("race", "age")})
