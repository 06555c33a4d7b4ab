"""The detector of "Preserving Fairness Generalization in Deepfake Detection" (CVPR 2024), and a fixed version."""
