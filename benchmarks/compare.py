"""Measures, stores and writes all of docs/performance.md's comparisons between crossfake and other code.

    make bench                                      # measures, stores, and writes the table: at most half an hour
    python benchmarks/compare.py --against          # measures, and reports what got slower beyond noise: tox -e bench
    python benchmarks/compare.py --only metrics     # one part

Results are stored per type of machine (processor, its capabilities, cores) in benchmarks/results/.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from crossfake import __version__
from crossfake.benchmark.core.provenance import name_processor
from peers import end_to_end, growth, metrics, roofline, scoring, training
from peers.measuring import Row
from peers.report import write_report

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
ROUNDS = 3
Found = dict[str, object]
COMPARED: dict[str, Callable[[int], list[Row]]] = {
    "metrics": metrics.measure,
    "scoring": scoring.measure,
    "training": training.measure,
    "end_to_end": end_to_end.measure,
}
OTHERS: dict[str, Callable[[], Found]] = {"roofline": roofline.measure, "growth": growth.measure}


def main() -> int:
    """Measure what is requested; return 1 if something got slower than the last results beyond noise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", action="store_true", help="compare with stored results, and store nothing")
    parser.add_argument("--only", choices=[*COMPARED, *OTHERS], help="one part; the others stay as stored")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    path = RESULTS / f"{name_machine()}.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    with tempfile.TemporaryDirectory() as cache:  # Faces and exports are made again each time.
        os.environ["BENCH_CACHE"] = cache
        found = measure(arguments.only)
    if arguments.against:
        return tell_slower(before.get("rows", []), found["rows"], path)
    whole = merge(before, found)
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(whole, indent=1) + "\n")
    write_report(PAGE, whole)
    return 0


def name_machine() -> str:
    """Return the type of machine: its processor, its best matrix instructions, and its number of cores."""
    capable = getattr(torch.cpu, "get_capabilities", dict)()
    best = next((n for n in ("amx_bf16", "avx512_bf16", "avx512_f", "avx2") if capable.get(n)), "plain")
    return re.sub(r"[^a-z0-9_]+", "-", f"{name_processor()} {best} {os.cpu_count()} cores".lower()).strip("-")


def measure(only: str | None) -> Found:
    """Measure all parts, or one, and print how long each took."""
    found: Found = {"rows": [], "versions": {"crossfake": __version__, "torch": torch.__version__}}
    for name in [*COMPARED, *OTHERS]:
        if only in (None, name):
            started = time.perf_counter()
            if name in COMPARED:
                found["rows"] += [row.describe() | {"part": name} for row in COMPARED[name](ROUNDS)]
            else:
                found[name] = OTHERS[name]()
            print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return found


def merge(before: Found, found: Found) -> Found:
    """Merge new results into the stored ones, part by part."""
    measured = {row["part"] for row in found["rows"]}
    kept = [row for row in before.get("rows", []) if row["part"] not in measured]
    order = list(COMPARED)
    rows = sorted([*kept, *found["rows"]], key=lambda row: order.index(row["part"]))
    return {**before, **found, "machine": name_machine(), "rows": rows}


def tell_slower(before: list[Found], now: list[Found], path: Path) -> int:
    """Print every method whose rounds are all below the stored ones; return 1 if there is one."""
    if not before:
        print(f"no stored results for this type of machine ({path.name}). Make them: make bench")
        return 0
    kept = {(row["what"], row["way"]): row for row in before if not row["skipped"]}
    slower = [
        f"{row['what']}, {row['way']}: {row['ratio']:.2f} [{row['lo']:.2f}, {row['hi']:.2f}], was {old['ratio']:.2f} "
        f"[{old['lo']:.2f}, {old['hi']:.2f}]"
        for row in now
        if (old := kept.get((row["what"], row["way"]))) and not row["skipped"] and row["hi"] < old["lo"]
    ]
    print("\n".join(slower) or f"none of {len(now)} got slower beyond noise")
    return int(bool(slower))


if __name__ == "__main__":
    sys.exit(main())
