"""SPSL: Spatial-Phase Shallow Learning (Liu et al., CVPR 2021)."""
