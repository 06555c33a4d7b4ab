"""Flax NNX networks whose weights have the names and shapes of their PyTorch counterparts (timm's)."""
