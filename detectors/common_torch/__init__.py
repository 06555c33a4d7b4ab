"""What the PyTorch detectors share."""
