"""Measures of the cards that are checked each day, and of costs."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from focal_gbm._validation import (
    Float64Array,
    as_float,
    check_count,
    check_labels,
    check_real,
)
from focal_gbm.metrics._rows import codes_of, numbers, scores_of, weights_of


def card_precision_at_k(
    y_true: ArrayLike,
    y_score: ArrayLike,
    card: ArrayLike,
    day: ArrayLike,
    *,
    k: int = 100,
    remove_detected: bool = True,
    pos_label: Any = None,
) -> float:
    """Return the share of compromised cards among the k cards checked each day.

    This is "Card Precision top-k" of the Fraud Detection Handbook [1]_. The score of a
    card on a day is the highest score of its transactions. On each day the k cards of
    highest score are checked. Checked cards with a fraud on that day are found, and
    found cards leave the following days. The result is the mean over days of the number
    of cards found, divided by k, even on days with fewer than k cards.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels of transactions: 0 and 1, booleans, or any two labels with ``pos_label``.
    y_score : array-like of shape (n_samples,)
        Scores, higher for fraud; infinite scores are ranked, NaN is refused.
    card : array-like of shape (n_samples,)
        Card or customer of each transaction, of any type; none may be missing.
    day : array-like of shape (n_samples,)
        Day of each transaction, without a time of day: dates, whole numbers, or text or
        categories that sort in the order of time.
    k : int >= 1, default=100
        Number of cards that are checked a day.
    remove_detected : bool, default=True
        True: cards that are found leave the following days. False: they stay.
    pos_label : label or None, default=None
        Label of fraud, the class of which ``y_score`` is the score; None: 1, or True.

    Returns
    -------
    precision : float in [0, 1]
        Days without fraud count as 0. Cards of equal score are checked in the sorted
        order of their names.

    Raises
    ------
    TypeError
        If ``k`` is not a number.
    ValueError
        If ``k`` is not a whole number >= 1, a card or day is missing, a day has a time
        of day, a label is not one of two classes, a score is NaN, lengths differ, or
        there is no row.

    See Also
    --------
    focal_gbm.metrics.precision_at_daily_budget : Counts transactions in place of cards.
    focal_gbm.metrics.bootstrap_interval :
        Interval of the measure, with cards or days drawn as wholes.

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
    n_checked = check_count(k, "k")
    score = scores_of(y_score)
    y = check_labels(y_true, len(score), pos_label=pos_label)
    cards, n_cards = codes_of(card, "card", len(score))
    days, n_days = codes_of(day, "day", len(score), days=True)
    # one entry for each card on each of its days, in the order of days
    pairs, entry = np.unique(days * np.int64(n_cards) + cards, return_inverse=True)
    highest = np.full(len(pairs), -np.inf)
    # unbuffered: a card may occur many times on a day
    np.maximum.at(highest, entry, score)
    is_fraud = np.bincount(entry, y, len(pairs)) > 0
    ends = np.searchsorted(pairs, np.arange(n_days + 1) * np.int64(n_cards))
    # days in turn: the cards to check depend on those found before
    found: NDArray[np.bool_] = np.zeros(n_cards, np.bool_)
    n_found = 0
    for start, end in pairwise(ends):
        left = start + np.flatnonzero(~found[pairs[start:end] % n_cards])
        checked = left[np.argsort(-highest[left], kind="stable")[:n_checked]]
        hits = checked[is_fraud[checked]]
        n_found += len(hits)
        if remove_detected:
            found[pairs[hits] % n_cards] = True
    return n_found / (n_checked * n_days)


def expected_cost(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    fraud_cost: ArrayLike,
    alert_cost: ArrayLike = 1.0,
    threshold: float | None = None,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
) -> float:
    """Return the mean cost of a row: the costs of frauds that pass and of alerts.

    The cost of a row is ``alert_cost`` if the row is alerted, ``fraud_cost`` if it is a
    fraud without an alert, and 0 otherwise.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels: 0 and 1, booleans, or any two labels with ``pos_label``.
    y_score : array-like of shape (n_samples,)
        Scores, higher for fraud; probabilities of fraud where ``threshold`` is None.
    fraud_cost : float or array-like of shape (n_samples,)
        Cost >= 0 of a fraud that passes, such as the amount of the transaction.
    alert_cost : float or array-like of shape (n_samples,), default=1.0
        Cost >= 0 of an alert, right or wrong, in the unit of ``fraud_cost``.
    threshold : float or None, default=None
        Rows with ``y_score >= threshold`` are alerted; inf alerts no finite score.
        None: rows are alerted if an alert has the lower expected cost, that is, with
        p = y_score, if p fraud_cost > alert_cost [1]_.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of fraud, the class of which ``y_score`` is the score; None: 1, or True.

    Returns
    -------
    cost : float >= 0
        Weighted mean over rows, in the unit of ``fraud_cost``.

    Raises
    ------
    TypeError
        If ``threshold``, or a cost that is a single value, is not a number.
    ValueError
        If a cost is negative or not finite, a label is not one of two classes, a score
        is NaN, or not in [0, 1] while ``threshold`` is None, a weight is negative or
        not finite, lengths differ, or there is no row.

    See Also
    --------
    focal_gbm.metrics.alert_threshold : Threshold for a budget of alerts.
    focal_gbm.metrics.scorer : The cost as a scorer of scikit-learn.
    focal_gbm.metrics.bootstrap_interval : Interval of the cost.

    References
    ----------
    .. [1] C. Elkan. The foundations of cost-sensitive learning. IJCAI 2001, eq. 1.

    Examples
    --------
    >>> from focal_gbm.metrics import expected_cost
    >>> y, p, amount = [0, 1, 1], [0.1, 0.2, 0.2], [50.0, 500.0, 4.0]
    >>> expected_cost(y, p, fraud_cost=amount, alert_cost=6.0)  # alerts the second
    3.3333333333333335
    """
    score = scores_of(y_score)
    y = check_labels(y_true, len(score), pos_label=pos_label)
    fraud = _costs(fraud_cost, "fraud_cost", len(score))
    alert = _costs(alert_cost, "alert_cost", len(score))
    if threshold is not None:
        limit = as_float(threshold)
        if limit is None or math.isnan(limit):
            msg = f"threshold must be a number or None, got {threshold!r}"
            raise TypeError(msg)
        alerted = score >= limit
    else:
        # other scores rank rows, but have no expected cost
        bad = ~((score >= 0) & (score <= 1))
        if bad.any():
            at = f"got {score[bad][0]} in row {int(bad.argmax())}"
            msg = f"y_score must hold probabilities where threshold is None, {at}"
            raise ValueError(msg)
        alerted = score * fraud > alert
    # an alert costs the same whether right or wrong
    cost = np.where(alerted, alert, y * fraud)
    return float(np.average(cost, weights=weights_of(sample_weight, len(score))))


def _costs(value: ArrayLike, name: str, n_rows: int) -> float | Float64Array:
    """Return a finite cost >= 0 for all rows, or a vector with a cost for each row."""
    if np.ndim(value) == 0:
        return check_real(value, name, low=0.0)
    costs = numbers(value, name, n_rows)
    bad = ~((costs >= 0) & np.isfinite(costs))
    if bad.any():
        row = int(bad.argmax())
        msg = f"{name} must be finite and >= 0, got {costs[row]} in row {row}"
        raise ValueError(msg)
    return costs
