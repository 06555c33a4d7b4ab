"""The interval of a group's rate, wherever that rate stands: in its own row, or as the worst of several."""

from __future__ import annotations

from ..core.types import Estimate
from .bootstrap import LEVEL, MetricDraws, Parts, estimate_interval


def estimate_group_rate(drawn: MetricDraws, groups: int, *, n: int, clusters: int, parts: Parts = ()) -> Estimate:
    """Return one group's rate with an interval that holds for all groups of an attribute at once, 95 times in 100.

    So whichever group is picked for being the worst, its interval is as good as it says. Each interval is at the level
    .95^(1 / groups): exact for groups that share nobody, and wide for those that do (Sidak 1967).

    Args:
        drawn: the rate, 0 ... 1, and its bootstrap draws.
        groups: how many groups the attribute has.
        n: the sample size to report.
        clusters: how many independent clusters are behind the value; see `estimate_interval`.
        parts: what of its variance comes from training seeds.
    """
    return estimate_interval(*drawn, n=n, clusters=clusters, parts=parts, level=LEVEL ** (1 / groups))
