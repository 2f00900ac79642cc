"""Train on labels that arrive late."""
