"""FocalXGBClassifier: what is XGBoost's alone."""

from __future__ import annotations

import json
import pickle
import warnings

import numpy as np
import pytest
import xgboost as xgb
from libraries import BOTH_LINKS, BOTH_LINKS_ONE_SLOW, X_BAD, Y_BAD, slow
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.metrics import brier_score_loss, log_loss
from xgboost import XGBClassifier
from xgboost.callback import EarlyStopping, TrainingCallback

from focal_gbm import (
    FocalLoss,
    FocalMetric,
    FocalXGBClassifier,
    LogOddsCalibrator,
    PriorShift,
)
from focal_gbm.calibration import METHODS

SMALL = {"n_estimators": 30, "learning_rate": 0.1, "random_state": 0, "n_jobs": 1}


@BOTH_LINKS
def test_a_plain_estimator_reads_the_model(link, data, tmp_path):
    X, y = data
    model = FocalXGBClassifier(link=link, **SMALL).fit(X, y)
    for path in (str(tmp_path / "model.json"), str(tmp_path / "model.ubj")):
        model.save_model(path)
        plain = XGBClassifier()
        plain.load_model(path)
        said = plain.predict_proba(X)[:, 1]
        raw = plain.predict(X, output_margin=True)
        np.testing.assert_array_equal(raw, model.predict(X, output_margin=True))
        if link == "posterior":
            np.testing.assert_array_equal(said, model.predict_proba(X)[:, 1])
        else:
            np.testing.assert_array_equal(said, raw)


@BOTH_LINKS
def test_saved_and_loaded(link, data, tmp_path):
    """A model that XGBoost loads has lost its classes."""
    X, y = data
    words = np.where(y == 1, "fraud", "good")
    path = str(tmp_path / "model.json")
    model = FocalXGBClassifier(link=link, scale_pos_weight=4.0, **SMALL).fit(X, words)
    model.save_model(path)
    twin = FocalXGBClassifier()
    twin.load_model(path)
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    assert twin.classes_.tolist() == ["fraud", "good"]
    assert (twin.loss_, twin.threshold_) == (model.loss_, model.threshold_)
    assert twin.objective == "binary:logistic"
    assert twin.base_score is None
    twin.set_params(**SMALL, scale_pos_weight=4.0, link=link).fit(X, words)
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    "calibration", [*METHODS, PriorShift(kept_negatives=0.5, rates=(0.1, 0.2))], ids=str
)
@pytest.mark.parametrize("extension", ["json", *slow("ubj")])
def test_the_calibrator_is_saved(calibration, extension, data, tmp_path):
    """Without it probabilities move by up to a half, and nothing says so."""
    X, y = data
    path = tmp_path / f"model.{extension}"
    small = {**SMALL, "n_jobs": 1, "learning_rate": 0.5}
    model = FocalXGBClassifier(calibration=calibration, calibration_cv=2, **small)
    for way in ("by folds", "on later rows"):
        if way == "by folds":
            model.fit(X, y)
        elif not isinstance(calibration, PriorShift):
            model.calibrate(X[:1000], y[:1000])
        model.save_model(path)
        twin = FocalXGBClassifier()
        twin.load_model(path)
        np.testing.assert_allclose(
            twin.decision_function(X), model.decision_function(X), rtol=1e-12
        )
        assert type(twin.calibrator_) is type(model.calibrator_)
        if isinstance(model.calibrator_, LogOddsCalibrator):
            assert twin.calibrator_.method_ == model.calibrator_.method_
            np.testing.assert_array_equal(
                twin.calibrator_.coef_, model.calibrator_.coef_
            )
    raw = model.predict(X, output_margin=True)
    plain = xgb.Booster(model_file=path).predict(xgb.DMatrix(X), output_margin=True)
    np.testing.assert_array_equal(plain, raw)


@pytest.mark.parametrize(
    "classes",
    [
        np.array(["2024-01-01", "2024-02-01"], "datetime64[D]"),
        np.array(["2024-01-01T10", "2024-02-01T11"], "datetime64[ns]"),
        np.array([1, 5], "timedelta64[s]"),
        np.array([False, True]),
        np.array([0.0, 1.0]),
        np.array([2**60, 2**60 + 1]),
        np.array(['a "b"', "ü \\ n"]),
    ],
    ids=lambda classes: str(classes.dtype),
)
def test_labels_are_saved(classes, data, tmp_path):
    X, y = data
    small = {**SMALL, "n_estimators": 3, "n_jobs": 1}
    model = FocalXGBClassifier(**small).fit(X, classes[y])
    model.save_model(tmp_path / "model.ubj")
    twin = FocalXGBClassifier()
    twin.load_model(tmp_path / "model.ubj")
    assert twin.classes_.dtype.kind == model.classes_.dtype.kind
    np.testing.assert_array_equal(twin.classes_, model.classes_)
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))


def test_what_a_file_cannot_hold_is_refused(data, tmp_path):
    X, y = data

    class Halved(BaseEstimator):
        def fit(self, log_odds, y):
            self.rate_ = y.mean()
            return self

        def predict(self, log_odds):
            return log_odds / 2

    small = {**SMALL, "n_estimators": 3, "n_jobs": 1}
    path = tmp_path / "model.json"
    model = FocalXGBClassifier(calibration=Halved(), calibration_cv=2, **small)
    model.fit(X, y)
    with pytest.raises(ValueError, match="cannot hold the calibrator Halved; save"):
        model.save_model(path)
    assert not path.exists()
    model.get_booster().save_model(path)
    twin = FocalXGBClassifier()
    twin.load_model(path)
    assert twin.calibrator_ is None
    with pytest.raises(NotFittedError):
        FocalXGBClassifier().save_model(path)


def test_a_plain_model_is_saved_with_its_calibrator(data, tmp_path):
    X, y = data
    small = {**SMALL, "n_estimators": 5, "n_jobs": 1}
    XGBClassifier(**small).fit(X, y).save_model(tmp_path / "plain.json")
    model = FocalXGBClassifier()
    model.load_model(tmp_path / "plain.json")
    model.set_params(calibration="platt").calibrate(X[:900], y[:900])
    model.save_model(tmp_path / "calibrated.json")
    twin = FocalXGBClassifier()
    twin.load_model(tmp_path / "calibrated.json")
    np.testing.assert_allclose(twin.predict_proba(X), model.predict_proba(X), rtol=1e-6)


def test_a_file_without_its_labels_says_so(data, tmp_path):
    """Files of version 0.1 hold no dates."""
    X, y = data
    model = FocalXGBClassifier(**SMALL).fit(X, np.where(y == 1, "b", "a"))
    booster = model.get_booster()
    kept = json.loads(booster.attr("focal_gbm"))
    kept = {name: kept[name] for name in ("gamma", "alpha", "link", "threshold")}
    booster.set_attr(focal_gbm=json.dumps({**kept, "classes": None}))
    booster.save_model(tmp_path / "model.json")
    twin = FocalXGBClassifier()
    with pytest.warns(UserWarning, match="classes_ are 0 and 1"):
        twin.load_model(tmp_path / "model.json")
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    ("kwargs", "hint"),
    [
        ({"gamma": 2.0}, "gamma is XGBoost's own, the least gain of a split"),
        ({"alpha": 0.25}, "alpha is XGBoost's own, the L1 penalty"),
    ],
)
def test_namesakes_of_the_focal_parameters_are_told(kwargs, hint, data):
    X, y = data
    small = {**SMALL, "n_estimators": 2}
    with pytest.warns(UserWarning, match=hint):
        FocalXGBClassifier(**kwargs, **small).fit(X, y)
    ours = {"focal_gamma": 1.0, "focal_alpha": 0.5}
    for known in ({**kwargs, **ours}, {"reg_alpha": 0.25, "min_split_loss": 2.0}):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            FocalXGBClassifier(**known, **small).fit(X, y)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("is_unbalance", "set scale_pos_weight to negatives / positives"),
        ("class_weight", "set scale_pos_weight"),
        ("num_leaves", "did you mean max_leaves"),
        ("early_stopping_round", "did you mean early_stopping_rounds"),
        ("focal_gama", "did you mean focal_gamma"),
    ],
)
def test_parameters_of_other_libraries_get_a_hint(name, hint, data):
    X, y = data
    with pytest.raises(ValueError, match=f"no use for parameter '{name}'.*{hint}"):
        FocalXGBClassifier(**{name: 3}).fit(X, y)


def test_weights_of_features_are_passed_when_given(data, monkeypatch):
    """The main branch of XGBoost has taken the argument out of fit."""
    X, y = data
    seen = []
    parent = xgb.XGBClassifier.fit

    def watched(self, *args, **kwargs):
        seen.append("feature_weights" in kwargs)
        return parent(self, *args, **kwargs)

    monkeypatch.setattr(xgb.XGBClassifier, "fit", watched)
    small = {**SMALL, "n_estimators": 2, "colsample_bynode": 0.5}
    FocalXGBClassifier(**small).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        FocalXGBClassifier(**small).fit(X, y, feature_weights=np.ones(X.shape[1]))
    assert seen == [False, True]


def test_loads_what_xgboost_trained(data, tmp_path):
    X, y = data
    path = str(tmp_path / "model.json")
    plain = XGBClassifier(**SMALL).fit(X, y)
    plain.save_model(path)
    model = FocalXGBClassifier()
    model.load_model(path)
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    np.testing.assert_array_equal(model.predict(X), plain.predict(X))
    XGBClassifier(objective="binary:hinge", n_estimators=2).fit(X, y).save_model(path)
    with pytest.raises(ValueError, match=r"'binary:logistic', got 'binary:hinge'"):
        model.load_model(path)


def test_own_gamma_and_alpha_stay_xgboosts(data):
    X, y = data
    model = FocalXGBClassifier(gamma=30.0, reg_alpha=2.0, **SMALL).fit(X, y)
    free = FocalXGBClassifier(**SMALL).fit(X, y)
    leaves = [
        len(m.get_booster().get_dump()[0].split("leaf")) - 1 for m in (model, free)
    ]
    assert leaves[0] < leaves[1]
    config = json.loads(model.get_booster().save_config())["learner"]
    train = config["gradient_booster"]["tree_train_param"]
    assert float(train["gamma"]) == 30.0
    assert float(train["alpha"]) == 2.0
    assert float(train["max_delta_step"]) == 4.0
    assert model.loss_ == FocalLoss(2.0)


def test_metrics_that_raw_scores_would_spoil(data):
    X, y = data
    for name in ("rmse", ["auc", "mae"]):
        model = FocalXGBClassifier(link="logit", eval_metric=name, **SMALL)
        with pytest.raises(ValueError, match=r"metric '(rmse|mae)' would be computed"):
            model.fit(X, y)
        FocalXGBClassifier(eval_metric=name, **SMALL).fit(X, y)
    ranks = ["auc", "aucpr", "pre@10", "map"]
    model = FocalXGBClassifier(link="logit", eval_metric=ranks, **SMALL)
    model.fit(X, y, eval_set=[(X, y)], verbose=False)
    assert list(model.evals_result()["validation_0"]) == ranks
    with pytest.raises(TypeError, match="eval_metric must hold names and callables"):
        FocalXGBClassifier(eval_metric=[3], **SMALL).fit(X, y)


@BOTH_LINKS
def test_default_metric_is_log_loss(link, data, capsys):
    X, y = data
    model = FocalXGBClassifier(link=link, **SMALL)
    model.fit(X, y, eval_set=[(X, y)])
    assert list(model.evals_result()["validation_0"]) == ["logloss"]
    assert "validation_0-logloss" in capsys.readouterr().out


def test_callbacks_of_the_users(data):
    X, y = data

    class Watch(TrainingCallback):
        def __init__(self):
            self.epochs = []

        def after_iteration(self, model, epoch, evals_log):
            self.epochs.append(epoch)
            return epoch == 11  # and stop

    watch = Watch()
    model = FocalXGBClassifier(callbacks=[watch], **SMALL).fit(X, y)
    assert model.callbacks == [watch]
    assert watch.epochs == list(range(12))
    assert model.get_booster().num_boosted_rounds() == 12
    assert model.predict_proba(X)[:, 1].astype(float).mean() == pytest.approx(
        y.mean(), rel=1e-6
    )
    best = EarlyStopping(rounds=5, save_best=True)
    model = FocalXGBClassifier(
        callbacks=[best], **{**SMALL, "n_estimators": 300, "learning_rate": 0.3}
    )
    model.fit(X[:2000], y[:2000], eval_set=[(X[2000:], y[2000:])], verbose=False)
    p = model.predict_proba(X)[:, 1]
    plain = model.get_booster().predict(xgb.DMatrix(X))
    np.testing.assert_array_equal(plain, p)
    assert p[:2000].astype(float).mean() == pytest.approx(y[:2000].mean(), rel=1e-6)


@pytest.mark.parametrize("booster", ["gbtree", "dart"])
def test_closing_constant_of_a_tiny_rate(booster, data):
    """It goes into the first tree, whose leaves dart multiplies."""
    X, y = data
    weight = np.where(y > 0, 1.0, 1e8)
    drop = {"rate_drop": 0.5, "one_drop": 1} if booster == "dart" else {}
    model = FocalXGBClassifier(booster=booster, **drop, **SMALL)
    p = model.fit(X, y, sample_weight=weight).predict_proba(X)[:, 1]
    assert (p * weight).sum() == pytest.approx(y.sum(), rel=1e-4)


def test_continuing_after_early_stopping(data):
    """The best iteration of the first would cut off the trees of the second."""
    X, y = data
    first = FocalXGBClassifier(
        early_stopping_rounds=3, **{**SMALL, "n_estimators": 200, "learning_rate": 0.3}
    )
    first.fit(X[:2000], y[:2000], eval_set=[(X[2000:], y[2000:])], verbose=False)
    n_first = first.get_booster().num_boosted_rounds()
    model = FocalXGBClassifier(**SMALL).fit(X, y, xgb_model=first)
    assert model.get_booster().num_boosted_rounds() == n_first + 30
    assert first.get_booster().num_boosted_rounds() == n_first
    assert first.best_iteration == n_first - 1
    plain = model.get_booster().predict(xgb.DMatrix(X))
    np.testing.assert_array_equal(plain, model.predict_proba(X)[:, 1])
    assert not np.allclose(plain, first.predict_proba(X)[:, 1])


def test_parameters_after_the_fit_leave_the_booster_alone(data):
    X, y = data
    for link in ("posterior", "logit"):
        model = FocalXGBClassifier(link=link, base_score=0.3, **SMALL).fit(X, y)
        p = model.predict_proba(X)
        model.set_params(n_jobs=1, base_score=0.9, objective=None)
        np.testing.assert_array_equal(model.predict_proba(X), p)


def test_iteration_range_and_leaves(data):
    X, y = data
    model = FocalXGBClassifier(**SMALL).fit(X, y)
    few = model.predict_proba(X, iteration_range=(0, 5))[:, 1]
    margin = model.decision_function(X, iteration_range=(0, 5))
    np.testing.assert_allclose(expit(margin), few, atol=1e-6)
    plain = model.get_booster().predict(xgb.DMatrix(X), iteration_range=(0, 5))
    np.testing.assert_array_equal(plain, few)
    assert model.apply(X).shape == (3000, 30)
    assert model.feature_importances_.sum() == pytest.approx(1.0)


BAD_PARAMETERS = [
    ({"objective": "reg:squarederror"}, "objective must be .* got 'reg:squarederror'"),
    ({"base_score": 0.0}, "base_score must be .* got 0.0"),
    ({"base_score": 1.0}, "base_score must be .* got 1.0"),
    ({"class_weight": "balanced"}, "no use for parameter 'class_weight'"),
    ({"skip_dorp": 0.1}, "no use for parameter 'skip_dorp'"),
    ({"focal_gama": 1.0}, r"'focal_gama' \(given 1.0\); did you mean focal_gamma?"),
    ({"num_leaves": 7}, "no use for parameter 'num_leaves'"),
    ({"num_class": 3}, "num_class=3: only two classes"),
    ({"alpha": "much"}, "alpha"),
]


@pytest.mark.parametrize(("kwargs", "message"), BAD_PARAMETERS, ids=str)
def test_bad_parameters(kwargs, message):
    with pytest.raises(ValueError, match=message):
        FocalXGBClassifier(**kwargs).fit(X_BAD, Y_BAD)


def test_every_parameter_of_xgboost_is_taken(data):
    X, y = data
    kwargs = {
        "n_estimators": 5,
        "booster": "dart",
        "rate_drop": 0.3,
        "one_drop": 1,
        "eta": 0.2,
        "lambda": 2.0,
        "max_depth": 3,
        "monotone_constraints": "(1,0,0,0,0)",
        "interaction_constraints": "[[0, 1], [2, 3, 4]]",
        "colsample_bynode": 0.8,
        "refresh_leaf": 1,
    }
    model = FocalXGBClassifier(**kwargs)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, y)
    plain = XGBClassifier(**kwargs).fit(X, y)
    ours, theirs = (
        json.loads(m.get_booster().save_config())["learner"]["gradient_booster"]
        for m in (model, plain)
    )
    for config in (ours, theirs):  # dart's own tree booster, until XGBoost 3.4
        config.get("gbtree", config)["tree_train_param"].pop("max_delta_step")
    assert ours == theirs
    pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"eval_set": (X_BAD, Y_BAD)}, "eval_set must be a list of pairs"),
        ({"eval_set": [(X_BAD, Y_BAD + 5)]}, "previously unseen labels"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        FocalXGBClassifier(n_estimators=2).fit(X_BAD, Y_BAD, **kwargs)


@BOTH_LINKS_ONE_SLOW
def test_callable_metrics_get_probabilities(link, data):
    X, y = data
    seen = []

    def brier(y_true, y_pred, sample_weight=None):
        seen.append((y_pred.min(), y_pred.max()))
        return brier_score_loss(y_true, y_pred, sample_weight=sample_weight)

    mine = FocalMetric(gamma=0.0, metric="log_loss", name="mine")  # not this loss
    model = FocalXGBClassifier(
        link=link, eval_metric=[brier, mine, "auc"], **{**SMALL, "n_estimators": 80}
    )
    held = [(X[2000:], y[2000:]), (X[:2000], y[:2000])]
    model.fit(X[:2000], y[:2000], eval_set=held, verbose=False)
    assert all(0 <= low <= high <= 1 for low, high in seen)
    said = model.evals_result()["validation_0"]
    assert list(said) == ["auc", "brier", "mine"]
    p = model.predict_proba(X[2000:])[:, 1]
    assert said["brier"][-1] == pytest.approx(brier_score_loss(y[2000:], p), rel=0.02)
    assert said["mine"][-1] == pytest.approx(log_loss(y[2000:], p), rel=0.02)
    one = FocalXGBClassifier(link=link, eval_metric=brier, **SMALL)
    one.fit(X, y, eval_set=[(X, y)], verbose=False)
    assert list(one.evals_result()["validation_0"]) == ["logloss", "brier"]


def test_a_file_of_a_version_without_labels(data, tmp_path):
    """Such a file was written for labels that JSON cannot hold."""
    X, y = data
    booster = FocalXGBClassifier(**SMALL).fit(X, y).get_booster()
    state = json.loads(booster.attr("focal_gbm"))
    booster.set_attr(focal_gbm=json.dumps({**state, "classes": None}))
    booster.save_model(tmp_path / "model.ubj")
    model = FocalXGBClassifier()
    with pytest.warns(UserWarning, match="saved by a version that kept no labels"):
        model.load_model(tmp_path / "model.ubj")
    assert model.classes_.tolist() == [0, 1]
