"""Score tables from any source, converted to one form: columns, labels, numbers, and video ids.

A video is identified by `dataset`, `method` and `video`, as far as the table has them. Ids that mean the same path,
such as `a` and `./a `, are one video. Every reinterpretation is reported as a remark.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .errors import BenchError, add_article, describe_rows, make_unknown_error, require_known
from .readers import normalise_id, shorten, shorten_value
from .readers.labels import LABELS
from .types import FAKE, REAL

if TYPE_CHECKING:
    import pandas as pd

REQUIRED = ("video", "frame", "label", "score")
PARTS = ("dataset", "method")
"""Columns that identify a video in addition to its id."""
KNOWN = (*REQUIRED, "logit", *PARTS, "identity", "gender", "race", "skin_tone", "age", "intersection")
NUMBERS = ("score", "logit")
NO_FRAMES = "there is no column frame: each row is a video, and frames aren't measured"
HINT = "If columns have other names: --columns score=pred,label=target,video=path"
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")


class TableForm(NamedTuple):
    """A table's form: its names of our columns ({"score": "pred"}), and the label that means fake."""

    columns: Mapping[str, str] = {}
    fake_is: str = ""


OURS = TableForm()


class ConformedTable(NamedTuple):
    """A table in the form that is scored, and remarks about it; with `by_video`, a row is a video."""

    table: pd.DataFrame
    remarks: list[str]
    by_video: bool = False


def name_columns(found: Sequence[object], columns: Mapping[str, str], table_name: str) -> list[str | None]:
    """Return our names of a table's columns, in order; None for a column that another one replaces.

    Args:
        found: the names in the table. Known names are accepted in any case.
        columns: the table's names by ours.
        table_name: the table's name in errors.

    Raises:
        BenchError: a column is missing, or two would have the same name.
    """
    names = [str(name).strip() or f"Unnamed: {place}" for place, name in enumerate(found)]
    given: dict[int, str] = {}
    for ours, theirs in columns.items():
        require_known("column", ours, KNOWN)
        place = _find_column(names, theirs, table_name)
        if place in given:
            raise BenchError(f"{table_name}: the column {shorten(theirs)} can't be both {given[place]} and {ours}")
        given[place] = ours
    named = [given.get(i, None if name in columns else name) for i, name in enumerate(names)]
    for ours in (name for name in KNOWN if name not in named):
        alike = [i for i, name in enumerate(named) if i not in given and name and name.casefold() == ours]
        if len(alike) > 1:
            raise BenchError(f"{table_name} has the column '{ours}' twice, in two spellings. Remove or rename one")
        if alike:
            named[alike[0]] = ours
    kept = [name for name in named if name is not None]
    if twice := next((name for i, name in enumerate(kept) if name in kept[:i]), None):
        raise BenchError(f"{table_name} has the column '{shorten(twice)}' twice. Remove or rename one")
    return named


def _find_column(names: Sequence[str], wanted: str, table_name: str) -> int:
    folded = [name.casefold() for name in names]
    for known, name in ((names, wanted.strip()), (folded, wanted.strip().casefold())):
        if known.count(name) == 1:
            return known.index(name)
    found = f"Found: {shorten(', '.join(names), 300)}"
    raise make_unknown_error(f"{table_name}: no column '{shorten(wanted)}'", wanted, names, found)


def conform_table(found: pd.DataFrame, form: TableForm, table_name: str) -> ConformedTable:
    """Convert a table of any origin to the form that is scored; missing content is refused elsewhere.

    Args:
        found: the table, which isn't changed.
        form: its form.
        table_name: its name in errors.

    Raises:
        BenchError: a column, label or video id is ambiguous; names it, and the first rows.
    """
    names = name_columns(list(found.columns), form.columns, table_name)
    kept = [i for i, name in enumerate(names) if name is not None]
    table = found.iloc[:, kept].set_axis([names[i] for i in kept], axis=1).reset_index(drop=True)
    table, remarks = conform_values(table, form.fake_is, table_name)
    flat = _list_flat(table)
    if "video" not in flat or ("label" in table and "label" not in flat):
        return ConformedTable(table, remarks)
    table["video"], said = _unite_spellings(table["video"])
    by_video = "frame" not in table and {"label", "score"} <= set(flat)
    table, more = _tell_videos_apart(table, [name for name in PARTS if name in flat], table_name)
    if by_video:
        table = table.assign(frame=_number_single_rows(table["video"], table_name))
    return ConformedTable(table, [*remarks, *said, *more, *([NO_FRAMES] if by_video else [])], by_video)


def conform_values(table: pd.DataFrame, fake_is: str, table_name: str) -> tuple[pd.DataFrame, list[str]]:
    """Return a table with plain columns, numeric scores and labels 0 and 1, and remarks.

    Raises:
        BenchError: see `parse_labels`.
    """
    table = table.assign(**{str(name): _make_plain(column) for name, column in table.items()})
    flat, remarks = _list_flat(table), []
    for name in (name for name in NUMBERS if name in flat):
        table[name], said = _parse_numbers(table[name])
        remarks += said
    if "label" in flat:
        table["label"] = parse_labels(table["label"], fake_is, table_name)
    return table, remarks


def _list_flat(table: pd.DataFrame) -> list[str]:
    """Return the known columns with single values."""
    return [name for name in KNOWN if name in table and not is_nested(table[name])]


def is_nested(column: pd.Series) -> bool:
    """Return whether a column holds a list, an array or a mapping, as parquet can."""
    from pandas.api.types import is_object_dtype

    if not is_object_dtype(column):
        return False
    return any(isinstance(v, list | tuple | set | dict | np.ndarray) for v in column)


def _make_plain(column: pd.Series) -> pd.Series:
    """Return a column of numpy types or text: pandas' own types behave differently."""
    import pandas as pd
    from pandas.api.types import is_bool_dtype, is_numeric_dtype, is_object_dtype

    kind = column.dtype
    if kind == np.float16:
        return column.astype(np.float32)  # Pandas can't group by float16.
    if isinstance(kind, np.dtype):
        return column.map(_decode, na_action="ignore") if is_object_dtype(kind) else column
    if isinstance(kind, pd.StringDtype):
        return column
    if is_bool_dtype(kind) or not is_numeric_dtype(kind):
        return column.astype(object).where(column.notna(), None)
    plain = float if column.isna().any() else getattr(kind, "numpy_dtype", float)
    return pd.Series(column.to_numpy(plain, na_value=np.nan), index=column.index, name=column.name)


def _decode(value: object) -> object:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _parse_numbers(column: pd.Series) -> tuple[pd.Series, list[str]]:
    """Read numbers written as text, also with a decimal comma; anything else becomes NaN, which is refused later."""
    import pandas as pd
    from pandas.api.types import is_bool_dtype, is_float_dtype, is_integer_dtype

    if is_bool_dtype(column) or is_integer_dtype(column):
        return column.astype(float), []
    if is_float_dtype(column):
        return column, []
    texts = column.astype(str).str.strip()
    commas = texts.str.fullmatch(_DECIMAL_COMMA.pattern)
    remarks = (
        [f"{column.name}: the comma in {texts[commas].iloc[0]} is read as a decimal point"] if commas.any() else []
    )
    texts = texts.where(~commas, texts.str.replace(",", ".", regex=False))
    return pd.to_numeric(texts, errors="coerce").astype(float), remarks


def parse_labels(column: pd.Series, fake_is: str = "", table_name: str = "the table") -> pd.Series:
    """Read labels: 0 (real) or 1 (fake) in any spelling; missing ones stay missing.

    Args:
        column: numbers or text.
        fake_is: the label that means fake; the only other one then means real.
        table_name: the table's name in errors.

    Raises:
        BenchError: a text isn't a label, or with `fake_is` there are two others.
    """
    import pandas as pd
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    codes, values = pd.factorize(column)
    texts = [_write_label(value) for value in values]
    if fake_is:
        labels: list[int | None] = _compare_labels(texts, _write_label(fake_is), table_name)
    elif is_numeric_dtype(column) and not is_bool_dtype(column):
        return column
    else:
        labels = [LABELS.get(text) for text in texts]
        if None in labels:
            wrong = labels.index(None)
            what = f"the label {shorten_value(texts[wrong])}, which is neither 0 or real nor 1 or fake"
            raise BenchError(
                f"{table_name}: {what}, {_describe_rows(codes == wrong)}. "
                "Or say which label means fake: --fake-is LABEL"
            )
    known = np.array([*(FAKE if label else REAL for label in labels), -1], dtype=np.int64)[codes]
    missing = codes < 0
    return pd.Series(np.where(missing, np.nan, known) if missing.any() else known, column.index, name=column.name)


def _write_label(value: object) -> str:
    """Return a label in lower case, or as 0 or 1 if it has that meaning."""
    text = str(value).strip().casefold()
    return str(LABELS.get(text, text))


def _compare_labels(texts: Sequence[str], fake: str, table_name: str) -> list[int | None]:
    others = sorted({text for text in texts if text != fake})
    if len(others) > 1 or (fake not in texts and fake not in ("0", "1")):
        found = shorten(", ".join(sorted(set(texts))) or "none", 300)
        raise BenchError(
            f"{table_name}: --fake-is {shorten(fake)} needs a table of that label and one other; found {found}"
        )
    return [FAKE if text == fake else REAL for text in texts]


def _unite_spellings(column: pd.Series) -> tuple[pd.Series, list[str]]:
    """Unify the spelling of ids that mean the same path, with a remark; remark on ids that differ in case or blanks.

    A table without such ids isn't changed.
    """
    import pandas as pd
    from pandas.api.types import is_numeric_dtype

    if is_numeric_dtype(column):
        return column, []
    codes, values = pd.factorize(column)
    written = [str(value) for value in values]
    plain = [unicodedata.normalize("NFC", normalise_id(text)) for text in written]
    spellings: dict[str, list[str]] = defaultdict(list)
    for text, name in zip(written, plain, strict=True):
        spellings[name].append(text)
    several = {name: texts for name, texts in spellings.items() if len(texts) > 1}
    remarks = []
    if several:
        name, texts = next(iter(several.items()))
        remarks = [
            f"{_count(len(several), 'video')} spelled in several ways, such as {' and '.join(map(repr, texts[:2]))}: "
            f"taken as one, {name!r}"
        ]
    ids = [name if name in several or not name else text for text, name in zip(written, plain, strict=True)]
    if ids == list(values):
        return column, _remark_lookalikes(ids)
    named = pd.Series(np.array([*ids, None], dtype=object)[codes], column.index, name=column.name)
    return named, remarks + _remark_lookalikes(ids)


def _remark_lookalikes(ids: Sequence[str]) -> list[str]:
    alike: dict[str, dict[str, None]] = defaultdict(dict)
    for name in ids:
        alike[_make_loose_key(name)][name] = None
    several = [list(names) for names in alike.values() if len(names) > 1]
    if not several:
        return []
    told = " and ".join(map(repr, several[0][:2]))
    return [
        f"{_count(sum(map(len, several)), 'video')} that differ only in case, blanks or invisible characters, such as "
        f"{told}: taken as different"
    ]


def _make_loose_key(name: str) -> str:
    """Return a key that is equal for ids that people might confuse."""
    if name.isascii():
        return "".join(normalise_id(name).split()).casefold()
    folded = unicodedata.normalize("NFKC", normalise_id(name)).casefold()
    return "".join(c for c in folded if unicodedata.category(c) not in ("Cf", "Cc", "Zs", "Zl", "Zp"))


def _count(number: int, what: str) -> str:
    return f"{number} {what} is" if number == 1 else f"{number} {what}s are"


def _tell_videos_apart(table: pd.DataFrame, parts: Sequence[str], table_name: str) -> tuple[pd.DataFrame, list[str]]:
    """Rename videos that share an id but differ in dataset or method to `method/id`, with a remark.

    A real video has no method: one that only says which fakes it is listed with, as in lists that repeat the reals for
    every method, is ignored.

    Raises:
        BenchError: a part is missing in some rows of a video, or a new name is already another video's id.
    """
    import pandas as pd

    videos = pd.factorize(table["video"])[0]
    if not parts or len(table) == 0:
        return table, []
    texts = {part: _write_texts(table[part]) for part in parts}
    if "method" in texts and "label" in table:
        texts["method"] = _forget_methods_of_reals(texts["method"], (table["label"] == REAL).to_numpy())
    for part in parts:
        _refuse_gaps(table, part, texts[part], table_name)
    whole = _number_rows(videos, *(pd.factorize(_fold(texts[part]))[0] for part in parts))
    members = pd.DataFrame({"video": videos, "whole": whole}).drop_duplicates()
    several = members["video"].value_counts()
    shared = np.isin(videos, several.index[several > 1]) & (videos >= 0)
    if not shared.any():
        return table, []
    rows = np.flatnonzero(shared)
    first = pd.Series(rows).groupby(whole[rows]).transform("first").to_numpy()  # One spelling of the method per video.
    ids = table["video"].astype(object).to_numpy().copy()
    ids[rows] = ["/".join(filter(None, [*(texts[p][i] for p in parts), str(ids[i])])) for i in first.tolist()]
    named = pd.DataFrame({"id": ids, "whole": whole})[videos >= 0].drop_duplicates()
    if clash := named["id"].duplicated(keep=False).to_numpy().nonzero()[0].tolist():
        what = f"{shorten(named['id'].iloc[clash[0]])} is the id of one video, and the {' and '.join(parts)} of another"
        raise BenchError(f"{table_name}: {what}. Give every video a unique id")
    count, total = int((several > 1).sum()), int(several[several > 1].sum())
    example = shorten(ids[rows[0]])
    remark = f"{_count(count, 'id')} shared by {total} videos of different {' or '.join(parts)}: taken as {example} ..."
    return table.assign(video=ids), [remark]


def _write_texts(column: pd.Series) -> NDArray[np.object_]:
    """Return a column as text, (n,): "" for missing values, 1 for 1.0."""
    import pandas as pd

    codes, values = pd.factorize(column)
    texts = [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v).strip() for v in values]
    return np.array([*texts, ""], dtype=object)[codes]


def _fold(texts: NDArray[np.object_]) -> NDArray[np.object_]:
    import pandas as pd

    codes, values = pd.factorize(texts)
    return np.array([text.casefold() for text in values], dtype=object)[codes]


def _forget_methods_of_reals(methods: NDArray[np.object_], real: NDArray[np.bool_]) -> NDArray[np.object_]:
    faked = set(_fold(methods[~real]))
    return np.where(real & np.isin(_fold(methods), list(faked)), "", methods)


def _refuse_gaps(table: pd.DataFrame, part: str, texts: NDArray[np.object_], table_name: str) -> None:
    """Refuse a part that is given in some rows of a video and missing in others: those rows are ambiguous."""
    import pandas as pd

    keys = [table[c] for c in ("video", "label") if c in table]
    if part == "method" and "label" in table:
        texts = np.where((table["label"] == REAL).to_numpy(), "", texts)
    known = pd.Series(texts != "", index=table.index).groupby(keys, dropna=False)
    gaps = (texts == "") & known.transform("any").to_numpy()
    if gaps.any():
        what = f"{add_article(part)} that the video's other frames have"
        raise BenchError(f"{table_name}: {what} is missing {_describe_rows(gaps)}")


def _number_rows(*codes: NDArray[np.intp]) -> NDArray[np.int64]:
    """Number the distinct rows of several columns of codes, (n,)."""
    import pandas as pd

    whole = codes[0].astype(np.int64)
    for column in codes[1:]:
        whole = pd.factorize(whole * (int(column.max()) + 2) + column)[0].astype(np.int64)
    return whole


def _number_single_rows(videos: pd.Series, table_name: str) -> int:
    """Return the frame numbers of a table whose rows are videos.

    Raises:
        BenchError: a video has two rows.
    """
    again = videos.duplicated().to_numpy()
    if again.any():
        where = _describe_rows(again)
        raise BenchError(
            f"{table_name} has no column frame, so each row is a video, but a video is repeated {where}. "
            "Or name the frames' column: --columns frame=NAME"
        )
    return 0


def _describe_rows(marked: NDArray[np.bool_]) -> str:
    return describe_rows((np.flatnonzero(marked) + 1).tolist(), "the first of the data")
