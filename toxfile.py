"""Lets tox find pyenv's interpreters: often they are not on the PATH, or only as shims that don't start."""

import os
from pathlib import Path

_PYENV = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
_FOLDERS = sorted(map(str, _PYENV.glob("versions/3.1[1-9]*/bin")))
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), *_FOLDERS])
