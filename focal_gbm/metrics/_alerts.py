"""Measures at a false-positive rate, at a rate of alerts and at a budget of alerts a
day, and the threshold for a budget.

Only the order of the scores matters: any strictly increasing transform of them gives
the same values. Rows of equal score are alerted together or not at all, since no
threshold separates them; the alerts of a measure never exceed its budget.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from focal_gbm._validation import (
    Float64Array,
    check_labels,
    check_real,
)
from focal_gbm.metrics._rows import codes_of, rows_by, scores_of, weights_or_ones

# Relative tolerance of a budget: 0.001 of 1000 rows is one row, not 0.9999...
_ROUNDING = 1e-12
_LEAST_DAYS = 1e-9  # of an alert a day; 86 microseconds


class Cuts(NamedTuple):
    """Alerted weight of each class at every distinct threshold, most alerts last."""

    threshold: Float64Array
    positive: Float64Array
    negative: Float64Array

    @property  # not a fourth field, which could contradict the others
    def total(self) -> float:
        """Return the weight of all rows."""
        return float(self.positive[-1] + self.negative[-1])


def cuts_of(y: Float64Array, score: Float64Array, weight: Float64Array) -> Cuts:
    """Return the weight alerted at each threshold, for checked rows."""
    order = np.argsort(-score, kind="stable")
    score, y, w = score[order], y[order], weight[order]
    # the last row of each score: equal scores are alerted together. Not by
    # differences, which are NaN between infinite scores.
    last = np.append(np.flatnonzero(score[1:] != score[:-1]), len(score) - 1)
    positive, negative = np.cumsum(w * y)[last], np.cumsum(w * (1 - y))[last]
    return Cuts(score[last], positive, negative)


def cuts_from(
    y_true: ArrayLike,
    y_score: ArrayLike,
    sample_weight: ArrayLike | None,
    pos_label: Any = None,
) -> Cuts:
    """Check the rows and return the weight alerted at each threshold."""
    score = scores_of(y_score)
    y = check_labels(y_true, len(score), pos_label=pos_label)
    return cuts_of(y, score, weights_or_ones(sample_weight, len(score)))


def n_within(spent: Float64Array, budget: float) -> int:
    """Return the number of thresholds whose alerts do not exceed the budget."""
    return int(np.searchsorted(spent, budget * (1 + _ROUNDING), side="right"))


def spent(cuts: Cuts, budget: float) -> tuple[float, float, float]:
    """Return frauds alerted, rows alerted and all frauds within a budget of alerts."""
    alerts = cuts.positive + cuts.negative
    at = n_within(alerts, budget) - 1
    if at < 0:  # not even the rows of the highest score fit
        return 0.0, 0.0, float(cuts.positive[-1])
    return float(cuts.positive[at]), float(alerts[at]), float(cuts.positive[-1])


def share(part: float, whole: float) -> float:
    """Return part / whole, NaN if whole is 0."""
    return float(part / whole) if whole > 0 else float("nan")


def recall_at_fpr(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    fpr: float = 1e-3,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
) -> float:
    """Return the share of frauds caught at a bounded false-positive rate.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels: 0 and 1, booleans, or any two labels with ``pos_label``.
    y_score : array-like of shape (n_samples,)
        Scores, higher for fraud; infinite scores are ranked, NaN is refused.
    fpr : float in [0, 1], default=1e-3
        Largest share of the negatives that may be alerted.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of fraud, the class of which ``y_score`` is the score; None: 1, or True.

    Returns
    -------
    recall : float in [0, 1]
        NaN if there is no fraud. With no negative, 1.

    Raises
    ------
    TypeError
        If ``fpr`` is not a number.
    ValueError
        If ``fpr`` is out of range, a label is not one of two classes, a score is
        NaN, a weight is negative or not finite, lengths differ, or there is no row.

    See Also
    --------
    focal_gbm.metrics.recall_at_alert_rate : Bounds the alerts among all rows.
    focal_gbm.metrics.recall_at_daily_budget : Bounds the alerts of each day.
    focal_gbm.metrics.bootstrap_interval : Interval of the measure.

    Examples
    --------
    >>> from focal_gbm.metrics import recall_at_fpr
    >>> recall_at_fpr([1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.2, 0.1], fpr=0.4)
    1.0
    """
    fpr = check_real(fpr, "fpr", low=0.0, high=1.0)
    cuts = cuts_from(y_true, y_score, sample_weight, pos_label)
    at = n_within(cuts.negative, fpr * cuts.negative[-1]) - 1
    return share(cuts.positive[at] if at >= 0 else 0.0, cuts.positive[-1])


def recall_at_alert_rate(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    rate: float = 1e-2,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
) -> float:
    """Return the share of frauds caught when a bounded share of rows is alerted.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels: 0 and 1, booleans, or any two labels with ``pos_label``.
    y_score : array-like of shape (n_samples,)
        Scores, higher for fraud; infinite scores are ranked, NaN is refused.
    rate : float in [0, 1], default=1e-2
        Largest share of all rows that may be alerted.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of fraud, the class of which ``y_score`` is the score; None: 1, or True.

    Returns
    -------
    recall : float in [0, 1]
        NaN if there is no fraud.

    Raises
    ------
    TypeError
        If ``rate`` is not a number.
    ValueError
        If ``rate`` is out of range, a label is not one of two classes, a score is
        NaN, a weight is negative or not finite, lengths differ, or there is no row.

    See Also
    --------
    focal_gbm.metrics.precision_at_alert_rate : Share of frauds among the same alerts.
    focal_gbm.metrics.alert_threshold : Threshold of these alerts.
    focal_gbm.metrics.recall_at_fpr : Bounds the alerts among negatives.
    focal_gbm.metrics.bootstrap_interval : Interval of the measure.

    Examples
    --------
    >>> from focal_gbm.metrics import recall_at_alert_rate
    >>> recall_at_alert_rate([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.2], rate=0.5)
    0.5
    """
    rate = check_real(rate, "rate", low=0.0, high=1.0)
    cuts = cuts_from(y_true, y_score, sample_weight, pos_label)
    caught, _, frauds = spent(cuts, rate * cuts.total)
    return share(caught, frauds)


def precision_at_alert_rate(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    rate: float = 1e-2,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
) -> float:
    """Return the share of frauds among alerts when a bounded share of rows is alerted.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels: 0 and 1, booleans, or any two labels with ``pos_label``.
    y_score : array-like of shape (n_samples,)
        Scores, higher for fraud; infinite scores are ranked, NaN is refused.
    rate : float in [0, 1], default=1e-2
        Largest share of all rows that may be alerted.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of fraud, the class of which ``y_score`` is the score; None: 1, or True.

    Returns
    -------
    precision : float in [0, 1]
        NaN if the rate allows no alert.

    Raises
    ------
    TypeError
        If ``rate`` is not a number.
    ValueError
        If ``rate`` is out of range, a label is not one of two classes, a score is
        NaN, a weight is negative or not finite, lengths differ, or there is no row.

    See Also
    --------
    focal_gbm.metrics.recall_at_alert_rate :
        Share of the frauds among the same alerts that are caught.
    focal_gbm.metrics.alert_threshold : Threshold of these alerts.
    focal_gbm.metrics.bootstrap_interval : Interval of the measure.

    Examples
    --------
    >>> from focal_gbm.metrics import precision_at_alert_rate
    >>> precision_at_alert_rate([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.2], rate=0.75)
    0.6666666666666666
    """
    rate = check_real(rate, "rate", low=0.0, high=1.0)
    cuts = cuts_from(y_true, y_score, sample_weight, pos_label)
    caught, alerted, _ = spent(cuts, rate * cuts.total)
    return share(caught, alerted)


def recall_at_daily_budget(
    y_true: ArrayLike,
    y_score: ArrayLike,
    day: ArrayLike,
    *,
    budget: float = 100.0,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
) -> float:
    """Return the share of frauds caught when alerts are bounded on every day.

    Each day has its own threshold, as if a team reviewed the highest scores of the day.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels: 0 and 1, booleans, or any two labels with ``pos_label``.
    y_score : array-like of shape (n_samples,)
        Scores, higher for fraud; infinite scores are ranked, NaN is refused.
    day : array-like of shape (n_samples,)
        Day of each row: a date, a whole number or a label, without a time of day.
    budget : float >= 0, default=100.0
        Largest number (total weight) of alerts a day.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of fraud, the class of which ``y_score`` is the score; None: 1, or True.

    Returns
    -------
    recall : float in [0, 1]
        Share of the frauds of all days together; NaN if there is no fraud. Days without
        fraud change nothing.

    Raises
    ------
    TypeError
        If ``budget`` is not a number.
    ValueError
        If ``budget`` is out of range, a day is missing or has a time of day, a label is
        not one of two classes, a score is NaN, a weight is negative or not finite,
        lengths differ, or there is no row.

    See Also
    --------
    focal_gbm.metrics.precision_at_daily_budget : Share of frauds among the same alerts.
    focal_gbm.metrics.card_precision_at_k : Counts cards in place of transactions.
    focal_gbm.metrics.bootstrap_interval :
        Interval of the measure, with days drawn as wholes.

    Examples
    --------
    >>> from focal_gbm.metrics import recall_at_daily_budget
    >>> y, score = [1, 0, 1, 0, 1], [0.9, 0.8, 0.7, 0.6, 0.5]
    >>> round(recall_at_daily_budget(y, score, day=[1, 1, 1, 2, 2], budget=1), 3)
    0.333
    """
    caught, _, frauds = _daily(y_true, y_score, day, budget, sample_weight, pos_label)
    return share(caught, frauds)


def precision_at_daily_budget(
    y_true: ArrayLike,
    y_score: ArrayLike,
    day: ArrayLike,
    *,
    budget: float = 100.0,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
) -> float:
    """Return the share of frauds among alerts when alerts are bounded on every day.

    Each day has its own threshold, as if a team reviewed the highest scores of the day.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels: 0 and 1, booleans, or any two labels with ``pos_label``.
    y_score : array-like of shape (n_samples,)
        Scores, higher for fraud; infinite scores are ranked, NaN is refused.
    day : array-like of shape (n_samples,)
        Day of each row: a date, a whole number or a label, without a time of day.
    budget : float >= 0, default=100.0
        Largest number (total weight) of alerts a day.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of fraud, the class of which ``y_score`` is the score; None: 1, or True.

    Returns
    -------
    precision : float in [0, 1]
        Share among the alerts of all days together, alerts of days without fraud
        included; NaN if the budget allows no alert.

    Raises
    ------
    TypeError
        If ``budget`` is not a number.
    ValueError
        If ``budget`` is out of range, a day is missing or has a time of day, a label is
        not one of two classes, a score is NaN, a weight is negative or not finite,
        lengths differ, or there is no row.

    See Also
    --------
    focal_gbm.metrics.recall_at_daily_budget :
        Share of all frauds that the same alerts catch.
    focal_gbm.metrics.card_precision_at_k : Counts cards in place of transactions.
    focal_gbm.metrics.bootstrap_interval :
        Interval of the measure, with days drawn as wholes.

    Examples
    --------
    >>> from focal_gbm.metrics import precision_at_daily_budget
    >>> y, score = [1, 0, 1, 0, 1], [0.9, 0.8, 0.7, 0.6, 0.5]
    >>> precision_at_daily_budget(y, score, day=[1, 1, 1, 2, 2], budget=1)
    0.5
    """
    caught, alerted, _ = _daily(y_true, y_score, day, budget, sample_weight, pos_label)
    return share(caught, alerted)


def _daily(
    y_true: ArrayLike,
    y_score: ArrayLike,
    day: ArrayLike,
    budget: float,
    sample_weight: ArrayLike | None,
    pos_label: Any,
) -> tuple[float, float, float]:
    """Return frauds alerted, rows alerted and all frauds of all days, by weight."""
    budget = check_real(budget, "budget", low=0.0)
    score = scores_of(y_score)
    y = check_labels(y_true, len(score), pos_label=pos_label)
    weight = weights_or_ones(sample_weight, len(score))
    # sums over days before any ratio: each fraud counts the same, not each day
    sums = np.zeros(3)
    for rows in rows_by(codes_of(day, "day", len(score), days=True)[0]):
        sums += spent(cuts_of(y[rows], score[rows], weight[rows]), budget)
    return float(sums[0]), float(sums[1]), float(sums[2])


def days_covered(n_days: float | None, day: ArrayLike | None, n_rows: int) -> float:
    """Return the number of days that the rows cover, from ``n_days`` or ``day``."""
    if (n_days is None) == (day is None):
        got = "neither" if day is None else "both"
        msg = (
            f"budget is a number of alerts a day: give either n_days, the days that "
            f"the rows cover, or day, the day of each row; got {got}"
        )
        raise ValueError(msg)
    if day is None:
        return check_real(n_days, "n_days", low=_LEAST_DAYS)
    # days without rows are not counted: the labels need not be dates
    return float(codes_of(day, "day", n_rows, days=True)[1])


def alert_threshold(
    y_score: ArrayLike,
    *,
    rate: float | None = None,
    budget: float | None = None,
    n_days: float | None = None,
    day: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the lowest threshold whose alerts do not exceed a budget a day, or a rate.

    Rows with ``y_score >= threshold`` are alerted. One threshold is for all days, so
    that a budget holds on average over the days.

    Parameters
    ----------
    y_score : array-like of shape (n_samples,)
        Scores, higher for fraud; NaN is refused.
    rate : float in [0, 1] or None, default=None
        Largest share of all rows that may be alerted. Pass either ``rate`` or
        ``budget``.
    budget : float >= 0 or None, default=None
        Largest number (total weight) of alerts a day. Pass ``n_days`` or ``day`` with
        it.
    n_days : float >= 1e-9 or None, default=None
        Number of days that the rows cover, 0.5 for half a day.
    day : array-like of shape (n_samples,) or None, default=None
        Day of each row: a date, a whole number or a label, without a time of day. The
        number of different days is used as ``n_days``.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.

    Returns
    -------
    threshold : float
        One of the scores, or inf if the rows of the highest score exceed the budget.

    Raises
    ------
    TypeError
        If ``rate``, ``budget`` or ``n_days`` is not a number.
    ValueError
        If both or neither of ``rate`` and ``budget`` are passed; if both or neither of
        ``n_days`` and ``day`` are passed with ``budget``, or any of them with ``rate``;
        if a number is out of range, a score is NaN, a day is missing or has a time of
        day, a weight is negative or not finite, lengths differ, or there is no row; if
        the threshold would be inf while a score is inf.

    See Also
    --------
    focal_gbm.plotting.AlertCurveDisplay : Picture of recall and precision by budget.
    focal_gbm.metrics.recall_at_alert_rate :
        Share of the frauds that such a threshold catches.
    focal_gbm.metrics.expected_cost :
        Cost of a threshold, or alerts by cost without a threshold.

    Examples
    --------
    >>> from focal_gbm.metrics import alert_threshold
    >>> alert_threshold([0.9, 0.8, 0.7, 0.2], budget=1, n_days=2)
    0.8
    """
    if (rate is None) == (budget is None):
        msg = f"give either rate or budget, got rate={rate!r} and budget={budget!r}"
        raise ValueError(msg)
    score = scores_of(y_score)
    weight = weights_or_ones(sample_weight, len(score))
    # all rows count as negative: a budget of alerts needs no labels
    cuts = cuts_of(np.zeros_like(score), score, weight)
    if budget is not None:
        n_alerts = check_real(budget, "budget", low=0.0)
        n_alerts *= days_covered(n_days, day, len(score))
    elif n_days is None and day is None:
        n_alerts = check_real(rate, "rate", low=0.0, high=1.0) * cuts.total
    else:
        msg = (
            "n_days or day was passed with rate, which is a share of all rows; leave "
            "both out, or pass budget in place of rate"
        )
        raise ValueError(msg)
    at = n_within(cuts.negative, n_alerts) - 1
    # inf >= inf: the threshold inf would alert such a row
    if at < 0 and np.isposinf(cuts.threshold[0]):
        row = int(score.argmax())
        msg = (
            f"y_score must be < inf, got inf in row {row}: no threshold excludes it; "
            "replace it by a finite score"
        )
        raise ValueError(msg)
    return float(cuts.threshold[at]) if at >= 0 else math.inf
