"""What authors of detectors and datasets import: the two registries, their data types, and the contracts.

    from crossfake.plugin import detectors

    @detectors.register("mine", title="Mine")
    class Mine: ...

These names are stable. Neither torch nor jax is imported here: their bases are in `crossfake.plugin.torch` and
`crossfake.plugin.jax`. docs/plugins.md says what each method of a contract must do.
"""

from __future__ import annotations

from ..benchmark.core.contracts import (
    Arrays,
    ChecksTraining,
    Compiles,
    CountsFlops,
    CountsParameters,
    Cropper,
    CutsCrops,
    Dataset,
    HasNetwork,
    InspectsTrainingSet,
    KnowsRelease,
    LearnsFromReals,
    LearnsInPieces,
    ListsParts,
    LoadsWeights,
    LocatesArtifacts,
    MakesSamples,
    PlacesNetwork,
    RunsBlocksAgain,
    Sampler,
    SavesWeights,
    Scores,
    Seeded,
    Snapshots,
    TakesDevice,
    TellsFeatures,
    TellsPrecision,
    TellsThreads,
    Trainable,
    TrainingSession,
    WriteState,
)
from ..benchmark.core.errors import BenchError
from ..benchmark.core.registry import datasets, detectors
from ..benchmark.core.settings import FaceSettings, TrainSettings
from ..benchmark.core.training_steps import LaunchesSteps
from ..benchmark.core.types import FAKE, REAL, SPLITS, Face, Picture, Release, TrainSample, Video
from ..datasets.base import find_home, finish_listing, hold_out, list_video_files, need_file, read_json
from ..detectors.baselines.shared import check_input_size
from ..detectors.common.crops import BoxCrop

__all__ = [
    "FAKE",
    "REAL",
    "SPLITS",
    "Arrays",
    "BenchError",
    "BoxCrop",
    "ChecksTraining",
    "Compiles",
    "CountsFlops",
    "CountsParameters",
    "Cropper",
    "CutsCrops",
    "Dataset",
    "Face",
    "FaceSettings",
    "HasNetwork",
    "InspectsTrainingSet",
    "KnowsRelease",
    "LaunchesSteps",
    "LearnsFromReals",
    "LearnsInPieces",
    "ListsParts",
    "LoadsWeights",
    "LocatesArtifacts",
    "MakesSamples",
    "Picture",
    "PlacesNetwork",
    "Release",
    "RunsBlocksAgain",
    "Sampler",
    "SavesWeights",
    "Scores",
    "Seeded",
    "Snapshots",
    "TakesDevice",
    "TellsFeatures",
    "TellsPrecision",
    "TellsThreads",
    "TrainSample",
    "TrainSettings",
    "Trainable",
    "TrainingSession",
    "Video",
    "WriteState",
    "check_input_size",
    "datasets",
    "detectors",
    "find_home",
    "finish_listing",
    "hold_out",
    "list_video_files",
    "need_file",
    "read_json",
]
