"""How a PyTorch network is run for scoring: by torch itself, compiled, or exported to ONNX Runtime or OpenVINO.

Nothing here imports torch or a runtime before one is used.
"""

from __future__ import annotations

from typing import NamedTuple

from ...benchmark.core.contracts import Scores, TakesRuntime
from ...benchmark.core.errors import BenchError, require_known
from ...benchmark.core.packages import find_package
from ...benchmark.core.precisions import ALIASES, AUTO, PRECISIONS

PACKAGES = {"torch": "torch", "compile": "torch", "onnxruntime": "onnxruntime", "openvino": "openvino"}
RUNTIMES = tuple(PACKAGES)
"""The runtimes; `torch` is the default."""


class Way(NamedTuple):
    """A runtime and its precision; both may be `auto` before they are chosen."""

    runtime: str = "torch"
    precision: str = "fp32"

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision}"

    @property
    def is_open(self) -> bool:
        """Whether it is yet to be chosen."""
        return AUTO in self


DEFAULT = Way()


def parse_way(runtime: str = "", precision: str = "") -> Way:
    """Return the runtime and precision for names as typed; empty ones mean the default.

    Raises:
        BenchError: no such runtime or precision.
    """
    named = Way(runtime or DEFAULT.runtime, ALIASES.get(precision, precision) or DEFAULT.precision)
    require_known("runtime", named.runtime, (*RUNTIMES, AUTO))
    require_known("precision", named.precision, (*PRECISIONS, AUTO))
    if named.precision == "int8":
        raise BenchError("precision int8 isn't available: no runtime here quantises networks. Use bf16")
    return named


def list_ways(detector: Scores) -> dict[Way, str]:
    """Return every runtime and precision, with the reason why a detector can't use it here, or "" if it can."""
    return {Way(r, p): find_obstacle(detector, Way(r, p)) for r in RUNTIMES for p in PRECISIONS}


def find_obstacle(detector: Scores, way: Way) -> str:
    """Return why a detector can't be scored this way on this machine; "" if it can."""
    if way == DEFAULT:
        return ""
    if way.precision == "int8":
        return "no runtime here quantises networks"
    if not isinstance(detector, TakesRuntime):
        return f"{type(detector).__name__} runs its own network"
    if find_package(PACKAGES[way.runtime]) is None:
        package = PACKAGES[way.runtime]
        return f'{package} isn\'t installed: pip install "crossfake[{package}]"'
    return detector.find_obstacle(way.runtime, way.precision)


def use_way(detector: Scores, way: Way) -> Scores:
    """Set how a detector scores from now on, and return it.

    Raises:
        BenchError: that isn't possible here.
    """
    if obstacle := find_obstacle(detector, way):
        raise BenchError(f"--runtime {way.runtime} --precision {way.precision}: {obstacle}")
    if isinstance(detector, TakesRuntime):
        detector.use_runtime(way.runtime, way.precision)
    return detector
