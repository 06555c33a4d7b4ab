"""YAML for recipes: plain data without aliases, of limited size and depth, every key once, finite numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from ..errors import BenchError
from .json_files import MOST_DEPTH
from .text import read_text, shorten

MOST_BYTES = 2**20


class _PlainLoader(yaml.SafeLoader):
    """Refuses what lets a small file stand for a large or endless one, and what would be lost in silence."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.MarkedYAMLError(problem=f"aliases (*{event.anchor}) aren't taken", problem_mark=event.start_mark)
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise yaml.YAMLError(f"it is nested more than {MOST_DEPTH} levels deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in seen:
                problem = f"the key '{shorten(name[1])}' stands twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Read a YAML file of at most 1 MiB; None where it is empty.

    Raises:
        BenchError: it can't be read or isn't plain YAML; one line that names the file.
    """
    return parse_yaml(read_text(path, MOST_BYTES), str(path))


def parse_yaml(text: str, name: str) -> Any:
    """Parse YAML: text, numbers, lists, mappings.

    Raises:
        BenchError: it isn't YAML, has aliases, a key twice, more than 100 levels, or a number that isn't finite.
    """
    try:
        content = yaml.load(text, _PlainLoader)  # A SafeLoader; makes plain data only.
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise BenchError(f"{name} is not YAML: {shorten(error.problem or error)}{line}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise BenchError(f"{name} is not YAML: {shorten(error)}") from None
    if not _is_finite(content):
        raise BenchError(f"{name} holds a number that isn't finite (.inf or .nan)")
    return content


def _is_finite(content: Any) -> bool:
    if isinstance(content, dict):
        return all(map(_is_finite, content.values()))
    if isinstance(content, list):
        return all(map(_is_finite, content))
    return not isinstance(content, float) or math.isfinite(content)
