"""Score tables of any origin: what is read, what is reported, and which rows belong to the same video."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import bench, read_mistake
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.predictions import PredictionsMetadata, read_score_table, write_predictions
from crossfake.benchmark.core.score_tables import NO_FRAMES, OURS, TableForm, conform_table, parse_labels
from crossfake.benchmark.core.types import Estimate
from crossfake.benchmark.stats.operating_points import score_predictions
from crossfake.benchmark.stats.scoring import check_predictions, pool_frames
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st


def base(videos: int = 12, frames: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    rows = [(f"v{v:02d}", f, v % 2, rng.uniform(0, 0.6) + 0.3 * (v % 2)) for v in range(videos) for f in range(frames)]
    return pd.DataFrame(rows, columns=["video", "frame", "label", "score"])


def measure(table: pd.DataFrame | Path, form: TableForm = OURS) -> tuple[dict[str, Estimate], list[str]]:
    card = score_predictions(table, draws=20, form=form)
    return card.metrics, [r for r in card.remarks if "not probabilities" not in r and "no people are named" not in r]


def of_methods() -> pd.DataFrame:
    """Real videos, and fakes of two methods that share their ids."""
    rng = np.random.default_rng(5)
    rows = [(f"{k:03d}", f, 0, "real", rng.uniform(0, 0.6)) for k in range(8) for f in range(3)]
    for place, method in enumerate(("swap", "lips")):
        low = 0.4 - 0.3 * place
        rows += [(f"{k:03d}_x", 3 * place + f, 1, method, rng.uniform(low, 0.8)) for k in range(8) for f in range(3)]
    return pd.DataFrame(rows, columns=["video", "frame", "label", "method", "score"])


def test_fakes_of_the_same_name_by_several_methods_are_separate_videos():
    table = of_methods()
    apart = table.assign(video=table["video"].where(table["label"] == 0, table["method"] + "/" + table["video"]))
    expected, silent = measure(apart)
    found, told = measure(table)
    assert (found, silent) == (expected, [])
    assert told == ["8 ids are shared by 16 videos of different method: taken as swap/000_x ..."]


def test_frames_may_have_the_same_numbers_in_videos_of_several_methods_or_datasets():
    table = of_methods()
    again = table.assign(frame=table.groupby(["video", "method"]).cumcount())
    assert conform_table(again, OURS, "t").table["video"].nunique() == 24
    both = pd.concat([base().assign(dataset=name) for name in ("one", "two")])
    found = conform_table(both, OURS, "t")
    assert found.table["video"].nunique() == 24
    assert found.remarks == ["12 ids are shared by 24 videos of different dataset: taken as one/v00 ..."]


def test_tables_without_collisions_stay_unchanged():
    table = base().assign(video=["./" + v for v in base()["video"]], method="x", dataset="y", identity="z")
    found = conform_table(table, OURS, "t")
    pd.testing.assert_frame_equal(found.table, table)
    assert found.remarks == []


def test_reals_repeated_for_each_method_are_not_new_videos():
    table = pd.concat([base().assign(method=m).query("label == 0 or method == 'a'") for m in "ab"])
    table = pd.concat([table, base().query("label == 1").assign(method="b")])
    found = conform_table(table, OURS, "t").table
    assert found["video"].nunique() == 18
    with pytest.raises(BenchError, match="a duplicate frame"):
        check_predictions(found, "t")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": ["m", "", "m"] * 12}, "t: a method that the video's other frames have is missing in rows 5, 11"),
        ({"dataset": ["m", None, "m"] * 12}, "t: a dataset that the video's other frames have is missing in rows 2, 5"),
    ],
)
def test_a_method_or_dataset_missing_from_some_frames_is_refused(change, message):
    with pytest.raises(BenchError, match=message):
        conform_table(base().assign(**change), OURS, "t")


def test_people_and_methods_that_differ_within_a_video_are_refused():
    for article, column in (("an", "identity"), ("a", "method"), ("a", "dataset")):
        table = base().assign(**{column: ["a", "a", "b"] * 12})
        with pytest.raises(BenchError, match=f"t: {article} {column} that differs from the video's other frames"):
            check_predictions(table, "t")


def test_an_id_of_one_video_and_the_method_of_another_are_refused():
    table = pd.concat([of_methods(), base(2).assign(video="swap/000_x", label=0, method="").head(1)])
    with pytest.raises(BenchError, match="swap/000_x is the id of one video"):
        conform_table(table, OURS, "t")


@pytest.mark.parametrize("spell", ["{} ", " {}", "./{}", "{}/", ".\\{}", "{}\t", ".//{}", "./x/../{}"])
def test_ids_of_the_same_path_are_one_video_and_reported(spell):
    table = base()
    spelled = table.assign(
        video=[spell.format(v) if f % 2 else v for v, f in zip(table.video, table.frame, strict=True)]
    )
    expected, _ = measure(table)
    found, told = measure(spelled)
    assert found == expected
    (remark,) = told
    assert remark.startswith("12 videos are spelled in several ways, such as 'v00' and ")


def test_compared_tables_are_read_alike_and_this_is_reported(tmp_path, capsys):
    table = base(40)
    table.to_csv(tmp_path / "a.csv", index=False)
    table.assign(video=[f"./{v}" if f else v for v, f in zip(table.video, table.frame, strict=True)]).to_csv(
        tmp_path / "b.csv", index=False
    )
    assert bench("compare --draws 20", tmp_path / "a.csv", tmp_path / "b.csv") == 0
    assert "40 videos are spelled in several ways" in capsys.readouterr().err


@pytest.mark.parametrize(("one", "other"), [("a", "A"), ("a b", "ab"), ("a", "a\u200b"), ("ﬁ", "fi")])
def test_ids_that_look_alike_are_different_videos_and_reported(one, other):
    table = base().replace({"video": {"v00": one, "v01": other}})
    found = conform_table(table, OURS, "t")
    assert found.table["video"].nunique() == 12
    (remark,) = found.remarks
    assert "that differ only in case, blanks or invisible characters" in remark


def test_both_encodings_of_an_accent_are_one_video():
    table = base().assign(video=["e\u0301" if f % 2 else "\u00e9" for f in base().frame])
    assert conform_table(table, OURS, "t").table["video"].unique().tolist() == ["\u00e9"]


@pytest.mark.parametrize(
    "labels",
    [
        ("real", "fake"),
        ("REAL", " Fake "),
        ("False", "True"),
        (False, True),
        ("0.0", "1"),
        (0.0, 1.0),
        (b"real", b"FAKE"),
    ],
)
def test_labels_in_any_spelling(labels):
    table = base()
    assert measure(table.assign(label=[labels[v] for v in table.label])) == measure(table)


def test_the_label_that_means_fake_can_be_given():
    table = base()
    flipped = table.assign(label=1 - table["label"])
    assert measure(flipped, TableForm(fake_is="0")) == measure(table)
    named = table.assign(label=["bonafide" if v == 0 else "Spoof" for v in table["label"]])
    assert measure(named, TableForm(fake_is="spoof")) == measure(table)
    with pytest.raises(
        BenchError, match=r"the label 'bonafide', .* in rows 1, 2, 3, 7, 8 and 13 more.*--fake-is LABEL"
    ):
        conform_table(named, OURS, "t")
    with pytest.raises(BenchError, match="--fake-is replay needs a table of that label and one other; found bonafide"):
        conform_table(named, TableForm(fake_is="replay"), "t")
    with pytest.raises(BenchError, match="--fake-is spoof needs"):
        parse_labels(pd.Series(["spoof", "a", "b"]), "spoof")


def test_an_auc_below_one_half_asks_whether_labels_are_flipped(tmp_path, capsys):
    table = base(40)
    table.assign(label=1 - table["label"]).to_csv(tmp_path / "t.csv", index=False)
    assert bench("score --draws 50", tmp_path / "t.csv") == 0
    assert "are the scores or labels flipped? --fake-is 0" in capsys.readouterr().err
    assert bench("score --draws 50 --fake-is 0", tmp_path / "t.csv") == 0
    assert "flipped" not in capsys.readouterr().err


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_tables_in_any_dialect(tmp_path, mark, encoding):
    path = tmp_path / "t.tsv"
    table = base()
    path.write_bytes(table.rename(columns=str.upper).to_csv(index=False, sep=mark).encode(encoding))
    assert measure(path) == measure(table)


def test_decimal_commas_are_read_and_reported(tmp_path):
    path = tmp_path / "t.csv"
    table = base().round(3)
    table.to_csv(path, index=False, sep=";", decimal=",")
    expected, _ = measure(table)
    found, told = measure(path)
    assert found == expected
    assert "is read as a decimal point" in told[0]


def test_a_table_without_frames_has_one_row_per_video(tmp_path):
    table = base().groupby("video", as_index=False).agg(label=("label", "first"), score=("score", "mean"))
    card = score_predictions(table, draws=20)
    assert NO_FRAMES in card.remarks
    assert card.video == score_predictions(base(), draws=20).video
    assert not [name for name in card.metrics if name.startswith("frame")]
    assert (card.counts.videos, card.counts.frames) == (12, 0)
    with pytest.raises(
        BenchError, match=r"each row is a video, but a video is repeated in rows 2, 3, 5.*--columns frame=NAME"
    ):
        score_predictions(base().drop(columns="frame"))
    with pytest.raises(BenchError, match="--level frame: there is no column frame"):
        score_predictions(table, level="frame", draws=0)


def test_columns_of_other_names_can_be_named(tmp_path):
    table = base().rename(columns={"score": "pred", "label": "Target", "video": "path"}).assign(score=0.5)
    form = TableForm({"score": "pred", "label": "target", "video": "path"})
    assert measure(table, form) == measure(base())
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    line = "score --columns score=pred,label=target,video=path --draws 20"
    for name in ("t.csv", "t.parquet"):
        assert measure(tmp_path / name, form) == measure(base())
        assert bench(line, tmp_path / name) == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"score": "prod"}, r"t: no column 'prod'. Did you mean 'pred'\?"),
        ({"scores": "pred"}, r"no column named 'scores'. Did you mean 'score'\?"),
        ({"score": "pred", "logit": "pred"}, "the column pred can't be both score and logit"),
    ],
)
def test_missing_columns_are_reported(columns, message):
    with pytest.raises(BenchError, match=message):
        conform_table(base().assign(pred=0.5), TableForm(columns), "t")


def test_two_columns_of_the_same_name_are_refused():
    for names in (["video", "frame", "label", "score", "score"], ["video", "frame", "label", "SCORE", "Score"]):
        table = base().assign(more=0.1).set_axis(names, axis=1)
        with pytest.raises(BenchError, match="has the column 'score' twice"):
            conform_table(table, OURS, "t")


def test_column_names_on_the_command_line_are_checked(capsys):
    for text in ("score", "score=", "=pred", "score=a,score=b"):
        assert bench("score t.csv", columns=text) == 2
        assert "is not a list such as score=pred,label=target" in capsys.readouterr().err


def test_standard_input_and_output(monkeypatch, capsys):
    content = base().to_csv(index=False).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert bench("score - --json - --draws 20") == 0
    import json

    told = json.loads(capsys.readouterr().out)
    assert told["counts"]["videos"] == 12
    assert bench("score - --val -") == 2
    assert "standard input (-) can hold only one table" in capsys.readouterr().err


def test_parquet_in_place_of_a_csv_is_reported(monkeypatch, tmp_path, capsys):
    base().to_parquet(tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert bench("score -") == 2
    told = read_mistake(capsys)
    assert (
        told == "bench: error: standard input holds a parquet file, not a CSV. Give the path of a file named .parquet"
    )
    (tmp_path / "t.csv").write_bytes(content)
    assert bench("score", tmp_path / "t.csv") == 2
    assert "t.csv holds a parquet file, not a CSV" in read_mistake(capsys)


@pytest.mark.parametrize(
    "column",
    ["fps", "Width", "frame_count", "n_frames", "index", "Unnamed: 0", "fold", "file path", "video_id", "pred", "bbox"],
)
def test_technical_columns_are_not_attributes_and_are_reported(column):
    card = score_predictions(base().assign(**{column: [v % 2 for v in base().index // 6]}), draws=0)
    assert card.groups == {}
    assert any(f"column {column} is not used" in remark for remark in card.remarks)


METADATA = [
    b"{",
    b"[]",
    b"5",
    b"\xff\xfe\xfa",
    b'{"dropped":5}',
    b'{"dropped":[{"video":1}]}',
    b"",
    b'{"official":"x"}',
]


@pytest.mark.parametrize("content", METADATA)
def test_metadata_of_another_shape_is_a_one_line_error(tmp_path, content, capsys):
    path = tmp_path / "p.parquet"
    packed = pa.Table.from_pandas(base()).replace_schema_metadata({b"crossfake": content})
    pq.write_table(packed, path)
    assert bench("score", path) == 2
    told = capsys.readouterr().err
    assert str(path) in told
    assert told.count("\n") == 1


def test_pandas_metadata_of_a_parquet_may_be_anything(tmp_path):
    path = tmp_path / "p.parquet"
    for content in (b"{", b"[]", b'{"columns": 5}'):
        pq.write_table(pa.Table.from_pandas(base()).replace_schema_metadata({b"pandas": content}), path)
        assert measure(path) == measure(base())


@pytest.mark.parametrize("column", ["method", "gender", "identity", "dataset", "video", "label", "score"])
def test_columns_half_null_and_half_lists_are_reported(tmp_path, column, capsys):
    path = tmp_path / "p.parquet"
    values = [None] * 18 + [["x"]] * 18
    packed = pa.Table.from_pandas(base().drop(columns=column, errors="ignore")).append_column(column, [values])
    for metadata in ({b"crossfake": b"{}"}, {}):
        pq.write_table(packed.replace_schema_metadata(metadata), path)
        code = bench("score --draws 1", path)
        told = capsys.readouterr().err
        assert f"has lists in its column {column}" in told if code else f"column {column} is not used: it holds" in told
        assert code == (0 if column == "gender" else 2)


def test_extension_types_are_plain_columns():
    table = base().assign(method=["a", "b"] * 18).sort_values("video")
    table["method"] = table["label"].map({0: "", 1: "m"})
    other = table.astype(
        {"label": "Int64", "score": "Float64", "frame": "Int8", "method": "category", "video": "object"}
    )
    assert measure(other) == measure(table)
    assert measure(table.astype({"label": np.float16})) == measure(table)
    assert measure(table.astype({"video": "category", "label": "boolean"})) == measure(table)


def test_our_own_predictions_are_read_as_written(tmp_path):
    table = base().assign(video=[f"./v{i}" if i % 2 else f"v{i - i % 2 + 1}" for i in range(36)])
    write_predictions(tmp_path / "p.parquet", table, PredictionsMetadata())
    found, _ = read_score_table(tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(found.table, table)


def pool_or_refuse(path: Path) -> pd.DataFrame | None:
    """Return the videos of a file, or None if it is rejected with a one-line error that names it."""
    try:
        found, _ = read_score_table(path)
        check_predictions(found.table, str(path))
        return pool_frames(found.table)
    except BenchError as error:
        refused = str(error)
    assert "\n" not in refused
    assert path.name in refused
    return None


ids = st.sampled_from(["a", "a ", "./a", "A", "b", "b\\c", "b/c", "", "NA", "1", "01", "é"])
words = st.one_of(st.none(), st.sampled_from(["", "m", "n", "M", "real", "1", "nan"]), st.floats(), st.integers(0, 2))
rows = st.lists(
    st.tuples(ids, st.integers(0, 3), st.sampled_from(["0", "1", "real", "FAKE", 1.0, None, "x"]), words, words, words),
    max_size=12,
)
SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@settings(suppress_health_check=SLOW, phases=[Phase.generate])
@given(rows, st.sampled_from([",", ";", "\t"]), st.booleans())
def test_any_table_is_scored_or_refused_with_one_line(tmp_path, content, mark, binary):
    names = ["video", "frame", "label", "score", "method", "dataset"]
    table = pd.DataFrame(content, columns=names)
    path = tmp_path / ("t.parquet" if binary else "t.csv")
    texts = table.astype(str) if binary else table
    texts.to_parquet(path) if binary else path.write_text(texts.to_csv(index=False, sep=mark))
    videos = pool_or_refuse(path)
    assert videos is None or (0 < len(videos) <= len(table) and videos["video"].is_unique)


@settings(suppress_health_check=SLOW, phases=[Phase.generate])
@given(st.binary(max_size=200) | st.text(alphabet="video,frlabscoe01.\n;\t\"' é", max_size=200).map(str.encode))
def test_any_bytes_are_a_table_or_refused_with_one_line(tmp_path, content):
    for name in ("t.csv", "t.parquet"):
        (tmp_path / name).write_bytes(content)
        pool_or_refuse(tmp_path / name)


@settings(max_examples=20, deadline=None, phases=[Phase.generate])
@given(st.permutations(range(36)), st.sampled_from(["{}", "{} ", "./{}"]))
def test_neither_row_order_nor_spelling_changes_a_number(order, spell):
    table = base()
    spelled = table.assign(video=[spell.format(v) if f else v for v, f in zip(table.video, table.frame, strict=True)])
    found, expected = (pool_frames(conform_table(t, OURS, "t").table) for t in (spelled.iloc[list(order)], table))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
