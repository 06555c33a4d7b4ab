"""The bootstrap by its definition, with a matrix of weights: other ways of doing it have to agree with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from crossfake.benchmark.core.types import Estimate
from crossfake.benchmark.stats.bootstrap import Resamples, estimate_interval


@pytest.fixture(scope="session")
def estimate() -> Callable[..., Estimate]:
    """Return a statistic's value and interval: called without weights, and with (draws, n) weights."""

    def exactly(statistic: Callable[..., Any], clusters: Any, *, n: int, draws: int = 1000) -> Estimate:
        value, members = float(statistic(None)), np.asarray(clusters)
        resamples = Resamples(members, 0 if np.isnan(value) else draws, 0)
        drawn = statistic(resamples.times[:, members].astype(float)) if resamples.draws else np.empty(0)
        return estimate_interval(value, drawn, n=n, clusters=len(np.unique(members)))

    return exactly
