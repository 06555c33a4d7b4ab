"""How the fakes are made: one row per method.

The demo world's difficulty is tuned here; after changing a number, raise GENERATOR_VERSION in world.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Method:
    """One manipulation.

    `kind`: what is pasted: `swap` (the donor's face rendered in the target's pose and light), `reenact` (the target's
    own face with the donor's expression), `warp` (a frame of the donor's video, warped to the target's landmarks).
    `mask`: where it is pasted; see manipulate.REGIONS. `feather`: softness of its border, px. `colour`: 0..1, how far
    its colours are matched to the target's. `resolution`: pixels over the width of a face that survive the network
    bottleneck. `upsampler`: how they are brought back. `fingerprint`: strength of the chequered trace of
    up-convolution, 0..1. `jitter`: error of the landmarks it is aligned by, px. `shrink`: scale of the mask. `tint`:
    strength of a colour cast that stays throughout a video. `grain`: whether the pasted face gets the blur and noise of
    the target's camera, so that their absence doesn't give it away.
    """

    kind: Literal["swap", "reenact", "warp"]
    mask: str
    feather: float
    colour: float
    resolution: float
    upsampler: Literal["linear", "cubic"]
    fingerprint: float
    jitter: float
    shrink: float = 1.0
    tint: float = 0.0
    grain: bool = False


METHODS = {
    # FaceForensics++, in the order of its folders
    "Deepfakes": Method("swap", "inner", 2.0, 0.75, 40, "linear", 0.030, 0.5),
    "Face2Face": Method("reenact", "face", 1.6, 0.0, 52, "linear", 0.030, 0.3, shrink=0.97, tint=0.015),
    "FaceSwap": Method("warp", "face", 1.0, 0.70, 72, "linear", 0.0, 1.0, shrink=0.97),
    "NeuralTextures": Method("reenact", "mouth", 1.6, 0.0, 40, "linear", 0.060, 0.3, shrink=1.2, tint=0.03),
    "FaceShifter": Method("swap", "head", 3.0, 0.90, 52, "cubic", 0.030, 0.2, shrink=0.96),
    # the other datasets: none shares a method with FaceForensics++
    "Celeb-DF": Method("swap", "face", 3.0, 0.90, 54, "cubic", 0.010, 0.2, shrink=0.95),
    "DFD": Method("swap", "oval", 2.6, 0.90, 60, "cubic", 0.008, 0.3),
    "DFDC-autoencoder": Method("swap", "box", 2.5, 0.70, 44, "linear", 0.015, 0.8),
    "DFDC-warp": Method("warp", "inner", 1.8, 0.80, 58, "cubic", 0.0, 0.8),
    "DFDC-gan": Method("swap", "head", 3.0, 0.95, 52, "cubic", 0.018, 0.1, shrink=0.95),
    # the leak world: so faint that knowing the donors is the easier way
    "Leak-A": Method("swap", "head", 3.5, 0.95, 100, "cubic", 0.0, 0.2, shrink=0.95, grain=True),
    "Leak-B": Method("swap", "inner", 3.0, 0.95, 100, "cubic", 0.0, 0.2, grain=True),
}


def choose_in_turn(methods: Sequence[str], turn: int, count: int) -> list[str]:
    """Return the `count` methods for the given turn, if each turn takes as many."""
    return [methods[(turn * count + k) % len(methods)] for k in range(count)]


FFPP_METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter")
DFDC_METHODS = ("DFDC-autoencoder", "DFDC-warp", "DFDC-gan")
# FaceForensics++ has no folders for the two leak methods, so they use the folders of two existing methods.
LEAK_METHODS = {"Leak-A": "Deepfakes", "Leak-B": "FaceShifter"}
