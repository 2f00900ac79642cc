"""Calibration in the large and calibration slope."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from focal_gbm.metrics import (
    calibration_in_the_large,
    calibration_slope,
)


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


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: calibration_in_the_large([0], [1.5]), "y_prob must lie in .* got 1.5"),
        (lambda: calibration_slope([0, 1], [0.0, 0.5]), "y_prob must lie inside"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
