"""Leaderboards built from scorecards."""
