"""What both ports of the plain classifiers share. No backend."""

from __future__ import annotations

from ..common.network_detector import LEAST_SIZE
from ..common.options import check_multiple

# Meso4's blocks: channels in and out, kernel, and pooling.
MESO_BLOCKS = ((3, 8, 3, 2), (8, 8, 5, 2), (8, 16, 5, 2), (16, 16, 5, 4))
MESO_STRIDE = 32  # What the four poolings come to.


def check_input_size(input_size: int, step: int = 1) -> None:
    """Raise a BenchError unless a classifier can be made for crops of this size."""
    check_multiple("classifiers", "input_size", input_size, step, LEAST_SIZE, 256)
