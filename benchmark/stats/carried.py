"""Thresholds of a stated false positive rate, fixed on the source validation split and carried over to a test set."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..core.source_validation import CarriedThreshold
from ..core.types import FAKE, REAL, Estimate
from .influence import Samples
from .intervals import estimate_share
from .metrics import Array
from .prevalence import measure_operating_point
from .shares import TAIL, count_trials

RATES = {"fpr1": 0.01, "fpr5": 0.05, "fpr10": 0.1}
"""The false positive rates on the source, with their names in a scorecard. A rate of p needs 1 / p reals there."""


def fix_thresholds(samples: Samples) -> dict[str, CarriedThreshold]:
    """Fix a threshold for each of RATES for which the source validation split has enough reals.

    Its interval is that of a quantile (Woodruff 1952): its ends are where the reals' rate differs from the stated one
    by sampling error. Above the highest real it has no end.
    """
    reals = np.sort(samples.scores[samples.labels == REAL])[::-1]
    return {name: _fix_threshold(samples, reals, rate) for name, rate in RATES.items() if len(reals) * rate >= 1 - 1e-9}


def _fix_threshold(samples: Samples, reals: Array, rate: float) -> CarriedThreshold:
    from scipy.stats import binom

    value = _find_threshold(reals, rate)
    found = measure_operating_point(samples, value)["fpr"]
    spread = samples.people.measure_spread(found.influence, found.among)
    of_people = samples.people.count(found.among)
    trials = float(count_trials(found.value, spread.variance, len(reals), of_people)) if found.value else of_people
    few, most = (float(binom.ppf(q, max(round(trials), 1), rate)) for q in (TAIL, 1 - TAIL))
    lo = _find_threshold(reals, min((most + 1) / max(round(trials), 1), 1.0))
    hi = _find_threshold(reals, few / max(round(trials), 1)) if few else None
    return CarriedThreshold(value=value, lo=min(lo, value), hi=None if hi is None else max(hi, value), reals=len(reals))


def _find_threshold(reals: Array, rate: float) -> float:
    """Return the lowest threshold that calls at most this share of the reals fake, midway to the next score above.

    Args:
        reals: their scores, in descending order.
        rate: the share.
    """
    allowed = int(rate * len(reals) + 1e-9)
    if allowed >= len(reals):
        return float(reals[-1])
    above = reals[reals > reals[allowed]]
    return float((above[-1] + reals[allowed]) / 2) if len(above) else float(np.nextafter(reals[allowed], np.inf))


def measure_carried(
    samples: Samples, thresholds: Mapping[str, CarriedThreshold], source_reals: int
) -> dict[str, Estimate]:
    """Return the thresholds' FPR and FNR on this set: `fpr_at_source_fpr5`, `fnr_at_source_fpr5` and so on.

    Their intervals combine the uncertainty from these videos with that of the threshold (MOVER, Zou and Donner 2008).
    """
    found = {}
    for name, rate in RATES.items():
        for kind, label in (("fpr", REAL), ("fnr", FAKE)):
            n = int((samples.labels == label).sum())
            needed = f"a rate of {100 * rate:.0f} % needs {round(1 / rate)} reals on the source"
            why = f"left out: {needed}, and there are {source_reals}"
            known = thresholds.get(name)
            rated = _measure_rate(samples, known, label, n) if known else Estimate(None, None, None, n, why)
            found[f"{kind}_at_source_{name}"] = rated
    return found


def _measure_rate(samples: Samples, threshold: CarriedThreshold, label: int, n: int) -> Estimate:
    rates = measure_operating_point(samples, threshold.value)
    tpr = rates["tpr"]
    of_fakes = type(tpr)(1 - tpr.value, -tpr.influence, tpr.sizes)
    found = estimate_share(rates["fpr"] if label == REAL else of_fakes, samples.people, n=n)
    if found.value is None or found.lo is None or found.hi is None:
        return found
    least, most = sorted(_rate_at(samples, end, label) for end in (threshold.lo, threshold.hi))
    lo = found.value - np.hypot(found.value - found.lo, found.value - min(least, found.value))
    hi = found.value + np.hypot(found.hi - found.value, max(most, found.value) - found.value)
    return found._replace(lo=float(max(lo, 0.0)), hi=float(min(hi, 1.0)))


def _rate_at(samples: Samples, threshold: float | None, label: int) -> float:
    """Return FPR or FNR at one end of a threshold; None means above all scores."""
    called = np.zeros(len(samples.scores)) if threshold is None else samples.scores >= threshold
    share = float(called[samples.labels == label].mean())
    return share if label == REAL else 1 - share
