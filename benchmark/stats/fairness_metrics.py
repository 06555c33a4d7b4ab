"""The fairness metrics of the literature: how much groups' error rates differ. Plain functions of arrays.

The names are those of PG-FDD ("Preserving Fairness Generalization in Deepfake Detection", CVPR 2024) and of the AI-Face
benchmark (CVPR 2025), whose evaluation code they follow. All are fractions (not percent), 0 or more, lower is fairer:

    f_fpr_sum    sum over groups of |FPR_group - FPR_all|            (the papers' F_FPR)
    f_fpr_range  largest minus smallest FPR
    f_meo        the larger of the ranges of FPR and of TPR
    f_dp         range of the share called fake
    f_oae        range of accuracy
    f_eo         sum over groups of |FPR_group - FPR_all| + |TPR_group - TPR_all|
    auc_gap      range of AUC

Each is a seminorm of the vector of rates; benchmark/stats/group_gaps.py builds its intervals on that.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.errors import BenchError
from ..core.types import FAKE, REAL
from .metrics import auc

Array = NDArray[np.float64]
Rates = Mapping[str, Array]
"""`fpr`, `tpr`, `pr` (share called fake), `acc` and maybe `auc`: (..., groups + 1), the last one for all samples."""


def compute_gaps(rates: Rates) -> dict[str, Array]:
    """Return every gap that the given rates allow, with their shape without the last axis."""
    off = {k: np.abs(rates[k][..., :-1] - rates[k][..., -1:]).sum(-1) for k in ("fpr", "tpr")}
    width = {k: np.ptp(r[..., :-1], axis=-1) for k, r in rates.items()}
    found = {
        "f_fpr_sum": off["fpr"],
        "f_fpr_range": width["fpr"],
        "f_meo": np.maximum(width["fpr"], width["tpr"]),
        "f_dp": width["pr"],
        "f_oae": width["acc"],
        "f_eo": off["fpr"] + off["tpr"],
    }
    return found | ({"auc_gap": width["auc"]} if "auc" in width else {})


def compute_rates(real: Array, fake: Array, false_alarms: Array, hits: Array) -> dict[str, Array]:
    """Turn (weighted) counts of reals, fakes, and those of each called fake into rates; NaN for 0 / 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        total = real + fake
        right = real - false_alarms + hits
        return {
            "fpr": false_alarms / real,
            "tpr": hits / fake,
            "pr": (false_alarms + hits) / total,
            "acc": right / total,
        }


def sigmoid(logits: ArrayLike) -> Array:
    """Return P(fake) as the reference computes it from its stored class-1 logits, in double precision."""
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-np.asarray(logits, dtype=float))))


def reference_metrics(
    labels: ArrayLike, scores: ArrayLike, groups: ArrayLike, threshold: float = 0.5
) -> dict[str, float]:
    """Return the reference's metrics for one family of groups (intersections, or genders, or races).

    Args:
        labels: (n,) 0 real, 1 fake.
        scores: (n,) P(fake); for the reference's stored logits, `sigmoid(logits)`.
        groups: (n,) the group of each sample, as names or numbers.
        threshold: samples with at least this score are called fake.

    Returns:
        The gaps named at the top of this module, and the others that its code reports: `error_rate_gap` (range of
        1 - (TPR + 1 - FPR) / 2), `f_g` (largest |PR_group - PR_all|), `f_s` (the same as f_dp), and the overall `auc`,
        `fpr`, `tpr`, `acc`. A group without both classes doesn't enter gaps, but its samples count in the overall
        values.

    Raises:
        BenchError: no group has both classes.
    """
    y, s, names = np.asarray(labels), np.asarray(scores, dtype=float), np.asarray(groups)
    masks = [m for g in np.unique(names) if np.ptp(y[m := names == g]) > 0]
    if not masks:
        raise BenchError(
            f"no group has both real and fake samples ({len(set(names.tolist()))} groups, {len(y)} samples)"
        )
    masks.append(np.ones(len(y), dtype=bool))
    called = s >= threshold
    counts = ([float((m & (y == c) & also).sum()) for m in masks] for also in (True, called) for c in (REAL, FAKE))
    rates = compute_rates(*map(np.array, counts)) | {"auc": np.array([float(auc(y[m], s[m])) for m in masks])}
    error = 1 - (rates["tpr"] + 1 - rates["fpr"]) / 2
    extra = {
        "error_rate_gap": np.ptp(error[:-1]),
        "f_g": np.abs(rates["pr"][:-1] - rates["pr"][-1]).max(),
        "f_s": np.ptp(rates["pr"][:-1]),
        **{k: rates[k][-1] for k in ("auc", "fpr", "tpr", "acc")},
    }
    return {k: float(v) for k, v in (compute_gaps(rates) | extra).items()}


def training_metrics(
    labels: ArrayLike, scores: ArrayLike, groups: ArrayLike, count: int = 8, one_class_auc: bool = True
) -> dict[str, float]:
    """Return the metrics that the reference prints during training; their definitions differ from those above.

    Args:
        labels: (n,) 0 real, 1 fake.
        scores: (n,) the softmax P(fake); the predicted class is the more probable one, real on a tie.
        groups: (n,) intersection codes from 0 to `count` - 1.
        count: the number of codes; in `cal_feo` a code without samples has FPR and TPR 0, and so adds the overall
            rates.
        one_class_auc: what roc_auc_score does if there is one class: NaN with a warning (True, scikit-learn 1.6 and
            later; the group's accuracy then counts), or an error that leaves the group out (False, up to 1.5).

    Returns:
        `cal_ffpr` (present groups only), `cal_feo`, `cal_foae` (range of accuracy) and `auc_gap`; as in the reference,
        the last is NaN if the first group that counts has an undefined AUC, and otherwise skips such groups.
    """
    y, s, g = np.asarray(labels), np.asarray(scores, dtype=float), np.asarray(groups)
    called = (s > 0.5).astype(int)

    def rate(mask: NDArray[np.bool_], which: int) -> float:
        return float(called[mask & (y == which)].mean()) if (mask & (y == which)).any() else 0.0

    everyone = np.ones(len(y), dtype=bool)
    off = {c: [abs(rate(g == j, c) - rate(everyone, c)) for j in range(count)] for c in (REAL, FAKE)}
    accuracies, aucs = [], []
    for mask in (g == j for j in range(count)):
        both = len(set(y[mask])) == 2
        if both or (one_class_auc and len({*y[mask], *called[mask]}) == 2):
            accuracies.append(float((y[mask] == called[mask]).mean()))
            aucs.append(float(auc(y[mask], s[mask])))
    return {
        "cal_ffpr": sum(off[REAL][j] for j in range(count) if (g == j).any()),
        "cal_feo": sum(off[REAL]) + sum(off[FAKE]),
        "cal_foae": max(accuracies) - min(accuracies) if accuracies else float("nan"),
        "auc_gap": max(aucs) - min(aucs) if aucs else float("nan"),
    }


def parse_group(text: str) -> tuple[str, ...]:
    """Read a reference group string: `male,asian` gives (male, asian); AI-Face's `nomale` becomes `nonmale`.

    Raises:
        BenchError: a part is empty.
    """
    parts = tuple(p.strip() for p in text.split(","))
    if not all(parts):
        raise BenchError(f"'{text}' is not a group such as male,asian")
    return tuple("nonmale" if p == "nomale" else p for p in parts)
