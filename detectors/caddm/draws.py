"""How the sampler draws: always from the sample's own generator, in the same order as the released code."""

from __future__ import annotations

import numpy as np


def flip_coin(rng: np.random.Generator, probability: float) -> bool:
    """Return True with this probability: if the draw is near 1, as in the released code, so that it can be replayed."""
    return bool(rng.random() >= 1 - probability)
