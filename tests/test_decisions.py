"""Measures of days, cards, money and probabilities against naive loops; scorers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn import config_context
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_validate
from test_metrics import problems, same

from focal_gbm import FocalLGBMClassifier
from focal_gbm.metrics import (
    bootstrap_interval,
    calibration_in_the_large,
    calibration_slope,
    card_precision_at_k,
    expected_cost,
    precision_at_alert_rate,
    precision_at_daily_budget,
    recall_at_alert_rate,
    recall_at_daily_budget,
    recall_at_fpr,
    scorer,
)


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


@given(problem=problems(), seed=st.integers(0, 9), by_amount=st.booleans())
def test_expected_cost(problem, seed, by_amount):
    y, score, weight = problem
    rng = np.random.default_rng(seed)
    amount = rng.integers(0, 50, len(y)).astype(float) if by_amount else 20.0
    w = np.ones(len(y)) if weight is None else np.array(weight, float)
    p = expit(score)
    for threshold in (None, 0.3):
        total = 0.0
        for i in range(len(y)):
            loss = amount[i] if by_amount else amount
            alert = p[i] >= 0.3 if threshold else p[i] * loss > 3.0
            total += w[i] * (3.0 if alert else loss * y[i])
        said = expected_cost(
            y,
            p,
            fraud_cost=amount,
            alert_cost=3.0,
            threshold=threshold,
            sample_weight=weight,
        )
        same(said, total / w.sum())


def test_the_cheapest_decision_is_by_expected_cost():
    rng = np.random.default_rng(0)
    truth = expit(rng.normal(-3, 2, 50_000))
    y, amount = rng.random(50_000) < truth, rng.gamma(1.0, 100.0, 50_000)
    kwargs = {"fraud_cost": amount, "alert_cost": 5.0}
    best = expected_cost(y, truth, **kwargs)
    for threshold in (0.01, 0.05, 0.2, 0.5):
        assert best < expected_cost(y, truth, threshold=threshold, **kwargs)


def test_calibration_in_the_large():
    y, p = np.array([0, 1, 0, 0]), np.array([0.2, 0.3, 0.1, 0.4])
    assert calibration_in_the_large(y, p) == pytest.approx(1.0)
    weight = [1, 2, 3, 4]
    expected = np.average(p, weights=weight) / np.average(y, weights=weight)
    said = calibration_in_the_large(y, p, sample_weight=weight)
    assert said == pytest.approx(expected)
    assert calibration_in_the_large([0, 0], [0.1, 0.1]) == np.inf


def test_calibration_slope_is_that_of_logistic_regression():
    rng = np.random.default_rng(1)
    x = rng.normal(-3, 2, 30_000)
    y = rng.random(30_000) < expit(0.7 * x)
    weight = 1.0 + np.arange(30_000) % 3
    plain = LogisticRegression(C=1e9, tol=1e-10).fit(x[:, None], y, weight)
    said = calibration_slope(y, expit(x), sample_weight=weight)
    assert said == pytest.approx(plain.coef_[0, 0], rel=0.01)


def test_intervals_cover_and_groups_widen_them():
    rng = np.random.default_rng(2)
    day = np.repeat(np.arange(50), 100)
    bad_day = rng.random(50) < 0.2
    y = rng.random(5000) < np.where(bad_day[day], 0.3, 0.01)
    score = rng.normal(size=5000) + 2.0 * y
    kwargs = {"rate": 0.1, "random_state": 0}
    value = precision_at_alert_rate(y, score, rate=0.1)
    rows = bootstrap_interval(precision_at_alert_rate, y, score, **kwargs)
    days = bootstrap_interval(precision_at_alert_rate, y, score, groups=day, **kwargs)
    assert rows[0] < value < rows[1]
    assert days[0] < value < days[1]
    assert days[1] - days[0] > 1.5 * (rows[1] - rows[0])
    again = bootstrap_interval(precision_at_alert_rate, y, score, groups=day, **kwargs)
    assert again == days
    narrow = bootstrap_interval(
        precision_at_alert_rate, y, score, groups=day, confidence=0.5, **kwargs
    )
    assert narrow[1] - narrow[0] < days[1] - days[0]
    auc = bootstrap_interval(roc_auc_score, y, score, n_resamples=50, random_state=0)
    assert auc[0] < roc_auc_score(y, score) < auc[1]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(3000, 4))
    y = (rng.random(3000) < expit(2 * X[:, 0] - 3.5)).astype(int)
    return X, y


def test_scorers_in_cross_validation(rows):
    X, y = rows
    model = FocalLGBMClassifier(n_estimators=15, verbose=-1)
    scoring = {
        "caught": scorer("recall_at_fpr", fpr=0.05),
        "alerts": scorer("precision_at_alert_rate", rate=0.03),
        "cost": scorer("expected_cost", fraud_cost=100.0, alert_cost=5.0),
        "level": scorer("calibration_in_the_large"),
        "slope": scorer("calibration_slope"),
    }
    result = cross_validate(model, X, y, scoring=scoring, cv=3)
    assert (result["test_caught"] > 0.2).all()
    assert (result["test_alerts"] > 0.2).all()
    assert (result["test_cost"] < 0).all()
    assert (result["test_level"] <= -1).all()
    assert (result["test_slope"] <= 0).all()
    model.fit(X[:2000], y[:2000])
    p = model.predict_proba(X[2000:])[:, 1]
    said = scoring["caught"](model, X[2000:], y[2000:])
    assert said == recall_at_fpr(y[2000:], p, fpr=0.05)
    search = GridSearchCV(
        model, {"focal_gamma": [0.0, 2.0]}, scoring=scoring, refit="caught", cv=3
    )
    assert search.fit(X, y).best_score_ > 0.2


def test_scorers_of_days_are_routed(rows):
    X, y = rows
    day = np.arange(3000) // 100
    with config_context(enable_metadata_routing=True):
        daily = scorer("recall_at_daily_budget", budget=5).set_score_request(day=True)
        result = cross_validate(
            FocalLGBMClassifier(n_estimators=15, verbose=-1),
            X,
            y,
            scoring=daily,
            params={"day": day},
            cv=3,
        )
    assert (result["test_score"] > 0.2).all()


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
            lambda: expected_cost([0, 1], [0.1, 2], fraud_cost=1.0),
            "y_score must hold probabilities where threshold is None",
        ),
        (
            lambda: expected_cost([0, 1], [0.1, 0.2], fraud_cost=[1.0, -1.0]),
            "fraud_cost must be finite and >= 0",
        ),
        (lambda: calibration_in_the_large([0], [1.5]), "y_prob must lie in .* got 1.5"),
        (lambda: calibration_slope([0, 1], [0.0, 0.5]), "y_prob must lie inside"),
        (lambda: scorer("accuracy"), "name must be one of .* got 'accuracy'"),
        (
            lambda: bootstrap_interval(
                recall_at_alert_rate, [0, 1], [0, 1], confidence=1.0
            ),
            "confidence must be .* got 1.0",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
