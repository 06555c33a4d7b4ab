"""The fairness detector of "Preserving Fairness Generalization in Deepfake Detection" (CVPR 2024), and its repair."""
