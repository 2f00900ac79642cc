"""Measure time and memory of focal loss against the built-in loss."""
