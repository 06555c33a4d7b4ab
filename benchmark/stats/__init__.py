"""From predictions to numbers with intervals. Uses only NumPy, SciPy and pandas."""
