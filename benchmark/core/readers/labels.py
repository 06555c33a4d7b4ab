"""Labels in the spellings that people use."""

from __future__ import annotations

from ..types import FAKE, REAL

LABELS = {"0": REAL, "0.0": REAL, "false": REAL, "real": REAL, "1": FAKE, "1.0": FAKE, "true": FAKE, "fake": FAKE}


def parse_label(value: object) -> int | None:
    """Return 0 (real) or 1 (fake) for 0, 1, 0.0, true, `REAL` and similar; None for anything else."""
    return LABELS.get(str(value).strip().casefold()) if isinstance(value, str | int | float) else None
