"""Recall and precision of alerts, days and cards against naive loops, with ties and
weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import LIMITS, every_threshold, problems, same
from sklearn.metrics import (
    precision_score,
    recall_score,
)

from focal_gbm.metrics import (
    alert_threshold,
    card_precision_at_k,
    precision_at_alert_rate,
    precision_at_daily_budget,
    recall_at_alert_rate,
    recall_at_daily_budget,
    recall_at_fpr,
)


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
    kwargs = {"budget": budget, "n_days": 1, "sample_weight": weight}
    same(alert_threshold(score, **kwargs), threshold)


@given(
    problem=problems(),
    budget=st.sampled_from([0.0, 0.5, 1.0, 2.5, 10.0]),
    seed=st.integers(0, 9),
)
def test_threshold_of_a_daily_budget(problem, budget, seed):
    """A budget is a day's: the days are counted, and may be fractions when given."""
    _, score, weight = problem
    day = np.random.default_rng(seed).integers(0, 4, len(score))
    w = np.ones(len(score)) if weight is None else np.array(weight, float)
    for n_days, days in (
        (len(set(day.tolist())), {"day": day}),
        (3, {"n_days": 3}),
        (0.5, {"n_days": 0.5}),
    ):
        expected = np.inf
        for threshold in sorted(set(score), reverse=True):
            if w[score >= threshold].sum() / n_days <= budget + 1e-9:
                expected = threshold
        said = alert_threshold(score, budget=budget, sample_weight=weight, **days)
        same(said, expected)


@given(problem=problems(), fpr=LIMITS)
def test_infinite_scores_rank_and_tie(problem, fpr):
    """The difference of two infinite scores is NaN: they are equal all the same."""
    y, score, weight = problem
    far = np.where(score == 4, np.inf, np.where(score == -4, -np.inf, score))
    day = np.arange(len(y)) % 3
    for measure, kwargs in (
        (recall_at_fpr, {"fpr": fpr}),
        (recall_at_alert_rate, {"rate": fpr}),
        (precision_at_alert_rate, {"rate": fpr}),
        (recall_at_daily_budget, {"day": day, "budget": 5 * fpr}),
    ):
        said = measure(y, far, sample_weight=weight, **kwargs)
        same(said, measure(y, score, sample_weight=weight, **kwargs))
    said = card_precision_at_k(y, far, card=np.arange(len(y)) % 7, day=day, k=2)
    same(said, card_precision_at_k(y, score, np.arange(len(y)) % 7, day, k=2))


def test_no_threshold_leaves_out_infinite_scores():
    assert alert_threshold([np.inf, 1.0], budget=1, n_days=1) == np.inf
    assert alert_threshold([1.0, 1.0], budget=1, n_days=1) == np.inf
    with pytest.raises(ValueError, match="got inf in row 1: no threshold excludes it"):
        alert_threshold([1.0, np.inf, np.inf], budget=1, n_days=1)


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


@given(
    problem=problems(),
    budget=st.sampled_from([0, 1, 2, 5, 100]),
    seed=st.integers(0, 9),
)
def test_daily_budgets(problem, budget, seed):
    y, score, weight = problem
    day = np.random.default_rng(seed).integers(0, 4, len(y))
    w = np.ones(len(y)) if weight is None else np.array(weight, float)
    caught = alerted = 0.0
    for one in set(day.tolist()):
        rows = day == one
        best = (0.0, 0.0)
        for threshold in sorted(set(score[rows])):
            alert = rows & (score >= threshold)
            if best[1] < w[alert].sum() <= budget:
                best = (w[alert] @ y[alert], w[alert].sum())
        caught, alerted = caught + best[0], alerted + best[1]
    frauds = w @ y
    kwargs = {"budget": budget, "sample_weight": weight}
    recall = recall_at_daily_budget(y, score, day, **kwargs)
    same(recall, caught / frauds if frauds else np.nan)
    precision = precision_at_daily_budget(y, score, day, **kwargs)
    same(precision, caught / alerted if alerted else np.nan)


def naive_card_precision(y, score, card, day, k, remove):
    gone, shares = set(), []
    for one in sorted(set(day)):
        best, fraud = {}, {}
        for i in range(len(y)):
            if day[i] == one and card[i] not in gone:
                best[card[i]] = max(best.get(card[i], -np.inf), score[i])
                fraud[card[i]] = fraud.get(card[i], False) or y[i] == 1
        ranked = sorted(best, key=lambda c: (-best[c], c))[:k]
        hits = {c for c in ranked if fraud[c]}
        shares.append(len(hits) / k)
        if remove:
            gone |= hits
    return np.mean(shares)


@given(
    problem=problems(),
    k=st.integers(1, 6),
    remove=st.booleans(),
    seed=st.integers(0, 9),
)
def test_card_precision(problem, k, remove, seed):
    y, score, _ = problem
    rng = np.random.default_rng(seed)
    day, card = rng.integers(0, 4, len(y)), rng.integers(0, 9, len(y))
    expected = naive_card_precision(y, score, card, day, k, remove)
    names = pd.Series(card).map("card {}".format)
    for cards in (card, names):
        said = card_precision_at_k(y, score, cards, day, k=k, remove_detected=remove)
        same(said, expected)


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
        (
            lambda: alert_threshold([1.0], budget=1),
            ValueError,
            "budget is a number of alerts a day: give either n_days, .* got neither",
        ),
        (
            lambda: alert_threshold([1.0], budget=1, n_days=1, day=[1]),
            ValueError,
            "give either n_days, .* got both",
        ),
        (
            lambda: alert_threshold([1.0], rate=0.5, n_days=1),
            ValueError,
            "n_days or day was passed with rate",
        ),
        (
            lambda: alert_threshold([1.0], budget=1, n_days=0),
            ValueError,
            "n_days must be .* got 0",
        ),
        (
            lambda: alert_threshold([1.0], budget=1, n_days="7"),
            TypeError,
            "n_days must be .* got '7'",
        ),
        (
            lambda: alert_threshold([1.0, 2.0], budget=1, day=[[1, 2]]),
            ValueError,
            r"day must be one-dimensional, got shape \(1, 2\)",
        ),
        (lambda: alert_threshold([np.nan], rate=1), ValueError, "y_score must not be"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: recall_at_daily_budget([0, 1], [0, 1], [1]), "day must have 2 values"),
        (
            lambda: recall_at_daily_budget([0, 1], [0, 1], [1, None]),
            "day must not be missing, as it is in row 1",
        ),
        (
            lambda: precision_at_daily_budget([0, 1], [0, 1], [1, 1], budget=-1),
            "budget must be .* got -1",
        ),
        (
            lambda: card_precision_at_k([0, 1], [0, 1], [1], [1, 1]),
            "card must have 2 values, .* got 1",
        ),
        (lambda: card_precision_at_k([0, 1], [0, 1], [1, 1], [1, 1], k=0), "k must be"),
        (
            lambda: card_precision_at_k([0, 1], [0, 1], [1, 1], [1, 1], k=1.5),
            "k must be a whole number >= 1, got 1.5",
        ),
        (
            lambda: card_precision_at_k([0, 1], [0, 1], [[1, 1]], [1, 1]),
            r"card must be one-dimensional, got shape \(1, 2\)",
        ),
        (
            lambda: card_precision_at_k([1], [1], [1], pl.DataFrame({"a": [1]})),
            r"day must be one-dimensional, got shape \(1, 1\)",
        ),
        (
            lambda: card_precision_at_k([1], [1], 7, [1]),
            r"card must be one-dimensional, got shape \(\)",
        ),
    ],
)
def test_bad_days_and_cards(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
