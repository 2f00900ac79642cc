"""Both estimators: what they train, what they say, what they save."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from libraries import BOTH, BOTH_LINKS, LIBRARIES, LIGHTGBM, MODES, XGBOOST, make_rows
from lightgbm import LGBMClassifier
from scipy.special import expit
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.utils.estimator_checks import parametrize_with_checks
from xgboost import XGBClassifier

from benchmarks.common.data import RARE, rare_blobs, rare_transactions
from focal_gbm import FocalLoss


@pytest.fixture(scope="module")
def data():
    """6000 rows, 5 % positive, with missing values."""
    X, y = make_rows(6000, 8, seed=7)
    X[np.random.default_rng(1).random(X.shape) < 0.05] = np.nan
    return X, y


def known_failures(_):
    """None; but scikit-learn 1.6 gives binary estimators other labels in the two fits
    that it compares, the class of the first row being 0 in each order of rows."""
    if sklearn.__version__ >= "1.7":
        return {}
    check = "check_sample_weight_equivalence_on_{}_data"
    return {check.format(kind): "labels are swapped" for kind in ("dense", "sparse")}


@parametrize_with_checks(
    [
        library.estimator(**library.quiet, **kwargs)
        for library in LIBRARIES
        for kwargs in ({}, {"link": "logit", "n_estimators": 10})
    ],
    expected_failed_checks=known_failures,
)
def test_scikit_learn_checks(estimator, check):
    """Clone, Pipeline, string labels and frames break elsewhere; none is excluded."""
    check(estimator)


@BOTH
@BOTH_LINKS
def test_gamma_zero_is_the_built_in_loss(library, link, data):
    """gamma = 0 is refused elsewhere, so nobody could test against log-loss."""
    X, y = data
    common = {"n_estimators": 50, **library.quiet}
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
            yield library, kwargs
    for kwargs in (
        {"class_weight": "balanced"},
        {"class_weight": {0: 1.0, 1: 30.0}},
        {"is_unbalance": True},
        {"unbalance": True},
    ):
        yield LIGHTGBM, kwargs


@BOTH_LINKS
@pytest.mark.parametrize(("library", "kwargs"), class_weights(), ids=str)
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
@pytest.mark.parametrize("n_estimators", [1, 20, 100])
@pytest.mark.parametrize("start", [0.0, 0.5, 1.0])
def test_mean_probability_is_the_base_rate(library, link, n_estimators, start, data):
    """Without a constant, few trees from start 0 overstate the mean threefold."""
    X, y = data
    weight = 1.0 + (np.arange(len(y)) % 4)
    model = library.model(link=link, start=start, n_estimators=n_estimators)
    model.fit(X, y, sample_weight=weight)
    p = model.predict_proba(X)[:, 1].astype(float)
    mean = np.average(p, weights=weight)
    assert mean == pytest.approx(np.average(y, weights=weight), rel=1e-6)


@MODES
@BOTH_LINKS
def test_saved_model_says_the_same(library, mode, link, data):
    """The starting constant is absent or lost at predict elsewhere."""
    X, y = data
    if mode == "gblinear":
        X = np.nan_to_num(X)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*gblinear.*deprecated")
        model = library.model(link=link, **library.modes[mode]).fit(X, y)
    near = {"atol": library.rounding, "rtol": library.rounding}
    raw = library.raw_score(model, X)
    plain_raw, plain = library.plain(model, X)
    np.testing.assert_allclose(plain_raw, raw, **near)
    p = model.predict_proba(X)[:, 1]
    assert p.astype(float).mean() == pytest.approx(y.mean(), rel=3e-6)
    np.testing.assert_allclose(expit(model.decision_function(X)), p, **near)
    if link == "posterior":
        np.testing.assert_allclose(plain, p, **near)
        np.testing.assert_allclose(raw, model.decision_function(X), **near)
    else:  # raw scores, and no claim that expit of them is a probability
        np.testing.assert_allclose(plain, raw, **near)
        np.testing.assert_allclose(model.loss_.probability(raw), p, **near)


@BOTH
def test_categorical_columns_and_missing_values_survive_saving(library, data):
    X, y = data
    frame = pd.DataFrame(X[:, :3], columns=list("abc"))
    frame["kind"] = pd.Categorical(np.where(X[:, 3] > 0, "high", "low"))
    frame.loc[::7, "kind"] = None
    kwargs = {"enable_categorical": True} if library is XGBOOST else {}
    model = library.model(**kwargs).fit(frame, y)
    p = model.predict_proba(frame)[:, 1]
    np.testing.assert_allclose(library.plain(model, frame)[1], p, atol=1e-6)
    assert p.astype(float).mean() == pytest.approx(y.mean(), rel=1e-6)


@BOTH
@BOTH_LINKS
@pytest.mark.parametrize("mode", ["gbdt", "dart"])
def test_early_stopping_keeps_model_and_estimator_together(library, link, mode, data):
    """Trees after the best one act in every other reader of XGBoost's model."""
    X, y = data
    model = library.model(
        n_estimators=200, learning_rate=0.3, link=link, **library.modes.get(mode, {})
    )
    library.fit_stopping(model, 5, (X[:3000], y[:3000]), (X[3000:], y[3000:]))
    if library is XGBOOST or mode == "gbdt":  # LightGBM's dart does not stop
        assert 0 < library.n_rounds(model) < 200
    p = model.predict_proba(X)[:, 1]
    raw, said = library.plain(model, X)
    plain = said if link == "posterior" else model.loss_.probability(raw)
    np.testing.assert_allclose(plain, p, atol=1e-6)
    # the constant is that of the trees in use
    assert p[:3000].astype(float).mean() == pytest.approx(y[:3000].mean(), rel=1e-6)


@BOTH
@BOTH_LINKS
def test_continued_training(library, link, data, tmp_path):
    X, y = data
    first = library.model(link=link).fit(X, y)
    path = str(tmp_path / "model.json")
    booster = first.booster_ if library is LIGHTGBM else first.get_booster()
    booster.save_model(path)
    models = [
        library.model(link=link).fit(X, y, **library.continued(way))
        for way in (first, booster, path)
    ]
    raws = [library.raw_score(model, X) for model in models]
    for raw in raws[1:]:
        np.testing.assert_allclose(raw, raws[0], atol=library.rounding)
    p = models[0].predict_proba(X)[:, 1]
    assert p.astype(float).mean() == pytest.approx(y.mean(), rel=1e-6)
    assert log_loss(y, p) < log_loss(y, first.predict_proba(X)[:, 1])
    # it is the training of twice as many trees, begun where the first ended
    whole = library.model(link=link, n_estimators=60).fit(X, y)
    both = [model.decision_function(X) for model in (models[0], whole)]
    assert np.corrcoef(both)[0, 1] > 0.95
    if link == "posterior":
        np.testing.assert_allclose(library.plain(models[0], X)[1], p, atol=1e-6)


@BOTH
def test_continuing_a_model_of_the_library(library, data):
    X, y = data
    first = library.parent(n_estimators=30, **library.quiet).fit(X, y)
    model = library.model().fit(X, y, **library.continued(first))
    p = model.predict_proba(X)[:, 1]
    assert p.astype(float).mean() == pytest.approx(y.mean(), rel=1e-6)
    assert log_loss(y, p) < log_loss(y, first.predict_proba(X)[:, 1])


@BOTH
def test_other_readers_agree(library, data):
    shap = pytest.importorskip("shap")
    treelite = pytest.importorskip("treelite")
    X, y = data
    model = library.model().fit(X, y)
    p = model.predict_proba(X)[:, 1]
    is_lightgbm = library is LIGHTGBM
    booster = model.booster_ if is_lightgbm else model.get_booster()
    read = treelite.frontend.from_lightgbm if is_lightgbm else from_xgboost(treelite)
    tree_model = read(booster)
    said = np.ravel(treelite.gtil.predict(tree_model, X.astype(np.float32)))
    rows = p if not is_lightgbm else model.predict_proba(X.astype(np.float32))[:, 1]
    np.testing.assert_allclose(said, rows, atol=1e-6)
    explainer = shap.TreeExplainer(model)
    values = np.asarray(explainer.shap_values(X[:50]))
    total = explainer.expected_value + values.sum(axis=-1)
    np.testing.assert_allclose(total, library.raw_score(model, X[:50]), atol=1e-4)


def from_xgboost(treelite):
    """Return treelite's reader of XGBoost models, by way of their bytes."""
    return lambda booster: treelite.frontend.from_xgboost_json(
        bytes(booster.save_raw("json"))
    )


@BOTH
def test_model_is_complete_when_the_parent_returns(library, data, monkeypatch):
    """Wrappers around the parent's fit copy the model before ours returns."""
    X, y = data
    seen = {}
    original = library.parent.fit

    def wrapped(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        seen["p"] = library.plain(self, X)[1]
        return result

    monkeypatch.setattr(library.parent, "fit", wrapped)
    model = library.model().fit(X, y)
    np.testing.assert_array_equal(seen["p"], model.predict_proba(X)[:, 1])


@BOTH
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
@BOTH_LINKS
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
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
@BOTH_LINKS
def test_same_seed_same_model_on_any_number_of_threads(library, link, data):
    X, y = data
    fixed = (
        {"subsample_freq": 1, "deterministic": True, "force_col_wise": True}
        if library is LIGHTGBM
        else {}
    )
    models = [
        library.model(link=link, subsample=0.7, random_state=5, n_jobs=n_jobs, **fixed)
        for n_jobs in (1, 2, 2)
    ]
    raws = [library.raw_score(model.fit(X, y), X) for model in models]
    np.testing.assert_array_equal(raws[0], raws[1])
    np.testing.assert_array_equal(raws[1], raws[2])


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
