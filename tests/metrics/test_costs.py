"""Expected cost against a naive loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import problems, same
from scipy.special import expit

from focal_gbm.metrics import (
    expected_cost,
    scorer,
)


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


def test_arguments_of_the_wrong_type():
    for fraud_cost in ("a", None):
        with pytest.raises(
            TypeError, match=f"fraud_cost must be .* got {fraud_cost!r}"
        ):
            expected_cost([0, 1], [0.1, 0.2], fraud_cost=fraud_cost)
    for threshold in ("0.5", np.nan):
        with pytest.raises(TypeError, match="threshold must be a number or None, got"):
            expected_cost([0, 1], [0.1, 0.2], fraud_cost=1.0, threshold=threshold)
    assert expected_cost([0, 1], [0.1, 9], fraud_cost=6.0, threshold=np.inf) == 3.0
    with pytest.raises(TypeError, match="has no parameter 'fpp'; did you mean fpr"):
        scorer("recall_at_fpr", fpp=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: expected_cost([0, 1], [0.1, 2], fraud_cost=1.0),
            "y_score must hold probabilities where threshold is None",
        ),
        (
            lambda: expected_cost([0, 1], [0.1, 0.2], fraud_cost=[1.0, -1.0]),
            "fraud_cost must be finite and >= 0",
        ),
        (
            lambda: expected_cost([0, 1], [0.1, 0.2], fraud_cost=[1.0, np.nan]),
            "fraud_cost must be finite and >= 0, got nan in row 1",
        ),
        (
            lambda: expected_cost([0, 1], [0.1, 0.2], fraud_cost=[1.0]),
            "fraud_cost must have 2 values, one a row, got 1",
        ),
        (
            lambda: expected_cost([0, 1], [0.1, 0.2], fraud_cost=["a", 1.0]),
            "fraud_cost must hold numbers, got 'a' in row 0",
        ),
        (
            lambda: expected_cost([0, 1], [0.1, 0.2], fraud_cost=-1),
            "fraud_cost must be a finite number >= 0.0, got -1",
        ),
        (
            lambda: expected_cost([0, 1], [0.1, 0.2], fraud_cost=1, alert_cost=np.inf),
            "alert_cost must be a finite number >= 0.0, got inf",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
