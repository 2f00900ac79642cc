"""FocalObjective and FocalMetric: the float32 kernels and the four entry points."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import polars as pl
import pytest
import reference
import xgboost as xgb
from scipy.special import expit
from sklearn.metrics import log_loss

import focal_gbm
from focal_gbm import FocalLoss, FocalMetric, FocalObjective
from focal_gbm._kernels.rational import posterior_form
from focal_gbm.metrics import recall_at_fpr
from focal_gbm.objective._metric import warn_if_undefined

PACKAGE = Path(focal_gbm.__file__).parent
LOGIT_HESSIANS = ("expected", "exact", "clipped")
ALL_FORMS = [
    ("posterior", "expected"),
    *(("logit", hessian) for hessian in LOGIT_HESSIANS),
]
GRID = np.linspace(-40, 40, 1601, dtype=np.float32)
EXTREMES = np.array(
    [
        -np.inf,
        -3.4e38,
        -1000000.0,
        -104,
        -88,
        -87,
        -80,
        -17,
        -1e-38,
        -0.0,
        0.0,
        1e-45,
        1e-07,
        17,
        37,
        80,
        87,
        88,
        104,
        1000000.0,
        3.4e38,
        np.inf,
    ],
    dtype=np.float32,
)


def both_classes(z):
    """Return labels and scores with every score in both classes."""
    return np.repeat([0.0, 1.0], len(z)).astype(np.float32), np.tile(z, 2)


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
    assert error <= (1e-5 if gamma <= 5 else 1e-4)


def test_labels_and_dtypes_are_equal():
    y, z = both_classes(GRID)
    expected = FocalObjective()(y, z)
    for labels in (y.astype(bool), y.astype(np.int8), list(y)):
        for scores in (z.astype(np.float64), list(map(float, z)), z[:, None]):
            for a, b in zip(FocalObjective()(labels, scores), expected, strict=True):
                np.testing.assert_array_equal(a, b)


def test_tails_have_the_scale_of_log_loss():
    y, z = both_classes(np.array([-30.0, 30.0]))
    focal, plain = FocalObjective(2.0)(y, z), FocalObjective(0.0)(y, z)
    for a, b in zip(focal, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=0.01)


def test_scale_and_alpha_are_class_weights():
    y, z = both_classes(GRID)
    gradient, hessian = FocalObjective(0.0, 0.8, scale=5.0)(y, z - 0.0)
    plain = FocalObjective(0.0)(y, z + np.float32(np.log(4.0)))
    weight = np.where(y > 0, 4.0, 1.0)
    np.testing.assert_allclose(gradient, plain[0] * weight, rtol=1e-5)
    np.testing.assert_allclose(hessian, plain[1] * weight, rtol=1e-5)


@pytest.mark.parametrize("link", ["posterior", "logit"])
def test_offset_is_added_to_the_scores(link):
    y, z = both_classes(GRID)
    shifted = FocalObjective(link=link, offset=-1.5)(y, z)
    for a, b in zip(shifted, FocalObjective(link=link)(y, z - 1.5), strict=True):
        np.testing.assert_array_equal(a, b)


def test_results_are_not_overwritten_while_held():
    objective = FocalObjective()
    first = objective([0, 1], [0.0, 0.0])
    kept = [values.copy() for values in first]
    view = objective([0, 1], [5.0, 5.0])[0][:1]
    seen = view.copy()
    objective([0, 1], [-5.0, 7.0])
    for a, b in zip(first, kept, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(view, seen)


def test_buffers_are_used_again():
    objective = FocalObjective()
    z = np.zeros(1000)
    addresses = {objective(z, z)[0].ctypes.data for _ in range(5)}
    assert len(addresses) == 1


def test_is_a_value():
    """Lambdas and closures break pickle, joblib and Dask elsewhere."""
    objective = FocalObjective(1.0, 0.3, link="logit", hessian="exact")
    expected = objective([0, 1], [0.3, -2.0])
    for twin in (pickle.loads(pickle.dumps(objective)), copy.deepcopy(objective)):
        assert twin == objective
        assert hash(twin) == hash(objective)
        for a, b in zip(twin([0, 1], [0.3, -2.0]), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert repr(objective) == (
        "FocalObjective(gamma=1.0, alpha=0.3, link='logit', hessian='exact', "
        "scale=1.0, offset=0.0, device='cpu', n_jobs=1)"
    )
    metric = FocalMetric(metric="recall_at_fpr")
    assert pickle.loads(pickle.dumps(metric)) == metric


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"gamma": -0.1}, ValueError, "gamma must be .* got -0.1"),
        ({"gamma": 31}, ValueError, "gamma must be at most 30 .* got 31"),
        ({"gamma": 31}, ValueError, "lower gamma, or use link='logit', .* up to 1000"),
        ({"gamma": 1e300, "link": "logit"}, ValueError, r"gamma must .*1000\], got 1e"),
        ({"offset": 1e300}, ValueError, r"offset must .* \[-1e\+30, 1e\+30\], got 1e"),
        ({"scale": 1e-300}, ValueError, "scale=1e-300 and alpha=None give class 0 the"),
        ({"scale": 1e300}, ValueError, r"weight 1e\+300, which .* float32 cannot hold"),
        (
            {"alpha": 5e-324},
            ValueError,
            "alpha=5e-324 give class 1 the weight 4.94e-32",
        ),
        ({"scale": 1e21, "alpha": 0.5}, ValueError, r"lies in \[1e-20, 1e\+20\]"),
        (
            {"focal_gamma": 2},
            TypeError,
            "FocalObjective has no parameter 'focal_gamma'",
        ),
        ({"focal_gamma": 2}, TypeError, r"did you mean gamma\?"),
        ({"focal_alpha": 0.5}, TypeError, r"did you mean alpha\?"),
        ({"njobs": 1}, TypeError, r"did you mean n_jobs\?"),
        ({"xyz": 1}, TypeError, "no parameter 'xyz'; it has gamma, alpha, link, hess"),
        ({"alpha": 1.5}, ValueError, "alpha must be .* got 1.5"),
        ({"link": "probit"}, ValueError, "link must be one of .* got 'probit'"),
        (
            {"link": "logit", "hessian": "none"},
            ValueError,
            "hessian must be one of .* got 'none'",
        ),
        ({"hessian": "exact"}, ValueError, "hessian='exact' needs link='logit'"),
        ({"scale": 0.0}, ValueError, "scale must be .* got 0.0"),
        ({"offset": np.nan}, ValueError, "offset must be .* got nan"),
    ],
)
def test_bad_parameters(kwargs, error, message):
    with pytest.raises(error, match=message):
        FocalObjective(**kwargs)([0.0], [0.0])


@pytest.mark.parametrize(
    ("y", "raw", "weight", "message"),
    [
        ([0, 1, 1], [0, np.nan, 0], None, "raw_prediction must not be NaN, .* row 1"),
        ([0, 2, 1], [0, 0, 0], None, "y_true must hold 0 and 1 only, got 2.0 in row 1"),
        ([0, 1, np.nan], [0, 0, 0], None, "y_true must hold .* got nan in row 2"),
        ([0, 1, 1], [0, 0, 0], [1, 1, -2], "sample_weight must be .* got -2.0"),
        ([0, 1, 1], [0, 0, 0], [1, np.nan, 1], "sample_weight must be .* got nan"),
        ([0, 1, 1], [0, 0, 0], [1, 1, np.inf], "sample_weight must be .* got inf"),
        (
            [0, 1, 1],
            [0, 0, 0],
            [1, 1e300, 1],
            r"must be below 8.5.* got 1e\+300 in row 1",
        ),
        (
            [0, 1, 1],
            [0, 0, 0],
            [1, 1, 1e38],
            "may overflow float32, got 1e[+]38 in row 2",
        ),
        (
            [0, 1, 1],
            [0, 0, 0],
            [1e-300] * 3,
            "at least 1.18e-38, .* got 1e-300 at most",
        ),
        ([0, 1, 1], [0, 0, 0], [0, 0, 0], "sample_weight must hold a positive value"),
        ([0, 1e300, 1], [0, 0, 0], None, r"y_true must hold .* got 1e\+300 in row 1"),
        (["a", "b", "a"], [0, 0, 0], None, "y_true must hold 0 and 1 only, got 'a'"),
        ([0, 1], [0, 0, 0], None, "y_true must have 3 values"),
        ([0, 1, 1], [0, 0, 0], [1], "sample_weight must have 3 values"),
        ([0, 1], [[0, 0], [0, 0]], None, "raw_prediction must be one-dimensional"),
    ],
)
@pytest.mark.parametrize("link", ["posterior", "logit"])
def test_bad_data(link, y, raw, weight, message):
    """NaN gradients give a model of zeros in LightGBM, a NaN model in XGBoost."""
    with pytest.raises(ValueError, match=message):
        FocalObjective(link=link)(y, raw, weight)


# Of every size that float64 has; what a bound refuses is refused with an error.
GAMMAS = (0.0, 5e-324, 1e-300, 1e-38, 1e-8, 3e-6, 1.0, 30.0, 31.0, 1e3, 1e6, 1e300)
SIZES = (5e-324, 1e-300, 1e-38, 1e-20, 1.0, 1e20, 1e38, 1e39, 1e300)
FAR_SCORES = np.array(
    [0, 5e-324, 1e-45, 1, 80, 1e30, np.finfo("f4").max, 1e300, np.inf]
)


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


def test_a_row_of_a_small_weight_may_stand_first():
    plain = FocalObjective()([0, 1], [0.0, 0.0], [0.0, 1.0])
    np.testing.assert_array_equal(plain[0] != 0, [False, True])


def kinds(values):
    """Return values as the arrays that users have."""
    array = np.array(values, np.float64)
    nullable = "Int64" if (array == array.round()).all() else "Float64"
    yield array.astype(">f8")
    yield array.astype(">f4")
    yield array.astype(np.float16)
    yield array.astype(object)
    yield array.astype(np.longdouble)
    yield np.repeat(array, 2)[::2]
    yield pd.Series(array).astype(nullable)
    yield pd.Series(array).astype(nullable)[::-1].sort_index()
    yield pd.Series(array, dtype="double[pyarrow]")
    yield pl.Series(values)
    yield values


def test_arrays_of_any_kind():
    y, raw, weight = [0, 1, 1, 0], [-1.0, 0.5, 2.0, -3.0], [1.0, 2.0, 0.5, 3.0]
    metrics = [FocalMetric(metric=name) for name in ("log_loss", "focal", "error")]
    metrics.append(FocalMetric(metric="recall_at_fpr"))
    expected = [array.copy() for array in FocalObjective()(y, raw, weight)]
    values = [metric.evaluate(y, raw, weight) for metric in metrics]
    labels = [*kinds(y), pd.Series(y, dtype="boolean"), np.array(y, bool)]
    labels.append(pd.Series(y).astype("category"))
    calls = [(kind, raw, weight) for kind in labels]
    calls += [(y, kind, weight) for kind in kinds(raw)]
    calls += [(y, raw, kind) for kind in kinds(weight)]
    calls += [
        (y, np.array(raw)[:, None], weight),
        (y, pd.DataFrame({"z": raw}), weight),
    ]
    for call in calls:
        for ours, truth_ in zip(FocalObjective()(*call), expected, strict=True):
            np.testing.assert_array_equal(ours, truth_)
        for metric, value in zip(metrics, values, strict=True):
            assert metric.evaluate(*call) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("missing", [None, pd.NA, np.nan])
def test_blanks_of_pandas_are_missing(missing):
    good, bad = [0.0, 1.0], pd.Series([0, missing], dtype="Int64")
    for measure in (FocalObjective(), FocalMetric().evaluate, FocalLoss().gradient):
        with pytest.raises(ValueError, match=r"y_true must hold 0 and 1 .* row 1"):
            measure(bad, good)
        with pytest.raises(ValueError, match=r"raw_prediction must not be NaN.* row 1"):
            measure(good, bad)
        with pytest.raises(ValueError, match=r"sample_weight must be finite .* row 1"):
            measure(good, good, bad)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 6))
    y = (rng.random(4000) < expit(2 * X[:, 0] + X[:, 1] * X[:, 2] - 3)).astype(int)
    return X, y, rng.integers(1, 4, 4000).astype(float)


LGB = {"verbosity": -1, "min_child_samples": 1, "num_threads": 2}
XGB = {"max_depth": 4, "base_score": 0.5, "objective": "binary:logistic"}


def lgb_native(objective, X, y, w):
    booster = lgb.train(
        {**LGB, "objective": objective}, lgb.Dataset(X, y, weight=w), 50
    )
    return booster.predict(X, raw_score=True)


def lgb_sklearn(objective, X, y, w):
    model = lgb.LGBMClassifier(
        n_estimators=50, objective=objective, verbose=-1, min_child_samples=1, n_jobs=2
    )
    return model.fit(X, y, sample_weight=w).predict(X, raw_score=True)


def xgb_native(objective, X, y, w):
    matrix = xgb.DMatrix(X, y, weight=w)
    booster = xgb.train(XGB, matrix, 50, obj=objective)
    return booster.predict(matrix, output_margin=True)


def xgb_sklearn(objective, X, y, w):
    model = xgb.XGBClassifier(
        n_estimators=50, max_depth=4, base_score=0.5, objective=objective
    )
    return model.fit(X, y, sample_weight=w).predict(X, output_margin=True)


ENTRIES = pytest.mark.parametrize(
    "train", [lgb_native, lgb_sklearn, xgb_native, xgb_sklearn]
)


@ENTRIES
@pytest.mark.parametrize("link", ["posterior", "logit"])
def test_gamma_zero_is_the_built_in_loss(train, link, data):
    X, y, w = data
    ours = train(FocalObjective(0.0, link=link), X, y, w)
    if train in (lgb_native, lgb_sklearn):
        params = {**LGB, "objective": "binary", "boost_from_average": False}
        booster = lgb.train(params, lgb.Dataset(X, y, weight=w), 50)
        theirs = booster.predict(X, raw_score=True)
    else:
        theirs = xgb_native(None, X, y, w)
    assert np.quantile(np.abs(ours - theirs), 0.999) <= 1e-3


@ENTRIES
def test_weights_act_in_every_entry_point(train, data):
    """sample_weight is ignored, refused or dropped by two-argument callables."""
    X, y, w = data
    weighted = train(FocalObjective(), X, y, w)
    plain = train(FocalObjective(), X, y, np.ones_like(w))
    unweighted = train(FocalObjective(), X, y, None)
    np.testing.assert_allclose(plain, unweighted, atol=1e-5)
    assert np.abs(weighted - plain).max() > 0.1
    # a weight of 2 for all is twice the Hessian: the same steps but for the floors
    doubled = train(FocalObjective(scale=2.0), X, y, np.ones_like(w))
    twice = train(FocalObjective(), X, y, np.full_like(w, 2.0))
    np.testing.assert_allclose(doubled, twice, atol=1e-5)


def test_alpha_acts(data):
    X, y, w = data
    low, high = (lgb_native(FocalObjective(alpha=a), X, y, w) for a in (0.1, 0.9))
    assert np.abs(low - high).mean() > 0.05


def test_cv_of_both(data):
    X, y, w = data
    result = lgb.cv(
        {**LGB, "objective": FocalObjective(), "metric": "None"},
        lgb.Dataset(X, y, weight=w),
        10,
        nfold=3,
        feval=FocalMetric(),
    )
    losses = result["valid log_loss-mean"]
    assert losses[0] > losses[-1] > 0
    result = xgb.cv(
        {**XGB, "disable_default_eval_metric": True},
        xgb.DMatrix(X, y, weight=w),
        10,
        nfold=3,
        obj=FocalObjective(),
        custom_metric=FocalMetric(metric="recall_at_fpr"),
    )
    assert result["test-neg_recall_at_fpr-mean"].iloc[-1] < 0


@pytest.mark.parametrize("link", ["posterior", "logit"])
def test_metric_is_the_log_loss_of_the_probabilities(link, data):
    """A log-loss of margins goes negative elsewhere, and stopping never fires."""
    X, y, w = data
    raw = lgb_native(FocalObjective(link=link), X, y, w)
    p = FocalLoss(link=link).probability(raw)
    value = FocalMetric(link=link).evaluate(y, raw, w)
    assert value == pytest.approx(log_loss(y, p, sample_weight=w), rel=1e-9)
    error = FocalMetric(link=link, metric="error").evaluate(y, raw, w)
    assert error == pytest.approx(np.average((p > 0.5) != y, weights=w))
    focal = FocalMetric(link=link, metric="focal").evaluate(y, raw, w)
    loss = FocalLoss(link=link).loss(y, raw)
    assert focal == pytest.approx(np.average(loss, weights=w))
    recall = FocalMetric(link=link, metric="recall_at_fpr").evaluate(y, raw, w)
    assert recall == pytest.approx(recall_at_fpr(y, p, sample_weight=w))
    shifted = FocalMetric(link=link, offset=1.0).evaluate(y, raw - 1.0, w)
    assert shifted == pytest.approx(value)


def test_metric_in_all_entry_points(data):
    X, y, w = data
    name, metric = "recall_at_fpr", FocalMetric(metric="recall_at_fpr")
    history = {}
    train = lgb.Dataset(X, y, weight=w)
    booster = lgb.train(
        {**LGB, "objective": FocalObjective(), "metric": "None"},
        train,
        5,
        valid_sets=[train],
        feval=metric,
        callbacks=[lgb.record_evaluation(history)],
    )
    expected = metric.evaluate(y, booster.predict(X), w)
    assert history["training"][name][-1] == pytest.approx(expected)
    for weights in (None, w):
        model = lgb.LGBMClassifier(
            n_estimators=5, objective=FocalObjective(), verbose=-1, metric="None"
        )
        model.fit(
            X,
            y,
            sample_weight=weights,
            eval_set=[(X, y)],
            eval_sample_weight=[weights],
            eval_metric=metric,
        )
        expected = metric.evaluate(y, model.predict(X, raw_score=True), weights)
        results = next(iter(model.evals_result_.values()))
        assert results[name][-1] == pytest.approx(expected)
        model = xgb.XGBClassifier(
            n_estimators=5, objective=FocalObjective(), eval_metric=metric
        )
        model.fit(
            X,
            y,
            sample_weight=weights,
            eval_set=[(X, y)],
            sample_weight_eval_set=None if weights is None else [weights],
            verbose=False,
        )
        margin = model.predict(X, output_margin=True)
        results = model.evals_result()["validation_0"]
        assert results[f"neg_{name}"][-1] == pytest.approx(
            -metric.evaluate(y, margin, weights), abs=1e-6
        )
    matrix, results = xgb.DMatrix(X, y, weight=w), {}
    booster = xgb.train(
        XGB,
        matrix,
        5,
        obj=FocalObjective(),
        custom_metric=metric,
        evals=[(matrix, "train")],
        evals_result=results,
        verbose_eval=False,
    )
    margin = booster.predict(matrix, output_margin=True)
    assert results["train"][f"neg_{name}"][-1] == pytest.approx(
        -metric.evaluate(y, margin, w), abs=1e-6
    )


def test_xgboost_early_stopping_looks_the_right_way(data):
    """XGBoost guesses the direction from the name; a recall would be minimised."""
    X, y, _ = data
    for name in ("log_loss", "recall_at_fpr", "precision_at_alert_rate"):
        matrix, results = xgb.DMatrix(X, y), {}
        booster = xgb.train(
            {**XGB, "disable_default_eval_metric": True},
            matrix,
            30,
            obj=FocalObjective(),
            custom_metric=FocalMetric(metric=name),
            evals=[(matrix, "train")],
            evals_result=results,
            early_stopping_rounds=30,
            verbose_eval=False,
        )
        (values,) = results["train"].values()
        assert booster.best_iteration == int(np.argmin(values))


def test_metric_refuses_unknown_names():
    with pytest.raises(ValueError, match=r"metric must be one of .* got 'magic'"):
        FocalMetric(metric="magic")
    with pytest.raises(TypeError, match=r"FocalMetric has .* did you mean gamma\?"):
        FocalMetric(focal_gamma=2)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"gamma": 1e4}, ValueError, r"gamma must be .* \[0.0, 1000\], got 10000.0"),
        ({"offset": 1e31}, ValueError, r"offset must be .* got 1e\+31"),
        (
            {"prior_shift": np.inf},
            ValueError,
            "prior_shift must be a finite .* got inf",
        ),
        ({"prior_shift": "1"}, TypeError, "prior_shift must be a finite .* got '1'"),
    ],
)
def test_bad_parameters_of_the_metric(kwargs, error, message):
    with pytest.raises(error, match=message):
        FocalMetric(**kwargs)


@pytest.mark.parametrize("link", ["posterior", "logit"])
@pytest.mark.parametrize("alpha", [None, 0.3])
@pytest.mark.parametrize("offset", [0.0, -1.5])
def test_prior_shift_moves_the_log_odds(link, alpha, offset):
    rng = np.random.default_rng(0)
    y, raw = rng.random(500) < 0.3, rng.normal(-1, 2, 500)
    weight = rng.random(500)
    loss = FocalLoss(2.0, alpha, link)
    moved = loss.log_odds(raw + offset) + 1.25
    p = expit(moved)
    expected = {
        "log_loss": log_loss(y, p, sample_weight=weight),
        "error": np.average((p > 0.5) != y, weights=weight),
        "focal": np.average(loss.loss(y, loss.raw_prediction(moved)), weights=weight),
        "recall_at_fpr": recall_at_fpr(y, raw, sample_weight=weight),
    }
    options = {"link": link, "offset": offset}
    for name, value in expected.items():
        metric = FocalMetric(2.0, alpha, metric=name, prior_shift=1.25, **options)
        assert metric.evaluate(y, raw, weight) == pytest.approx(value, rel=1e-12)
        plain = FocalMetric(2.0, alpha, metric=name, **options)
        zero = FocalMetric(2.0, alpha, metric=name, prior_shift=0.0, **options)
        assert zero.evaluate(y, raw, weight) == plain.evaluate(y, raw, weight)
        is_rank = name == "recall_at_fpr"
        assert (plain.evaluate(y, raw, weight) == pytest.approx(value)) == is_rank


@pytest.mark.parametrize("gamma", [0.0, 5e-324, 2.0, 1000.0])
@pytest.mark.parametrize("link", ["posterior", "logit"])
@pytest.mark.parametrize("size", [5e-324, 1e-300, 1.0, 1e300, 1.7e308])
def test_metric_is_a_number_at_any_score_and_weight(gamma, link, size):
    with np.errstate(over="ignore"):
        scores = np.concatenate([FAR_SCORES, -FAR_SCORES])
    y = (scores > 0).astype(float)  # all on the right side: no loss is infinite
    weight = np.full(len(y), size)
    for name in ("log_loss", "error", "focal"):
        metric = FocalMetric(gamma, link=link, metric=name)
        value = metric.evaluate(y, scores, weight)
        assert np.isfinite(value)
        assert value == pytest.approx(metric.evaluate(y, scores), rel=1e-12)


def test_a_row_without_weight_has_no_part_in_a_metric():
    value = FocalMetric().evaluate([1, 0], [-np.inf, 0.0], [0.0, 1.0])
    assert value == pytest.approx(np.log(2))


def test_an_undefined_metric_is_named_once(data):
    X, y, _ = data
    metric = FocalMetric(metric="recall_at_fpr", name="recall")
    other = lgb.Dataset(X[:500], np.zeros(500))
    train = lgb.Dataset(X, y)
    for _ in range(2):  # LightGBM copies a metric of its parameters for each fit
        with pytest.warns(
            UserWarning, match="recall is NaN on an evaluation"
        ) as caught:
            lgb.train(
                {**LGB, "objective": FocalObjective(), "metric": "None"},
                train,
                5,
                valid_sets=[other],
                feval=copy.deepcopy(metric),
            )
        assert len([w for w in caught if "is NaN" in str(w.message)]) == 1
    message = 'no row is positive.*keeps the first tree.*use "log_loss"'
    with pytest.warns(UserWarning, match=message):
        metric([0, 0], np.array([0.5, 0.1]), sample_weight=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(metric([0, 0], np.array([0.5, 0.1]), sample_weight=None))
        assert FocalMetric()([0, 0], np.array([0.5, 0.1]), sample_weight=None) > 0
    assert pickle.loads(pickle.dumps(metric)) == FocalMetric(
        metric="recall_at_fpr", name="recall"
    )


def test_a_users_metric_may_be_undefined():
    for value in (1.0, 0, None, "nan", np.float32(1), (1, 2)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_if_undefined("mine", value)
    for value in (float("nan"), np.float32("nan"), np.float64("nan")):
        with pytest.warns(UserWarning, match="mine is NaN on an evaluation set"):
            warn_if_undefined("mine", value)


@pytest.mark.parametrize("cls", [FocalLoss, FocalObjective, FocalMetric])
def test_signature_and_pickle_are_those_of_a_data_class(cls):
    names = [f.name for f in dataclasses.fields(cls) if f.init]
    assert list(inspect.signature(cls).parameters) == names
    assert list(inspect.signature(cls.__init__).parameters) == ["self", *names]
    one = dataclasses.replace(cls(), gamma=1.5)
    assert one.gamma == 1.5
    assert pickle.loads(pickle.dumps(one)) == one == copy.copy(one)

    class Child(cls):
        pass

    assert Child(gamma=3).gamma == 3
    with pytest.raises(TypeError, match=r"did you mean gamma\?"):
        Child(focal_gamma=3)


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


WAYS = {
    "arrays": lambda y, raw, weight: (y, raw, weight),
    "lightgbm": lambda y, raw, weight: (raw, lightgbm_data(y, weight)),
    "xgboost": lambda y, raw, weight: (
        raw,
        xgb.DMatrix(raw[:, None], y, weight=weight),
    ),
}


def lightgbm_data(y, weight):
    return lgb.Dataset(np.zeros((len(y), 1)), y, weight=weight).construct()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_call_is_read_once_and_checked_once(way, weighted):
    """The way of a raw score to its gradient: at most eight functions of the package,
    none of them twice."""
    rng = np.random.default_rng(0)
    y = (rng.random(50) < 0.3).astype(np.float32)
    raw = rng.normal(size=50).astype(np.float64 if way == "lightgbm" else np.float32)
    call = WAYS[way](y, raw, y + 1 if weighted else None)
    objective = FocalObjective(2.0, 0.3)
    objective(*call)
    entered = []

    def watch(frame, event, _argument):
        path = Path(frame.f_code.co_filename)
        if event == "call" and PACKAGE in path.parents:
            entered.append(frame.f_code.co_name)

    sys.setprofile(watch)
    try:
        objective(*call)
    finally:
        sys.setprofile(None)
    assert entered[0] == "__call__"
    assert entered[-2:] == ["fill_derivatives", "_fill_chunks"]
    assert len(entered) == len(set(entered)) <= 8, entered
