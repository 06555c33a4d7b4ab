"""The tables of docs/performance.md, made from the results of one machine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from crossfake.benchmark.stages.plan_costs import PREPARED_S
from tabulate import tabulate

START, END = "<!-- made by benchmarks/compare.py -->\n", "<!-- end -->"
SETS = {"FF++": 700, "Celeb-DF": 518, "DFD": 3_431, "DFDC": 5_000}
"""Test videos: FF++'s four methods and originals, Celeb-DF v2's list, all of DFD, DFDC's public test set."""
FRAMES = 32
Results = Mapping[str, Any]


def write_report(page: Path, results: Results) -> None:
    """Replace the part between the page's marks with a machine's results."""
    before, _, rest = page.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    parts = [*write_rows(results), *write_roofline(results), *write_growth(results), *write_costs(results)]
    page.write_text("\n\n".join([f"{before}{START}".rstrip("\n"), *parts, f"{END}{after}"]), encoding="utf-8")


def write_rows(results: Results) -> Iterator[str]:
    """Yield the table of ratios, and which goals were met, missed and skipped."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    yield f"`{results['machine']}`: {versions}."
    rows = [row for row in results["rows"] if not row["skipped"]]
    yield tabulate([describe_row(row) for row in rows], "keys", tablefmt="github", disable_numparse=True)
    skipped = [
        f"{row['what']} in {row['way']} >= {row['goal']:g} ({row['skipped']})"
        for row in results["rows"]
        if row["skipped"]
    ]
    yield "Goals that don't apply to this processor: " + ("; ".join(skipped) or "none") + "."


def describe_row(row: Results) -> dict[str, str]:
    """Write a row: seconds, ratio with the range of its rounds, and the goal and whether it is met."""
    goal = row["goal"]
    met = "" if goal is None else f"{goal:g}, {'met' if row['ratio'] >= goal else 'missed'}"
    ratio = "1" if row["way"] == "peer" else f"{row['ratio']:.2f} [{row['lo']:.2f}, {row['hi']:.2f}]"
    return {"what": row["what"], "way": row["way"], "s": f"{row['seconds']:.3g}", "ratio": ratio, "goal": met}


def write_roofline(results: Results) -> Iterator[str]:
    """Yield the peaks, and each detector's share of them."""
    if found := results.get("roofline"):
        peaks = found["peaks"]
        yield (
            f"Matrix products reach {peaks['fp32']:.0f} GFLOP per second and core in fp32, "
            f"{peaks['bf16']:.0f} in bf16. "
            "Images per second and core, and in brackets the share of that peak (above 100 % if a "
            "runtime's convolutions need fewer operations than counted):"
        )
        rows = [describe_detector(name, of, peaks) for name, of in found["detectors"].items()]
        yield tabulate(rows, "keys", tablefmt="github", missingval="", disable_numparse=True)


def describe_detector(name: str, of: Results, peaks: Mapping[str, float]) -> dict[str, str]:
    """Write how many images each way scores, and the share of the peak."""
    shares = {way: of["gflop"] * rate / peaks[way.rpartition(" ")[2]] for way, rate in of["images"].items()}
    told = {way: f"{rate:.3g} ({shares[way]:.0%})" for way, rate in of["images"].items()}
    return {"detector": name, "px": str(of["size"]), "GFLOP": f"{of['gflop']:.3g}", **told}


def write_growth(results: Results) -> Iterator[str]:
    """Yield seconds and memory by number of videos and workers, with the exponents."""
    if found := results.get("growth"):
        exponents = ", ".join(f"{value:.2f} ({workers} workers)" for workers, value in found["exponents"].items())
        yield (
            f"From files to a row with Meso4: `bench eval` as a whole process, of which {found['start']:.1f} s are "
            f"start-up. Exponents of growth, without start-up: {exponents}."
        )
        rows = [
            {"videos": n, "workers": w, "processor seconds": f"{cost[0]:.1f}", "MB at most": f"{cost[1]:.0f}"}
            for w, runs in found["runs"].items()
            for n, cost in runs.items()
        ]
        yield tabulate(rows, "keys", tablefmt="github", disable_numparse=True)


def write_costs(results: Results) -> Iterator[str]:
    """Yield what the published test sets cost, by runtime."""
    if found := results.get("roofline"):
        videos = sum(SETS.values())
        sets = ", ".join(f"{name} {count:,}" for name, count in SETS.items())
        faces = f"{videos * PREPARED_S / 3600:.1f} h at {PREPARED_S} s per video and core"
        yield (
            f"All test videos of the published sets ({sets}), {FRAMES} frames each, in core hours at these rates. "
            f"Finding faces comes first, once for all detectors: {faces}."
        )
        rows = [
            {"detector": name, **{way: write_hours(videos * FRAMES / rate) for way, rate in of["images"].items()}}
            for name, of in found["detectors"].items()
        ]
        yield tabulate(rows, "keys", tablefmt="github", missingval="", disable_numparse=True)


def write_hours(seconds: float) -> str:
    """Write hours with two significant digits."""
    hours = seconds / 3600
    return f"{hours:.{max(0, 1 - math.floor(math.log10(hours)))}f}"
