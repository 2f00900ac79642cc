"""FocalLoss against 60-digit arithmetic, and its properties."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit

from focal_gbm import FocalLoss

BOTH_LINKS = pytest.mark.parametrize("link", ["posterior", "logit"])
gammas = st.floats(0, 8)
alphas = st.none() | st.floats(0.01, 0.99)
scores = st.floats(-60, 60)


def relative_error(value, truth):
    """Return |value / truth - 1| in the precision of the truth."""
    if truth == 0:
        return abs(float(value))
    return float(abs((reference.mpf(float(value)) - truth) / truth))


@pytest.mark.parametrize("gamma", reference.GAMMAS)
@pytest.mark.parametrize("alpha", reference.ALPHAS)
def test_logit_link_agrees_with_60_digits(gamma, alpha):
    loss = FocalLoss(gamma, alpha, link="logit")
    for z in reference.SCORES:
        for y in (0, 1):
            truth = reference.classic_loss(y, reference.mpf(z), gamma, alpha)
            assert relative_error(loss.loss([y], [z])[0], truth) <= 1e-12
            gradient, hessian = loss.gradient_hessian([y], [z])
            g, h = reference.classic_derivatives(y, z, gamma, alpha)
            assert relative_error(gradient[0], g) <= 1e-12
            error = relative_error(hessian[0], h)
            assert error <= 1e-12 or abs(hessian[0] - float(h)) <= 1e-14
        truth = reference.log_odds(z, gamma, alpha)
        value = loss.log_odds([z])[0]
        assert relative_error(value, truth) <= 1e-12 or abs(value - truth) <= 1e-15


@pytest.mark.parametrize("gamma", reference.GAMMAS)
@pytest.mark.parametrize("alpha", reference.ALPHAS)
def test_posterior_link_agrees_with_60_digits(gamma, alpha):
    loss = FocalLoss(gamma, alpha)
    for f in reference.SCORES[::2]:
        z = reference.raw_score(f, gamma, alpha)
        for y in (0, 1):
            truth = reference.classic_loss(y, z, gamma, alpha)
            assert relative_error(loss.loss([y], [f])[0], truth) <= 1e-12
            gradient, hessian = loss.gradient_hessian([y], [f])
            g, h = reference.posterior_derivatives(y, f, gamma, alpha)
            assert relative_error(gradient[0], g) <= 1e-12
            assert relative_error(hessian[0], h) <= 1e-12


@BOTH_LINKS
@pytest.mark.parametrize("gamma", reference.GAMMAS)
def test_finite_for_huge_scores(link, gamma):
    """Recipes in probability space give NaN from |z| = 37 on, 17 in float32."""
    loss = FocalLoss(gamma, 0.25, link=link)
    z = np.array([-1e6, -1e3, -745.0, -37.0, 37.0, 745.0, 1e3, 1e6])
    for y in (np.zeros(8), np.ones(8)):
        gradient, hessian = loss.gradient_hessian(y, z)
        for values in (loss.loss(y, z), gradient, hessian, loss.log_odds(z)):
            assert np.isfinite(values).all()
    assert np.isfinite(loss.raw_prediction(z)).all()
    assert np.isfinite(loss.probability(z)).all()


# Tiny and huge gammas, which the grids of the other tests leave out.
@pytest.mark.parametrize("gamma", [1e-300, 1e-38, 1e-8, 30.0, 300.0, 1000.0])
def test_the_ends_of_gamma_agree_with_60_digits(gamma):
    logit, posterior = FocalLoss(gamma, link="logit"), FocalLoss(gamma)
    for z in (-80.0, -5.0, -1.0, -1e-8, 0.0, 0.3, 1.0, 5.0):
        f = logit.log_odds([z])
        for y in (0, 1):
            truth = reference.classic_loss(y, reference.mpf(z), gamma, None)
            if truth > 1e-290:
                assert relative_error(logit.loss([y], [z])[0], truth) <= 1e-12
                assert relative_error(posterior.loss([y], f)[0], truth) <= 1e-11
            slope = (1 - 2 * y) * reference.slope(y, reference.mpf(z), gamma, None)
            if abs(slope) > 1e-290:
                assert relative_error(logit.gradient([y], [z])[0], slope) <= 1e-12
        truth = reference.log_odds(reference.mpf(z), gamma, None)
        assert relative_error(f[0], truth) <= 1e-12
        assert logit.raw_prediction(f)[0] == pytest.approx(z, rel=1e-12, abs=1e-23)


@BOTH_LINKS
@pytest.mark.parametrize("gamma", [0.0, 5e-324, 1e-300, 1e-8, 2.0, 30.0, 1000.0])
@pytest.mark.parametrize("alpha", [None, 5e-324, 1e-300, 1 - 2**-53])
def test_finite_whatever_the_size(link, gamma, alpha):
    loss = FocalLoss(gamma, alpha, link)
    sizes = [0, 5e-324, 1e-45, 1, 80, 1e30, 1e300, np.finfo(np.float64).max, np.inf]
    z = np.concatenate([sizes, np.negative(sizes)])
    for y in (np.zeros(18), np.ones(18)):
        for weight in (None, *(np.full(18, w) for w in (5e-324, 1e-300, 1e300, 4e307))):
            assert np.isfinite(loss.gradient_hessian(y, z, weight)).all()
            assert (loss.loss(y, z, weight) >= 0).all()
            assert np.isfinite(loss.constant(y, weight))
    for convert in (loss.log_odds, loss.raw_prediction, loss.probability):
        assert not np.isnan(convert(z)).any()


def test_a_row_without_weight_has_no_loss():
    values = FocalLoss().loss([1, 1, 0], [-np.inf, 0.0, np.inf], [0.0, 1.0, 2.0])
    assert values[0] == 0
    assert values[2] == np.inf


@pytest.mark.parametrize("size", [5e-324, 1e-300, 1e-3, 1e300, 1e308])
def test_the_constant_is_the_rate_whatever_the_size_of_the_weights(size):
    y = np.arange(10) < 2
    assert FocalLoss().constant(y, np.full(10, size)) == pytest.approx(np.log(0.25))


@BOTH_LINKS
@given(gamma=gammas, alpha=alphas, z=st.floats(-30, 30), y=st.integers(0, 1))
def test_gradient_is_the_slope_of_the_loss(link, gamma, alpha, z, y):
    loss, step = FocalLoss(gamma, alpha, link=link), 1e-4
    below, above = loss.loss([y, y], [z - step, z + step])
    gradient = loss.gradient([y], [z])[0]
    assert gradient == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-9)


@given(gamma=gammas, alpha=alphas, z=st.floats(-30, 30), y=st.integers(0, 1))
def test_logit_hessian_is_the_slope_of_the_gradient(gamma, alpha, z, y):
    loss, step = FocalLoss(gamma, alpha, link="logit"), 1e-4
    below, above = loss.gradient([y, y], [z - step, z + step])
    hessian = loss.gradient_hessian([y], [z])[1][0]
    assert hessian == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-9)


@BOTH_LINKS
@given(gamma=gammas, alpha=st.floats(0.01, 0.99), z=scores)
def test_classes_mirror_each_other(link, gamma, alpha, z):
    one = FocalLoss(gamma, alpha, link=link).gradient_hessian([1], [z])
    other = FocalLoss(gamma, 1 - alpha, link=link).gradient_hessian([0], [-z])
    np.testing.assert_allclose(one[0], -other[0], rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(one[1], other[1], rtol=1e-9, atol=1e-15)


@given(gamma=gammas, alpha=alphas, f=scores)
def test_link_round_trip_and_slope(gamma, alpha, f):
    loss = FocalLoss(gamma, alpha, link="logit")
    z = loss.raw_prediction([f])
    assert loss.log_odds(z)[0] == pytest.approx(f, rel=1e-12, abs=1e-13)
    assert loss.log_odds(z + 1e-3)[0] > loss.log_odds(z)[0]


@given(gamma=gammas, z=st.floats(-1e-6, 1e-6))
def test_log_odds_keeps_its_digits_near_zero(gamma, z):
    loss = FocalLoss(gamma, link="logit")
    slope = (1 + gamma) - 2 * gamma * (np.log(2) - 0.5) / (1 + gamma * np.log(2))
    assert loss.log_odds([z])[0] == pytest.approx(slope * z, rel=1e-10, abs=1e-300)


@given(gamma=st.floats(0.1, 8), z=st.floats(0.1, 30))
def test_focal_score_is_pulled_to_one_half(gamma, z):
    """expit(z) is sold as a probability elsewhere; it understates the certainty."""
    loss = FocalLoss(gamma, link="logit")
    assert loss.log_odds([z])[0] > z
    assert loss.log_odds([-z])[0] < -z


def test_focal_score_at_known_rates():
    loss = FocalLoss(2.0, link="logit")
    z = loss.raw_prediction(np.log([0.001 / 0.999, 0.01 / 0.99]))
    np.testing.assert_allclose(expit(z), [0.073, 0.154], atol=5e-4)


@BOTH_LINKS
@given(gamma=gammas, alpha=alphas, z=scores, weight=st.floats(1e-3, 1e3))
def test_weights_multiply(link, gamma, alpha, z, weight):
    loss = FocalLoss(gamma, alpha, link=link)
    y, raw, w = [0, 1], [z, z], [1.0, weight]
    plain, weighted = loss.gradient_hessian(y, raw), loss.gradient_hessian(y, raw, w)
    for a, b in zip(plain, weighted, strict=True):
        np.testing.assert_allclose(a * w, b, rtol=1e-14)
    np.testing.assert_allclose(loss.loss(y, raw) * w, loss.loss(y, raw, w), rtol=1e-14)


@BOTH_LINKS
def test_gamma_zero_is_log_loss(link):
    """gamma = 0 is refused by others, so that nobody could test against log-loss."""
    y = np.repeat([0.0, 1.0], 50)
    z = np.tile(np.linspace(-20, 20, 50), 2)
    m, loss = (2 * y - 1) * z, FocalLoss(0.0, link=link)
    gradient, hessian = loss.gradient_hessian(y, z)
    np.testing.assert_allclose(loss.loss(y, z), np.logaddexp(0, -m), rtol=1e-13)
    np.testing.assert_allclose(gradient, -(2 * y - 1) * expit(-m), rtol=1e-13)
    np.testing.assert_allclose(hessian, expit(m) * expit(-m), rtol=1e-13)
    np.testing.assert_allclose(loss.log_odds(z), z, rtol=1e-13)


@BOTH_LINKS
@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, 0.25, 0.9])
def test_constant_minimises_the_loss(link, gamma, alpha):
    """Others start at the logit of the base rate, which is not the focal optimum."""
    loss = FocalLoss(gamma, alpha, link=link)
    y = np.arange(400) % 80 == 0
    w = 1.0 + np.arange(400) % 3
    found = minimize_scalar(
        lambda c: loss.loss(y, np.full(400, c), w).sum(),
        bracket=(-6, 0),
        options={"xtol": 1e-9},
    )
    assert loss.constant(y, w) == pytest.approx(found.x, abs=1e-5)
    rate = np.average(y, weights=w)
    assert loss.probability([loss.constant(y, w)])[0] == pytest.approx(rate, rel=1e-12)


def test_constant_of_one_class_counts_half_a_row_of_the_other():
    for label, expected in ((0, -np.log(10)), (1, np.log(10))):
        assert FocalLoss().constant([label] * 5) == pytest.approx(expected)
        # half of an average row of those that count: 24 over 3
        weight = [12.0, 0.0, 6.0, 6.0]
        constant = FocalLoss().constant([label] * 4, weight)
        assert constant == pytest.approx(np.sign(expected) * np.log(24 / 4))


def test_posterior_hessian_is_never_negative_and_logit_is():
    z = np.linspace(-30, 30, 601)
    y = np.ones(601)
    assert FocalLoss(2.0).gradient_hessian(y, z)[1].min() > 0
    _, hessian = FocalLoss(2.0, link="logit").gradient_hessian(y, z)
    assert hessian.min() < 0
    assert z[hessian < 0].max() == pytest.approx(-2.79, abs=0.1)


def test_is_a_value():
    loss = FocalLoss(1.5, 0.25)
    assert pickle.loads(pickle.dumps(loss)) == loss == copy.deepcopy(loss)
    assert hash(loss) == hash(FocalLoss(1.5, 0.25, "posterior"))
    assert repr(loss) == "FocalLoss(gamma=1.5, alpha=0.25, link='posterior')"
    with pytest.raises(AttributeError, match="cannot assign"):
        loss.gamma = 2.0


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"gamma": -1}, ValueError, r"gamma must be .* got -1"),
        ({"gamma": float("nan")}, ValueError, "gamma must be .* got nan"),
        ({"gamma": float("inf")}, ValueError, "gamma must be .* got inf"),
        ({"gamma": "2"}, TypeError, "gamma must be .* got '2'"),
        ({"gamma": True}, TypeError, "gamma must be .* got True"),
        ({"alpha": 0.0}, ValueError, r"alpha must be .*\(0.0, 1.0\), got 0.0"),
        ({"alpha": 1}, ValueError, "alpha must be .* got 1"),
        ({"alpha": "balanced"}, TypeError, "alpha must be .* got 'balanced'"),
        ({"link": "magic"}, ValueError, "link must be one of .* got 'magic'"),
        ({"gamma": 1001}, ValueError, r"gamma must be .* \[0.0, 1000\], got 1001"),
        ({"gamma": 1e300}, ValueError, r"gamma must be .* got 1e\+300"),
        ({"focal_gamma": 2}, TypeError, "FocalLoss has no parameter 'focal_gamma'"),
        ({"focal_alpha": 0.5}, TypeError, r"did you mean alpha\?"),
    ],
)
def test_bad_parameters(kwargs, error, message):
    with pytest.raises(error, match=message):
        FocalLoss(**kwargs)


@pytest.mark.parametrize(
    ("y", "raw", "weight", "message"),
    [
        ([0, 2], [0, 0], None, "y_true must hold 0 and 1 only, got 2.0 in row 1"),
        ([0, np.nan], [0, 0], None, "y_true must hold 0 and 1 only, got nan"),
        ([0, 1], [0, np.nan], None, "raw_prediction must not be NaN, .* row 1"),
        ([0, 1], [0, 0, 0], None, "y_true must have 3 values, .* got 2"),
        ([0, 1], [0, 0], [1], "sample_weight must have 2 values, .* got 1"),
        ([0, 1], [0, 0], [1, -1], "sample_weight must be finite .* got -1.0 in row 1"),
        ([0, 1], [0, 0], [1, np.inf], "sample_weight must be finite .* got inf"),
        ([0, 1], [0, 0], [0, 0], "sample_weight must hold a positive value"),
        (
            [0, 1],
            [0, 0],
            [1, 1e308],
            r"below 4.49e\+307, .* float64, got 1e\+308 in row 1",
        ),
        ([0, 1], [[0, 0]], None, "raw_prediction must be one-dimensional"),
    ],
)
def test_bad_data(y, raw, weight, message):
    with pytest.raises(ValueError, match=message):
        FocalLoss().gradient(y, raw, weight)


def test_constant_needs_rows():
    with pytest.raises(ValueError, match="at least one row"):
        FocalLoss().constant([])
