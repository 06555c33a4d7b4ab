"""`bench compare`: whether two runs differ, on the videos that both scored."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.display import say
from . import common

EPILOG = """\
examples:
  bench compare runs/demo/caddm.small/RUN runs/demo/meso4/RUN
  bench compare runs/demo/caddm.small/SEED0,runs/demo/caddm.small/SEED1 runs/demo/meso4/SEED0,runs/demo/meso4/SEED1
  bench compare theirs.csv runs/demo/caddm.small/RUN/test.celebdf.KEY --metric video.eer

A RUN is a run's folder (every test set that both have is compared), one of its test folders, or a predictions file.
Several, joined by commas, are pooled as seeds of one detector.
p comes from a paired test over clusters of videos; p (Holm) is corrected for the number of test sets; p (DeLong)
treats videos as independent. docs/statistics.md explains both tests.
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(verbs, "compare", compare, "test whether two runs differ on the same videos", EPILOG)
    for name in ("run_a", "run_b"):
        about = "a run's folder, its test folder or predictions; seeds joined by commas"
        p.add_argument(name, type=_parse_runs, metavar=f"{name.upper()}[,...]", help=about)
    p.add_argument("--metric", default="video.auc", metavar="NAME", help="what to compare (default video.auc)")
    p.add_argument(
        "--draws",
        type=common.parse_draws,
        default=1000,
        metavar="N",
        help="draws for gaps and calibration errors (1000)",
    )
    common.add_json(p, "the numbers")


def _parse_runs(text: str) -> list[Path]:
    return [Path(text)] if Path(text).exists() else [Path(part) for part in text.split(",")]


def compare(arguments: argparse.Namespace) -> int:
    """Compare, correct for the number of test sets, and print; 1 if a test set couldn't be compared."""
    import crossfake
    from tabulate import tabulate

    from ...leaderboards.formats import format_estimate
    from ..core.records import as_json

    found, left = crossfake.compare(arguments.run_a, arguments.run_b, metric=arguments.metric, draws=arguments.draws)
    columns = ["test", arguments.metric, "A", "B", "A - B", "p", "p (Holm)", "p (DeLong)"]
    rows = [
        [
            name,
            f"n {c.a.n}",
            *map(format_estimate, (c.a, c.b, c.difference)),
            *map(_format_p_value, (c.p, c.p_holm, c.p_delong)),
        ]
        for name, c in found.items()
    ]
    if arguments.json != common.STDOUT:
        for name, runs in (("A", arguments.run_a), ("B", arguments.run_b)):
            say(f"{name}: {', '.join(map(str, runs))}")
        say("\n" + tabulate(rows, columns, tablefmt="github", disable_numparse=True))
    for name, c in found.items():
        for side, lacking in zip("AB", c.lacking, strict=True):
            if lacking:
                say(f"{name}: {side} lacks {lacking} videos; they count as failures", aside=True)
    for name, why in left.items():
        say(f"not compared: {name}: {why}", aside=True)
    if arguments.json:
        tests = {name: as_json(c._asdict()) for name, c in found.items()}
        common.write_json_to(arguments.json, {"metric": arguments.metric, "tests": tests, "not_compared": left})
    return int(bool(left))


def _format_p_value(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"
