"""Compute confidence intervals of differences between models."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats


def over_sets(differences: pd.Series) -> tuple[float, float, float]:
    """Return the mean over data sets and its interval of 95 % by Student's t."""
    return _interval(differences, 0.0)


def over_repeats(differences: pd.Series, overlap: float) -> tuple[float, float, float]:
    """Return the mean over repeats on one data set and its interval of 95 %.

    The variance of the mean of k repeats is s^2 (1/k + n_test/n_train) where repeats
    draw the same rows again (Nadeau and Bengio 2003, "Inference for the generalization
    error", eq. 9), and s^2 / k where repeats share no row. ``overlap`` is
    n_test/n_train, or 0 where repeats share no row.
    """
    return _interval(differences, overlap)


def _interval(differences: pd.Series, overlap: float) -> tuple[float, float, float]:
    n = len(differences)
    error = differences.std(ddof=1) * np.sqrt(1 / n + overlap)
    half = stats.t.ppf(0.975, n - 1) * error
    mean = differences.mean()
    return mean, mean - half, mean + half
