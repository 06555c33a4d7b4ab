"""Metrics of 200,000 frames: the compared benchmark pools strings in a loop and calls scikit-learn per metric."""

from __future__ import annotations

from crossfake.benchmark.stats.scoring import compute_scorecard
from test_scoring import ours, predictions, theirs

from .measuring import PEER, Row, make_rows, time_in_turn

VIDEOS, FRAMES = 6_250, 32


def measure(rounds: int) -> list[Row]:
    """Compare five numbers by their method with the same by our functions, and with whole scorecards."""
    grouped = predictions(VIDEOS, FRAMES)
    plain = grouped[["video", "frame", "label", "score"]]
    runs = {
        PEER: lambda: theirs(plain),
        "the same five numbers": lambda: ours(plain),
        "scorecard, no draws": lambda: compute_scorecard(plain, threshold=0.5, draws=0),
        "scorecard, 1,000 draws": lambda: compute_scorecard(plain, threshold=0.5, draws=1000),
        "scorecard, 1,000 draws, gender and race": lambda: compute_scorecard(grouped, threshold=0.5, draws=1000),
    }
    goals = {"scorecard, no draws": 12, "scorecard, 1,000 draws, gender and race": 1.5}
    return make_rows(f"metrics of {VIDEOS * FRAMES:,} frames", time_in_turn(runs, rounds), goals)
