"""Checks options against a signature: unknown names, wrong types and ranges, reported in one line. No backend."""

from __future__ import annotations

import inspect
import json
import math
import re
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from ...benchmark.core.errors import BenchError, make_unknown_error

UNKNOWN = inspect.Parameter.empty  # A missing annotation.
OTHERS = "**"  # Stands for options of any name.
_YAML = {"an object": "a mapping {name: value}", "a valid array": "a list"}  # JSON's words, as YAML users know them.

Made = TypeVar("Made")
Options = Mapping[str, object]
"""What a detector passes on to its network or sampler, as read from YAML. The receiver checks names and values."""


class Option(NamedTuple):
    """An option that may be set: its annotation, and a value to show as an example."""

    kind: object = UNKNOWN
    example: object = None


def list_options(maker: Callable[..., object], *, keyword_only: bool = False) -> dict[str, Option]:
    """Return the options in the signature of a class or function, or only the keyword-only ones.

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


def tabulate_options(maker: Callable[..., object], given: Mapping[str, object]) -> list[tuple[str, str, str]]:
    """Return each option's name, type and default as readable text; `given`: the defaults of a card."""
    return [
        (name, _name_kind(option.kind), _name_default(given.get(name, option.example)))
        for name, option in list_options(maker).items()
        if name != OTHERS
    ]


def _name_kind(kind: object) -> str:
    if kind is UNKNOWN:
        return ""
    if isinstance(kind, type) and not get_args(kind):
        return kind.__name__
    return re.sub(r"\b(typing|collections\.abc)\.", "", str(kind))


def _name_default(value: object) -> str:
    return "" if value is UNKNOWN else json.dumps(value, default=str)


def check_options(who: str, given: Mapping[str, object], known: Mapping[str, Option], within: str = "") -> None:
    """Check the names and types of options.

    Args:
        who: what the options are for, such as `caddm`.
        given: values by name, as YAML or a caller gives them.
        known: see `list_options`.
        within: the option that contains these, if they aren't options themselves.

    Raises:
        BenchError: one is unknown, or its value doesn't match its annotation.
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


def bind_options(maker: Callable[..., Made], options: Options) -> Callable[..., Made]:
    """Return a class or function with options that `check_options` has compared with its signature."""
    return partial(maker, **options)


def describe_misfit(value: object, kind: Any) -> str:
    """Describe what an annotation expects, such as `a valid integer`; empty if the value matches.

    Values may come from YAML (lists for tuples) or from a caller (NumPy numbers). Annotations that pydantic doesn't
    know aren't checked.
    """
    if kind in (UNKNOWN, Any):
        return ""
    try:
        TypeAdapter(kind).validate_json(json.dumps(value, default=lambda v: v.tolist()), strict=True)
    except ValidationError as error:
        _, said, expected = error.errors()[0]["msg"].partition("Input should be ")
        return _YAML.get(expected, expected) if said else str(kind)
    except (AttributeError, TypeError, PydanticUserError):  # Value isn't plain data, or annotation isn't a type.
        return ""
    return ""


def make_value_error(who: str, name: str, value: object, expected: str, example: object = None) -> BenchError:
    """Return the error for an option's value; `name` may be nested, such as `recipe_args.partial`."""
    text = "null" if value is None else repr(value)
    shown = "{name: value}" if "{" in expected else "VALUE"
    if isinstance(example, bool | int | float | str | list | tuple):
        shown = example if isinstance(example, str) else json.dumps(example)
    outer, _, inner = name.partition(".")
    setting = shlex.quote(f"options.{outer}={{{inner}: {shown}}}" if inner else f"options.{outer}={shown}")
    cut = text if len(text) <= 60 else f"{text[:60]}..."
    return BenchError(f"{who}: {name} must be {expected}, got {cut}. Give it as --set {setting}")


def check_range(who: str, name: str, value: float, low: float, high: float = math.inf, example: object = None) -> None:
    """Raise a BenchError unless low <= value <= high and the value is finite."""
    if not (low <= value <= high and math.isfinite(value)):
        expected = f"from {low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
        raise make_value_error(who, name, value, expected, example)


def check_multiple(who: str, name: str, value: int, step: int, least: int, example: int) -> None:
    """Raise a BenchError unless the value is a multiple of `step` and at least `least`."""
    if value % step or value < least:
        expected = f"a multiple of {step}, at least {least}" if step > 1 else f"{least} or more"
        raise make_value_error(who, name, value, expected, example)
