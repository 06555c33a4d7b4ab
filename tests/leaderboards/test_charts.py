"""Charts: where things are drawn, and that names are text."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from crossfake.benchmark.core.types import Estimate
from crossfake.leaderboards import charts

NUMBER = Estimate(0.8, 0.7, 0.9, 20)
NONE = Estimate(None, None, None, 0, "undefined (one class)")


@pytest.mark.parametrize(
    ("axis", "value", "pixel"),
    [
        (charts.Axis(0, 1, 10, 110), 0.25, 35),
        (charts.Axis(0, 1, 110, 10), 0.25, 85),
        (charts.Axis(0.5, 1, 0, 100), 0.2, 0),
        (charts.Axis(10, 1000, 0, 100, log=True), 100, 50),
    ],
)
def test_an_axis_maps_values_and_keeps_them_inside(axis, value, pixel):
    assert axis(value) == pytest.approx(pixel)


PICTURES = {
    "heat": charts.draw_heat_map([("<b>", [0.9, "ERR", ""])], ["a&b", "c", "d"]),
    "forest": charts.draw_forest([("<b>", NUMBER), ("c", NONE)], "AUC on a&b"),
    "roc": charts.draw_roc([("<b>", [(0, 0), (0.2, 0.9), (1, 1)]), ("c", [(0, 0), (1, 1)])], "ROC"),
    "groups": charts.draw_group_rates([("<b>", NUMBER, NONE)], "Groups"),
    "reliability": charts.draw_reliability([(0.1, 0), (0.9, 1)], [3, 12], "Calibration"),
    "histogram": charts.draw_histogram([0.5, 0.5, 0.0], [0.0, 0.2, 0.8], 0.4, "Scores"),
}


@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
def test_every_chart_is_sound_xml_with_a_title_and_no_markup_of_its_data(picture):
    root = ElementTree.fromstring(picture)
    assert root.tag == "svg"
    assert root.get("aria-label") == root[0].text
    assert not list(root.iter("b"))
    numbers = [float(v) for e in root.iter() for k, v in e.attrib.items() if k in ("x", "x1", "x2", "cx")]
    assert all(0 <= v <= charts.WIDTH for v in numbers)


def test_the_forest_reaches_down_to_the_lowest_interval():
    low = Estimate(0.4, 0.31, 0.5, 9)
    ticks = [
        t.text
        for t in ElementTree.fromstring(charts.draw_forest([("a", low)], "t")).iter("text")
        if t.get("class") == "tick"
    ]
    assert ticks[0] == "0.3"
    assert ticks[-1] == "1"


def test_an_undefined_estimate_says_why_and_has_no_dot():
    root = ElementTree.fromstring(charts.draw_forest([("c", NONE)], "t"))
    assert "undefined (one class)" in [t.text for t in root.iter("text")]
    assert not list(root.iter("circle"))


def circles(picture):
    return [(float(c.get("r")), c.get("cx")) for c in ElementTree.fromstring(picture).iter("circle")]


def test_the_area_of_a_calibration_dot_grows_with_its_videos():
    small, large, legend = circles(charts.draw_reliability([(0.1, 0), (0.9, 1)], [3, 12], "Calibration"))
    assert large[0] == pytest.approx(2 * small[0])
    assert legend[0] == large[0]
    assert "12 videos" in "".join(charts.draw_reliability([(0.1, 0), (0.9, 1)], [3, 12], "Calibration"))


def test_a_calibration_of_an_old_card_is_a_line_alone():
    assert circles(charts.draw_reliability([(0.1, 0), (0.9, 1)], [], "Calibration")) == []
    assert "polyline" in charts.draw_reliability([(0.1, 0), (0.9, 1)], [], "Calibration")


def test_the_labels_of_a_histogram_stand_beside_its_bars():
    root = ElementTree.fromstring(PICTURES["histogram"])
    left = min(float(r.get("x")) for r in root.iter("rect"))
    labels = [t for t in root.iter("text") if t.text in ("real", "fake")]
    assert len(labels) == 2
    assert all(float(t.get("x")) < left and t.get("text-anchor") == "end" for t in labels)


def test_the_forest_has_place_for_names_where_an_interval_is_missing():
    few = Estimate(0.5, None, None, 2, "too few videos for an interval")
    assert "0.500 (no interval)" in charts.draw_forest([("a", few)], "t")
