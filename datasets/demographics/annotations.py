"""Demographics per frame: reads the annotation tables published for deepfake datasets, unchanged.

- A-FF++, A-Celeb-DF, A-DFD and A-DFDC (Xu, Terhörst, Pedersen, Raja: "Analyzing Fairness in Deepfake Detection With
  Massively Annotated Databases", CC BY-SA 4.0): 1 yes, -1 no, 0 undefined, as predicted by a classifier. Race is the
  one of asian, white and black that is 1. It is `others` if all are -1, and `several` if more than one is 1: such
  videos become `undefined`, and `find_ambiguous_videos` lists them. Anything else is `undefined`, unless
  `merge_undefined` makes it `others`. Age is read in the same way if a table has all its columns: it is the one of
  young, middle_aged and senior that is 1, and `undefined` if none is, since there are no other ages.
- AI-Face, version 1 (race) and 2 (skin tone), recognised by the names of their columns.
- The CSVs of the papers on fairness: papers_csv.py.

Every reader returns one row per frame with `path`, `label` and the attributes. It rejects what it can't interpret, and
names the rows (1 is the first line). Papers' intersection codes are checked against gender and race in each row.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...benchmark.core.errors import BenchError, describe_rows
from ...benchmark.stats.attributes import PEOPLE, UNDEFINED, find_contradictions
from .groups import AGES, FEMALE, MALE, OTHERS, RACES, SEVERAL, forget_ambiguous_values, merge_undefined_races

if TYPE_CHECKING:
    import pandas as pd

GENDER_CODES = {1: MALE, -1: FEMALE, 0: UNDEFINED}
AIFACE_RACES = dict(enumerate((*RACES, OTHERS)))
AIFACE_AGES = dict(enumerate(("young", "middle-aged", "senior", OTHERS)))
AIFACE2_AGES = dict(enumerate(("child", "young", "adult", "middle-aged", "senior")))
TONES = ("light", "medium", "dark")
NOT_NAMES = {"raw", "c23", "c40", "videos", "frames", "face_images"}
# The name of a folder in flat copies of FaceForensics++ and in the tables.
KAGGLE_FOLDERS = {"original": "youtube"}
Key = tuple[str, str]


def read_frames(table: Path, merge_undefined: bool = False) -> pd.DataFrame:
    """Read an annotation table of any known kind: one row per frame with `path`, `label`, `gender`, `race` or others.

    Args:
        table: the CSV file.
        merge_undefined: count an undefined race as `others`.

    Raises:
        BenchError: not a known kind of table, or rows with unknown codes, contradictions or repeated frames.
    """
    from .papers_csv import read_paper_csv

    header = _read_header(table)
    folded = {name.strip().casefold() for name in header}
    if {"path", "label", "male"} <= folded:
        frames = _read_public(table, header)
    elif "image path" in folded:
        frames = _read_aiface(table)
    else:
        frames = read_paper_csv(table)
    reject_rows(table, "no path", frames["path"].fillna("").str.strip() == "", frames)
    reject_rows(table, "a duplicate frame", frames["path"].duplicated(), frames)
    return merge_undefined_races(frames) if merge_undefined else frames


def aggregate_by_video(frames: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return one row per video (a frame's folder), and a line for every value on which its frames disagree.

    In that case, the video has no value.
    """
    frames = forget_ambiguous_values(frames.assign(video=_get_video_folders(frames)))
    videos = frames.drop_duplicates("video").drop(columns="path").set_index("video").astype(object)
    lines = frames.index.tolist()
    said: dict[tuple[str, str], str] = {}
    for column in map(str, videos):
        for row in np.flatnonzero(find_contradictions(frames, column)).tolist():
            video, value, line = str(frames["video"].iat[row]), frames[column].iat[row], lines[row]
            first = videos.at[video, column]
            said.setdefault((video, column), f"{video}: {column} is {first!s}, but {value!s} in row {line}")
    for video, column in said:
        videos.at[video, column] = ""
    return videos.reset_index(), list(said.values())


def find_ambiguous_videos(frames: pd.DataFrame) -> list[str]:
    """Return a line for every video whose frames have several races or ages at once, which counts as undefined.

    In tables with an intersection, all of its attributes should be known: otherwise a line counts the rows.
    """
    said = []
    for attribute in (a for a in ("race", "age") if a in frames):
        first = _get_video_folders(frames)[frames[attribute] == SEVERAL].drop_duplicates()
        what = f"more than one {attribute} in row"
        said += [f"{video}: {what} {row}, taken as undefined" for row, video in first.items()]
    for attribute in (a for a in ("gender", "race") if a in frames and "intersection" in frames):
        rows = frames.index[frames[attribute] == UNDEFINED]
        if len(rows):
            where = f"{len(rows)} of {len(frames)} rows, row {rows[0]} the first"
            said.append(f"{attribute} is 0 next to -1 in {where}: taken as undefined")
    return said


def _get_video_folders(frames: pd.DataFrame) -> pd.Series:
    return frames["path"].str.rpartition("/")[0]


def read_annotations(table: Path, merge_undefined: bool = False) -> dict[Key, dict[str, str]]:
    """Read a table into {make_video_key(path): {"gender": ..., "race": ...}}, without undefined values.

    Raises:
        BenchError: the table can't be read, or the frames of a video disagree.
    """
    videos, conflicts = aggregate_by_video(read_frames(table, merge_undefined))
    if conflicts:
        raise BenchError(f"{table}: {conflicts[0]} ({len(conflicts)} such videos). Fix it, or write demographics.csv")
    attributes = [c for c in videos if c in PEOPLE]
    rows = zip(videos["video"], *(videos[c] for c in attributes), strict=True)
    return {
        _make_key(PurePosixPath(video)): {
            a: v for a, v in zip(attributes, values, strict=True) if v not in (UNDEFINED, "")
        }
        for video, *values in rows
    }


def match_split_file(videos: pd.Series, split: Path) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which videos (folders of frames) are in a split file, (n,), and which of its names match no video.

    Args:
        videos: paths such as FaceForensics++/manipulated_sequences/Deepfakes/raw/face_images/000_003.
        split: FaceForensics++'s list of pairs of ids (.json: the reals a and b, the fakes a_b and b_a), or a list with
            one video per line, whose last word is a path (Celeb-DF's `1 Celeb-real/id0_0000.mp4`).

    Raises:
        BenchError: it can't be read.
    """
    named, pairs = _read_split_file(split)
    keys = list(videos.str.rpartition("/")[2] if pairs else (_make_key(PurePosixPath(video)) for video in videos))
    there = set(keys)
    return np.array([key in named for key in keys]), [name for key, name in named.items() if key not in there]


def _read_split_file(split: Path) -> tuple[dict[Key | str, str], bool]:
    """Return a split file's video keys with their spelling in it, and whether it is a list of pairs."""
    try:
        text = split.read_text(encoding="utf-8")
        if split.suffix == ".json":
            pairs = [(str(a), str(b)) for a, b in json.loads(text)]
            return {name: name for a, b in pairs for name in (a, b, f"{a}_{b}", f"{b}_{a}")}, True
    except (OSError, ValueError, TypeError) as error:
        raise BenchError(
            f"{split} can't be read as a split: {error}. "
            "Give a FaceForensics++ list of pairs (test.json), or a list of one video per line (.txt)"
        ) from None
    paths = [line.split()[-1] for line in text.splitlines() if line.strip()]
    return {make_video_key(path): path for path in paths}, False


def make_video_key(video_id: str) -> Key:
    """Return a video's key in these tables, the same for all compressions: `("Deepfakes", "000_003")`."""
    return _make_key(PurePosixPath(video_id).with_suffix(""))


def _make_key(path: PurePosixPath) -> Key:
    *_, folder, name = ["", "", *(part for part in path.parts if part not in NOT_NAMES)]
    return KAGGLE_FOLDERS.get(folder, folder), name


def reject_rows(table: Path, what: str, bad: ArrayLike, frames: pd.DataFrame) -> None:
    """Reject a table with `bad` rows (n,); the index of `frames` has their numbers in the file.

    Raises:
        BenchError: there are such rows.
    """
    mask = np.asarray(bad, dtype=bool)
    if mask.any():
        where = describe_rows(frames.index[mask].tolist(), "the file's first line")
        raise BenchError(f"{table}: {what} {where}")


def read_codes(table: Path, frames: pd.DataFrame, column: str, known: dict[int, str] | tuple[int, ...]) -> pd.Series:
    """Read a column of codes as whole numbers.

    Raises:
        BenchError: a cell is none of the `known` codes.
    """
    import pandas as pd

    found = pd.to_numeric(frames[column], errors="coerce")
    choices = ", ".join(map(str, sorted(known)))
    reject_rows(table, f"a value of {column} other than {choices}", ~found.isin(list(known)), frames)
    return found.astype(int)


def _read_header(table: Path) -> list[str]:
    import pandas as pd

    try:
        return [str(c) for c in pd.read_csv(table, nrows=0, encoding="utf-8-sig", skipinitialspace=True)]
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise _make_format_error(table, " ".join(str(error).split())) from None
    except FileNotFoundError:
        raise BenchError(f"no annotation table {table}") from None


def read_csv(table: Path, **options: Any) -> pd.DataFrame:
    """Read a CSV with pandas.

    Raises:
        BenchError: it is empty, a row has more cells than the first, or the text can't be decoded.
    """
    import pandas as pd

    try:
        frames = pd.read_csv(table, encoding="utf-8-sig", skipinitialspace=True, **options)
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise _make_read_error(table, error) from None
    if not isinstance(frames.index, pd.RangeIndex):  # What pandas does with more cells than in the header.
        raise _make_read_error(table, "rows have more cells than the header")
    return frames


def _make_read_error(table: Path, error: Exception | str) -> BenchError:
    """Name the first row with a different number of cells than the first one, else the parser's message."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, skipinitialspace=True)
            wanted = len(next(rows, []))
            for cells in rows:
                if cells and len(cells) != wanted:
                    where = describe_rows([rows.line_num], "the file's first line")
                    return BenchError(f"{table}: {len(cells)} cells instead of {wanted} {where}")
    except (csv.Error, UnicodeDecodeError):
        pass
    return _make_format_error(table, " ".join(str(error).split()))


def _make_format_error(table: Path, why: str) -> BenchError:
    return BenchError(f"{table} isn't one of the published annotation tables: {why}")


def _index_by_row_number(table: Path, frames: pd.DataFrame) -> pd.DataFrame:
    """Use each row's number in the file as the index.

    Raises:
        BenchError: there are none.
    """
    import pandas as pd

    if frames.empty:
        raise BenchError(f"{table} has a header but no rows: nothing to read")
    return frames.set_axis(pd.RangeIndex(2, 2 + len(frames)), axis=0)


def _read_public(table: Path, header: list[str]) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    races = [r for r in RACES if r in header]
    ages = AGES if set(AGES) <= set(header) else ()
    if not races:
        raise _make_format_error(table, f"it has none of the columns {', '.join(RACES)}")
    options = arrow_csv.ConvertOptions(include_columns=["path", "label", "male", *races, *ages])
    try:
        frames = _index_by_row_number(table, arrow_csv.read_csv(table, convert_options=options).to_pandas())
    except (pa.ArrowInvalid, KeyError) as error:
        raise _make_read_error(table, error) from None
    codes = {c: read_codes(table, frames, c, GENDER_CODES) for c in ("male", *races, *ages)}
    none = np.all([codes[r] == -1 for r in races], axis=0)
    result = {
        "path": frames["path"],
        "label": read_codes(table, frames, "label", (0, 1)),
        "gender": codes["male"].map(GENDER_CODES),
        "race": decode_one_hot({r: codes[r] == 1 for r in races}, np.where(none, OTHERS, UNDEFINED)),
    }
    if ages:
        result["age"] = decode_one_hot({a: codes[a] == 1 for a in ages}, UNDEFINED)
    return pd.DataFrame(result)


def decode_one_hot(yes: Mapping[str, ArrayLike], otherwise: ArrayLike) -> NDArray[np.str_]:
    """Return which of the names is true, (n,): `several` if more than one is, `otherwise` if none."""
    flags = [np.asarray(flag, dtype=bool) for flag in yes.values()]
    return np.select([np.sum(flags, axis=0) > 1, *flags], [SEVERAL, *yes], otherwise)


def _read_aiface(table: Path) -> pd.DataFrame:
    import pandas as pd

    frames = _index_by_row_number(table, read_csv(table))
    columns = {c.casefold(): c for c in map(str, frames)}

    def find_column(word: str) -> str:
        fits = [c for low, c in columns.items() if word in low and "score" not in low and "group" not in low]
        if len(fits) != 1:
            raise _make_format_error(
                table, f"it has {len(fits)} columns for {word}; AI-Face's has one, besides Image Path"
            )
        return fits[0]

    male = read_codes(table, frames, find_column("gender"), (0, 1))
    result = {
        "path": frames[find_column("image path")],
        "label": read_codes(table, frames, find_column("target"), (0, 1)),
        "gender": male.map({1: MALE, 0: FEMALE}),
    }
    if any("skin tone" in low for low in columns):
        ages = AIFACE2_AGES
        tone = read_codes(table, frames, find_column("skin tone"), tuple(range(1, 11)))
        third = np.digitize(tone, (4, 7))  # Monk tones 1-3, 4-6, 7-10
        result["skin_tone"] = pd.Series(np.take(TONES, third), frames.index)
        _check_tone_group(table, frames, result["skin_tone"])
        expected = 3 * male + third
    else:
        ages = AIFACE_AGES
        race = read_codes(table, frames, find_column("race"), AIFACE_RACES)
        result["race"] = race.map(AIFACE_RACES)
        expected = 4 * (1 - male) + race
    if any("age" in low.split() for low in columns):
        column = next(c for low, c in columns.items() if "age" in low.split() and "score" not in low)
        result["age"] = read_codes(table, frames, column, ages).map(ages)
    crossed = read_codes(table, frames, find_column("intersection"), tuple(range(6 if ages is AIFACE2_AGES else 8)))
    reject_rows(table, "an intersection that contradicts the other columns", crossed != expected, frames)
    return pd.DataFrame({**result, "intersection": crossed})


def _check_tone_group(table: Path, frames: pd.DataFrame, tones: pd.Series) -> None:
    """Check the group of skin tones, if there is a column for it, against the tone itself.

    Raises:
        BenchError: they contradict each other in some rows.
    """
    for column in (c for c in frames if "skin tone group" in str(c).casefold()):
        told = frames[column].astype(str).str.strip().str.casefold()
        if told.isin(TONES).any():
            reject_rows(table, f"a {column} that contradicts the skin tone", told != tones, frames)
