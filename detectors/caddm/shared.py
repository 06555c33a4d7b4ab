"""What both ports of CADDM share: options, crops, training examples, names. No backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ...benchmark.core.contracts import Cropper
from ...benchmark.core.errors import BenchError
from ...benchmark.core.types import Face
from ..common.network_detector import LEAST_SIZE
from ..common.options import check_multiple, check_range
from .alignment import REFERENCE_SIZE, align_face
from .artifacts import locate_artifacts
from .keys import to_reference_key
from .sampler import CaddmSampler, make_recipe
from .targets import LEVELS

MAPS = tuple(cells for cells, *_ in LEVELS)  # The sides of the ADM's maps, in cells.
MAP = MAPS[0]  # Of the backbone's: the ADM's unpadded convolutions reach 1x1 from 7x7 only.
NEGATIVES_PER_POSITIVE = 2  # Background anchors in the loss, for each one that should see something.


class CaddmMixin:
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
            BenchError: one isn't valid, such as a recipe that there isn't.
        """
        check_multiple("caddm", "input_size", input_size, 1, LEAST_SIZE, REFERENCE_SIZE)
        check_range("caddm", "detection_weight", detection_weight, 0, example=0.1)
        self.backbone, self.input_size, self.recipe = backbone, input_size, make_recipe(recipe, recipe_args)
        self.detection_weight, self.scale_input = detection_weight, scale_input

    def cropper(self) -> Cropper:
        """Return what cuts the aligned uint8 (S, S, 3) RGB test crop (five points, scale 0.9)."""
        return partial(align_face, size=self.input_size)

    def sampler(self) -> CaddmSampler:
        """Return the multi-scale facial swap of this detector's recipe and size."""
        return CaddmSampler(self.input_size, self.recipe)

    def artifacts(self, faces: Sequence[Face]) -> list[np.ndarray]:
        """Return for each face the (k, 4, 2) corners of what looks like an artifact, in pixels of its crop."""
        return locate_artifacts(self, faces)

    def reference_name(self, name: str) -> str:
        """Return the released code's name of one of our weights."""
        return to_reference_key(self.backbone, name)


def make_map_error(backbone: str, cells: tuple[int, ...], input_size: int, remedy: str) -> BenchError:
    """Return the error for a backbone whose map, of `cells` (rows, columns), isn't the ADM's."""
    found = "x".join(map(str, cells))
    return BenchError(
        f"backbone {backbone} gives a {found} map at input_size {input_size}; the ADM needs {MAP}x{MAP}. {remedy}, "
        "or tap another stage"
    )


def check_plain(backbone: str, stage: int | None, args: Mapping[str, Any]) -> None:
    """Raise a BenchError if a released backbone is given what only `timm:NAME` takes."""
    if args or stage is not None:
        raise BenchError(f"backbone_args and stage are for backbone timm:NAME; '{backbone}' takes none")
