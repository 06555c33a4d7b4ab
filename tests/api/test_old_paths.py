"""What the last version's documents import still works, and is the same as what the new ones import."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from importlib.util import find_spec

import pytest
from crossfake.benchmark.core.types import LostFrame

# What was documented, and what is now.
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

IMPORT_BOTH = """
import importlib, json, sys, warnings

warnings.simplefilter("always")
told = []
for old, name, new in json.loads(sys.argv[1]):
    with warnings.catch_warnings(record=True) as caught:
        first, again = importlib.import_module(old), importlib.import_module(old)
    assert first is again is sys.modules[first.__name__], old
    assert first.__spec__.name == first.__name__ != old
    assert getattr(first, name) is getattr(importlib.import_module(new), name)
    told.append([f"{w.category.__name__}: {w.message}" for w in caught])
print(json.dumps(told))
"""


def run_python(code: str, *argv: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_old_paths_give_the_same_objects_and_say_once_what_to_import():
    missing = {f"crossfake.plugin.{backend}" for backend in ("torch", "jax") if not find_spec(backend)}
    cases = [case for case in DOCUMENTED if case[2] not in missing]
    for (old, _, new), told in zip(cases, json.loads(run_python(IMPORT_BOTH, json.dumps(cases))), strict=True):
        package = old.removesuffix(".layers")  # Whose modules aren't told one by one.
        assert told == [f"DeprecationWarning: {package} goes with the next version: import {new}"]


def test_the_line_that_imports_is_the_one_that_is_told(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import os\nfrom crossfake.benchmark import types\n")
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=True)
    assert f"{file}:2: DeprecationWarning: crossfake.benchmark.types goes" in done.stderr


def test_what_was_pickled_under_an_old_path_is_read():
    packed = pickle.dumps(LostFrame(3, "broken"), protocol=0).replace(b"benchmark.core.types", b"benchmark.types")
    assert b"crossfake.benchmark.types" in packed
    with pytest.warns(DeprecationWarning, match="import crossfake.plugin"):
        assert type(pickle.loads(packed)) is LostFrame


def test_other_names_are_as_unknown_as_ever():
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'crossfake.benchmark.nothing'"):
        __import__("crossfake.benchmark.nothing")


def test_listing_and_using_the_projects_own_plugins_warns_of_nothing():
    code = "from crossfake.benchmark.cli.main import main; main(['list'])"
    run = [sys.executable, "-W", "error:crossfake:DeprecationWarning", "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "caddm" in done.stdout
