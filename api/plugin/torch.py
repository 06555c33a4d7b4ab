"""What authors of PyTorch detectors also import."""

from __future__ import annotations

from ..detectors.baselines.plain import PlainClassifier
from ..detectors.common_torch.detector import TorchDetector
from ..detectors.common_torch.training import TorchTraining

__all__ = ["PlainClassifier", "TorchDetector", "TorchTraining"]
