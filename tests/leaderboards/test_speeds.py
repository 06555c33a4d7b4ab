"""Speeds on the board: one column per condition, with numbers from the speed stage only."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import crossfake
import pytest
from crossfake.benchmark.core.speeds import Condition
from crossfake.leaderboards import pareto
from crossfake.leaderboards.formats import format_speed
from crossfake.leaderboards.rows import make_tables
from crossfake.leaderboards.speed_tables import make_speed_parts, make_timm_table
from crossfake.leaderboards.speeds import list_conditions, match_speeds
from hypothesis import given
from hypothesis import strategies as st

EPYC, H200 = Condition("AMD EPYC", "fp32", 2), Condition("NVIDIA H200", "tf32", 0)


def column(table, condition):
    return [format_speed(row.speeds.get(condition)) for row in table.rows]


def test_a_row_has_the_speed_of_its_own_architecture(make, make_speed):
    cell, own = make().cell, make_speed()
    others = [make_speed(detector="xception"), make_speed(backend="jax"), make_speed(options={"input_size": 64})]
    assert match_speeds(cell, 28_000, [*others, own]) == {EPYC: own}
    assert match_speeds(cell, 28_001, [own]) == {}  # The checkpoint is of a larger network with the same name.
    assert match_speeds(cell, None, [own]) == {EPYC: own}


def test_the_fastest_runtime_counts_and_is_named(make, make_speed):
    quick = make_speed(300.0, runtime="openvino")
    (table,) = make_tables([make()], [make_speed(), quick])
    assert column(table, EPYC) == ["300 (openvino)"]


def test_devices_never_share_a_column_and_the_scoring_pace_is_in_none(make, make_speed):
    cards = [
        make(),
        make(name="other", detector="xception", recipe_key="x"),
    ]  # Both record that 100 images per second were scored.
    assert column(make_tables(cards)[0], EPYC) == ["unknown", "unknown"]
    told = {"device": "NVIDIA H200", "precision": "tf32", "threads": 0}
    speeds = [make_speed(41.0), make_speed(9.0, detector="xception", load={"own": 1.0, "others": 0.9, "cores": 2})]
    (table,) = make_tables(cards, [*speeds, make_speed(4321.0, **told)])
    assert table.conditions == [EPYC, H200]
    assert column(table, EPYC) == ["41", "9 (busy)"]
    assert column(table, H200) == ["4320", "unknown"]
    assert list_conditions([]) == []


def test_the_board_reads_speeds_next_to_the_runs(make, make_speed, save, tmp_path):
    save(tmp_path / "a/scorecard.json", make())
    make_speed(41.0).write(tmp_path)
    (tmp_path / "speed/amd-epyc/broken.json").write_text("{}")
    (md, csv, data, html), problems = crossfake.leaderboard(tmp_path)
    assert "speed on AMD EPYC, fp32, 2 threads" in md.read_text()
    assert "Mean video AUC against images per second: AMD EPYC, fp32, 2 threads" in html.read_text()
    assert '41.0,"AMD EPYC, fp32, 2 threads"' in csv.read_text()
    (table,) = json.loads(data.read_text())["tables"]
    assert table["rows"][0]["speeds"][0]["images_per_s"] == 41.0
    assert [t["frontier"] for t in table["tradeoffs"]] == [["rrr"], ["rrr"]]
    (problem,) = problems
    assert "broken.json" in problem


@given(st.lists(st.tuples(st.floats(1, 1e4), st.floats(0, 1)), min_size=1, max_size=30), st.booleans())
def test_the_frontier_has_the_points_no_other_beats(points, more):
    kept = pareto.find_frontier([pareto.Cost("", *p) for p in points], more_is_better=more)
    sign = 1 if more else -1
    for p in points:
        beaten = any(sign * q[0] >= sign * p[0] and q[1] >= p[1] and q != p for q in points)
        assert (("", *p) in kept) == (not beaten)
    assert [p.auc for p in kept] == sorted(p.auc for p in kept)


def test_frontier_rows_are_those_no_other_beats_on_both():
    a, b, c, d = (pareto.Cost(*p) for p in (("a", 10, 0.9), ("b", 30, 0.8), ("c", 20, 0.7), ("d", 30, 0.6)))
    assert pareto.find_frontier([a, b, c, d], more_is_better=True) == [b, a]
    assert pareto.find_frontier([a, b, c, d], more_is_better=False) == [a]


def test_throughput_and_latency_have_separate_frontiers_for_each_condition(make, make_speed):
    cards = [
        make(auc=0.9),
        make(auc=0.7, name="x", detector="x", recipe_key="x"),
        make(name="y", detector="y", recipe_key="y"),
    ]
    (table,) = make_tables(cards, [make_speed(10.0, 90.0), make_speed(50.0, 30.0, detector="x")])
    quick, latent = pareto.list_tradeoffs(table, [(row, row.name) for row in table.rows])
    assert (quick.axis, latent.axis) == ("images per second", "milliseconds per image")
    assert {(p.label, p.cost) for p in quick.points} == {("meso4", 10.0), ("x", 50.0)}
    assert {(p.label, p.cost) for p in latent.points} == {("meso4", 90.0), ("x", 30.0)}
    assert [p.label for p in quick.frontier] == [p.label for p in latent.frontier] == ["x", "meso4"]


def test_the_chart_names_its_dots_and_steps_along_the_frontier():
    points = [pareto.Cost("<b>", 100.0, 0.8), pareto.Cost("c", 900.0, 0.7), pareto.Cost("d", 200.0, 0.6)]
    chart = pareto.Tradeoff(EPYC, pareto.QUICK, points, pareto.find_frontier(points, more_is_better=True))
    root = ElementTree.fromstring(pareto.draw_tradeoff(chart, lambda label: (f"row-{label}", "best")))
    assert {"<b>", "c", "d"} <= {t.text for t in root.iter("text")}
    assert "c: 900 images per second, mean AUC 0.700" in [t.text for t in root.iter("title")]
    assert {"row-<b>", "row-c", "row-d"} <= {g.get("data-row") for g in root.iter("g")}
    assert root.get("aria-label") == chart.title
    assert not list(root.iter("b"))
    (line,) = (line for line in root.iter("polyline") if line.get("class") == "frontier")
    corners = [tuple(map(float, p.split(","))) for p in line.get("points").split()]
    assert len(corners) == 3
    assert corners[0][1] == corners[1][1]  # The line stays level until the next better point.
    assert corners[1][0] == corners[2][0]


def test_speeds_are_shown_by_condition_with_their_spread(make_speed):
    way = {"value": 0.5, "lo": 0.25, "hi": 0.75, "runs": 4, "frames": 32, "world": "ff++"}
    slow = make_speed(
        3.456, detector="caddm", threads=1, videos={"mp4": way}, load={"own": 1, "others": 1.0, "cores": 2}
    )
    first, (header, (row,)), said, second, (other, (busy,)), remark = make_speed_parts([make_speed(2480.4), slow])
    assert (first, second) == ("speed on AMD EPYC, fp32, 2 threads", "speed on AMD EPYC, fp32, 1 thread")
    found = dict(zip(header, row, strict=True))
    assert found["images/s (batch)"] == "2480 [2230, 2730] (8)"
    assert (found["p50"], found["p99 ms"]) == ("20", "too few runs (20)")
    assert (found["GFLOPs"], found["MB"]) == ("2.5", "500")
    assert dict(zip(other, busy, strict=True))["videos/s, mp4"] == "0.5 [0.25, 0.75]"
    assert "BUSY" not in said
    assert remark.startswith("caddm: BUSY: other work took 1.0 of 2 cores; timed by the wall clock; weights")


def test_the_csv_has_timms_columns(make_speed):
    (row,) = make_timm_table([make_speed(40.0)]).to_dict("records")
    timms = {"model": "meso4", "infer_img_size": 256, "infer_batch_size": 8, "infer_samples_per_sec": 40.0}
    timms |= {"infer_step_time": 200.0, "infer_gmacs": 1.25, "infer_macts": 1.0, "param_count": 0.028}
    assert {name: row[name] for name in timms} == pytest.approx(timms)
