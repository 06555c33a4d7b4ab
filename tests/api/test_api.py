"""The Python API: detectors passed as objects, scoring tables, errors, and the cost of importing it."""

from __future__ import annotations

import json
import subprocess
import sys

import crossfake
import numpy as np
import pandas as pd
import pytest
from command_line import bench
from crossfake.detectors.common.in_memory import hash_object, make_entry
from crossfake.plugin import BenchError
from safetensors.numpy import save_file

QUICK = {"settings": {"score.draws": 20}, "workers": 0, "progress": False}


class Brightness:
    def __init__(self, gain: float = 1.0):
        self.gain = gain

    def score(self, frames):
        return np.clip(self.gain * frames.mean(axis=(1, 2, 3)) / 255, 0, 1)


class Unseen(Brightness):
    def __init__(self):
        super().__init__()
        self.helper = lambda: 0  # A lambda can't be pickled, so the object can't be hashed.


def table(**columns):
    rows = {"video": list("abcdef"), "frame": 0, "label": [0, 1] * 3, "score": [0.1, 0.9, 0.2, 0.8, 0.6, 0.4]}
    return pd.DataFrame({**rows, **columns})


def run(detector, tiny_world, tmp_path, **options):
    return crossfake.run(detector, "ff++", "celebdf", data=tiny_world, runs=tmp_path, **QUICK, **options)


def test_the_bundled_example_is_scored_unless_something_else_has_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    card = crossfake.score("example", draws=10)
    assert (card.video.auc.n, card.counts.frames) == (112, 448)
    assert card.video.auc.value == pytest.approx(0.8743, abs=1e-4)
    assert list(card.groups["race"]) == ["asian", "black", "others", "white"]
    table().to_csv(tmp_path / "example", index=False)
    assert crossfake.score("example", draws=10).video.auc.n == 6


def test_an_object_is_reused_while_it_stays_the_same(tiny_world, tmp_path):
    first = run(Brightness(), tiny_world, tmp_path)
    again = run(Brightness(), tiny_world, tmp_path)
    other = run(Brightness(0.5), tiny_world, tmp_path)
    assert again.folders == first.folders
    assert other.folders != first.folders
    assert first.cards[0].cell.name == "local/Brightness"
    assert first.cards[0].cell.weights == "given object"
    assert first.cards[0].video.auc == again.cards[0].video.auc


def test_what_cannot_be_inspected_never_counts_as_the_same():
    assert hash_object(Unseen()) == ""
    assert make_entry(Unseen()).code != make_entry(Unseen()).code


def test_functions_differ_by_the_variables_they_capture():
    def make(shift):
        return crossfake.wrap_model(lambda x: x.mean(axis=(1, 2, 3)) + shift)

    assert hash_object(make(0.0)) == hash_object(make(0.0)) != hash_object(make(1.0))
    assert hash_object(crossfake.wrap_model(np.mean)) == ""  # No source, no weights.


def test_a_class_is_keyed_by_its_source():
    assert make_entry(Brightness).code == make_entry(Brightness).code != make_entry(Unseen).code


@pytest.mark.parametrize("fake", [0, 1])
def test_a_wrapped_model_reads_the_output_for_fake(fake):
    frames = np.stack([np.full((8, 8, 3), v, np.uint8) for v in (0, 255)])
    two = crossfake.wrap_model(lambda x: np.stack([np.zeros(len(x)), x[:, 0, 0, 0]], 1), size=8, fake=fake)
    one = crossfake.wrap_model(lambda x: x[:, 0, 0, 0], size=8, fake=fake)
    logit = (np.array([0, 1]) - 0.485) / 0.229 * (1 if fake else -1)
    assert two.score(frames) == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-5)
    assert np.array_equal(one.score(frames), two.score(frames))


def test_a_torch_module_is_keyed_by_its_weights(tiny_world, tmp_path):
    torch = pytest.importorskip("torch")

    def make(seed):
        torch.manual_seed(seed)
        layers = torch.nn.Sequential(torch.nn.AvgPool2d(16), torch.nn.Flatten(), torch.nn.Linear(3, 2))
        return crossfake.wrap_model(layers, size=16)

    assert make_entry(make(0)).code == make_entry(make(0)).code != make_entry(make(1)).code
    results = run([make(0), make(1)], tiny_world, tmp_path)
    assert [card.cell.name for card in results.cards] == ["local/Sequential"] * 2
    assert len(results.folders) == 2


def test_invalid_detectors_raise_the_command_lines_message(tiny_world, tmp_path):
    torch = pytest.importorskip("torch")
    with pytest.raises(BenchError, match=r"Path has no method score\(frames\)"):
        run(type(tmp_path), tiny_world, tmp_path)
    with pytest.raises(BenchError, match=r"a bare torch module is not a detector: .* crossfake.wrap_model"):
        run(torch.nn.Identity(), tiny_world, tmp_path)
    with pytest.raises(BenchError, match=r"a bare function is not a detector"):
        run(lambda x: x, tiny_world, tmp_path)
    with pytest.raises(BenchError, match="Did you mean 'caddm'"):
        run("cadm", tiny_world, tmp_path)
    with pytest.raises(BenchError, match="fake = 2"):
        crossfake.wrap_model(np.mean, fake=2)


def test_a_wrong_crop_size_or_output_fails_with_its_reason(tiny_world, tmp_path):
    wrong = crossfake.wrap_model(lambda x: np.zeros((len(x), 5)), size=16)
    (failure,) = run(wrong, tiny_world, tmp_path).failures
    assert "the model gave shape" in failure.error
    assert "expected logits" in failure.error


def test_tables_are_scored_and_refused_like_files():
    card = crossfake.score(table())
    assert card.video.auc.value == pytest.approx(8 / 9)
    assert card.video.auc.n == 6
    assert card.metrics["frame.auc"] == card.frame.auc
    with pytest.raises(BenchError, match="the table has no column score"):
        crossfake.score(table().drop(columns="score"))
    fixed = crossfake.score(table(), threshold="val", val=table())
    assert fixed.threshold.value == pytest.approx(0.3)
    with pytest.raises(BenchError, match="--threshold val: a table is no"):
        crossfake.score(table(), threshold="val")


def test_plan_shows_what_would_be_done_and_touches_nothing(tiny_world, tmp_path):
    found = crossfake.plan(
        Brightness, "ff++", ["celebdf", "dfd"], data=tiny_world, runs=tmp_path / "runs", progress=False
    )
    assert list(found.table()["state"]) == ["to do", "to do"]
    assert not (tmp_path / "runs").exists()


def test_faces_are_loaded_by_video(tiny_world):
    faces = crossfake.load_faces("celebdf", data=tiny_world, splits="test", workers=0, progress=False)
    video = next(iter(faces.outcomes()))
    assert faces.face(video, 0).landmarks.shape == (81, 2)


@pytest.mark.slow
def test_an_object_of_the_main_module_needs_no_guard(tiny_world, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import crossfake\n"
        "class Crop:\n"
        "    def __call__(self, face):\n        return face.crop[:8, :8]\n"
        "class Mine:\n"
        "    def cropper(self):\n        return Crop()\n"
        "    def score(self, frames):\n        return frames.mean(axis=(1, 2, 3)) / 255\n"
        f"found = crossfake.run(Mine(), 'ff++', 'celebdf', data={str(tiny_world)!r}, workers=1,\n"
        f"    runs={str(tmp_path / 'runs')!r}, settings={{'score.draws': 10, 'faces.frames': 3}}, progress=False)\n"
        "print(found.cards[0].status, getattr(found.cards[0], 'error', ''))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "done", done.stderr


def test_importing_loads_no_backend_and_no_pandas():
    code = "import sys, crossfake; print(sorted({'torch', 'jax', 'pandas', 'numpy', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_checkpoint_says_what_it_was_trained_on_or_that_this_is_unknown(tmp_path, capsys):
    weights, path = {"w": np.zeros(1, np.float32)}, tmp_path / "c.safetensors"
    told = {"dataset": "ff++:c23", "world": "demo", "seed": 3, "selection": "source val", "videos": "0" * 32}
    header = {"detector": "meso4", "tag": "small", "options": {"input_size": 96}, "trained_on": told}
    save_file(weights, path, metadata={"crossfake": json.dumps(header)})
    card = crossfake.describe_checkpoint(path)
    assert (card.detector, card.trained_on, card.selection, card.videos) == ("meso4", "ff++:c23", "source val", 2)
    assert bench("info", path) == 0
    said = capsys.readouterr().out
    assert "trained on: ff++:c23" in said
    assert "options: input_size 96" in said
    save_file(weights, path)
    assert bench("info", path) == 0
    said = capsys.readouterr().out.splitlines()
    assert {"detector: unknown", "trained on: unknown", "selection: unknown", "training videos: unknown"} <= {*said}
    assert bench("info", tmp_path / "gone.safetensors") == 2
