"""RECCE: End-to-End Reconstruction-Classification Learning for Face Forgery Detection (Cao et al., CVPR 2022)."""
