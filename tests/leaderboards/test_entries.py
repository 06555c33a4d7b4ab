"""Submitted rows: where they go, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crossfake.benchmark.errors import BenchError
from crossfake.benchmark.predict import read_predictions, write_predictions
from crossfake.benchmark.score import SCHEMA_VERSION
from crossfake.datasets import celebdf, dfd, dfdc
from crossfake.leaderboards.collect import collect
from crossfake.leaderboards.entries import OFFICIAL, check, place, submit


@pytest.fixture(scope="module")
def written(runs, tmp_path_factory) -> Path:
    """The entries of one run of the demo."""
    entries = tmp_path_factory.mktemp("submitted") / "entries"
    submit(runs / "0", entries)
    return entries


@pytest.fixture
def entries(written, tmp_path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "entries"))


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_run_becomes_an_entry_a_test_set_with_its_predictions(entries):
    assert sorted(p.relative_to(entries).as_posix() for p in entries.rglob("*.*")) == [
        f"demo-tiny-seed-0-32-frames/meso4/ff++-c23__{name}"
        for name in ("celebdf.json", "celebdf.parquet", "ff++-c23.json", "ff++-c23.parquet")
    ]
    assert check(entries) == (2, [])
    assert {c["cell"]["test"] for c in collect(entries)} == {"ff++:c23", "celebdf"}


def test_nothing_tells_where_things_lay_on_the_machine(entries):
    for path in entries.rglob("*.json"):
        assert "/" not in json.loads(path.read_text())["predictions"]
        assert not {"faces", "path"} & json.loads(path.read_text()).keys()
        assert "faces" not in read_predictions(path.with_suffix(".parquet"))[1]


def test_the_place_tells_protocol_detector_backend_sets_and_seed(make):
    home = Path("entries")
    assert place(make(), home) == home / "real-32-frames/meso4/ff++-c23__celebdf.json"
    given = make("dfd:c40", name="timm:x", backend="jax", seed=2, frames=8)
    assert place(given, home) == home / "real-8-frames/timm-x.jax/ff++-c23__dfd-c40.seed2.json"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda c: c["metrics"]["video.auc"].update(value=0.99),
            "video.auc value is 0.99, the predictions give",
        ),
        (lambda c: c["metrics"]["video.auc"].update(hi=1.0), "metrics video.auc hi is 1.0"),
        (lambda c: c["metrics"].pop("frame.auc"), "metrics lacks frame.auc"),
        (lambda c: c["groups"]["gender"]["f"].update(n_real=100), "groups gender f n_real is 100"),
        (lambda c: c["counts"].update(videos=39), "numbers of videos contradict each other: 40 scored"),
        (lambda c: c["coverage"].update(official=50), "50 official videos are not 40 scored + 0 named"),
        (lambda c: c.update(predictions_sha256="0"), "the SHA-256 differs"),
        (lambda c: c.update(predictions="gone.parquet"), "gone.parquet are not beside it"),
        (lambda c: c.update(schema_version=99), "has schema version 99"),
        (lambda c: c.update(status="failed"), "is no finished scorecard"),
        (lambda c: c.pop("provenance"), "has no provenance"),
        (lambda c: c["cell"].update(limit=5), "is PARTIAL"),
        (lambda c: c["cell"].update(name="other"), "belongs in"),
        (lambda c: c.update(metrics="good"), "metrics is good, the predictions give"),
        (lambda c: c.update(counts=[1]), "is not of the form that bench submit writes"),
        (lambda c: c["cell"].pop("frames"), "has no frames in its cell"),
        (lambda c: c["cell"].update(seed=7), "cell seed is 7, the predictions give 0"),
        (lambda c: c["curves"]["roc"][3].__setitem__(1, 1.5), "curves roc 3 1 is 1.5, the predictions give"),
        (lambda c: c["coverage"].update(scored=39, dropped=[{}]), "coverage scored is 39, the predictions give 40"),
        (lambda c: c.update(params="many"), "is not of the form that bench submit writes (TypeError"),
        (lambda c: c.update(provenance="mine"), "is not of the form that bench submit writes (TypeError"),
    ],
)
def test_what_does_not_match_is_refused_by_name(entries, change, problem):
    path = next(entries.rglob("*__celebdf.json"))
    edit(path, change)
    count, problems = check(entries)
    assert count == 2
    assert any(problem in p and p.startswith(str(path)) for p in problems), problems


def test_files_that_are_no_entries_are_named(entries):
    stray, lonely = entries / "notes.json", next(entries.rglob("*__celebdf.parquet")).with_name("a__b.parquet")
    stray.write_text("{}")
    lonely.write_bytes(b"")
    count, problems = check(entries)
    assert (count, len(problems)) == (3, 2)
    assert problems[0].startswith(f"{stray}: is no finished scorecard")
    assert problems[1] == f"{lonely}: has no scorecard a__b.json beside it"


def test_other_predictions_are_found_out_even_with_their_hash_mended(entries):
    path = next(entries.rglob("*__celebdf.parquet"))
    table, facts = read_predictions(path)
    write_predictions(path, table.assign(score=table["score"] ** 2), facts)
    assert any("frame.acc" in p or "acc" in p for p in check(entries)[1])


@pytest.mark.parametrize(
    ("test", "real", "fake", "official", "fits"),
    [
        ("celebdf", 178, 340, 518, True),
        ("celebdf", 170, 340, 510, False),
        ("ff++:c23", 140, 700, 840, True),
        ("ff++:c23", 140, 560, 700, True),
        ("ff++:c40", 140, 561, 701, False),
        ("dfd:c23", 363, 3068, 3431, True),
        ("dfdc", 2600, 2400, 5000, False),
    ],
)
def test_counts_are_held_against_the_official_list(test, real, fake, official, fits, tmp_path, scored, make):
    from crossfake.leaderboards.entries import _counted

    counts = {"videos": real + fake, "real_videos": real, "fake_videos": fake}
    coverage = {"scored": real + fake, "official": official, "dropped": []}
    problems = list(_counted(make(test, counts=counts, coverage=coverage)))
    assert (problems == []) == fits
    assert fits or "the official test split has" in problems[0]


def test_the_official_counts_are_those_of_the_adapters():
    real_fake = [(n[0][0], n[0][1]) for n in (OFFICIAL["dfdc"], OFFICIAL["dfd"])]
    assert real_fake[0] == (dfdc.OFFICIAL["test", "real"], dfdc.OFFICIAL["test", "fake"])
    assert real_fake[1] == tuple(dfd.DeepFakeDetection().release(Path(), "c23").counts.values())
    assert sum(OFFICIAL["celebdf"][0]) == sum(n for (s, _), n in celebdf.CelebDF.official.items() if s == "test")


def test_a_partial_run_an_old_one_and_one_without_predictions_are_refused(runs, tmp_path):
    run = Path(shutil.copytree(runs / "0" / "test.0", tmp_path / "run"))
    card = run / "scorecard.json"
    edit(card, lambda c: c["cell"].update(limit=5))
    with pytest.raises(BenchError, match=r"is PARTIAL .*Submit a whole run"):
        submit(run, tmp_path / "entries")
    edit(card, lambda c: (c["cell"].update(limit=None), c.update(schema_version=1)))
    with pytest.raises(BenchError, match="scored by an older crossfake"):
        submit(run, tmp_path / "entries")
    edit(card, lambda c: c.update(schema_version=SCHEMA_VERSION))
    (run / "predictions.parquet").unlink()
    with pytest.raises(BenchError, match="is gone"):
        submit(run, tmp_path / "entries")
    with pytest.raises(BenchError, match="no scorecards below"):
        submit(tmp_path / "nowhere", tmp_path / "entries")
    assert not (tmp_path / "entries").exists()


def test_another_runs_row_is_not_overwritten(runs, entries):
    path = next(entries.rglob("*__celebdf.json"))
    assert submit(runs / "0" / "test.1", entries) == [path]  # Its own row may be written again.
    edit(path, lambda c: c["cell"].update(recipe_key="another"))
    with pytest.raises(BenchError, match="another run's row"):
        submit(runs / "0" / "test.1", entries)
