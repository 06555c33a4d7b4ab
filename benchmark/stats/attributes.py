"""Which columns of a predictions table describe people, and the groups that they form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import BenchError, describe_rows
from ..core.predictions import ATTRIBUTES
from ..core.score_tables import is_nested
from .fairness_metrics import parse_group

if TYPE_CHECKING:
    import pandas as pd

INTERSECTION = "intersection"
MAX_GROUPS = 20
_CONTENT = {"video", "frame", "label", "score", "logit", "method", "identity"}
NO_ATTRIBUTE = _CONTENT | {"cluster", "path", "split", "dataset", "person", INTERSECTION}
TECHNICAL = re.compile(
    r"unnamed.*|index|id|(frame|file|video|row|item|image|sample)?(path|name|id|index|number|size)s?|level\d+|folder"
    r"|(n|num|number|total)?(of)?(frame|face|row)s?(count|rate|s)?|fps|width|height|(frame)?duration|length|resolution"
    r"|codec|bitrate|(cv)?fold|seed|epoch|batch|rank|run|model|detector|checkpoint|time(stamp)?|date|url|md5|sha(1|256)"
    r"|pred(iction|icted|s|class|label)?s?|target|prob(ability|abilitie)?s?|correct|threshold|logits|x[01]|y[01]|bbox"
)
"""Names, without spaces and punctuation, of columns about files and runs: never groups, however few values."""
PAIRS = (("gender", "race"), ("gender", "skin_tone"))
"""The attributes whose intersection the literature uses."""
PEOPLE = ("gender", "race", "skin_tone", "age")
"""Columns that say who is shown, so a video can't have two values; another column that varies isn't an attribute."""
UNDEFINED = "undefined"
SAME_AS = {"nomale": "nonmale", UNDEFINED: ""}
"""AI-Face's spelling of a group, and what tables derived from A-FF++ and similar ones call unknown."""


class Grouping(NamedTuple):
    """The groups of some rows: `names` (groups,), sorted, and each row's place among them, (n,), -1 if unknown."""

    names: list[str]
    codes: NDArray[np.int16]

    def list_rows(self) -> list[NDArray[np.int64]]:
        """Return the rows of each group."""
        order, counts = np.argsort(self.codes, kind="stable"), np.bincount(self.codes + 1, minlength=1)
        return np.split(order, np.cumsum(counts)[:-1])[1:]


def attribute_columns(frames: pd.DataFrame) -> list[str]:
    """Return which columns of a predictions table hold groups: 1 to MAX_GROUPS values, one per video.

    Our own predictions name them (`read_predictions`); in older tables and tables from elsewhere they are inferred.
    """
    return [c for c in map(str, frames) if c not in NO_ATTRIBUTE and not _explain_unusable(frames, c)]


def name_attributes(groups: Iterable[str]) -> list[str]:
    """Return which of the videos' groups predictions name as attributes; `intersection` gives gender and race."""
    named = dict.fromkeys(groups)
    if INTERSECTION in named:
        named |= dict.fromkeys(("gender", "race"))
    return [name for name in named if name not in NO_ATTRIBUTE]


def _explain_unusable(frames: pd.DataFrame, column: str) -> str:
    """Say why a column doesn't hold groups; empty if it does."""
    known = frames.attrs.get(ATTRIBUTES)
    if known is not None and column not in known:
        return "the predictions don't name it among people's attributes"
    if column.startswith("Unnamed"):
        return "it has no name"
    if known is None and column not in PEOPLE and _is_technical(column):
        return "its name describes files or runs, not people"
    if is_nested(frames[column]):
        return "it holds lists"
    values = set(frames[column].dropna().unique()) - {""}
    if not values:
        return "it is empty"
    if len(values) > MAX_GROUPS:
        return f"it has {len(values)} different values; an attribute has at most {MAX_GROUPS}"
    guessed = known is None and column not in PEOPLE
    varies = guessed and "video" in frames and find_contradictions(frames, column).any()
    return "it varies within a video" if varies else ""


def _is_technical(column: str) -> bool:
    return TECHNICAL.fullmatch(re.sub(r"[\W_]", "", column).casefold()) is not None


def group_names(column: pd.Series) -> pd.Series:
    """Convert a column's values to names: "" if not annotated or `undefined`, 1 for 1.0, `nonmale` for `nomale`.

    In a column of 1 and -1, which A-FF++ and similar tables use for yes and no, 0 is undefined.
    """
    import pandas as pd

    codes, names = _number_names(column)
    return pd.Series(np.array(names, dtype=object)[codes], index=column.index)


def _number_names(column: pd.Series) -> tuple[NDArray[np.int64], list[str]]:
    """Return the place of each row's name, (n,), and the different names; see `group_names`."""
    import pandas as pd

    codes, values = pd.factorize(column)
    names = [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v).strip() for v in values]
    same = SAME_AS | ({"0": ""} if "-1" in names else {})
    places: dict[str, int] = {}
    renumbered = np.array([places.setdefault(same.get(n, n), len(places)) for n in [*names, ""]])
    return renumbered[codes], list(places)


def with_attributes(frames: pd.DataFrame, table_name: str = "predictions") -> pd.DataFrame:
    """Return a predictions table with its attributes as names; a column `intersection` such as `male,asian` is split.

    They are categories, which take less memory and time than text.

    Raises:
        BenchError: a cell of that column doesn't have the form gender,race or contradicts those columns; or an
            attribute's value is spelled in two ways. Messages call the table `table_name`.
    """
    import pandas as pd

    frames = _split_intersection(frames, table_name) if INTERSECTION in frames else frames
    named = {c: _number_names(frames[c]) for c in attribute_columns(frames)}
    for column, (_, names) in named.items():
        spelled: dict[str, str] = {}
        for name in names:
            if (other := spelled.setdefault(name.casefold(), name)) != name:
                raise BenchError(f"{table_name}: {column} is written both '{other}' and '{name}'. Use one spelling")
    columns = {c: pd.Categorical.from_codes(codes, pd.Index(names)) for c, (codes, names) in named.items()}
    return frames.assign(**columns)


def _split_intersection(frames: pd.DataFrame, table_name: str) -> pd.DataFrame:
    texts = group_names(frames[INTERSECTION])
    parts = {t: parse_group(t) if t else ("", "") for t in texts.unique()}
    if wrong := [t for t, p in parts.items() if len(p) != 2]:
        what = f"an intersection ('{wrong[0]}') that is not of the form gender,race, such as male,asian"
        raise BenchError(f"{table_name}: {what}, {describe_data_rows(texts.isin(wrong))}")
    for i, column in enumerate(("gender", "race")):
        told = texts.map({text: pair[i] for text, pair in parts.items()})
        if column in frames:
            names = group_names(frames[column])
            if (clash := _find_clashes(names, told)).any():
                raise BenchError(
                    f"{table_name}: an intersection that contradicts {column}, {describe_data_rows(clash)}"
                )
            told = names.where(names != "", told)
        frames = frames.assign(**{column: told})
    return frames.drop(columns=INTERSECTION)


def _find_clashes(names: pd.Series, told: pd.Series) -> pd.Series:
    """Mark rows where two equivalent columns differ: by name or, if one has codes, by each code's first meaning."""
    alike = {"female": "nonmale"}
    names, told = names.replace(alike), told.replace(alike)
    known = (names != "") & (told != "")
    if not set(names[known]) & set(told[known]):
        names = names.map(told[known].groupby(names[known]).first())
    return known & (names != told)


def describe_data_rows(marked: ArrayLike) -> str:
    """Describe the marked rows, (n,), of a predictions table."""
    return describe_rows((np.flatnonzero(marked) + 1).tolist(), "the first of the data")


def find_contradictions(frames: pd.DataFrame, column: str) -> NDArray[np.bool_]:
    """Mark the rows whose value differs from that of their video's first row, (n,)."""
    import pandas as pd

    videos, values = pd.factorize(frames["video"])[0], _number_names(frames[column])[0]
    first = np.zeros(videos.max(initial=-1) + 2, dtype=np.int64)
    first[videos[::-1]] = values[::-1]
    return np.asarray(first[videos] != values)


def collect_remarks(frames: pd.DataFrame) -> list[str]:
    """Report, one line each, columns that aren't attributes, allow no gap, or leave rows out."""
    said, total = [], len(frames)
    for column in (str(c) for c in frames if str(c) not in NO_ATTRIBUTE):
        if why := _explain_unusable(frames, column):
            said.append(f"column {column} is not used: {why}")
            continue
        _, codes = grouping = _find_grouping(frames[column])
        if len(grouping.names) == 1:
            one = f"{column} is '{grouping.names[0]}' in every annotated row (rows 1 to {total})"
            said.append(f"{one}: there is no gap to measure")
        if len(unknown := np.flatnonzero(codes < 0)):
            some = f"{len(unknown)} of {total} rows, row {unknown[0] + 1} the first"
            said.append(f"{column} is unknown in {some}: these count only in the overall metrics")
    return said


def choose_main_pair(present: Sequence[str]) -> tuple[str, ...]:
    """Return the two attributes to cross as `intersection`: those of the literature, or the first two."""
    return next((pair for pair in PAIRS if set(pair) <= set(present)), tuple(present[:2]))


def _find_grouping(column: pd.Series) -> Grouping:
    return _sort_names(*_number_names(column))


def _sort_names(codes: NDArray[np.int64], names: Sequence[str]) -> Grouping:
    """Return the grouping of rows by the places of their names, which may repeat; "" is unknown."""
    present = np.bincount(codes, minlength=len(names)) > 0
    found = sorted({name for name, here in zip(names, present, strict=True) if name and here})
    places = {name: place for place, name in enumerate(found)}
    return Grouping(found, np.array([places.get(name, -1) for name in names], dtype=np.int16)[codes])


def cross_attributes(table: pd.DataFrame, known: Iterable[str]) -> dict[str, Grouping]:
    """Return the groups of each annotated attribute, and of each intersection of two.

    That of gender and race (or skin tone, or of the first two attributes) is called `intersection`, others
    `gender+age`. A row is in no group of it if either isn't annotated.
    """
    columns = {a: _find_grouping(table[a]) for a in known if a in table}
    columns = {a: grouping for a, grouping in columns.items() if grouping.names}
    main = choose_main_pair(list(columns))
    for one, other in combinations(list(columns), 2):
        name = INTERSECTION if {one, other} == set(main) else f"{one}+{other}"
        columns[name] = _cross(columns[one], columns[other])
    return columns


def _cross(one: Grouping, other: Grouping) -> Grouping:
    names = [f"{a}-{b}" for a in one.names for b in other.names]
    both = one.codes.astype(np.int64) * len(other.names) + other.codes
    return _sort_names(np.where((one.codes < 0) | (other.codes < 0), len(names), both), [*names, ""])
