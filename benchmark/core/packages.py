"""Which optional packages are installed: a folder that happens to have a package's name doesn't count."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path


def find_package(name: str) -> ModuleSpec | None:
    """Return where an installed package is, without importing it; None if it isn't installed.

    Python treats folders in its working folder as packages, even one called `ray`.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:  # Without code: Python would import any folder like this.
        return None
    own = Path.cwd() / name
    return spec if Path(spec.origin) not in (own / "__init__.py", own.with_suffix(".py")) else None
