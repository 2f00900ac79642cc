"""LogOddsCalibrator and PriorShift."""

from __future__ import annotations

import json
import pickle
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from libraries import slow
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from focal_gbm import LogOddsCalibrator, PriorShift
from focal_gbm.calibration import METHODS, from_state, map_of, state_of

ALL = pytest.mark.parametrize("method", METHODS)


def sample(truth, n_rows, seed, mean=-4.0, spread=2.0):
    """Return scores, and labels drawn with the probabilities that ``truth`` makes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(mean, spread, n_rows)
    return x, (rng.random(n_rows) < expit(truth(x))).astype(int)


TRUTHS = {
    "intercept": lambda x: x - 1.3,
    "platt": lambda x: 0.6 * x - 0.5,
    "beta": lambda x: 1.4 * log_expit(x) - 0.5 * log_expit(-x) + 0.3,
    "quadratic": lambda x: -1.0 + 0.9 * x + 0.05 * x**2,
}


@pytest.mark.parametrize("method", ["intercept", "platt", *slow("beta", "quadratic")])
def test_finds_the_map_that_made_the_labels(method):
    x, y = sample(TRUTHS[method], 400_000, seed=0)
    at = np.linspace(-7, 0, 29)
    said = LogOddsCalibrator(method).fit(x, y).predict(at)
    assert np.abs(said - TRUTHS[method](at)).max() < 0.2
    assert np.abs(said - TRUTHS[method](at)).mean() < 0.08


def test_platt_is_logistic_regression():
    x, y = sample(TRUTHS["platt"], 20_000, seed=1)
    weight = 1.0 + np.arange(len(x)) % 3
    ours = LogOddsCalibrator("platt").fit(x, y, weight).predict(x)
    plain = LogisticRegression(C=1e9, tol=1e-10).fit(x[:, None], y, weight)
    # apart from the ridge of one unit
    theirs = plain.decision_function(x[:, None])
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_isotonic_is_isotonic_regression():
    x, y = sample(TRUTHS["beta"], 5_000, seed=2)
    p = expit(LogOddsCalibrator("isotonic").fit(x, y).predict(x))
    theirs = IsotonicRegression().fit(x, y).predict(x)
    np.testing.assert_allclose(p, np.clip(theirs, 0.5 / 5001, 1 - 0.5 / 5001))


@given(
    method=st.sampled_from(METHODS),
    n_positive=st.integers(1, 60),
    seed=st.integers(0, 10**6),
    separable=st.booleans(),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
)
def test_monotone_and_bounded(method, n_positive, seed, separable, scale):
    """Recalibration on clipped probabilities, as elsewhere, erases the scale."""
    rng = np.random.default_rng(seed)
    x = scale * rng.normal(-3, 2, 400)
    y = np.zeros(400, int)
    order = np.argsort(x)
    y[order[-n_positive:] if separable else rng.permutation(400)[:n_positive]] = 1
    weight = rng.integers(0, 3, 400) + (y == 1)
    calibrator = LogOddsCalibrator(method).fit(x, y, weight)
    at = np.sort(np.concatenate([x, [-1e9, -1e3, 0.0, 1e3, 1e9]]))
    said = calibrator.predict(at)
    assert np.isfinite(said).all()
    assert (np.diff(said) >= -1e-9).all()


@pytest.mark.parametrize("method", [m for m in METHODS if m != "auto"])
def test_a_weight_of_two_is_a_row_twice(method):
    x, y = sample(TRUTHS["platt"], 4_000, seed=3)
    weight = np.where(np.arange(len(x)) % 3 == 0, 2, 1)
    twice = np.repeat(np.arange(len(x)), weight)
    one = LogOddsCalibrator(method).fit(x, y, weight).predict(x)
    other = LogOddsCalibrator(method).fit(x[twice], y[twice]).predict(x)
    # the ridge and the margins are worth as many units as there are rows
    assert np.abs(one - other).mean() < 0.02


@ALL
def test_a_row_without_weight_has_no_part(method):
    x, y = sample(TRUTHS["platt"], 2_000, seed=6)
    weight = (np.arange(len(x)) % 3).astype(float)
    weight[: len(x) // 2] *= 0.25
    used = weight > 0
    whole = LogOddsCalibrator(method).fit(x, y, weight)
    part = LogOddsCalibrator(method).fit(x[used], y[used], weight[used])
    assert whole.method_ == part.method_
    np.testing.assert_allclose(whole.predict(x), part.predict(x), atol=1e-6)


def chosen_by_definition(x, y, weight):
    """Return the simplest method that no other beats by a standard error."""
    methods = ("identity", *METHODS[:-1])
    losses = {}
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for method in methods:
        f = x.copy()
        for train, test in folds.split(x, y):
            if method != "identity":
                rows = x[train], y[train], weight[train]
                f[test] = LogOddsCalibrator(method).fit(*rows).predict(x[test])
        losses[method] = np.logaddexp(0, np.where(y > 0, -f, f))
    best = methods[0]
    for method in methods[1:]:
        gain = losses[best] - losses[method]
        mean = (weight * gain).sum() / weight.sum()
        error = np.sqrt((weight**2 * (gain - mean) ** 2).sum()) / weight.sum()
        best = method if mean > error else best
    return best


def test_auto_moves_on_by_one_standard_error():
    chosen = []
    lines = [lambda x, b=b: b * x + 0.15 for b in (1.0, 0.85, 0.8, 0.7, 0.6, 1.3)]
    lines.append(lambda x: x - 0.8)
    steps = lambda x: np.where(x < -3, -4.0, np.where(x < -1, -2.0, 2.0))  # noqa: E731
    for seed, truth in enumerate([*lines, steps]):
        x, y = sample(truth, 1_500, seed, mean=-2.5)
        weight = np.random.default_rng(seed).choice([0.25, 1.0, 2.5], len(x))
        expected = chosen_by_definition(x, y, weight)
        assert LogOddsCalibrator().fit(x, y, weight).method_ == expected
        chosen.append(expected)
    assert len(set(chosen)) >= 4
    assert {"identity", "intercept", "isotonic"} < set(chosen)


@pytest.mark.filterwarnings("ignore:method='auto' has 2 positives")
def test_each_fold_trains_on_both_classes():
    """By chance alone, both positives would be held out together half of the time."""
    x = np.linspace(-3, 3, 30)
    for first in range(10):
        y = np.zeros(30, int)
        y[[first, 29 - first]] = 1
        fitted = LogOddsCalibrator().fit(x, y)
        assert fitted.method_ in ("identity", "intercept")


def test_isotonic_ends_half_a_row_of_a_class_from_0_and_1():
    x, y = np.arange(12.0), np.array([0] * 6 + [1] * 4 + [0, 1])
    weight = np.where(y > 0, 2.0, 3.0)
    weight[10:] = 0.0
    p = expit(LogOddsCalibrator("isotonic").fit(x, y, weight).predict(x[:10]))
    # the rows weigh 26 together
    np.testing.assert_allclose(p[:6], 0.5 * 2 / (26 + 2))
    np.testing.assert_allclose(p[6:], 1 - 0.5 * 3 / (26 + 3))


@pytest.mark.slow
def test_auto_leaves_honest_scores_alone():
    chosen = []
    for seed in range(12):
        x, y = sample(lambda x: x, 20_000, seed)
        chosen.append(LogOddsCalibrator().fit(x, y).method_)
    assert chosen.count("identity") >= 9


@pytest.mark.slow
def test_auto_bends_what_is_bent():
    for method, truth in TRUTHS.items():
        x, y = sample(truth, 100_000, seed=4)
        calibrator = LogOddsCalibrator().fit(x, y)
        assert calibrator.method_ != "identity", method
        gap = np.abs(calibrator.predict(x) - truth(x))
        assert gap.mean() < 0.15, method


def test_auto_stays_simple_with_few_positives():
    for seed in range(5):
        x, y = sample(TRUTHS["platt"], 1_000, seed)
        x, y = np.r_[x[y == 0], x[y == 1][:49]], np.r_[y[y == 0], y[y == 1][:49]]
        assert LogOddsCalibrator().fit(x, y).method_ in ("identity", "intercept")
    # a level ten times too high needs no more than a few
    found = LogOddsCalibrator().fit(x + np.log(10.0), y)
    assert found.method_ == "intercept"
    assert expit(found.predict(x + np.log(10.0))).mean() == pytest.approx(y.mean())
    # one positive cannot be left out
    assert LogOddsCalibrator().fit([-3, -2, 1], [0, 0, 1]).method_ == "identity"


@ALL
def test_is_an_estimator(method):
    x, y = sample(TRUTHS["platt"], 3_000, seed=5)
    calibrator = LogOddsCalibrator(method).fit(x, y)
    again = clone(calibrator).fit(list(x), list(y))
    np.testing.assert_array_equal(again.predict(x), calibrator.predict(x))
    twin = pickle.loads(pickle.dumps(calibrator))
    np.testing.assert_array_equal(twin.predict(x), calibrator.predict(x))
    assert twin.method_ in ("identity", *METHODS[:-1])


@pytest.mark.parametrize(
    ("kwargs", "x", "y", "weight", "message"),
    [
        ({"method": "magic"}, [0, 1], [0, 1], None, "method must be one of .* 'magic'"),
        ({"cv": 1}, [0, 1], [0, 1], None, "cv must be .* got 1"),
        ({}, [0, np.nan], [0, 1], None, "log_odds must be finite, got nan in row 1"),
        ({}, [0, np.inf], [0, 1], None, "log_odds must be finite, got inf in row 1"),
        ({}, [0, 1], [0, 2], None, "y_true must hold 0 and 1 only, got 2.0"),
        ({}, [0, 1], [0, 1, 1], None, "y_true must have 2 values"),
        ({}, [0, 1], [1, 1], None, "both classes, got 2 rows of class 1 and 0"),
        ({}, [0, 1], [0, 1], [1, 0], "both classes, got 0 rows of class 1 and 1"),
        ({}, [0, 1], [0, 1], [1, -1], "sample_weight must be finite and >= 0"),
        ({}, [], [], None, "both classes, got 0 rows"),
    ],
)
def test_bad_input(kwargs, x, y, weight, message):
    with pytest.raises(ValueError, match=message):
        LogOddsCalibrator(**kwargs).fit(x, y, weight)


def test_undersampled_negatives():
    """Dal Pozzolo 2015, equation 4: p = beta q / (beta q - q + 1)."""
    q = np.array([0.001, 0.2, 0.9])
    beta = 0.05
    expected = beta * q / (beta * q - q + 1)
    shift = PriorShift(kept_negatives=beta).fit()
    np.testing.assert_allclose(expit(shift.predict(logit(q))), expected)


def test_changed_rate():
    """Elkan 2001, Theorem 2."""
    p, before, after = np.array([0.001, 0.2, 0.9]), 0.01, 0.03
    expected = (
        after * (p - p * before) / (before - p * before + p * after - before * after)
    )
    shift = PriorShift(rates=(before, after))
    np.testing.assert_allclose(expit(shift.predict(logit(p))), expected)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"kept_negatives": 0.0}, "kept_negatives must be > 0"),
        ({"kept_negatives": 1.5}, "kept_negatives must be .* got 1.5"),
        ({"rates": (0.0, 0.1)}, "rates must be .* got 0.0"),
        ({"rates": (0.1, 1.0)}, "rates must be .* got 1.0"),
    ],
)
def test_bad_priors(kwargs, message):
    with pytest.raises(ValueError, match=message):
        PriorShift(**kwargs).fit()


def test_before_the_fit_and_on_no_rows():
    with pytest.raises(NotFittedError):
        LogOddsCalibrator().predict([0.0])
    x = np.linspace(-4, 4, 300)
    y = np.arange(300) % 3 == 0
    for method in METHODS:
        calibrator = LogOddsCalibrator(method).fit(x, y)
        assert calibrator.predict([]).shape == (0,)
        with pytest.raises(ValueError, match="log_odds must not be NaN, got NaN"):
            calibrator.predict([0.0, np.nan])
        assert np.isfinite(calibrator.predict([-np.inf, np.inf])).all()
    with pytest.raises(ValueError, match="NaN in row 0"):
        PriorShift().predict([np.nan])


@pytest.mark.parametrize(
    ("calibrator", "message"),
    [
        (LogOddsCalibrator(cv=2.5), "cv must be a whole number >= 2, got 2.5"),
        (LogOddsCalibrator(cv=1), "cv must be a finite number >= 2, got 1"),
        (LogOddsCalibrator(cv="5"), "cv must be a finite number >= 2, got '5'"),
        (PriorShift(rates=(0.1,)), "rates must be the pair"),
        (PriorShift(rates=0.1), "rates must be the pair"),
        (PriorShift(rates=(0.1, 1.0)), "rates must be a finite number in"),
        (PriorShift(kept_negatives=0), "kept_negatives must be > 0"),
    ],
    ids=str,
)
def test_bad_numbers(calibrator, message):
    with pytest.raises((ValueError, TypeError), match=message):
        calibrator.fit(np.linspace(-3, 3, 10), [0, 1] * 5)


def test_few_positives_are_told():
    x, y = np.linspace(-5, 0, 400), np.arange(400) % 20 == 0
    with pytest.warns(UserWarning, match="has 20 positives; fewer than 50 cannot"):
        LogOddsCalibrator().fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogOddsCalibrator("platt").fit(x, y)


@pytest.mark.parametrize("kept", [0.1, 0.01, 0.001])
@pytest.mark.parametrize("method", [m for m in METHODS if m != "auto"])
def test_thinned_negatives_that_are_weighted_back(method, kept):
    """The steps are bounded by half a row of a class, not by half a unit of weight."""
    rng = np.random.default_rng(0)
    x = rng.normal(-9, 1.8, 200_000)
    y = (rng.random(len(x)) < expit(x)).astype(int)
    rows = (y == 1) | (rng.random(len(x)) < kept)
    weight = np.where(y == 1, 1.0, 1 / kept)[rows]
    calibrator = LogOddsCalibrator(method).fit(x[rows], y[rows], weight)
    p = expit(calibrator.predict(x[rows]))
    rate = np.average(y[rows], weights=weight)
    assert np.average(p, weights=weight) == pytest.approx(rate, rel=0.02)


def test_state_as_plain_numbers():
    x = np.linspace(-4, 4, 300)
    y = np.arange(300) % 3 == 0
    calibrators = [
        PriorShift(kept_negatives=np.float32(0.5)),
        PriorShift(kept_negatives=Fraction(1, 2), rates=np.array([0.1, 0.2]).tolist()),
        *(LogOddsCalibrator(method, cv=np.int64(3)).fit(x, y) for method in METHODS),
    ]
    for calibrator in calibrators:
        state = json.loads(json.dumps(state_of(calibrator)))
        twin = from_state(state)
        np.testing.assert_allclose(twin.predict(x), calibrator.predict(x), rtol=1e-14)
        far = np.r_[x, -1e3, 1e3]
        np.testing.assert_array_equal(map_of(calibrator)(far), calibrator.predict(far))
        if isinstance(calibrator, LogOddsCalibrator):
            np.testing.assert_array_equal(twin.coef_, calibrator.coef_)
    assert state_of(IsotonicRegression()) is None
    assert map_of(IsotonicRegression()) is None
    assert from_state(None) is None
    with pytest.raises(ValueError, match="cv must be a whole number >= 2, got"):
        state_of(LogOddsCalibrator("platt").fit(x, y).set_params(cv=2.5))


def late_sample(truth, n_rows, seed):
    """Return scores, labels of which some positives are not known yet, maturities."""
    x, y = sample(truth, n_rows, seed)
    rng = np.random.default_rng(seed + 1)
    # young rows score higher: what is not known yet also bends the curve
    maturity = np.where(rng.random(n_rows) < expit(x + 4), 0.25, 1.0)
    return x, y * (rng.random(n_rows) < maturity), maturity


@pytest.mark.parametrize("method", [*TRUTHS, "isotonic", "auto"])
def test_late_labels_calibrate_to_the_true_class(method):
    truth = TRUTHS.get(method, TRUTHS["platt"])
    x, seen, maturity = late_sample(truth, 60_000, 5)
    plain = LogOddsCalibrator(method).fit(x, seen)
    fitted = LogOddsCalibrator(method).fit(x, seen, label_maturity=maturity)
    inside = np.abs(x + 3) < 3
    target = expit(truth(x[inside]))
    found = expit(fitted.predict(x[inside]))
    assert found.mean() == pytest.approx(target.mean(), rel=0.07)
    assert expit(plain.predict(x[inside])).mean() < 0.75 * target.mean()
    tolerance = 0.2 if method == "isotonic" else 0.12
    middle = np.abs(x[inside] + 3) < 1
    difference = np.abs(logit(found) - logit(target))[middle]
    assert difference.mean() < tolerance


def test_isotonic_steps_of_late_labels_have_the_highest_likelihood():
    """Against a general search over steps that do not fall."""
    rng = np.random.default_rng(0)
    x = np.repeat([-3.0, -2.0, -1.0, 0.0], 250)
    maturity = rng.choice([0.3, 0.8, 1.0], len(x))
    y = (rng.random(len(x)) < maturity * expit(x - 0.5)).astype(int)
    weight = rng.integers(1, 4, len(x)).astype(float)

    def loss(p):
        seen = maturity * np.repeat(p, 250)
        return -(weight * np.where(y > 0, np.log(seen), np.log1p(-seen))).sum()

    def of_gaps(gaps):
        return np.minimum(np.exp(gaps).cumsum(), 0.999)

    best = minimize(lambda g: loss(of_gaps(g)), np.log([0.05, 0.05, 0.1, 0.2]))
    fitted = LogOddsCalibrator("isotonic").fit(x, y, weight, maturity)
    found = expit(fitted.predict(x[::250]))
    assert loss(found) <= best.fun + 1e-3
    np.testing.assert_allclose(found, of_gaps(best.x), rtol=0.02)


@ALL
def test_final_labels_make_the_same_map(method):
    x, y = sample(TRUTHS["platt"], 3000, 3)
    before = LogOddsCalibrator(method).fit(x, y).predict(x)
    after = LogOddsCalibrator(method).fit(x, y, label_maturity=np.ones(3000))
    np.testing.assert_array_equal(before, after.predict(x))


@pytest.mark.parametrize(
    ("maturity", "message"),
    [([0.5, 0.0, 1, 1], "got 0.0 in row 1"), ([0.5], "4"), ([np.nan] * 4, "got nan")],
)
def test_maturities_that_cannot_be(maturity, message):
    calibrator = LogOddsCalibrator("intercept")
    with pytest.raises(ValueError, match=message):
        calibrator.fit([0.0] * 4, [0, 0, 0, 1], label_maturity=maturity)
    assert not hasattr(calibrator, "method_")


@pytest.mark.parametrize("method", ["intercept", "platt", "isotonic"])
def test_late_labels_have_weights(method):
    x, seen, maturity = late_sample(TRUTHS["platt"], 2000, 8)
    rows = np.repeat(np.arange(2000), 2)
    twice = LogOddsCalibrator(method).fit(
        x[rows], seen[rows], label_maturity=maturity[rows]
    )
    # the ridge counts rows, so that only its share differs
    once = LogOddsCalibrator(method).fit(x, seen, label_maturity=maturity)
    weighted = LogOddsCalibrator(method).fit(x, seen, np.full(2000, 2.0), maturity)
    np.testing.assert_allclose(once.predict(x), weighted.predict(x), atol=1e-4)
    inside = np.abs(x + 3) < 3
    np.testing.assert_allclose(
        once.predict(x[inside]), twice.predict(x[inside]), atol=0.1
    )


@pytest.mark.filterwarnings("error")
def test_isotonic_steps_of_late_labels_that_reach_one():
    x = [-2.0, -1, 0, 1, 2, 3, 4, 3.5]
    y = [0, 1, 0, 0, 1, 1, 1, 0]
    maturity = [0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1]
    for weight in (None, [1, 1, 1, 1, 1, 1, 1, 0]):
        fitted = LogOddsCalibrator("isotonic").fit(x, y, weight, maturity)
        assert np.isfinite(fitted.predict(x)).all()


def test_maturities_by_which_too_many_are_known():
    x, y = sample(TRUTHS["platt"], 3000, 3, mean=0.0)
    with pytest.raises(ValueError, match="expects at most 30 known positives"):
        LogOddsCalibrator("platt").fit(x, y, label_maturity=np.full(3000, 0.01))
