"""crossfake: trained on A, how well does a deepfake detector do on B, C and D, for whom does it fail, and how fast?

The functions below are the Python API, listed in docs/api.md; the command line calls them too. Importing them takes
milliseconds: their dependencies are imported when they are called. `crossfake.plugin` is for authors of detectors and
datasets.
"""

from __future__ import annotations

import os
from pathlib import Path

from .data import check_data, export_for_papers, fairness_power, list_datasets, load_faces, prepare, render_demo
from .detecting import (
    ModelCard,
    PluginInfo,
    check_plugin,
    describe,
    describe_checkpoint,
    list_detectors,
    list_published,
    load_detector,
    predict,
    predict_dataset,
    probe_identity,
    wrap_model,
)
from .evaluating import evaluate
from .measuring import measure_speed
from .old_paths import install as _install_old_paths
from .reproducing import reproduce
from .running import Plan, Results, plan, run, train
from .scoring import check_entries, compare, leaderboard, score, show, submit

__all__ = [
    "ModelCard",
    "Plan",
    "PluginInfo",
    "Results",
    "check_data",
    "check_entries",
    "check_plugin",
    "compare",
    "describe",
    "describe_checkpoint",
    "evaluate",
    "export_for_papers",
    "fairness_power",
    "leaderboard",
    "list_datasets",
    "list_detectors",
    "list_published",
    "load_detector",
    "load_faces",
    "measure_speed",
    "plan",
    "predict",
    "predict_dataset",
    "prepare",
    "probe_identity",
    "render_demo",
    "reproduce",
    "run",
    "score",
    "show",
    "submit",
    "train",
    "wrap_model",
]

__version__ = "0.2.0"

# A size limit for pictures whose header crossfake doesn't check itself. Must be set before importing OpenCV.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "100000000")

_ROOT = Path(__file__).resolve().parents[1]
# In a source tree this folder is api/, next to the other packages. Setuptools' editable hook doesn't cover those
# without an __init__.py (configs, datasets), so the tree itself must be searched too. A wheel doesn't need this.
if (_ROOT / "pyproject.toml").is_file() and (_ROOT / "benchmark").is_dir():
    __path__.append(str(_ROOT))

_install_old_paths()
