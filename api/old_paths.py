"""Import paths that the last version documented. They go with the next one: then delete this module and its import.

Importing an old path gives the very module that has the name's place now, so that classes, pickles and `isinstance`
can't tell the difference, and warns once.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from importlib.machinery import ModuleSpec
from types import ModuleType

# What an old path is now, and what its users should import in its place.
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
    """Finds the modules above, and those within the packages above. A finder and its own loader."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return a spec for an old path, None for any other."""
        package = name.rpartition(".")[0]
        return ModuleSpec(name, self) if name in OLD_PATHS or package in OLD_PATHS else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make an empty module, which `exec_module` replaces."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the module of the new place under the old path. Warns, but not again for what is within a package."""
        old = module.__name__
        if old in OLD_PATHS:
            new, instead = OLD_PATHS[old]
            warnings.warn(f"{old} is removed in the next version: import {instead}", DeprecationWarning, stacklevel=2)
        else:
            package, _, name = old.rpartition(".")
            new = f"{OLD_PATHS[package][0]}.{name}"
        sys.modules[old] = importlib.import_module(new)


def install() -> None:
    """Ask this finder before those that look in folders, which would load an old package's modules a second time."""
    sys.meta_path.insert(0, OldPathFinder())
