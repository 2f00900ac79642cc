"""The formulas of a row, in float32 and float64, against the loss in float64: every
form, at every size that a float has."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import reference
from scipy.special import expit
from scores import ALL_FORMS, EXTREMES, FAR_SCORES, GRID, both_classes

from focal_gbm import FocalLoss, FocalObjective
from focal_gbm._kernels.rational import posterior_form


def truth(objective, y, z):
    """Return float64 derivatives on the scale of the objective."""
    z = z.astype(np.float64)
    loss = FocalLoss(objective.gamma, objective.alpha, objective.link)
    gradient, hessian = loss.gradient_hessian(y, z)
    if objective.link == "posterior":
        return gradient * (1 + loss.gamma), hessian * (1 + loss.gamma)
    if objective.hessian == "clipped":
        return gradient, np.maximum(hessian, np.abs(gradient))
    if objective.hessian == "expected":
        x = loss.log_odds(z) + loss.shift
        weight = np.where(y > 0, *loss.class_weights[::-1])
        plain = FocalLoss(loss.gamma, link="logit")
        total = plain.gradient(0 * y, z) - plain.gradient(0 * y + 1, z)
        step = 1e-5
        slope = (plain.log_odds(z + step) - plain.log_odds(z - step)) / (2 * step)
        return gradient, weight * total * slope * expit(x) * expit(-x)
    return gradient, hessian


@pytest.mark.parametrize(("link", "hessian"), ALL_FORMS)
@pytest.mark.parametrize("gamma", reference.GAMMAS)
@pytest.mark.parametrize("alpha", reference.ALPHAS)
def test_float32_kernels_agree_with_float64(link, hessian, gamma, alpha):
    objective = FocalObjective(gamma, alpha, link=link, hessian=hessian)
    y, z = both_classes(GRID)
    gradient, second = objective(y, z)
    true_gradient, true_second = truth(objective, y, z)
    for value, expected in ((gradient, true_gradient), (second, true_second)):
        assert value.dtype == np.float32
        big = np.abs(expected) > 1e-30
        error = np.abs(value[big] / expected[big] - 1)
        if hessian == "exact" and value is second:
            # near its zero the Hessian is a difference of two numbers of this size
            size = np.abs(true_gradient[big]) * (1 + gamma)
            error = np.minimum(error, np.abs(value[big] - expected[big]) / size)
        assert error.max() <= 1e-5


@pytest.mark.parametrize(("link", "hessian"), ALL_FORMS)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0, 12.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_finite_for_every_float32(link, hessian, gamma, dtype):
    """Others give NaN from |margin| of 17 on in float32, XGBoost's precision."""
    y, z = both_classes(EXTREMES)
    objective = FocalObjective(gamma, 0.9, link=link, hessian=hessian)
    gradient, second = objective(y, z.astype(dtype))
    assert np.isfinite(gradient).all()
    assert np.isfinite(second).all()


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 3.0, 5.0, 8.0, 20.0, 30.0])
def test_posterior_hessian_is_positive_everywhere(gamma):
    """Others pass on negative Hessians, or one that is zero for positives."""
    y, z = both_classes(np.concatenate([GRID, EXTREMES]))
    assert FocalObjective(gamma)(y, z)[1].min() > 0


@pytest.mark.parametrize("hessian", ["expected", "clipped"])
def test_logit_hessian_is_never_negative(hessian):
    y, z = both_classes(np.concatenate([GRID, EXTREMES]))
    objective = FocalObjective(2.0, link="logit", hessian=hessian)
    assert objective(y, z)[1].min() >= 0


def test_exact_hessian_is_negative_on_missed_frauds():
    second = FocalObjective(2.0, link="logit", hessian="exact")([1], [-4.0])[1]
    assert second[0] < 0


@pytest.mark.parametrize("gamma", [1e-4, 1e-3, 0.01, 0.1, *np.arange(0.5, 12, 0.5)])
def test_rational_follows_omega(gamma):
    form = posterior_form(float(gamma))
    x = np.linspace(0, 80, 4001)
    exact = FocalLoss(float(gamma)).gradient(np.ones_like(x), x) / -expit(-x)
    powers = (x * form.scale)[:, None] ** np.arange(9)
    ratio = powers @ np.array(form.numerator) / (powers @ np.array(form.denominator))
    error = np.abs(ratio / ((1 + gamma) * exact) - 1).max()
    assert error <= (1e-5 if gamma <= 5 else 5e-5 if gamma <= 10 else 1e-4)
    assert form.denominator[0] == 1  # a ratio has a free factor


@pytest.mark.parametrize("gamma", [5.0, 8.0])
def test_errors_of_the_rational_are_nearly_equal(gamma):
    """The best ratio of its degree has errors of one size and alternating sign."""
    form = posterior_form(gamma)
    x = np.r_[0.0, np.geomspace(1e-3, 600, 20_000)]
    exact = FocalLoss(gamma).gradient(np.ones_like(x), x) / -expit(-x)
    powers = (x * form.scale)[:, None] ** np.arange(9)
    ratio = (
        powers @ np.float64(form.numerator) / (powers @ np.float64(form.denominator))
    )
    error = ratio / ((1 + gamma) * exact) - 1
    parts = np.split(error, np.flatnonzero(np.diff(np.sign(error))) + 1)
    sizes = [np.abs(part).max() for part in parts]
    assert len(sizes) >= 17
    assert min(sizes) > 0.9 * max(sizes)


def test_tails_have_the_scale_of_log_loss():
    y, z = both_classes(np.array([-30.0, 30.0]))
    focal, plain = FocalObjective(2.0)(y, z), FocalObjective(0.0)(y, z)
    for a, b in zip(focal, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=0.01)


# Of every size that float64 has; what a bound refuses is refused with an error.
GAMMAS = (0.0, 5e-324, 1e-300, 1e-38, 1e-8, 3e-6, 1.0, 30.0, 31.0, 1e3, 1e6, 1e300)
SIZES = (5e-324, 1e-300, 1e-38, 1e-20, 1.0, 1e20, 1e38, 1e39, 1e300)


def derivatives_or_refusal(kwargs, y, raw, weight=None):
    try:
        return FocalObjective(**kwargs)(y, raw, weight)
    except ValueError:
        return None


@pytest.mark.parametrize(("link", "hessian"), ALL_FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_derivatives_are_finite_or_refused(link, hessian, dtype, gamma):
    with np.errstate(over="ignore"):
        scores = np.concatenate([FAR_SCORES, -FAR_SCORES]).astype(dtype)
    y, raw = both_classes(scores)
    weights = [None, *(np.full(len(raw), size) for size in SIZES)]
    kwargs = {"gamma": gamma, "link": link, "hessian": hessian}
    n_given = 0
    for alpha in (None, 5e-324, 1e-300, 0.3, 1 - 2**-53):
        for scale in SIZES:
            for offset in (0.0, -1e30, 1e300):
                varied = {"alpha": alpha, "scale": scale, "offset": offset}
                for weight in weights if alpha in (None, 0.3) else [None]:
                    pair = derivatives_or_refusal({**kwargs, **varied}, y, raw, weight)
                    if pair is not None:
                        n_given += 1
                        assert np.isfinite(pair).all()
    is_in_range = gamma <= (30 if link == "posterior" else 1000)
    assert (n_given > 0) == is_in_range


@pytest.mark.parametrize("gamma", [5e-324, 1e-38, 1e-8, 9e-7, 1.1e-6, 3e-6, 1e-5])
@pytest.mark.parametrize("link", ["posterior", "logit"])
def test_the_smallest_gammas(link, gamma):
    """They differ from log-loss by less than float32 holds, and must not be NaN."""
    objective = FocalObjective(gamma, link=link)
    y, z = both_classes(GRID)
    expected_gradient, expected_second = truth(objective, y, z)
    gradient, second = objective(y, z)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5)
    np.testing.assert_allclose(second, expected_second, rtol=1e-4)


@pytest.mark.parametrize("gamma", [31.0, 100.0, 1000.0])
def test_the_largest_gammas(gamma):
    """Values that float32 holds are right, and the others are next to nothing."""
    y, z = both_classes(GRID)
    for hessian in ("exact", "clipped"):
        objective = FocalObjective(gamma, link="logit", hessian=hessian)
        gradient, second = objective(y, z)
        true_gradient, true_second = truth(objective, y, z)
        size = np.abs(true_gradient)
        np.testing.assert_allclose(gradient, true_gradient, rtol=2e-5, atol=1e-30)
        error = np.abs(second - true_second)
        assert (error <= 2e-5 * size * (1 + gamma) + 1e-30).all()


def test_heavy_weights_act_up_to_the_bound():
    """The bound is that of float32, with room for the largest derivative."""
    y, raw = np.array([0, 1]), np.array([30.0, -30.0])
    for scale in (1.0, 1e20):
        objective = FocalObjective(0.0, scale=scale)
        most = float(np.finfo(np.float32).max) / 4 / scale
        gradient, _ = objective(y, raw, np.full(2, 0.99 * most))
        expected = 0.99 * most * scale
        np.testing.assert_allclose(gradient, [expected, -expected], rtol=1e-5)
        with pytest.raises(ValueError, match="sample_weight must be below"):
            objective(y, raw, np.full(2, 1.01 * most))


@pytest.mark.slow
def test_every_form_runs_as_plain_python():
    """As a debugger or a measure of coverage has it; one thread there does for all."""
    code = """
import numpy as np, lightgbm, xgboost
from focal_gbm import FocalLoss, FocalObjective
from focal_gbm._kernels import openmp
from focal_gbm.objective._call import read_call
openmp.MIN_ROWS = 10
rng = np.random.default_rng(0)
y, z, w = rng.random(40) < 0.3, rng.normal(0, 6, 40), rng.random(40)
z[:4] = np.inf, -np.inf, 80, -1e30
for dtype in (np.float32, np.float64):
    for link, hessian in FORMS:
        for gamma in (0.0, 2.0):
            for weight in (None, w):
                loss = FocalLoss(gamma, 0.3, link)
                raw = z.astype(dtype)
                exact = loss.gradient(y, raw, weight)
                exact *= 1 + gamma if link == "posterior" else 1
                for n_jobs in (1, 2, -1):
                    objective = FocalObjective(
                        gamma, 0.3, link=link, hessian=hessian, n_jobs=n_jobs
                    )
                    gradient, second = objective(y, raw, weight)
                    np.testing.assert_allclose(gradient, exact, rtol=1e-5, atol=1e-30)
                    assert np.isfinite(second).all() and gradient.dtype == np.float32
                over = objective.gradient_hessian(
                    read_call(y, raw, weight), over_scores=True
                )
                np.testing.assert_array_equal(over[0], gradient)
print("ran")
""".replace("FORMS", repr(ALL_FORMS))
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.strip() == "ran", run.stderr[-2000:]


def test_form_has_no_float64():
    """One double in a form makes the whole loop compute in doubles."""
    form = posterior_form(2.0)
    for value in (*form.numerator, *form.denominator, form.scale):
        assert type(value) is np.float32
