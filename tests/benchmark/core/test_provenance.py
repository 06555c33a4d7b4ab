"""Provenance is recorded as far as it is known, and never makes a run fail."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from importlib.metadata import version

import pytest
from crossfake.benchmark.core import provenance as module
from crossfake.benchmark.core.keys import manifest_key
from crossfake.benchmark.core.provenance import Commit, collect_provenance, read_commit


def test_it_names_command_packages_and_machine():
    told = collect_provenance("bench run --detector meso4")
    assert told.command == "bench run --detector meso4"
    assert told.packages["numpy"] == version("numpy")
    assert "no-such-package" not in told.packages
    assert told.machine["cores"] >= 1
    json.dumps(told.to_json(), allow_nan=False)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    def git(*words: str) -> str:
        own = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
        return subprocess.run([*own, *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("init", "--quiet")
    except FileNotFoundError:
        pytest.skip("git is not installed")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return git


def test_the_commit_says_whether_files_differ(checkout, tmp_path):
    (tmp_path / "a.txt").write_text("a")
    checkout("add", ".")
    checkout("commit", "--quiet", "-m", "a")
    assert read_commit() == Commit(id=checkout("rev-parse", "HEAD"), dirty=False)
    (tmp_path / "b.txt").write_text("b")
    assert read_commit().dirty is True


def test_no_commit_is_given_without_a_commit_a_checkout_or_git(checkout, tmp_path, monkeypatch):
    assert read_commit().to_json() == {}  # Nothing is committed yet.
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_commit().to_json() == {}  # No git on the PATH.
    monkeypatch.setattr(module, "ROOT", tmp_path / "site-packages")
    assert read_commit().to_json() == {}


def test_a_manifest_is_about_content_not_place_or_time(tmp_path, make_video):
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"1234")
    video = make_video("fake/x.mp4", path=tmp_path / "a.mp4")
    key = manifest_key([video])
    assert manifest_key([replace(video, path=tmp_path / "b.mp4")]) == key
    (tmp_path / "b.mp4").write_bytes(b"12345")
    for changes in ({"path": tmp_path / "b.mp4"}, {"path": tmp_path}, {"id": "y"}, {"label": 0}, {"split": "val"}):
        assert manifest_key([replace(video, **changes)]) != key
    assert manifest_key([video, video]) != key
