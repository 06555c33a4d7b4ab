"""`bench score`: metrics of predictions, crossfake's or anybody's."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import common

EPILOG = """\
examples:
  bench score predictions.csv
  bench score runs/demo/caddm.small/RUN/test.celebdf.KEY --json card.json

A table needs the columns video, frame, label (0 real, 1 fake) and score (P(fake)); method, gender and race are used
where they are there.
"""


def add(verbs: Any) -> None:
    """Add the verb."""
    p = common.verb(verbs, "score", score, "metrics with intervals and sample sizes, from a predictions file", EPILOG)
    p.add_argument("file", type=Path, metavar="FILE|FOLDER", help="a .parquet or .csv file, or a run's test folder")
    p.add_argument(
        "--threshold", type=common.share, metavar="T", help="operating point on P(fake), of a video's mean score"
    )
    p.add_argument("--draws", type=common.positive, default=1000, metavar="N", help="bootstrap draws (default 1000)")
    p.add_argument("--json", type=Path, metavar="OUT", help="write the whole scorecard there")


def score(arguments: argparse.Namespace) -> int:
    """Score and print."""
    from ...leaderboards.text import card_text
    from ..runner import PREDICTIONS, SCORECARD, make_card
    from ..store import read_json, write_json

    path: Path = arguments.file
    threshold, rule = arguments.threshold, "given"
    if path.is_dir():
        if threshold is None and (path / SCORECARD).is_file():
            threshold, rule = read_json(path / SCORECARD)["threshold"].values()
        path = path / PREDICTIONS
    card = make_card(path, threshold, arguments.draws, rule)
    print(card_text(card))
    if arguments.json:
        write_json(arguments.json, card)
    return 0
