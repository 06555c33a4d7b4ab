"""Code shared by the PyTorch detectors."""
