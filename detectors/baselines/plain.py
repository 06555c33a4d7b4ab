"""What the plain classifiers share: the square face box, inputs in -1..1, cross-entropy."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ..common.crops import BoxCrop
from ..common_torch.detector import TorchDetector
from .augment import ClassifierSampler
from .shared import check_input_size


class PlainClassifier(TorchDetector):
    """A network from float32 (N, 3, S, S) to two logits, real and fake, trained on single frames.

    Raises:
        BenchError: `input_size` is too small.
    """

    def __init__(self, network: nn.Module, input_size: int):
        super().__init__()
        check_input_size(input_size)
        self.network, self.input_size = network, input_size

    def cropper(self) -> BoxCrop:
        """The square face box."""
        return BoxCrop(self.input_size)

    def sampler(self) -> ClassifierSampler:
        """Jittered face boxes with mild photometric changes."""
        return ClassifierSampler(self.cropper())

    def normalise(self, frames: Tensor) -> Tensor:
        """Scale 0..255 to -1..1 (mean = std = 0.5)."""
        return frames.permute(0, 3, 1, 2).float().sub(127.5).div(127.5)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return `logits` (N, 2)."""
        return {"logits": self.network(x)}

    def losses(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Cross-entropy over real and fake."""
        logits = self.forward(self.inputs(batch["image"]))["logits"]
        return {"loss": F.cross_entropy(logits.float(), batch["label"])}
