"""The objective and the metric in the libraries' own training and cross-validation."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb
from libraries import BOTH_LINKS, make_rows, slow
from scipy.special import expit

from focal_gbm import (
    FocalMetric,
    FocalObjective,
)
from focal_gbm.objective._call import read_call


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 6))
    y = (rng.random(4000) < expit(2 * X[:, 0] + X[:, 1] * X[:, 2] - 3)).astype(int)
    return X, y, rng.integers(1, 4, 4000).astype(float)


LGB = {"verbosity": -1, "min_child_samples": 1, "num_threads": 1}
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
    "train", [lgb_native, *slow(lgb_sklearn), xgb_native, *slow(xgb_sklearn)]
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
        # without ties, for which the first rounds would have no precision
        matrix, results = xgb.DMatrix(X, y, base_margin=X[:, 3]), {}
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
        assert booster.best_iteration == int(np.argmin(values)) > 0
        assert np.isfinite(values).all()


@pytest.fixture(scope="module")
def few():
    return make_rows(3000, 5, seed=11)


LOGISTIC = {"objective": "binary:logistic", "eta": 0.1, "nthread": 1}


@BOTH_LINKS
def test_native_training_at_gamma_zero_is_the_built_in_loss(link, few):
    X, y = few
    w = 1.0 + np.arange(3000) % 3
    matrices = {
        "DMatrix": xgb.DMatrix(X, y, weight=w),
        "QuantileDMatrix": xgb.QuantileDMatrix(X, y, weight=w),
    }
    for matrix in matrices.values():
        params = {**LOGISTIC, "base_score": 0.2}
        built_in = xgb.train(params, matrix, 50).predict(matrix, output_margin=True)
        objective = FocalObjective(0.0, link=link)
        ours = xgb.train(params, matrix, 50, obj=objective)
        gap = np.abs(ours.predict(matrix, output_margin=True) - built_in)
        assert np.quantile(gap, 0.999) <= 1e-3


class Batches(xgb.DataIter):
    """Rows in three parts."""

    def __init__(self, X, y, weight, folder=None):
        self.parts = [
            {"data": a, "label": b, "weight": c}
            for a, b, c in zip(
                np.array_split(X, 3),
                np.array_split(y, 3),
                np.array_split(weight, 3),
                strict=True,
            )
        ]
        self.at = 0
        cache = {} if folder is None else {"cache_prefix": str(folder / "cache")}
        super().__init__(**cache)

    def next(self, input_data):
        if self.at == len(self.parts):
            return False
        input_data(**self.parts[self.at])
        self.at += 1
        return True

    def reset(self):
        self.at = 0


def test_native_training_from_a_data_iterator(few, tmp_path):
    X, y = few
    w = 1.0 + np.arange(3000) % 3
    whole = xgb.QuantileDMatrix(X, y, weight=w)
    matrices = [xgb.QuantileDMatrix(Batches(X, y, w))]
    if hasattr(xgb, "ExtMemQuantileDMatrix"):  # from XGBoost 3.0 on
        batches = Batches(X, y, w, tmp_path)
        matrices.append(xgb.ExtMemQuantileDMatrix(batches))
    for matrix in matrices:
        labels, _, weights, _ = read_call(X[:, 0], matrix)
        np.testing.assert_array_equal(labels, y)
        np.testing.assert_array_equal(weights, w)
        params = {**LOGISTIC, "base_score": 0.2}
        booster = xgb.train(params, matrix, 20, obj=FocalObjective())
        twin = xgb.train(params, whole, 20, obj=FocalObjective())
        said = [b.predict(xgb.DMatrix(X)) for b in (booster, twin)]
        # other cuts, from a sketch of the parts
        assert np.corrcoef(said)[0, 1] > 0.99


@pytest.mark.parametrize("weighted", [False, True])
def test_native_cross_validation(weighted, few):
    X, y = few
    weight = 1.0 + np.arange(3000) % 3 if weighted else None
    history = xgb.cv(
        {**LOGISTIC, "base_score": 0.2, "disable_default_eval_metric": 1},
        xgb.DMatrix(X, y, weight=weight),
        40,
        nfold=3,
        obj=FocalObjective(),
        custom_metric=FocalMetric(),
        early_stopping_rounds=20,
    )
    losses = history["test-log_loss-mean"]
    assert 0 < losses.iloc[-1] < losses.iloc[0]


def test_native_training_with_threads():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(2**16 + 100, 3)).astype(np.float32)
    y = (rng.random(len(X)) < 0.1).astype(np.float32)
    alone, shared = FocalObjective(), FocalObjective(n_jobs=2)
    params = {"verbosity": -1, "num_threads": 2, "deterministic": True}
    a, b = (
        lgb.train({**params, "objective": o}, lgb.Dataset(X, y), 5).predict(X)
        for o in (alone, shared)
    )
    np.testing.assert_allclose(a, b, rtol=1e-6)
    matrix = xgb.QuantileDMatrix(X, y)
    params = {"nthread": 2, "base_score": 0.5, "objective": "binary:logistic"}
    a, b = (
        xgb.train(params, matrix, 5, obj=o).predict(matrix) for o in (alone, shared)
    )
    np.testing.assert_allclose(a, b, rtol=1e-6)
