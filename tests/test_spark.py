"""Parameters for xgboost.spark: the model of the estimator at gamma 0."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from libraries import XGBOOST_VERSION, make_rows
from scipy.special import expit, logit
from xgboost import XGBClassifier

from focal_gbm import FocalObjective, FocalXGBClassifier
from focal_gbm.native import complete
from focal_gbm.spark import spark_params

NAMES = list("abcde")
RARE = FocalXGBClassifier.rare_event_params()
SMALL = {"n_estimators": 30, "learning_rate": 0.1}
# other roundings of derivatives or their sums may split a later tree otherwise
FEW = {**SMALL, "n_estimators": 3}


@pytest.fixture(scope="module")
def rows():
    X, y = make_rows(4000, 5, seed=3)
    X = X.round(1)  # fewer values than bins, which all workers then have in common
    X[np.random.default_rng(1).random(X.shape) < 0.05] = np.nan
    return X, y, np.random.default_rng(2).integers(1, 4, len(y)).astype(float)


def completed(booster, *rows):
    return complete(booster, [rows], objective=FocalObjective(gamma=0.0))


def raw_scores(booster, X):
    return booster.predict(xgb.DMatrix(X), output_margin=True).astype(float)


@pytest.mark.parametrize(
    ("parameters", "is_weighted", "tolerance"),
    [
        (SMALL, False, 1e-6),
        (SMALL, True, 1e-6),
        ({**RARE, "n_estimators": 40, "random_state": 3}, False, 1e-6),
        ({**FEW, "scale_pos_weight": 7.0}, True, 1e-5),
        ({**SMALL, "start": 1.0, "max_step": 0.7}, False, 1e-6),
        ({**SMALL, "start": 0.0, "max_step": None}, True, 1e-6),
        ({**SMALL, "base_score": 0.3, "max_delta_step": 0.5}, False, 1e-6),
        ({**FEW, "base_score": 0.3, "scale_pos_weight": 0.5}, False, 1e-5),
        ({**SMALL, "booster": "gblinear", "updater": "coord_descent"}, True, 1e-5),
        ({**SMALL, "booster": "dart", "rate_drop": 0.1, "seed": 1}, False, 1e-6),
    ],
)
def test_the_same_model_as_the_estimator(rows, parameters, is_weighted, tolerance):
    """A start, a bound or a class weight of its own would change every tree."""
    X, y, weight = rows
    weight = weight if is_weighted else None
    params = spark_params(float(np.average(y, weights=weight)), **parameters)
    params = json.loads(json.dumps(params))
    ours = FocalXGBClassifier(focal_gamma=0.0, n_jobs=1, **parameters)
    expected = ours.fit(X, y, sample_weight=weight)
    booster = (
        XGBClassifier(n_jobs=1, **params).fit(X, y, sample_weight=weight).get_booster()
    )
    difference = raw_scores(booster, X) - raw_scores(expected.get_booster(), X)
    # equal but for the closing constant
    np.testing.assert_allclose(difference, np.median(difference), atol=2 * tolerance)
    finished = completed(booster, X, y, *([] if weight is None else [weight]))
    p = finished.predict(xgb.DMatrix(X))
    np.testing.assert_allclose(p, expected.predict_proba(X)[:, 1], atol=tolerance)
    assert np.average(p, weights=weight) == pytest.approx(
        np.average(y, weights=weight), rel=1e-6
    )


def test_native_training_takes_them(rows):
    X, y, _ = rows
    params = spark_params(y.mean(), learning_rate=0.1)
    params |= {"objective": "binary:logistic", "nthread": 1}
    booster = xgb.train(params, xgb.QuantileDMatrix(X, y), 30)
    expected = FocalXGBClassifier(focal_gamma=0.0, n_jobs=1, **SMALL).fit(X, y)
    p = completed(booster, X, y).predict(xgb.DMatrix(X))
    np.testing.assert_allclose(p, expected.predict_proba(X)[:, 1], atol=1e-6)


def test_values():
    assert spark_params(0.001) == {
        "base_score": pytest.approx(expit(logit(0.001) / 2)),
        "max_delta_step": 4.0,
    }
    params = spark_params(
        np.float32(0.25),
        focal_gamma=0,
        start=1,
        max_step=2.0,
        scale_pos_weight=6.0,
        max_depth=np.int64(3),
        eval_metric="aucpr",
        feature_types=["q", "c"],
        objective="binary:logistic",
        learning_rate=None,
        gamma=0.5,
    )
    assert json.loads(json.dumps(params)) == params
    assert params == {
        # XGBoost's weighted log-loss is least at the log-odds plus log(weight)
        "base_score": pytest.approx(2 / 3),
        "max_delta_step": 2.0,
        "scale_pos_weight": 6.0,
        "max_depth": 3,
        "eval_metric": ["aucpr"],
        "feature_types": ["q", "c"],
        "gamma": 0.5,
    }
    assert spark_params(0.1, **RARE).items() >= RARE.items()
    # a linear booster warns of a bound on leaves
    assert "max_delta_step" not in spark_params(0.1, booster="gblinear")
    with pytest.warns(UserWarning, match=r"positive class is 1.* 95% of the rows"):
        assert spark_params(0.95)["base_score"] > 0.5


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("focal_gamma", 2.0, r"focal_gamma=2.0 cannot .* no objective in Python"),
        ("focal_alpha", 0.9, r"set scale_pos_weight to focal_alpha / \(1 -"),
        ("link", "logit", r"link='logit' .* whose raw score is the log-odds"),
        ("objective", FocalObjective(), r"FocalObjective.* no objective in Python"),
        ("objective", "reg:squarederror", r"sets 'binary:logistic' itself"),
        ("calibration", "logistic", r"FocalXGBClassifier.load_model, and call cal"),
        ("progress", True, r"progress=True cannot .* on the workers"),
        ("n_jobs", 2, r"n_jobs=2 cannot .* spark.task.cpus"),
        ("enable_categorical", True, r"feature_types"),
        ("label_col", "y", r"label_col='y' is an argument of SparkXGBClassifier"),
        ("num_workers", 2, r"num_workers=2 is an argument of SparkXGBClassifier"),
        ("max_dept", 2, r"no use for parameter 'max_dept' .* did you mean max_depth"),
        ("start", 2.0, r"start must be a finite number in \[0.0, 1.0\], got 2.0"),
        ("scale_pos_weight", 0.0, r"scale_pos_weight must be a finite number > 0"),
        ("eval_metric", "log_loss", r"eval_metric='log_loss' is measured in Python"),
        ("eval_metric", "aucp", r"XGBoost has no metric 'aucp'"),
    ],
)
def test_parameters_that_spark_cannot_honour(name, value, message):
    with pytest.raises(ValueError, match=message):
        spark_params(0.01, **{name: value})


def test_values_that_are_not_plain():
    callback = xgb.callback.EvaluationMonitor()
    with pytest.raises(TypeError, match=r"callbacks=\[.* not a text, a number, a lis"):
        spark_params(0.01, callbacks=[callback])


@pytest.mark.parametrize("rate", [0, 1.0, -0.1, np.nan, np.inf])
def test_rates_without_both_classes(rate):
    with pytest.raises(ValueError, match=r"base_rate must be .* \(0.0, 1.0\), got .*;"):
        spark_params(rate)


@pytest.mark.parametrize("rate", [np.array([0, 1]), pd.Series([0, 1]), None, "0.1"])
def test_labels_in_place_of_their_rate(rate):
    with pytest.raises(TypeError, match=r"(?s)base_rate must .* got .*; .*y\.mean\(\)"):
        spark_params(rate)


@pytest.fixture(scope="module")
def session():
    pyspark = pytest.importorskip("pyspark", reason="needs pyspark and Java")
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("needs Java")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # of the workers
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = pyspark.sql.SparkSession.builder.master("local[2]")
    builder = builder.config("spark.ui.enabled", "false")
    session = builder.config("spark.log.level", "ERROR").getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="module")
def frame(session, rows):
    X, y, weight = rows
    frame = pd.DataFrame(X, columns=NAMES).assign(y=y, weight=weight)
    frame["vector"] = [row.tolist() for row in X]
    return session.createDataFrame(frame).cache()


# XGBoost 2 takes columns by name on GPUs alone
COLUMNS = ["vector", NAMES] if XGBOOST_VERSION >= (3,) else ["vector"]


@pytest.mark.slow
@pytest.mark.parametrize("columns", COLUMNS, ids=lambda c: type(c).__name__)
def test_two_workers_train_the_model_of_the_estimator(
    columns, frame, session, rows, tmp_path
):
    from pyspark.sql.functions import col
    from pyspark.sql.functions import sum as sum_of
    from xgboost.spark import SparkXGBClassifier, SparkXGBClassifierModel

    X, y, weight = rows
    w = col("weight")
    rate = frame.agg(sum_of(w * col("y")) / sum_of(w)).first()[0]
    assert rate == pytest.approx(np.average(y, weights=weight))
    parameters = {**FEW, "scale_pos_weight": 3.0}
    model = SparkXGBClassifier(
        **spark_params(rate, **parameters),
        features_col=columns,
        label_col="y",
        weight_col="weight",
        num_workers=2,
    ).fit(frame)
    booster = model.get_booster()
    features = X if columns == "vector" else pd.DataFrame(X, columns=NAMES)
    finished = completed(booster, features, y, weight)
    ours = FocalXGBClassifier(focal_gamma=0.0, n_jobs=1, **parameters)
    expected = ours.fit(features, y, weight).predict_proba(features)[:, 1]
    np.testing.assert_allclose(
        finished.predict(xgb.DMatrix(features)), expected, atol=1e-5
    )

    def transformed(model):
        found = model.transform(frame).select("probability").collect()
        return np.array([row[0][1] for row in found])

    assert np.average(transformed(model), weights=weight) > 1.1 * rate
    booster.load_model(finished.save_raw())
    model.write().overwrite().save(str(tmp_path / "model"))
    for reader in (model, SparkXGBClassifierModel.load(str(tmp_path / "model"))):
        p = transformed(reader)
        np.testing.assert_allclose(p, expected, atol=1e-5)
        assert np.average(p, weights=weight) == pytest.approx(rate, rel=1e-6)
    # the estimator reads the booster too
    model.get_booster().save_model(tmp_path / "model.ubj")
    local = FocalXGBClassifier()
    local.load_model(tmp_path / "model.ubj")
    assert local.loss_.gamma == 0
    np.testing.assert_allclose(local.predict_proba(features)[:, 1], p, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (FocalObjective(), "Only string type 'objective' param is allowed."),
        ("binary:logistic", "Setting custom 'objective' param is not allowed"),
    ],
)
def test_spark_refuses_objectives(objective, message, frame):
    """If a later version takes them, focal loss can train on Spark."""
    from xgboost.spark import SparkXGBClassifier

    model = SparkXGBClassifier(
        features_col="vector", label_col="y", objective=objective
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        model.fit(frame)
