"""The groups in tables of people, and which of them count as one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...benchmark.stats.attributes import UNDEFINED

if TYPE_CHECKING:
    import pandas as pd

MALE, FEMALE = GENDERS = ("male", "female")
RACES = ("asian", "white", "black")
OTHERS = "others"
"""None of the listed races: a statement about a person, unlike unknown."""
AGES = ("young", "middle_aged", "senior")
SEVERAL = "several"
"""A frame for which a table gives more than one race or age."""


def merge_undefined_races(frames: pd.DataFrame) -> pd.DataFrame:
    """Count people with an undefined race as `others`, as some papers do."""
    return frames.replace({"race": {UNDEFINED: OTHERS}})


def forget_ambiguous_values(frames: pd.DataFrame) -> pd.DataFrame:
    """Treat a race or age as undefined if a frame has several."""
    return frames.replace({attribute: {SEVERAL: UNDEFINED} for attribute in ("race", "age")})
