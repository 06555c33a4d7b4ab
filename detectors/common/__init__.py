"""What detectors of every backend share."""
