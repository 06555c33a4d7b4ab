"""Charts: positions of points and lines, tooltips, and names that stay plain text."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from crossfake.benchmark.core.types import Estimate
from crossfake.leaderboards import charts
from crossfake.leaderboards.charts import Axis, Curve, Dot, Mark
from hypothesis import given
from hypothesis import strategies as st

NUMBER = Estimate(0.8, 0.7, 0.9, 20)
NONE = Estimate(None, None, None, 0, "undefined (one class)")


@pytest.mark.parametrize(
    ("axis", "value", "place"),
    [
        (Axis(0, 1, 10, 110), 0.25, 35),
        (Axis(0, 1, 110, 10), 0.25, 85),
        (Axis(0.5, 1, 0, 100), 0.2, 0),
        (Axis(10, 1000, 0, 100, log=True), 100, 50),
        (charts.DeviateAxis(0.01, 0.99), 0.5, 50),
    ],
)
def test_an_axis_maps_values_and_keeps_them_inside(axis, value, place):
    assert axis(value) == pytest.approx(place)


@pytest.mark.parametrize(
    ("axis", "steps"),
    [
        (Axis(0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (Axis(0.5, 1), [0.5, 0.6, 0.7, 0.8, 0.9, 1]),
        (Axis(0.02, 0.11), [0.02, 0.04, 0.06, 0.08, 0.1]),
        (Axis(0, 0.25), [0, 0.05, 0.1, 0.15, 0.2, 0.25]),
        (Axis(10, 200, log=True), [10, 20, 50, 100, 200]),
        (Axis(1, 10_000, log=True), [1, 10, 100, 1000, 10_000]),
        (charts.DeviateAxis(0.01, 0.7), [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]),
    ],
)
def test_steps_are_1_2_or_5_times_a_power_of_ten(axis, steps):
    assert axis.steps() == pytest.approx(steps)


@given(st.floats(1e-3, 1e4))
def test_a_step_divides_any_span_into_few_parts(span):
    step = charts.find_step(span)
    assert 2 <= span / step <= 5 + 1e-6
    assert f"{step:e}"[0] in "125"
    assert float(f"{step:.0e}") == pytest.approx(step)


def test_a_common_axis_reaches_down_to_the_lowest_interval():
    axis = charts.span_axis([NUMBER, Estimate(0.4, 0.31, 0.5, 9), NONE])
    assert (axis.lo, axis.hi) == (pytest.approx(0.2), 1)
    assert charts.count_intervals(axis) == 4
    assert charts.span_axis([NUMBER]).lo == 0.5
    assert charts.span_axis([Estimate(0.01, 0.0, 0.1, 9)]).lo == 0


STRIP = charts.draw_strip(Axis(0.5, 1), [Mark(NUMBER, "on <a>"), Mark(NONE, "b")], "row <b>")


def test_a_strip_has_a_mark_and_interval_in_percent_and_describes_them():
    root = ElementTree.fromstring(STRIP)
    (line,), (use,) = root.iter("line"), root.iter("use")
    assert [line.get("x1"), line.get("x2"), use.get("x")] == ["40%", "80%", "60%"]
    assert [t.text for t in root.iter("title")] == ["on <a> 0.800 [0.700, 0.900], n 20"]
    assert root.get("aria-label") == "row <b>: on <a> 0.800 [0.700, 0.900], n 20; b undefined (one class)"


def test_a_strip_next_to_its_number_is_hidden_from_screen_readers():
    root = ElementTree.fromstring(charts.draw_strip(Axis(0, 1), [Mark(NUMBER)]))
    assert root.get("aria-hidden") == "true"
    assert root.get("aria-label") is None


def test_joined_marks_have_a_line_from_the_worst_to_the_best_counted():
    marks = [Mark(NUMBER._replace(value=v), str(v), kind="out" if v == 0.1 else "") for v in (0.1, 0.3, 0.9, 0.5)]
    root = ElementTree.fromstring(charts.draw_strip(Axis(0, 1), marks, joined=True))
    (line,) = root.iter("line")
    assert [line.get("x1"), line.get("x2")] == ["30%", "90%"]
    assert [g.get("class") for g in root.iter("g")] == ["out", None, None, None]


def test_a_scale_has_the_axis_values():
    texts = [t.text for t in ElementTree.fromstring(charts.draw_scale(Axis(0, 0.2), percent=True)).iter("text")]
    assert texts == ["0", "5", "10", "15", "20"]
    assert next(t.text for t in ElementTree.fromstring(charts.draw_scale(Axis(0.5, 1))).iter("text")) == ".5"


def curves(count: int) -> list[Curve]:
    return [Curve(f"<b>{i}", f"row{i}", [(0, 0), (0, i / 20), (0.2, 0.9), (1, 1)], "AUC 0.8") for i in range(count)]


def scatter(*dots: tuple[str, float, float]) -> str:
    made = [Dot(name, f"row-{name}", "best", x, y, f"AUC {y:g}") for name, x, y in dots]
    return charts.draw_scatter(made, ("images per second", "AUC"), [(x, y) for _, x, y in dots], "Speed")


PICTURES = {
    "roc": charts.draw_roc(curves(7), "ROC on a&b"),
    "det": charts.draw_det(curves(2), "DET"),
    "scatter": scatter(("<b>", 100.0, 0.8), ("c", 900.0, 0.7)),
    "reliability": charts.draw_reliability([(0.1, NUMBER), (0.9, NUMBER)], "Calibration"),
    "histogram": charts.draw_histogram([0.5, 0.5, 0.0], [0.0, 0.2, 0.8], 0.4, "Scores"),
}


@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
def test_every_picture_is_valid_xml_with_a_name_and_escapes_its_data(picture):
    root = ElementTree.fromstring(picture)
    assert root.tag == "svg"
    assert root.get("aria-label")
    assert root.get("role") == "img"
    assert not list(root.iter("b"))
    numbers = [float(v) for e in root.iter() for k, v in e.attrib.items() if k in ("x", "x1", "x2", "cx")]
    assert all(0 <= v <= charts.WIDTH for v in numbers)
    assert list(root.iter("title"))


def test_the_first_curves_have_a_name_a_mark_and_a_colour_and_the_others_are_grey():
    groups = [g for g in ElementTree.fromstring(PICTURES["roc"]).iter("g") if g.get("data-row")]
    named = {g.get("data-row"): g for g in groups if g.find("text") is not None}
    assert set(named) == {f"row{i}" for i in range(charts.NAMED)}
    assert len({g.find("use").get("href") for g in named.values()}) == charts.NAMED
    assert len({g.get("class") for g in named.values()}) == charts.NAMED
    assert len(groups) == 7
    assert {g.find("polyline").get("class") for g in groups if g not in named.values()} == {"curve other"}
    assert all("AUC 0.8" in g.find("title").text for g in groups)


def test_names_of_curves_are_at_their_start_and_never_overlap():
    texts = [t for t in ElementTree.fromstring(PICTURES["roc"]).iter("text") if t.get("class") == "name"]
    heights = {t.text: float(t.get("y")) for t in texts}
    assert [heights[f"<b>{i}"] for i in range(5)] == sorted(heights.values(), reverse=True)  # Later is higher.
    gaps = [a - b for a, b in zip(sorted(heights.values())[1:], sorted(heights.values()), strict=False)]
    assert min(gaps) >= 14


@pytest.mark.parametrize("auc", [0.0, 0.5, 1.0])
def test_dots_at_equal_height_still_have_an_axis(auc):
    dots = [Dot(name, name, "best", cost, auc, "") for name, cost in (("a", 10.0), ("b", 10.0))]
    drawn = charts.draw_scatter(dots, ("images per second", "mean AUC"), [], "speed")
    assert drawn.count("<title>a: ") == 1
    assert "nan" not in drawn


def test_dots_have_names_next_to_them_where_there_is_room():
    alone = ElementTree.fromstring(scatter(("a", 10, 0.9), ("b", 900, 0.6)))
    assert {"a", "b"} <= {t.text for t in alone.iter("text")}
    crowd = ElementTree.fromstring(scatter(*((f"detector{i}", 100, 0.8) for i in range(9))))
    assert 1 <= sum((t.text or "").startswith("detector") for t in crowd.iter("text")) < 9
    assert len([t for t in crowd.iter("title") if t.text.startswith("detector")]) == 9


def test_a_calibration_bin_shows_its_videos_and_interval():
    root = ElementTree.fromstring(PICTURES["reliability"])
    assert next(t.text for t in root.iter("title")) == (
        "mean score 0.10: share of fakes 0.800 [0.700, 0.900], 20 videos"
    )
    assert len([line for line in root.iter("line") if line.get("class") == "whisker"]) == 2


def test_the_labels_of_a_histogram_are_next_to_its_bars():
    root = ElementTree.fromstring(PICTURES["histogram"])
    left = min(float(r.get("x")) for r in root.iter("rect"))
    labels = [t for t in root.iter("text") if t.text in ("real", "fake")]
    assert len(labels) == 2
    assert all(float(t.get("x")) < left and t.get("text-anchor") == "end" for t in labels)
    assert "80 % of fakes score 0.67 to 1.00" in [t.text for t in root.iter("title")]


def measure_lightness(colour: str) -> float:
    """CIE L* of `#rrggbb`."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 116 * sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True)) ** (1 / 3) - 16


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_of_a_picture_differ_in_lightness_too(scheme):
    from crossfake.leaderboards.html import TEMPLATES

    style = (TEMPLATES / "style.css").read_text()
    pairs = [re.search(rf"--{kind}: light-dark\((#\w+), (#\w+)\)", style) for kind in ("s0", "s1", "s2", "s3", "s4")]
    found = sorted(measure_lightness(pair[("light", "dark").index(scheme) + 1]) for pair in pairs)
    assert min(b - a for a, b in pairwise(found)) > 5
