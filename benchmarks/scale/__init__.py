"""Train and score where rows do not fit in memory."""
