"""For whom a detector fails: per-group and intersectional tables, each cell with its n, and gaps between groups.

Intervals of groups hold simultaneously for all groups of an attribute (Sidak 1967). So the interval stays valid for a
group that is picked because it is the worst, and a number is the same everywhere.

Gaps are biased upward for small groups, and more so in draws, so percentiles of drawn gaps would be too high.
Instead, every gap f here is a seminorm of the vector of rates, so |f(estimate) - f(truth)| is at most
f(estimate - truth): the interval is the value plus and minus the 95 % quantile of f(drawn truth - estimate), not below
0. It covers at least 95 % even if the true gap is 0, and starts above 0 only if Tukey's simultaneous comparison of all
groups would call them different. Its upper end is never above 97.5 % of the drawn gaps, since those are biased upward.

For several training seeds, a gap is the mean of their gaps. Its errors are the mean of theirs in the same draw, plus
the error of a mean of so few seeds (`draw_seed_errors`), drawn separately.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.scorecard import GroupCell, Groups, LevelCell
from ..core.types import Estimate
from .attributes import attribute_columns
from .fairness_metrics import compute_gaps, sigmoid
from .group_rates import GroupRates, PointRates, Scored, find_rates, tabulate_groups
from .intervals import ALIKE, NO_DRAWS, ROUNDING, TOO_FEW, average_over_seeds, estimate_ranking, estimate_share
from .metrics import Array
from .people import People
from .shares import LEVEL, share_tail

if TYPE_CHECKING:
    import pandas as pd

MIN_PER_CLASS = {"video": 5, "frame": 1}
"""The fewest reals and fakes with which a group enters the gaps; at frame level as in the literature."""
MIN_GROUPS = {"video": 2, "frame": 1}
LARGE = 20
"""The fewest of each class with which a group enters the gaps between large groups."""
LevelGroups = dict[str, dict[str, LevelCell]]
"""By attribute and group."""
Family = Sequence[Sequence[GroupRates]]
"""The groups of one attribute as scored by each training seed."""


class SeedScores(NamedTuple):
    """The predictions of one training seed on a test set.

    `videos` has one row per video with `label`, `score`, `identity` and attributes; `frames` has one row per frame;
    `video_of` (frames,) is the row of each frame's video. Scores of at least `threshold` are called fake; `temperature`
    and `prior` are for calibration. All three were fixed on the source validation split, or are None.
    """

    videos: pd.DataFrame
    frames: pd.DataFrame
    video_of: NDArray[np.int64]
    threshold: float | None = None
    temperature: float | None = None
    prior: float | None = None

    @property
    def at(self) -> float:
        """The operating point."""
        return 0.5 if self.threshold is None else self.threshold


def measure_fairness(seeds: Sequence[SeedScores], people: People, draws: int) -> tuple[dict[str, Estimate], Groups]:
    """Measure groups and gaps at both levels, averaged over training seeds on the same videos; see `measure_groups`.

    If frames have a `logit`, its sigmoid is their score at 0.5, as in the literature's code; a threshold fixed on
    scores applies to scores.

    Args:
        seeds: one table per seed, attributes as names (`with_attributes`); an attribute counts if all tables have it.
        people: the people in the videos.
        draws: number of draws of the gaps.
    """
    known = find_shared_attributes(seeds)
    metrics, videos = measure_groups("video", take_videos(seeds, people), known, draws)
    more, frames = measure_groups("frame", [_take_frames(s, people) for s in seeds], known, draws)
    return metrics | more, {
        attribute: {group: GroupCell(video=cell, frame=frames[attribute][group]) for group, cell in cells.items()}
        for attribute, cells in videos.items()
    }


def find_shared_attributes(seeds: Sequence[SeedScores]) -> list[str]:
    """Return the attributes that all tables have."""
    return [a for a in attribute_columns(seeds[0].frames) if all(a in attribute_columns(s.frames) for s in seeds[1:])]


def take_videos(seeds: Sequence[SeedScores], people: People) -> list[Scored]:
    """Return the videos as scored by each seed."""
    return [Scored(s.videos, np.arange(len(s.videos)), people, s.at) for s in seeds]


def _take_frames(seed: SeedScores, people: People) -> Scored:
    if "logit" not in seed.frames:
        return Scored(seed.frames, seed.video_of, people, seed.at)
    half = sigmoid(seed.frames["logit"])
    frames = seed.frames.assign(score=half) if seed.at == 0.5 else seed.frames
    return Scored(frames, seed.video_of, people, seed.at, half)


def measure_groups(
    level: str, seeds: Sequence[Scored], known: Iterable[str], draws: int
) -> tuple[dict[str, Estimate], LevelGroups]:
    """Measure every attribute's groups and the gaps between them.

    Args:
        level: `video` or `frame`; keys begin with it, and it sets the smallest group size (MIN_PER_CLASS).
        seeds: the samples as scored by each training seed.
        known: the attributes to look for.
        draws: number of draws of the gaps; 0 gives no intervals.

    Returns:
        The gaps, as `<level>.fairness.<attribute>.<metric>` (also at 0.5, as `<level>.fairness_at_half...`, if that
        isn't the threshold; between large groups only, with `_n20`), and for every attribute its groups with n, AUC,
        FPR, TPR and FPR at 5 % overall FPR. An attribute whose groups differ between seeds is left out.
    """
    first, *others = (tabulate_groups(scored, known) for scored in seeds)
    metrics: dict[str, Estimate] = {}
    cells: LevelGroups = {}
    for attribute, groups in first.items():
        family = [groups, *(found.get(attribute, []) for found in others)]
        if any([g.name for g in of] != [g.name for g in groups] for of in family):
            continue
        kept = _find_large(family, MIN_PER_CLASS[level])
        tail = share_tail(len(groups))
        cells[attribute] = {g.name: _measure_cell(level, [f[i] for f in family], tail) for i, g in enumerate(groups)}
        prefix = f"{level}.fairness.{attribute}"
        rates = [find_rates(of, "at", draws) for of in family]
        found = _measure_gaps(level, family, rates, kept)
        found |= _find_worst_cells(level, cells[attribute], _describe_left_out(family, kept))
        if level == "video":
            found |= _measure_large_gaps(family, rates)
        metrics |= {f"{prefix}.{name}": e for name, e in found.items()}
        if any(s.threshold != 0.5 for s in seeds):
            halves = [find_rates(of, "half", draws) for of in family]
            at_half = _measure_gaps(level, family, halves, kept).items()
            metrics |= {f"{level}.fairness_at_half.{attribute}.{k}": e for k, e in at_half if k.startswith("f_")}
    return metrics, cells


def _count_smallest(family: Family) -> NDArray[np.int64]:
    """Return each group's number of reals and fakes, (groups, 2), the fewest of any seed: one may have lost frames."""
    return np.asarray(np.min([[g.size for g in of] for of in family], axis=0), dtype=np.int64)


def _find_large(family: Family, least: int) -> list[int]:
    """Return which groups have at least this many of each class."""
    return [i for i, n in enumerate(_count_smallest(family)) if n.min() >= least]


def _measure_cell(level: str, seeds: Sequence[GroupRates], tail: float) -> LevelCell:
    real, fake = (int(n) for n in _count_smallest([[g] for g in seeds])[0])
    people, classes = seeds[0].people, seeds[0].classes

    def share(rate: str, n: int, point: str = "at") -> Estimate:
        if not n:
            return Estimate(None, None, None, 0, f"no such {level}s")
        mean, parts = average_over_seeds([g.rates[point][rate] for g in seeds], people)
        return estimate_share(mean, people, n=n, parts=parts, tail=tail)

    auc, parts = average_over_seeds([g.rates["at"]["auc"] for g in seeds], people)
    return LevelCell(
        n_real=real,
        n_fake=fake,
        auc=estimate_ranking(auc, people, classes, n=real + fake, parts=parts, tail=tail),
        fpr=share("fpr", real),
        tpr=share("tpr", fake),
        fpr_at_fpr5=share("fpr", real, "fpr5"),
        left_out=_explain_left_out(level, real, fake),
    )


def _explain_left_out(level: str, real: int, fake: int) -> str:
    if min(real, fake) >= (least := MIN_PER_CLASS[level]):
        return ""
    few = f"fewer than {least} {level}s of a class" if least > 1 else "one class only"
    return f"{few} (real {real}, fake {fake})"


def _explain_too_few(level: str) -> str:
    least = MIN_PER_CLASS[level]
    return f"fewer than two groups with {f'{least} {level}s of each class' if least > 1 else 'both classes'}"


def _describe_left_out(family: Family, kept: Sequence[int]) -> str:
    sizes = enumerate(zip(family[0], _count_smallest(family), strict=True))
    out = ", ".join(f"{g.name} (real {real}, fake {fake})" for i, (g, (real, fake)) in sizes if i not in kept)
    return f"left out: {out}" if out else ""


def _measure_gaps(level: str, family: Family, rates: Sequence[PointRates], kept: Sequence[int]) -> dict[str, Estimate]:
    size, note = _count_smallest(family), _describe_left_out(family, kept)
    few = _explain_too_few(level)
    if len(kept) < MIN_GROUPS[level]:
        return dict.fromkeys(GAPS, Estimate(None, None, None, 0, _join_notes(few, note)))
    n = int(size[kept].min())
    if len(kept) == 1:  # As in the literature's code: against the whole, without a range.
        found = [compute_gaps(of.select(kept).observed) for of in rates]
        return {k: Estimate(float(np.mean([g[k] for g in found])), None, None, n, _join_notes(few, note)) for k in GAPS}
    return measure_gaps(GAPS, rates, kept, n, note)


def _measure_large_gaps(family: Family, rates: Sequence[PointRates]) -> dict[str, Estimate]:
    """Return the gaps between groups that are large enough for a reliable result."""
    kept, few = _find_large(family, LARGE), f"fewer than two groups with {LARGE} videos of each class"
    if len(kept) < 2:
        return {f"{name}_n{LARGE}": Estimate(None, None, None, 0, few) for name in LARGE_GAPS}
    n = int(_count_smallest(family)[kept].min())
    note = _describe_left_out(family, kept)
    found = measure_gaps(LARGE_GAPS, rates, kept, n, note)
    return {f"{name}_n{LARGE}": gap for name, gap in found.items()}


def measure_gaps(
    names: Iterable[str], rates: Sequence[PointRates], kept: Sequence[int], n: int, note: str
) -> dict[str, Estimate]:
    """Return gaps between the groups with these indices, from each seed's rates; see the top of this module."""
    chosen = [of.select(kept) for of in rates]
    of_seeds = [[compute_gaps(kind) for kind in (of.observed, of.drawn, of.errors)] for of in chosen]
    found = {}
    for name in names:
        values = np.array([observed[name] for observed, _, _ in of_seeds])
        drawn, errors = (np.mean([gaps[kind][name] for gaps in of_seeds], axis=0) for kind in (1, 2))
        off = np.abs(draw_seed_errors(values, len(errors)))
        most = {"f_fpr_sum": len(kept), "f_eo": 2 * len(kept)}.get(name, 1)
        found[name] = _interval_around(float(values.mean()), errors + off, np.minimum(drawn + off, most), n, note)
    return found


def draw_seed_errors(values: ArrayLike, draws: int, seed: int = 0) -> Array:
    """Draw the error of the mean over some training seeds: their standard error times Student's t.

    Args:
        values: (seeds,); for one seed nothing is known, and all draws are 0.
        draws: number of draws, (draws,).
        seed: the draws' random seed.
    """
    of_seeds = np.asarray(values, dtype=float)
    count = len(of_seeds)
    if count == 1:
        return np.zeros(draws)
    error = np.std(of_seeds, ddof=1) / np.sqrt(count)
    return np.asarray(np.random.default_rng(seed).standard_t(count - 1, draws) * error)


def _find_worst_cells(level: str, cells: dict[str, LevelCell], left_out: str) -> dict[str, Estimate]:
    """Return the worst rates with the interval of the group's cell; the note names the group."""
    kept = {name: cell for name, cell in cells.items() if not cell.left_out}
    if len(kept) < 2:
        few = _explain_too_few(level)
        return dict.fromkeys(WORST, Estimate(None, None, None, 0, _join_notes(few, left_out)))
    found = {}
    for name, (rate, choose) in WORST.items():
        of = {group: getattr(cell, rate) for group, cell in kept.items()}
        group = choose(of, key=lambda g: of[g].value)
        found[name] = of[group]._replace(note=_join_notes(group, of[group].note, left_out))
    return found


GAPS = ("f_fpr_sum", "f_fpr_range", "f_meo", "f_dp", "f_oae", "f_eo", "auc_gap")
LARGE_GAPS = ("f_fpr_range", "auc_gap")
WORST: dict[str, tuple[str, Callable[..., str]]] = {
    "worst_auc": ("auc", min),
    "worst_fpr": ("fpr", max),
    "worst_fpr_at_fpr5": ("fpr_at_fpr5", max),
}


def _interval_around(value: float, errors: Array, drawn: Array, n: int, note: str) -> Estimate:
    """Return a value with the interval from the errors of its draws (see the top of this module)."""
    sound = ~np.isnan(errors)
    if sound.sum() <= len(errors) / 2:
        return Estimate(value, None, None, n, _join_notes(TOO_FEW if len(errors) else NO_DRAWS, note))
    if np.abs(errors[sound]).max() < ROUNDING:
        return Estimate(value, None, None, n, _join_notes(ALIKE, note))
    reach, ceiling = np.quantile(errors[sound], LEVEL), np.quantile(drawn[sound], (1 + LEVEL) / 2)
    return Estimate(value, float(max(value - reach, 0.0)), float(max(min(value + reach, ceiling), value)), n, note)


def _join_notes(*parts: str) -> str:
    return "; ".join(filter(None, parts))
