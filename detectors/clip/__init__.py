"""Detectors on a vision transformer that is mostly or fully frozen: CLIP's ViT-L/14, and DINOv2's."""
