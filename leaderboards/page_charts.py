"""The page's charts, made from rows and scorecards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import NamedTuple

from markupsafe import Markup

from ..benchmark.core.scorecard import GroupCell, ScoreCard
from ..benchmark.core.types import Estimate
from ..benchmark.stats.attributes import INTERSECTION
from ..benchmark.stats.calibration import SHOWN, estimate_bins
from ..benchmark.stats.seed_pooling import AUC
from .charts import (
    NAMED,
    SHAPES,
    Axis,
    Curve,
    Mark,
    count_intervals,
    draw_det,
    draw_histogram,
    draw_reliability,
    draw_roc,
    draw_scale,
    draw_strip,
    find_step,
    span_axis,
)
from .formats import format_estimate, format_gap, format_range
from .overview import Overview, label_row
from .pareto import draw_tradeoff, list_tradeoffs
from .rows import Row
from .verdicts import find_source_rate

Name = Callable[[Row], str]


class FigureLine(NamedTuple):
    """A line of a figure: its name, strip, the text on its right, its class, and the row that it belongs to."""

    name: str
    strip: Markup
    shown: str = ""
    kind: str = ""
    row: str = ""


class Figure(NamedTuple):
    """Strips below each other on one axis. `key` explains the shapes; `row` is the row's address, if there is one."""

    title: str
    note: str
    lines: list[FigureLine]
    scale: Markup
    intervals: int
    key: Sequence[tuple[str, str]] = ()
    row: str = ""
    kind: str = ""


class Picture(NamedTuple):
    """A chart that scales as a whole."""

    title: str
    note: str
    picture: Markup


def mark_groups(cells: Mapping[str, GroupCell]) -> list[Mark]:
    """Return a mark for each group's AUC; groups left out of gaps are `out`, so that they are grey."""
    return [
        Mark(
            c.video.auc,
            f"{group} ({c.video.n_real} real, {c.video.n_fake} fake)",
            kind="out" if c.video.left_out else "",
        )
        for group, c in cells.items()
    ]


def chart_carrying(o: Overview, rows: Sequence[Row], anchor: Name, tier: Name) -> list[Figure | Picture]:
    """Return charts of what is lost away from the source: AUC, false alarms at the source's threshold, and speed."""
    made: list[Figure | Picture] = []
    if o.targets != [o.train]:
        made += [*_chart_drop(o, rows, anchor, tier), *_chart_threshold(o, rows, anchor, tier)]
    return [*made, *_chart_speeds(o, rows, anchor, tier)]


def _chart_speeds(o: Overview, rows: Sequence[Row], anchor: Name, tier: Name) -> list[Picture]:
    labels = {label_row(row, o.rows): row for row in rows}
    found = list_tradeoffs(o.table, [(row, label) for label, row in labels.items()])
    note = "The dashes mark the frontier: no row is both better and faster."
    return [
        Picture(
            f"Mean AUC by {t.axis}",
            f"{t.condition.describe()}. {note}",
            draw_tradeoff(t, lambda label: (anchor(labels[label]), tier(labels[label]))),
        )
        for t in found
    ]


def _chart_drop(o: Overview, rows: Sequence[Row], anchor: Name, tier: Name) -> list[Figure]:
    found = [(row, o.drop(row), o.table.standings[row.key].mean) for row in rows if row.key in o.table.standings]
    drops = [(row, drop, mean) for row, drop, mean in found if drop and drop.value is not None]
    if not drops:
        return []
    homes = {row.key: row.results[o.train].metrics[AUC] for row, *_ in drops}
    axis = span_axis([*homes.values(), *(mean for *_, mean in drops)])
    lines = []
    for row, drop, mean in drops:
        marks = [Mark(mean, "mean elsewhere"), Mark(homes[row.key], f"on {o.train}", "diamond", "hollow")]
        name = label_row(row, o.rows)
        shown = f"{-(drop.value or 0):+.2f}".replace("-", "−")
        lines.append(FigureLine(name, draw_strip(axis, marks, name), shown, tier(row), anchor(row)))
    costs = format_range(drop.value or 0 for _, drop, _ in drops if drop)
    title = f"Leaving {o.train} costs {costs} AUC" if costs[0] != "-" else f"AUC on {o.train} and elsewhere"
    key = [("circle", "mean elsewhere"), ("diamond", f"{o.train}, home")]
    return [
        Figure(
            title,
            "With 95 % intervals; the difference is on the right.",
            lines,
            draw_scale(axis),
            count_intervals(axis),
            key,
        )
    ]


def _chart_threshold(o: Overview, rows: Sequence[Row], anchor: Name, tier: Name) -> list[Figure]:
    found = [e.value for row in rows for t in o.targets if (e := find_source_rate(row, t)) and e.value is not None]
    step = find_step(max([*found, 0.05]))
    axis, lines = Axis(0, min(ceil(max([*found, 0.05]) / step) * step, 1.0)), list[FigureLine]()
    shapes = {t: SHAPES[i % len(SHAPES)] for i, t in enumerate(o.targets)}
    for row in rows:
        marks = [Mark(e, t, shapes[t]) for t in o.targets if (e := find_source_rate(row, t))]
        if marks:
            name = label_row(row, o.rows)
            shown = format_range((100 * (m.estimate.value or 0) for m in marks), ".0f").replace(" to ", "–")
            strip = draw_strip(axis, marks, name, joined=True)
            lines.append(FigureLine(name, strip, f"{shown} %", tier(row), anchor(row)))
    if not lines:
        return []
    title = "Real videos flagged at the home threshold, %"
    note = f"This threshold flags 5 % of {o.train}’s validation split. Intervals: hover, or see the tables by dataset."
    scale = draw_scale(axis, percent=True)
    return [Figure(title, note, lines, scale, count_intervals(axis), [(shapes[t], t) for t in o.targets])]


def chart_groups(o: Overview, rows: Sequence[Row], test: str, anchor: Name, tier: Name) -> list[Figure]:
    """Return a figure for each row: its groups' AUC on a test set, for the attribute that its gap refers to."""
    axis, made = Axis(0, 1), []
    for row in rows:
        result = row.results.get(test)
        groups = result.groups if result and result.done else None
        if not result or not groups:
            continue
        lines = [
            FigureLine(
                group,
                draw_strip(axis, [mark], group),
                f"{mark.estimate.value:.2f}" if mark.estimate.value is not None else "",
                f"{mark.kind} worst" if group == groups.group else mark.kind,
            )
            for group, mark in zip(
                result.pooled.groups[groups.attribute], mark_groups(result.pooled.groups[groups.attribute]), strict=True
            )
        ]
        name, note = label_row(row, o.rows), f"gap {format_gap(groups)}"
        made.append(Figure(name, note, lines, draw_scale(axis), count_intervals(axis), (), anchor(row), tier(row)))
    return made


def chart_curves(o: Overview, rows: Sequence[Row], test: str, anchor: Name) -> list[Picture]:
    """Return the ROC and DET curves on one test set, for each row's first seed."""
    found = [(row, row.results[test].done[0]) for row in rows if test in row.results and row.results[test].done]
    curves = [
        Curve(label_row(row, o.rows), anchor(row), card.curves.roc, f"AUC {format_estimate(card.video.auc)}")
        for row, card in found
        if card.curves.roc
    ]
    if not curves:
        return []
    more = len(curves) - NAMED
    grey = f" The first {NAMED} by rank are named; grey: the other {more}." if more > 0 else ""
    reals = found[0][1].counts.real_videos
    steps = f"One real video is a false alarm rate of {100 / reals:.2g} %." if reals else ""
    return [
        Picture(f"ROC on {test}", f"{steps}{grey}".strip(), draw_roc(curves, f"ROC on {test}")),
        Picture(f"DET on {test}", "Lower is better.", draw_det(curves, f"DET on {test}")),
    ]


def chart_run(card: ScoreCard, test: str) -> list[Figure | Picture]:
    """Return a scorecard's group rates, score histogram and calibration, if it has them."""
    curves, made = card.curves, list[Figure | Picture]()
    if groups := card.groups.get(INTERSECTION) or next(iter(card.groups.values()), None):
        made.append(_chart_rates(groups, test))
    if h := curves.histogram:
        title = f"Scores of fakes and reals, {test}"
        made.append(Picture(title, "", draw_histogram(h.real, h.fake, card.threshold.value, title)))
    if curves.reliability_n:
        title = f"Calibration, {test}"
        bins = estimate_bins(curves.reliability, curves.reliability_n)
        note = f"{len(bins)} of {len(curves.reliability_n)} bins have at least {SHOWN} videos."
        picture = draw_reliability(bins, title) if bins else Markup("")
        made.append(Picture(title, note, picture))
    return made


def _chart_rates(groups: Mapping[str, GroupCell], test: str) -> Figure:
    axis, lines = Axis(0, 1), []
    for group, cell in groups.items():
        v, kind = cell.video, "out" if cell.video.left_out else ""
        marks = [Mark(v.fpr, "FPR", "up", "fpr", -4), Mark(v.tpr, "TPR", "circle", "tpr", 4)]
        name = f"{group} ({v.n_real}, {v.n_fake})"
        lines.append(FigureLine(name, draw_strip(axis, marks, name), _write_rates(v.fpr, v.tpr), kind))
    title, note = f"False and true positive rate by group, {test}", "In brackets: real and fake videos."
    key = [("up", "FPR"), ("circle", "TPR")]
    return Figure(title, note, lines, draw_scale(axis), count_intervals(axis), key)


def _write_rates(fpr: Estimate, tpr: Estimate) -> str:
    return " ".join(f"{e.value:.2f}" if e.value is not None else "–" for e in (fpr, tpr))
