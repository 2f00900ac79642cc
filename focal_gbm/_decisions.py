"""Measures of decisions on cards and on money, and of probabilities; intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from focal_gbm._alerts import rows_by
from focal_gbm._checks import (
    Float64Array,
    check_labels,
    check_positive,
    check_probabilities,
    check_real,
    check_vector,
    check_weights,
)
from focal_gbm.calibration import LogOddsCalibrator


def card_precision_at_k(
    y_true: ArrayLike,
    y_score: ArrayLike,
    card: ArrayLike,
    day: ArrayLike,
    *,
    k: int = 100,
    remove_detected: bool = True,
) -> float:
    """Return the share of compromised cards among the k cards checked each day.

    "Card Precision top-k" of the Fraud Detection Handbook [1]_: on each day a card has
    the highest score of its transactions, the k cards of highest score are checked,
    and those with a fraud on that day are found and leave the following days. The mean
    over days of cards found, divided by k, fewer cards or not.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels of transactions, 1 for fraud.
    y_score : array-like of shape (n_samples,)
        Scores, higher for fraud.
    card : array-like of shape (n_samples,)
        Card or customer of each transaction, of any type.
    day : array-like of shape (n_samples,)
        Day of each transaction, of any type that sorts in the order of time.
    k : int >= 1, default=100
        Cards that are checked a day.
    remove_detected : bool, default=True
        Whether cards found leave the following days.

    Returns
    -------
    precision : float in [0, 1]
        Days without fraud count as 0. Cards of equal score are taken in their order of
        sorting.

    References
    ----------
    .. [1] Y.-A. Le Borgne, W. Siblini, B. Lebichot, G. Bontempi. Reproducible Machine
       Learning for Credit Card Fraud Detection: Practical Handbook, 2022, section 4.4.

    Examples
    --------
    >>> from focal_gbm.metrics import card_precision_at_k
    >>> y, score = [1, 0, 0, 1], [0.9, 0.2, 0.8, 0.1]
    >>> card_precision_at_k(y, score, card=[7, 8, 9, 8], day=[1, 1, 2, 2], k=1)
    0.5
    """
    limit = int(check_real(k, "k", low=1))
    score = check_vector(y_score, "y_score", np.float64)
    y = check_labels(y_true, len(score))
    codes, _ = pd.factorize(np.asarray(card), sort=True)
    if len(codes) != len(score):
        msg = f"card must have {len(score)} values, one a row, got {len(codes)}"
        raise ValueError(msg)
    found: NDArray[Any] = np.zeros(int(codes.max(initial=-1)) + 1, bool)
    shares = []
    for rows in rows_by(day, "day", len(score)):
        left = rows[~found[codes[rows]]]
        cards = pd.DataFrame({"score": score[left], "y": y[left]})
        cards = cards.groupby(codes[left]).max()
        checked = cards.sort_values("score", ascending=False, kind="stable")[:limit]
        hits = checked.index[checked["y"] > 0]
        shares.append(len(hits) / limit)
        if remove_detected:
            found[hits] = True
    return float(np.mean(shares)) if shares else float("nan")


def expected_cost(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    fraud_cost: ArrayLike,
    alert_cost: ArrayLike = 1.0,
    threshold: float | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the mean cost of a row: frauds that pass, and alerts.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels, 1 for fraud.
    y_score : array-like of shape (n_samples,)
        Scores; probabilities of fraud where ``threshold`` is None.
    fraud_cost : float or array-like of shape (n_samples,)
        Cost >= 0 of a fraud that passes, the amount of the transaction for one.
    alert_cost : float or array-like of shape (n_samples,), default=1.0
        Cost >= 0 of an alert, right or wrong, in the same unit.
    threshold : float or None, default=None
        Rows with ``y_score >= threshold`` are alerted. None: those for which an alert
        is expected to cost less than none, p fraud_cost > alert_cost (Elkan 2001,
        eq. 1).
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite factors >= 0.

    Returns
    -------
    cost : float >= 0

    Examples
    --------
    >>> from focal_gbm.metrics import expected_cost
    >>> y, p, amount = [0, 1, 1], [0.1, 0.2, 0.2], [50.0, 500.0, 4.0]
    >>> expected_cost(y, p, fraud_cost=amount, alert_cost=6.0)  # alerts the second
    3.3333333333333335
    """
    score = check_vector(y_score, "y_score", np.float64)
    y = check_labels(y_true, len(score))
    fraud = _costs(fraud_cost, "fraud_cost", len(score))
    alert = _costs(alert_cost, "alert_cost", len(score))
    if threshold is not None:
        alerted = score >= threshold
    else:
        if not ((score >= 0) & (score <= 1)).all():
            msg = "y_score must hold probabilities where threshold is None"
            raise ValueError(msg)
        alerted = score * fraud > alert
    cost = np.where(alerted, alert, y * fraud)
    return float(np.average(cost, weights=check_weights(sample_weight, len(score))))


def _costs(value: ArrayLike, name: str, n_rows: int) -> Float64Array:
    costs = np.broadcast_to(np.asarray(value, dtype=np.float64), (n_rows,))
    if not ((costs >= 0) & np.isfinite(costs)).all():
        msg = f"{name} must be finite and >= 0, got {costs.min()} at least"
        raise ValueError(msg)
    return costs


def calibration_in_the_large(
    y_true: ArrayLike, y_prob: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Return the mean predicted probability divided by the observed rate.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels, 0 or 1.
    y_prob : array-like of shape (n_samples,)
        Probabilities of class 1.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite factors >= 0.

    Returns
    -------
    ratio : float >= 0
        1 if the level is right; 2 if twice as many positives are predicted as there
        are. inf without positives.

    Examples
    --------
    >>> from focal_gbm.metrics import calibration_in_the_large
    >>> calibration_in_the_large([0, 0, 0, 1], [0.1, 0.1, 0.2, 0.6])
    1.0
    """
    p = check_probabilities(y_prob)
    y = check_labels(y_true, len(p))
    weight = check_weights(sample_weight, len(p))
    rate = float(np.average(y, weights=weight))
    return float(np.average(p, weights=weight)) / rate if rate else float("inf")


def calibration_slope(
    y_true: ArrayLike, y_prob: ArrayLike, *, sample_weight: ArrayLike | None = None
) -> float:
    """Return the slope of the log-odds that the labels ask for.

    The coefficient b of a logistic regression of the labels on the predicted log-odds
    (Cox 1958): 1 if the spread is right, below 1 for predictions too extreme, as of an
    over-fitted model.

    Parameters
    ----------
    y_true, y_prob, sample_weight
        As in :func:`calibration_in_the_large`; both classes, 0 < y_prob < 1.

    Returns
    -------
    slope : float >= 0

    Examples
    --------
    >>> import numpy as np
    >>> from focal_gbm.metrics import calibration_slope
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(-2, 2, 50_000)
    >>> y = rng.random(50_000) < 1 / (1 + np.exp(-x))
    >>> bool(abs(calibration_slope(y, 1 / (1 + np.exp(-2 * x))) - 0.5) < 0.03)
    True
    """
    p = check_probabilities(y_prob)
    if not ((p > 0) & (p < 1)).all():
        msg = "y_prob must lie inside (0, 1): log-odds of 0 and 1 are infinite"
        raise ValueError(msg)
    calibrator = LogOddsCalibrator("platt").fit(logit(p), y_true, sample_weight)
    return float(1.0 + calibrator.coef_[1])


def bootstrap_interval(
    metric: Callable[..., float],
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    n_resamples: int = 500,
    confidence: float = 0.95,
    random_state: int | None = None,
    **kwargs: Any,
) -> tuple[float, float]:
    """Return an interval for a metric from rows drawn again, by card or by day.

    Frauds of one card or one day resemble each other, and rows drawn one by one make
    intervals that are too short; groups are drawn as wholes.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, y_score, sample_weight=..., **kwargs)``.
    y_true, y_score, sample_weight
        As in :func:`recall_at_fpr`.
    groups : array-like of shape (n_samples,) or None, default=None
        What is drawn as a whole; None: every row by itself.
    n_resamples : int >= 1, default=500
    confidence : float in (0, 1), default=0.95
        Share of the resamples between the ends (percentiles; Efron 1979).
    random_state : int or None, default=None
    **kwargs
        For the metric.

    Returns
    -------
    low, high : float

    Examples
    --------
    >>> import numpy as np
    >>> from focal_gbm.metrics import bootstrap_interval, recall_at_alert_rate
    >>> rng = np.random.default_rng(0)
    >>> y, day = rng.random(2000) < 0.05, np.arange(2000) // 100
    >>> low, high = bootstrap_interval(
    ...     recall_at_alert_rate, y, y + rng.normal(size=2000), groups=day, rate=0.1,
    ...     random_state=0)
    >>> 0 < low < high < 1
    True
    """
    score = check_vector(y_score, "y_score", np.float64)
    y = check_labels(y_true, len(score))
    weight = check_weights(sample_weight, len(score))
    names = np.arange(len(score)) if groups is None else np.asarray(groups)
    codes = np.empty(len(score), int)
    parts = rows_by(names, "groups", len(score))
    for number, rows in enumerate(parts):
        codes[rows] = number
    check_positive(n_resamples, "n_resamples")
    outside = 1.0 - check_real(
        confidence, "confidence", low=0.0, high=1.0, open_ends=True
    )
    rng = np.random.default_rng(random_state)
    values = []
    for _ in range(n_resamples):
        times = np.bincount(
            rng.integers(0, len(parts), len(parts)), minlength=len(parts)
        )
        drawn = times[codes] if weight is None else times[codes] * weight
        values.append(metric(y, score, sample_weight=drawn, **kwargs))
    low, high = np.nanquantile(values, [outside / 2, 1 - outside / 2])
    return float(low), float(high)
