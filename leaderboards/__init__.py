"""Leaderboards built from scorecards."""

from pathlib import Path

EXAMPLE = Path(__file__).with_name("example.csv")
"""Scores to try things on: those of caddm.small on the demo world's Celeb-DF (docs/scoring.md has the command)."""
