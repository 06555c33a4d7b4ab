"""Scorecards of prediction tables: levels, methods, groups, gaps, coverage, and rejected tables."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.predictions import read_predictions
from crossfake.benchmark.core.scorecard import Counts, Coverage, Threshold
from crossfake.benchmark.core.types import Estimate
from crossfake.benchmark.stats.operating_points import fit_operating_point
from crossfake.benchmark.stats.people import find_people
from crossfake.benchmark.stats.scoring import (
    check_predictions,
    compute_scorecard,
    make_scorecard,
    pool_frames,
)


def table(videos: int = 40, frames: int = 3, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for v in range(videos):
        label = v % 2
        for f in range(frames):
            rows.append(
                {
                    "video": f"{'fake' if label else 'real'}/{v:03d}.mp4",
                    "frame": f,
                    "label": label,
                    "method": ["A", "B"][v // 2 % 2] if label else "real",
                    "score": rng.normal() * 0.5 + label,
                    "gender": ["male", "female"][v // 2 % 2],
                    "race": ["white", "black"][v // 4 % 2],
                }
            )
    return pd.DataFrame(rows)


def test_video_score_is_the_mean_of_its_frames():
    videos = pool_frames(table(4, 5))
    assert len(videos) == 4
    frames = table(4, 5)
    assert videos["score"].tolist() == pytest.approx(frames.groupby("video")["score"].mean().tolist())


def test_videos_of_the_same_name_in_two_folders_stay_two():
    frames = pd.DataFrame(
        {
            "video": ["Deepfakes/000_003.mp4", "Face2Face/000_003.mp4", "real/000.mp4"],
            "frame": 0,
            "label": [1, 1, 0],
            "score": [0.1, 0.9, 0.5],
        }
    )
    assert compute_scorecard(frames, threshold=None, draws=0).counts.videos == 3


def test_every_number_has_value_interval_and_n():
    card = compute_scorecard(table(), threshold=0.5, draws=50)
    expected = {f"{level}.{m}" for level in ("video", "frame") for m in ("auc", "ap", "eer", "acc")}
    assert expected <= set(card.metrics)
    for name, e in card.metrics.items():
        assert isinstance(e, Estimate), name
    assert card.metrics["video.auc"].n == 40
    assert card.metrics["frame.auc"].n == 120
    assert card.counts == Counts(videos=40, real_videos=20, fake_videos=20, frames=120)


def test_accuracy_needs_a_threshold_from_the_source_val_split():
    assert "video.acc" not in compute_scorecard(table(), threshold=None, draws=0).metrics


def test_each_method_is_scored_against_all_reals():
    methods = compute_scorecard(table(), threshold=None, draws=10).methods
    assert set(methods) == {"A", "B"}
    assert methods["A"].auc.n == 30
    assert methods["A"].n_fake == 10


def test_groups_show_n_and_small_ones_are_named_and_left_out():
    card = compute_scorecard(table(), threshold=0.5, draws=20)
    assert set(card.groups) == {"gender", "race", "intersection"}
    cell = card.groups["intersection"]["male-white"]
    assert (cell.video.n_real, cell.video.n_fake) == (5, 5)
    assert "left_out" not in cell
    few = compute_scorecard(table(16), threshold=0.5, draws=20)
    assert few.groups["intersection"]["male-white"].video.left_out.startswith("fewer than 5 videos of a class (real 2")
    gap = few.metrics["video.fairness.intersection.auc_gap"]
    assert gap.value is None
    assert "fewer than two groups" in gap.note


def test_a_gap_is_the_range_over_groups():
    frames = table(80, 1)
    hard = frames["gender"] == "female"
    frames.loc[hard, "score"] = 0.3  # real and fake are equal: AUC 0.5
    frames.loc[~hard, "score"] = frames.loc[~hard, "label"].astype(float)  # AUC 1
    gap = compute_scorecard(frames, threshold=0.5, draws=20).metrics["video.fairness.gender.auc_gap"]
    assert gap.value == pytest.approx(0.5)
    assert gap.n == 20


def test_half_annotated_videos_count_only_where_they_are_annotated():
    frames = table()
    frames.loc[frames["video"] == "real/000.mp4", "race"] = ""
    groups = compute_scorecard(frames, threshold=0.5, draws=0).groups
    assert sum(c.video.n_real for c in groups["gender"].values()) == 20
    assert sum(c.video.n_real for c in groups["intersection"].values()) == 19


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns="score"), "has no column score"),
        (lambda t: t.iloc[:0], "has no rows"),
        (lambda t: t.assign(score=np.where(np.arange(len(t)) == 4, np.nan, t["score"])), "in row 5"),
        (lambda t: t.assign(score=np.where(np.arange(len(t)) == 4, np.inf, t["score"])), "not a finite number"),
        (lambda t: t.assign(frame=t["frame"].where(t.index != 3)), "no frame in row 4"),
        (lambda t: t.assign(video=t["video"].where(t.index != 3, "")), "no video in row 4"),
        (lambda t: t.assign(label=t["label"] + 1), "a label other than 0 and 1"),
        (lambda t: pd.concat([t, t.iloc[:1]]), "a duplicate frame in row 121"),
        (lambda t: t.assign(label=np.where(t.index == 0, 1, t["label"])), "differs from the video's other frames"),
    ],
)
def test_tables_that_cannot_be_scored_are_refused_with_row_numbers(spoil, message):
    with pytest.raises(BenchError) as error:
        check_predictions(spoil(table()), "scores.csv")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_csv_from_another_tool_is_scored(tmp_path):
    path = tmp_path / "theirs.csv"
    table()[["video", "frame", "label", "score"]].to_csv(path, index=False)
    card = make_scorecard(path, 0.5, draws=20)
    json.dumps(card.to_json(), allow_nan=False)
    assert card.to_json()["metrics"]["video.auc"].keys() == {"value", "lo", "hi", "n"}
    assert card.groups == {}
    assert card.coverage == Coverage(official=40, scored=40, dropped=[])


def test_one_class_is_reported_and_not_scored():
    frames = table()
    card = compute_scorecard(frames[frames["label"] == 1], threshold=None, draws=10)
    assert card.video.auc.value is None
    assert card.video.auc.note == "undefined (one class)"


def test_ids_that_differ_by_leading_zeros_stay_apart(tmp_path):
    path = tmp_path / "zeros.csv"
    path.write_text("video,frame,label,score\n1,0,0,.1\n01,0,0,.2\n001,0,1,.9\n")
    card = make_scorecard(path, 0.35, draws=0, rule="given")
    assert card.counts.videos == 3
    assert card.threshold == Threshold(value=0.35, rule="given")


def test_a_note_says_what_unnamed_people_hide():
    told = compute_scorecard(table(), threshold=0.5, draws=0).remarks[0]
    assert told.startswith("no people are named in the 40 videos: each is assumed to show a different person.")
    assert not compute_scorecard(table().assign(identity="a"), threshold=0.5, draws=0).remarks


ODD_PEOPLE = {
    "a face that nobody else uses": lambda v, y: f"{v // 4}" + ("+once" if v == 1 else ""),
    "one face for all": lambda v, y: f"{v // 4}" + ("+all" if y else ""),
    "one person": lambda v, y: "a",
    "two who are swapped": lambda v, y: ("a+b" if v % 4 == 1 else "b+a") if y else "a",
    "everybody with everybody": lambda v, y: f"{v % 7}+{v % 5}",
}


@pytest.mark.parametrize(
    ("who", "spoiled"),
    [*((who, "one person") for who in ODD_PEOPLE), ("one face for all", "nobody"), ("one face for all", "everybody")],
)
def test_unusual_people_and_mistakes_give_intervals_or_reasons(who, spoiled):
    frames = probable(24)
    frames["identity"] = [
        ODD_PEOPLE[who](int(v[-7:-4]), y) for v, y in zip(frames["video"], frames["label"], strict=True)
    ]
    frames["gender"] = np.where(frames["video"] == "real/000.mp4", "alone", frames["gender"])
    perfect = 0.2 + 0.6 * frames["label"]
    wrong = frames["identity"].str.startswith("a" if who.startswith(("one p", "two")) else "1") | (
        spoiled == "everybody"
    )
    card = compute_scorecard(
        frames.assign(score=perfect if spoiled == "nobody" else np.where(wrong, 1 - perfect, perfect)),
        threshold=0.5,
        temperature=1.0,
        draws=50,
    )
    json.dumps(card.to_json(), allow_nan=False)
    cells = [c for by_group in card.groups.values() for cell in by_group.values() for c in (cell.video, cell.frame)]
    rates = [getattr(c, rate) for c in cells for rate in ("auc", "fpr", "tpr", "fpr_at_fpr5")]
    for e in (*card.metrics.values(), *rates, *(m.auc for m in card.methods.values())):
        assert e.note if e.lo is None else e.lo < e.hi, e


def test_people_of_two_datasets_are_kept_apart():
    table = pd.DataFrame({"video": list("abcdef"), "identity": ["1", "1+2", "1", "1+2", "1+3", "2+1"]})
    named = table.assign(dataset=["ff++", "ff++", "dfd", "dfd", "dfd", "dfd"], label=[0, 1, 0, 1, 1, 1], score=0.5)
    found = find_people(pool_frames(named)["identity"].tolist()).first.tolist()
    assert [found[i] == found[0] for i in range(6)] == [True, True, False, False, False, False]
    assert [found[i] == found[2] for i in range(2, 6)] == [True, True, True, False]
    assert pool_frames(named.assign(dataset="ff++"))["identity"].tolist() == table["identity"].tolist()


def test_copied_people_add_no_certainty():
    alone = table(40)
    copies = [alone.assign(video=alone["video"] + f"/{k}", identity=alone["video"]) for k in range(6)]
    one, many = (compute_scorecard(t, threshold=0.5, draws=200).metrics for t in (alone, pd.concat(copies)))
    for name in ("video.auc", "frame.auc", "video.acc", "frame.ap", "video.eer"):
        assert many[name].value == pytest.approx(one[name].value)
        assert (many[name].lo, many[name].hi) == pytest.approx((one[name].lo, one[name].hi), abs=0.03), name


def probable(videos: int = 60, seed: int = 0) -> pd.DataFrame:
    frames = table(videos, 2, seed)
    return frames.assign(score=1 / (1 + np.exp(-4 * (frames["score"] - 0.5))))


def test_calibration_and_operating_points_are_in_the_scorecard():
    frames = probable()
    threshold, temperature, _ = fit_operating_point(probable(seed=1))
    card = compute_scorecard(frames, threshold=threshold, temperature=temperature, draws=50)
    found = card.metrics
    for level in ("video", "frame"):
        for name in ("auc", "ap", "eer", "tpr_at_fpr5", "acc", "ece", "brier"):
            assert 0 <= found[f"{level}.{name}"].lo <= found[f"{level}.{name}"].hi <= 1
    assert found["video.tpr_at_fpr1"][:4] == (None, None, None, 60)
    assert found["video.ece_scaled"].value != found["video.ece"].value
    assert card.temperature == temperature
    assert "video.ece_scaled" not in compute_scorecard(frames, threshold=threshold, draws=0).metrics


def test_scores_that_are_not_probabilities_have_no_calibration():
    card = compute_scorecard(table(), threshold=0.5, temperature=2.0, draws=0)
    assert not {"video.ece", "frame.brier", "video.ece_scaled"} & card.metrics.keys()
    assert card.curves.model_fields_set == {"roc"}
    assert fit_operating_point(table())[1] is None


def test_curves_hold_what_the_charts_are_drawn_from():
    frames = probable()
    curves = compute_scorecard(frames, threshold=0.5, draws=0).curves
    json.dumps(curves.to_json(), allow_nan=False)
    fpr, tpr = np.array(curves.roc).T
    auc = compute_scorecard(frames, threshold=0.5, draws=0).metrics["video.auc"].value
    assert np.trapezoid(tpr, fpr) == pytest.approx(auc, abs=1e-3)
    for shares in (curves.histogram.real, curves.histogram.fake):
        assert len(shares) == 20
        assert sum(shares) == pytest.approx(1, abs=0.002)
    assert sum(curves.reliability_n) == 60
    assert len(curves.reliability) == len(curves.reliability_n)


def test_a_csv_may_name_the_people(tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text("video,frame,label,score,identity\na,0,0,.1,001\nb,0,1,.9,001\nc,0,1,.8,\nd,0,0,.2,\n")
    table, _ = read_predictions(path)
    assert pool_frames(table)["identity"].tolist() == ["001", "001", "", ""]


@pytest.mark.parametrize("order", [[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.2, 0.3, 0.1]])
@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e6, 1e-300, 0.0, -1.0])
def test_the_order_of_frames_changes_no_video_score(order, scale):
    rows = [("a", f, 0, s) for f, s in enumerate(order)] + [("b", f, 1, 0.2) for f in range(3)]
    table = pd.DataFrame(rows, columns=["video", "frame", "label", "score"]).assign(score=lambda t: t["score"] * scale)
    videos = pool_frames(table)
    assert videos["score"].nunique() == 1
    assert videos["score"].tolist() == pytest.approx([0.2 * scale] * 2, rel=1e-11)
    assert compute_scorecard(table, threshold=None, draws=0).metrics["video.auc"].value == 0.5


def test_video_scores_keep_twelve_digits():
    rng = np.random.default_rng(0)
    score = rng.random(900) ** 9 * rng.choice([1e-12, 1, 1e5], 900)
    table = pd.DataFrame({"video": np.arange(900) // 3, "frame": np.arange(900) % 3, "label": 0, "score": score})
    np.testing.assert_allclose(pool_frames(table)["score"], table.groupby("video")["score"].mean(), rtol=5e-12, atol=0)


def test_a_half_threshold_is_reported_for_scores_that_are_not_probabilities():
    frames = table().assign(score=lambda t: 100 * t["score"])
    (remark,) = [r for r in compute_scorecard(frames, threshold=None, draws=0).remarks if "not probabilities" in r]
    assert "but the threshold is 0.5: 78% of the frames are called fake" in remark
    assert "--threshold val --val FILE" in remark
    assert not any("probabilities" in r for r in compute_scorecard(frames, threshold=20.0, draws=0).remarks)


@pytest.mark.parametrize("name", ["NA", "null", "nan", "None"])
def test_a_video_may_be_called_anything(name, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text(f"video,frame,label,score,gender\n{name},0,0,.1,NA\nb,0,1,.9,f\n")
    frames, _ = read_predictions(path)
    check_predictions(frames, "odd.csv")
    assert set(frames["video"]) == {name, "b"}
    assert frames["gender"].isna().tolist() == [True, False]
    path.write_text("video,frame,label,score\n,0,0,.1\nb,0,1,.9\n")
    with pytest.raises(BenchError, match=r"no video in row 1\."):
        make_scorecard(path, None, draws=0)


@pytest.mark.parametrize("suffix", [".parquet", ".PARQUET", ".pq"])
def test_parquet_from_elsewhere(suffix, tmp_path):
    path = tmp_path / f"theirs{suffix}"
    table().assign(label=lambda t: t["label"].astype(str)).to_parquet(path)
    assert make_scorecard(path, None, draws=0).counts.fake_videos == make_card_of(table(), tmp_path).fake_videos


def make_card_of(frames: pd.DataFrame, folder) -> Counts:
    frames.to_parquet(folder / "ours.parquet")
    return make_scorecard(folder / "ours.parquet", None, draws=0).counts
