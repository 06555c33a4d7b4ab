"""Rows that people contribute: a scorecard and its predictions, written by `bench submit` and checked without any data.

`entries/<suite>/<detector>/<train>__<test>.json`, with `.seed<N>` before the suffix for seeds other than 0, and the
predictions beside it as .parquet. The suite is the protocol, such as `real-32-frames`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import UndefinedError

from ..benchmark.errors import BenchError
from ..benchmark.predict import read_predictions, write_predictions
from ..benchmark.runner import make_card
from ..benchmark.score import SCHEMA_VERSION
from ..benchmark.store import SCORECARD, read_json, write_json
from .collect import Card, operating_point, read_card
from .html import page
from .rows import protocol_of, tables

ENTRIES = Path("leaderboards/entries")
TOLERANCE = 1e-9
_MADE_WITH = ("train", "test", "seed", "frames", "limit", "protocol")  # What predictions say themselves.
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError, UndefinedError)  # What hand-made content may raise.
_PRIVATE = ("faces", "artifacts", "path", "time")  # Of this machine alone.
# Real and fake videos of the official test splits; FaceForensics++ without and with FaceShifter.
OFFICIAL = {
    "ff++": ((140, 560), (140, 700)),
    "celebdf": ((178, 340),),
    "celebdf-v1": ((38, 62),),
    "dfd": ((363, 3068),),
    "dfdc": ((2500, 2500),),
    "dfdcp": ((276, 501),),
}


def submit(run: Path, entries: Path) -> list[Path]:
    """Write the entries of a run folder, or of one of its test folders, and return their paths.

    Raises:
        BenchError: there is no finished scorecard, it is PARTIAL, its predictions are gone, or the place is taken.
    """
    cards = [card for path in sorted(run.rglob(SCORECARD)) if (card := read_card(path))]
    if not cards:
        raise BenchError(f"no scorecards below {run}. Give a run's folder, such as runs/real/caddm/ff++-c23.seed0.KEY")
    for card in cards:
        _check_submittable(card, entries)
    return [_write(card, entries) for card in cards]


def _check_submittable(card: Card, entries: Path) -> None:
    if card["cell"]["limit"]:
        raise BenchError(f"{card['path']} is PARTIAL (--limit {card['cell']['limit']}). Submit a whole run")
    if read_json(Path(card["path"], SCORECARD))["schema_version"] != SCHEMA_VERSION:
        raise BenchError(
            f"{card['path']} was scored by an older crossfake. Run its command again: nothing is retrained"
        )
    if not Path(card["predictions"]).is_file():
        raise BenchError(f"{card['predictions']} is gone, and a row is checked by its predictions. Run it again")
    path = place(card, entries)
    if path.is_file() and read_json(path)["cell"]["recipe_key"] != card["cell"]["recipe_key"]:
        raise BenchError(f"{path} is another run's row. Remove it, or give yours a tag: --set tag=NAME")


def _write(card: Card, entries: Path) -> Path:
    path = place(card, entries)
    table, facts = read_predictions(Path(card["predictions"]))
    predictions = path.with_suffix(".parquet")
    write_predictions(predictions, table, {k: v for k, v in facts.items() if k not in _PRIVATE})
    content = {k: v for k, v in card.items() if k not in _PRIVATE}
    write_json(path, content | {"predictions": predictions.name, "predictions_sha256": _hash(predictions)})
    return path


def place(card: Card, entries: Path) -> Path:
    """Return where a scorecard's entry belongs."""
    cell = card["cell"]
    backend = "" if cell["backend"] in ("torch", "any") else f".{cell['backend']}"
    seed = f".seed{cell['seed']}" if cell["seed"] else ""
    name = f"{_slug(cell['train'])}__{_slug(cell['test'])}{seed}.json"
    return entries / suite(card) / _slug(cell["name"] + backend) / name


def suite(card: Card) -> str:
    """Name the protocol so that it can be a folder: `real-32-frames`."""
    return re.sub(r"[^0-9a-z.]+", "-", protocol_of(card).lower().removesuffix(" a video")).strip("-")


def _slug(name: str) -> str:
    return re.sub(r"[^0-9A-Za-z+._-]", "-", name)


def check(entries: Path) -> tuple[int, list[str]]:
    """Check every entry; return how many there are, and what is wrong, a line each."""
    paths = sorted(entries.rglob("*.json"))
    lonely = [p for p in sorted(entries.rglob("*.parquet")) if p.with_suffix(".json") not in paths]
    problems = [f"{path}: {problem}" for path in paths for problem in _problems(path, entries)]
    return len(paths), problems + [f"{path}: has no scorecard {path.stem}.json beside it" for path in lonely]


def _problems(path: Path, entries: Path) -> Iterator[str]:
    try:
        card = read_card(path)
        if card is None or card["status"] != "done":
            yield "is no finished scorecard. Write it with: bench submit RUN"
            return
        if missing := [k for k in _REQUIRED if not card.get(k)]:
            yield f"has no {', '.join(missing)}"
            return
        if path != (right := place(card, entries)):
            yield f"belongs in {right}"
        if card["cell"]["limit"]:
            yield "is PARTIAL: made with --limit"
        yield from _counted(card)
        yield from _recomputed(card)
        page(tables([card]))  # What no number is recomputed of must be fit to be shown.
    except BenchError as error:
        yield str(error)
    except _MALFORMED as error:
        yield f"is not of the form that bench submit writes ({type(error).__name__}: {error})"


_REQUIRED = ("metrics", "counts", "coverage", "threshold", "score", "provenance", "predictions_sha256")


def _counted(card: Card) -> Iterator[str]:
    """Hold the numbers of videos against the official test split."""
    counts, coverage, cell = card["counts"], card["coverage"], card["cell"]
    if coverage["scored"] != counts["videos"] or counts["videos"] != counts["real_videos"] + counts["fake_videos"]:
        yield f"its numbers of videos contradict each other: {coverage['scored']} scored, {counts}"
    named = len(coverage["dropped"])
    if coverage["scored"] + named != coverage["official"]:
        yield f"{coverage['official']} official videos are not {coverage['scored']} scored + {named} named as dropped"
    allowed = OFFICIAL.get(cell["test"].partition(":")[0], ()) if cell["protocol"] == "real" else ()
    real, fake = counts["real_videos"], counts["fake_videos"]
    if allowed and not any(coverage["official"] == r + f and real <= r and fake <= f for r, f in allowed):
        lists = " or ".join(f"{r} real + {f} fake" for r, f in allowed)
        yield f"{real} real + {fake} fake of {coverage['official']} videos; the official test split has {lists}"


def _recomputed(card: Card) -> Iterator[str]:
    """Score the predictions again and compare every number."""
    path = Path(card["predictions"])
    if not path.is_file():
        yield f"its predictions {path.name} are not beside it"
        return
    if _hash(path) != card["predictions_sha256"]:
        yield f"{path.name} is not the file it was made with: the SHA-256 differs"
    threshold, temperature = operating_point(card)
    again = make_card(path, threshold, card["score"]["draws"], card["threshold"]["rule"], temperature)
    # How intervals are made may change from one schema to the next; what was measured may not.
    exact = read_json(path.with_suffix(".json"))["schema_version"] == SCHEMA_VERSION
    for part in ("counts", "coverage", "metrics", "methods", "groups", *(["curves"] if exact else [])):
        yield from _differences(card[part], again[part], part, exact)
    was = {k: v for k, v in again["cell"].items() if k in _MADE_WITH}
    yield from _differences({k: card["cell"][k] for k in was}, was, "cell", exact)


def _differences(given: Any, found: Any, where: str, exact: bool) -> Iterator[str]:
    if isinstance(given, dict) and isinstance(found, dict):
        for key in given:
            if exact or key not in ("lo", "hi", "note", "left_out"):
                yield from _differences(given[key], found.get(key, "nothing"), f"{where} {key}", exact)
        if exact and (more := sorted(found.keys() - given.keys())):
            yield f"{where} lacks {', '.join(more)}"
    elif isinstance(given, list) and isinstance(found, list) and len(given) == len(found):
        for i, pair in enumerate(zip(given, found, strict=True)):
            yield from _differences(*pair, f"{where} {i}", exact)
    elif not _equal(given, found):
        yield f"{where} is {given}, the predictions give {found}"


def _equal(given: Any, found: Any) -> bool:
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in (given, found))
    return abs(given - found) <= TOLERANCE if numbers else given == found


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
