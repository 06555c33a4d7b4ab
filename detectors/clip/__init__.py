"""Detectors on a vision transformer that is mostly or fully frozen: ViT-L/14 of CLIP or DINOv2."""
