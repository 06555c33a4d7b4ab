"""`bench predict` on pictures and videos: a score per face and person; files without a score are reported."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path

import av
import crossfake
import cv2
import numpy as np
import pandas as pd
import pytest
from command_line import bench
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.stages.annotate import draw, interpolate_mark
from crossfake.benchmark.stages.media import ScoredFace, list_files
from crossfake.benchmark.stages.verdict import Threshold, describe_scores, find_threshold

TOY = f"{Path(__file__).parents[1] / 'toy.py'}:Brightness"


def predict(capsys: pytest.CaptureFixture[str], *files: Path, **options: object) -> tuple[int, str]:
    code = bench("predict --set faces.frames=4", *files, **{"detector": TOY, "format": "json", **options})
    return code, capsys.readouterr().out


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return path


@pytest.fixture
def pair(tmp_path, astronaut, hopper) -> Path:
    """A picture with Hopper, large and dark, on the left, and the astronaut, small and bright, on the right."""
    bright = np.clip(astronaut.astype(int) + 60, 0, 255).astype(np.uint8)
    return save(tmp_path / "pair.png", np.hstack([hopper[:512] // 2, bright]))


def test_every_face_of_a_photograph_has_its_score_the_largest_first(pair, capsys):
    code, out = predict(capsys, pair)
    (told,) = json.loads(out)
    assert (code, told["status"], len(told["people"])) == (0, "ok", 2)
    large, small = (person["faces"][0] for person in told["people"])
    assert large["box"][2] < 512 < small["box"][0]
    assert large["score"] < 0.35 < 0.6 < small["score"] < 1
    assert told["score"] == large["score"]


def test_a_video_has_the_score_that_its_main_person_has_in_a_benchmark(tiny_world, tmp_path, capsys):
    asked = "predict --test dfdc --set faces.frames=4 --workers 0"
    assert bench(asked, detector=TOY, data=tiny_world, out=tmp_path) == 0
    table = pd.read_parquet(next(tmp_path.glob("*.parquet")))
    video = next(tiny_world.rglob(table["video"].iloc[0]))
    capsys.readouterr()
    code, out = predict(capsys, video)
    (told,) = json.loads(out)
    rows = table[table["video"] == table["video"].iloc[0]]
    assert code == 0
    assert [face["frame"] for face in told["people"][0]["faces"]] == rows["frame"].tolist()
    assert [face["score"] for face in told["people"][0]["faces"]] == rows["score"].tolist()
    assert told["score"] == pytest.approx(rows["score"].mean())


@pytest.fixture
def folder(tmp_path, astronaut, hopper) -> Path:
    save(tmp_path / "in" / "a" / "astronaut.jpg", astronaut)
    save(tmp_path / "in" / "b" / "hopper.PNG", hopper)
    save(tmp_path / "in" / "noface.png", np.full((80, 90, 3), 128, np.uint8))
    (tmp_path / "in" / "empty.jpg").touch()
    good = save(tmp_path / "in" / "cut.jpg", hopper).read_bytes()
    (tmp_path / "in" / "cut.jpg").write_bytes(good[:4000] + bytes(400) + good[4400:])
    (tmp_path / "in" / "text.mp4").write_text("no video")
    (tmp_path / "in" / "notes.txt").write_text("neither")
    return tmp_path / "in"


def test_a_folder_gives_a_row_per_face_and_names_files_without_one(folder, capsys):
    code, out = predict(capsys, folder, format="csv")
    rows = pd.read_csv(io.StringIO(out)).set_index("file")
    rows.index = [str(Path(name).relative_to(folder)) for name in rows.index]
    assert code == 1  # three files can't be read
    assert rows["status"].to_dict() == {
        "a/astronaut.jpg": "ok",
        "b/hopper.PNG": "ok",
        "cut.jpg": "unreadable",
        "empty.jpg": "unreadable",
        "noface.png": "no_face",
        "text.mp4": "unreadable",
    }
    assert rows.loc["noface.png", "reason"] == "no face found"
    assert rows["score"].notna().tolist() == [True, True, False, False, False, False]
    assert (rows["score"] == rows["person_score"])[:2].all()


def test_progress_is_printed_apart_from_the_scores(folder, capsys):
    bench("predict --format json --set faces.frames=4", folder, detector=TOY)
    shown = capsys.readouterr()
    assert json.loads(shown.out)
    told = r"files left out, by suffix: 1 \.txt\nscoring on .*\nscoring 6 files: done in [\d.]+ s\nscore: P\(fake\).*\n"
    assert re.fullmatch(told, shown.err)


def test_the_table_says_when_there_is_no_face(tmp_path, capsys):
    code, out = predict(capsys, save(tmp_path / "grey.png", np.full((99, 99, 3), 99, np.uint8)), format="table")
    assert code == 0
    assert "grey.png" in out
    assert "no face found" in out


def test_annotated_pictures_are_written_side_by_side(folder, tmp_path, capsys, astronaut):
    predict(capsys, folder, annotate=tmp_path / "out")
    written = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*"))
    assert written == ["a/astronaut.jpg", "b/hopper.PNG"]
    marked = cv2.imread(str(tmp_path / "out" / "a" / "astronaut.jpg")).astype(int)
    original = cv2.imread(str(folder / "a" / "astronaut.jpg"))
    changed = np.argwhere((abs(marked - original) > 100).any(axis=2))  # Smaller changes come from JPEG.
    assert 0 < len(changed) < 0.02 * original.shape[0] * original.shape[1]
    assert np.abs(changed.min(0)[::-1] - [172, 45]).max() < 20  # the box, with the score above it


def test_an_annotated_video_has_all_frames_of_the_video(tiny_world, tmp_path, capsys):
    video = next((tiny_world / "Celeb-DF-v2" / "Celeb-real").glob("*.mp4"))
    assert predict(capsys, video, annotate=tmp_path)[0] == 0
    shapes = []
    for path in (video, tmp_path / video.name):
        with av.open(str(path)) as container:
            shapes.append([(f.width, f.height) for f in container.decode(video=0)])
    assert shapes[0] == shapes[1]


def test_a_box_moves_in_a_straight_line_between_the_frames_looked_at():
    person = (ScoredFace(2, (0, 0, 10, 10), 0.1), ScoredFace(6, (8, 4, 18, 14), 0.9))
    assert interpolate_mark(1, person) is None
    assert interpolate_mark(7, person) is None
    assert interpolate_mark(3, person)[0].tolist() == [2, 1, 12, 11]
    assert [interpolate_mark(i, person)[1] for i in (2, 3, 5, 6)] == [0.1, 0.1, 0.9, 0.9]


def test_boxes_are_green_for_real_and_red_for_fake():
    frame = np.full((100, 100, 3), 128, np.uint8)
    real, fake = (draw(frame, [(np.array([20, 40, 60, 80]), score)])[80, 40].tolist() for score in (0.0, 1.0))
    assert (real, fake) == ([0, 255, 0], [255, 0, 0])
    assert (frame == 128).all()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nowhere.jpg", "no file or folder nowhere.jpg"),
        (".", "no pictures or videos in ."),
        ("", "name what to score: files or folders, or else --test DATASET"),
        ("x.jpg --test dfd", "files and --test can't be scored together"),
        ("x.jpg --format yaml", "no format named 'yaml'"),
    ],
)
def test_mistakes_are_one_line_errors(line, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert bench(f"predict {line}", **{} if "--format" in line else {"detector": TOY}) == 2
    assert message in capsys.readouterr().err


def test_output_names_are_never_shared(tmp_path, astronaut):
    paths = [save(tmp_path / folder / "same.png", astronaut[:8, :8]) for folder in "ab"]
    assert list(list_files(paths).values()) == ["same.png", "1-same.png"]
    folders = [tmp_path / "a", tmp_path / "b"]
    assert list(list_files(folders).values()) == ["same.png", "1-same.png"]
    save(tmp_path / "b" / "1-same.png", astronaut[:8, :8])
    save(tmp_path / "b" / "in" / "same.png", astronaut[:8, :8])
    assert list(list_files([*paths, *folders, paths[0]]).values()) == [
        "same.png",
        "1-same.png",
        "1-1-same.png",
        "in/same.png",
    ]
    with pytest.raises(BenchError, match="isn't named like a picture or video"):
        list_files([Path(__file__)])


def test_annotated_pictures_of_two_folders_are_all_written(tmp_path, capsys, astronaut, hopper):
    for folder, image in (("a", astronaut), ("b", hopper)):
        save(tmp_path / folder / "a.jpg", image)
    predict(capsys, tmp_path / "a", tmp_path / "b", annotate=tmp_path / "out")
    shapes = {p.name: cv2.imread(str(p)).shape for p in (tmp_path / "out").iterdir()}
    assert shapes == {"a.jpg": astronaut.shape, "1-a.jpg": hopper.shape}


def test_no_input_file_is_overwritten(tmp_path, hopper):
    path = save(tmp_path / "a.png", hopper)
    before = path.read_bytes()
    with pytest.raises(BenchError, match="would overwrite"):
        crossfake.predict(path, detector=TOY, annotate=tmp_path, progress=False)
    assert path.read_bytes() == before


def test_verdicts_follow_the_threshold_of_the_run(tmp_path):
    threshold = Threshold(0.4, "source val of ff++")
    assert [threshold.judge([score]) for score in (0.39, 0.4)] == ["real", "fake"]
    assert threshold.judge([0.9, 0.91, 0.89, 0.9]) == "fake"
    assert threshold.judge([0.1, 0.9, 0.1, 0.9]) == "uncertain"
    assert threshold.judge([0.1, 0.11, 0.1, 0.12]) == "real"
    assert find_threshold(None) is None
    assert find_threshold(tmp_path / "checkpoint.safetensors") is None
    assert "no verdict" in describe_scores(None)
    assert "threshold 0.400 (source val of ff++)" in describe_scores(threshold)


@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_a_non_utf8_name_is_reported_and_the_others_are_scored(tmp_path, capsys, hopper, form):
    save(tmp_path / "in" / "good.png", hopper)
    save(tmp_path / "cafe.png", hopper).rename(tmp_path / "in" / os.fsdecode(b"caf\xe9.png"))
    (tmp_path / "in" / os.fsdecode(b"caf\xe9.mp4")).write_text("no video")
    code, out = predict(capsys, tmp_path / "in", format=form)
    assert code == 1
    assert "its name isn't UTF-8: rename it" in out
    assert "caf%E9.mp4" in out
    assert out.count("good.png") == 1


def test_folders_are_walked_like_datasets_and_skipped_files_are_listed(tmp_path, capsys, astronaut, hopper):
    folder = tmp_path / "in"
    save(folder / "a.png", hopper)
    save(folder / "b" / "c.webp", astronaut)
    save(folder / ".hidden" / "d.png", astronaut)
    save(folder / "__MACOSX" / "._a.png", astronaut)
    (folder / "b" / "again").symlink_to(folder, target_is_directory=True)
    (folder / "notes.txt").write_text("")
    code = bench("predict --format json --set faces.frames=4", folder, detector=TOY)
    out, err = capsys.readouterr()
    assert code == 0
    assert [Path(told["file"]).relative_to(folder).as_posix() for told in json.loads(out)] == ["a.png", "b/c.webp"]
    assert "files left out, by suffix: 1 .txt" in err
    assert "links to folders that are read already: b/again" in err
    (folder / ".hidden" / "notes.txt").write_text("")
    (folder / ".hidden" / "d.png").unlink()
    with pytest.raises(BenchError, match=r"no pictures or videos in .*; files left out, by suffix: 1 \.txt"):
        list_files([folder / ".hidden"])
