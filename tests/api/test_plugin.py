from __future__ import annotations

import importlib
import subprocess
import sys
from types import ModuleType

import pytest


def test_it_imports_no_backend():
    code = "import sys, crossfake.plugin; sys.exit(', '.join({'torch', 'jax', 'timm', 'flax'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["crossfake.plugin", "crossfake.plugin.torch", "crossfake.plugin.jax"])
def test_all_that_it_offers_is_listed(name):
    if name != "crossfake.plugin":
        pytest.importorskip(name.rpartition(".")[2])
    module = importlib.import_module(name)
    names = {n for n, v in vars(module).items() if not n.startswith("_") and not isinstance(v, ModuleType)}
    assert set(module.__all__) == names - {"annotations"}


def test_these_names_stay():
    """Names may be added; one that is taken away breaks the plugins that import it."""
    from crossfake import plugin

    stable = """
        detectors datasets Video Face Picture TrainSample BoxCrop FaceSettings TrainSettings BenchError REAL FAKE SPLITS
        Scores CutsCrops LoadsWeights SavesWeights MakesSamples Trainable TrainingSession Sampler Cropper Dataset
        find_home need_file read_json list_video_files finish_listing hold_out
    """
    assert set(stable.split()) <= set(plugin.__all__)
