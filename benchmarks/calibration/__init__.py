"""Measure calibrators by the number of frauds, and fraud rates on later weeks."""
