"""Which columns of a predictions table say whom a video shows, and the groups that they make."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .errors import BenchError, in_rows
from .fairness import parse_group

INTERSECTION = "intersection"
MOST_GROUPS = 20
_CONTENT = {"video", "frame", "label", "score", "logit", "method", "identity"}
NO_ATTRIBUTE = _CONTENT | {"cluster", "path", "split", "dataset", INTERSECTION}
PAIRS = (("gender", "race"), ("gender", "skin_tone"))
"""Whose intersection is meant in the literature."""
SAME_AS = {"nomale": "nonmale", "undefined": ""}
"""AI-Face's name of a group, and what tables derived from A-FF++ and its kin call unknown."""


def attribute_columns(frames: pd.DataFrame) -> list[str]:
    """Return which columns of a predictions table hold groups: all but its own, with 1 to MOST_GROUPS values."""
    others = [c for c in map(str, frames) if c not in NO_ATTRIBUTE and not c.startswith("Unnamed")]
    values = {c: set(frames[c].dropna().unique()) - {""} for c in others}
    return [c for c, found in values.items() if 1 <= len(found) <= MOST_GROUPS]


def group_names(column: pd.Series) -> pd.Series:
    """Write a column's values as names: "" where not annotated or `undefined`, 1 for 1.0, `nomale` as `nonmale`."""
    codes, values = pd.factorize(column)
    names = [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v).strip() for v in values]
    written = [SAME_AS.get(name, name) for name in names]
    return pd.Series(np.array([*written, ""], dtype=object)[codes], index=column.index)


def with_attributes(frames: pd.DataFrame, origin: str = "predictions") -> pd.DataFrame:
    """Return a predictions table with its attributes as names; a column `intersection` of `male,asian` is taken apart.

    Raises:
        BenchError: a cell of that column isn't of the form gender,race; names the table as `origin`.
    """
    if INTERSECTION in frames and not {"gender", "race"} & set(frames):
        texts = group_names(frames[INTERSECTION])
        parts = {t: parse_group(t) if t else ("", "") for t in texts.unique()}
        if wrong := [t for t, p in parts.items() if len(p) != 2]:
            where = in_rows((np.flatnonzero(texts.isin(wrong)) + 1).tolist(), "the first of the data")
            what = f"an intersection ('{wrong[0]}') that is not of the form gender,race, such as male,asian"
            raise BenchError(f"{origin}: {what}, {where}")
        pairs = pd.DataFrame(list(texts.map(parts)), columns=["gender", "race"], index=frames.index)
        frames = frames.drop(columns=INTERSECTION).join(pairs)
    return frames.assign(**{c: group_names(frames[c]) for c in attribute_columns(frames)})


def contradictions(frames: pd.DataFrame, column: str) -> NDArray[np.bool_]:
    """Mark the rows whose value of a column isn't that of their video's first row, (n,)."""
    videos, values = pd.factorize(frames["video"])[0], pd.factorize(group_names(frames[column]))[0]
    first = np.zeros(videos.max(initial=-1) + 2, dtype=np.int64)
    first[videos[::-1]] = values[::-1]
    return np.asarray(first[videos] != values)


def remarks(frames: pd.DataFrame) -> list[str]:
    """Say, a line each, which columns of a predictions table are no attribute, allow no gap, or leave rows out."""
    used, said = attribute_columns(frames), []
    for column in (c for c in frames if str(c) not in NO_ATTRIBUTE):
        values, total = frames[column].nunique(), len(frames)
        if column not in used:
            why = "it is empty" if not values else f"{values} different values, an attribute has at most {MOST_GROUPS}"
            said.append(f"column {column} is not used: {why}")
            continue
        names = group_names(frames[column])
        if len(found := set(names.unique()) - {""}) == 1:
            one = f"{column} is '{found.pop()}' in every annotated row (rows 1 to {total})"
            said.append(f"{one}: there is no gap to measure")
        if len(unknown := np.flatnonzero(names == "")):
            some = f"{len(unknown)} of {total} rows, row {unknown[0] + 1} the first"
            said.append(f"{column} isn't known in {some}: in none of its groups, but in the overall metrics")
    return said


def attributes_of(table: pd.DataFrame, known: Iterable[str]) -> dict[str, pd.Series]:
    """Return each annotated attribute, and each intersection of two, as a column of group names.

    The one of gender and race (or skin tone, or of the first two where these aren't there) is called `intersection`,
    others `gender+age`. It is "" where either isn't annotated.
    """
    present = [a for a in known if a in table and (table[a] != "").any()]
    columns = {a: table[a] for a in present}
    main = next((pair for pair in PAIRS if set(pair) <= set(present)), tuple(present[:2]))
    for one, other in combinations(present, 2):
        whole = (table[one] != "") & (table[other] != "")
        name = INTERSECTION if {one, other} == set(main) else f"{one}+{other}"
        columns[name] = table[one].str.cat(table[other], sep="-").where(whole, "")
    return columns
