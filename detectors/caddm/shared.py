"""What both CADDM ports share: options, crops, training examples, names. No backend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from ...benchmark.core.contracts import Cropper
from ...benchmark.core.errors import BenchError
from ...benchmark.core.types import Face
from ..common.network_detector import LEAST_SIZE
from ..common.options import Options, check_multiple, check_range
from .alignment import REFERENCE_SIZE, align_face
from .artifacts import MarksBoxes, locate_artifacts
from .keys import to_reference_key
from .sampler import CaddmSampler, make_policy
from .targets import LEVELS

MAPS = tuple(cells for cells, *_ in LEVELS)  # Side lengths of the ADM's maps, in cells.
MAP = MAPS[0]  # The backbone's: the ADM's unpadded convolutions reach 1x1 only from 7x7.
NEGATIVES_PER_POSITIVE = 2  # Background anchors in the loss for each positive one.


class CaddmMixin:
    """What both CADDM ports have in common; mix in before a backend's base class. A port defines `build_network`.

    Args:
        backbone: `resnet34`, `efficientnet-b3`, `efficientnet-b4` (the released ones), or `timm:NAME`.
        backbone_args: passed to timm for `timm:NAME`, such as `channels`.
        stage: which stage of a `timm:NAME` backbone to use; None: the last one with a 7x7 map.
        input_size: side of the crop; 224 for the released ones.
        recipe: the swap policy: `paper`, `reference` to train as the released code does, or `gentle` for small faces.
        recipe_args: fields of that policy to change (`SwapPolicy` in sampler.py), such as `{partial: 0.5}`.
        detection_weight: weight of the anchors' loss; 0 leaves a classifier trained on swaps.
        pretrained: start from ImageNet weights, downloaded if needed; otherwise start from random weights.
        scale_input: give the network (grey level - 127.5) / 64 instead of the raw 0..255 that the released weights
            expect; small networks then learn faster from scratch.

    Raises:
        BenchError: an option isn't valid, such as an unknown policy, or the network can't be built.
    """

    def __init__(
        self,
        *,
        backbone: str = "efficientnet-b4",
        backbone_args: Options | None = None,
        stage: int | None = None,
        input_size: int = 224,
        recipe: str = "paper",
        recipe_args: Options | None = None,
        detection_weight: float = 0.1,
        pretrained: bool | str = False,
        scale_input: bool = False,
    ):
        check_multiple("caddm", "input_size", input_size, 1, LEAST_SIZE, REFERENCE_SIZE)
        check_range("caddm", "detection_weight", detection_weight, 0, example=0.1)
        self.backbone, self.input_size, self.policy = backbone, input_size, make_policy(recipe, recipe_args)
        self.detection_weight, self.scale_input = detection_weight, scale_input
        self.build_network(stage, dict(backbone_args or {}), pretrained)

    def build_network(self, stage: int | None, backbone_args: Options, pretrained: bool | str) -> None:
        """Start the backend's base class, with the network of `backbone` and `input_size`."""
        raise NotImplementedError

    def cropper(self) -> Cropper:
        """Return the cropper for the aligned uint8 (S, S, 3) RGB test crop (five points, scale 0.9)."""
        return partial(align_face, size=self.input_size)

    def sampler(self) -> CaddmSampler:
        """Return the multi-scale facial swap for this detector's policy and size."""
        return CaddmSampler(self.input_size, self.policy)

    def artifacts(self: MarksBoxes, faces: Sequence[Face]) -> list[np.ndarray]:
        """Return, for each face, the (k, 4, 2) corners of what looks like an artifact, in pixels of its crop."""
        return locate_artifacts(self, faces)

    def reference_name(self, name: str) -> str:
        """Return the released code's name for one of our weights."""
        return to_reference_key(self.backbone, name)


def make_map_error(backbone: str, cells: tuple[int, ...], input_size: int, remedy: str) -> BenchError:
    """Return the error for a backbone whose map of `cells` (rows, columns) doesn't fit the ADM."""
    found = "x".join(map(str, cells))
    return BenchError(
        f"backbone {backbone} gives a {found} map at input_size {input_size}; the ADM needs {MAP}x{MAP}. {remedy}, "
        "or choose another stage"
    )


def check_plain(backbone: str, stage: int | None, args: Options) -> None:
    """Raise a BenchError if a released backbone is given options that only `timm:NAME` takes."""
    if args or stage is not None:
        raise BenchError(f"backbone_args and stage are for backbone timm:NAME; '{backbone}' has neither")
