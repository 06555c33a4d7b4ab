"""How the sampler draws: always from the sample's own generator, in the released code's order."""

from __future__ import annotations

import numpy as np


def flip_coin(rng: np.random.Generator, probability: float) -> bool:
    """Return True with this probability: at the upper end, as the released code, so that its draws can be replayed."""
    return bool(rng.random() >= 1 - probability)
