"""Both estimators: what they train, and with which probabilities."""

from __future__ import annotations

import json

import numpy as np
import pytest
from libraries import (
    BOTH,
    BOTH_LINKS,
    BOTH_LINKS_ONE_SLOW,
    LIBRARIES,
    LIGHTGBM,
    XGBOOST,
    make_rows,
    slow,
)
from lightgbm import LGBMClassifier
from scipy.special import expit
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, log_loss
from sklearn.model_selection import train_test_split
from xgboost import XGBClassifier

from benchmarks.common.data import RARE, rare_blobs, rare_transactions
from focal_gbm import FocalLoss


@pytest.fixture(scope="module")
def data():
    """6000 rows, 5 % positive, with missing values."""
    X, y = make_rows(6000, 8, seed=7)
    X[np.random.default_rng(1).random(X.shape) < 0.05] = np.nan
    return X, y


@BOTH
@BOTH_LINKS
def test_gamma_zero_is_the_built_in_loss(library, link, data):
    """gamma = 0 is refused elsewhere, so nobody could test against log-loss."""
    X, y = data
    common = {"n_estimators": 50, "n_jobs": 1, **library.quiet}
    ours = library.estimator(
        focal_gamma=0.0, link=link, **library.as_built_in, **common
    ).fit(X, y)
    theirs = library.parent(**library.built_in, **common).fit(X, y)
    difference = ours.decision_function(X) - library.raw_score(theirs, X)
    # the closing constant is ours alone
    constant = np.median(difference)
    assert np.quantile(np.abs(difference - constant), 0.999) <= 1e-3
    assert abs(constant) <= 0.05


@BOTH
@BOTH_LINKS
def test_a_weight_of_two_is_a_row_twice(library, link, data):
    """sample_weight is ignored elsewhere, or dropped by two-argument callables."""
    X, y = data
    X = np.round(X)  # no near ties that rounding could decide
    weight = np.where(np.arange(len(y)) % 3 == 0, 2, 1)
    twice = np.repeat(np.arange(len(y)), weight)
    model = library.model(link=link, **library.fine_bins)
    weighted = model.fit(X, y, sample_weight=weight).decision_function(X)
    repeated = model.fit(X[twice], y[twice]).decision_function(X)
    np.testing.assert_allclose(weighted, repeated, atol=1e-9)


def class_weights():
    """Yield every way to weigh the classes."""
    for library in LIBRARIES:
        for kwargs in (
            {"scale_pos_weight": 20.0},
            {"focal_alpha": 0.25},
            {"focal_alpha": 0.9},
            {"focal_alpha": 0.9, "scale_pos_weight": 3.0},
        ):
            is_fast = kwargs == {"focal_alpha": 0.9}
            marks = [] if is_fast else pytest.mark.slow
            yield pytest.param(library, kwargs, marks=marks)
    for kwargs in (
        {"class_weight": "balanced"},
        {"class_weight": {0: 1.0, 1: 30.0}},
        {"is_unbalance": True},
        {"unbalance": True},
    ):
        yield LIGHTGBM, kwargs


@BOTH_LINKS_ONE_SLOW
@pytest.mark.parametrize(("library", "kwargs"), list(class_weights()), ids=str)
def test_class_weights_train_and_do_not_shift(library, link, kwargs, data):
    """Class weights and alpha are dropped elsewhere, or come out as probabilities."""
    X, y = data
    plain = library.model(link=link).fit(X, y)
    model = library.model(link=link, **kwargs).fit(X, y)
    p = model.predict_proba(X)[:, 1]
    assert p.mean() == pytest.approx(y.mean(), rel=0.05)
    assert np.abs(p - plain.predict_proba(X)[:, 1]).max() > 0.01
    # on unseen rows too: the constant alone would not do that
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, stratify=y, random_state=0
    )
    p = model.fit(X_train, y_train).predict_proba(X_test)[:, 1]
    assert p.mean() == pytest.approx(y_test.mean(), rel=0.25)


@BOTH
def test_class_weights_move_the_decision(library, data):
    X, y = data
    plain = library.model().fit(X, y)
    weighted = library.model(scale_pos_weight=9.0).fit(X, y)
    assert plain.threshold_ == 0.5
    assert weighted.threshold_ == pytest.approx(0.1)
    expected = weighted.predict_proba(X)[:, 1] > 0.1
    np.testing.assert_array_equal(weighted.predict(X), expected)
    assert weighted.predict(X).mean() > plain.predict(X).mean()


@BOTH
@BOTH_LINKS
@pytest.mark.parametrize("n_estimators", [1, *slow(20, 100)])
@pytest.mark.parametrize("start", [0.0, *slow(0.5), 1.0])
def test_mean_probability_is_the_base_rate(library, link, n_estimators, start, data):
    """Without a constant, few trees from start 0 overstate the mean threefold."""
    X, y = data
    weight = 1.0 + (np.arange(len(y)) % 4)
    model = library.model(link=link, start=start, n_estimators=n_estimators)
    model.fit(X, y, sample_weight=weight)
    p = model.predict_proba(X)[:, 1].astype(float)
    mean = np.average(p, weights=weight)
    assert mean == pytest.approx(np.average(y, weights=weight), rel=1e-6)


@BOTH
@pytest.mark.slow
@pytest.mark.parametrize("n_positive", RARE)
@pytest.mark.parametrize("rare_rows", [rare_blobs, rare_transactions])
def test_never_collapses_on_a_rare_class(library, rare_rows, n_positive):
    """A leaf of frauds asks for a step of 1/rate, and plain boosting falls apart."""
    split = rare_rows(n_positive, seed=0)
    peers = {
        LIGHTGBM: [
            LGBMClassifier(verbose=-1),
            LGBMClassifier(verbose=-1, boost_from_average=False),
        ],
        XGBOOST: [XGBClassifier()],
    }
    ours, *theirs = (
        average_precision_score(
            split.y_test,
            model.fit(split.X_train, split.y_train).predict_proba(split.X_test)[:, 1],
        )
        for model in (library.estimator(**library.quiet), *peers[library])
    )
    assert ours >= 0.95 * max(theirs)


@BOTH
@BOTH_LINKS_ONE_SLOW
@pytest.mark.parametrize("gamma", [*slow(0.0, 0.5), 2.0, *slow(5.0)])
def test_no_divergence_and_no_empty_model(library, link, gamma):
    """Newton steps the wrong way, negative Hessians and rows without one."""
    X, y = make_classification(
        8000, 10, n_informative=5, weights=[0.99], flip_y=0, random_state=1
    )
    for start in (0.0, 0.5, 1.0):
        for learning_rate, n_estimators in ((0.05, 60), (0.1, 30), (0.5, 30)):
            model = library.model(
                focal_gamma=gamma,
                link=link,
                start=start,
                learning_rate=learning_rate,
                n_estimators=n_estimators,
            ).fit(X, y)
            f = model.decision_function(X)
            assert np.isfinite(f).all()
            assert len(np.unique(f)) > 10
            assert np.abs(f).max() < 40
            p = model.predict_proba(X)[:, 1]
            assert log_loss(y, p) < log_loss(y, np.full(len(y), y.mean()))


@BOTH
@pytest.mark.slow
def test_probabilities_need_no_calibrator(library):
    """expit of the focal score is 15 times too high at a base rate of 1 %."""
    rng = np.random.default_rng(3)
    n = 240_000
    X = rng.normal(size=(n, 6))
    truth = expit(1.3 * X[:, 0] + np.maximum(X[:, 1], 0) * X[:, 2] - 4.6)
    y = (rng.random(n) < truth).astype(int)
    train, later = slice(0, 120_000), slice(120_000, 180_000)
    fresh = slice(180_000, n)
    assert y[later].sum() > 1000
    model = library.model(n_estimators=60).fit(X[train], y[train])
    f = model.decision_function(X)
    platt = LogisticRegression(C=1e6).fit(f[later, None], y[later])
    said = log_loss(y[fresh], expit(f[fresh]))
    fitted = log_loss(y[fresh], platt.predict_proba(f[fresh, None])[:, 1])
    assert said <= 1.02 * fitted
    expected_loss = -(truth * np.log(expit(f)) + (1 - truth) * np.log(expit(-f)))[
        fresh
    ].mean()
    entropy = -(truth * np.log(truth) + (1 - truth) * np.log1p(-truth))[fresh].mean()
    assert expected_loss <= 1.05 * entropy
    assert expit(f[fresh]).mean() == pytest.approx(truth[fresh].mean(), rel=0.05)


@BOTH
def test_trains_on_every_row(library, data):
    """A quarter of the rows is silently held out elsewhere."""
    X, y = data
    model = library.model(focal_gamma=0.0, start=0.0).fit(X, y)
    # at even odds the Hessian of log-loss is 1/4 a row
    if library is LIGHTGBM:
        first = model.booster_.dump_model()["tree_info"][0]["tree_structure"]
        assert first["internal_count"] == len(y)
    else:
        dump = model.get_booster().get_dump(with_stats=True, dump_format="json")
        assert json.loads(dump[0])["cover"] == pytest.approx(len(y) / 4)


@BOTH
def test_bound_on_the_leaves(library, data):
    X, y = data
    kwargs = {"n_estimators": 1, "learning_rate": 1.0, "start": 1.0}
    leaves = {
        step: library.model(max_step=step, **kwargs).fit(X, y) for step in (0.5, None)
    }
    spread = {k: np.ptp(library.raw_score(m, X)) for k, m in leaves.items()}
    assert spread[0.5] <= 1.0 + 1e-6 < spread[None]
    by_user = library.model(max_delta_step=0.1, **kwargs).fit(X, y)
    assert np.ptp(library.raw_score(by_user, X)) <= 0.2 + 1e-6
    assert by_user.loss_ == FocalLoss(2.0)
