"""Labels for PG-FDD besides real and fake: the manipulation and the demographic group. No backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ...benchmark.core.errors import BenchError
from ...benchmark.core.types import FAKE, TrainSample, Video
from ..baselines.augment import ClassifierSampler
from ..common.crops import BoxCrop

GENDERS = {"male": 0, "female": 1, "nonmale": 1, "nomale": 1}
RACES = ("asian", "white", "black", "others")
GROUPS = 2 * len(RACES)
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
FFPP_COUNTS = (2475, 25443, 1468, 4163, 8013, 31281, 1111, 2185)
AIFACE_COUNTS = (37276, 718535, 58543, 64593, 67552, 674406, 35115, 33384)


def encode_group(groups: Mapping[str, str]) -> int | None:
    """Return the intersection's code, 0 (male, asian) to 7 (not male, others); None if either is unknown.

    The order is that of the papers' FF++ and DFDC tables.
    """
    gender, race = GENDERS.get(groups.get("gender", "")), groups.get("race", "")
    return None if gender is None or race not in RACES else len(RACES) * gender + RACES.index(race)


def number_methods(methods: Sequence[str]) -> dict[str, int]:
    """Number the manipulations from 1 (0 is real): FF++'s in the paper's order, then others by name.

    Raises:
        BenchError: there are more than five, the head's number of outputs.
    """
    others = sorted(set(methods) - set(METHODS))
    known = [*METHODS, *others] if set(methods) & set(METHODS) else others
    if len(known) > len(METHODS):
        raise BenchError(
            f"pgfdd can distinguish {len(METHODS)} manipulations, and the training videos have {len(known)}: "
            f"{', '.join(known)}. Train on a set with fewer"
        )
    return {method: code for code, method in enumerate(known, 1)}


@dataclass(frozen=True)
class TrainingSetStats:
    """What a training set tells: its manipulations' codes, and each group's number of frames."""

    methods: Mapping[str, int]
    counts: NDArray[np.int64]


def inspect_training_set(videos: Sequence[Video], frames: Mapping[str, int]) -> tuple[list[Video], TrainingSetStats]:
    """Return the videos with known gender and race, and a summary of them.

    Args:
        videos: the training videos.
        frames: how many frames with a face each video has.

    Raises:
        BenchError: a class has no annotated video, or there are too many manipulations.
    """
    kept = keep_annotated(videos, "pgfdd")
    counts = np.zeros(GROUPS, np.int64)
    for video in kept:
        counts[encode_group(video.groups)] += frames.get(video.id, 0)
    return kept, TrainingSetStats(number_methods([v.method for v in kept if v.label == FAKE]), counts)


def keep_annotated(videos: Sequence[Video], who: str) -> list[Video]:
    """Return the training videos with known gender and race, for the detector `who`.

    Raises:
        BenchError: a class has no annotated video.
    """
    kept = [v for v in videos if encode_group(v.groups) is not None]
    if len({v.label for v in kept}) < 2:
        raise BenchError(
            f"{who} learns from gender ({', '.join(GENDERS)}) and race ({', '.join(RACES)}), known for "
            f"{len(kept)} of {len(videos)} training videos; it needs both real and fake ones. "
            "Put a table video,gender,race named demographics.csv into the dataset's folder"
        )
    return kept


@dataclass(frozen=True)
class FairnessSampler:
    """Makes `image` uint8 (S, S, 3) RGB, and int64 `label`, `label_spe` (manipulation) and `intersec_label` (group).

    The papers don't augment (`augment` false); otherwise the image is augmented as for the plain classifiers.
    """

    uses_original: ClassVar[bool] = False
    crop: BoxCrop
    methods: Mapping[str, int]
    augment: bool = False

    @property
    def uses_face(self) -> bool:
        """Whether it needs more than the crop: the box that it moves when it augments."""
        return self.augment

    def __call__(self, sample: TrainSample, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return one example; `inspect_training_set` must have kept its video."""
        image = ClassifierSampler(self.crop)(sample, rng)["image"] if self.augment else sample.cut(self.crop)
        codes = {
            "label": sample.label,
            "label_spe": self.methods[sample.method] if sample.label == FAKE else 0,
            "intersec_label": encode_group(sample.groups),
        }
        return {"image": image, **{name: np.array(code, np.int64) for name, code in codes.items()}}


def compute_ldam_margins(counts: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each class's margin, n^(-1/4) scaled to at most 0.5; 0 for a class without members.

    LDAM (Cao et al. 2019), equation 13.
    """
    members = np.asarray(counts, np.float64)
    margins = np.where(members > 0, members, np.inf) ** -0.25
    return 0.5 * margins / margins.max()
