"""Estimates that papers and projects report (published.csv), next to the rows reproduced here."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from ..benchmark.core.errors import make_unknown_error
from ..benchmark.core.types import Estimate
from ..benchmark.stats.seed_pooling import AUC, FRAME_AUC
from ..datasets.base import strip_part
from .rows import Row, Table

FILE = Path(__file__).with_name("published.csv")
METRICS = {"video": AUC, "frame": FRAME_AUC}
# Only names that say exactly which data they mean: DFD without its compression, say, is compared with nothing.
TRAINS = {"FF++ c23": "ff++:c23", "FF++ c40": "ff++:c40", "FF++ (raw layout)": "ff++:raw"}
TESTS = {
    "FF++ c23": "ff++:c23",
    "FF++ c40": "ff++:c40",
    "FF++ raw": "ff++:raw",
    "Celeb-DF-v2": "celebdf",
    "Celeb-DF (v2 assumed)": "celebdf",
    "DFD c23": "dfd:c23",
    "DFDC": "dfdc",
}
NOT_STATED = " (methods not stated)"
METHODS = {"5": "", "4": ":4m", "": NOT_STATED}  # Of FF++, as rows mark them.
ALIASES = {"efficientb4": "efficientnet-b4", "pg-fdd": "pgfdd"}  # Names that lower case alone doesn't turn into ours.


@dataclass(frozen=True)
class Reported:
    """One published AUC.

    `ours` is what the same detector, train set, test set and level have here, if they do, `row` the key of the row that
    has it and `name` that row's detector. `differs` says how that row's compression or methods of FF++ are others; then
    there is no `ours`.
    """

    source: str
    detector: str
    backbone: str
    train: str
    test: str
    level: str
    value: float
    citation: str
    ours: Estimate | None = None
    row: str = ""
    name: str = ""
    differs: str = ""


@cache
def read_published() -> tuple[dict[str, str], ...]:
    """Read published.csv: source, detector, backbone, train, test, metric, level, value (0..1), and further columns.

    `methods` is how many of FF++ the source trained and tested on, as its code or text says: 4 is without FaceShifter.
    It, `protocol` and `selection` (what the checkpoint was selected on) are empty if nobody has checked.
    """
    with FILE.open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def find_published(query: str = "") -> list[dict[str, str]]:
    """Return the lines of published.csv about a detector or a test set, in any common spelling; all by default.

    Raises:
        BenchError: no line matches; names the nearest.
    """
    lines = [{**line, "year": _find_year(line["citation"])} for line in read_published()]
    wanted = {_fold(query), *(_fold(theirs) for theirs, ours in TESTS.items() if ours.startswith(query.casefold()))}
    found = [line for line in lines if not query or not wanted.isdisjoint(_list_spellings(line))]
    if not found:
        known = sorted({line[kind] for line in lines for kind in ("detector", "test")})
        problem = f"no published number of a detector or test set named '{query}'"
        raise make_unknown_error(problem, query, known, "All of them: bench published")
    return found


def _list_spellings(line: dict[str, str]) -> set[str]:
    name = line["detector"].lower()
    return {_fold(line["detector"]), _fold(ALIASES.get(name, name)), _fold(line["test"])}


def _fold(name: str) -> str:
    return re.sub(r"[^a-z0-9+]", "", name.casefold())


def _find_year(citation: str) -> str:
    """Return a citation's year, from its text or arXiv number; empty if it has none."""
    if preprint := re.search(r"arXiv:(\d\d)\d\d\.", citation):
        return f"20{preprint[1]}"
    told = re.search(r"\b20[012]\d\b", citation)
    return told[0] if told else ""


def make_published_grid(lines: Iterable[Mapping[str, str]], tests: Iterable[str]) -> tuple[list[str], list[list[str]]]:
    """Return published AUCs as a table: a row per detector, train set, level and source, a column per test set."""
    tests = list(tests)
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for line in lines:
        if line["metric"] == "AUC" and line["test"] in tests:
            name = f"{line['detector']} ({line['backbone']})" if line["backbone"] else line["detector"]
            train = f"{line['train']}, {line['methods']} methods" if line["methods"] else line["train"]
            key = (name, train, line["level"], line["source"], line["year"])
            rows.setdefault(key, {})[line["test"]] = f"{float(line['value']):.3f}"
    header = ["detector", "train", "level", *tests, "source", "year"]
    return header, [[*key[:3], *(values.get(t, "") for t in tests), *key[3:]] for key, values in sorted(rows.items())]


def match_published(table: Table) -> list[Reported]:
    """Return the published AUCs on a table's train and test sets, with the board's own number if it has one.

    A row is also paired with its detector's numbers on another compression or other methods of FF++, with what differs.
    Only for tables of real, whole test sets with selection on validation: other numbers mean something else.
    """
    others = ("PARTIAL", "test-oracle", " without ")
    if not table.title.startswith("real;") or any(word in table.title for word in others):
        return []
    pairs = {(row.train, test) for row in table.rows for test in row.results}
    found = [r for line in read_published() if (r := _parse_line(line))]
    rows, whole = _sort_by_detector(table.rows), cache(strip_part)
    beside = [
        shown
        for r in found
        for alike in [_find_rows(r, rows)]
        for shown in _match_rows(r, alike) or _find_near_rows(r, alike, whole) or [r]
        if shown.row or (r.train, r.test) in pairs
    ]
    return sorted(beside, key=lambda r: (r.ours is None, not r.row, r.test, r.level, -r.value))


def list_citations(found: list[Reported]) -> list[str]:
    """Return the sources of published numbers, each once."""
    return list(dict.fromkeys(f"{r.source}: {r.citation}" for r in found))


def _parse_line(line: dict[str, str]) -> Reported | None:
    train, test = TRAINS.get(line["train"]), TESTS.get(line["test"])
    if test is None and line["test"] == "FF++" and train:
        test = train  # Tested as trained.
    if line["metric"] != "AUC" or line["level"] not in METRICS or not train or not test:
        return None
    train, test = (s + METHODS[line["methods"]] if s.startswith("ff++") else s for s in (train, test))
    source, detector, backbone = line["source"], line["detector"], line["backbone"]
    return Reported(source, detector, backbone, train, test, line["level"], float(line["value"]), line["citation"])


def _sort_by_detector(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.cell.detector, []).append(row)
    return found


def _find_rows(r: Reported, rows: Mapping[str, list[Row]]) -> list[Row]:
    """Return the rows of the same detector and backbone."""
    name, backbone = r.detector.lower(), r.backbone.lower().replace("resnet-", "resnet")
    alike = rows.get(ALIASES.get(name, name), [])
    return [row for row in alike if row.cell.options.get("backbone", backbone) == backbone]


def _match_rows(r: Reported, rows: list[Row]) -> list[Reported]:
    """Pair it with every row of the same train set that has the test set and level."""
    return [
        replace(r, ours=row.results[r.test].metrics[METRICS[r.level]], row=row.key, name=row.name)
        for row in rows
        if row.train == r.train and r.test in row.results and row.results[r.test].done
    ]


def _find_near_rows(r: Reported, rows: list[Row], whole: Callable[[str], str]) -> list[Reported]:
    """Pair it with rows of the same datasets but another compression or other methods; `whole` is `strip_part`."""
    found = []
    for row in rows:
        test = next((t for t in row.results if _is_near(t, row.train, r, whole) and row.results[t].done), None)
        if test:
            pairs = (("trained", r.train, row.train), ("tested", r.test, test))
            told = "; ".join(f"{what} on {theirs}, ours on {ours}" for what, theirs, ours in pairs if theirs != ours)
            found.append(replace(r, row=row.key, name=row.name, differs=told))
    return found


def _is_near(test: str, train: str, r: Reported, whole: Callable[[str], str]) -> bool:
    """Whether the datasets are the same: at the test set's compression, or both tested as they were trained."""
    ours, theirs, home = (whole(label.removesuffix(NOT_STATED)) for label in (test, r.test, r.train))
    same = ours == theirs or (theirs == home and ours == whole(train))
    return same and train.partition(":")[0] == r.train.partition(":")[0]
