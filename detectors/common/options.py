"""Options against the signature they are given to: unknown names, wrong types and ranges, in a line. No backend."""

from __future__ import annotations

import inspect
import json
import math
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from ...benchmark.core.errors import BenchError, make_unknown_error

UNKNOWN = inspect.Parameter.empty  # An annotation that says nothing.
OTHERS = "**"  # The name of options that may have any.
_YAML = {"an object": "a mapping {name: value}", "a valid array": "a list"}  # What JSON calls otherwise.


Options = Mapping[str, Any]
"""What a detector passes on to its network or sampler, as YAML gives it. Whoever takes it checks names and values."""


class Option(NamedTuple):
    """What may be given: its annotation, and a value to show as an example."""

    kind: Any = UNKNOWN
    example: Any = None


def list_options(maker: Callable[..., Any], *, keyword_only: bool = False) -> dict[str, Option]:
    """Return the options of a class or function by its signature, or only those that must be named.

    Annotations that can't be resolved, such as names imported for type checkers only, are ignored.
    """
    try:
        signature = inspect.signature(maker, eval_str=True)
    except Exception:  # A user's annotation may be any expression.
        signature = inspect.signature(maker)
    found = {}
    for name, p in signature.parameters.items():
        if p.kind is p.VAR_KEYWORD:
            found[OTHERS] = Option()
        elif p.kind is p.KEYWORD_ONLY or (p.kind is p.POSITIONAL_OR_KEYWORD and not keyword_only):
            found[name] = Option(UNKNOWN if isinstance(p.annotation, str) else p.annotation, p.default)
    return found


def tabulate_options(maker: Callable[..., Any], given: Mapping[str, object]) -> list[tuple[str, str, str]]:
    """Return name, type and default of each option, as people read them; `given`: the defaults of a card."""
    return [
        (name, _name_kind(option.kind), _name_default(given.get(name, option.example)))
        for name, option in list_options(maker).items()
        if name != OTHERS
    ]


def _name_kind(kind: Any) -> str:
    if kind is UNKNOWN:
        return ""
    plain = isinstance(kind, type) and not get_args(kind)
    return kind.__name__ if plain else re.sub(r"\b(typing|collections\.abc)\.", "", str(kind))


def _name_default(value: object) -> str:
    return "" if value is UNKNOWN else json.dumps(value, default=str)


def check_options(who: str, given: Mapping[str, object], known: Mapping[str, Option], within: str = "") -> None:
    """Check names and types of what is given.

    Args:
        who: what takes the options, such as `caddm`.
        given: values by name, as YAML or a caller gives them.
        known: see `list_options`.
        within: the option that holds these, where they aren't options of their own.

    Raises:
        BenchError: one isn't known, or its value isn't of its annotation's type.
    """
    for name, value in given.items():
        if name not in known and OTHERS in known:
            continue
        if name not in known:
            problem, its = f"{who} has no {within or 'option'} '{name}'", f"Its {within or 'options'}"
            raise make_unknown_error(problem, str(name), known, f"{its}: {', '.join(known) or 'none'}")
        option = known[name]
        if expected := describe_misfit(value, option.kind):
            raise make_value_error(who, f"{within}.{name}".lstrip("."), value, expected, option.example)


def describe_misfit(value: Any, kind: Any) -> str:
    """Say what a value has to be for an annotation, such as `a valid integer`; empty where it is that.

    Values are taken as YAML gives them (lists for tuples), or a caller (numpy's numbers). Annotations that pydantic
    doesn't know are none of our business.
    """
    if kind in (UNKNOWN, Any):
        return ""
    try:
        TypeAdapter(kind).validate_json(json.dumps(value, default=lambda v: v.tolist()), strict=True)
    except ValidationError as error:
        _, said, expected = error.errors()[0]["msg"].partition("Input should be ")
        return _YAML.get(expected, expected) if said else str(kind)
    except (AttributeError, TypeError, PydanticUserError):  # The value is no plain data, or the annotation no type.
        return ""
    return ""


def make_value_error(who: str, name: str, value: Any, expected: str, example: Any = None) -> BenchError:
    """Return the error for an option's value; `name` may be one within another, such as `recipe_args.partial`."""
    text = "null" if value is None else repr(value)
    shown = "{name: value}" if "{" in expected else "VALUE"
    if isinstance(example, bool | int | float | str | list | tuple):
        shown = example if isinstance(example, str) else json.dumps(example)
    outer, _, inner = name.partition(".")
    setting = shlex.quote(f"options.{outer}={{{inner}: {shown}}}" if inner else f"options.{outer}={shown}")
    cut = text if len(text) <= 60 else f"{text[:60]}..."
    return BenchError(f"{who}: {name} must be {expected}, got {cut}. Give it as --set {setting}")


def check_range(who: str, name: str, value: float, low: float, high: float = math.inf, example: Any = None) -> None:
    """Raise a BenchError unless low <= value <= high and the value is finite."""
    if not (low <= value <= high and math.isfinite(value)):
        expected = f"from {low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
        raise make_value_error(who, name, value, expected, example)


def check_multiple(who: str, name: str, value: int, step: int, least: int, example: int) -> None:
    """Raise a BenchError unless the value is a multiple of `step`, from `least` on."""
    if value % step or value < least:
        expected = f"a multiple of {step} from {least} on" if step > 1 else f"{least} or more"
        raise make_value_error(who, name, value, expected, example)
