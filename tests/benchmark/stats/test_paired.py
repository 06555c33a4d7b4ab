"""Comparing runs: on the same videos or an error, with p-values, pooled seeds, and marks for the best rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import bench
from crossfake.benchmark.core.cell_description import CellDescription
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.predictions import PredictionsMetadata, write_predictions
from crossfake.benchmark.stats.attributes import with_attributes
from crossfake.benchmark.stats.influence import delong
from crossfake.benchmark.stats.intervals import SAME
from crossfake.benchmark.stats.metrics import auc
from crossfake.benchmark.stats.paired import METRICS, check_same_videos, compare, pair_test_sets, read_run
from crossfake.benchmark.stats.scoring import (
    compute_scorecard,
    find_shared_people,
    make_seed_scores,
    measure_metrics,
    pool_frames,
)


def predictions(strength: float, seed: int = 0, people: int = 50) -> pd.DataFrame:
    """Two frames of a real and a fake video of each person; a hard video is hard for every detector."""
    world, own = np.random.default_rng(99), np.random.default_rng(seed)
    rows = []
    for person in range(people):
        for label in (0, 1):
            hard = world.normal()
            for frame in range(2):
                logit = strength * (label - 0.5) + hard + 0.3 * own.normal()
                rows.append((f"{label}/{person}.mp4", frame, label, f"id{person}", 1 / (1 + np.exp(-logit))))
    return pd.DataFrame(rows, columns=["video", "frame", "label", "identity", "score"])


GOOD, POOR = predictions(2.0), predictions(0.8, seed=1)


@pytest.fixture
def run(tmp_path: Path):
    def write(name: str, **tests: pd.DataFrame) -> Path:
        for test, table in tests.items():
            told = PredictionsMetadata(cell=CellDescription(test=test))
            write_predictions(tmp_path / name / f"test.{test}.abc/predictions.parquet", table, told)
        return tmp_path / name

    return write


def test_a_difference_is_that_of_the_scorecards():
    found = compare([GOOD], [POOR])
    for estimate, table in ((found.a, GOOD), (found.b, POOR)):
        assert estimate == compute_scorecard(table, threshold=None).metrics["video.auc"]
    assert found.difference.value == pytest.approx(found.a.value - found.b.value)
    assert 0 < found.difference.lo < found.difference.value < found.difference.hi
    assert found.p < 0.001


def test_pairing_detects_what_two_intervals_do_not():
    found = compare([GOOD], [predictions(1.5, seed=2)])
    assert found.b.hi > found.a.lo  # the intervals overlap
    assert found.p < 0.05


def test_swapping_two_runs_only_flips_the_sign():
    one, other = compare([GOOD], [POOR], "frame.eer"), compare([POOR], [GOOD], "frame.eer")
    assert one.difference.value == pytest.approx(-other.difference.value)
    assert one.difference.lo == pytest.approx(-other.difference.hi)
    assert one.p == pytest.approx(other.p)
    assert one.p_delong is None


@pytest.mark.parametrize("unknown", [POOR.drop(columns="identity"), POOR.assign(identity="")])
def test_people_are_resampled_if_either_table_names_them(unknown):
    expected = compare([GOOD], [POOR])
    assert compare([GOOD], [unknown]) == expected
    assert compare([unknown], [GOOD]).difference == expected.difference._replace(
        value=-expected.difference.value, lo=-expected.difference.hi, hi=-expected.difference.lo
    )


def pooled(tables: list[pd.DataFrame]):
    seeds = [make_seed_scores(with_attributes(table)) for table in tables]
    return measure_metrics(seeds, find_shared_people(seeds), 200)[0]


def test_seeds_on_the_videos_of_a_single_person_have_a_mean_and_no_interval():
    alone = [table.assign(identity="id0+id1") for table in (GOOD, POOR)]
    found = pooled(alone)["video.auc"]
    assert found.value == pytest.approx(
        np.mean([compute_scorecard(t, threshold=None).metrics["video.auc"][0] for t in alone])
    )
    assert (found.lo, found.note) == (None, "too few videos for an interval")


def test_tables_without_a_video_in_common_are_refused():
    with pytest.raises(BenchError, match="no video in common"):
        compare([GOOD], [POOR.assign(video="x/" + POOR["video"])])


def test_delong_is_given_next_to_it():
    found = compare([GOOD], [POOR])
    first, second = pool_frames(GOOD), pool_frames(POOR)
    aucs, covariance = delong(first["label"], [first["score"], second["score"]])
    z = (aucs[0] - aucs[1]) / np.sqrt(np.array([1, -1]) @ covariance @ [1, -1])
    assert found.difference.value == pytest.approx(aucs[0] - aucs[1])
    assert found.p_delong == pytest.approx(2 * (1 - 0.5 * (1 + _erf(z / np.sqrt(2)))), abs=1e-9)


def _erf(x: float) -> float:
    from math import erf

    return erf(x)


@pytest.mark.parametrize("metric", [m for m in METRICS if not m.endswith("fpr1")])
def test_a_run_does_not_differ_from_itself(metric):
    found = compare([GOOD], [GOOD], metric, draws=50)
    assert found.difference == (0, None, None, found.a.n, SAME)
    assert found.p == 1


def test_seeds_are_averaged_and_widen_the_interval():
    seeds = [predictions(strength, seed) for seed, strength in enumerate((1.0, 2.0, 3.0))]
    both = pooled(seeds)
    alone = [pooled([table])["video.auc"] for table in seeds]
    assert both["video.auc"].value == pytest.approx(np.mean([e.value for e in alone]))
    assert both["video.auc"].hi - both["video.auc"].lo > max(e.hi - e.lo for e in alone)
    assert both["frame.auc"].n == 200
    assert compare(seeds, [POOR]).p_delong is None


def test_a_video_missing_from_one_run_counts_as_a_failure_and_never_helps():
    fewer = POOR[POOR["video"] != "0/3.mp4"]
    found = compare([GOOD], [fewer])
    assert (found.lacking, found.b.n, found.p_delong) == ((0, 1), 100, None)
    assert found.b.value == pytest.approx(bound_by_pairs(fewer, 0.98, 0.5))
    less = POOR[~POOR["video"].isin([f"0/{i}.mp4" for i in range(5)])]  # Below 98 %, all pairs are lost.
    assert compare([GOOD], [less]).b.value == pytest.approx(bound_by_pairs(less, 0.9, 0))
    wrong = POOR.assign(wrong=np.where(POOR["label"] == 1, -POOR["score"], POOR["score"]))
    easy = POOR[POOR["video"].isin(wrong.groupby("video")["wrong"].mean().sort_values().index[:80])]
    for metric in (m for m in METRICS if not m.endswith("fpr1")):  # That needs 300 reals.
        whole, part = compare([GOOD], [POOR], metric, draws=50), compare([GOOD], [easy], metric, draws=50)
        sign = -1 if metric.rpartition(".")[2] in ("eer", "ece", "brier") else 1
        assert sign * part.b.value <= sign * whole.b.value, metric


def bound_by_pairs(frames: pd.DataFrame, pairs: float, credit: float) -> float:
    videos = pool_frames(frames)
    return pairs * float(auc(videos["label"], videos["score"])) + (1 - pairs) * credit


def test_a_run_folder_is_compared_on_every_test_set_that_both_have(run):
    a, b = run("a", celebdf=GOOD, dfdc=POOR), run("b", celebdf=POOR, dfd=GOOD)
    assert list(pair_test_sets([a], [b])) == ["celebdf"]
    assert set(read_run(a)) == {"celebdf", "dfdc"}
    assert list(pair_test_sets([a / "test.celebdf.abc"], [b / "test.celebdf.abc/predictions.parquet"])) == ["celebdf"]


def test_tables_that_cannot_be_paired_are_a_one_line_error(run, tmp_path):
    fewer = GOOD[GOOD["video"].isin(GOOD["video"].unique()[:49])]
    turned = GOOD.assign(label=np.where(GOOD["video"] == "0/3.mp4", 1, GOOD["label"]))
    a = run("a", celebdf=GOOD)
    for other, message in (
        (run("d", dfd=GOOD, dfdc=GOOD), "no test set in common"),
        (tmp_path, "no predictions in"),
        (tmp_path / "nothing.csv", "no predictions"),
    ):
        with pytest.raises(BenchError) as error:
            pair_test_sets([a], [other])
        assert message in str(error.value)
        assert "\n" not in str(error.value)
    for other, message in (
        (fewer, r"^b has 49 of 100 videos, less than half; first missing one: "),
        (turned, "^1 videos have a different label in b than before; first: 0/3.mp4"),
    ):
        with pytest.raises(BenchError, match=message):
            check_same_videos([Path("a"), Path("a2"), Path("b")], [GOOD, GOOD, other])
    with pytest.raises(BenchError, match=r"no metric 'video.acu' to compare. Did you mean 'video.auc'"):
        compare([GOOD], [POOR], "video.acu")
    with pytest.raises(
        BenchError, match=r"video.ece and video.brier need scores from 0 to 1; found .* --metric video.auc"
    ):
        compare([GOOD], [GOOD.assign(score=GOOD["score"] * 2)], "video.ece")
    with pytest.raises(BenchError, match="left out: an FPR of 1 % needs 300 reals, and there are 50"):
        compare([GOOD], [POOR], "video.tpr_at_fpr1")
    with pytest.raises(BenchError, match=r"undefined \(one class\)"):
        compare([GOOD[GOOD["label"] == 1]], [POOR[POOR["label"] == 1]])


def test_a_test_set_that_cannot_be_compared_is_named_and_stops_no_other(run, tmp_path, capsys):
    few = POOR[POOR["video"].isin(POOR["video"].unique()[:40])]
    a, b = run("a", celebdf=GOOD, dfdc=GOOD), run("b", celebdf=POOR, dfdc=few)
    out = tmp_path / "out.json"
    assert bench("compare --draws 50", a, b, json=out) == 1
    told = capsys.readouterr()
    assert "has 40 of 100 videos, less than half" in told.err
    assert "| celebdf" in told.out
    content = json.loads(out.read_text())
    assert (list(content["tests"]), list(content["not_compared"])) == (["celebdf"], ["dfdc"])
    assert bench("compare", a / "test.dfdc.abc", b / "test.dfdc.abc") == 2
    assert "has 40 of 100 videos, less than half" in capsys.readouterr().err
    assert bench("compare", a, tmp_path / "bb") == 2
    assert f"no run or predictions {tmp_path / 'bb'}. Did you mean 'b'?" in capsys.readouterr().err


def test_the_verb_pools_seeds_joined_by_commas(run, tmp_path, capsys):
    tables = [predictions(strength, seed) for seed, strength in enumerate((1.0, 2.0, 3.0))]
    seeds = ",".join(str(run(f"s{i}", celebdf=table)) for i, table in enumerate(tables))
    assert bench("compare", seeds, run("b", celebdf=POOR), json=tmp_path / "d.json") == 0
    (found,) = json.loads((tmp_path / "d.json").read_text())["tests"].values()
    assert found["difference"]["value"] == pytest.approx(compare(tables, [POOR]).difference.value)
    assert found["p_delong"] is None
    assert f"A: {seeds.replace(',', ', ')}" in capsys.readouterr().out
    assert bench("compare", f"{seeds},{run('c', celebdf=GOOD[GOOD['video'] != '0/3.mp4'])}", seeds) == 0
    assert "celebdf: A lacks 1 videos; they count as failures" in capsys.readouterr().err


def test_the_verb_prints_a_table_and_writes_the_numbers(run, tmp_path, capsys):
    a, b = run("a", celebdf=GOOD, dfdc=GOOD), run("b", celebdf=POOR, dfdc=predictions(1.95, 5))
    assert bench("compare --draws 300", a, b, json=tmp_path / "out.json") == 0
    printed = capsys.readouterr().out
    content = json.loads((tmp_path / "out.json").read_text())
    assert "p (Holm)" in printed
    assert content["metric"] == "video.auc"
    first, second = content["tests"]["celebdf"], content["tests"]["dfdc"]
    assert first["difference"].keys() == {"value", "lo", "hi", "n"}
    assert first["p_holm"] == pytest.approx(2 * first["p"])
    assert second["p_holm"] == pytest.approx(second["p"])
    assert bench("compare --metric auc", a, b) == 2


def test_a_difference_is_never_larger_than_one():
    good, bad = predictions(6, people=6), predictions(-3, seed=1, people=6)
    found = compare([good], [bad]).difference
    assert found.value > 0.9
    assert found.hi == 1
    assert compare([bad], [good]).difference.lo == -1
