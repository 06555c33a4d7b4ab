"""CSVs of the papers on fair deepfake detection (DAW-FDD, PG-FDD): read as annotations, written for their code.

    img_path, label, ismale, isasian, iswhite, isblack, intersec_label[, spe_label]    FF++, DFDC: 8 intersections
    img_path, label, ismale, iswhite, isblack, intersec_label[, spe_label]             Celeb-DF, DFD: 6, no asian

Their code reads columns by position and uses only the intersection, and published descriptions disagree on which column
is white and which is black. So an interpretation is accepted only if the intersection code follows from gender and race
in every row; the header's names are tried first, then the positions.

Flags are 1 and -1; in a column with -1, 0 is undefined, as in the tables that these were made from; if no gender (or
race) in the file is -1, 0 means no. An undefined gender matches both genders' codes, an undefined race those of others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from ...benchmark.core.contracts import Cropper
from ...benchmark.core.errors import BenchError
from ...benchmark.core.readers import safe_relative_path, shorten
from ...benchmark.core.storage import write_atomically
from ...benchmark.core.types import FAKE, REAL, Video
from ...benchmark.stats.attributes import UNDEFINED
from .annotations import decode_one_hot, read_codes, read_csv, reject_rows
from .groups import FEMALE, MALE, OTHERS, RACES

if TYPE_CHECKING:
    import pandas as pd

    from ..faces.face_store import FaceStore

METHODS = ("real", "Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
LISTS = ("faketrain", "realtrain", "fakeval", "realval", "test")
EIGHT, SIX = RACES, ("white", "black")
SIX_GROUPS = ("celebdf", "dfd")
LAYOUTS = (EIGHT, ("asian", "black", "white"), SIX, ("black", "white"))
"""The races' columns between gender and intersection, in the known orders."""
BY_NAME = {
    "path": "img_path",
    "male": "ismale",
    **{r: f"is{r}" for r in RACES},
    "intersection": "intersec_label",
    "type": "spe_label",
}


def read_paper_csv(table: Path) -> pd.DataFrame:
    """Read one of the papers' CSVs, with or without a header, whatever its columns are called.

    Returns:
        One row per frame: `path`, `label`, `gender`, `race`, `intersection` (the code), and `method` if given.

    Raises:
        BenchError: not such a CSV, an unknown code, or rows whose intersection doesn't match gender and race.
    """
    cells, names = _read_cells(table)
    candidates = [places for places in _guess_column_maps(names, cells.shape[1]) if _is_plausible(cells, places)]
    if not candidates:
        raise _make_format_error(table, cells, names)
    right = [_check_intersection(cells, places) for places in candidates]
    best = int(np.argmax([r.mean() for r in right]))
    frames = _decode_frames(table, cells, candidates[best])
    reject_rows(table, "an intersection that contradicts gender and race", ~right[best], cells)
    return frames


def _read_cells(table: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the data as text with line numbers as index, and the header's names (none without a header)."""
    import pandas as pd

    cells = read_csv(table, header=None, dtype=str, keep_default_na=False)
    codes = cells.columns[1:]
    cells[codes] = cells[codes].replace(r"\.0+$", "", regex=True)  # Pandas writes codes so if cells are empty.
    first = cells.iloc[0].str.strip().tolist()
    headless = any(c.lstrip("+-").isdecimal() for c in first[1:])
    cells.index = pd.RangeIndex(1, len(cells) + 1)
    if not headless and len(cells) == 1:
        raise BenchError(f"{table} has a header but no rows: nothing to read")
    return (cells, []) if headless else (cells.iloc[1:], [name.casefold() for name in first])


ColumnMap = dict[str, int]
"""Which column holds what: `path`, `label`, `male`, the races, `intersection` and maybe `type`."""


def _guess_column_maps(names: list[str], width: int) -> Iterator[ColumnMap]:
    by_name = {key: names.index(n) for key, long in BY_NAME.items() for n in (long, key) if n in names}
    if {"male", "white", "black", "intersection"} <= by_name.keys() and "label" in names:
        yield {"path": 0, "label": names.index("label"), **by_name}
    for races in LAYOUTS:
        order = ("path", "label", "male", *races, "intersection", "type")
        if len(order) - 1 <= width <= len(order):
            yield dict(zip(order, range(width), strict=False))


def _is_plausible(cells: pd.DataFrame, places: ColumnMap) -> bool:
    """Return whether most cells in the attributes' columns are codes."""
    flags = [cells[places[c]].isin(["1", "-1", "0"]).mean() for c in ("male", *_list_races(places))]
    codes = cells[places["intersection"]].isin([str(i) for i in range(2 * len(_list_races(places)) + 2)]).mean()
    return len(cells) > 0 and min([*flags, codes]) > 0.5


def _list_races(places: ColumnMap) -> tuple[str, ...]:
    return tuple(r for r in RACES if r in places)


def _decode_genders(cells: pd.DataFrame, places: ColumnMap) -> np.ndarray:
    male = cells[places["male"]].to_numpy(dtype=str)
    other = np.where((male == "0") & (male == "-1").any(), UNDEFINED, FEMALE)
    return np.where(male == "1", MALE, other)


def _decode_races(cells: pd.DataFrame, places: ColumnMap) -> np.ndarray:
    flags = {race: cells[places[race]] for race in _list_races(places)}
    no = np.array([flag == "-1" for flag in flags.values()])
    none = np.where(no.all(0) | (not no.any()), OTHERS, UNDEFINED)
    return decode_one_hot({race: flag == "1" for race, flag in flags.items()}, none)


def _check_intersection(cells: pd.DataFrame, places: ColumnMap) -> np.ndarray:
    """Return the rows in which the intersection code matches gender and race, (n,)."""
    import pandas as pd

    races = (*_list_races(places), OTHERS)
    order = {race: i for i, race in enumerate(races)} | {UNDEFINED: races.index(OTHERS)}
    gender, race = _decode_genders(cells, places), pd.Series(_decode_races(cells, places))
    of_man = race.map(order).to_numpy(dtype=float)  # NaN, which equals nothing, if several races are given.
    code = pd.to_numeric(cells[places["intersection"]], errors="coerce").to_numpy()
    return ((gender != FEMALE) & (code == of_man)) | ((gender != MALE) & (code == of_man + len(races)))


def _decode_frames(table: Path, cells: pd.DataFrame, places: ColumnMap) -> pd.DataFrame:
    import pandas as pd

    races = (*_list_races(places), OTHERS)
    frames = cells[list(places.values())].set_axis(list(places), axis=1)
    for flag in ("male", *races[:-1]):
        read_codes(table, frames, flag, (1, -1, 0))
    code = read_codes(table, frames, "intersection", tuple(range(2 * len(races))))
    result = {
        "path": frames["path"],
        "label": read_codes(table, frames, "label", (REAL, FAKE)),
        "gender": _decode_genders(cells, places),
        "race": _decode_races(cells, places),
        "intersection": code,
    }
    if "type" in frames:
        kind = read_codes(table, frames, "type", tuple(range(len(METHODS))))
        result["method"] = np.take(METHODS, kind)
    return pd.DataFrame(result)


def _make_format_error(table: Path, cells: pd.DataFrame, names: list[str]) -> BenchError:
    seen = shorten(",".join(names), 300) if names else f"{cells.shape[1]} columns without a header"
    return BenchError(
        f"{table} isn't one of the published annotation tables: found {seen} and {len(cells)} rows. Expected columns "
        "such as img_path,label,ismale,isasian,iswhite,isblack,intersec_label, or path,label,male,asian,white,black"
    )


def draw_random_pairs(fakes: int, reals: int, seed: int, epoch: int = 0) -> np.ndarray:
    """Return, for each fake, the index of a random real, with replacement, (fakes,): an epoch's training pairs."""
    return np.random.default_rng([seed, epoch]).integers(reals, size=fakes)


def export(
    videos: Iterable[Video],
    faces: FaceStore,
    cropper: Cropper,
    out: Path,
    seed: int = 0,
    dataset: str = "ff++",
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, int], list[str]]:
    """Write prepared faces in the format of the papers' code.

    `out` gets images/<video>/<frame>.png, faketrain.csv, realtrain.csv, fakeval.csv, realval.csv and test.csv in the
    layout at the top of this module that their code expects for the `dataset`, by position (six groups only for
    Celeb-DF and DFD, if no video has the race asian; with spe_label if all methods are those of FaceForensics++), and
    trainpairs.csv: every fake of faketrain.csv with a random real.

    Returns:
        The number of frames in each list, and a line for every video that is in no list.
    """
    videos = list(videos)
    for video in videos:
        safe_relative_path(video.id, "a video of this dataset")  # Before anything is written.
    asian = dataset not in SIX_GROUPS or any(v.groups.get("race") == "asian" for v in videos)
    races = EIGHT if asian else SIX
    typed = all(v.method in METHODS for v in videos)
    rows: dict[str, list[list[object]]] = {name: [] for name in LISTS}
    left_out = []
    for done, video in enumerate(videos, start=1):
        flags = _make_flags(video, races)
        if isinstance(flags, str) or not faces.frames(video.id):
            left_out.append(f"{video.id}: {flags if isinstance(flags, str) else 'no faces'}")
        else:
            name = "test" if video.split == "test" else f"{'fake' if video.label == FAKE else 'real'}{video.split}"
            kind = [METHODS.index(video.method)] if typed and video.split != "test" else []
            paths = _write_images(video, faces, cropper, out / "images")
            rows[name] += [[str(path), video.label, *flags, *kind] for path in paths]
        tick(done, len(videos))
    header = [BY_NAME.get(c, c) for c in ("path", "label", "male", *races, "intersection")]
    for name, lines in rows.items():
        columns = [*header, *(["spe_label"] if typed and name != "test" else [])]
        _write_csv(out / f"{name}.csv", columns, lines)
    fakes, reals = rows["faketrain"], rows["realtrain"]
    pairs = draw_random_pairs(len(fakes), len(reals), seed).tolist() if reals else []
    both: list[list[object]] = [[fakes[i][0], reals[j][0]] for i, j in enumerate(pairs)]
    _write_csv(out / "trainpairs.csv", ["fake_path", "real_path"], both)
    return {name: len(lines) for name, lines in rows.items()}, left_out


def _make_flags(video: Video, races: tuple[str, ...]) -> list[int] | str:
    """Return ismale, the races' flags and the intersection code, or what is missing."""
    unknown = [a for a in ("gender", "race") if video.groups.get(a, UNDEFINED) == UNDEFINED]
    if unknown:
        return f"no {' and '.join(unknown)}"
    gender, race = video.groups["gender"], video.groups["race"]
    place = races.index(race) if race in races else len(races)
    woman = gender != MALE
    return [-1 if woman else 1, *(1 if r == race else -1 for r in races), woman * (len(races) + 1) + place]


def _write_images(video: Video, faces: FaceStore, cropper: Cropper, folder: Path) -> Iterator[Path]:
    from ..faces.encodings import encode

    for number, frame in enumerate(faces.frames(video.id)):
        name = PurePosixPath(safe_relative_path(video.id, "a video of this dataset"))
        path = (folder / name.with_suffix("") / f"{frame}.png").resolve()
        if not path.is_file():
            with write_atomically(path) as temporary:
                temporary.write_bytes(encode(cropper(faces.face(video.id, number)), "png"))
        yield path


def _write_csv(path: Path, header: list[str], rows: list[list[object]]) -> None:
    import pandas as pd

    with write_atomically(path) as temporary:
        pd.DataFrame(rows, columns=header).to_csv(temporary, index=False)
