"""FocalClassifierCV: sizes and trees by folds, one booster, held-out log-odds."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from itertools import pairwise

import lightgbm as lgb
import numpy as np
import pandas as pd
import polars as pl
import pytest
import xgboost as xgb
from libraries import BOTH, known_failures, make_rows
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from focal_gbm import (
    FocalClassifierCV,
    FocalLGBMClassifier,
    FocalXGBClassifier,
    LogOddsCalibrator,
)
from focal_gbm._estimators.folds import Curve, Pool

SMALL = {"max_trees": 45, "cv": 3}


def base(library, **kwargs):
    return library.estimator(n_jobs=1, random_state=0, **library.quiet, **kwargs)


def leaves(library, *numbers):
    if library.name == "lightgbm":
        return [{"num_leaves": n} for n in numbers]
    return [
        {"max_leaves": n, "grow_policy": "lossguide", "max_depth": 0} for n in numbers
    ]


def crossed(library, parameters=(), **kwargs):
    settings = {**SMALL, "sizes": leaves(library, 4, 8), "n_jobs": 1, **kwargs}
    return FocalClassifierCV(base(library, **dict(parameters)), **settings)


@pytest.fixture(scope="module")
def data():
    return make_rows(1200, 4, seed=3)


@parametrize_with_checks(
    [
        FocalClassifierCV(
            FocalLGBMClassifier(verbose=-1, n_jobs=1), max_trees=15, cv=2
        ),
        FocalClassifierCV(FocalXGBClassifier(n_jobs=1), max_trees=15, cv=2),
    ],
    expected_failed_checks=known_failures,
)
@pytest.mark.slow
def test_scikit_learns_checks(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


@BOTH
@pytest.mark.parametrize(
    "mode",
    [
        "plain",
        *(
            pytest.param(mode, marks=pytest.mark.slow)
            for mode in ("forests", "categories", "class weights", "linear trees")
        ),
    ],
)
def test_one_booster_is_the_mean_of_the_folds(library, mode, data):
    X, y = data
    X = pd.DataFrame(X, columns=list("abcd"))
    X.loc[::7, "b"] = np.nan
    parameters = {}
    is_lightgbm = library.name == "lightgbm"
    if mode == ("forests" if is_lightgbm else "linear trees"):
        pytest.skip(f"{library.name} has no {mode}")
    if mode == "forests":
        parameters = {"num_parallel_tree": 3, "subsample": 0.7}
    elif mode == "categories":
        X["b"] = pd.cut(X["a"], [-9, -1, 0, 1, 9], labels=["x", "u", "v", "w"])
        parameters = {} if is_lightgbm else {"enable_categorical": True}
    elif mode == "class weights":
        parameters = {"scale_pos_weight": 5.0}
    elif mode == "linear trees":
        parameters = {"linear_tree": True}
        X["b"] = X["b"].fillna(0.0)
    sizes = leaves(library, 4)
    model = crossed(library, parameters, sizes=sizes, calibration=None).fit(X, y)
    rows = X.iloc[:300]
    mean = np.mean([fold.decision_function(rows) for fold in model.estimators_], 0)
    close = 1e-12 if is_lightgbm else 1e-5  # XGBoost adds leaves in float32
    np.testing.assert_allclose(model.decision_function(rows), mean, atol=close)
    raw, _ = library.plain(model.estimator_, rows)
    np.testing.assert_allclose(raw, mean, atol=close)
    np.testing.assert_allclose(
        model.predict_proba(rows)[:, 1], expit(mean), rtol=1e-4, atol=1e-6
    )


@pytest.mark.slow
@BOTH
def test_contributions_of_the_one_booster_add_up(library, data):
    X, y = data
    model = crossed(library, calibration=None).fit(X, y)
    if library.name == "lightgbm":
        parts = model.booster_.predict(X[:50], pred_contrib=True)
    else:
        matrix = xgb.DMatrix(X[:50])
        parts = model.get_booster().predict(matrix, pred_contribs=True)
    f = model.decision_function(X[:50])
    np.testing.assert_allclose(parts.sum(axis=1), f, atol=1e-5)


@BOTH
def test_held_out_log_odds_are_of_models_that_have_not_seen_the_row(library, data):
    X, y = data
    splits = list(KFold(3).split(X))
    begun = time.perf_counter()
    model = crossed(library, cv=splits).fit(X, y)
    took = time.perf_counter() - begun
    assert 0 < sum(model.cv_results_["fit_time"]) < took
    for fold, (fit, held) in zip(model.estimators_, splits, strict=True):
        np.testing.assert_array_equal(
            model.oof_log_odds_[held], fold.decision_function(X[held])
        )
        # the fold alone: its trees are those of a fit to its rows
        alone = base(library, **model.best_params_, n_estimators=model.n_trees_)
        f = alone.fit(X[fit], y[fit]).decision_function(X[held])
        np.testing.assert_allclose(f, model.oof_log_odds_[held], atol=1e-5)
    calibrator = LogOddsCalibrator("auto").fit(model.oof_log_odds_, y)
    f = model.estimator_.loss_.log_odds(library.raw_score(model.estimator_, X))
    np.testing.assert_allclose(
        model.decision_function(X), calibrator.predict(f), rtol=1e-6
    )


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("numbers", [(2, 16), (16, 2)])
def test_the_size_with_the_best_held_out_ranking_is_kept(library, numbers):
    """Trees of two leaves cannot see an interaction."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 4))
    parity = (X[:, :2] > 0).sum(axis=1) % 2
    y = rng.random(3000) < np.where(parity == 1, 0.5, 0.02)
    model = crossed(library, sizes=leaves(library, *numbers), max_trees=60).fit(X, y)
    large = numbers.index(16)
    assert model.best_params_ == model.cv_results_["params"][large]
    criterion = model.cv_results_["criterion"]
    assert criterion[large] < 0.9 * criterion[1 - large]
    if large == 0:  # the small trees cannot pass the bar
        assert model.cv_results_["trained_trees"][1] == 60


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("subsample", [1.0, 0.7])
def test_the_model_does_not_depend_on_n_jobs(library, subsample, data):
    X, y = data
    parameters = {"subsample": subsample}
    if library.name == "lightgbm":
        parameters["subsample_freq"] = 1
    models = [
        crossed(library, parameters, random_state=4, n_jobs=n_jobs).fit(X, y)
        for n_jobs in (None, 2, 3, -1)
    ]
    assert len({model.n_trees_ for model in models}) == 1
    for model in models[1:]:
        np.testing.assert_array_equal(
            model.predict_proba(X), models[0].predict_proba(X)
        )


@BOTH
def test_few_positives(library):
    X, _ = make_rows(600, 3, seed=0)
    few = np.zeros(600, int)
    few[np.argsort(-X[:, 0])[:15]] = 1
    model = crossed(library, cv=5).fit(X, few)
    assert len(model.estimators_) == 5
    assert np.isfinite(model.oof_log_odds_).all()
    three = np.zeros(600, int)
    three[:3] = 1
    with pytest.warns(UserWarning, match="cv=5 was reduced to 3 folds"):
        model = crossed(library, cv=5).fit(X, three)
    assert len(model.estimators_) == 3
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="cv=3 was reduced")
        crossed(library, cv=3, calibration=None).fit(X, three)
    one = np.zeros(600, int)
    one[7] = 1
    with pytest.raises(ValueError, match="two rows of each class, got 1"):
        crossed(library, cv=5).fit(X, one)


@BOTH
def test_folds_in_time_refit_one_model(library, data):
    X, y = data
    model = crossed(library, cv=TimeSeriesSplit(3), calibration="platt").fit(X, y)
    first = len(X) // 4
    assert np.isnan(model.oof_log_odds_[:first]).all()
    assert np.isfinite(model.oof_log_odds_[first:]).all()
    rows = np.mean([300, 600, 900])
    n_trees = round(model.n_trees_ * (1200 / rows) ** 0.5)
    alone = base(library, **model.best_params_, n_estimators=n_trees).fit(X, y)
    raw = library.raw_score(alone, X)
    np.testing.assert_allclose(library.raw_score(model.estimator_, X), raw, atol=1e-5)
    averaged = crossed(library, cv=TimeSeriesSplit(3), ensemble=True).fit(X, y)
    trees = averaged.estimator_
    n_trees = (
        trees.booster_.num_trees()
        if library.name == "lightgbm"
        else trees.get_booster().num_boosted_rounds()
    )
    assert n_trees == 3 * averaged.n_trees_


@pytest.mark.slow
@BOTH
def test_groups_stay_together(library, data):
    X, y = data
    groups = np.repeat(np.arange(200), 6)
    model = crossed(library)
    seen = []
    splits = model._splits(X, y.astype(np.uint8), groups)
    for fit, held in splits:
        assert not set(groups[fit]) & set(groups[held])
        seen += list(held)
    assert sorted(seen) == list(range(1200))
    fitted = model.fit(X, y, groups=groups)
    same = crossed(library, cv=splits).fit(X, y)
    np.testing.assert_array_equal(fitted.oof_log_odds_, same.oof_log_odds_)


@pytest.mark.slow
@BOTH
def test_weights_count_rows(library, data):
    """In the trees, in the criterion and in the calibrator."""
    X, y = data
    X = np.round(X, 1)  # as many values as bins: LightGBM's bins count rows
    weight = 1.0 + np.arange(1200) % 3
    splits = list(KFold(3).split(X))
    times = weight.astype(int)
    position = np.concatenate(([0], np.cumsum(times)))
    rows = [np.arange(a, b) for a, b in pairwise(position)]
    repeated = [
        tuple(np.concatenate([rows[i] for i in part]) for part in split)
        for split in splits
    ]
    options = {"calibration": "platt"}
    fine = {"min_child_samples": 0} if library.name == "lightgbm" else {}
    fine |= library.fine_bins
    weighted = crossed(library, fine, cv=splits, **options).fit(X, y, weight)
    twin = crossed(library, fine, cv=repeated, **options)
    twin.fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    np.testing.assert_allclose(
        weighted.cv_results_["criterion"], twin.cv_results_["criterion"], rtol=1e-4
    )
    np.testing.assert_allclose(
        weighted.decision_function(X), twin.decision_function(X), atol=0.02
    )


@pytest.mark.slow
@BOTH
def test_labels_clones_pickles_and_searches(library, data):
    X, y = data
    words = np.where(y == 1, "stolen", "genuine")
    model = clone(crossed(library)).fit(X, words)
    assert model.classes_.tolist() == ["genuine", "stolen"]
    assert set(model.predict(X)) <= {"genuine", "stolen"}
    p = model.predict_proba(X)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), p)
    # the classifier inside is complete alone
    np.testing.assert_array_equal(model.estimator_.predict_proba(X), p)
    pipeline = make_pipeline(StandardScaler(), crossed(library, cv=2))
    name = "focalclassifiercv__estimator__focal_gamma"
    search = GridSearchCV(pipeline, {name: [0.0, 2.0]}, cv=2, scoring="roc_auc")
    assert search.fit(X, y).best_score_ > 0.7


@pytest.mark.slow
@BOTH
def test_calibrate_on_later_rows(library, data):
    X, y = data
    model = crossed(library).fit(X[:800], y[:800])
    raw = library.raw_score(model.estimator_, X)
    assert model.calibrate(X[800:], y[800:]) is model
    np.testing.assert_array_equal(library.raw_score(model.estimator_, X), raw)
    assert model.calibrator_ is model.estimator_.calibrator_


@pytest.mark.slow
def test_a_saved_model_of_xgboost_keeps_the_calibrator(data, tmp_path):
    X, y = data
    model = FocalClassifierCV(FocalXGBClassifier(n_jobs=1), **SMALL).fit(X, y)
    model.estimator_.save_model(tmp_path / "model.ubj")
    loaded = FocalXGBClassifier()
    loaded.load_model(tmp_path / "model.ubj")
    np.testing.assert_allclose(
        loaded.predict_proba(X), model.predict_proba(X), rtol=1e-6
    )


@BOTH
def test_a_fit_that_fails_changes_nothing(library, data):
    X, y = data
    model = crossed(library).fit(X, y)
    before = dict(vars(model))
    p = model.predict_proba(X)
    model.sizes = [*leaves(library, 4), {"learning_rate": "fast"}]
    with pytest.raises(Exception, match=r"learning_rate|fast|not be parsed"):
        model.fit(X, y)
    model.sizes = before["sizes"]
    assert vars(model).keys() == before.keys()
    np.testing.assert_array_equal(model.predict_proba(X), p)


@BOTH
def test_no_rows_stay_in_the_model(library):
    class Rows(np.ndarray):
        pass

    X, y = make_rows(400, 3, seed=1)
    X = X.view(Rows)
    gone = weakref.ref(X)
    model = crossed(library, sizes=leaves(library, 4), max_trees=15).fit(X, y)
    del X
    gc.collect()
    assert gone() is None
    assert len(pickle.dumps(model)) < 150_000


def test_parameters_of_the_user_come_before_those_of_a_size():
    sizes = FocalClassifierCV(FocalLGBMClassifier(max_bin=63, learning_rate=0.05))
    found = sizes._sizes(sizes.estimator)
    assert [size["num_leaves"] for size in found] == [31, 8, 127]
    assert not any({"max_bin", "learning_rate"} & size.keys() for size in found)
    fixed = FocalClassifierCV(FocalLGBMClassifier(num_leaves=20))
    found = fixed._sizes(fixed.estimator)
    assert len(found) == 2
    assert not any("num_leaves" in size for size in found)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"estimator": lgb.LGBMClassifier()}, TypeError, "estimator must be a Focal"),
        ({"sizes": []}, ValueError, "sizes must be 'auto' or a list of dicts"),
        ({"sizes": "all"}, ValueError, "sizes must be 'auto' or a list of dicts"),
        ({"sizes": [3]}, ValueError, "sizes must be 'auto' or a list of dicts"),
        ({"cv": 1}, ValueError, "cv must be a finite number >= 2|cv must be a whole"),
        ({"cv": 2.5}, ValueError, "cv must be a number of folds"),
        ({"cv": iter(())}, ValueError, "cv holds no fold"),
        ({"ensemble": "yes"}, ValueError, "ensemble must be one of 'auto'"),
        ({"calibration": "magic"}, ValueError, "calibration must be one of"),
        ({"max_trees": 0}, ValueError, "max_trees must be"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be a whole number .* got 0"),
        ({"n_jobs": 1.5}, ValueError, "n_jobs must be a whole number .* got 1.5"),
        ({"random_state": -1}, ValueError, "random_state must be .* got -1"),
        ({"random_state": 2**31}, ValueError, "random_state must be .* got 2147483648"),
        ({"random_state": "seed"}, ValueError, "random_state must be .* got 'seed'"),
        ({"progress": 3}, ValueError, "progress must be True or False"),
        (
            {"estimator": FocalLGBMClassifier(boosting_type="dart")},
            ValueError,
            "cannot choose the number of trees: with boosting_type='dart'",
        ),
        (
            {"estimator": FocalLGBMClassifier(early_stopping_rounds=5)},
            ValueError,
            "early_stopping_round would choose it by other rows",
        ),
        (
            {"estimator": FocalXGBClassifier(booster="gblinear")},
            ValueError,
            "cannot choose the number of trees: with booster='gblinear'",
        ),
        (
            {"estimator": FocalXGBClassifier(early_stopping_rounds=5)},
            ValueError,
            "early_stopping_rounds would choose it by other rows",
        ),
        (
            {"estimator": FocalLGBMClassifier(link="logit"), "ensemble": True},
            ValueError,
            "ensemble=True needs link='posterior'",
        ),
    ],
)
def test_bad_parameters(kwargs, error, message, data):
    with pytest.raises(error, match=message):
        FocalClassifierCV(**{**SMALL, **kwargs}).fit(*data)


@BOTH
def test_rows_without_information(library):
    """No tree can split, and no fold comes to a checkpoint."""
    y = np.arange(200) % 10 == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = crossed(library, calibration=None).fit(np.ones((200, 2)), y)
    np.testing.assert_allclose(model.predict_proba(np.ones((3, 2)))[:, 1], 0.1, 1e-3)


class Limit(xgb.callback.TrainingCallback):
    """Ends the training after twenty rounds."""

    def after_iteration(self, _model, epoch, _evals_log):
        return epoch == 19


def test_folds_that_a_callback_ends(data):
    """The number of trees and the criterion are those of the models as they are."""
    X, y = data
    estimator = FocalXGBClassifier(n_jobs=1, callbacks=[Limit()])
    model = FocalClassifierCV(estimator, **SMALL, sizes=[{}], calibration=None)
    model.fit(X, y)
    assert model.n_trees_ == 20
    assert model.get_booster().num_boosted_rounds() == 60
    pool = Pool([y.astype(np.uint8)], [None])
    pool.log_odds = [model.oof_log_odds_]
    assert model.cv_results_["criterion"] == [pytest.approx(pool.criterion())]


class Counter(xgb.callback.TrainingCallback):
    """Counts rounds in all copies of it."""

    rounds = 0

    def after_iteration(self, _model, _epoch, _evals_log):
        Counter.rounds += 1
        return False


def test_callbacks_of_the_user_act_in_the_folds(data):
    X, y = data
    estimator = FocalXGBClassifier(n_jobs=1, callbacks=[Counter()])
    Counter.rounds = 0
    model = FocalClassifierCV(estimator, **SMALL, sizes=[{}]).fit(X, y)
    n_rounds = 3 * model.cv_results_["trained_trees"][0]
    # XGBoost 2.1 calls callbacks in any order, up to the one that ends the training
    assert n_rounds - 3 <= Counter.rounds <= n_rounds


@pytest.mark.slow
def test_the_classic_link_refits_one_model(data):
    X, y = data
    estimator = FocalLGBMClassifier(link="logit", verbose=-1, n_jobs=1)
    model = FocalClassifierCV(estimator, **SMALL).fit(X, y)
    assert model.booster_.num_trees() < 3 * model.n_trees_
    assert 0.5 < model.predict_proba(X)[:, 1].mean() / y.mean() < 2


@pytest.mark.slow
def test_progress_counts_trees(data, capsys):
    X, y = data
    FocalClassifierCV(max_trees=30, cv=2, progress=True).fit(X, y)
    assert "90/90" in capsys.readouterr().err


def test_the_criterion_is_the_loss_after_the_best_line():
    rng = np.random.default_rng(0)
    x = rng.normal(-3, 2, 4000)
    y = (rng.random(4000) < expit(0.4 * x - 1.0)).astype(np.uint8)
    weight = rng.random(4000)
    parts = [slice(0, 1000), slice(1000, 4000)]
    pool = Pool([y[part] for part in parts], [weight[part] for part in parts])
    pool.log_odds = [x[part] for part in parts]

    def loss(line):
        return log_loss(y, expit(line[0] * x + line[1]), sample_weight=weight)

    best = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-9})
    assert pool.criterion() == pytest.approx(best.fun, rel=1e-9)
    assert pool.criterion() == pytest.approx(best.fun, rel=1e-9)


@pytest.mark.parametrize("scores", ["separated", "constant", "reversed", "huge"])
def test_the_criterion_is_finite(scores):
    y = np.array([0, 0, 0, 1, 1], np.uint8)
    x = {
        "separated": [-2.0, -1, -3, 4, 5],
        "constant": [1.0] * 5,
        "reversed": [3.0, 2, 4, -1, 2.5],
        "huge": [-1e30, 3.0, 1e30, 2.0, 1e3],
    }[scores]
    pool = Pool([y], [None])
    pool.log_odds = [np.array(x)]
    base_rate = log_loss(y, np.full(5, 0.4))
    assert 0 <= pool.criterion() <= base_rate + 1e-9 or scores == "huge"
    assert np.isfinite(pool.criterion())


def test_a_curve_stops_after_its_patience_or_without_hope():
    curve = Curve(patience=30, last=900)
    for n_trees, criterion in ((15, 0.5), (30, 0.4), (45, 0.41)):
        assert curve.kept(n_trees, criterion) is None
    assert curve.kept(60, 0.42) == 30
    last = Curve(patience=900, last=30)
    assert last.kept(15, 0.5) is None
    assert last.kept(30, 0.6) == 15


@pytest.mark.parametrize(
    ("limit", "is_hopeless"), [(0.3, False), (0.349, True), (0.36, True)]
)
def test_a_curve_that_cannot_pass_the_bar_is_given_up(limit, is_hopeless):
    """Gains that halve every three checkpoints lead to a limit."""
    bar = 0.31
    curve = Curve(patience=900, last=9000, bar=bar)
    criteria = [limit + 0.1 * 0.5 ** (i / 3) for i in range(60)]
    kept = [curve.kept(15 * (i + 1), c) for i, c in enumerate(criteria)]
    assert any(kept) == is_hopeless
    if is_hopeless:
        stopped = next(i for i, number in enumerate(kept) if number)
        assert stopped < 30  # not only when it stands still
    rising = Curve(patience=900, last=900, bar=bar)
    criteria = [0.4, 0.39, 0.38, 0.37, 0.375, 0.38]
    assert [rising.kept(15 * (i + 1), c) for i, c in enumerate(criteria)][-1] == 60


@pytest.mark.parametrize(
    ("criteria", "end"),
    [
        # the gain halves from window to window: 0.04 is left, and 0.06 to be safe
        ([0.50, 0.46, 0.42, 0.40, 0.38], 0.38 - 0.06),
        # the gain does not fall: its series is cut at a decay of 0.9
        ([2.00, 1.98, 1.96, 1.94, 1.92], 1.92 - 1.5 * 0.04 * 9),
        # nor is a decay known after a loss
        ([1.96, 1.97, 1.98, 1.96, 1.94], 1.94 - 1.5 * 0.04 * 9),
    ],
)
def test_a_curve_is_extrapolated_by_its_gains(criteria, end):
    for bar, is_hopeless in ((end - 0.005, True), (end + 0.005, False)):
        curve = Curve(patience=900, last=9000, bar=bar)
        kept = [curve.kept(15 * (i + 1), c) for i, c in enumerate(criteria)]
        assert kept[:-1] == [None] * 4
        assert (kept[-1] is not None) == is_hopeless


def test_columns_whose_names_are_not_ascii(data):
    """XGBoost takes the escapes of JSON for text."""
    X, y = data
    frame = pd.DataFrame(X, columns=["\u00e9", "b", "\u91d1\u984d", "d"])
    for estimator in (FocalXGBClassifier(n_jobs=1), FocalLGBMClassifier(verbose=-1)):
        model = FocalClassifierCV(estimator, **SMALL, sizes=[{}]).fit(frame, y)
        assert model.predict_proba(frame).shape == (1200, 2)


def test_polars_categories_are_refused_and_enums_read(data):
    """A fold's own codes would mix the categories of the folds up."""
    X, y = data
    words = [f"m{i % 7}" for i in range(1200)]
    frame = pl.DataFrame({"f": X[:, 0], "k": pl.Series(words, dtype=pl.Categorical)})
    model = FocalClassifierCV(
        FocalXGBClassifier(n_jobs=1, enable_categorical=True), **SMALL, sizes=[{}]
    )
    with pytest.raises(TypeError, match=r"'k' first, .* cast them to Enum"):
        model.fit(frame, y)
    fixed = frame.with_columns(pl.col("k").cast(pl.Enum([f"m{i}" for i in range(7)])))
    if xgb.__version__ < "3":
        pytest.skip("XGBoost 2 reads no categories of Polars")
    model.fit(fixed, y)
    mean = np.mean([fold.decision_function(fixed) for fold in model.estimators_], 0)
    raw = model.estimator_.predict(fixed, output_margin=True)
    np.testing.assert_allclose(raw, mean, atol=1e-5)


@BOTH
@pytest.mark.parametrize(
    ("splits", "weight", "message"),
    [
        (
            [(range(600), range(600, 1200))],
            "late",
            "held-out rows of cv have one class",
        ),
        ([(range(1200), [])], None, "held-out rows of cv have one class"),
        ([("negatives", range(9)), (range(9, 1200), range(9))], None, "fold 0 of cv"),
    ],
)
def test_folds_without_both_classes(library, splits, weight, message, data):
    X, y = data
    rows = {"negatives": np.flatnonzero(y == 0)}
    cv = [
        (rows[fit] if isinstance(fit, str) else list(fit), list(held))
        for fit, held in splits
    ]
    weight = None if weight is None else np.where(np.arange(1200) < 600, 1.0, 0.0)
    with pytest.raises(ValueError, match=message):
        crossed(library, cv=cv).fit(X, y, weight)


def test_a_ranking_that_is_upside_down_is_worth_the_base_rate():
    rng = np.random.default_rng(0)
    y = (rng.random(500) < 0.2).astype(np.uint8)
    pool = Pool([y], [None])
    pool.log_odds = [-3.0 * y + rng.normal(size=500)]
    entropy = log_loss(y, np.full(500, y.mean()))
    assert pool.criterion() == pytest.approx(entropy, rel=1e-9)
    # of labels that arrive late: the rate at which as many are known as are
    maturity = rng.uniform(0.3, 1.0, 500)
    late = Pool([y], [None], [maturity])
    late.log_odds = pool.log_odds
    seen = maturity * y.sum() / maturity.sum()
    expected = -np.where(y > 0, np.log(seen), np.log1p(-seen)).mean()
    assert late.criterion() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("estimator", "size", "message"),
    [
        (FocalLGBMClassifier(), {"boosting_type": "dart"}, "boosting_type='dart'"),
        (FocalXGBClassifier(), {"booster": "dart"}, r"booster='dart'.*in sizes"),
        (FocalLGBMClassifier(), {"link": "logit"}, "sizes must not set link"),
        (FocalXGBClassifier(), {"n_estimators": 7}, "must not set n_estimators"),
    ],
)
def test_sizes_that_are_not_sizes(estimator, size, message, data):
    with pytest.raises(ValueError, match=message):
        FocalClassifierCV(estimator, **SMALL, sizes=[size]).fit(*data)


def test_other_names_of_a_parameter_count_as_set():
    model = FocalClassifierCV(FocalXGBClassifier(eta=0.01, **{"lambda": 9.0}))
    sizes = model._sizes(model.estimator)
    assert not any({"learning_rate", "reg_lambda"} & size.keys() for size in sizes)
    model = FocalClassifierCV(FocalLGBMClassifier(feature_fraction=0.3))
    assert not any("colsample_bytree" in s for s in model._sizes(model.estimator))


@BOTH
def test_a_fold_that_fails_ends_the_fit(library, data):
    X, y = data
    begun = []

    class Broken(library.estimator):
        def fit(self, *args, **kwargs):
            begun.append(1)
            raise RuntimeError("broken")

    model = FocalClassifierCV(Broken(n_jobs=1), **SMALL, sizes=[{}])
    with pytest.raises(RuntimeError, match="broken"):
        model.fit(X, y)
    assert len(begun) == 1  # no other fold begins


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no POSIX signals")
@BOTH
def test_an_interrupted_fit_changes_nothing(library, data):
    """Folds that went on in the background would take the cores from the next fit."""
    X, y = data
    begun = []

    class Interrupting(library.estimator):
        def fit(self, *args, **kwargs):
            if self.focal_gamma == 1.0:
                begun.append(1)
                if len(begun) == 1:
                    main = threading.main_thread().ident
                    signal.pthread_kill(main, signal.SIGINT)
            return super().fit(*args, **kwargs)

    estimator = Interrupting(n_jobs=1, **library.quiet)
    model = FocalClassifierCV(estimator, **SMALL, sizes=[{}]).fit(X, y)
    before, n_threads = dict(vars(model)), threading.active_count()
    p = model.predict_proba(X)
    model.sizes = [{}, {"focal_gamma": 1.0}]
    # processes of pytest-xdist ignore the signal
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert threading.active_count() == n_threads
    assert begun
    model.sizes = before["sizes"]
    assert vars(model).keys() == before.keys()
    for name, value in before.items():
        assert vars(model)[name] is value, name
    np.testing.assert_array_equal(model.predict_proba(X), p)


@pytest.mark.slow
def test_a_generator_of_splits_leaves_a_model_that_can_be_copied(data):
    X, y = data
    model = FocalClassifierCV(**{**SMALL, "cv": KFold(3).split(X)}).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@BOTH
def test_the_classifier_inside_has_the_users_threads(library, data):
    X, y = data
    estimator = library.estimator(n_jobs=2, **library.quiet)
    model = FocalClassifierCV(estimator, **SMALL, sizes=[{}], n_jobs=2).fit(X, y)
    assert model.estimator_.n_jobs == 2
    assert model.estimator_.n_estimators == model.n_trees_


@pytest.mark.skipif(xgb.__version__ < "3", reason="XGBoost 2 does not clip starts")
def test_starts_beyond_what_xgboost_takes(data):
    X, y = data
    weight = np.where((y == 1) & (np.arange(1200) < 600), 1e-9, 1.0)
    a, b = np.arange(600), np.arange(600, 1200)
    estimator = FocalXGBClassifier(n_jobs=1, min_child_weight=0)
    model = FocalClassifierCV(
        estimator, sizes=[{}], max_trees=15, cv=[(a, b), (b, a)], calibration=None
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X, y, weight)
    mean = np.mean([fold.decision_function(X) for fold in model.estimators_], 0)
    np.testing.assert_allclose(model.decision_function(X), mean, atol=1e-4)


@pytest.mark.slow
def test_held_out_scores_use_the_threads_of_the_folds():
    """LightGBM has one number of threads for a process. A prediction with more threads
    left buffers of linear trees in another fold too small, and the process ended."""
    code = """
import numpy as np
from focal_gbm import FocalClassifierCV, FocalLGBMClassifier
rng = np.random.default_rng(0)
X = rng.normal(size=(1200, 4))
y = rng.random(1200) < 1 / (1 + np.exp(3 - 2 * X[:, 0]))
for n_jobs in (1, 2):
    estimator = FocalLGBMClassifier(n_jobs=n_jobs, linear_tree=True, verbose=-1)
    FocalClassifierCV(estimator, sizes=[{}], max_trees=45, cv=3).fit(X, y)
print("ran")
"""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.strip() == "ran", run.stderr[-2000:]


@BOTH
def test_each_fold_predicts_the_base_rate_of_its_rows(library):
    """The closing constant is that of the trees kept, not of those trained."""
    X, y = make_rows(1500, 4, seed=3)
    splits = list(StratifiedKFold(3).split(X, y))
    model = crossed(library, cv=splits, max_trees=600).fit(X, y)
    assert model.n_trees_ < max(model.cv_results_["trained_trees"])
    for fold, (rows, _) in zip(model.estimators_, splits, strict=True):
        p = fold.predict_proba(X[rows])[:, 1]
        assert p.mean() == pytest.approx(y[rows].mean(), rel=1e-5)
