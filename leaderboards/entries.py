"""Rows that people contribute: a scorecard and its predictions, written by `bench submit` and checked without any data.

`entries/<suite>/<detector>/<train>__<test>.json`, with `.seed<N>` before the suffix for seeds other than 0. Beside it
are its predictions (.parquet) and those of the source validation split, on which the operating point is fixed
(.val.parquet). All numbers of an entry follow from these two files. The suite is the protocol, e.g. `real-32-frames`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..benchmark.core.cell_description import NOT_KNOWN, CellDescription
from ..benchmark.core.errors import BenchError
from ..benchmark.core.keys import file_hash
from ..benchmark.core.predictions import read_predictions, write_predictions
from ..benchmark.core.scorecard import Card, ScoreCard, Scoring
from ..benchmark.core.settings import ScoreSettings
from ..benchmark.core.storage import SCORECARD, write_json
from ..benchmark.core.types import REAL
from ..benchmark.stats.operating_points import FittedPoint, fit_operating_point
from ..benchmark.stats.scoring import make_scorecard
from ..datasets.base import label_dataset, parse_name
from .load import ENTRY, read_card
from .protocols import describe_protocol

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 1e-9
DRAWS = ScoreSettings().draws  # The same intervals for everybody, whatever their recipe sets.
_PRIVATE = {"faces", "artifacts"}  # Of this machine alone.
# Real and fake videos of the official test splits; FaceForensics++ without and with FaceShifter.
OFFICIAL = {
    "ff++": ((140, 560), (140, 700)),
    "ff++:4m": ((140, 560),),
    "celebdf": ((178, 340),),
    "celebdf-v1": ((38, 62),),
    "dfd": ((363, 3068),),
    "dfdc": ((2500, 2500),),
    "dfdcp": ((276, 501),),
}


def submit(run: Path, entries: Path) -> list[Path]:
    """Write the entries of a run folder, of one of its test folders, or of older entries, and return their paths.

    Raises:
        BenchError: there is no finished scorecard, it is PARTIAL, predictions are missing, or the place is taken.
    """
    paths = [path for name in (SCORECARD, ENTRY) for path in sorted(run.rglob(name))]
    cards = [card for path in paths if (card := read_card(path))]
    if not cards:
        raise BenchError(f"no scorecards below {run}. Give a run's folder, such as runs/real/caddm/ff++-c23.seed0.KEY")
    return [_write_entry(card, entries) for card in [_require_submittable(card, entries) for card in cards]]


def _require_submittable(card: Card, entries: Path) -> ScoreCard:
    if not isinstance(card, ScoreCard):
        raise BenchError(f"{card.folder} has {card.status}: {card.error}. Run its command again")
    if card.cell.limit:
        raise BenchError(f"{card.folder} is PARTIAL (--limit {card.cell.limit}). Submit a whole run")
    if card.cell.excluded:
        raise BenchError(f"{card.folder} was made with --exclude. Submit a run of the whole test split")
    for path in (card.predictions_path, card.validation_path):
        if path and not path.is_file():
            raise BenchError(f"{path} is missing, but a row is checked against its predictions. Run it again")
    path = locate_entry(card, entries)
    if path.is_file() and ((old := read_card(path)) is None or old.cell.recipe_key != card.cell.recipe_key):
        raise BenchError(f"{path} is another run's row. Remove it, or give yours a tag: --set tag=NAME")
    return card


def _write_entry(card: ScoreCard, entries: Path) -> Path:
    path, source = locate_entry(card, entries), card.validation_path
    predictions, val = path.with_suffix(".parquet"), _validation_path(path) if source else None
    for file, copy in ((card.predictions_path, predictions), (source, val)):
        if file and copy:
            table, metadata = read_predictions(file)
            told = {"cell": metadata.cell.merge(card.cell)}
            write_predictions(copy, table, metadata.without(_PRIVATE).model_copy(update=told))
    files = {"predictions": predictions.name, "predictions_sha256": file_hash(predictions)}
    entry = _score_entry(predictions, val).model_copy(update={"provenance": card.provenance, **files})
    write_json(path, entry.to_json())
    return path


def _validation_path(path: Path) -> Path:
    return path.with_suffix(".val.parquet")


def _score_entry(predictions: Path, val: Path | None) -> ScoreCard:
    """Make an entry's scorecard, without what says where it was made."""
    point = fit_operating_point(read_predictions(val)[0]) if val else FittedPoint()
    card = make_scorecard(predictions, point.threshold, DRAWS, temperature=point.temperature, source=point.source)
    told = {"score": Scoring(draws=DRAWS), "validation": val.name if val else None}
    return card.without(_PRIVATE).model_copy(update=told)


def locate_entry(card: Card, entries: Path) -> Path:
    """Return where a scorecard's entry belongs."""
    cell = card.cell
    backend = "" if cell.backend in ("torch", "any") else f".{cell.backend}"
    seed = f".seed{cell.seed}" if cell.seed else ""
    name = f"{_slug(cell.source or cell.train)}__{_slug(cell.test)}{seed}.json"
    return entries / name_suite(card) / _slug(cell.name + backend) / name


def name_suite(card: Card) -> str:
    """Name the protocol so that it can be a folder: `real-32-frames`."""
    return re.sub(r"[^0-9a-z.]+", "-", describe_protocol(card).lower().removesuffix(" per video")).strip("-")


def _slug(name: str) -> str:
    return re.sub(r"[^0-9A-Za-z+._-]", "-", name)


def check_entries(entries: Path) -> tuple[int, list[str]]:
    """Check every entry; return how many there are, and one line for each problem."""
    paths = sorted(entries.rglob("*.json"))
    problems = [f"{path}: {problem}" for path in paths for problem in _find_problems(path, entries)]
    wanted = {file for path in paths for file in (path.with_suffix(".parquet"), _validation_path(path))}
    stray = (path for path in sorted(entries.rglob("*.parquet")) if path not in wanted)
    return len(paths), problems + [f"{path}: no scorecard next to it was made from this" for path in stray]


def _find_problems(path: Path, entries: Path) -> Iterator[str]:
    try:
        card = read_card(path)
        if not isinstance(card, ScoreCard):
            yield "is not a finished scorecard. Write it with: bench submit RUN"
            return
        if not card.is_current:
            old, today = card.written_version, card.schema_version
            yield f"has schema {old}, but the current one is {today}. Score it again: bench submit {path.parent}"
            return
        if not card.provenance:
            yield "has no provenance, so it can't be reproduced"
        if path != (right := locate_entry(card, entries)):
            yield f"belongs in {right}"
        if card.cell.limit:
            yield "is PARTIAL: made with --limit"
        if card.cell.excluded:
            yield "was made with --exclude"
        yield from _check_names(card.cell)
        different = list(_check_numbers(card, path))
        yield from different or _check_counts(card)
    except BenchError as error:
        yield str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")


def _check_names(cell: CellDescription) -> Iterator[str]:
    """Refuse unknown worlds and datasets: there are no official counts to check them against."""
    if cell.world not in ("real", "demo") or cell.protocol.partition(" ")[0] != cell.world:
        yield f"its world '{cell.world}', protocol '{cell.protocol}', is neither real nor a demo"
    for name in sorted({cell.source or cell.train, cell.train, cell.test} - {NOT_KNOWN}):
        plugin, compression = parse_name(name)
        if "takes" not in plugin.card and name != (right := label_dataset(plugin, compression)):
            yield f"its dataset '{name}' is written '{right}'"


def _check_counts(card: ScoreCard) -> Iterator[str]:
    """Compare the numbers of videos with the official test split."""
    counts, coverage, cell = card.counts, card.coverage, card.cell
    real, fake = counts.real_videos, counts.fake_videos
    if coverage.scored != counts.videos or counts.videos != real + fake:
        yield f"its numbers of videos contradict each other: {coverage.scored} scored, {counts.to_json()}"
    named = len({d.video for d in coverage.dropped if d.reason.strip()})
    if coverage.scored + named != coverage.official or named != len(coverage.dropped):
        yield f"{coverage.official} official videos are not {coverage.scored} scored + {named} named as dropped"
    allowed = OFFICIAL.get(label_dataset(parse_name(cell.test)[0], ""), ()) if cell.world == "real" else ()
    if allowed and not any(coverage.official == r + f and real <= r and fake <= f for r, f in allowed):
        lists = " or ".join(f"{r} real + {f} fake" for r, f in allowed)
        yield f"{real} real + {fake} fake of {coverage.official} videos; the official test split has {lists}"


def _check_numbers(card: ScoreCard, path: Path) -> Iterator[str]:
    """Score the predictions again and compare everything."""
    predictions, val = path.with_suffix(".parquet"), card.validation_path
    for what, file, right in (
        ("predictions", card.predictions_path, predictions),
        ("validation", val, _validation_path(path)),
    ):
        if file and (file != right or not file.is_file()):
            yield f"its {what} {right.name} are not next to it"
            return
    if file_hash(predictions) != card.predictions_sha256:
        yield f"{predictions.name} is not the file it was made from: the SHA-256 differs"
    yield from _check_consistency(card, read_predictions(predictions)[0], val)
    again = _score_entry(predictions, val)
    # Whether a checkpoint was selected on a test set, only its maker can say.
    again = again.model_copy(update={"cell": again.cell.merge(CellDescription(selection=card.cell.selection))})
    given, expected = card.to_json(), again.to_json()
    telling = ("counts", "coverage", "threshold")  # If these differ, so do hundreds of numbers.
    found = list(_find_differences({k: given.get(k) for k in (*telling, *expected)}, expected))
    if found:
        yield found[0] + (f" (and {len(found) - 1} more differences)" if len(found) > 1 else "")


def _check_consistency(card: ScoreCard, table: pd.DataFrame, val: Path | None) -> Iterator[str]:
    """Describe contradictions within the predictions."""
    videos = set(table["video"])
    if "method" in table and ((table["method"] == "real") != (table["label"] == REAL)).any():
        yield "its predictions have videos whose label contradicts their method"
    if both := videos & {d.video for d in card.coverage.dropped}:
        yield f"{len(both)} videos are scored, and named as dropped; first: {min(both)}"
    if val and (both := videos & set(read_predictions(val)[0]["video"])):
        yield f"{len(both)} videos are in the test set and in the threshold's split; first: {min(both)}"


def _find_differences(given: object, found: object, where: str = "") -> Iterator[str]:
    if isinstance(given, dict) and isinstance(found, dict):
        for key in (key for key in given if key in found):
            yield from _find_differences(given[key], found[key], f"{where} {key}")
        for what, names in (("lacks", found.keys() - given.keys()), ("has unknown", given.keys() - found.keys())):
            if names:
                yield f"{where.strip()} {what} {', '.join(sorted(names))}"
    elif isinstance(given, list) and isinstance(found, list) and len(given) == len(found):
        for i, pair in enumerate(zip(given, found, strict=True)):
            yield from _find_differences(*pair, f"{where} {i}")
    elif not _is_equal(given, found):
        yield f"{where.strip()} is {given}, the predictions give {found}"


def _is_equal(given: object, found: object) -> bool:
    if isinstance(given, int | float) and isinstance(found, int | float) and bool not in (type(given), type(found)):
        return abs(given - found) <= TOLERANCE
    return given == found
