"""F3-Net: Thinking in Frequency (Qian et al., ECCV 2020)."""
