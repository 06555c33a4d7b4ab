from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typing_extensions import get_protocol_members, is_protocol


def test_it_imports_no_backend():
    code = "import sys, crossfake.plugin; sys.exit(', '.join({'torch', 'jax', 'timm', 'flax'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["crossfake.plugin", "crossfake.plugin.torch", "crossfake.plugin.jax"])
def test_everything_it_offers_is_listed(name):
    if name != "crossfake.plugin":
        pytest.importorskip(name.rpartition(".")[2])
    module = importlib.import_module(name)
    names = {n for n, v in vars(module).items() if not n.startswith("_") and not isinstance(v, ModuleType)}
    assert set(module.__all__) == names - {"annotations"}


def test_these_names_stay():
    """Names may be added; removing one breaks the plugins that import it."""
    from crossfake import plugin

    stable = """
        detectors datasets Video Face Picture TrainSample BoxCrop FaceSettings TrainSettings BenchError REAL FAKE SPLITS
        Scores CutsCrops LoadsWeights SavesWeights MakesSamples Trainable TrainingSession Sampler Cropper Dataset
        find_home need_file read_json list_video_files finish_listing hold_out
    """
    assert set(stable.split()) <= set(plugin.__all__)


def test_the_page_names_every_contract_and_its_methods():
    """Methods that a Protocol inherits from another are listed in that one's row."""
    from crossfake import plugin

    page = (Path(__file__).resolve().parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
    contracts = {n: c for n in plugin.__all__ if is_protocol(c := getattr(plugin, n))}
    assert set(re.findall(r"^\| `([A-Z]\w+)` \|", page, re.MULTILINE)) == set(contracts)
    methods = {m for contract in contracts.values() for m in get_protocol_members(contract)} - {"__call__"}
    assert methods <= set(re.findall(r"`(\w+)[(`]", page))


def test_detector_capabilities_can_be_named():
    from crossfake import plugin
    from crossfake.benchmark.core.contracts import CAPABILITIES

    assert {contract.__name__ for contract in CAPABILITIES.values()} <= set(plugin.__all__)
