"""FocalLGBMClassifier: what is LightGBM's alone."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest
from libraries import X_BAD, Y_BAD
from lightgbm import LGBMClassifier
from sklearn.metrics import brier_score_loss, log_loss

from focal_gbm import FocalLGBMClassifier, FocalMetric

SMALL = {"n_estimators": 30, "verbose": -1, "random_state": 0, "n_jobs": 1}


def test_equal_ways_to_weigh_classes(data):
    X, y = data
    ratio = (1 - y.mean()) / y.mean()
    models = [
        FocalLGBMClassifier(**SMALL, **kwargs).fit(X, y).decision_function(X)
        for kwargs in (
            {"is_unbalance": True},
            {"scale_pos_weight": ratio},
            {"class_weight": {0: 1.0, 1: ratio}},
        )
    ]
    np.testing.assert_allclose(models[0], models[1], rtol=1e-9)
    np.testing.assert_allclose(models[0], models[2], rtol=1e-9)
    plain = FocalLGBMClassifier(**SMALL).fit(X, y).decision_function(X)
    assert np.abs(models[0] - plain).max() > 0.1  # and none is ignored


def test_saved_text_has_the_form_of_lightgbm(data):
    """Golden: the two edits of the text, where LightGBM's own binary has them."""
    X, y = data
    ours = FocalLGBMClassifier(**SMALL).fit(X, y).booster_.model_to_string()
    theirs = LGBMClassifier(**SMALL).fit(X, y).booster_.model_to_string()
    keys = [
        [line.partition("=")[0] for line in text.partition("Tree=0")[0].splitlines()]
        for text in (ours, theirs)
    ]
    assert keys[0] == keys[1]
    assert "objective=binary sigmoid:1\n" in ours
    assert "[objective: binary]" in ours
    logit_link = FocalLGBMClassifier(link="logit", **SMALL).fit(X, y)
    assert "\nobjective=" not in logit_link.booster_.model_to_string()


@pytest.mark.filterwarnings("ignore:The argument 'eval_set'")
def test_training_data_are_known_as_such(data):
    X, y = data
    model = FocalLGBMClassifier(**SMALL)
    model.fit(X, list(y), eval_set=[(X, y)])
    assert list(model.evals_result_) == ["valid_0"]
    model.fit(X, y, eval_set=(X, y))
    assert list(model.evals_result_) == ["training"]


def test_metrics_by_parameter(data):
    X, y = data
    evaluate = {"eval_X": X.copy(), "eval_y": y}
    for metric in ("auc", ["auc"], "auc,average_precision"):
        model = FocalLGBMClassifier(metric=metric, **SMALL).fit(X, y, **evaluate)
        assert "binary_logloss" not in model.evals_result_["valid_0"]
    with pytest.raises(ValueError, match="metric 'l2' would be computed on raw"):
        FocalLGBMClassifier(metric="l2", **SMALL).fit(X, y)
    with pytest.raises(ValueError, match="metric 'rmse' would be computed on raw"):
        FocalLGBMClassifier(**SMALL).fit(X, y, eval_metric=["auc", "rmse"])
    with pytest.raises(TypeError, match="must hold names and callables, got 3"):
        FocalLGBMClassifier(**SMALL).fit(X, y, eval_metric=["auc", 3])


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"objective": "regression"}, ValueError, "objective must be .* 'regression'"),
        ({"application": "poisson"}, ValueError, "objective must be .* 'poisson'"),
        ({"boosting_type": "rf"}, ValueError, "boosting_type='rf' refuses custom"),
        ({"boosting": "random_forest"}, ValueError, "refuses custom objectives"),
        ({"alpha": 0.25}, ValueError, "alpha=0.25 has no effect .* focal_alpha"),
        ({"gamma": 2.0}, ValueError, "LightGBM has no parameter 'gamma'"),
        (
            {"num_leafs": 7},
            ValueError,
            r"no parameter 'num_leafs' \(given 7\); did you mean num_lea",
        ),
        ({"boost_from_average": False}, ValueError, "boost_from_average=False has no"),
        ({"sigmoid": 2.0}, ValueError, "sigmoid=2.0 has no effect"),
        ({"pos_bagging_fraction": 0.5}, ValueError, "pos_bagging_fraction=0.5 has no"),
        ({"neg_bagging": 0.5}, ValueError, "neg_bagging_fraction=0.5 has no effect"),
        ({"num_class": 3}, ValueError, "num_class=3 has no effect"),
        (
            {"scale_pos_weight": 2.0, "is_unbalance": True},
            ValueError,
            "is_unbalance=True and scale_pos_weight=.* both weigh the classes",
        ),
        ({"class_weight": {0: 0, 1: 1}}, ValueError, "class_weight must be finite"),
        (
            {"class_weight": {0: 1, 1: np.inf}},
            ValueError,
            "class_weight must be finite",
        ),
        ({"class_weight": "rare"}, ValueError, "class_weight"),
        ({"metric": "mape"}, ValueError, "metric 'mape' would be computed on raw"),
    ],
)
def test_bad_parameters(kwargs, error, message):
    with pytest.raises(error, match=message):
        FocalLGBMClassifier(verbose=-1, **kwargs).fit(X_BAD, Y_BAD)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"eval_X": X_BAD},
            "eval_X and eval_y are one set in two parts, but eval_y is missing",
        ),
        (
            {"eval_X": X_BAD, "eval_y": Y_BAD, "eval_set": [(X_BAD, Y_BAD)]},
            "eval_set was passed beside eval_X and eval_y",
        ),
        (
            {"eval_X": (X_BAD,), "eval_y": Y_BAD},
            "eval_y must be a tuple of as many label vectors",
        ),
        ({"eval_X": X_BAD, "eval_y": Y_BAD + 5}, "previously unseen labels"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        FocalLGBMClassifier(verbose=-1).fit(X_BAD, Y_BAD, **kwargs)


def test_every_parameter_of_lightgbm_is_taken(data):
    X, y = data
    kwargs = {
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "cat_smooth": 5.0,
        "extra_seed": 3,
        "feature_fraction_bynode": 0.8,
        "lambda_l1": 0.1,
        "min_gain_to_split": 0.01,
        "monotone_constraints": [1, 0, 0, 0, 0],
        "num_threads": 1,
        "path_smooth": 0.5,
        "verbosity": -1,
    }
    model = FocalLGBMClassifier(n_estimators=5, **kwargs).fit(X, y)
    plain = LGBMClassifier(n_estimators=5, **kwargs).fit(X, y)
    for line in plain.booster_.model_to_string().split("\nparameters:")[1].split("\n"):
        name = line.strip("[").partition(":")[0]
        ours = model.booster_.model_to_string().split("\nparameters:")[1]
        if name not in {
            "feature_pre_filter",
            "max_delta_step",
            "metric",
            "min_sum_hessian_in_leaf",
        }:
            assert line in ours


@pytest.mark.parametrize("device", ["cuda", "gpu"])
def test_devices_are_lightgbms_affair(device, data):
    """It trains, or LightGBM says what its build is missing."""
    X, y = data
    try:
        LGBMClassifier(device_type=device, **SMALL).fit(X, y)
    except lgb.basic.LightGBMError as error:
        with pytest.raises(lgb.basic.LightGBMError, match=str(error)[:30]):
            FocalLGBMClassifier(device_type=device, **SMALL).fit(X, y)
    else:
        model = FocalLGBMClassifier(device_type=device, **SMALL).fit(X, y)
        assert model.predict_proba(X)[:, 1].mean() == pytest.approx(y.mean(), rel=1e-6)


def test_callable_metrics_get_probabilities(data):
    """As with LightGBM's own objectives, and by as many values as they take."""
    X, y = data
    w = np.ones(1000)

    def brier(y_true, y_pred):
        return "brier", brier_score_loss(y_true, y_pred), False

    def weighted(y_true, y_pred, weight):
        return (
            "weighted",
            float(np.average((y_pred - y_true) ** 2, weights=weight)),
            False,
        )

    many = {**SMALL, "n_estimators": 80}
    model = FocalLGBMClassifier(metric="None", **many).fit(
        X[:2000],
        y[:2000],
        eval_X=X[2000:],
        eval_y=y[2000:],
        eval_sample_weight=[w],
        eval_metric=[brier, weighted, FocalMetric(metric="log_loss", name="mine")],
    )
    said = model.evals_result_["valid_0"]
    assert set(said) == {"brier", "weighted", "mine"}
    p = model.predict_proba(X[2000:])[:, 1]
    assert said["brier"][-1] == pytest.approx(brier_score_loss(y[2000:], p), rel=0.02)
    assert said["brier"][-1] == pytest.approx(said["weighted"][-1])
    assert said["mine"][-1] == pytest.approx(log_loss(y[2000:], p), rel=0.02)


def test_a_text_without_trees_is_no_model(data, monkeypatch):
    """As a later LightGBM may write it; the constant would be lost in silence."""
    X, y = data
    text_of = lgb.Booster.model_to_string

    def changed(self, *args, **kwargs):
        return text_of(self, *args, **kwargs).replace("\n\nTree=0\n", "\nTree=0\n")

    monkeypatch.setattr(lgb.Booster, "model_to_string", changed)
    with pytest.raises(RuntimeError, match="wrote a model without a first tree"):
        FocalLGBMClassifier(**SMALL).fit(X, y)
