"""Charts as inline SVG, each WIDTH wide, so that a telephone shows one and a desk several side by side.

Colours are classes of the page's style sheet: they follow light and dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import floor, log10
from statistics import NormalDist

from markupsafe import Markup, escape

from ..benchmark.core.types import Estimate
from .markdown import NO_INTERVAL, format_estimate

Point = tuple[float, float]
LabelledEstimate = tuple[str, Estimate]  # A label and an estimate.
WIDTH = 360
COLOURS = 8
LINE = 40  # height of a line with its label above
LARGEST = 12  # radius of a dot whose area means something
UNIT = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Axis:
    """Maps values lo ... hi to pixels start ... end, by their logarithm if `log`."""

    lo: float
    hi: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value, kept within the axis."""
        v = min(max(value, self.lo), self.hi)
        lo, hi, v = (log10(x) for x in (self.lo, self.hi, v)) if self.log else (self.lo, self.hi, v)
        return round(self.start + (v - lo) / (hi - lo) * (self.end - self.start), 1)

    def steps(self) -> list[float]:
        """Return the values to write beside the axis."""
        if not self.log:
            return [self.lo + (self.hi - self.lo) * i / 5 for i in range(6)]
        for digits in ((1,), (1, 2, 5), range(1, 10)):
            found = [m * 10.0**k for k in range(-2, 7) for m in digits if self.lo <= m * 10.0**k <= self.hi]
            if len(found) > 2:
                break
        return found


@dataclass(frozen=True)
class DeviateAxis(Axis):
    """Maps rates by the normal distribution's quantiles."""

    def __call__(self, value: float) -> float:
        """Return the pixel of a rate, kept within the axis."""
        v = min(max(value, self.lo), self.hi)
        lo, hi, v = (NormalDist().inv_cdf(x) for x in (self.lo, self.hi, v))
        return round(self.start + (v - lo) / (hi - lo) * (self.end - self.start), 1)

    def steps(self) -> list[float]:
        """Return the rates to write beside the axis."""
        return [v for v in (0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6) if self.lo <= v <= self.hi]


def wrap_svg(height: float, title: str, parts: Iterable[str]) -> Markup:
    """Wrap parts into a picture; `title` is what a screen reader says."""
    label = escape(title)
    start = f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{label}">'
    return Markup(f"{start}<title>{label}</title>{''.join(parts)}</svg>")  # All is escaped. # nosec B704


def draw_text(x: float, y: float, content: str, kind: str = "label", anchor: str = "start") -> str:
    """Return a text whose baseline is at y."""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(content)}</text>'


def draw_line(a: Point, b: Point, kind: str) -> str:
    """Return a straight line."""
    return f'<line x1="{a[0]:g}" y1="{a[1]:g}" x2="{b[0]:g}" y2="{b[1]:g}" class="{kind}"/>'


def draw_path(points: Iterable[Point], kind: str) -> str:
    """Return joined straight lines."""
    return f'<polyline points="{" ".join(f"{a:g},{b:g}" for a, b in points)}" class="{kind}"/>'


def draw_heat_map(rows: Sequence[tuple[str, Sequence[float | str]]], tests: Sequence[str]) -> Markup:
    """Draw AUC by row and test set, the fainter the nearer to chance; a text in place of a number is shown as it is."""
    cell = WIDTH / max(len(tests), 1)
    parts = [draw_text(cell * (i + 0.5), 14, t, "tick", "middle") for i, t in enumerate(tests)]
    for j, (name, values) in enumerate(rows):
        y = 36 + j * 54
        parts.append(draw_text(0, y, name))
        for i, value in enumerate(values):
            known = isinstance(value, float)
            share = min(max((value - 0.5) * 2, 0), 1) if known else 0  # type: ignore[operator]
            place = f'x="{cell * i + 1:g}" y="{y + 7}" width="{cell - 2:g}" height="28" rx="3"'
            parts.append(f'<rect {place} class="heat{"" if known else " none"}" style="--v:{share:.3f}"/>')
            shown = f"{value:.3f}" if known else str(value)
            parts.append(draw_text(cell * (i + 0.5), y + 26, shown, "value", "middle"))
    return wrap_svg(26 + 54 * len(rows), "Video AUC by detector and test set", parts)


def draw_forest(rows: Sequence[LabelledEstimate], title: str) -> Markup:
    """Draw an estimate and its interval a line, on a common axis from 0.5, or lower where they go lower, to 1."""
    ends = [v for _, e in rows for v in (e.lo, e.value) if v is not None]
    axis, bottom = Axis(min([0.5, *(floor(v * 10) / 10 for v in ends)]), 1, 6, WIDTH - 8), 6 + LINE * len(rows)
    parts = _draw_ticks(axis, 0, bottom)
    for j, (name, e) in enumerate(rows):
        parts += [draw_text(0, 16 + j * LINE, name), draw_text(WIDTH, 16 + j * LINE, _format_brief(e), "value", "end")]
        parts += _draw_whisker(axis, e, 30 + j * LINE, "s0")
    return wrap_svg(bottom + 22, title, parts)


def _format_brief(e: Estimate) -> str:
    """Write an estimate where there is no place for the reason why it lacks an interval."""
    return f"{e.value:.3f} ({NO_INTERVAL})" if e.value is not None and e.lo is None else format_estimate(e)


SQUARE = Axis(0, 1, 40, WIDTH - 8), Axis(0, 1, 300, 8)
DEVIATES = DeviateAxis(0.005, 0.7, 40, WIDTH - 8), DeviateAxis(0.005, 0.7, 300, 8)


def _make_square_axes(names: tuple[str, str]) -> list[str]:
    x, y = SQUARE
    return [*draw_frame(x, y, names), draw_line((x(0), y(0)), (x(1), y(1)), "diagonal")]


def _draw_curve(points: Iterable[Point], kind: str) -> str:
    x, y = SQUARE
    return draw_path([(x(a), y(b)) for a, b in points], f"curve {kind}")


def draw_roc(lines: Sequence[tuple[str, Sequence[Point]]], title: str) -> Markup:
    """Draw ROC curves, (FPR, TPR), against chance, with a legend below."""
    return _draw_lines(lines, SQUARE, _make_square_axes(("false positive rate", "true positive rate")), title)


def draw_det(lines: Sequence[tuple[str, Sequence[Point]]], title: str) -> Markup:
    """Draw detection error trade-offs (Martin et al. 1997) of curves (FPR, TPR): the lower and further left the better.

    Both error rates are on the scale of normal deviates, where scores that are normal in both classes give a straight
    line, and where low rates, at which detectors are used, have room.
    """
    turned = [(name, [(fpr, 1 - tpr) for fpr, tpr in points]) for name, points in lines]
    return _draw_lines(turned, DEVIATES, draw_frame(*DEVIATES, ("false positive rate", "false negative rate")), title)


def _draw_lines(
    lines: Sequence[tuple[str, Sequence[Point]]], axes: tuple[Axis, Axis], parts: list[str], title: str
) -> Markup:
    x, y = axes
    for i, (name, points) in enumerate(lines):
        kind = f"curve s{i % COLOURS}" + (" dash" if i >= COLOURS else "")
        parts.append(draw_path([(x(a), y(b)) for a, b in points], kind))
        if len(lines) > 1:
            parts += [draw_line((40, 356 + i * 20), (62, 356 + i * 20), kind), draw_text(70, 360 + i * 20, name)]
    return wrap_svg(342 + (8 + 20 * len(lines)) * (len(lines) > 1), title, parts)


def draw_reliability(points: Sequence[Point], counts: Sequence[int], title: str) -> Markup:
    """Draw the share of fakes by mean score, a bin's dot the larger the more videos it has.

    Args:
        points: (mean score, share of fakes) of each bin.
        counts: how many videos each bin has; empty where a card doesn't tell.
        title: what a screen reader says.
    """
    parts = [*_make_square_axes(("mean score", "share of fakes")), _draw_curve(points, "s0 thin")]
    if not counts:
        return wrap_svg(342, title, parts)
    x, y = SQUARE
    most = max(counts)
    for (a, b), n in zip(points, counts, strict=False):
        parts.append(draw_dot(x(a), y(b), "s0 area", LARGEST * (n / most) ** 0.5))
    parts += [draw_dot(52, 358, "s0 area", LARGEST), draw_text(72, 362, f"{most} videos, the most of a bin")]
    return wrap_svg(374, title, parts)


def draw_group_rates(groups: Sequence[tuple[str, Estimate, Estimate]], title: str) -> Markup:
    """Draw false and true positive rate of every group with their intervals, a group a line."""
    panels, bottom = (Axis(0, 1, 6, 168), Axis(0, 1, 190, WIDTH - 8)), 22 + LINE * len(groups)
    parts = []
    for axis, name in zip(panels, ("false positive rate", "true positive rate"), strict=True):
        parts += [draw_text((axis.start + axis.end) / 2, 12, name, "tick", "middle"), *_draw_ticks(axis, 20, bottom)]
    for j, (name, *rates) in enumerate(groups):
        parts.append(draw_text(0, 34 + j * LINE, name))
        for axis, e, colour in zip(panels, rates, ("s1", "s0"), strict=True):
            parts += _draw_whisker(axis, e, 48 + j * LINE, colour)
    return wrap_svg(bottom + 22, title, parts)


def draw_histogram(real: Sequence[float], fake: Sequence[float], threshold: float, title: str) -> Markup:
    """Draw the shares of fakes (upwards) and reals (downwards) in equal bins of the scores 0 ... 1."""
    top, middle = max([*real, *fake, 1e-9]), 100.0
    x, up, down = Axis(0, 1, 40, WIDTH - 8), Axis(0, top, middle, 14), Axis(0, top, middle, 186)
    wide = (x.end - x.start) / len(real)
    parts = []
    for kind, shares, axis in (("s1", fake, up), ("s0", real, down)):
        for i, share in enumerate(shares):
            y, tall = min(axis(share), middle), abs(axis(share) - middle)
            place = f'x="{x.start + i * wide + 0.5:.1f}" width="{wide - 1:.1f}" y="{y:g}" height="{tall:.1f}"'
            parts.append(f'<rect {place} class="bar {kind}"/>')
    parts += [
        draw_line((x.start, middle), (x.end, middle), "axis"),
        draw_line((x(threshold), 4), (x(threshold), 196), "threshold"),
    ]
    parts += [draw_text(x(v), 212, f"{v:g}", "tick", "middle") for v in UNIT]
    parts += [draw_text(x.start - 8, y, name, "label", "end") for y, name in ((62, "fake"), (146, "real"))]
    return wrap_svg(220, title, parts)


def _draw_whisker(axis: Axis, e: Estimate, y: float, colour: str) -> list[str]:
    """Draw an estimate's interval and dot; where it is undefined, why."""
    if e.value is None:
        return [draw_text(axis.start, y + 4, e.note or "undefined", "tick")]
    dot = draw_dot(axis(e.value), y, colour)
    if e.lo is None or e.hi is None:
        return [dot]
    return [draw_line((axis(e.lo), y), (axis(e.hi), y), f"whisker {colour}"), dot]


def draw_dot(x: float, y: float, colour: str, radius: float = 4) -> str:
    """Return a dot."""
    return f'<circle cx="{x:g}" cy="{y:g}" r="{radius:.3g}" class="dot {colour}"/>'


def _draw_ticks(axis: Axis, top: float, bottom: float) -> list[str]:
    lines = [draw_line((axis(v), top), (axis(v), bottom), "grid") for v in axis.steps()]
    return [*lines, *(draw_text(axis(v), bottom + 15, f"{v:.2g}", "tick", "middle") for v in axis.steps())]


def draw_frame(x: Axis, y: Axis, names: tuple[str, str]) -> list[str]:
    """Return the grid of two axes, their numbers and their names."""
    middle = (y.start + y.end) / 2
    return [
        *(draw_line((x.start, y(v)), (x.end, y(v)), "grid") for v in y.steps()),
        *(draw_text(x.start - 5, y(v) + 4, f"{v:.2g}", "tick", "end") for v in y.steps()),
        *(draw_text(x(v), y.start + 15, f"{v:g}" if x.log else f"{v:.2g}", "tick", "middle") for v in x.steps()),
        draw_text((x.start + x.end) / 2, y.start + 33, names[0], "tick", "middle"),
        f'<g transform="translate(10 {middle:g}) rotate(-90)">{draw_text(0, 0, names[1], "tick", "middle")}</g>',
    ]
