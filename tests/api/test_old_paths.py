"""Imports in the last version's documentation still work and give the same objects as the new ones."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys

import pytest
from crossfake.benchmark.core.types import LostFrame
from crossfake.old_paths import OLD_PATHS

# The documented paths, old and new.
DOCUMENTED = [
    ("crossfake.benchmark.config", "TrainSettings", "crossfake.plugin"),
    ("crossfake.benchmark.errors", "BenchError", "crossfake.plugin"),
    ("crossfake.benchmark.fairness", "reference_metrics", "crossfake.benchmark.stats.fairness_metrics"),
    ("crossfake.benchmark.registry", "detectors", "crossfake.plugin"),
    ("crossfake.benchmark.types", "Video", "crossfake.plugin"),
    ("crossfake.detectors.crops", "BoxCrop", "crossfake.plugin"),
    ("crossfake.detectors.jax_detector", "Named", "crossfake.plugin.jax"),
    ("crossfake.detectors.jax_networks.layers", "Conv", "crossfake.plugin.jax"),
    ("crossfake.detectors.torch_detector", "TorchDetector", "crossfake.plugin.torch"),
]


@pytest.fixture(autouse=True)
def never_imported(monkeypatch):
    """Forget the old paths that this process has imported, since each warns only once."""
    for old, _, _ in DOCUMENTED:
        for path in (old, old.rpartition(".")[0]):
            if path in OLD_PATHS or path.rpartition(".")[0] in OLD_PATHS:
                monkeypatch.delitem(sys.modules, path, raising=False)


@pytest.mark.parametrize(("old", "name", "new"), DOCUMENTED)
def test_old_paths_give_the_same_objects_and_warn_once_what_to_import(old, name, new):
    backend = new.removeprefix("crossfake.plugin").lstrip(".")
    if backend in ("torch", "jax"):
        pytest.importorskip(backend)
    package = old.removesuffix(".layers")  # The package warns once for all its modules.
    with pytest.warns(DeprecationWarning, match="is removed in") as told:
        first, again = importlib.import_module(old), importlib.import_module(old)
    assert [str(w.message) for w in told] == [f"{package} is removed in the next version: import {new}"]
    assert first is again is sys.modules[first.__name__]
    assert first.__spec__.name == first.__name__ != old
    assert getattr(first, name) is getattr(importlib.import_module(new), name)


def test_the_warning_points_at_the_importing_line(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import os\nfrom crossfake.benchmark import types\n")
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=True)
    assert f"{file}:2: DeprecationWarning: crossfake.benchmark.types is removed" in done.stderr


def test_what_was_pickled_under_an_old_path_is_read():
    packed = pickle.dumps(LostFrame(3, "broken"), protocol=0).replace(b"benchmark.core.types", b"benchmark.types")
    assert b"crossfake.benchmark.types" in packed
    with pytest.warns(DeprecationWarning, match="import crossfake.plugin"):
        assert type(pickle.loads(packed)) is LostFrame


def test_other_names_stay_unknown():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'crossfake.benchmark.nothing'"):
        __import__("crossfake.benchmark.nothing")


def test_listing_and_using_the_projects_own_plugins_gives_no_warning():
    code = "from crossfake.benchmark.cli.main import main; main(['list'])"
    run = [sys.executable, "-W", "error:crossfake:DeprecationWarning", "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "caddm" in done.stdout
