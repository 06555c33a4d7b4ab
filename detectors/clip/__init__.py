"""Detectors on a vision transformer that is frozen, or of which little is trained: CLIP's ViT-L/14, and DINOv2's."""
