"""Submitted rows: where they are stored, and which ones are rejected."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.migrations import SCHEMA_VERSION
from crossfake.benchmark.core.predictions import PredictionsMetadata, read_predictions, write_predictions
from crossfake.benchmark.core.scorecard import Dropped, ScoreCard
from crossfake.datasets import celebdf, dfd, dfdc
from crossfake.leaderboards import entries as module
from crossfake.leaderboards.entries import OFFICIAL, check_entries, locate_entry, submit
from crossfake.leaderboards.load import load_cards


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Iterator[None]:
    """Score identical files once, since sixty entries are scored here, each with all its intervals."""
    score, cards = module._score_entry, {}

    def score_once(predictions: Path, val: Path | None) -> ScoreCard:
        key = predictions.name, predictions.read_bytes(), val and val.read_bytes()
        if key not in cards:
            cards[key] = score(predictions, val)
        return cards[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DRAWS", 50)
        patch.setattr(module, "_score_entry", score_once)
        yield


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


def test_a_run_becomes_one_entry_per_test_set_with_its_predictions(entries):
    assert sorted(p.relative_to(entries).as_posix() for p in entries.rglob("*.*")) == [
        f"demo-tiny-seed-0-32-frames/meso4/ff++-c23__{name}.{suffix}"
        for name in ("celebdf", "ff++-c23")
        for suffix in ("json", "parquet", "val.parquet")
    ]
    assert check_entries(entries) == (2, [])
    assert {c.cell.test for c in load_cards(entries)} == {"ff++:c23", "celebdf"}


def test_nothing_reveals_paths_of_the_machine(entries):
    for path in entries.rglob("*.json"):
        assert "/" not in json.loads(path.read_text())["predictions"]
        assert not {"faces", "path"} & json.loads(path.read_text()).keys()
        assert not read_predictions(path.with_suffix(".parquet"))[1].faces


def test_the_path_gives_protocol_detector_backend_sets_and_seed(make):
    home = Path("entries")
    assert locate_entry(make(), home) == home / "real-32-frames/meso4/ff++-c23__celebdf.json"
    given = make("dfd:c40", name="timm:x", backend="jax", seed=2, frames=8)
    assert locate_entry(given, home) == home / "real-8-frames/timm-x.jax/ff++-c23__dfd-c40.seed2.json"


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
        (lambda c: c["counts"].update(videos=39), "counts videos is 39, the predictions give 40"),
        (lambda c: c["coverage"].update(official=50), "coverage official is 50, the predictions give 40"),
        (lambda c: c["threshold"].update(value=0.7), "threshold value is 0.7, the predictions give"),
        (lambda c: c["threshold"].update(rule="best on the test set"), "threshold rule is best on the test set, the"),
        (lambda c: c["threshold"].update(rule="0.5"), "threshold value is 0.5"),
        (lambda c: c.update(temperature=1.0), "temperature is 1.0, the predictions give"),
        (lambda c: c["score"].update(draws=2), "score draws is 2, the predictions give 50"),
        (lambda c: c["throughput"].update(score_images_per_s=1e6), "throughput score_images_per_s is 1000000.0"),
        (lambda c: c.update(params=1), "params is 1, the predictions give 28000"),
        (lambda c: c["metrics"].update({"video.luck": c["metrics"]["video.auc"]}), "metrics has unknown video.luck"),
        (lambda c: c["cell"].update(detector="other"), "cell detector is other, the predictions give meso4"),
        (lambda c: c["cell"].update(weights="given checkpoint"), "cell weights is given checkpoint"),
        (lambda c: c["cell"].update(train_key="x"), "cell train_key is x"),
        (lambda c: c["cell"].update(world="real "), "its world 'real ', protocol 'demo tiny, seed 0', is neither"),
        (lambda c: c["cell"].update(protocol="real"), "its world 'demo', protocol 'real', is neither"),
        (lambda c: c["cell"].update(test="Celeb-DF"), "its dataset 'Celeb-DF' is written 'celebdf'"),
        (lambda c: c["cell"].update(test="celebdg"), "Did you mean 'celebdf'?"),
        (lambda c: c.update(predictions_sha256="0"), "the SHA-256 differs"),
        (
            lambda c: c.update(predictions="ff++-c23__ff++-c23.parquet"),
            "its predictions ff++-c23__celebdf.pa",
        ),
        (
            lambda c: c.update(validation="ff++-c23__ff++-c23.val.parquet"),
            "its validation ff++-c23__celebdf.v",
        ),
        (lambda c: c.update(schema_version=99), "has schema version 99"),
        (
            lambda c: c.update(schema_version=2),
            f"has schema 2, but the current one is {SCHEMA_VERSION}. Score it again:",
        ),
        (lambda c: c.update(kind="failure", status="failed", error="x"), "is not a finished scorecard"),
        (lambda c: c.update(kind="note"), "is not a finished scorecard"),
        (lambda c: c.pop("provenance"), "has no provenance"),
        (lambda c: c["cell"].update(limit=5), "is PARTIAL"),
        (lambda c: c["cell"].update(excluded=["real/00.mp4"]), "was made with --exclude"),
        (lambda c: c["cell"].update(name="other"), "belongs in"),
        (lambda c: c.update(metrics="good"), "metrics: input should be a valid dictionary"),
        (lambda c: c.update(counts=[1]), "counts: input should be"),
        (lambda c: c["cell"].pop("frames"), "cell.frames: field required"),
        (lambda c: c["cell"].update(seed=7), "cell seed is 7, the predictions give 0"),
        (lambda c: c["curves"]["roc"][3].__setitem__(1, 1.5), "curves roc 3 1 is 1.5, the predictions give"),
        (lambda c: c.update(params="many"), "params: input should be a valid integer"),
        (lambda c: c.update(provenance="mine"), "provenance: input should be"),
    ],
)
def test_mismatched_files_are_refused_by_name(entries, change, problem):
    path = next(entries.rglob("*__celebdf.json"))
    edit(path, change)
    count, problems = check_entries(entries)
    assert count == 2
    assert any(problem in p and p.startswith(f"{path}: ") for p in problems), problems
    assert len(problems) <= 3
    assert "\n" not in "".join(problems)


def test_files_that_are_not_entries_are_named(entries):
    stray, lonely = entries / "notes.json", next(entries.rglob("*__celebdf.parquet")).with_name("a__b.parquet")
    stray.write_text("{}")
    lonely.write_bytes(b"")
    count, problems = check_entries(entries)
    assert (count, len(problems)) == (3, 2)
    assert problems[0].startswith(f"{stray}: is not a finished scorecard")
    assert problems[1] == f"{lonely}: no scorecard next to it was made from this"


def swapped(table):
    """One real and one fake video with exchanged labels."""
    swap = table["video"].isin(["real/00.mp4", "fake/01.mp4"])
    return table.assign(label=table["label"].where(~swap, 1 - table["label"]))


@pytest.mark.parametrize(
    ("change", "metadata", "problem"),
    [
        (lambda t: t.assign(score=t["score"] ** 2), {}, "more differences"),
        (swapped, {}, "its predictions have videos whose label contradicts their method"),
        (lambda t: t[t["video"] != "real/00.mp4"], {}, "counts videos is 40, the predictions give 39"),
        (lambda t: t[t["video"] != "real/00.mp4"], {"official": 39}, "counts videos is 40, the predictions give 39"),
        (lambda t: t, {"dropped": [{"video": "real/00.mp4", "reason": "lost"}]}, "coverage dropped is [], the pred"),
        (lambda t: t, {"params": 1}, "params is 28000, the predictions give 1"),
    ],
)
def test_other_predictions_are_detected_even_with_a_corrected_hash(entries, change, metadata, problem):
    card = next(entries.rglob("*__celebdf.json"))
    path = card.with_suffix(".parquet")
    table, known = read_predictions(path)
    write_predictions(path, change(table), known.merge(PredictionsMetadata.model_validate(metadata)))
    edit(card, lambda c: c.update(predictions_sha256=hashlib.sha256(path.read_bytes()).hexdigest()))
    problems = check_entries(entries)[1]
    assert any(problem in p for p in problems), problems
    assert not any("SHA" in p for p in problems)


def rewritten(entries: Path, table: Any = None, suffix: str = ".parquet", **told: Any) -> list[str]:
    """Return the problems of an entry whose numbers were all recomputed from manipulated predictions."""
    card = next(entries.rglob("*__celebdf.json"))
    path = card.with_suffix(suffix)
    found, metadata = read_predictions(path)
    write_predictions(path, found if table is None else table, metadata.model_copy(update=told))
    submit(entries, entries)
    return [p for p in check_entries(entries)[1] if "__celebdf.json" in p]


def test_contradictions_within_predictions_are_found_even_if_all_numbers_match(entries):
    assert rewritten(entries) == []
    (problem,) = rewritten(entries, official=50)
    assert problem.endswith("50 official videos are not 40 scored + 0 named as dropped")
    (problem,) = rewritten(entries, official=41, dropped=[Dropped(video="real/00.mp4", reason="lost")])
    assert problem.endswith("1 videos are scored, and named as dropped; first: real/00.mp4")
    (problem,) = rewritten(entries, official=41, dropped=[Dropped(video="x", reason=" ")])
    assert problem.endswith("41 official videos are not 40 scored + 0 named as dropped")


def test_a_threshold_fixed_on_the_test_set_is_detected(entries):
    test = read_predictions(next(entries.rglob("*__celebdf.parquet")))[0]
    (problem,) = rewritten(entries, test, ".val.parquet")
    assert "40 videos are in the test set and in the threshold's split; first: fake/01.mp4" in problem


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
def test_counts_are_checked_against_the_official_list(test, real, fake, official, fits, tmp_path, scored, make):
    from crossfake.leaderboards.entries import _check_counts

    counts = {"videos": real + fake, "real_videos": real, "fake_videos": fake}
    coverage = {"scored": real + fake, "official": official, "dropped": []}
    problems = list(_check_counts(make(test, counts=counts, coverage=coverage)))
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
    edit(card, lambda c: c["cell"].update(limit=None, excluded=["real/00.mp4"]))
    with pytest.raises(BenchError, match=r"was made with --exclude\. Submit a run of the whole test split"):
        submit(run, tmp_path / "entries")
    edit(card, lambda c: c["cell"].update(excluded=[]))
    with pytest.raises(BenchError, match=r"val/predictions.parquet is missing"):
        submit(run, tmp_path / "entries")
    (run / "predictions.parquet").unlink()
    with pytest.raises(BenchError, match=r"run/predictions.parquet is missing"):
        submit(run, tmp_path / "entries")
    with pytest.raises(BenchError, match="no scorecards below"):
        submit(tmp_path / "nowhere", tmp_path / "entries")
    assert not (tmp_path / "entries").exists()


def test_another_runs_row_is_not_overwritten(runs, entries):
    path = next(entries.rglob("*__celebdf.json"))
    assert submit(runs / "0" / "test.1", entries) == [path]  # The same row may be submitted again.
    edit(path, lambda c: c["cell"].update(recipe_key="another"))
    with pytest.raises(BenchError, match="another run's row"):
        submit(runs / "0" / "test.1", entries)
