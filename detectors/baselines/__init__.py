"""Plain image classifiers to compare the published detectors with."""
