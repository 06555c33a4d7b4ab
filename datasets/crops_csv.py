"""Face crops of the papers on fair deepfake detection, from their CSVs: one row per crop, with demographics.

    faketrain.csv realtrain.csv fakeval.csv realval.csv test.csv    img_path,label,ismale,...,intersec_label[,spe_label]

The crops in one folder are one video's frames, unless some are real and some fake: then each is a separate video. They
have no landmarks, so the finder looks for a face in each.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ..benchmark.core.errors import BenchError
from ..benchmark.core.readers import normalise_id, shorten
from ..benchmark.core.registry import datasets
from .base import describe_folder
from .manifest import Manifest, make_manifest
from .spelling import make_stem_key

if TYPE_CHECKING:
    import pandas as pd

TABLES = {
    "realtrain.csv": "train",
    "faketrain.csv": "train",
    "realval.csv": "val",
    "fakeval.csv": "val",
    "test.csv": "test",
}


@datasets.register(
    "crops-csv",
    takes="file",
    title="the fairness papers' crops and CSVs",
    compressions=(),
    default_compression="",
    splits=("train", "val", "test"),
    url="https://github.com/Purdue-M2/Fairness-Generalization",
    license="that of the crops' dataset",
)
class CropsCsv:
    """`crops-csv` reads the papers' five CSVs in the root, `crops-csv:FILE` a CSV of another name, as test."""

    def __init__(self, file: str = ""):
        self.file = file

    def home(self, root: Path) -> Path:
        """Return the folder of the CSVs.

        Raises:
            BenchError: there are none.
        """
        if not self._find_tables(root):
            looked = self.file or ", ".join(TABLES)
            raise BenchError(f"no {looked} in {root}: found {describe_folder(root)}. Name the file: crops-csv:FILE")
        return root

    def _find_tables(self, root: Path) -> dict[Path, str]:
        names = {self.file: TABLES.get(Path(self.file).name, "test")} if self.file else TABLES
        return {root / name: split for name, split in names.items() if (root / name).is_file()}

    def videos(self, home: Path, compression: str) -> Manifest:
        """List the videos in the CSVs.

        Raises:
            BenchError: a CSV has another format, or its crops are missing; names it.
        """
        import pandas as pd
        import pyarrow as pa

        from .demographics.papers_csv import read_paper_csv

        tables = self._find_tables(home)
        frames = pd.concat([read_paper_csv(file).assign(split=split, file=file.name) for file, split in tables.items()])
        _check_repeats(frames)
        frames["path"] = _trim_to_existing(frames["path"].str.replace("\\", "/"), home)
        frames = _assign_videos(frames).drop(columns=["intersection", "file"]).astype({"label": str})
        return make_manifest(pa.Table.from_pandas(frames, preserve_index=False), home, "fairness papers' crops")


def _check_repeats(frames: pd.DataFrame) -> None:
    """Reject a crop that appears twice in the CSVs; `file` and the frame's index give its place."""
    key = frames["path"].map(lambda path: make_stem_key(normalise_id(str(path))))
    twice = key.duplicated()
    if twice.any():
        row = frames[twice].iloc[0]
        first = frames[key == key[twice].iloc[0]].iloc[0]
        raise BenchError(
            f"{row['file']}, row {row.name}: {shorten(row['path'])} is listed twice, also in {first['file']}, "
            f"row {first.name}. Remove one"
        )


def _trim_to_existing(paths: pd.Series[str], home: Path) -> pd.Series[str]:
    """Remove from another machine's paths the part that doesn't exist here."""
    parts = PurePosixPath(paths.iloc[0]).parts
    for drop in range(len(parts)):
        if home.joinpath(*parts[drop:]).is_file():
            return paths.str.split("/").str[drop:].str.join("/") if drop else paths
    raise BenchError(
        f"the crop {paths.iloc[0]} isn't in {home}, not even by part of its path: found {describe_folder(home)}"
    )


def _assign_videos(frames: pd.DataFrame) -> pd.DataFrame:
    folder = frames["path"].str.rpartition("/")[0]
    mixed = frames["label"].groupby(folder).transform("nunique") > 1
    frames["video"] = folder.where(~mixed & (folder != ""), frames["path"])
    number = frames["path"].str.extract(r"(\d+)\.\w+$")[0].astype(float)
    frames = frames.assign(frame=number).sort_values(["video", "frame", "path"], ignore_index=True)
    if frames["frame"].isna().any() or frames.duplicated(["video", "frame"]).any():
        frames["frame"] = frames.groupby("video").cumcount()
    return frames.assign(frame=frames["frame"].astype(int))
