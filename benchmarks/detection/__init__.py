"""Measure how well models find rare classes, at default settings and tuned."""
