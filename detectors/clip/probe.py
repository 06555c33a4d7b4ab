"""What both probes share: a logistic head on frozen features, which are computed once per image."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...benchmark.core.errors import BenchError
from ..common import pixel_operators as pixels
from ..common.augmentations import Augment, keep, mirror
from ..common.weights import Weight
from .backbone import ClipDetector, ClipNet

MOST_KEPT = 200_000  # Images whose features are kept in memory: 0.6 GB.


def augment_as_univfd(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur, compress and mirror, each half of the time."""
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), max(0.01, rng.uniform(0, 3)))
    if rng.random() < 0.5:
        image = pixels.compress_jpeg(image, int(rng.integers(30, 101)))
    return mirror(image, rng)


class Probe(ClipDetector):
    """A frozen ViT with one logit, high if fake. Without augmentation, features are computed once."""

    classes = 1
    head_name = "fc"

    def build(self, pretrained: bool | str) -> ClipNet:
        """Make the network; features computed with another one are dropped."""
        self.kept: dict[bytes, Tensor] = {}
        return super().build(pretrained)

    def own_augment(self) -> Augment:
        """Return UnivFD's augmentation (`released`) or none, so that features are computed once."""
        return augment_as_univfd if self.variant == "released" else keep

    @torch.no_grad()
    def compute_features(self, image: Tensor) -> Tensor:
        """Return the features (N, W) of uint8 (N, S, S, 3) RGB or float (N, 3, S, S) images, from memory if kept."""
        keys = [hashlib.blake2b(picture.tobytes(), digest_size=16).digest() for picture in image.cpu().numpy()]
        new = [i for i, key in enumerate(keys) if key not in self.kept]
        computed = dict(zip(new, self.network(self.inputs(image[new])).cpu(), strict=True)) if new else {}
        features = [computed[i] if i in computed else self.kept[key] for i, key in enumerate(keys)]
        if len(self.kept) + len(new) <= MOST_KEPT:
            self.kept |= {keys[i]: value for i, value in computed.items()}
        return torch.stack(features).to(image.device)

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Binary cross-entropy of the head on frozen features."""
        logits: Tensor = self.network.head(self.compute_features(batch["image"]))
        return {"loss": F.binary_cross_entropy_with_logits(logits[:, 0].float(), batch["label"].float())}

    def _score(self, frames: np.ndarray) -> np.ndarray:
        self._place()
        self.network.eval()
        features = self.compute_features(torch.from_numpy(np.ascontiguousarray(frames)).to(self.device))
        with torch.no_grad():
            logits: Tensor = self.network.head(features)
        return logits[:, 0].sigmoid().cpu().numpy().astype(np.float32)

    # ---- checkpoints

    def state(self) -> dict[str, np.ndarray]:
        """Return the head's weights, and the ViT's unless it is the published one."""
        whole = super().state()
        start = f"{self.head_name}."
        return {k: v for k, v in whole.items() if k.startswith(start)} if self.pretrained else whole

    def translate(self, given: Mapping[str, Weight]) -> dict[str, Weight]:
        """Return the expected weights, also from a checkpoint of the head alone, as the released ones are.

        Raises:
            BenchError: it has only the head, and the ViT's weights aren't available.
        """
        start = f"{self.head_name}."
        head = {k.removeprefix(start): v for k, v in given.items()}
        if set(head) != {"weight", "bias"}:
            return super().translate(given)
        if not self.pretrained:
            raise BenchError(
                f"{self.who}: the checkpoint has only the head, and the ViT's weights aren't available. "
                "Fetch them with --set options.pretrained=true"
            )
        own = self.to_reference(self.names())
        return {**own, **{start + k: v for k, v in head.items()}}

    def load(self, weights: Path | str | Mapping[str, object]) -> Self:
        """Load weights; see `TorchDetector.load`."""
        self.kept = {}
        return super().load(weights)
