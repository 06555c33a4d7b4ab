"""Typed content of our JSON files: each is written and read with the same model."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Annotated, Self, TypeGuard, overload

from pydantic import BaseModel, ConfigDict, JsonValue, PlainSerializer, PlainValidator, ValidationError

from .errors import BenchError
from .readers import read_json
from .readers.json_files import MOST_BYTES
from .types import Estimate

__all__ = ["EstimateField", "JsonValue", "Record", "as_json", "describe_flaw", "list_set_fields"]


class Record(BaseModel):
    """A part of a JSON file. Unknown keys are kept; fields that were never set aren't written."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="allow", frozen=True, populate_by_name=True)

    def to_json(self) -> dict[str, JsonValue]:
        """Return the record as plain data, with the file's keys."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @classmethod
    def read(cls, path: Path, hint: str, most: int = MOST_BYTES) -> Self:
        """Read a file of at most `most` bytes that holds one record; `hint` says what to do if it doesn't.

        Raises:
            BenchError: it is not JSON, or lacks a field; names the file and the place in it.
        """
        content = read_json(path, dict, hint, most)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise BenchError(f"{path}: {describe_flaw(error)}. {hint}") from None

    def merge(self, other: Self) -> Self:
        """Return this record, updated with the fields that `other` sets."""
        return self.model_copy(update={name: getattr(other, name) for name in other.model_fields_set})

    def without(self, names: Collection[str]) -> Self:
        """Return this record with some fields unset."""
        kept = {name: getattr(self, name) for name in self.model_fields_set if name not in names}
        return type(self).model_validate(kept)


def list_set_fields(record: Record) -> list[tuple[str, object]]:
    """Return the fields that were set and the unknown keys, with what they hold, in the order of the model."""
    known = record.model_fields_set
    return [
        *((name, held) for name, held in vars(record).items() if name in known),
        *(record.model_extra or {}).items(),
    ]


def describe_flaw(error: ValidationError, skip: int = 0) -> str:
    """Describe the first flaw in one line, without the first `skip` parts of its place, and count the others."""
    found = error.errors(include_url=False)
    more = f" (and {len(found) - 1} more flaws)" if len(found) > 1 else ""
    place = ".".join(map(str, found[0]["loc"][skip:]))
    return f"{place + ': ' if place else ''}{found[0]['msg'].lower()}{more}"


class _Number(Record):
    """An Estimate as it is written to files."""

    value: float | None
    lo: float | None
    hi: float | None
    n: int
    note: str = ""


_NOTED = {"value", "lo", "hi", "n", "note"}


def _read_estimate(content: object) -> Estimate:
    if type(content) is dict and (plain := _read_plain(content)):
        return plain
    if isinstance(content, Estimate):
        return content
    e = _Number.model_validate(content)
    return Estimate(e.value, e.lo, e.hi, e.n, e.note)


def _read_plain(content: dict[str, object]) -> Estimate | None:
    """Parse an estimate in its usual forms, in a third of the time; None if it needs full validation."""
    get = content.get
    value, lo, hi, n = get("value"), get("lo"), get("hi"), get("n")
    if type(value) is float and type(lo) is float and type(hi) is float and type(n) is int and len(content) == 4:
        return Estimate(value, lo, hi, n) if isfinite(value + lo + hi) else None
    note = get("note")
    if type(n) is not int or type(note) is not str or lo is not None or hi is not None or content.keys() != _NOTED:
        return None
    return Estimate(value, None, None, n, note) if value is None or _is_finite_float(value) else None


def _is_finite_float(value: object) -> TypeGuard[float]:
    return type(value) is float and isfinite(value)


def _write_estimate(e: Estimate) -> dict[str, JsonValue]:
    plain: dict[str, JsonValue] = {"value": e.value, "lo": e.lo, "hi": e.hi, "n": e.n}
    return plain | ({"note": e.note} if e.note else {})


EstimateField = Annotated[Estimate, PlainValidator(_read_estimate), PlainSerializer(_write_estimate)]
"""An Estimate; in files it is `{"value", "lo", "hi", "n"[, "note"]}`."""


@overload
def as_json(content: Mapping[str, object]) -> dict[str, JsonValue]: ...
@overload
def as_json(content: object) -> JsonValue: ...
def as_json(content: object) -> JsonValue:
    """Turn Records and Estimates into plain data, at any depth of mappings and sequences."""
    if isinstance(content, Estimate):
        return _write_estimate(content)
    if isinstance(content, Record):
        return content.to_json()
    if isinstance(content, Mapping):
        return {str(k): as_json(v) for k, v in content.items()}
    if content is None or isinstance(content, str | int | float | bool):
        return content
    if isinstance(content, Sequence):
        return [as_json(v) for v in content]
    raise TypeError(f"{type(content).__name__} can't be written as JSON")
