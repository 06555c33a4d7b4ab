"""Detecting Deepfakes with Self-Blended Images (Shiohara and Yamasaki, CVPR 2022)."""
