"""Which optional packages are installed: a folder that happens to bear a package's name is none."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path


def find_package(name: str) -> ModuleSpec | None:
    """Return where an installed package is, without importing it; None where it isn't installed.

    Python takes what lies in the folder where it is started for packages: a folder called `ray`, too.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:  # Without code of its own: Python would import any folder so.
        return None
    own = Path.cwd() / name
    return spec if Path(spec.origin) not in (own / "__init__.py", own.with_suffix(".py")) else None
