"""Plain image classifiers, as baselines for the published detectors."""
