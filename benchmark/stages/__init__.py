"""The stages of a run, from a request to scorecards: plan, prepare, train, predict, score."""
