"""CADDM, "Implicit Identity Leakage" (CVPR 2023): an artifact detection module and multi-scale facial swaps."""
