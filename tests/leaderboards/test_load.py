"""Reading a folder of runs: which cards count, which ones newer runs replace, and which ones are broken."""

from __future__ import annotations

import json
import os

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.migrations import SCHEMA_VERSION
from crossfake.leaderboards.board import write
from crossfake.leaderboards.load import load_cards, load_cards_with_problems, read_card


def test_cards_are_found_at_any_depth_and_nothing_else(tmp_path, make, make_failed, save):
    save(tmp_path / "demo/meso4/run/test.a/scorecard.json", make("a"))
    save(tmp_path / "demo/meso4/run/test.b/failure.json", make_failed("b"))
    save(tmp_path / "entries/real/meso4/ff++-c23__c.json", make("c", predictions="ff++-c23__c.parquet"))
    save(tmp_path / "theirs/a__b.json", {"accuracy": 0.9})
    save(tmp_path / "predicted/scorecard.json", make().to_json() | {"cell": {}})
    cards = load_cards(tmp_path)
    assert [(c.cell.test, c.status) for c in cards] == [("a", "done"), ("b", "failed"), ("c", "done")]
    assert cards[0].folder == tmp_path / "demo/meso4/run/test.a"
    assert cards[2].predictions_path == tmp_path / "entries/real/meso4/ff++-c23__c.parquet"
    assert load_cards(tmp_path / "none") == []


def test_a_failure_next_to_a_scorecard_does_not_hide_it(tmp_path, make, make_failed, save):
    save(tmp_path / "test.a/scorecard.json", make("a"))
    save(tmp_path / "test.a/failure.json", make_failed("a"))
    assert [c.status for c in load_cards(tmp_path)] == ["done"]


def test_a_broken_card_is_named_in_one_line(tmp_path):
    (tmp_path / "scorecard.json").write_text('{"half')
    with pytest.raises(BenchError, match=r"scorecard\.json can't be read as JSON .*Remove it and rerun") as error:
        load_cards(tmp_path)
    assert "\n" not in str(error.value)


def without(*path):
    def change(card):
        *heads, last = path
        for head in heads:
            card = card[head]
        del card[last]

    return change


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        (without("kind"), "is not a crossfake scorecard"),
        (without("cell"), "cell: field required"),
        (without("status"), "status: field required"),
        (without("cell", "backend"), "cell.backend: field required"),
        (without("cell", "options"), "cell.options: field required"),
        (without("metrics"), "metrics: field required"),
        (without("groups"), "groups: field required"),
        (without("threshold", "value"), "threshold.value: field required"),
        (without("coverage", "dropped", 0, "reason"), "coverage.dropped.0.reason: field required"),
        (
            lambda c: c["metrics"]["video.auc"].update(value="high"),
            "metrics.video.auc.value: input should be a valid n",
        ),
        (lambda c: c["metrics"]["video.auc"].update(lo=float("nan")), "metrics.video.auc.lo: input should be a finite"),
        (
            lambda c: c["cell"].update(name=3, train=None),
            r"cell.name: .* string \(and 1 more flaws",
        ),
        (lambda c: c["provenance"].update(time="noon"), "provenance.time: input should be a valid datetime"),
    ],
)
def test_what_is_wrong_with_a_card_is_named_and_the_others_are_kept(change, flaw, tmp_path, make, save):
    card = make("a").to_json()
    change(card)
    save(tmp_path / "test.a/scorecard.json", card)
    save(tmp_path / "test.b/scorecard.json", make("b"))
    with pytest.raises(BenchError, match=flaw) as error:
        load_cards(tmp_path)
    assert "\n" not in str(error.value)
    cards, problems = load_cards_with_problems(tmp_path)
    assert [c.cell.test for c in cards] == ["b"]
    assert problems == [str(error.value)]
    assert problems[0].startswith(str(tmp_path / "test.a/scorecard.json"))


def test_every_fault_is_counted(tmp_path, save):
    for name in "abc":
        save(tmp_path / f"{name}/scorecard.json", [])
    with pytest.raises(BenchError, match=r"a.scorecard\.json holds .* \(2 more such files\)"):
        load_cards(tmp_path)


def test_a_failure_fixed_by_a_newer_run_is_left_out(tmp_path, make, make_failed, save):
    old = save(tmp_path / "a/failure.json", make_failed(train_key="old"))
    new = save(tmp_path / "b/scorecard.json", make(train_key="new"))
    os.utime(old, (1000, 1000))
    os.utime(new, (2000, 2000))
    assert [c.status for c in load_cards(tmp_path)] == ["done"]
    os.utime(old, (3000, 3000))
    assert [c.status for c in load_cards(tmp_path)] == ["done", "failed"]


def test_the_newer_of_two_scorecards_of_the_same_weights_counts(tmp_path, make, save):
    for name, auc, when in (("a", 0.9, 1000), ("b", 0.6, 2000)):
        path = save(tmp_path / name / "scorecard.json", make(auc=auc, test_key=name))
        os.utime(path, (when, when))
    assert [c.video.auc.value for c in load_cards(tmp_path)] == [0.6]


def test_a_copied_run_counts_once_and_file_times_mean_nothing(tmp_path, make, save):
    made = {"command": "bench run", "time": "2026-01-02T10:00:00+0000"}
    newer = made | {"time": "2026-01-02T11:30:00+0200"}  # half an hour earlier
    paths = [
        save(tmp_path / name / "scorecard.json", make(auc=auc, provenance=told))
        for name, auc, told in (("a", 0.9, made), ("backup/a", 0.9, made), ("b", 0.6, newer))
    ]
    os.utime(paths[0], (1000, 1000))
    (card,) = load_cards(tmp_path)
    assert card.video.auc.value == 0.9


@pytest.mark.parametrize("field", ["predictions", "validation"])
@pytest.mark.parametrize("name", ["../../theirs.parquet", "/etc/theirs.parquet", "..\\theirs.parquet"])
def test_a_card_names_no_file_outside_its_folder(tmp_path, make, save, field, name):
    save(path := tmp_path / "scorecard.json", make().to_json() | {field: name})
    with pytest.raises(BenchError, match=rf"scorecard\.json: .*{field}: .*(climbs out|is absolute)"):
        read_card(path)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"curves": {"roc": [[0, 0, 1]]}}, "curves.roc.0"),
        ({"curves": {"roc": 5}}, "curves.roc"),
        ({"curves": {"histogram": 1}}, "curves.histogram"),
        ({"curves": [1]}, "curves"),
        ({"groups": {"gender": {"female": {"n_real": 1}}}}, "groups.gender.female"),
        ({"groups": [1]}, "groups"),
        ({"methods": {"x": 5}}, "methods.x"),
        ({"artifacts": {"v": [[[1]]]}}, "artifacts.v"),
    ],
)
def test_one_bad_card_never_breaks_the_board(tmp_path, make, save, change, place):
    save(tmp_path / "good/scorecard.json", make("a"))
    save(tmp_path / "bad/scorecard.json", make("b").to_json() | change)
    cards, problems = load_cards_with_problems(tmp_path)
    assert [card.cell.test for card in cards] == ["a"]
    assert len(problems) == 1
    assert f"bad/scorecard.json: {place}" in problems[0]
    write(cards, tmp_path / "board")


def test_an_old_card_shows_numbers_recomputed_from_its_predictions(tmp_path, make, scored, capsys):
    scored(tmp_path / "test.a", make("celebdf"), 1)
    path = tmp_path / "test.a/scorecard.json"
    today = read_card(path)
    old = today.to_json() | {"schema_version": SCHEMA_VERSION - 1}
    old["metrics"] = {name: e | {"lo": 0.0, "hi": 1.0} for name, e in old["metrics"].items()}
    path.write_text(json.dumps(old))
    (card,) = load_cards(tmp_path)
    assert card == today
    assert card.is_current
    assert "1 scorecards of an older schema were rescored" in capsys.readouterr().err
    today.predictions_path.unlink()
    (card,) = load_cards(tmp_path)
    assert (card.video.auc.lo, card.is_current) == (0.0, False)
