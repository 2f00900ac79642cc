"""What both classifiers do around the training of their parents."""
