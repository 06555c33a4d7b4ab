"""What a scorecard or a failure has to have for a board to be made of it; there may be more."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from .types import Estimate


class _Part(BaseModel):
    """A part of a card."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Number(_Part):
    value: float | None
    lo: float | None
    hi: float | None
    n: int
    note: str = ""


class _Cell(_Part):
    detector: str
    name: str
    backend: str
    train: str
    test: str
    seed: int
    limit: int | None
    frames: int
    world: str
    protocol: str
    weights: str
    selection: str
    options: dict[str, Any]
    recipe_key: str
    train_key: str
    test_key: str


class _Commit(_Part):
    id: str = ""
    dirty: bool = False


class _Provenance(_Part):
    command: str
    time: datetime | None = Field(None, strict=False)
    commit: _Commit = _Commit()
    packages: dict[str, str] = {}
    machine: dict[str, str | int | None] = {}
    python: str = ""


class _Group(_Part):
    n_real: int
    n_fake: int
    left_out: str = ""
    auc: _Number = Field(alias="video.auc")


class _Method(_Part):
    n_fake: int
    auc: _Number = Field(alias="video.auc")


class _Dropped(_Part):
    video: str
    reason: str


class _Coverage(_Part):
    official: int
    scored: int
    dropped: list[_Dropped]


class _Threshold(_Part):
    value: float
    rule: str


class _Score(_Part):
    draws: int


class _Failure(_Part):
    kind: Literal["failure"]
    status: Literal["failed", "skipped"]
    error: str
    cell: _Cell
    provenance: _Provenance | None = None


class _Scorecard(_Part):
    kind: Literal["scorecard"]
    status: Literal["done"]
    cell: _Cell
    metrics: dict[str, _Number]
    methods: dict[str, _Method]
    groups: dict[str, dict[str, _Group]]
    curves: dict[str, Any]
    threshold: _Threshold
    score: _Score
    coverage: _Coverage
    throughput: dict[str, float | None] | None = None
    params: int | None = None
    flops: int | None = None
    faces: str | None = None
    artifacts: dict[str, list[Any]] = {}
    temperature: float | None = None
    provenance: _Provenance | None = None
    predictions: str = ""
    predictions_sha256: str = ""
    validation: str | None = None


_SHAPE: TypeAdapter[_Scorecard | _Failure] = TypeAdapter(Annotated[_Scorecard | _Failure, Field(discriminator="kind")])


def find_flaw(card: dict[str, Any]) -> str:
    """Say the first thing that is wrong with a card of today's schema, and how many more; empty if nothing is."""
    try:
        _SHAPE.validate_python(card)
    except ValidationError as error:
        found = error.errors()
        more = f" (and {len(found) - 1} more flaws)" if len(found) > 1 else ""
        return f"{'.'.join(map(str, found[0]['loc'][1:]))}: {found[0]['msg'].lower()}{more}"
    return ""


SCHEMA_VERSION = 3


def as_json(content: Any) -> Any:
    """Turn Estimates into `{"value", "lo", "hi", "n"[, "note"]}` dicts, at any depth."""
    if isinstance(content, Estimate):
        plain = {"value": content.value, "lo": content.lo, "hi": content.hi, "n": content.n}
        return plain | ({"note": content.note} if content.note else {})
    if isinstance(content, dict):
        return {k: as_json(v) for k, v in content.items()}
    return [as_json(v) for v in content] if isinstance(content, list) else content


Card = dict[str, Any]


def read_operating_point(card: Card) -> tuple[float | None, float | None]:
    """Return the threshold and temperature that a scorecard was made with; None where it had none."""
    threshold = card["threshold"]
    return None if threshold["rule"] == "0.5" else threshold["value"], card.get("temperature")


Number = dict[str, Any]  # An Estimate as JSON: value, lo, hi, n and perhaps a note.
