"""The measurements behind the README, a package for each question."""
