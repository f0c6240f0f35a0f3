"""Probabilistic Grad-CAM, the files of a map, and overlays."""
