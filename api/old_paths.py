"""Import paths of the last version. They are removed in the next one: then delete this module and its import.

Importing an old path warns once and gives the module at the new path, so that classes, pickles and `isinstance` work.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from importlib.machinery import ModuleSpec
from types import ModuleType

# Old paths, their new ones, and what to import instead.
OLD_PATHS = {
    "crossfake.benchmark.config": ("crossfake.benchmark.core.settings", "crossfake.plugin"),
    "crossfake.benchmark.errors": ("crossfake.benchmark.core.errors", "crossfake.plugin"),
    "crossfake.benchmark.fairness": ("crossfake.benchmark.stats.fairness_metrics",) * 2,
    "crossfake.benchmark.registry": ("crossfake.benchmark.core.registry", "crossfake.plugin"),
    "crossfake.benchmark.types": ("crossfake.benchmark.core.types", "crossfake.plugin"),
    "crossfake.detectors.crops": ("crossfake.detectors.common.crops", "crossfake.plugin"),
    "crossfake.detectors.jax_detector": ("crossfake.detectors.common_jax.detector", "crossfake.plugin.jax"),
    "crossfake.detectors.jax_networks": ("crossfake.detectors.common_jax", "crossfake.plugin.jax"),
    "crossfake.detectors.torch_detector": ("crossfake.detectors.common_torch.detector", "crossfake.plugin.torch"),
}


class OldPathFinder:
    """Finds the modules above and those inside the packages above. It is a finder and its own loader."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return a spec for an old path, None for any other."""
        package = name.rpartition(".")[0]
        return ModuleSpec(name, self) if name in OLD_PATHS or package in OLD_PATHS else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make an empty module, which `exec_module` replaces."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the new module under the old path. Warns, but only once per package."""
        old = module.__name__
        if old in OLD_PATHS:
            new, instead = OLD_PATHS[old]
            warnings.warn(f"{old} is removed in the next version: import {instead}", DeprecationWarning, stacklevel=2)
        else:
            package, _, name = old.rpartition(".")
            new = f"{OLD_PATHS[package][0]}.{name}"
        sys.modules[old] = importlib.import_module(new)


def install() -> None:
    """Put this finder before those that search folders, which would load an old package's modules twice."""
    sys.meta_path.insert(0, OldPathFinder())
