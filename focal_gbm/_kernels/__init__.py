"""Compiled loops over rows, for CPU and GPU, and the formulas that they call."""
