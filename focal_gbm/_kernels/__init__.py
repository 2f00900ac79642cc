"""The compiled loops, and the formulas that they call."""
