"""What a detector costs: parameters, and floating-point operations per image."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from ..core.contracts import CountsFlops, CountsParameters, HasNetwork, Scores, TellsFeatures
from ..core.scorecard import Throughput


def count_parameters(detector: Scores) -> int | None:
    """Return the number of trained parameters; None if the detector doesn't say."""
    return detector.parameters_count() if isinstance(detector, CountsParameters) else None


def count_flops(detector: Scores, crop: np.ndarray) -> int | None:
    """Count the operations of scoring one uint8 (H, W, 3) RGB crop; a multiply-add is two, as compilers count.

    A detector's own `flops(crops)` is trusted (JAX detectors use their compiler's cost analysis); for a torch network,
    torch's counter is used, which knows convolutions, matrix products and attention. None for anything else.
    """
    if isinstance(detector, CountsFlops):
        return int(detector.flops(crop[None]))
    if "torch" not in sys.modules or not _has_torch_network(detector):
        return None
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        _run_in_torch(detector, crop)
    return int(counter.get_total_flops())


def count_activations(detector: Scores, crop: np.ndarray) -> int | None:
    """Count the output values of convolutions and matrix products for one uint8 (H, W, 3) RGB crop.

    They limit a network's speed if it is memory-bound. Only torch networks are counted; None for anything else.
    """
    if "torch" not in sys.modules or not _has_torch_network(detector):
        return None
    from ...detectors.common_torch.activations import ActivationCounter

    with ActivationCounter() as counter:
        _run_in_torch(detector, crop)
    return counter.count


def _run_in_torch(detector: Scores, crop: np.ndarray) -> None:
    """Run the network through `outputs`, which uses torch: scoring may use a runtime that torch can't observe."""
    (detector.outputs_of if isinstance(detector, TellsFeatures) else detector.score)(crop[None])


def _has_torch_network(detector: Scores) -> bool:
    return isinstance(detector, HasNetwork) and isinstance(detector.network, sys.modules["torch"].nn.Module)


@dataclass
class ThroughputCounter:
    """How fast scoring has been since it last started.

    Images, seconds inside `score` after the first batch, total seconds, and seconds of compiling. The last is the
    increase of the detector's `compile_seconds`, if it has any, and isn't included in the others.
    """

    images: int = 0
    timed_images: int = 0
    score_seconds: float = 0.0
    seconds: float = 0.0
    compile_seconds: float = 0.0

    def summarise(self) -> Throughput:
        """Return images per second: for the detector alone (without the first batch), and from store to score."""
        alone = self.timed_images / self.score_seconds if self.score_seconds else None
        return Throughput(
            images=self.images,
            score_images_per_s=alone,
            pipeline_images_per_s=self.images / self.seconds,
            compile_s=self.compile_seconds,
        )
