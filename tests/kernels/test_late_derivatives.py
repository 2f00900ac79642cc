"""Derivatives for labels that are not final, against 60-digit arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from mpmath import diff, log, mpf
from scores import EXTREMES, both_classes

from focal_gbm import FocalLoss, FocalObjective

MATURITIES = (1e-6, 0.01, 0.3, 0.9, 1 - 1e-4, 1 - 1e-9, 1.0)
SCORES = (-100.0, -37.5, -9.1, -2.0, -0.03, 0.0, 0.6, 3.3, 11.7, 29.0, 52.0, 100.0)
ratios = st.floats(1e-6, 1)


def seen_loss(y, f, c):
    """Return -log P(seen = y), where a positive is seen with probability c."""
    seen = mpf(c) * reference.sigmoid(f)
    return -log(seen) if y else -log(1 - seen)


def truth(y, f, c, gamma, alpha):
    """Return gradient and Hessian of a row, from the condition that the expected
    gradient vanishes at the true log-odds."""
    positive, mature = reference.posterior_derivatives(1, f, gamma, alpha)
    p, c = reference.sigmoid(f), mpf(c)
    share = c * (1 - p) / (1 - c * p)
    if y:
        return positive, mature * share
    mature = reference.posterior_derivatives(0, f, gamma, alpha)[1]
    return -positive * c * p / (1 - c * p), mature * share


def relative_error(value, exact):
    return float(abs(mpf(float(value)) / exact - 1))


@pytest.mark.parametrize("c", MATURITIES)
def test_log_loss_of_labels_seen(c):
    loss = FocalLoss(gamma=0.0)
    for f in SCORES:
        for y in (0, 1):
            exact = seen_loss(y, mpf(f), c)
            value = loss.loss([y], [f], label_maturity=[c])[0]
            assert relative_error(value, exact) <= 1e-12
            gradient = diff(lambda v, y=y: seen_loss(y, v, c), mpf(f))
            value = loss.gradient([y], [f], label_maturity=[c])[0]
            assert relative_error(value, gradient) <= 1e-12


@pytest.mark.parametrize("alpha", [None, 0.01, 0.9])
def test_the_loss_is_the_integral_of_its_gradient(alpha):
    """Also where maturity and class weights make a quotient 0 / 0."""
    loss = FocalLoss(0.0, alpha)
    weight_0, weight_1 = loss.class_weights
    special = 1 - min(weight_1 / weight_0, 0.5)
    for c in (0.2, special, 0.999):
        x = np.linspace(-30, 30, 60_001)
        rows = np.zeros(len(x)), x, None, np.full(len(x), c)
        value, gradient = loss.loss(*rows), loss.gradient(*rows)
        steps = np.diff(x) * (gradient[1:] + gradient[:-1]) / 2
        np.testing.assert_allclose(value - value[0], np.append(0, steps.cumsum()), 1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, 0.25, 0.9])
def test_derivatives_agree_with_60_digits(gamma, alpha):
    loss = FocalLoss(gamma, alpha)
    for f in (v for v in SCORES if abs(v) < 60 or gamma == 0):
        for c in MATURITIES:
            maturity = [c]
            single = FocalObjective(gamma, alpha, label_maturity=maturity)
            for y in (0, 1):
                exact = truth(y, mpf(f), c, gamma, alpha)
                double = loss.gradient_hessian([y], [f], None, maturity)
                values = single(np.float32([y]), np.float32([f]))
                exact_32 = truth(y, mpf(float(np.float32(f))), c, gamma, alpha)
                for k in range(2):
                    assert relative_error(double[k][0], exact[k]) <= 1e-12
                    scaled = exact_32[k] * (1 + mpf(gamma))
                    assert np.isfinite(values[k]).all()
                    # else beyond the numbers of float32
                    if abs(scaled) > 1e-36 and abs(f) <= 80:
                        bound = 1.2e-5 if gamma == 5 else 1e-5
                        assert relative_error(values[k][0], scaled) <= bound
                assert double[1][0] > 0
                assert values[1][0] > 0


@pytest.mark.parametrize("gamma", [0.0, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, 1e-6, 1 - 1e-6])
@pytest.mark.parametrize("c", [5e-324, 1e-300, 1e-39, 1e-6, 0.5, 1 - 2.0**-53])
def test_finite_and_positive_for_every_score(gamma, alpha, c):
    y, z = both_classes(EXTREMES)
    maturity = np.full(len(z), c)
    single = FocalObjective(gamma, alpha, label_maturity=maturity)(y, z)
    double = FocalLoss(gamma, alpha).gradient_hessian(y, z, None, maturity)
    for gradient, hessian in (single, double):
        assert np.isfinite(gradient).all()
        assert np.isfinite(hessian).all()
        assert (hessian > 0).all()
        assert (gradient[y == 0] >= 0).all()
        assert (gradient[y == 1] <= 0).all()


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_final_label_has_the_bits_of_before(gamma, weighted):
    """Among others that are not final, and whatever the number of rows."""
    y, z = both_classes(EXTREMES)
    weight = np.linspace(0.1, 3, len(z)) if weighted else None
    maturity = np.where(np.arange(len(z)) % 3, 1.0, 0.4)
    alone = FocalObjective(gamma, 0.3)(y, z, weight)
    mixed = FocalObjective(gamma, 0.3, label_maturity=maturity)(y, z, weight)
    final = maturity == 1
    for before, now in zip(alone, mixed, strict=True):
        np.testing.assert_array_equal(before[final], now[final])
    every = FocalObjective(gamma, 0.3, label_maturity=np.ones(len(z)))
    assert every == FocalObjective(gamma, 0.3)
    for before, now in zip(alone, every(y, z, weight), strict=True):
        np.testing.assert_array_equal(before, now)


@given(f=st.floats(-20, 20), c=ratios, gamma=st.floats(0, 5), alpha=st.floats(0.1, 0.9))
def test_the_expected_gradient_vanishes_at_the_truth(f, c, gamma, alpha):
    loss = FocalLoss(gamma, alpha)
    positive, negative = (
        loss.gradient([y], [f], label_maturity=[c])[0] for y in (1, 0)
    )
    seen = c / (1 + np.exp(-f))
    assert seen * positive + (1 - seen) * negative == pytest.approx(
        0, abs=1e-9 * abs(seen * positive)
    )


@given(f=st.floats(-30, 30), c=ratios, gamma=st.floats(0, 5))
def test_less_maturity_draws_less_to_the_negative(f, c, gamma):
    loss = FocalLoss(gamma)
    less = loss.gradient([0], [f], label_maturity=[c / 2])[0]
    assert 0 < less < loss.gradient([0], [f], label_maturity=[c])[0]


def test_whole_weights_repeat_rows():
    y, z = both_classes(np.linspace(-9, 9, 19).astype(np.float32))
    maturity = np.linspace(0.1, 1, len(z))
    objective = FocalObjective(label_maturity=maturity)
    once = objective(y, z)
    twice = objective(y, z, np.full(len(z), 2.0))
    for one, two in zip(once, twice, strict=True):
        np.testing.assert_array_equal(2 * one, two)
