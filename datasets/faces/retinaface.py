"""RetinaFace (Deng et al. 2020, ResNet-50), with the network and weights of the package retinaface-pytorch.

Only the package's network, prior boxes and decoding are imported: the rest needs packages that nothing here uses, and
it is installed with `--no-deps`, since its metadata requires a torch from 2021. It is more reliable than the default on
small, turned and covered faces, and takes seconds per frame on a processor; it uses a GPU if there is one.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ...benchmark.core.errors import BenchError
from ...benchmark.core.packages import find_package
from .boxes import suppress_non_maxima
from .finder import Candidate
from .models import RETINAFACE, find_model

if TYPE_CHECKING:
    import torch

PACKAGE = "retinaface-pytorch==0.0.8"
LONGEST_SIDE = 1280
LEAST_SCORE = 0.7
MOST_OVERLAP = 0.4
MEAN, STD = (np.array(v, np.float32) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
PRIORS = {"min_sizes": [[16, 32], [64, 128], [256, 512]], "steps": [8, 16, 32], "clip": False}
VARIANCES = (0.1, 0.2)


class RetinaFaceLocator:
    """Looks for faces with RetinaFace; `net` replaces the released network."""

    def __init__(self, net: torch.nn.Module | None = None) -> None:
        require_package()
        import torch

        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.net = (net or load_net(find_model(RETINAFACE))).eval().to(self.device)

    def locate(self, frame: np.ndarray) -> Iterator[list[Candidate]]:
        """Look once at the whole (H, W, 3) uint8 RGB frame, scaled to at most 1280 pixels on its longer side."""
        scale = min(1.0, LONGEST_SIDE / max(frame.shape[:2]))
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else frame
        scores, boxes, eyes = self._decode(small)
        size = np.array(frame.shape[1::-1], np.float32)
        kept = suppress_non_maxima(boxes, scores, MOST_OVERLAP)
        yield [Candidate(float(scores[i]), boxes[i] * np.tile(size, 2), eyes[i] * size) for i in kept]

    def _decode(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return scores (N,), boxes (N, 4) and eyes (N, 2, 2) of the confident priors; coordinates in [0, 1]."""
        import torch
        from retinaface.box_utils import decode, decode_landm

        pixels = torch.from_numpy((picture.astype(np.float32) / 255 - MEAN) / STD).permute(2, 0, 1)[None]
        with torch.inference_mode():
            moves, classes, points = (v[0].float().cpu() for v in self.net(pixels.to(self.device)))
            scores = classes.softmax(-1)[:, 1]
            sure = scores > LEAST_SCORE
            priors = make_priors(picture.shape[:2])[sure]
            boxes = decode(moves[sure], priors, VARIANCES)
            eyes = decode_landm(points[sure], priors, VARIANCES)[:, :4].reshape(-1, 2, 2)
        return scores[sure].numpy(), boxes.numpy(), eyes.numpy()


@lru_cache(maxsize=8)
def make_priors(size: tuple[int, ...]) -> torch.Tensor:
    """Return the prior boxes (N, 4) for an image of (height, width): centre x, y, width, height in [0, 1]."""
    from retinaface.prior_box import priorbox

    return priorbox(**PRIORS, image_size=size)


def load_net(weights: Path | None) -> torch.nn.Module:
    """Make the network, with the released weights or random ones.

    Raises:
        BenchError: the file doesn't hold this network's weights.
    """
    import torch
    from retinaface.network import RetinaFace

    layers = {"layer2": 1, "layer3": 2, "layer4": 3}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It uses torchvision's API of 2021.
        net = RetinaFace("Resnet50", pretrained=False, in_channels=256, return_layers=layers, out_channels=256)
    if weights:
        try:
            net.load_state_dict(torch.load(_unpack(weights), map_location="cpu", weights_only=True))
        except (RuntimeError, ValueError, TypeError) as error:
            raise BenchError(f"{weights} doesn't hold RetinaFace's weights: {str(error).splitlines()[0]}") from None
    return net


def _unpack(path: Path) -> Path | io.BytesIO:
    """Return the single file in an archive; torch's own files are archives of many."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if len(names := archive.namelist()) == 1:
                return io.BytesIO(archive.read(names[0]))
    return path


def require_package() -> None:
    """Check for torch and for the right one of two projects that install a package named `retinaface`.

    Raises:
        BenchError: one is missing; says what to type.
    """
    if find_package("torch") is None:
        raise BenchError('the face finder retinaface needs torch: pip install "crossfake[torch]"')
    spec = find_package("retinaface")
    if spec is None:
        raise BenchError(f"the face finder retinaface needs a package: pip install --no-deps {PACKAGE}")
    if not any((Path(folder) / "prior_box.py").is_file() for folder in spec.submodule_search_locations or ()):
        raise BenchError(
            f"the package 'retinaface' at {spec.origin} is from another project with that name, retina-face: "
            f"pip uninstall retina-face && pip install --no-deps {PACKAGE}"
        )
