"""What a run writes to its folder besides results: what it is, where it was computed, and why it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import yaml

from ..core.device_use import DeviceUse
from ..core.migrations import SCHEMA_VERSION
from ..core.readers import read_json
from ..core.scorecard import Failure
from ..core.storage import FAILURE, write_json, write_text
from .cells import Cell

if TYPE_CHECKING:
    from .runner import RunOptions

PROVENANCE = "provenance.json"


def describe_run(cell: Cell, options: RunOptions) -> None:
    """On first use, write the run's description to its folder: settings, plan, provenance."""
    if (cell.folder / PROVENANCE).is_file():
        return
    write_text(cell.folder / "config.yaml", yaml.safe_dump(cell.settings.model_dump(mode="json"), sort_keys=False))
    write_json(cell.folder / "plan.json", cell.describe().to_json() | {"key_content": cell.train_content()})
    write_json(
        cell.folder / PROVENANCE,
        options.make_provenance().to_json()
        | {"seed": cell.seed, "train_home": str(cell.train.home) if cell.train else None}
        | {"test_home": str(cell.test.home)},
    )


def note_device(cell: Cell, device: DeviceUse) -> None:
    """Add the scoring device to a run's provenance, the first time that it scores."""
    path = cell.folder / PROVENANCE
    known = read_json(path, dict, "Remove it") if path.is_file() else {}
    if "device" not in known:
        write_json(path, known | {"device": device.to_json()})


def record_failure(
    cell: Cell, options: RunOptions, error: str, status: Literal["failed", "skipped"] = "failed"
) -> Failure:
    """Report that a cell failed, and record it in its folder."""
    options.reporter.say(f"{status.upper()} {cell.title}: {error}")
    failure = Failure(
        schema_version=SCHEMA_VERSION,
        kind="failure",
        status=status,
        error=error,
        cell=cell.describe(),
        provenance=options.make_provenance(),
    )
    write_json(cell.test_folder / FAILURE, failure.to_json())
    return failure
