"""Fraud measures against naive loops, with ties and weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_score, recall_score

from focal_gbm.metrics import (
    alert_threshold,
    precision_at_alert_rate,
    recall_at_alert_rate,
    recall_at_fpr,
)

LIMITS = st.sampled_from([0.0, 0.001, 0.05, 0.1, 0.3, 0.5, 1.0])


@st.composite
def problems(draw):
    """Labels, scores with ties, and integer weights or none."""
    n = draw(st.integers(2, 60))
    y = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    score = draw(st.lists(st.integers(-4, 4), min_size=n, max_size=n))
    weight = st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any)
    return np.array(y), np.array(score, float), draw(st.none() | weight)


def every_threshold(y, score, weight):
    """Yield threshold, alerted positives and negatives, from none alerted on."""
    w = np.ones(len(y)) if weight is None else np.array(weight, float)
    yield np.inf, 0.0, 0.0, w
    for threshold in sorted(set(score), reverse=True):
        alert = score >= threshold
        yield threshold, (w * y)[alert].sum(), (w * (1 - y))[alert].sum(), w


def same(value, expected):
    """Compare floats, NaN being equal to NaN."""
    assert value == pytest.approx(expected, nan_ok=True)


@given(problem=problems(), fpr=LIMITS)
def test_recall_at_fpr(problem, fpr):
    y, score, weight = problem
    best = 0.0
    for _, caught, false, w in every_threshold(y, score, weight):
        if false <= fpr * (w * (1 - y)).sum() + 1e-9:
            best = max(best, caught)
    frauds = (w * y).sum()
    expected = best / frauds if frauds else np.nan
    same(recall_at_fpr(y, score, fpr=fpr, sample_weight=weight), expected)


@given(problem=problems(), rate=LIMITS)
def test_alert_rates(problem, rate):
    y, score, weight = problem
    chosen = (np.inf, 0.0, 0.0)
    for threshold, caught, false, w in every_threshold(y, score, weight):
        if caught + false <= rate * w.sum() + 1e-9:
            chosen = (threshold, caught, false)
    threshold, caught, false = chosen
    frauds = (w * y).sum()
    recall = caught / frauds if frauds else np.nan
    precision = caught / (caught + false) if caught + false else np.nan
    same(recall_at_alert_rate(y, score, rate=rate, sample_weight=weight), recall)
    same(precision_at_alert_rate(y, score, rate=rate, sample_weight=weight), precision)
    same(alert_threshold(score, rate=rate, sample_weight=weight), threshold)
    budget = rate * w.sum()
    same(alert_threshold(score, budget=budget, sample_weight=weight), threshold)


@given(problem=problems(), rate=LIMITS)
def test_threshold_reproduces_the_measures(problem, rate):
    y, score, weight = problem
    alert = score >= alert_threshold(score, rate=rate, sample_weight=weight)
    w = np.ones(len(y)) if weight is None else np.array(weight)
    if (w * y)[alert].sum() > 0:
        same(
            recall_at_alert_rate(y, score, rate=rate, sample_weight=weight),
            recall_score(y, alert, sample_weight=weight),
        )
        same(
            precision_at_alert_rate(y, score, rate=rate, sample_weight=weight),
            precision_score(y, alert, sample_weight=weight),
        )


@given(problem=problems(), fpr=LIMITS)
def test_only_the_ranking_matters(problem, fpr):
    y, score, weight = problem
    a = recall_at_fpr(y, score, fpr=fpr, sample_weight=weight)
    same(recall_at_fpr(y, np.exp(score) - 7, fpr=fpr, sample_weight=weight), a)


def test_a_thousandth_of_a_thousand_is_one():
    y = np.r_[0, np.ones(10), np.zeros(999)]
    score = np.arange(1010)[::-1].astype(float)
    assert recall_at_fpr(y, score, fpr=1e-3) == 1.0
    assert recall_at_fpr(y, score, fpr=0.9e-3) == 0.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: recall_at_fpr([0, 1], [0, 1], fpr=1.5), ValueError, "fpr must be"),
        (lambda: recall_at_fpr([0, 1], [0, 1], fpr="x"), TypeError, "fpr must be"),
        (lambda: recall_at_fpr([0, 2], [0, 1]), ValueError, "y_true must hold 0 and 1"),
        (lambda: recall_at_fpr([0, 1], [0]), ValueError, "y_true must have 1 values"),
        (lambda: recall_at_fpr([0], [np.nan]), ValueError, "y_score must not be NaN"),
        (lambda: recall_at_fpr([], []), ValueError, "y_score must hold at least one"),
        (
            lambda: recall_at_fpr([0, 1], [0, 1], sample_weight=[1, -1]),
            ValueError,
            "sample_weight must be finite",
        ),
        (lambda: alert_threshold([1.0]), ValueError, "give either rate or budget"),
        (
            lambda: alert_threshold([1.0], rate=0.1, budget=3),
            ValueError,
            "give either rate or budget",
        ),
        (lambda: alert_threshold([1.0], budget=-1), ValueError, "budget must be"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
