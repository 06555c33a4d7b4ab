"""Speeds as tables: for the terminal, and as timm writes its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..benchmark.core.speeds import Latency, Rate, Speed
from .formats import UNKNOWN, format_digits
from .markdown import Grid

if TYPE_CHECKING:
    import pandas as pd


def make_speed_parts(speeds: Sequence[Speed]) -> list[str | Grid]:
    """Return a table of speeds for each condition, followed by the weights used and how busy the machine was."""
    found: list[str | Grid] = []
    for condition in dict.fromkeys(speed.condition for speed in speeds):
        alike = [speed for speed in speeds if speed.condition == condition]
        found += [f"speed on {condition.describe()}", _make_grid(alike), "\n".join(map(_describe_conditions, alike))]
    return found


def _make_grid(speeds: Sequence[Speed]) -> Grid:
    ways = list(dict.fromkeys(way for speed in speeds for way in speed.videos))
    header = [
        "detector",
        "image",
        "images/s (batch)",
        "of a core",
        "p50",
        "p95",
        "p99 ms",
        *(f"videos/s, {w}" for w in ways),
    ]
    header += ["M params", "GFLOPs", "M activations", "MB", "load s", "first s", "compile s"]
    return header, [
        [*_list_rates(speed), *(_format_way(speed, way) for way in ways), *_list_costs(speed)] for speed in speeds
    ]


def _list_rates(speed: Speed) -> list[str]:
    best, size = speed.best, "x".join(map(str, speed.image))
    told = [part for part in dict.fromkeys((speed.backend, speed.runtime)) if part not in ("any", "python")]
    name = speed.detector + (f" ({', '.join(told)})" if told else "")
    per_core = format_digits(best.per_core_s) if best.per_core_s else UNKNOWN
    return [name, size, f"{_format_rate(best)} ({best.batch})", per_core, *_format_latency(speed.latency)]


def _format_latency(latency: Latency) -> list[str]:
    few = f"too few runs ({latency.runs})"
    return [format_digits(v) if v is not None else few for v in (latency.p50_ms, latency.p95_ms, latency.p99_ms)]


def _format_way(speed: Speed, way: str) -> str:
    return _format_rate(speed.videos[way]) if way in speed.videos else ""


def _format_rate(rate: Rate) -> str:
    """Write `34.2 [33.9, 34.6]`: the median run and the interquartile range."""
    return f"{format_digits(rate.value)} [{format_digits(rate.lo)}, {format_digits(rate.hi)}]"


def _list_costs(speed: Speed) -> list[str]:
    peak = speed.memory.device_peak or speed.memory.rss_peak
    counts = [(speed.params, 1e6), (speed.flops, 1e9), (speed.activations, 1e6), (peak, 1e6)]
    seconds = (speed.load_s, speed.first_call_s, speed.compile_s)
    return [
        *(format_digits(n / unit) if n is not None else UNKNOWN for n, unit in counts),
        *(format_digits(s) for s in seconds),
    ]


def _describe_conditions(speed: Speed) -> str:
    busy = "BUSY: " if speed.is_disturbed else ""
    versions = ", ".join(f"{n} {v}" for n, v in speed.provenance.packages.items() if n in (speed.runtime, "crossfake"))
    how = f"{speed.load.describe()}; timed by the {speed.clock} clock; weights: {speed.weights}"
    return f"{speed.detector}: {busy}{how}; {speed.runtime} ({versions})"


def make_timm_table(speeds: Sequence[Speed]) -> pd.DataFrame:
    """Return one row per speed, with the columns of timm's benchmark tables and those that distinguish the rows."""
    import pandas as pd

    return pd.DataFrame([_make_timm_row(speed) for speed in speeds])


def _make_timm_row(speed: Speed) -> dict[str, object]:
    best, told = speed.best, speed.condition._asdict()
    counts = {
        "infer_gmacs": (speed.flops, 2e9),
        "infer_macts": (speed.activations, 1e6),
        "param_count": (speed.params, 1e6),
    }
    return {
        "model": speed.detector,
        "infer_img_size": speed.image[0],
        "infer_samples_per_sec": round(best.value, 3),
        "infer_step_time": round(1000 * best.batch / best.value, 3),
        "infer_batch_size": best.batch,
        **{name: None if n is None else round(n / unit, 3) for name, (n, unit) in counts.items()},
        "latency_p50": round(speed.latency.p50_ms, 3),
        "backend": speed.backend,
        "runtime": speed.runtime,
        **told,
        "others_cores": speed.load.others,
    }
