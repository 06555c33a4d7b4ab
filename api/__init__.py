"""crossfake: trained on A, how well does a deepfake detector do on B, C and D, for whom does it fail, and how fast?

Import it as `crossfake`; `crossfake.plugin` is what authors of detectors and datasets import.
"""

from __future__ import annotations

from pathlib import Path

from .old_paths import install as _install_old_paths

__version__ = "0.1.0"

_ROOT = Path(__file__).resolve().parents[1]
# In a source tree this folder is api/ and the other packages lie beside it. Setuptools' editable hook does not serve
# those without an __init__.py (configs, datasets), so the tree itself must be searched too. A wheel needs no help.
if (_ROOT / "pyproject.toml").is_file() and (_ROOT / "benchmark").is_dir():
    __path__.append(str(_ROOT))

_install_old_paths()
