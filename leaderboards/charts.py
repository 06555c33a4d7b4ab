"""Charts as inline SVG.

Strips have no fixed size: positions along an axis are percentages, so that a strip fills its line while its marks keep
their size. Pictures (curves, scatter plots) are WIDTH wide and scale as a whole. Colours are classes of the page's
style sheet; each also has its own lightness and mark, so that nobody has to distinguish hues. A mark carries its values
as a `<title>`, and `data-row` names its row, for the filter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor, log10
from statistics import NormalDist
from typing import NamedTuple

from markupsafe import Markup, escape

from ..benchmark.core.types import Estimate
from .formats import format_estimate

Point = tuple[float, float]
WIDTH = 320
SHAPES = ("circle", "square", "up", "diamond", "down")
"""The names of the marks; each is a symbol in the page."""
NAMED = 5
"""The number of rows with a colour and a name in pictures; the others are grey lines."""


@dataclass(frozen=True)
class Axis:
    """Maps values lo ... hi to positions start ... end, logarithmically if `log`."""

    lo: float
    hi: float
    start: float = 0.0
    end: float = 100.0
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the position of a value, clipped to the axis."""
        v, (lo, hi) = self.transform(min(max(value, self.lo), self.hi)), self._ends
        return round(self.start + (v - lo) / (hi - lo) * (self.end - self.start), 1)

    @cached_property
    def _ends(self) -> Point:
        return self.transform(self.lo), self.transform(self.hi)

    def transform(self, value: float) -> float:
        """Return the value or its logarithm, which is drawn to scale."""
        return log10(value) if self.log else value

    def steps(self) -> list[float]:
        """Return the values to write along the axis, in steps of 1, 2 or 5 times a power of ten."""
        if not self.log:
            step = find_step(self.hi - self.lo)
            return [round(i * step, 9) for i in range(ceil(self.lo / step - 1e-9), floor(self.hi / step + 1e-9) + 1)]
        found = _list_round(self.lo, self.hi)
        tens = [v for v in found if log10(v) % 1 < 1e-9]
        return tens if len(found) > 7 and len(tens) > 1 else found


_NORMAL = NormalDist()


class DeviateAxis(Axis):
    """Maps rates by the normal distribution's quantiles."""

    def transform(self, value: float) -> float:
        """Return the quantile of a rate between 0 and 1."""
        return _NORMAL.inv_cdf(value)

    def steps(self) -> list[float]:
        """Return the rates to write along the axis."""
        return [v for v in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if self.lo <= v <= self.hi]


def find_step(span: float, most: int = 5) -> float:
    """Return the smallest step of 1, 2 or 5 times a power of ten that gives at most this many intervals."""
    power = 10.0 ** floor(log10(span / most))
    return next(m * power for m in (1, 2, 5, 10) if span / (m * power) <= most + 1e-9)


def _list_round(lo: float, hi: float) -> list[float]:
    """Return the 1, 2 and 5 times powers of ten between two values."""
    found = (m * 10.0**k for k in range(floor(log10(lo)), ceil(log10(hi)) + 1) for m in (1, 2, 5))
    return [v for v in found if lo * (1 - 1e-9) <= v <= hi * (1 + 1e-9)]


def span_axis(estimates: Iterable[Estimate], low: float = 0.5, high: float = 1.0) -> Axis:
    """Return an axis for strips that covers all estimates and their intervals, from a round value to `high`."""
    ends = [v for e in estimates for v in (e.lo, e.value) if v is not None]
    lowest = min([low, *ends])
    step = find_step(high - lowest)
    return Axis(max(floor(lowest / step + 1e-9) * step, 0.0 if high == 1 else lowest), high)


# ---- strips: marks and intervals along one line


class Mark(NamedTuple):
    """An estimate on a strip: its name, shape, class (such as `hollow`), and how far below the middle it is drawn."""

    estimate: Estimate
    name: str = ""
    shape: str = "circle"
    kind: str = ""
    down: int = 0

    @property
    def told(self) -> str:
        """The text on hover and for screen readers."""
        counted = f", n {self.estimate.n}" if self.estimate.n else ""
        return f"{self.name} {format_estimate(self.estimate)}{counted}".strip()


def draw_strip(axis: Axis, marks: Sequence[Mark], label: str = "", joined: bool = False) -> Markup:
    """Draw marks with their intervals along an axis in per cent.

    Args:
        axis: from 0 to 100.
        marks: what to draw; estimates without a value are skipped.
        label: what a screen reader says before the values; empty if a text next to the strip says the same.
        joined: draw a line from the lowest mark to the highest (except kind `out`) instead of the intervals.
    """
    shown = [m for m in marks if m.estimate.value is not None]
    parts = [_draw_mark(axis, m, interval=not joined) for m in shown]
    if joined and (ends := [m.estimate.value for m in shown if m.kind != "out" and m.estimate.value is not None]):
        parts.insert(0, _draw_span(axis, min(ends), max(ends), 0))
    said = f"{label}: {'; '.join(m.told for m in marks)}"
    hidden = f'role="img" aria-label="{escape(said)}"' if label else 'aria-hidden="true"'
    return Markup(f'<svg class="strip" {hidden}>{"".join(parts)}</svg>')  # All is escaped. # nosec B704


def _draw_mark(axis: Axis, mark: Mark, interval: bool) -> str:
    value, lo, hi = mark.estimate.value, mark.estimate.lo, mark.estimate.hi
    assert value is not None
    span = _draw_span(axis, lo, hi, mark.down) if interval and lo is not None and hi is not None else ""
    title = f"<title>{escape(mark.told)}</title>" if mark.name else ""
    kind = f' class="{mark.kind}"' if mark.kind else ""
    use = f'<use href="#{mark.shape}" x="{axis(value):g}%" y="{8 + mark.down}"/>'
    return f"<g{kind}>{title}{span}{use}</g>"


def _draw_span(axis: Axis, lo: float, hi: float, down: int) -> str:
    y = 8 + down
    return f'<line x1="{axis(lo):g}%" x2="{axis(hi):g}%" y1="{y}" y2="{y}"/>'


def draw_scale(axis: Axis, percent: bool = False) -> Markup:
    """Draw the tick values of an axis, once for all strips below or above it."""
    parts = []
    for v in axis.steps():
        x = axis(v)
        anchor = "start" if x < 5 else "end" if x > 95 else "middle"
        shown = f"{100 * v:g}" if percent else f"{v:g}".replace("0.", ".", 1)
        parts.append(f'<text x="{x:g}%" y="11" text-anchor="{anchor}">{shown}</text>')
    return Markup(f'<svg class="strip scale" aria-hidden="true">{"".join(parts)}</svg>')  # numbers alone # nosec B704


def count_intervals(axis: Axis) -> int:
    """Return the number of intervals between the ticks of a strip's axis."""
    return max(round((axis.hi - axis.lo) / find_step(axis.hi - axis.lo)), 1)


# ---- pictures


class Curve(NamedTuple):
    """A line of points in a picture: its name, its row (`data-row`), and the text on hover."""

    name: str
    row: str
    points: Sequence[Point]
    told: str = ""


def wrap_svg(height: float, title: str, parts: Iterable[str]) -> Markup:
    """Wrap parts into a picture; `title` is what a screen reader says."""
    label = escape(title)
    start = f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{label}">'
    return Markup(f"{start}{''.join(parts)}</svg>")  # All is escaped. # nosec B704


def draw_text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> str:
    """Return a text whose baseline is at y."""
    classes = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{classes} text-anchor="{anchor}">{escape(content)}</text>'


def draw_line(a: Point, b: Point, kind: str) -> str:
    """Return a straight line."""
    return f'<line x1="{a[0]:g}" y1="{a[1]:g}" x2="{b[0]:g}" y2="{b[1]:g}" class="{kind}"/>'


def draw_path(points: Iterable[Point], kind: str) -> str:
    """Return a polyline."""
    return f'<polyline points="{" ".join(f"{a:g},{b:g}" for a, b in points)}" class="{kind}"/>'


def draw_symbol(x: float, y: float, shape: str) -> str:
    """Return a mark."""
    return f'<use href="#{shape}" x="{x:g}" y="{y:g}"/>'


ROC = Axis(0.01, 1, 98, WIDTH - 38, log=True), Axis(0, 1, 250, 10)
DET = DeviateAxis(0.01, 0.7, 98, WIDTH - 38), DeviateAxis(0.01, 0.7, 250, 10)


def draw_roc(curves: Sequence[Curve], title: str) -> Markup:
    """Draw ROC curves, (FPR, TPR), with false alarms from 1 % on a logarithmic axis: the range of practical use."""
    x, y = ROC
    chance = [(x(v / 100), y(v / 100)) for v in range(1, 101)]
    frame = draw_frame(x, y, ("real videos flagged, %", "fakes caught, %"))
    return _draw_curves(curves, ROC, [*frame, draw_path(chance, "chance")], title)


def draw_det(curves: Sequence[Curve], title: str) -> Markup:
    """Draw detection error trade-offs (Martin et al. 1997) of curves (FPR, TPR): lower and further left is better.

    Both error rates are on a normal-deviate scale: normally distributed scores give a straight line, and low rates, at
    which detectors are used, get room.
    """
    turned = [c._replace(points=[(fpr, 1 - tpr) for fpr, tpr in c.points]) for c in curves]
    return _draw_curves(turned, DET, draw_frame(*DET, ("real videos flagged, %", "fakes missed, %")), title)


def _draw_curves(curves: Sequence[Curve], axes: tuple[Axis, Axis], parts: list[str], title: str) -> Markup:
    """Draw the first NAMED curves in colours, labelled at their start, above the others in grey."""
    named, (x, y) = curves[:NAMED], axes
    begins = [_find_begin(c.points, x.lo, y) for c in named]
    grey = [_wrap_row(c, draw_path(_place(c.points, x, y), "curve other")) for c in reversed(curves[NAMED:])]
    parts = [*parts, *grey]
    for i, (curve, at, label_y) in reversed(list(enumerate(zip(named, begins, _spread(begins), strict=True)))):
        drawn = [
            draw_path(_place(curve.points, x, y), "curve"),
            draw_symbol(x.start, at, SHAPES[i]),
            draw_line((x.start - 4, at), (x.start - 9, label_y), "leader"),
            draw_text(x.start - 11, label_y + 4, _shorten(curve.name), "name", "end"),
        ]
        parts.append(_wrap_row(curve, "".join(drawn), f"s{i}"))
    return wrap_svg(290, title, parts)


def _wrap_row(curve: Curve, drawn: str, kind: str = "") -> str:
    title = f"<title>{escape(f'{curve.name} {curve.told}'.strip())}</title>"
    return f'<g class="{kind}" data-row="{escape(curve.row)}">{title}{drawn}</g>'


def _place(points: Sequence[Point], x: Axis, y: Axis) -> list[Point]:
    """Return the points' positions; of those beyond the left edge only the last, where the curve enters."""
    inside = sum(a <= x.lo for a, _ in points) - 1
    return [(x(a), y(b)) for a, b in points[max(inside, 0) :]]


def _find_begin(points: Sequence[Point], edge: float, y: Axis) -> float:
    """Return the height at which a curve enters the picture at its left edge."""
    return y(([b for a, b in points if a <= edge] or [points[0][1]])[-1])


def _spread(heights: Sequence[float], gap: float = 14.0, bottom: float = 250.0) -> list[float]:
    """Return heights for labels, as near as possible to those given, at least `gap` apart and none below `bottom`."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    placed = dict.fromkeys(order, 0.0)
    above = -gap
    for i in order:
        above = placed[i] = max(heights[i], above + gap)
    below = bottom + gap
    for i in reversed(order):
        below = placed[i] = min(placed[i], below - gap)
    return [placed[i] for i in range(len(heights))]


def _shorten(name: str, most: int = 14) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def draw_reliability(bins: Sequence[tuple[float, Estimate]], title: str) -> Markup:
    """Draw the share of fakes by mean score with its interval, for bins with enough videos."""
    x, y = Axis(0, 1, 44, WIDTH - 12), Axis(0, 1, 196, 10)
    parts = [
        *draw_frame(x, y, ("mean score of a bin", "share of fakes")),
        draw_line((x(0), y(0)), (x(1), y(1)), "chance"),
    ]
    for mean, e in bins:
        told = escape(f"mean score {mean:.2f}: share of fakes {format_estimate(e)}, {e.n} videos")
        whisker = draw_line((x(mean), y(e.lo or 0)), (x(mean), y(1 if e.hi is None else e.hi)), "whisker")
        parts.append(
            f'<g class="s0"><title>{told}</title>{whisker}{draw_symbol(x(mean), y(e.value or 0), "circle")}</g>'
        )
    return wrap_svg(236, title, parts)


class Dot(NamedTuple):
    """A row in a scatter plot: its name, its address, its class, its position, and the text on hover."""

    name: str
    row: str
    kind: str
    x: float
    y: float
    told: str


def draw_scatter(dots: Sequence[Dot], names: tuple[str, str], line: Sequence[Point], title: str) -> Markup:
    """Draw dots, x on a logarithmic axis, named if there is room, and a stepped line through points."""
    xs, ys = [d.x for d in dots], [d.y for d in dots]
    x = Axis(*_round_outwards(min(xs) / 1.2, max(xs) * 1.2), 44, WIDTH - 12, log=True)
    step = find_step(max(max(ys) - min(ys), 0.1))
    y = Axis(max(ceil(min(ys) / step - 1e-9) - 1, 0) * step, min(ceil(max(ys) / step + 0.2) * step, 1.0), 196, 10)
    parts = [*draw_frame(x, y, names), draw_path([(x(a), y(b)) for a, b in line], "frontier")]
    taken = [(x(a) - 5, y(b) - 5, x(a) + 5, y(b) + 5) for a, b in zip(xs, ys, strict=True)]
    for dot in sorted(dots, key=lambda d: -d.y):
        title_of = f"<title>{escape(f'{dot.name}: {dot.told}')}</title>"
        drawn = draw_symbol(x(dot.x), y(dot.y), "circle") + _find_room(x(dot.x), y(dot.y), dot.name, taken)
        parts.append(f'<g class="{dot.kind}" data-row="{escape(dot.row)}">{title_of}{drawn}</g>')
    return wrap_svg(236, title, parts)


def _find_room(x: float, y: float, name: str, taken: list[tuple[float, float, float, float]]) -> str:
    """Return a dot's name, next to it and clear of what is `taken`; nothing if there is no room."""
    wide = 6.6 * len(name)
    for dx, dy, anchor in ((8, 4, "start"), (-8, 4, "end"), (0, -8, "middle"), (0, 16, "middle")):
        left = x + dx - {"start": 0.0, "end": wide, "middle": wide / 2}[anchor]
        box = (left, y + dy - 10, left + wide, y + dy + 2)
        inside = box[0] >= 46 and box[2] <= WIDTH and box[1] >= 4 and box[3] <= 196
        if inside and not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken):
            taken.append(box)
            return draw_text(x + dx, y + dy, name, "", anchor)
    return ""


def _round_outwards(lo: float, hi: float) -> Point:
    """Return the nearest 1, 2 or 5 times powers of ten beyond two values."""
    return _list_round(lo / 10, lo)[-1], _list_round(hi, hi * 10)[0]


def draw_histogram(real: Sequence[float], fake: Sequence[float], threshold: float, title: str) -> Markup:
    """Draw the shares of fakes (upwards) and reals (downwards) in equal bins of the scores 0 ... 1."""
    top, middle = max([*real, *fake, 1e-9]), 102.0
    x, up, down = Axis(0, 1, 44, WIDTH - 12), Axis(0, top, middle, 24), Axis(0, top, middle, 180)
    wide = (x.end - x.start) / len(real)
    parts = []
    for kind, shares, axis in (("fake", fake, up), ("real", real, down)):
        for i, share in enumerate(shares):
            told = f"{100 * share:.0f} % of {kind}s score {i / len(real):.2f} to {(i + 1) / len(real):.2f}"
            y, tall = min(axis(share), middle), abs(axis(share) - middle)
            place = f'x="{x.start + i * wide + 0.5:.1f}" width="{wide - 1:.1f}" y="{y:g}" height="{tall:.1f}"'
            parts.append(f'<rect {place} class="{kind}"><title>{told}</title></rect>' if share else "")
    parts += [
        draw_line((x.start, middle), (x.end, middle), "axis"),
        draw_line((x(threshold), 16), (x(threshold), 186), "threshold"),
        draw_text(x(threshold), 11, f"threshold {threshold:.2f}", "threshold", "start" if threshold < 0.3 else "end"),
    ]
    parts += [draw_text(x(v), 202, f"{v:g}", "tick", "middle") for v in x.steps()]
    parts += [draw_text(x.start - 8, y, name, "", "end") for y, name in ((66, "fake"), (146, "real"))]
    return wrap_svg(236, title, [*parts, draw_text((x.start + x.end) / 2, 222, "score", "tick", "middle")])


def draw_frame(x: Axis, y: Axis, names: tuple[str, str]) -> list[str]:
    """Return grid, ticks and names of two axes; if curves are labelled on the left, the ticks are on the right."""
    right = x.start > 90
    at, anchor = (x.end + 5, "start") if right else (x.start - 6, "end")
    percent = "%" in names[1]
    middle, turned = (y.start + y.end) / 2, WIDTH - 2 if right else 10
    return [
        *(draw_line((x.start, y(v)), (x.end, y(v)), "grid") for v in y.steps()),
        *(draw_line((x(v), y.start), (x(v), y.end), "grid") for v in x.steps()),
        *(draw_text(at, y(v) + 4, _write_tick(v, percent), "tick", anchor) for v in y.steps()),
        *(draw_text(x(v), y.start + 16, _write_tick(v, "%" in names[0]), "tick", "middle") for v in x.steps()),
        draw_text((x.start + x.end) / 2, y.start + 33, names[0], "tick", "middle"),
        f'<g transform="translate({turned} {middle:g}) rotate(-90)">{draw_text(0, 0, names[1], "tick", "middle")}</g>',
    ]


def _write_tick(value: float, percent: bool) -> str:
    return f"{100 * value if percent else value:.6g}"
