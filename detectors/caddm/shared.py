"""What both ports of CADDM share: options, crops, training examples, names. No backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...benchmark.types import Cropper, Face
from .alignment import align_face
from .artifacts import locate
from .keys import reference_key
from .sampler import CaddmSampler, recipe_of


class SwapLearner:
    """To be mixed in before a backend's base class."""

    def take_options(
        self,
        backbone: str,
        input_size: int,
        recipe: str,
        recipe_args: Mapping[str, Any] | None,
        detection_weight: float,
        scale_input: bool,
    ) -> None:
        """Set the options that concern no weights.

        Raises:
            BenchError: there is no such recipe, or it has no such field.
        """
        self.backbone, self.input_size, self.recipe = backbone, input_size, recipe_of(recipe, recipe_args)
        self.detection_weight, self.scale_input = detection_weight, scale_input

    def cropper(self) -> Cropper:
        """Return what cuts the aligned uint8 (S, S, 3) RGB test crop (five points, scale 0.9)."""
        return partial(align_face, size=self.input_size)

    def sampler(self) -> CaddmSampler:
        """Return the multi-scale facial swap of this detector's recipe and size."""
        return CaddmSampler(self.input_size, self.recipe)

    def artifacts(self, faces: Sequence[Face]) -> list[np.ndarray]:
        """Return for each face the (k, 4, 2) corners of what looks like an artifact, in pixels of its crop."""
        return locate(self, faces)

    def reference_name(self, name: str) -> str:
        """Return the released code's name of one of our weights."""
        return reference_key(self.backbone, name)
