"""Who a detector fails for: per-group and intersectional tables, each cell with its n, and the gaps between groups.

Intervals come from a bootstrap over clusters (videos, or people where they are known). All that is measured here is a
function of sums per group and class, AUC included: a draw's AUC is taken to first order, as the sum of what each fake
and each real sample contributes to it (their placements, as in DeLong's method).

A gap leans upward when groups are small, and more so in the resamples, so that percentiles of resampled gaps would sit
too high. Instead, every gap f here is a seminorm of the vector of rates, so |f(estimate) - f(truth)| is at most
f(estimate - truth): the interval is the value plus and minus the 95 % quantile of f(resample - estimate), not below 0.
It covers at least 95 % also where the true gap is 0, and starts above 0 only where Tukey's way of comparing all groups
at once would call them different. Its upper end is never above 97.5 % of the resampled gaps, since those lean up.

Of several training seeds, a gap is the mean of their gaps, and its errors are the mean of theirs, in the same draw of
videos, and what the mean of so few seeds may miss (`intervals.draw_seed_errors`), drawn beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..core.scorecard import GroupCell, Groups, LevelCell
from ..core.types import FAKE, REAL, Estimate
from .attributes import attribute_columns, cross_attributes
from .bootstrap import (
    ALIKE,
    ALL_ALIKE,
    LEVEL,
    NO_DRAWS,
    TOO_FEW,
    MetricDraws,
    Resamples,
    average_over_seeds,
    draw_seed_errors,
)
from .fairness_metrics import compute_gaps, compute_rates, sigmoid
from .group_intervals import estimate_group_rate

MIN_PER_CLASS = {"video": 5, "frame": 1}
"""The fewest reals and fakes with which a group enters the gaps; at frame level it is as in the literature."""
MIN_GROUPS = {"video": 2, "frame": 1}
Array = NDArray[np.float64]


@dataclass(frozen=True)
class AttributeGroups:
    """One attribute's groups at one level: their sizes and rates, as observed and in every draw.

    `size` is (groups, 2): real and fake samples; `clusters`, the same, of how many clusters; `together`, (groups,), how
    many clusters that is in all. `rates` maps operating points to rates (see fairness.Rates), `drawn` to those of each
    draw, (draws, groups + 1).
    """

    names: list[str]
    size: NDArray[np.int64]
    clusters: NDArray[np.int64]
    together: NDArray[np.int64]
    rates: Mapping[str, Mapping[str, Array]]
    drawn: Mapping[str, Mapping[str, Array]]

    def select(self, kept: Sequence[int], point: str) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
        """Return the rates of some groups and of the whole at an operating point: observed, drawn, and the errors.

        The errors are by how much the draws miss what was observed, without the bootstrap's bias for few clusters.
        """
        at = [*kept, -1]
        observed = {k: r[at] for k, r in self.rates[point].items()}
        drawn = {k: r[:, at] for k, r in self.drawn[point].items()}
        (real, fake), both = self.clusters[kept].T, self.together[kept]
        n = {"fpr": real, "tpr": fake, "auc": np.minimum(real, fake), "pr": both, "acc": both}
        wider = {k: np.append(np.sqrt(n[k] / np.maximum(n[k] - 1, 1)), 1) for k in n}
        return observed, drawn, {k: (drawn[k] - observed[k]) * wider[k] for k in observed}


LevelGroups = dict[str, dict[str, LevelCell]]
"""By attribute and group."""


class SeedScores(NamedTuple):
    """The predictions of one training seed on a test set.

    `videos` has a row a video with `label`, `score`, `cluster` (what is drawn as one) and attributes, `frames` a row a
    frame, and `video_of`, (frames,), the row of each frame's video. A score of at least `threshold` is called fake;
    `temperature` is for calibration. Both were fixed on the source validation split, or are None.
    """

    videos: pd.DataFrame
    frames: pd.DataFrame
    video_of: NDArray[np.int64]
    threshold: float | None = None
    temperature: float | None = None

    @property
    def at(self) -> float:
        """The operating point."""
        return 0.5 if self.threshold is None else self.threshold


class Samples(NamedTuple):
    """One level of a seed's predictions, a row a sample: `label`, `score` and attributes ("" where not annotated).

    `clusters`, (n,), numbers from 0 what is drawn together; a score of at least `threshold` is called fake. `half`,
    (n,), are the scores that 0.5 is for, where they are others.
    """

    table: pd.DataFrame
    clusters: ArrayLike
    threshold: float
    half: ArrayLike | None = None


def measure_fairness(seeds: Sequence[SeedScores], resamples: Resamples) -> tuple[dict[str, Estimate], Groups]:
    """Measure groups and gaps at both levels, averaged over training seeds on the same videos; see `measure_groups`.

    Where frames have a `logit`, its sigmoid is taken for their score at 0.5, as in the literature's code; a threshold
    that was fixed on scores is for scores.

    Args:
        seeds: a table a seed, attributes as names (`with_attributes`); one counts where all have it.
        resamples: the bootstrap draws of the videos.
    """
    clusters = resamples.clusters
    of_cluster = resamples.restrict(np.unique(clusters, return_index=True)[1])
    known = [a for a in attribute_columns(seeds[0].frames) if all(a in attribute_columns(s.frames) for s in seeds[1:])]
    of_videos = [Samples(s.videos, clusters, s.at) for s in seeds]
    of_frames = [_frame_samples(s, clusters[s.video_of]) for s in seeds]
    metrics, videos = measure_groups("video", of_videos, known, of_cluster)
    more, frames = measure_groups("frame", of_frames, known, of_cluster)
    return metrics | more, {
        attribute: {group: GroupCell(video=cell, frame=frames[attribute][group]) for group, cell in cells.items()}
        for attribute, cells in videos.items()
    }


def _frame_samples(seed: SeedScores, clusters: ArrayLike) -> Samples:
    if "logit" not in seed.frames:
        return Samples(seed.frames, clusters, seed.at)
    half = sigmoid(seed.frames["logit"])
    frames = seed.frames.assign(score=half) if seed.at == 0.5 else seed.frames
    return Samples(frames, clusters, seed.at, half)


def measure_groups(
    level: str, seeds: Sequence[Samples], known: Iterable[str], resamples: Resamples
) -> tuple[dict[str, Estimate], LevelGroups]:
    """Measure every attribute's groups and the gaps between them.

    Args:
        level: `video` or `frame`; the keys begin with it, and it sets how small a group may be (MIN_PER_CLASS).
        seeds: the samples as each training seed scored them.
        known: the attributes to look for.
        resamples: the bootstrap draws of the clusters.

    Returns:
        The gaps, as `<level>.fairness.<attribute>.<metric>` (at 0.5 too, as `<level>.fairness_at_half...`, where that
        isn't the threshold), and for every attribute its groups with n, AUC, FPR, TPR and FPR at 5 % overall FPR.
        An attribute of which the seeds' samples have other groups is left out.
    """
    first, *others = (_tabulate_attributes(samples, known, resamples) for samples in seeds)
    shared = [a for a, f in first.items() if all(a in found and found[a].names == f.names for found in others)]
    metrics: dict[str, Estimate] = {}
    groups: LevelGroups = {}
    for attribute in shared:
        families = [found[attribute] for found in (first, *others)]
        kept = [i for i, n in enumerate(_smallest_counts(families, "size")) if n.min() >= MIN_PER_CLASS[level]]
        groups[attribute] = {g: _measure_cell(level, families, i) for i, g in enumerate(families[0].names)}
        measured = _measure_gaps(level, families, kept, "at") | _name_worst_groups(level, groups[attribute])
        metrics |= {f"{level}.fairness.{attribute}.{k}": e for k, e in measured.items()}
        if any(s.threshold != 0.5 for s in seeds):
            at_half = _measure_gaps(level, families, kept, "half").items()
            metrics |= {f"{level}.fairness_at_half.{attribute}.{k}": e for k, e in at_half if k.startswith("f_")}
    return metrics, groups


def threshold_at_fpr(label: ArrayLike, score: ArrayLike, rate: float) -> float:
    """Return the lowest threshold at which no more than `rate` of the reals are called fake."""
    reals = np.sort(np.asarray(score)[np.asarray(label) == REAL])[::-1]
    allowed = int(rate * len(reals))
    return float(np.nextafter(reals[allowed], np.inf)) if len(reals) else np.inf


def placements(label: ArrayLike, score: ArrayLike) -> Array:
    """Return each sample's share of the other class that it is on the right side of, ties counting half, (n,).

    The mean over the fakes, as that over the reals, is the AUC. NaN where the other class is missing.
    """
    y, s = np.asarray(label), np.asarray(score, dtype=float)
    found = np.full(len(y), np.nan)
    for which, other in ((REAL, FAKE), (FAKE, REAL)):
        theirs, mine = np.sort(s[y == other]), s[y == which]
        if len(theirs):
            below = sum(np.searchsorted(theirs, mine, side) for side in ("left", "right")) / (2 * len(theirs))
            found[y == which] = below if which == FAKE else 1 - below
    return found


def _tabulate_attributes(samples: Samples, known: Iterable[str], resamples: Resamples) -> dict[str, AttributeGroups]:
    table, threshold = samples.table, samples.threshold
    label, score = table["label"].to_numpy(int), table["score"].to_numpy(float)
    clusters = np.asarray(samples.clusters, dtype=np.int64)
    half = score if samples.half is None else np.asarray(samples.half)
    called = {"at": score >= threshold, "half": half >= 0.5, "fpr5": score >= threshold_at_fpr(label, score, 0.05)}
    return {
        attribute: _tabulate_attribute(names.to_numpy(), label, score, clusters, called, resamples)
        for attribute, names in cross_attributes(table, known).items()
    }


def _tabulate_attribute(
    names: NDArray[np.object_],
    label: NDArray[np.int64],
    score: Array,
    clusters: NDArray[np.int64],
    called: Mapping[str, NDArray[np.bool_]],
    resamples: Resamples,
) -> AttributeGroups:
    found, codes = np.unique(names[inside := names != ""].astype(str), return_inverse=True)
    label, score, clusters = label[inside], score[inside], clusters[inside]
    place = np.zeros(len(label))
    for code in range(len(found)):
        place[codes == code] = placements(label[codes == code], score[codes == code])
    columns = [np.ones(len(label)), *(fake[inside] for fake in called.values()), np.nan_to_num(place)]
    cells = 2 * len(found)
    at, size = clusters * cells + 2 * codes + label, len(resamples.clusters)
    table = np.stack([np.bincount(at, c, size * cells).reshape(size, cells) for c in columns], -1)
    shape = (len(found), 2, len(columns))
    whole, drawn = table.sum(0).reshape(shape), resamples.sums(table.reshape(size, -1)).reshape(-1, *shape)
    trials = (table[..., 0] > 0).sum(0).reshape(shape[:2])
    together = (table[..., 0].reshape(size, len(found), 2).sum(-1) > 0).sum(0)
    observed = {p: _rates_of_sums(whole, k) for k, p in enumerate(called, start=1)}
    return AttributeGroups(
        found.tolist(),
        whole[..., 0].astype(int),
        trials,
        together,
        observed,
        {p: _rates_of_draws(drawn, k, observed[p], trials) for k, p in enumerate(called, start=1)},
    )


def _rates_of_sums(sums: Array, point: int, auc: Array | float = 0.0) -> dict[str, Array]:
    """Turn sums (..., groups, class, column) into rates with the whole's appended; `auc` is the observed one."""
    whole = np.concatenate([sums, sums.sum(-3, keepdims=True)], axis=-3)
    real, fake = whole[..., REAL, :], whole[..., FAKE, :]
    found = compute_rates(real[..., 0], fake[..., 0], real[..., point], fake[..., point])
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_fake, mean_real = fake[..., -1] / fake[..., 0], real[..., -1] / real[..., 0]
    return {**found, "auc": np.clip(mean_fake + mean_real - (auc if np.ndim(auc) else mean_real), 0, 1)}


def _rates_of_draws(
    sums: Array, point: int, observed: Mapping[str, Array], trials: NDArray[np.int64]
) -> dict[str, Array]:
    """Turn drawn sums into rates, and give those of exactly 0 or 1 a spread: where all agree, nothing can vary.

    Their draws come from Jeffreys' posterior Beta(k + 1/2, n - k + 1/2), n being the group's clusters of that class,
    for an AUC of the smaller class: so many pairs of a fake and a real can be made without using a cluster twice. What
    is called fake or right in all follows from them. A group's draws don't depend on the others'.
    """
    drawn = _rates_of_sums(sums, point, observed["auc"])
    for i, (name, n) in enumerate((("fpr", trials[:, REAL]), ("tpr", trials[:, FAKE]), ("auc", trials.min(1)))):
        for group in np.flatnonzero(np.isin(observed[name][:-1], (0, 1)) & (n > 0)):
            k, rng = observed[name][group] * n[group], np.random.default_rng([i, int(group)])
            drawn[name][:, group] = rng.beta(k + 0.5, n[group] - k + 0.5, len(sums))
    real, fake = sums[..., REAL, 0], sums[..., FAKE, 0]
    called = (np.nan_to_num(n * drawn[name][:, :-1]) for name, n in (("fpr", real), ("tpr", fake)))
    thawed = compute_rates(real, fake, *called)
    for name in ("pr", "acc"):
        drawn[name][:, :-1] = thawed[name]
    return drawn


def _smallest_counts(seeds: Sequence[AttributeGroups], name: str) -> NDArray[np.int64]:
    """Return the smallest counts of any seed: one may have lost frames that another has."""
    return np.asarray(np.min([getattr(f, name) for f in seeds], axis=0))


def _measure_cell(level: str, seeds: Sequence[AttributeGroups], i: int) -> LevelCell:
    size, clusters, together = (_smallest_counts(seeds, name)[i] for name in ("size", "clusters", "together"))
    real, fake = (int(n) for n in size)

    def rate(key: str, n: int, independent: int, point: str = "at") -> Estimate:
        drawn, parts = average_over_seeds(
            [MetricDraws(float(f.rates[point][key][i]), f.drawn[point][key][:, i]) for f in seeds]
        )
        return estimate_group_rate(drawn, len(seeds[0].names), n=n, clusters=independent, parts=parts)

    def of_class(key: str, which: int, point: str = "at") -> Estimate:
        n = int(size[which])
        none = Estimate(None, None, None, 0, f"no such {level}s")
        return rate(key, n, int(clusters[which]), point) if n else none

    at_edge = np.mean([f.rates["at"]["auc"][i] for f in seeds]) in (0, 1)
    return LevelCell(
        n_real=real,
        n_fake=fake,
        auc=rate("auc", real + fake, int(clusters.min() if at_edge else together)),
        fpr=of_class("fpr", REAL),
        tpr=of_class("tpr", FAKE),
        fpr_at_fpr5=of_class("fpr", REAL, "fpr5"),
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


def _measure_gaps(level: str, seeds: Sequence[AttributeGroups], kept: Sequence[int], point: str) -> dict[str, Estimate]:
    size = _smallest_counts(seeds, "size")
    sizes = enumerate(zip(seeds[0].names, size, strict=True))
    out = ", ".join(f"{g} (real {real}, fake {fake})" for i, (g, (real, fake)) in sizes if i not in kept)
    left_out = f"left out: {out}" if out else ""
    few = _explain_too_few(level)
    if len(kept) < MIN_GROUPS[level]:
        return dict.fromkeys(GAPS, Estimate(None, None, None, 0, _join_notes(few, left_out)))
    if len(kept) == 1:
        return _gaps_of_one_group(seeds, kept, point, int(size[kept].min()), _join_notes(few, left_out))
    n = int(size[kept].min())
    found = [map(compute_gaps, f.select(kept, point)) for f in seeds]
    observed, resampled, errors = ({k: np.stack([g[k] for g in of]) for k in GAPS} for of in zip(*found, strict=True))
    most = {"f_fpr_sum": len(kept), "f_eo": 2 * len(kept)}
    measured = {}
    for name, values in observed.items():
        off = np.abs(draw_seed_errors(values, errors[name].shape[-1]))
        ceiling = np.minimum(resampled[name].mean(0) + off, most.get(name, 1))
        measured[name] = _interval_around(float(values.mean()), errors[name].mean(0) + off, ceiling, n, left_out)
    return measured


def _gaps_of_one_group(
    seeds: Sequence[AttributeGroups], kept: Sequence[int], point: str, n: int, note: str
) -> dict[str, Estimate]:
    """Return the gaps as the literature's code has them where one group counts: against the whole, without a range."""
    found = [compute_gaps(f.select(kept, point)[0]) for f in seeds]
    return {k: Estimate(float(np.mean([g[k] for g in found])), None, None, n, note) for k in GAPS}


def _name_worst_groups(level: str, cells: Mapping[str, LevelCell]) -> dict[str, Estimate]:
    """Return the worst rates of the groups that are large enough, with the name of the group in the note.

    They are that group's own numbers, whose intervals hold for all groups at once. Among fewer than two none is worst.
    """
    kept = {group: cell for group, cell in cells.items() if not cell.left_out}
    if len(kept) < 2:
        return dict.fromkeys(WORST, Estimate(None, None, None, 0, _explain_too_few(level)))
    found = {}
    for name, (rate, worst) in WORST.items():
        estimates = {group: getattr(cell, rate) for group, cell in kept.items()}
        group = worst(estimates, key=lambda g: estimates[g].value)
        found[name] = estimates[group]._replace(note=_join_notes(group, estimates[group].note))
    return found


GAPS = ("f_fpr_sum", "f_fpr_range", "f_meo", "f_dp", "f_oae", "f_eo", "auc_gap")
WORST: dict[str, tuple[str, Callable[..., str]]] = {
    "worst_auc": ("auc", min),
    "worst_fpr": ("fpr", max),
    "worst_fpr_at_fpr5": ("fpr_at_fpr5", max),
}


def _interval_around(value: float, errors: Array, resampled: Array, n: int, note: str) -> Estimate:
    """Return a value with the interval that the errors of its draws allow (see the top of this module)."""
    sound = ~np.isnan(errors)
    if sound.sum() <= len(errors) / 2:
        return Estimate(value, None, None, n, _join_notes(TOO_FEW if len(errors) else NO_DRAWS, note))
    if np.abs(errors[sound]).max() < ALIKE:
        return Estimate(value, None, None, n, _join_notes(ALL_ALIKE, note))
    reach, ceiling = np.quantile(errors[sound], LEVEL), np.quantile(resampled[sound], (1 + LEVEL) / 2)
    return Estimate(value, max(value - reach, 0.0), max(min(value + reach, ceiling), value), n, note)


def _join_notes(*parts: str) -> str:
    return "; ".join(filter(None, parts))
