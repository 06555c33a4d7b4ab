"""Finds a network's weights in a checkpoint, inside wrappers or under prefixes, or explains why it can't."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from operator import attrgetter
from typing import Any, Protocol

from ...benchmark.core.errors import BenchError
from ...benchmark.core.readers import shorten

WRAPPERS = (
    *("network", "state_dict", "model_state_dict", "model", "net", "params", "weights", "module"),
    *("params_ema", "ema", "state_dict_ema", "ema_state_dict", "model_ema"),
)
"""Keys that weights are stored under. If several fit, the first is taken: trained before averaged weights."""
COUNTER = "num_batches_tracked"  # In batch norm; no score depends on it; PyTorch before 0.4.1 had none.
MOST_DEPTH, MOST_PREFIXES = 4, 8
NAMED = 3  # Names of each kind listed in an error.
_get_shape = attrgetter("shape")


Content = Mapping[Any, object]
"""The content of a checkpoint file: names and arrays, nested mappings of these, or anything else under any key."""


class Shaped(Protocol):
    """An array or tensor."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The size along each axis."""


@dataclass(frozen=True)
class Found:
    """A mapping of names to weights in a checkpoint.

    Args:
        place: the keys that lead to it; empty for the checkpoint itself.
        prefix: what was removed from every name.
        weights: by their remaining names.
    """

    place: tuple[str, ...]
    prefix: str
    weights: Content

    def describe(self) -> str:
        """Describe what was removed; empty if nothing was."""
        under = f"under {_quote('.'.join(self.place))}" if self.place else ""
        without = f"without the prefix {_quote(self.prefix)}" if self.prefix else ""
        return ", ".join(filter(None, (under, without)))


def find_weights(content: Content, expected: Mapping[str, Shaped]) -> tuple[Found, list[Found]]:
    """Return the weights in a checkpoint whose names come closest to those expected, and others that fit equally well.

    Wrappers are searched, and prefixes shared by all names are removed if more names then match.
    """
    found = [
        strip_prefix(Found(place, "", weights), expected) for place, weights in _iterate_mappings(content, (), set())
    ]
    ranked = sorted(found, key=lambda one: (_measure_distance(one.weights, expected), _rank_place(one.place)))
    if not ranked:
        return Found((), "", content), []
    best, fits = _measure_distance(ranked[0].weights, expected), not any(_list_names(ranked[0].weights, expected))
    return ranked[0], [one for one in ranked[1:] if fits and _measure_distance(one.weights, expected) == best]


def strip_prefix(found: Found, expected: Mapping[str, Shaped]) -> Found:
    """Remove a prefix of all names, such as `module._orig_mod.`, if more of them then match."""
    if not all(isinstance(name, str) for name in found.weights):
        return found
    paths = [name.split(".", MOST_PREFIXES)[:-1] for name in found.weights]
    # A prefix shared by the first and last name in sorted order is shared by all.
    common = [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(min(paths), max(paths), strict=False))]
    prefixes = ["", *(".".join(common[:n]) + "." for n in range(1, len(common) + 1))]
    best = max(prefixes, key=lambda prefix: sum(name[len(prefix) :] in expected for name in found.weights))
    return Found(found.place, best, {name[len(best) :]: value for name, value in found.weights.items()})


def check_fit(given: Content, expected: Mapping[str, Shaped], weights_name: str) -> None:
    """Check that names and shapes are as expected; batch norm's counters may be missing.

    Raises:
        BenchError: they aren't; one line with the first of each kind.
    """
    if differences := _list_differences(given, expected):
        raise BenchError(
            f"{weights_name} is a checkpoint of another architecture: of {len(expected)} keys expected and "
            f"{len(given)} found, {'; '.join(differences)}. Check --detector and its options"
        )


def tell_found(found: Found, others: list[Found], weights_name: str) -> str:
    """Return a line that says what was removed, and what else would have fit; empty if there is nothing to say."""
    if not (found.place or found.prefix or others):
        return ""
    line = f"{weights_name}: took the weights {found.describe() or 'at the top level'}"
    if not others:
        return line
    named = " and ".join(one.describe() for one in others)
    return f"{line}; those {named} would fit as well: to use them, save them to a separate file"


def _iterate_mappings(
    content: Content, place: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], Content]]:
    """Yield each mapping that holds more than just mappings, once, with the keys that lead to it."""
    seen.add(id(content))
    if any(not isinstance(value, Mapping) for value in content.values()):
        yield place, content
    for name, value in content.items() if len(place) < MOST_DEPTH else ():
        if isinstance(name, str) and isinstance(value, Mapping) and id(value) not in seen:
            yield from _iterate_mappings(value, (*place, name), seen)


def _measure_distance(weights: Content, expected: Mapping[str, Shaped]) -> tuple[int, int, int]:
    """Return the number of names, and then shapes, that don't match; the same for all if no name does."""
    known = [name for name in weights if name in expected and not name.endswith(COUNTER)]
    other = sum(_shape(weights[name]) != _shape(expected[name]) for name in known)
    return (-len(known), len(_list_names(weights, expected)[1]), other) if known else (0, 0, 0)


def _rank_place(place: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(WRAPPERS.index(name) if name in WRAPPERS else len(WRAPPERS) + 1 for name in place) or (len(WRAPPERS),)


def _list_differences(given: Content, expected: Mapping[str, Shaped]) -> list[str]:
    """Return how many names are missing, unknown or of another shape, with the first few."""
    missing, unknown = _list_names(given, expected)
    shapes = [
        f"{k}, {_shape(given[k])} instead of {_shape(expected[k])}"
        for k in expected
        if k in given and _shape(given[k]) != _shape(expected[k])
    ]
    kinds = (("keys missing", missing), ("keys not known", unknown), ("of another shape", shapes))
    return [f"{len(keys)} {what} (first: {_name_first(keys)})" for what, keys in kinds if keys]


def _list_names(given: Content, expected: Mapping[str, Shaped]) -> tuple[list[str], list[object]]:
    """Return the names that are missing (except counters) and those that are unknown."""
    missing = [name for name in expected if name not in given and not name.endswith(COUNTER)]
    return missing, [name for name in given if name not in expected]


def _shape(value: object) -> tuple[int, ...] | None:
    """Return the shape of an array or tensor; None for anything else."""
    try:
        return tuple(_get_shape(value))
    except (AttributeError, TypeError, RuntimeError):  # torch's nested tensors have no shape and raise.
        return None


def _name_first(keys: Sequence[object]) -> str:
    return ", ".join(shorten(key) for key in keys[:NAMED])


def _quote(text: str) -> str:
    return f"'{shorten(text)}'"
