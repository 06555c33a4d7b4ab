"""`bench score`: metrics of predictions, from crossfake or any other source."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..core.display import say
from . import common

LEVELS = ("frame", "video")
VAL = "val"
EPILOG = """\
examples:
  bench score example                                 # a table that comes with crossfake
  bench score predictions.csv
  bench score predictions.csv --level frame --threshold 0.5 --json card.json    # as the fairness papers measure
  bench score predictions.csv --threshold val --val val_predictions.csv
  bench score theirs.tsv --columns score=pred,label=target,video=path --fake-is 0
  zcat scores.csv.gz | bench score - --json - | jq .metrics
  bench score runs/demo/caddm.small/RUN/test.celebdf.KEY --json card.json

A table needs the columns video, frame, label (0 or real, 1 or fake) and score (P(fake)), in any order and letter case;
without frame, each row is a video. Optional columns: method and dataset, which distinguish videos with the same id;
identity; logit (its sigmoid replaces the score in the frame-level fairness metrics); gender, race, and any other
column with few values as an attribute. docs/scoring.md lists the keys of the JSON.
"""


def add_parser(verbs: common.Verbs) -> None:
    """Add the verb."""
    p = common.add_verb(
        verbs, "score", score, "compute metrics with intervals and sample sizes from a predictions file", EPILOG
    )
    p.add_argument(
        "file",
        type=Path,
        metavar="FILE|FOLDER|example",
        help="a .parquet or .csv file (- is standard input), a run's test folder, or the example",
    )
    p.add_argument(
        "--threshold",
        type=parse_threshold,
        metavar="T|val",
        help="operating point on P(fake): a number, or val: that of the source val split (--val, or the run's)",
    )
    p.add_argument(
        "--val", type=Path, metavar="FILE", help="predictions of the source validation split, for --threshold val"
    )
    p.add_argument("--level", choices=LEVELS, help="groups and gaps of this level only (default: both)")
    p.add_argument(
        "--draws",
        type=common.parse_draws,
        default=1000,
        metavar="N",
        help="draws for gaps and calibration errors (1000)",
    )
    p.add_argument(
        "--columns", type=parse_columns, default={}, metavar="OURS=THEIRS,...", help="the table's names of the columns"
    )
    p.add_argument("--fake-is", default="", metavar="LABEL", help="the label that means fake (default: 1 or fake)")
    common.add_json(p, "the whole scorecard")


def parse_threshold(text: str) -> float | str:
    """Read a number from 0 to 1, or `val`."""
    return VAL if text == VAL else common.parse_share(text)


def parse_columns(text: str) -> dict[str, str]:
    """Read `score=pred,label=target`."""
    pairs = [part.partition("=") for part in common.parse_names(text)]
    found = {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
    if not found or not all(ours and theirs for ours, theirs in found.items()) or len(found) < len(pairs):
        raise argparse.ArgumentTypeError(f"'{text[:60]}' is not a list such as score=pred,label=target")
    return found


def score(arguments: argparse.Namespace) -> int:
    """Score and print."""
    import crossfake

    from ...leaderboards.terminal import format_card
    from ..core.records import as_json

    card = crossfake.score(
        arguments.file,
        threshold=arguments.threshold,
        val=arguments.val,
        level=arguments.level,
        draws=arguments.draws,
        columns=arguments.columns,
        fake_is=arguments.fake_is,
    )
    if arguments.json:  # Also by key alone, for jq and pandas.
        common.write_json_to(arguments.json, {**as_json(card.metrics), **card.to_json()})
    if arguments.json != common.STDOUT:
        say(format_card(card))
    for remark in card.remarks:
        say(f"bench: note: {remark}", aside=True)
    return 0
