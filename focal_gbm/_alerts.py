"""Measures at a false-positive budget or at an alert budget, in all or a day.

Scores only rank here: any strictly increasing transform of them gives the same
values. Rows of equal score are alerted together or not at all, since no threshold
can part them; every measure keeps to its budget and never exceeds it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from focal_gbm._checks import (
    Float64Array,
    check_labels,
    check_real,
    check_vector,
    check_weights,
)

# Budgets are met up to rounding: 0.001 of 1000 rows is one row, not 0.9999...
_ROUNDING = 1e-12


class Cuts(NamedTuple):
    """Alerted weight of each class at every distinct threshold, most alerts last."""

    threshold: Float64Array
    positive: Float64Array
    negative: Float64Array


def _scores(y_score: ArrayLike) -> Float64Array:
    score = check_vector(y_score, "y_score", np.float64)
    if np.isnan(score).any():
        msg = f"y_score must not be NaN, got NaN in row {int(np.isnan(score).argmax())}"
        raise ValueError(msg)
    if len(score) == 0:
        msg = "y_score must hold at least one row, got none"
        raise ValueError(msg)
    return score


def cuts_of(
    y_true: ArrayLike | None, y_score: ArrayLike, sample_weight: ArrayLike | None
) -> Cuts:
    score = _scores(y_score)
    y = np.zeros_like(score) if y_true is None else check_labels(y_true, len(score))
    weight = check_weights(sample_weight, len(score))
    order = np.argsort(-score, kind="stable")
    score, y = score[order], y[order]
    w = np.ones_like(y) if weight is None else weight[order]
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    positive, negative = np.cumsum(w * y)[last], np.cumsum(w * (1 - y))[last]
    return Cuts(score[last], positive, negative)


def _within(spent: Float64Array, budget: float) -> int:
    """Return how many thresholds keep to the budget."""
    return int(np.searchsorted(spent, budget * (1 + _ROUNDING), side="right"))


def recall_at_fpr(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    fpr: float = 1e-3,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the share of frauds caught at a bounded false-positive rate.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels, 1 for fraud.
    y_score : array-like of shape (n_samples,)
        Scores, higher for fraud.
    fpr : float in [0, 1], default=1e-3
        Largest share of the negatives that may be alerted.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite factors >= 0.

    Returns
    -------
    recall : float in [0, 1]
        NaN if there is no fraud. With no negative, 1.

    Examples
    --------
    >>> from focal_gbm.metrics import recall_at_fpr
    >>> recall_at_fpr([1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.2, 0.1], fpr=0.4)
    1.0
    """
    fpr = check_real(fpr, "fpr", low=0.0, high=1.0)
    cuts = cuts_of(y_true, y_score, sample_weight)
    n_within = _within(cuts.negative, fpr * cuts.negative[-1])
    return _share(cuts.positive[n_within - 1] if n_within else 0.0, cuts.positive[-1])


def recall_at_alert_rate(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    rate: float = 1e-2,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the share of frauds caught when a bounded share of rows is alerted.

    Parameters
    ----------
    y_true, y_score, sample_weight
        As in :func:`recall_at_fpr`.
    rate : float in [0, 1], default=1e-2
        Largest share of all rows that may be alerted.

    Returns
    -------
    recall : float in [0, 1]
        NaN if there is no fraud.

    Examples
    --------
    >>> from focal_gbm.metrics import recall_at_alert_rate
    >>> recall_at_alert_rate([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.2], rate=0.5)
    0.5
    """
    positive, _, total = _alerted(y_true, y_score, rate, sample_weight)
    return _share(positive, total)


def precision_at_alert_rate(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    rate: float = 1e-2,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the share of frauds among the alerts when their number is bounded.

    Parameters
    ----------
    y_true, y_score, sample_weight
        As in :func:`recall_at_fpr`.
    rate : float in [0, 1], default=1e-2
        Largest share of all rows that may be alerted.

    Returns
    -------
    precision : float in [0, 1]
        NaN if the budget allows no alert.

    Examples
    --------
    >>> from focal_gbm.metrics import precision_at_alert_rate
    >>> precision_at_alert_rate([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.2], rate=0.75)
    0.6666666666666666
    """
    positive, alerted, _ = _alerted(y_true, y_score, rate, sample_weight)
    return _share(positive, alerted)


def recall_at_daily_budget(
    y_true: ArrayLike,
    y_score: ArrayLike,
    day: ArrayLike,
    *,
    budget: float = 100.0,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the share of frauds caught when alerts are bounded on every day.

    Each day has a threshold of its own, as a team has that works off the highest
    scores of the day.

    Parameters
    ----------
    y_true, y_score, sample_weight
        As in :func:`recall_at_fpr`.
    day : array-like of shape (n_samples,)
        What tells the days apart, of any type.
    budget : float >= 0, default=100
        Largest number (total weight) of alerts a day.

    Returns
    -------
    recall : float in [0, 1]
        Of the frauds of all days together; NaN if there is none. Days without fraud
        change nothing.

    Examples
    --------
    >>> from focal_gbm.metrics import recall_at_daily_budget
    >>> y, score = [1, 0, 1, 0, 1], [0.9, 0.8, 0.7, 0.6, 0.5]
    >>> round(recall_at_daily_budget(y, score, day=[1, 1, 1, 2, 2], budget=1), 3)
    0.333
    """
    caught, _, total = _alerted_daily(y_true, y_score, day, budget, sample_weight)
    return _share(caught, total)


def precision_at_daily_budget(
    y_true: ArrayLike,
    y_score: ArrayLike,
    day: ArrayLike,
    *,
    budget: float = 100.0,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the share of frauds among the alerts when these are bounded on every day.

    Parameters
    ----------
    y_true, y_score, day, budget, sample_weight
        As in :func:`recall_at_daily_budget`.

    Returns
    -------
    precision : float in [0, 1]
        Of the alerts of all days together, those of days without fraud included; NaN
        if no budget allows one.

    Examples
    --------
    >>> from focal_gbm.metrics import precision_at_daily_budget
    >>> y, score = [1, 0, 1, 0, 1], [0.9, 0.8, 0.7, 0.6, 0.5]
    >>> precision_at_daily_budget(y, score, day=[1, 1, 1, 2, 2], budget=1)
    0.5
    """
    caught, alerted, _ = _alerted_daily(y_true, y_score, day, budget, sample_weight)
    return _share(caught, alerted)


def alert_threshold(
    y_score: ArrayLike,
    *,
    rate: float | None = None,
    budget: float | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the lowest threshold that keeps to an alert budget.

    Rows with ``y_score >= threshold`` are alerted.

    Parameters
    ----------
    y_score : array-like of shape (n_samples,)
        Scores, higher for fraud.
    rate : float in [0, 1] or None
        Largest share of rows that may be alerted; this or ``budget`` is given.
    budget : float >= 0 or None
        Largest number (total weight) of rows that may be alerted.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite factors >= 0.

    Returns
    -------
    threshold : float
        inf if not even the rows of the highest score fit.

    Examples
    --------
    >>> from focal_gbm.metrics import alert_threshold
    >>> alert_threshold([0.9, 0.8, 0.7, 0.2], budget=2)
    0.8
    """
    if (rate is None) == (budget is None):
        msg = f"give either rate or budget, got rate={rate!r} and budget={budget!r}"
        raise ValueError(msg)
    cuts = cuts_of(None, y_score, sample_weight)
    if budget is None:
        share = check_real(rate, "rate", low=0.0, high=1.0)
        budget = share * float(cuts.negative[-1])
    n_within = _within(cuts.negative, check_real(budget, "budget", low=0.0))
    return float(cuts.threshold[n_within - 1]) if n_within else float("inf")


def _alerted(
    y_true: ArrayLike, y_score: ArrayLike, rate: float, sample_weight: ArrayLike | None
) -> tuple[float, float, float]:
    """Return frauds alerted, rows alerted and all frauds, by weight."""
    rate = check_real(rate, "rate", low=0.0, high=1.0)
    cuts = cuts_of(y_true, y_score, sample_weight)
    return _spent(cuts, rate * float(cuts.positive[-1] + cuts.negative[-1]))


def _alerted_daily(
    y_true: ArrayLike,
    y_score: ArrayLike,
    day: ArrayLike,
    budget: float,
    sample_weight: ArrayLike | None,
) -> tuple[float, float, float]:
    """Return frauds alerted, rows alerted and all frauds of all days, by weight."""
    budget = check_real(budget, "budget", low=0.0)
    score = _scores(y_score)
    y = check_labels(y_true, len(score))
    weight = check_weights(sample_weight, len(score))
    sums = np.zeros(3)
    for rows in rows_by(day, "day", len(score)):
        of_rows = None if weight is None else weight[rows]
        if of_rows is None or of_rows.any():
            sums += _spent(cuts_of(y[rows], score[rows], of_rows), budget)
    return float(sums[0]), float(sums[1]), float(sums[2])


def rows_by(labels: ArrayLike, name: str, n_rows: int) -> list[NDArray[np.intp]]:
    """Return the rows of each label, labels in sorted order."""
    codes, _ = pd.factorize(np.asarray(labels), sort=True)
    if len(codes) != n_rows:
        msg = f"{name} must have {n_rows} values, one a row, got {len(codes)}"
        raise ValueError(msg)
    if (codes < 0).any():
        msg = f"{name} must not be missing, as it is in row {int(codes.argmin())}"
        raise ValueError(msg)
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def _spent(cuts: Cuts, budget: float) -> tuple[float, float, float]:
    """Return frauds alerted, rows alerted and all frauds within a budget of alerts."""
    alerts = cuts.positive + cuts.negative
    n_within = _within(alerts, budget)
    if n_within == 0:
        return 0.0, 0.0, float(cuts.positive[-1])
    at = n_within - 1
    return float(cuts.positive[at]), float(alerts[at]), float(cuts.positive[-1])


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")
