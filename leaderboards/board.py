"""Leaderboards from a folder of scorecards: markdown and HTML for people, CSV and JSON for tools."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic_core import to_json

from ..benchmark.core.collector import pause_collector
from ..benchmark.core.display import format_csv
from ..benchmark.core.migrations import SCHEMA_VERSION
from ..benchmark.core.records import as_json
from ..benchmark.core.scorecard import Card, ScoreCard
from ..benchmark.core.speeds import Speed
from ..benchmark.core.storage import write_atomically, write_text
from .html import render_page
from .load import load_cards, load_cards_with_problems
from .markdown import render_markdown
from .pareto import Tradeoff, list_tradeoffs
from .published import match_published
from .rows import Row, Table, make_tables
from .speeds import list_conditions, match_speeds
from .verdicts import make_verdicts
from .written import list_outputs

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_cards", "load_cards_with_problems", "long_table", "make_tables", "write"]


@pause_collector()
def write(cards: list[Card], out: Path, name: str = "leaderboard", speeds: Sequence[Speed] = ()) -> list[Path]:
    """Write `name`.md, .csv, .json and .html into `out`, and return their paths."""
    paths = list_outputs(out, name)
    made = make_tables(cards, speeds)
    write_text(paths[0], render_markdown(made, name))
    write_text(paths[1], format_csv(long_table(cards, speeds)))
    with write_atomically(paths[2]) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(format_data(made))
    write_text(paths[3], render_page(made, name))
    return paths


def list_metric_rows(cards: Iterable[Card]) -> list[dict[str, object]]:
    """Return one row per scorecard and metric: detector, train, test, seed, metric, value, lo, hi, n."""
    return [
        {
            "detector": card.cell.name,
            "train": card.cell.train,
            "test": card.cell.test,
            "seed": card.cell.seed,
            "metric": name,
            "value": estimate.value,
            "lo": estimate.lo,
            "hi": estimate.hi,
            "n": estimate.n,
        }
        for card in cards
        if isinstance(card, ScoreCard)
        for name, estimate in card.metrics.items()
    ]


def long_table(cards: Sequence[Card], speeds: Sequence[Speed] = ()) -> pd.DataFrame:
    """Return one row per scorecard, with plain numbers. The speed is that under the most common condition."""
    import pandas as pd

    known = [match_speeds(c.cell, c.params, speeds) if isinstance(c, ScoreCard) else {} for c in cards]
    usual = next(iter(list_conditions(known)), None)
    found = [one.get(usual) if usual else None for one in known]
    return pd.DataFrame([_scorecard_row(card, speed) for card, speed in zip(cards, found, strict=True)])


def _scorecard_row(card: Card, speed: Speed | None) -> dict[str, object]:
    cell, done = card.cell, card if isinstance(card, ScoreCard) else None
    return {
        "world": cell.protocol,
        "detector": cell.name,
        "backend": cell.backend,
        "train": cell.train,
        "test": cell.test,
        "seed": cell.seed,
        "frames": cell.frames,
        "limit": cell.limit,
        "source": cell.source,
        "weights": cell.weights,
        "selection": cell.selection,
        "training_videos": cell.training_videos,
        "contaminated": cell.contaminated,
        "excluded": len(cell.excluded),
        "status": card.status,
        "error": "" if isinstance(card, ScoreCard) else card.error,
        "path": str(card.folder),
        **(_list_metrics(done) if done else {}),
        "threshold": done and done.threshold.value,
        "temperature": done and done.temperature,
        "videos_scored": done and done.coverage.scored,
        "videos_official": done and done.coverage.official,
        "videos_several_people": done and done.coverage.several_people,
        "images_per_s": speed and speed.best.value,
        "images_per_s_on": speed and speed.condition.describe(),
        "params": done and done.params,
        "flops": done and done.flops,
        "command": card.provenance.command if card.provenance else "",
        "recipe_key": cell.recipe_key,
        "train_key": cell.train_key,
        "test_key": cell.test_key,
    }


def _list_metrics(card: ScoreCard) -> dict[str, float | int | None]:
    row: dict[str, float | int | None] = {}
    for name, e in card.metrics.items():
        row |= {name: e.value, f"{name}.lo": e.lo, f"{name}.hi": e.hi, f"{name}.n": e.n}
    return row


def format_data(made: list[Table]) -> Iterator[str]:
    """Yield the tables as JSON, one row per line, with the other formats' content, seeds pooled."""
    yield f'{{"schema_version": {SCHEMA_VERSION}, "kind": "leaderboard", "tables": ['
    for i, table in enumerate(made):
        yield f'{"," if i else ""}\n{_dump(_table_as_data(table))[:-1]}, "rows": ['
        for j, row in enumerate(table.rows):
            yield f"{',' if j else ''}\n{_dump(_row_as_data(table, row))}"
        yield "]}"
    yield "]}\n"


def _dump(content: Mapping[str, object]) -> str:
    return to_json(as_json(content), inf_nan_mode="null").decode()


def _table_as_data(table: Table) -> dict[str, object]:
    return {
        "protocol": table.title,
        "synthetic": table.is_synthetic,
        "tests": table.tests,
        "verdicts": [asdict(verdict) for verdict in make_verdicts(table)],
        "reported": [asdict(r) for r in match_published(table)],
        "tradeoffs": [_tradeoff_as_data(t) for t in list_tradeoffs(table, [(r, r.key) for r in table.rows])],
    }


def _row_as_data(table: Table, row: Row) -> dict[str, object]:
    results = {
        test: {
            "status": result.status,
            "metrics": result.metrics,
            "groups": result.pooled.groups,
            "group_tests": result.pooled.group_tests,
            "method_groups": result.pooled.method_groups,
            "drop": row.drop(test),
            "worst_group": summary._asdict() if (summary := result.groups) else None,
            "coverage": [c.coverage for c in result.done],
            "contaminated": [c.cell.contaminated for c in result.done],
            "excluded": [c.cell.excluded for c in result.done],
            "best": (row.key, test) in table.best,
            "auc_of_all": bounds._asdict() if (bounds := table.bounds.get((row.key, test))) else None,
            "lost": [{"seed": c.cell.seed, "status": c.status, "error": c.error} for c in result.lost],
        }
        for test, result in row.results.items()
    }
    return {
        "row": row.key,
        "detector": row.name,
        "backend": row.backend,
        "train": row.train,
        "weights": row.cell.weights,
        "selection": row.cell.selection,
        "training_videos": row.cell.training_videos,
        "seeds": row.seeds,
        "speeds": [_speed_as_data(speed) for speed in row.speeds.values()],
        "params": row.params,
        "flops": row.flops,
        "standing": standing._asdict() if (standing := table.standings.get(row.key)) else None,
        "commands": row.commands,
        "results": results,
    }


def _speed_as_data(speed: Speed) -> dict[str, object]:
    """Return a speed as plain data, without its single runs."""
    best = speed.best
    return {
        **speed.condition._asdict(),
        "runtime": speed.runtime,
        "images_per_s": best.value,
        "batch": best.batch,
        "latency_p50_ms": speed.latency.p50_ms,
        "videos_per_s": {way: rate.value for way, rate in speed.videos.items()},
        "busy": speed.is_disturbed,
    }


def _tradeoff_as_data(tradeoff: Tradeoff) -> dict[str, object]:
    told = {"axis": tradeoff.axis, "frontier": [p.label for p in tradeoff.frontier]}
    return {**tradeoff.condition._asdict(), **told}
