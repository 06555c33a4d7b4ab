"""`bench score` with levels and thresholds, and `bench fairness`: their output, and one-line errors."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import bench, read_mistake
from crossfake.benchmark.stages.demographics import _assign_groups
from crossfake.benchmark.stats.fairness_metrics import reference_metrics, sigmoid
from crossfake.benchmark.stats.power import smallest_gap
from crossfake.datasets.demographics.annotations import read_frames

GOLDEN = json.loads((Path(__file__).parents[2] / "data/fairness/metrics.json").read_text())["cases"]


def predictions(case: str) -> pd.DataFrame:
    rows = [
        {"label": y, "logit": z, "gender": group.split(",")[0], "race": group.split(",")[1]}
        for group, content in GOLDEN[case]["groups"].items()
        for y, z in zip(content["label"], content["logit"], strict=True)
    ]
    table = pd.DataFrame(rows)
    return table.assign(video=[f"{i}.mp4" for i in range(len(table))], frame=0, score=sigmoid(table["logit"]))


def scored(folder: Path, table: pd.DataFrame, line: str = "", **options: object) -> dict:
    table.to_csv(folder / "p.csv", index=False)
    out = folder / "out.json"
    assert bench(f"score --draws 20 {line}", folder / "p.csv", json=out, **options) == 0
    return json.loads(out.read_text())


def mistake(capsys: pytest.CaptureFixture[str], line: str, *more: object, **options: object) -> str:
    capsys.readouterr()
    assert bench(line, *more, **options) == 2
    return read_mistake(capsys)


@pytest.mark.parametrize("case", ["A_ff_8groups", "C_two_empty_groups", "P_perfect_predictions"])
def test_the_papers_numbers_from_a_csv(tmp_path, case):
    card = scored(tmp_path, predictions(case), "--level frame --threshold 0.5")
    wanted, percent = GOLDEN[case]["result"]["return"], 100
    found = {k: e["value"] for k, e in card["metrics"].items()}
    for place, family in enumerate(("intersection", "gender", "race")):
        prefix = f"frame.fairness.{family}"
        assert found[f"{prefix}.f_fpr_sum"] == pytest.approx(wanted[4 + 2 * place], abs=1e-9)
        assert found[f"{prefix}.f_eo"] == pytest.approx(wanted[5 + 2 * place], abs=1e-9)
        assert percent * found[f"{prefix}.f_fpr_range"] == pytest.approx(wanted[10 + place], abs=1e-9)
        assert percent * found[f"{prefix}.auc_gap"] == pytest.approx(wanted[13 + place], abs=1e-9)
        assert percent * found[f"{prefix}.f_oae"] == pytest.approx(wanted[19 + place], abs=1e-9)
    assert found["frame.auc"] == pytest.approx(wanted[0], abs=1e-9)
    assert not [k for k in found if k.startswith("video.fairness")]
    assert card["frame.auc"] == card["metrics"]["frame.auc"]
    assert set(card["metrics"][f"{prefix}.f_eo"]) >= {"value", "lo", "hi", "n"}


def test_a_threshold_fixed_on_val_is_used_and_reported(tmp_path, capsys):
    table = predictions("A_ff_8groups")
    val = table.assign(score=table["score"] * 0.5)
    val.to_csv(tmp_path / "val.csv", index=False)
    card = scored(tmp_path, table, "--threshold val", val=tmp_path / "val.csv")
    at = card["threshold"]["value"]
    assert at < 0.5
    assert card["threshold"]["rule"].startswith("largest TPR - FPR on the videos of")
    expected = reference_metrics(table["label"], table["score"], table["gender"], at)
    assert card["metrics"]["video.fairness.gender.f_fpr_range"]["value"] == pytest.approx(expected["f_fpr_range"])
    half = reference_metrics(table["label"], table["score"], table["gender"], 0.5)
    assert card["metrics"]["frame.fairness_at_half.gender.f_eo"]["value"] == pytest.approx(half["f_eo"])
    assert "--val FILE" in mistake(capsys, "score --threshold val", tmp_path / "p.csv")
    val[val["label"] == 0].to_csv(tmp_path / "val.csv", index=False)
    told = mistake(capsys, "score", tmp_path / "p.csv", val=tmp_path / "val.csv")
    assert "has only one class" in told


def test_unused_columns_and_missing_gaps_are_reported(tmp_path, capsys):
    table = predictions("A_ff_8groups").assign(pose=range(356), race="white")
    card = scored(tmp_path, table)
    assert card["remarks"][:-1] == [
        "race is 'white' in every annotated row (rows 1 to 356): there is no gap to measure",
        "column pose is not used: it has 356 different values; an attribute has at most 20",
    ]
    assert "bench: note: race is 'white'" in capsys.readouterr().err
    assert card["metrics"]["video.fairness.race.f_eo"]["value"] is None


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda t: t.assign(logit=np.where(t.index == 2, np.nan, t["logit"])),
            "a logit that is not a finite number in row 3",
        ),
        (
            lambda t: t.assign(video="one.mp4", frame=range(356), label=1),
            "a gender that differs from the video's other",
        ),
        (
            lambda t: t.assign(label=np.where(t.index == 1, 2, t["label"])),
            "a label other than 0 and 1 in row 2",
        ),
        (lambda t: t.iloc[:0], "has no rows"),
    ],
)
def test_bad_predictions_are_one_line_errors_with_rows(tmp_path, capsys, spoil, message):
    spoil(predictions("A_ff_8groups")).to_csv(tmp_path / "p.csv", index=False)
    assert message in mistake(capsys, "score", tmp_path / "p.csv")


ANNOTATED = "path,label,male,asian,white,black\n"


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    lines = [f"F/youtube/{i:03d}/1.png,0,{1 if i % 2 else -1},-1,{1 if i < 30 else 0},-1\n" for i in range(40)]
    pairs = [f"{i:03d}_{i + 1:03d}" for i in range(0, 40, 2)] + [f"{i + 1:03d}_{i:03d}" for i in range(0, 40, 2)]
    for method in ("Deepfakes", "FaceSwap"):
        lines += [f"F/{method}/{p}/1.png,1,{1 if int(p[:3]) % 2 else -1},-1,1,-1\n" for p in pairs]
    (tmp_path / "A.csv").write_text(ANNOTATED + "".join(lines))
    return tmp_path / "A.csv"


def test_power_counts_the_split_and_reports_what_it_leaves_out(annotations, tmp_path, capsys):
    (tmp_path / "test.json").write_text(json.dumps([[f"{i:03d}", f"{i + 1:03d}"] for i in range(0, 36, 2)]))
    out = tmp_path / "power.json"
    assert bench("fairness power", annotations=annotations, split=tmp_path / "test.json", json=out) == 0
    found = json.loads(out.read_text())
    assert [(g["group"], g["real"], g["fake"], g["clips"]) for g in found["groups"]] == [
        ("female-white", 15, 36, 18),
        ("male-white", 15, 36, 18),
    ]
    assert [c["group"] for c in found["not_compared"]] == ["female-undefined", "male-undefined"]
    said = capsys.readouterr().out
    assert "not compared: male-undefined (3 real, 0 fake)" in said
    gender = found["attributes"]["gender"]
    assert [(g["group"], g["real"], g["fake"], g["clips"]) for g in gender["groups"]] == [
        ("female", 18, 36, 18),
        ("male", 18, 36, 18),
    ]
    gap = gender["best"]["one pair"]["fpr_gap"]
    assert gap == smallest_gap(18, 0.1, 18, 0.8) < found["best"]["one pair"]["fpr_gap"]
    line = (
        f"gender alone, real videos (fakes' clips): female 18 (18), male 18 (18); smallest gap: one pair FPR +{gap:.2f}"
    )
    assert line in said
    assert found["attributes"]["race"]["best"] == {}
    assert "race alone, real videos (fakes' clips): white 30 (36); smallest gap: nothing to compare" in said
    assert found["notes"] == []


def test_power_names_listed_videos_missing_from_the_table(annotations, tmp_path, capsys):
    pairs = [[f"{i:03d}", f"{i + 1:03d}"] for i in range(0, 36, 2)]
    (tmp_path / "more.json").write_text(json.dumps([*pairs, ["990001", "990002"], ["990003", "990004"]]))
    given = {"annotations": annotations, "split": tmp_path / "more.json"}
    assert bench("fairness power", **given, json=tmp_path / "o.json") == 0
    note = f"{annotations} lacks 8 videos named in {tmp_path / 'more.json'}: 990001 is the first"
    assert f"note: {note}" in capsys.readouterr().out
    assert json.loads((tmp_path / "o.json").read_text())["notes"] == [note]


def test_age_is_an_attribute_but_not_part_of_the_intersection(tmp_path, capsys):
    lines = [f"F/youtube/{i}/1.png,0,{-1 if i % 2 else 1},{-1 if i % 3 else 1},-1,0,-1,1,-1" for i in range(30)]
    header = "path,label,male,young,middle_aged,senior,asian,white,black"
    (tmp_path / "A.csv").write_text("\n".join([header, *lines]) + "\n")
    assert bench("fairness power", annotations=tmp_path / "A.csv", json=tmp_path / "o.json") == 0
    found = json.loads((tmp_path / "o.json").read_text())
    assert [(g["group"], g["real"]) for g in found["groups"]] == [("female-white", 15), ("male-white", 15)]
    age = found["attributes"]["age"]
    assert [(g["group"], g["real"]) for g in age["groups"] + age["not_compared"]] == [("young", 10), ("undefined", 20)]
    assert bench("fairness videos", tmp_path / "A.csv", out=tmp_path / "v.csv") == 0
    assert pd.read_csv(tmp_path / "v.csv")["age"].tolist() == ["young", "undefined", "undefined"] * 10


@pytest.mark.parametrize(
    ("attributes", "group"),
    [
        (["age", "gender", "race"], "male-white"),
        (["age", "gender", "skin_tone"], "male-undefined"),
        (["age", "gender"], "young-male"),
        (["age"], "young"),
    ],
)
def test_a_datasets_groups_match_the_intersection_in_scores(attributes, group):
    one = pd.DataFrame([{"age": "young", "gender": "male", "race": "white", "skin_tone": ""}])
    assert _assign_groups(one[attributes], attributes)["group"].tolist() == [group]


def test_power_of_a_list_of_videos_and_of_all(annotations, tmp_path, capsys):
    (tmp_path / "list.txt").write_text("".join(f"1 youtube/{i:03d}.mp4\n" for i in range(12)))
    for split, reals in (({}, 15), ({"split": tmp_path / "list.txt"}, 6)):
        assert bench("fairness power", **split, annotations=annotations, json=tmp_path / "o.json") == 0
        assert json.loads((tmp_path / "o.json").read_text())["groups"][0]["real"] == reals


def test_power_of_a_dataset_with_groups(tiny_world, tmp_path, capsys):
    given = {"data": tiny_world, "json": tmp_path / "o.json"}
    assert bench("fairness power --test ff++", **given) == 0
    found = json.loads((tmp_path / "o.json").read_text())
    assert all(g["real"] > 0 and "-" in g["group"] for g in found["groups"])
    assert "is too small: ff++ test can't show any gap between groups. In --data demo:fair" in mistake(
        capsys, "fairness power --test ff++ --split test", **given
    )
    assert "no split 'tests'; it has test, train, val" in mistake(
        capsys, "fairness power --test ff++ --split tests", **given
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "give either --annotations FILE or --dataset NAME"),
        ("--annotations nowhere.csv", "no annotation table nowhere.csv"),
        ("--annotations A.csv --split nowhere.json", "nowhere.json can't be read as a split"),
        ("--annotations A.csv --split other.json", "no video of A.csv is in other.json"),
        ("--annotations A.csv --split one.txt", "fewer than two groups have real videos"),
    ],
)
def test_power_mistakes_are_one_line_errors(annotations, capsys, monkeypatch, options, message):
    monkeypatch.chdir(annotations.parent)
    Path("other.json").write_text('[["900", "901"]]')
    Path("one.txt").write_text("1 youtube/000.mp4\n")
    assert message in mistake(capsys, f"fairness power {options}")


def test_videos_are_derived_and_contradictions_reported(annotations, tmp_path, capsys):
    with annotations.open("a") as file:
        file.write("F/youtube/000/2.png,0,1,-1,1,-1\n")
    assert bench("fairness videos", annotations, out=tmp_path / "v.csv") == 1
    assert "contradiction: F/youtube/000: gender is female, but male in row 122" in capsys.readouterr().out
    videos = pd.read_csv(tmp_path / "v.csv", keep_default_na=False)
    assert len(videos) == 120
    assert videos.loc[videos["video"] == "F/youtube/000", "gender"].item() == ""


def test_exported_csvs_read_back_with_their_images(tiny_world, tmp_path, capsys):
    out = tmp_path / "theirs"
    assert bench("fairness export ff++ --limit 2 --size 32 --workers 0", data=tiny_world, out=out) == 0
    lists = {name: read_frames(out / f"{name}.csv") for name in ("faketrain", "realtrain", "test")}
    assert set(lists["faketrain"]["label"]) == {1}
    assert set(lists["realtrain"]["method"]) == {"real"}
    assert set(lists["test"]["label"]) == {0, 1}
    assert "method" not in lists["test"]
    header = "img_path,label,ismale,isasian,iswhite,isblack,intersec_label"  # Their code reads columns by position.
    assert (out / "test.csv").read_text().splitlines()[0] == header
    assert all(Path(p).is_file() for p in lists["test"]["path"])
    pairs = pd.read_csv(out / "trainpairs.csv")
    assert pairs["fake_path"].tolist() == lists["faketrain"]["path"].tolist()
    assert set(pairs["real_path"]) <= set(lists["realtrain"]["path"])
    assert f"faketrain.csv {len(pairs)} frames" in capsys.readouterr().out


def test_datasets_annotated_without_asian_are_exported_in_six_groups(tiny_world, tmp_path):
    out = tmp_path / "theirs"
    assert bench("fairness export celebdf --limit 2 --size 32 --workers 0", data=tiny_world, out=out) == 0
    assert (out / "test.csv").read_text().splitlines()[0] == "img_path,label,ismale,iswhite,isblack,intersec_label"


@pytest.mark.skipif("BENCH_TEST_DATA" not in os.environ, reason="BENCH_TEST_DATA names no folder with the tables")
def test_the_figures_of_the_page_on_power(tmp_path):
    given = Path(os.environ["BENCH_TEST_DATA"])
    with zipfile.ZipFile(given / "A-FF++.zip") as archive:
        archive.extract("A-FF++.csv", tmp_path)
    asked = {"annotations": tmp_path / "A-FF++.csv", "split": given / "ffpp_splits" / "test.json"}
    assert bench("fairness power", **asked, json=tmp_path / "o.json") == 0
    found = json.loads((tmp_path / "o.json").read_text())
    assert [(g["real"], g["fake"], g["clips"]) for g in found["groups"][:3]] == [
        (45, 219, 66),
        (40, 199, 54),
        (7, 29, 18),
    ]
    assert sum(g["real"] for g in found["groups"] + found["not_compared"]) == 140
    assert sum(g["fake"] for g in found["groups"] + found["not_compared"]) == 700
    assert [round(found["best"][k]["fpr_gap"], 2) for k in ("one pair", "any pair")] == [0.26, 0.36]
    assert [round(found["best"][k]["auc_gap"], 2) for k in ("one pair", "any pair")] == [0.16, 0.24]
    assert round(found["chance"]["f_fpr_range"][0], 2) == 0.37
    gender = found["attributes"]["gender"]
    assert [(g["group"], g["real"], g["clips"]) for g in gender["groups"]] == [("female", 78, 81), ("male", 60, 63)]
    assert gender["best"]["one pair"]["fpr_gap"] == 0.188
    assert [(g["group"], g["real"]) for g in found["attributes"]["age"]["groups"]] == [
        ("young", 48),
        ("middle_aged", 10),
        ("senior", 8),
    ]
