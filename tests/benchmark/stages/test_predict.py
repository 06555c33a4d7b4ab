"""Predictions: each face of each readable video once, dropped videos listed by name, and complete files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from crossfake.benchmark.core.cell_description import CellDescription
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.predictions import (
    PartialPredictions,
    PredictionsMetadata,
    has_predictions,
    read_predictions,
    write_predictions,
)
from crossfake.benchmark.core.workers import IN_PROCESS
from crossfake.benchmark.stages.predict import predict
from crossfake.benchmark.stats.scoring import compute_scorecard, make_scorecard
from crossfake.detectors.common.crops import BoxCrop

CONTENT = {
    "real/a.mp4": [0, 9],
    "fake/a.mp4": [3, 6, 9],
    "real/b.mp4": "no_face",
    "real/c.mp4": "unreadable",
    "fake/d.mp4": [5],
}


def whole(face):
    return face.crop


class Told:
    """The score is the video number (red) plus the frame (green) of the crop, in thousandths; records batch sizes."""

    def __init__(self):
        self.sizes: list[int] = []

    def score(self, frames):
        assert frames.dtype == np.uint8
        self.sizes.append(len(frames))
        return frames[:, 0, 0, 0] / 10 + frames[:, 0, 0, 1] / 1000


@pytest.fixture
def videos(make_video):
    return [make_video(v, "test") for v in (*CONTENT, "real/never.mp4")]


def test_every_face_gets_its_own_score_and_the_facts_of_its_video(memory_store, make_video):
    videos = [
        make_video("fake/a.mp4", method="Swap", identities=("x", "y"), groups={"gender": "male"}),
        make_video("real/a.mp4", identities=("x",), groups={"gender": "female"}),
    ]
    table, metadata = predict(Told(), whole, memory_store(CONTENT), videos, batch_size=2)
    assert table.columns.tolist() == ["video", "frame", "label", "method", "identity", "gender", "score"]
    rows = [tuple(row) for row in table.drop(columns="score").itertuples(index=False)]
    assert rows == [("fake/a.mp4", f, 1, "Swap", "x+y", "male") for f in (3, 6, 9)] + [
        ("real/a.mp4", f, 0, "real", "x", "female") for f in (0, 9)
    ]
    assert table["score"].tolist() == pytest.approx([0.103, 0.106, 0.109, 0.0, 0.009])
    assert table["score"].dtype == np.float32
    assert (metadata.official, metadata.scored, metadata.dropped) == (2, 2, [])
    assert metadata.throughput.images == 5


def test_coverage_names_what_was_dropped_and_why(memory_store, videos):
    table, metadata = predict(Told(), whole, memory_store(CONTENT), videos)
    assert (metadata.official, metadata.scored) == (6, 3)
    assert [d.to_json() for d in metadata.dropped] == [
        {"video": "real/b.mp4", "reason": "no_face: as told", "label": 0, "method": "real"},
        {"video": "real/c.mp4", "reason": "unreadable: as told", "label": 0, "method": "real"},
        {"video": "real/never.mp4", "reason": "not prepared", "label": 0, "method": "real"},
    ]
    assert set(table["video"]) == {"real/a.mp4", "fake/a.mp4", "fake/d.mp4"}


def test_videos_with_several_people_are_counted(memory_store, videos, monkeypatch):
    store = memory_store(CONTENT)
    told = {v: replace(o, several=2 * (v == "real/a.mp4")) for v, o in store.outcomes().items()}
    monkeypatch.setattr(store, "outcomes", lambda: told)
    assert predict(Told(), whole, store, videos)[1].several_people == 1


def test_the_highest_scoring_person_gives_the_video_score_if_requested(memory_store, make_video):
    content = {"real/a.mp4": [0, 4], "real/a.mp4//2": [1, 4, 7], "real/a.mp4//3": [4], "fake/a.mp4": [2]}
    videos = [make_video("real/a.mp4"), make_video("fake/a.mp4")]
    table, metadata = predict(Told(), whole, memory_store(content), videos, people="max")
    assert table[["video", "frame", "person"]].values.tolist() == [["fake/a.mp4", 2, 1], ["real/a.mp4", 4, 3]]
    assert (metadata.official, metadata.scored) == (2, 2)
    main, _ = predict(Told(), whole, memory_store(content), videos)
    assert main["frame"].tolist() == [2, 0, 4]
    assert "person" not in main


def test_the_highest_face_of_each_frame_counts_if_requested(memory_store, make_video, monkeypatch):
    content = {"real/a.mp4": [0, 4], "real/a.mp4//2": [0, 4, 7], "fake/a.mp4": [2]}
    videos = [make_video("real/a.mp4"), make_video("fake/a.mp4")]
    sides = {
        "real/a.mp4": [0.4, 0.4],
        "real/a.mp4//2": [0.3, 0.2, 0.1],
        "fake/a.mp4": [0.1],
    }  # .2 squared is a quarter.

    class Sized(memory_store):
        def get_relative_boxes(self, video_id: str) -> np.ndarray:
            return np.array([[0.5, 0.5, 0.5 + side, 0.5 + side] for side in sides[video_id]])

    table, metadata = predict(Told(), whole, Sized(content), videos, people="frame-max")
    everybody, _ = predict(Told(), whole, memory_store(content), videos, people="all")
    score = everybody.set_index(["video", "frame", "person"])["score"]
    first = max((1, 2), key=lambda person: score["real/a.mp4", 0, person])
    assert table[["video", "frame", "person"]].values.tolist() == [
        ["fake/a.mp4", 2, 1], ["real/a.mp4", 0, first], ["real/a.mp4", 4, 1], ["real/a.mp4", 7, 2],
    ]  # fmt: skip
    assert table["score"].tolist() == [score[tuple(row)] for row in table[["video", "frame", "person"]].values]
    assert (metadata.scored, metadata.people) == (2, "")


def test_everybody_has_rows_but_metrics_count_only_the_main_person(memory_store, make_video, tmp_path):
    content = {"real/a.mp4": [0, 4], "real/a.mp4//2": [1, 4, 7], "fake/a.mp4": [2]}
    videos = [make_video("real/a.mp4"), make_video("fake/a.mp4")]
    table, metadata = predict(Told(), whole, memory_store(content), videos, people="all")
    rows = [["fake/a.mp4", 1, 2], *(["real/a.mp4", *row] for row in ([1, 0], [1, 4], [2, 1], [2, 4], [2, 7]))]
    assert table[["video", "person", "frame"]].values.tolist() == rows
    write_predictions(tmp_path / "all.parquet", table, metadata)
    assert pd.read_parquet(tmp_path / "all.parquet").equals(table)
    main, known = predict(Told(), whole, memory_store(content), videos)
    assert read_predictions(tmp_path / "all.parquet")[0].equals(main)
    assert (metadata.people, known.people) == ("all", "")


@pytest.mark.parametrize(("size", "sizes"), [(1, [1] * 6), (4, [4, 2]), (5, [5, 1]), (6, [6]), (99, [6])])
def test_batches_span_videos_and_change_nothing(memory_store, videos, size, sizes):
    detector, store = Told(), memory_store(CONTENT)
    ticks: list[tuple[int, int]] = []
    table, _ = predict(detector, whole, store, videos, batch_size=size, tick=lambda *t: ticks.append(t))
    assert detector.sizes == sizes
    assert ticks == [(int(done), 6) for done in np.cumsum(sizes)]
    assert table.equals(predict(Told(), whole, store, videos)[0])


def test_worker_processes_change_nothing(real_store, make_video, two_workers):
    content = {v: c for v, c in CONTENT.items() if not isinstance(c, str)}
    store, videos = real_store(content), [make_video(v) for v in content]
    here, there = (predict(Told(), BoxCrop(8), store, videos, pool=p)[0] for p in (IN_PROCESS, two_workers))
    assert len(here) == 6
    assert there.equals(here)


class Killed(Told):
    """Scores some batches, and is killed."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def score(self, frames):
        if len(self.sizes) == self.after:
            raise KeyboardInterrupt
        return super().score(frames)


@pytest.fixture
def kept_at_once(monkeypatch):
    monkeypatch.setattr("crossfake.benchmark.core.predictions.KEEP_EVERY", 0.0)


@pytest.mark.parametrize("after", range(6))
@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_killed_scoring_resumes_to_the_same_result(memory_store, videos, tmp_path, kept_at_once, after, size):
    store, path = memory_store(CONTENT), tmp_path / "predictions.parquet"
    after = min(after, -(-6 // size) - 1)  # batches
    first, second, ticks = Killed(after), Told(), []
    with pytest.raises(KeyboardInterrupt):
        predict(first, whole, store, videos, batch_size=size, partial_predictions=PartialPredictions(path))
    again = PartialPredictions(path)
    table, metadata = predict(
        second, whole, store, videos, batch_size=size, tick=lambda *t: ticks.append(t), partial_predictions=again
    )
    assert sum(second.sizes) == 6 - after * size == metadata.throughput.images
    assert ticks[0] == (min(6, (after + 1) * size), 6)
    assert table.equals(predict(Told(), whole, store, videos)[0])
    again.finish(table, metadata)
    assert {p.name for p in tmp_path.iterdir()} == {"predictions.local.json", path.name}
    written, known = path.read_bytes(), read_predictions(path)[1]
    assert known.throughput == metadata.throughput
    PartialPredictions(path).finish(*predict(Told(), whole, store, videos, batch_size=size))
    assert path.read_bytes() == written
    assert read_predictions(path)[1].throughput != known.throughput


def test_scores_of_other_frames_or_another_detector_are_not_reused(memory_store, videos, tmp_path, kept_at_once):
    path = tmp_path / "predictions.parquet"
    with pytest.raises(KeyboardInterrupt):
        predict(
            Killed(2),
            whole,
            memory_store(CONTENT),
            videos,
            batch_size=2,
            partial_predictions=PartialPredictions(path, "a"),
        )
    for content, made_by, begun in [
        (CONTENT, "a", 4),
        (CONTENT, "b", 0),
        (CONTENT | {"real/a.mp4": [0, 8]}, "a", 0),
    ]:
        detector, store = Told(), memory_store(content)
        table, _ = predict(detector, whole, store, videos, partial_predictions=PartialPredictions(path, made_by))
        assert sum(detector.sizes) == 6 - begun
        assert table.equals(predict(Told(), whole, store, videos)[0])


@pytest.mark.parametrize("score", [np.nan, np.inf, "a", None])
def test_unfinished_scores_that_are_not_numbers_are_not_reused(memory_store, videos, tmp_path, score):
    expected, _ = predict(Told(), whole, memory_store(CONTENT), videos)
    partial = PartialPredictions(tmp_path / "predictions.parquet")
    write_predictions(partial.path, expected.head(2).assign(score=score), PredictionsMetadata())
    assert partial.read_scores(expected).tolist() == []


DAMAGED = {
    "cut": lambda whole: whole[: len(whole) // 2],
    "empty": lambda whole: b"",
    "zeros": lambda whole: bytes(len(whole)),
    "damaged inside": lambda whole: whole[:4] + b"\xff" * 300 + whole[304:],
    "no metadata at its end": lambda whole: whole[:-200] + bytes(192) + whole[-8:],
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_predictions_are_reported_and_count_as_missing(memory_store, videos, tmp_path, kind):
    table, metadata = predict(Told(), whole, memory_store(CONTENT), videos)
    path, said = tmp_path / "predictions.parquet", []
    assert not has_predictions(path, said.append)
    write_predictions(path, table, metadata)
    assert has_predictions(path, said.append)
    path.write_bytes(DAMAGED[kind](path.read_bytes()))
    assert said == []
    assert not has_predictions(path, said.append)
    assert said[0].startswith(str(path))
    assert said[0].endswith(": recomputed")
    assert "\n" not in said[0]
    write_predictions(path, table.drop(columns="score"), metadata)
    assert not has_predictions(path, said.append)
    assert said[1:] == [f"{path} has no column score: recomputed"]


def test_damaged_unfinished_predictions_are_reported_and_remade(memory_store, videos, tmp_path, capsys):
    partial = PartialPredictions(tmp_path / "predictions.parquet")
    partial.path.write_bytes(b"junk")
    table, _ = predict(Told(), whole, memory_store(CONTENT), videos, partial_predictions=partial)
    assert len(table) == 6
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(str(partial.path))
    assert line.endswith(": scoring starts over")


def test_a_short_scoring_writes_nothing_twice(memory_store, videos, tmp_path):
    predict(
        Told(),
        whole,
        memory_store(CONTENT),
        videos,
        batch_size=1,
        partial_predictions=PartialPredictions(tmp_path / "p.parquet"),
    )
    assert list(tmp_path.iterdir()) == []


def test_the_speed_excludes_the_first_batch(memory_store, videos):
    one = predict(Told(), whole, memory_store(CONTENT), videos, batch_size=6)[1].throughput
    assert one.score_images_per_s is None
    assert one.pipeline_images_per_s > 0
    assert predict(Told(), whole, memory_store(CONTENT), videos, batch_size=2)[1].throughput.score_images_per_s > 0


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda n: np.zeros((n, 2)), r"gave shape \(6, 2\) for 6 images; expected one finite number per image"),
        (lambda n: np.zeros(n - 1), r"gave shape \(5,\) for 6 images; expected"),
        (lambda n: np.where(np.arange(n) == 2, np.nan, 0), r"gave shape \(6,\) for 6 images, with NaN or infinity"),
        (lambda n: np.where(np.arange(n) == 2, np.inf, 0), r"gave shape \(6,\) for 6 images, with NaN or infinity"),
        (lambda n: np.float32(0.5), r"gave shape \(\) for 6 images"),
    ],
)
def test_scores_that_are_not_one_finite_number_an_image_are_refused(memory_store, videos, answer, message):
    class Wrong:
        def score(self, frames):
            return answer(len(frames))

    with pytest.raises(BenchError, match=r"^Wrong\.score " + message):
        predict(Wrong(), whole, memory_store(CONTENT), videos)


def test_nothing_to_score_says_what_is_wrong_with_the_first_video(memory_store, make_video):
    store = memory_store({"real/b.mp4": "no_face"})
    with pytest.raises(BenchError, match=r"none of 2 videos could be read and has a face; .*b\.mp4 \(as told\)"):
        predict(Told(), whole, store, [make_video("real/b.mp4"), make_video("real/x.mp4")])
    with pytest.raises(BenchError, match="not prepared"):
        predict(Told(), whole, store, [make_video("real/x.mp4")])


def test_predictions_come_back_with_their_facts(memory_store, videos, tmp_path):
    table, metadata = predict(Told(), whole, memory_store(CONTENT), videos)
    path = tmp_path / "deep" / "predictions.parquet"
    metadata = metadata.merge(PredictionsMetadata(cell=CellDescription(test="ff++", seed=3)))
    write_predictions(path, table, metadata)
    again, told = read_predictions(path)
    pd.testing.assert_frame_equal(again, table)
    assert told == metadata
    assert told.to_json()["cell"] == {"test": "ff++", "seed": 3}
    assert [p.name for p in path.parent.iterdir()] == ["predictions.parquet"]


def test_half_annotated_videos_survive_the_file_and_are_scored(memory_store, make_video, tmp_path):
    content = {f"{kind}/{i}.mp4": [0, 1] for kind in ("real", "fake") for i in range(8)}
    videos = [make_video(v, groups={} if v.endswith("7.mp4") else {"gender": "male", "race": "white"}) for v in content]
    path = tmp_path / "p.parquet"
    write_predictions(path, *predict(Told(), whole, memory_store(content), videos))
    card = compute_scorecard(read_predictions(path)[0], threshold=None, draws=0)
    assert {g: (c.video.n_real, c.video.n_fake) for g, c in card.groups["gender"].items()} == {"male": (7, 7)}
    assert list(card.groups["intersection"]) == ["male-white"]


def test_predictions_name_the_attributes_and_older_ones_are_read_as_before(memory_store, make_video, tmp_path):
    content = {f"{kind}/{i}.mp4": [0, 1] for kind in ("real", "fake") for i in range(8)}
    groups = [{"gender": g, "race": "white", "path": "p"} for g in ("male", "female")]
    videos = [make_video(v, groups=groups[i % 2]) for i, v in enumerate(content)]
    table, metadata = predict(Told(), whole, memory_store(content), videos)
    assert metadata.attributes == ["gender", "race"]  # A path isn't an attribute.
    write_predictions(tmp_path / "new.parquet", table, metadata)
    write_predictions(tmp_path / "old.parquet", table, metadata.without({"attributes"}))
    new, old = (read_predictions(tmp_path / name)[0] for name in ("new.parquet", "old.parquet"))
    assert (new.attrs, old.attrs) == ({"attributes": ["gender", "race"]}, {})
    cards = [compute_scorecard(t, threshold=0.5, draws=50) for t in (new, old)]
    assert cards[0] == cards[1]
    assert list(cards[0].groups) == ["gender", "race", "intersection"]
    write_predictions(
        tmp_path / "new.parquet", new.assign(site="a"), PredictionsMetadata()
    )  # It is a user's own table now.
    assert read_predictions(tmp_path / "new.parquet")[0].attrs == {}


def test_a_table_from_elsewhere_has_no_facts(tmp_path):
    table = pd.DataFrame({"video": ["a"], "frame": [0], "label": [1], "score": [0.5]})
    for name, write in (("a.csv", table.to_csv), ("a.parquet", table.to_parquet)):
        write(tmp_path / name, index=False)
        again, metadata = read_predictions(tmp_path / name)
        assert metadata.to_json() == {}
        assert again.equals(table)


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.parquet", b""), ("b.parquet", b"PAR1 nonsense"), ("c.csv", b""), ("d.csv", b"\xff\xfe\x00"), ("e.csv", b'"a')],
)
def test_unreadable_files_are_a_one_line_error(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BenchError, match=r"can't be read as a table|is empty|begins as UTF-16") as error:
        read_predictions(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(BenchError, match="no predictions"):
        read_predictions(tmp_path / "none.csv")


def test_compiling_is_announced_and_excluded_from_the_speed(memory_store, videos):
    class Compiling(Told):
        compile_seconds = 5.0  # From an earlier compilation.

        def score(self, frames):
            self.compile_seconds = 5.0 + 1000.0
            return super().score(frames)

    speed = predict(Compiling(), whole, memory_store(CONTENT), videos)[1].throughput
    assert speed.compile_s == 1000
    assert speed.pipeline_images_per_s < 0  # Almost no time passed, minus a thousand seconds.
    assert predict(Told(), whole, memory_store(CONTENT), videos)[1].throughput.compile_s == 0


ROWS = pd.DataFrame({"video": ["NA", "b"], "frame": [0, 0], "label": [0, 1], "score": [0.25, 0.75]})


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_predictions_of_any_dialect_are_read(tmp_path, mark, encoding):
    header = {"video": " Video", "frame": "FRAME", "label": "Label ", "score": "score"}
    ROWS.rename(columns=header).to_csv(tmp_path / "a.csv", sep=mark, index=False, encoding=encoding)
    assert read_predictions(tmp_path / "a.csv")[0].to_dict() == ROWS.to_dict()


def test_parquet_is_read_whatever_metadata_pandas_added(tmp_path):
    packed = pa.Table.from_pandas(ROWS.set_index(pd.Index([5, 7])))
    metadata = {**packed.schema.metadata, b"pandas": packed.schema.metadata[b"pandas"].replace(b":", b"", 1)}
    pq.write_table(packed.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    assert read_predictions(tmp_path / "a.parquet")[0].to_dict() == ROWS.to_dict()


def test_lists_in_a_column_are_refused(tmp_path):
    columns = {**ROWS.to_dict("list"), "method": pa.array([None, ["x"]])}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(BenchError, match=r"a\.parquet has lists in its column method"):
        make_scorecard(tmp_path / "a.parquet", None, draws=10)


@pytest.mark.parametrize("damage", [b"", b"PAR1junkPAR1"])
def test_damaged_unfinished_predictions_are_started_over(tmp_path, damage):
    partial = PartialPredictions(tmp_path / "predictions.parquet", "x")
    partial.path.write_bytes(damage)
    assert len(partial.read_scores(ROWS)) == 0
