"""Code shared by detectors of all backends."""
