"""YAML for recipes: plain data of limited size and depth after expanding aliases; unique keys, finite numbers."""

from __future__ import annotations

import math
from collections.abc import Hashable
from pathlib import Path

import yaml

from ..errors import BenchError
from .json_files import MOST_DEPTH
from .text import read_text, shorten

MOST_BYTES, MOST_VALUES = 2**20, 100_000


class _PlainLoader(yaml.SafeLoader):
    """Refuses a small file that expands to a large or endless one, and values that would be lost silently."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise yaml.YAMLError(f"it is nested more than {MOST_DEPTH} levels deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def compose_document(self) -> yaml.Node | None:
        node = super().compose_document()
        _measure(node, {})
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen = set()
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in seen:
                problem = f"the key '{shorten(name[1])}' is given twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _measure(node: yaml.Node | None, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Return how many values a node has once its aliases are expanded, and how deeply they are nested.

    Raises:
        YAMLError: too many, too deep, or a node that contains itself.
    """
    if id(node) in known:
        found = known[id(node)]
        if found is None:
            raise yaml.YAMLError("an alias contains itself")
        return found
    known[id(node)] = None
    children = node.value if isinstance(node, yaml.CollectionNode) else []
    inner = [_measure(c, known) for child in children for c in (child if isinstance(child, tuple) else (child,))]
    count, depth = 1 + sum(n for n, _ in inner), 1 + max((d for _, d in inner), default=0)
    if count > MOST_VALUES or depth > MOST_DEPTH:
        what = f"{MOST_VALUES:,} values" if count > MOST_VALUES else f"{MOST_DEPTH} levels"
        raise yaml.YAMLError(f"it has more than {what} once its aliases are expanded")
    known[id(node)] = count, depth
    return count, depth


def read_yaml(path: Path) -> object:
    """Read a YAML file of at most 1 MiB; None if it is empty.

    Raises:
        BenchError: it can't be read or isn't plain YAML; one line that names the file.
    """
    return parse_yaml(read_text(path, MOST_BYTES), str(path))


def parse_yaml(text: str, name: str) -> object:
    """Parse YAML: text, numbers, lists, mappings.

    Raises:
        BenchError: it isn't YAML, too large or deep once its aliases are written out, or has a key twice or a number
            that isn't finite.
    """
    try:
        content: object = yaml.load(text, _PlainLoader)  # a SafeLoader, which makes plain data only # nosec B506
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise BenchError(f"{name} is not YAML: {shorten(error.problem or error)}{line}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise BenchError(f"{name} is not YAML: {shorten(error)}") from None
    check_finite(content, name)
    return content


def check_finite(content: object, name: str) -> None:
    """Refuse infinite numbers and NaN, at any depth.

    Raises:
        BenchError: there is one.
    """
    if not _is_finite(content):
        raise BenchError(f"{name} holds a number that isn't finite (.inf or .nan)")


def _is_finite(content: object) -> bool:
    if isinstance(content, dict):
        return all(map(_is_finite, content.values()))
    if isinstance(content, list):
        return all(map(_is_finite, content))
    return not isinstance(content, float) or math.isfinite(content)
