"""Forensics Adapter: Adapting CLIP for Generalizable Face Forgery Detection (Cui et al., CVPR 2025)."""
