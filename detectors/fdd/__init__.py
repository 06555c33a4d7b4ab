"""DAG-FDD and DAW-FDD: Improving Fairness in Deepfake Detection (Ju et al., WACV 2024)."""
