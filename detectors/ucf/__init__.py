"""UCF: Uncovering Common Features for Generalizable Deepfake Detection (Yan et al., ICCV 2023)."""
