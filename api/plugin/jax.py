"""What authors of JAX detectors also import: the base classes, and layers named like PyTorch's."""

from __future__ import annotations

from ..detectors.baselines.jax_plain import JaxPlainClassifier
from ..detectors.common_jax.detector import JaxDetector, Named
from ..detectors.common_jax.layers import (
    EVALUATION,
    BatchNorm,
    Conv,
    Idle,
    Init,
    Linear,
    Mode,
    avg_pool,
    drop_path,
    dropout,
    max_pool,
    run_block,
)
from ..detectors.common_jax.training import JaxTraining

__all__ = [
    "EVALUATION",
    "BatchNorm",
    "Conv",
    "Idle",
    "Init",
    "JaxDetector",
    "JaxPlainClassifier",
    "JaxTraining",
    "Linear",
    "Mode",
    "Named",
    "avg_pool",
    "drop_path",
    "dropout",
    "max_pool",
    "run_block",
]
