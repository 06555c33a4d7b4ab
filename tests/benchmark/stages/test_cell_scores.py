"""A small file per cell has what a board needs; it is used only if it matches the predictions next to it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from crossfake.benchmark.core.predictions import read_predictions, write_predictions
from crossfake.benchmark.core.scorecard import Coverage, Dropped
from crossfake.benchmark.core.storage import WriteError
from crossfake.benchmark.stages import cell_scores
from crossfake.benchmark.stages.cell_scores import FILE, keep_cell_scores, read_cell_scores, read_scores
from crossfake.benchmark.stages.worst_cases import find_worst_cases
from crossfake.benchmark.stats.video_scores import pool_video_scores, read_frame_scores
from crossfake.leaderboards.load import read_card
from safetensors.numpy import load, save


@pytest.fixture
def card(tmp_path, make, scored):
    scored(tmp_path / "test.a", make("a"), 1)
    return read_card(tmp_path / "test.a/scorecard.json")


def assert_same(found, card):
    expected = pool_video_scores(read_frame_scores(card.predictions_path))
    assert (found.videos.ids, found.videos.identity) == (expected.ids, expected.identity)
    assert np.array_equal(found.videos.score, expected.score)
    assert np.array_equal(found.videos.label, expected.label)
    assert found.worst == find_worst_cases(read_predictions(card.predictions_path)[0])


def test_the_first_board_writes_the_file_and_the_next_reads_no_frames(card, monkeypatch, capsys):
    assert_same(read_cell_scores(card), card)
    kept = (card.folder / FILE).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(cell_scores, "read_frame_scores", lambda path: pytest.fail("frames were read"))
        found = read_cell_scores(card)
        assert read_cell_scores(card).videos.ids is found.videos.ids  # Cells of one test set share their ids.
    assert_same(found, card)
    (card.folder / FILE).unlink()
    keep_cell_scores(card.predictions_path)
    assert (card.folder / FILE).read_bytes() == kept
    assert capsys.readouterr().err == ""


def test_a_file_of_other_predictions_is_remade_with_a_message(card, capsys):
    read_cell_scores(card)
    table, metadata = read_predictions(card.predictions_path)
    write_predictions(card.predictions_path, table.assign(score=1 - table["score"]), metadata)
    assert_same(read_cell_scores(card), card)
    assert capsys.readouterr().err == f"{card.folder / FILE} belongs to other predictions: recomputed\n"
    assert_same(read_cell_scores(card), card)
    assert capsys.readouterr().err == ""


def rewrite(change):
    """Return a function that changes a file's arrays and header and corrects the checksum, as an attacker would."""

    def spoil(path):
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        told = json.loads(header["__metadata__"]["crossfake"])
        arrays = {name: array.copy() for name, array in load(content).items()}
        change(arrays, told)
        if set(arrays) == set(cell_scores.KINDS):
            told["content"] = cell_scores._hash(arrays)
        path.write_bytes(save(arrays, metadata={"crossfake": json.dumps(told)}))

    return spoil


def put_names(name, content):
    return rewrite(lambda arrays, told: arrays.update({name: np.frombuffer(json.dumps(content).encode(), np.uint8)}))


def flip(path):
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (flip, "is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-5]), "cut short"),
        (lambda path: path.write_bytes(b""), "cut short"),
        (lambda path: path.write_text("{}"), "cut short"),
        (rewrite(lambda arrays, told: arrays.pop("label")), "it has unexpected arrays"),
        (rewrite(lambda arrays, told: arrays.update(score=arrays["score"].astype("<f4"))), "it has unexpected arrays"),
        (rewrite(lambda arrays, told: arrays.update(label=arrays["label"] + 1)), "don't match"),
        (rewrite(lambda arrays, told: arrays.update(score=arrays["score"] * np.nan)), "don't match"),
        (rewrite(lambda arrays, told: arrays.update(score=arrays["score"][1:])), "don't match"),
        (rewrite(lambda arrays, told: told.update(version=99)), "has another version"),
        (put_names("videos", ["a"] * 40), "don't match"),
        (put_names("videos", {"a": 1}), "is damaged"),
        (put_names("worst", [[["a", "x", "m", 0.1, 1]], []]), "is damaged"),
    ],
)
def test_damaged_or_forged_files_are_remade(card, capsys, spoil, told):
    read_cell_scores(card)
    spoil(card.folder / FILE)
    assert_same(read_cell_scores(card), card)
    said = capsys.readouterr().err
    assert told in said
    assert said.endswith(": recomputed\n")
    assert said.count("\n") == 1
    assert_same(read_cell_scores(card), card)
    assert capsys.readouterr().err == ""


def test_a_file_that_is_too_large_is_not_read(card, capsys, monkeypatch):
    read_cell_scores(card)
    monkeypatch.setattr(cell_scores, "MOST_BYTES", 100)
    assert_same(read_cell_scores(card), card)
    assert "at most 100 are read: recomputed" in capsys.readouterr().err


def test_the_board_is_right_even_where_nothing_can_be_written(card, monkeypatch, capsys):
    def refuse(path):
        raise WriteError(30, "Read-only file system", str(path))

    monkeypatch.setattr(cell_scores, "write_atomically", refuse)
    assert_same(read_cell_scores(card), card)
    assert not (card.folder / FILE).exists()
    assert capsys.readouterr().err == ""


def test_the_scores_of_a_row_come_with_what_each_seed_dropped(card, tmp_path, make, scored, capsys):
    scored(tmp_path / "other/test.a", make("a", seed=1), 2)
    second = read_card(tmp_path / "other/test.a/scorecard.json")
    lost = Coverage(official=41, scored=40, dropped=[Dropped(video="x.mp4", reason="no_face", label=1)])
    one, other = read_scores([card.model_copy(update={"coverage": lost}), second])
    assert (one.dropped, other.dropped, len(one.ids)) == ({"x.mp4": 1}, {}, 40)
    second.predictions_path.write_bytes(b"PAR1")
    assert read_scores([card, second]) == []
    assert "left out: " in capsys.readouterr().err
    second.predictions_path.unlink()
    assert read_scores([card, second]) == []


def test_nothing_is_written_next_to_an_entry(card):
    entry = card.place(card.folder / "a__b.json")
    assert_same(read_cell_scores(entry), card)
    assert not (card.folder / FILE).exists()
