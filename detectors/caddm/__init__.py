"""CADDM, "Implicit Identity Leakage" (CVPR 2023): artifact detection module and multi-scale facial swap."""
