"""`bench data`: the printed report, the report file, and errors."""

from __future__ import annotations

import csv
import shutil

import pytest
from command_line import bench, read_mistake
from crossfake.benchmark.core.progress import Reporter
from crossfake.benchmark.core.settings import FaceSettings
from crossfake.benchmark.stages.sources import DataRoot, open_source


@pytest.fixture
def films(tiny_world, tmp_path):
    """A folder of two real videos and one fake, where one of the files is a text file."""
    clips = sorted((tiny_world / "DFDC" / "test").glob("*.mp4"))
    for name, clip in zip(("real/a.mp4", "fake/swap/b.mp4"), clips, strict=False):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(clip, tmp_path / name)
    (tmp_path / "real" / "broken.mp4").write_text("not found")
    return tmp_path


def test_prepare_summarises_every_folder_and_reports_anything_odd(films, capsys):
    assert bench("data prepare folder --workers 1 --set faces.frames=3", data=films) == 0
    said = capsys.readouterr().out
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in said.splitlines() if line.startswith("|")]
    rows = {row[0]: dict(zip(table[0], row, strict=True)) for row in table[2:]}
    assert rows["fake/swap"]["ok"] == rows["real"]["ok"] == rows["real"]["unreadable"] == "1"
    assert (rows["real"]["videos"], rows["real"]["frames"], rows["real"]["faces"]) == ("2", "3", "3")
    assert "real/broken.mp4: unreadable the file can't be opened as a video" in said
    path = said.split("with remarks: ")[1].splitlines()[0]
    with open(path, encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["video"], row["status"], row["frames_wanted"], row["frames_decoded"]) == (
        "real/broken.mp4",
        "unreadable",
        "3",
        "0",
    )


def test_a_source_prepares_its_own_splits_once(films, capsys):
    source = open_source("folder", DataRoot(films, None))
    settings = FaceSettings(finder="mediapipe", frames=2)
    store = source.prepare(["test"], settings, Reporter())
    assert {v: o.status for v, o in store.outcomes().items()} == {
        "real/a.mp4": "ok",
        "real/broken.mp4": "unreadable",
        "fake/swap/b.mp4": "ok",
    }
    assert store.folder == source.store_folder(settings)
    before = {p: p.stat().st_mtime_ns for p in store.folder.glob("*.arrow")}
    assert len(source.prepare(["test", "train"], settings, Reporter())) == 4
    assert {p: p.stat().st_mtime_ns for p in store.folder.glob("*.arrow")} == before
    assert "preparing folder test+train" in capsys.readouterr().out


def test_prepare_fails_without_any_face(films, capsys):
    shutil.rmtree(films / "fake")
    (films / "real" / "a.mp4").write_bytes(b"")
    assert bench("data prepare folder --workers 1", data=films) == 1
    assert "a.mp4: unreadable the file is empty" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("prepare '' --data demo:tiny", "no dataset named"),
        ("check ff++ --split tset --data demo:tiny", "Did you mean 'test'?"),
        ("check ff+ --data demo:tiny", "Did you mean 'ff++'?"),
        ("import deepfakebench /nowhere", "no folder /nowhere"),
        ("import deepfakebnch .", "Did you mean 'deepfakebench'?"),
        ("import deepfakebench configs", "no list NAME.json of DeepfakeBench in configs"),
    ],
)
def test_mistakes_are_one_line_errors(line, message, tiny_world, capsys):
    assert bench(f"data {line}") == 2
    assert message in read_mistake(capsys)


def test_a_plan_without_a_world_says_how_to_render_it(capsys, monkeypatch):
    asked = "run --detector meso4 --train ff++ --test celebdf --dry-run"
    assert bench(f"{asked} --data demo:tiny:77") == 0
    assert "bench data demo --size tiny --seed 77" in capsys.readouterr().out
    monkeypatch.setenv("BENCH_DATA", "demo:large")
    assert bench(asked) == 0
    assert "bench data demo --size large --seed 0" in capsys.readouterr().out
