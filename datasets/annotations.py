"""The public annotation tables A-FF++ and A-Celeb-DF, read as they were published.

Xu, Terhörst, Pedersen, Raja: "Analyzing Fairness in Deepfake Detection With Massively Annotated Databases" (CC BY-SA
4.0). A row is a frame, and its labels, which a classifier made, are the same in all frames of a video: 1 yes, -1 no,
0 undefined. Race is the one of asian, white and black that is 1; `others` is where none is, as in papers that use these
tables: mostly people for whom it is undefined, not a fourth ethnicity. Gender that is undefined is left out.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ..benchmark.errors import BenchError

RACES = ("asian", "white", "black")
NOT_NAMES = {"raw", "c23", "c40", "videos", "face_images"}
Key = tuple[str, str]


def read_annotations(table: Path) -> dict[Key, dict[str, str]]:
    """Read a table into {(folder, video): {"gender": ..., "race": ...}}; see `key_of_video`.

    Raises:
        BenchError: the file isn't such a table.
    """
    import pyarrow as pa
    from pyarrow import csv

    try:
        rows = csv.read_csv(table)
        columns = [c for c in ("male", *RACES) if c in rows.column_names]
        folders = [PurePosixPath(path).parent for path in rows["path"].to_pylist()]
        labels = zip(*(rows[c].to_pylist() for c in columns), strict=True)
    except (pa.ArrowInvalid, KeyError) as error:
        raise BenchError(f"{table} isn't one of the published annotation tables: {error}") from None
    videos = dict(zip(folders, labels, strict=True))
    return {_key(folder): _groups(dict(zip(columns, values, strict=True))) for folder, values in videos.items()}


def key_of_video(video_id: str) -> Key:
    """Return what tells a video in these tables, the same for all compressions: `("Deepfakes", "000_003")`."""
    return _key(PurePosixPath(video_id).with_suffix(""))


def _key(path: PurePosixPath) -> Key:
    *_, folder, name = ["", "", *(part for part in path.parts if part not in NOT_NAMES)]
    return folder, name


def _groups(labels: dict[str, int]) -> dict[str, str]:
    gender = {1: "male", -1: "female"}.get(labels.get("male", 0))
    races = [race for race in RACES if labels.get(race) == 1]
    groups = {"gender": gender, "race": races[0] if len(races) == 1 else None if races else "others"}
    return {attribute: value for attribute, value in groups.items() if value}
