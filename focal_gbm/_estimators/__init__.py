"""The parts of a fit that both classifiers need around the training of their
parents."""
