"""`bench eval` and `crossfake.evaluate` on models of any kind. The code in docs/your_detector.md runs here."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import crossfake
import numpy as np
import pytest
from command_line import bench, read_mistake
from crossfake.plugin import BenchError
from tiny_models import save_classifier, write_onnx

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "your_detector.md").read_text(encoding="utf-8")
LINES = [line.removeprefix("bench ") for line in PAGE.splitlines() if line.startswith("bench eval ")]
QUICK = "--workers 0 -q --set score.draws=20"
MINE = """
class MyDetector:
    def score(self, frames):
        return frames.mean(axis=(1, 2, 3)) / 255
"""


def read_cards(runs: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(runs.rglob("scorecard.json"))]


@pytest.fixture
def own_videos(tiny_world, tmp_path):
    """A user's folder: two real and two fake videos of the demo world."""
    for kind, method in (("real", "original_sequences/youtube"), ("fake", "manipulated_sequences/Deepfakes")):
        (tmp_path / "my_videos" / kind).mkdir(parents=True)
        for path in sorted((tiny_world / "FaceForensics++" / method / "c23/videos").glob("*.mp4"))[:2]:
            shutil.copy(path, tmp_path / "my_videos" / kind)
    return tmp_path / "my_videos"


def test_the_page_does_what_it_says(tiny_world, own_videos, tmp_path, monkeypatch, capsys):
    torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm")
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_DATA", str(tiny_world))
    write_onnx(Path("model.onnx"), np.array([[1.0, -1.0], [0.5, 0.0], [0.0, 2.0]]))
    torch.save(timm.create_model("resnet10t", num_classes=2).state_dict(), "weights.safetensors")
    Path("mine.py").write_text(MINE)
    lines = [line for line in LINES if "hf:" not in line]
    assert len(lines) == len(LINES) - 1 == 3
    for line in lines:
        assert bench(f"{line} {QUICK}") == 0
    cards = read_cards(Path("runs"))
    assert {c["cell"]["detector"] for c in cards} == {"onnx:model", "timm:resnet10t@weights", "local/mine.mydetector"}
    by_test = {(c["cell"]["detector"], c["cell"]["test"]): c for c in cards}
    assert by_test["onnx:model", f"folder:{own_videos}"]["coverage"]["scored"] == 4
    assert by_test["onnx:model", "celebdf"]["cell"]["train"] == "unknown"
    assert "video.acc" in by_test["local/mine.mydetector", "dfd:c23"]["metrics"]
    code = re.search(r"```python\n(import crossfake\nimport timm.*?)```", PAGE, re.DOTALL)[1]
    space: dict = {}
    exec(code.replace("size=64", "size=64, workers=0, settings={'score.draws': 20}"), space)
    assert {name.partition(".")[0] for name in space["results"].table()["detector"]} == {"local/ResNet"}


@pytest.mark.slow  # Importing transformers takes most of it; tests/detectors/model_files loads and scores with one.
def test_the_page_evaluates_a_hugging_face_model(tiny_world, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_DATA", str(tiny_world))
    save_classifier(Path("my_classifier"), ["Real", "Fake"], {"size": {"height": 32, "width": 32}})
    (line,) = (line for line in LINES if "hf:" in line)
    assert bench(f"{line} {QUICK}") == 0
    (card,) = read_cards(Path("runs"))
    assert (card["cell"]["detector"], card["cell"]["test"]) == ("hf:my_classifier", "dfdc")
    assert "acc" not in card["metrics"]


def test_a_checkpoint_says_what_it_was_trained_on(tiny_world, tmp_path):
    pytest.importorskip("torch")
    from crossfake.benchmark.core.checkpoints import save
    from crossfake.detectors import create

    header = {"detector": "meso4", "options": {"input_size": 32}}
    path = tmp_path / "meso.safetensors"
    save(create("meso4", input_size=32), path, {**header, "trained_on": {"dataset": "ff++:c23", "world": "demo"}})
    given = {"data": tiny_world, "runs": tmp_path / "runs", "workers": 0, "progress": False}
    (card,) = crossfake.evaluate(path, "celebdf", settings={"score.draws": 20}, **given).cards
    assert (card.cell.train, card.cell.weights) == ("ff++:c23", "given checkpoint")
    (again,) = crossfake.evaluate(path, "celebdf", settings={"score.draws": 20}, **given).cards
    assert again.video.auc == card.video.auc


def test_datasets_in_several_folders(tiny_world, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(MINE)
    for name in ("Celeb-DF-v2", "DFDC"):
        (tmp_path / name).mkdir()
        shutil.copytree(tiny_world / name, tmp_path / name / name)
    line = f"eval {shlex.quote(str(tmp_path / 'mine.py'))}:MyDetector --test celebdf,dfdc {QUICK}"
    places = f"--data celebdf={tmp_path / 'Celeb-DF-v2'} --data dfdc={tmp_path / 'DFDC'}"
    assert bench(f"{line} {places}", runs=tmp_path / "runs") == 0
    assert {c["cell"]["test"] for c in read_cards(tmp_path / "runs")} == {"celebdf", "dfdc"}
    assert bench(f"{line} --data celebdf={tmp_path / 'Celeb-DF-v2'}", runs=tmp_path / "runs") == 2
    assert "--data names no root for dfdc" in read_mistake(capsys)
    assert bench(f"{line} --data celebfd={tmp_path}", runs=tmp_path / "runs") == 2
    assert "Did you mean 'celebdf'?" in read_mistake(capsys)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("caddm --test dfd", "caddm needs weights: --checkpoint FILE"),
        ("onnx:none.onnx --test dfd", "no ONNX file none.onnx"),
        ("TOY --test ./nowhere", "no folder or table nowhere"),
        ("TOY --test celebfd", "Did you mean 'celebdf'?"),
        ("TOY --test dfd --mean a,b", "not a list of three numbers"),
        ("TOY --test dfd --val celebfd", "Did you mean 'celebdf'?"),
        ("onnx:m.onnx --test dfd --crop boxed", "Did you mean 'box'?"),
        ("timm:resnet10t@none.safetensors --test dfd", "no weights none.safetensors"),
        ("none.safetensors --test dfd", "no checkpoint none.safetensors"),
    ],
)
def test_mistakes(line, says, tiny_world, tmp_path, monkeypatch, capsys):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    write_onnx(Path("m.onnx"), np.ones((3, 2)))
    Path("mine.py").write_text(MINE)
    assert bench(f"eval {line.replace('TOY', 'mine.py:MyDetector')} {QUICK}", data=tiny_world) == 2
    assert says in read_mistake(capsys)
    assert not Path("runs").exists()


def test_a_plain_function_gets_a_hint(tiny_world):
    with pytest.raises(BenchError, match=r"crossfake\.wrap_model"):
        crossfake.evaluate(lambda x: x, "dfd", data=tiny_world, progress=False)


def test_predict_says_what_a_score_means(tiny_world, tmp_path, capsys):
    pytest.importorskip("torch")
    asked = "run --detector meso4 --train ff++ --test dfd --set options.input_size=32 --set train.steps_per_epoch=1"
    assert bench(f"{asked} --set train.epochs=1 {QUICK}", data=tiny_world, runs=tmp_path / "runs") == 0
    (checkpoint,) = (tmp_path / "runs").rglob("checkpoint.safetensors")
    (card,) = read_cards(tmp_path / "runs")
    video = next((tiny_world / "Celeb-DF-v2" / "Celeb-real").glob("*.mp4"))
    capsys.readouterr()
    assert bench("predict", video, checkpoint=checkpoint, format="json") == 0
    said = capsys.readouterr()
    (told,) = json.loads(said.out)
    assert told["threshold"]["value"] == card["threshold"]["value"]
    assert told["verdict"] in ("real", "fake", "uncertain")
    assert "score: P(fake)" in said.err
    assert "of ff++:c23" in said.err
