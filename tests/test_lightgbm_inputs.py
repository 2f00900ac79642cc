"""FocalLGBMClassifier: metrics, containers, scikit-learn's tools, and bad input."""

from __future__ import annotations

import copy
import pickle
import warnings

import joblib
import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from scipy import sparse
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    make_scorer,
    roc_auc_score,
)
from sklearn.model_selection import (
    GridSearchCV,
    TunedThresholdClassifierCV,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from focal_gbm import FocalLGBMClassifier, FocalMetric

IS_4_7 = tuple(map(int, lgb.__version__.split(".")[:2])) >= (4, 7)
SMALL = {"n_estimators": 15, "verbose": -1, "random_state": 0, "n_jobs": 1}
BOTH_LINKS = pytest.mark.parametrize("link", ["posterior", "logit"])


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(11)
    X = rng.normal(size=(3000, 5))
    y = (rng.random(3000) < expit(2 * X[:, 0] + X[:, 1] - 3.5)).astype(int)
    return X, y


@BOTH_LINKS
def test_metrics_are_measured_on_probabilities(link, data):
    """binary_logloss of margins goes negative elsewhere, and stopping never fires."""
    X, y = data
    w = 1.0 + np.arange(1000) % 3
    names = ["auc", "average_precision", "binary_error", "cross_entropy", "focal"]
    model = FocalLGBMClassifier(link=link, **{**SMALL, "n_estimators": 80}).fit(
        X[:2000],
        y[:2000],
        eval_X=X[2000:],
        eval_y=y[2000:],
        eval_sample_weight=[w],
        eval_metric=names,
        eval_names=["later"],
    )
    said = {name: values[-1] for name, values in model.evals_result_["later"].items()}
    assert set(said) == {*names, "binary_logloss"}
    p, y = model.predict_proba(X[2000:])[:, 1], y[2000:]
    # the closing constant comes after the last evaluation
    close = pytest.approx(log_loss(y, p, sample_weight=w), rel=0.02)
    assert said["binary_logloss"] == said["cross_entropy"] == close
    assert said["auc"] == pytest.approx(roc_auc_score(y, p, sample_weight=w))
    ap = average_precision_score(y, p, sample_weight=w)
    assert said["average_precision"] == pytest.approx(ap, rel=1e-4)
    wrong = np.average((p > 0.5) != y, weights=w)
    assert said["binary_error"] == pytest.approx(wrong, abs=5e-3)
    assert 0 < said["focal"] < said["binary_logloss"]


def test_string_labels_in_evaluation_sets(data):
    X, y = data
    words = np.where(y == 1, "fraud", "good")  # the second in order is positive
    flipped = np.where(y == 1, "a fraud", "good")
    model = FocalLGBMClassifier(early_stopping_round=5, **SMALL)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X[:2000], words[:2000], eval_set=[(X[2000:], words[2000:])])
    said = [w for w in caught if "'eval_set' is deprecated" in str(w.message)]
    assert len(said) == IS_4_7
    assert list(model.classes_) == ["fraud", "good"]
    numbers = FocalLGBMClassifier(early_stopping_round=5, **SMALL)
    numbers.fit(X[:2000], 1 - y[:2000], eval_X=(X[2000:],), eval_y=(1 - y[2000:],))
    np.testing.assert_array_equal(numbers.predict_proba(X), model.predict_proba(X))
    assert model.evals_result_ == numbers.evals_result_
    np.testing.assert_array_equal(
        model.predict(X), np.where(numbers.predict(X) == 1, "good", "fraud")
    )
    model.fit(X[:2000], flipped[:2000], eval_X=X[2000:], eval_y=flipped[2000:])
    assert model.predict_proba(X)[:, 0].mean() == pytest.approx(y.mean(), rel=0.2)


@pytest.mark.filterwarnings("ignore:The argument 'eval_set'")
def test_training_data_are_known_as_such(data):
    X, y = data
    model = FocalLGBMClassifier(**SMALL)
    model.fit(X, list(y), eval_set=[(X, y)])
    assert list(model.evals_result_) == ["valid_0"]
    model.fit(X, y, eval_set=(X, y))
    assert list(model.evals_result_) == ["training"]


def test_early_stopping_listens_to_log_loss(data):
    X, y = data
    model = FocalLGBMClassifier(
        n_estimators=300, learning_rate=0.3, early_stopping_round=10, verbose=-1
    )
    model.fit(X[:2000], y[:2000], eval_X=X[2000:], eval_y=y[2000:])
    losses = model.evals_result_["valid_0"]["binary_logloss"]
    assert model.best_iteration_ == int(np.argmin(losses)) + 1
    assert len(losses) == model.best_iteration_ + 10


def test_early_stopping_on_a_fraud_metric(data):
    X, y = data
    model = FocalLGBMClassifier(
        n_estimators=100, early_stopping_round=10, metric="recall_at_fpr", verbose=-1
    )
    model.fit(X[:2000], y[:2000], eval_X=X[2000:], eval_y=y[2000:])
    (values,) = model.evals_result_["valid_0"].values()
    assert model.best_iteration_ == int(np.argmax(values)) + 1


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


def test_progress_bar_comes_and_goes(data, capsys):
    X, y = data
    model = FocalLGBMClassifier(progress=True, **SMALL).fit(X, y, eval_X=X, eval_y=y)
    shown = capsys.readouterr().err
    assert "FocalLGBMClassifier" in shown
    assert "15/15" in shown
    assert "binary_logloss" in shown
    pickle.loads(pickle.dumps(model))
    clone(model)


def test_containers(data):
    import polars
    import pyarrow

    X, y = data
    expected = FocalLGBMClassifier(**SMALL).fit(X, y).predict_proba(X)
    names = list("abcde")
    frame = pd.DataFrame(X, columns=names)
    cases = [
        (X.tolist(), y.tolist()),
        (np.asfortranarray(X), y.astype(bool)),
        (frame, pd.Series(y, index=np.arange(3000)[::-1])),
        (frame, pd.Series(y, dtype="Int64")),
        (frame, pd.Series(y).astype("category")),
        (sparse.csr_matrix(X), y),
    ]
    if (
        IS_4_7
    ):  # before, LightGBM takes no polars, and no pyarrow with this scikit-learn
        cases.append((polars.from_pandas(frame), polars.Series(y)))
        cases.append((pyarrow.Table.from_pandas(frame), pyarrow.chunked_array([y])))
    for features, labels in cases:
        model = FocalLGBMClassifier(**SMALL).fit(features, labels)
        p = model.predict_proba(features)
        np.testing.assert_allclose(p, expected, atol=1e-9)
        assert model.n_features_in_ == 5


def test_weights_in_containers(data):
    X, y = data
    w = 1.0 + np.arange(3000) % 3
    expected = FocalLGBMClassifier(**SMALL).fit(X, y, sample_weight=w).predict_proba(X)
    for weight in (w.tolist(), pd.Series(w), w.astype(np.float32), w.astype(int)):
        model = FocalLGBMClassifier(**SMALL).fit(X, y, sample_weight=weight)
        np.testing.assert_array_equal(model.predict_proba(X), expected)


@BOTH_LINKS
def test_copies_say_the_same(link, data, tmp_path):
    """Lambdas and closures in estimators break pickle and joblib elsewhere."""
    X, y = data
    model = FocalLGBMClassifier(link=link, class_weight="balanced", **SMALL).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    copies = [
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
        joblib.load(tmp_path / "model.joblib"),
    ]
    for twin in copies:
        np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
        np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    twin = clone(model)
    assert not hasattr(twin, "loss_")
    assert twin.get_params() == model.get_params()
    model.set_params(link="logit" if link == "posterior" else "posterior")
    np.testing.assert_array_equal(
        model.predict_proba(X), copies[0].predict_proba(X)
    )  # a parameter set after the fit changes nothing before the next


def test_fit_changes_no_parameter(data):
    X, y = data
    model = FocalLGBMClassifier(class_weight="balanced", **SMALL)
    before = model.get_params()
    model.fit(X, y)
    assert model.get_params() == before
    assert model.class_weight == "balanced"
    assert model.objective is None


def test_repr_shows_what_was_set():
    model = FocalLGBMClassifier(focal_gamma=1.0, num_leaves=15)
    assert repr(model) == "FocalLGBMClassifier(focal_gamma=1.0, num_leaves=15)"


def test_pipeline_and_column_transformer(data):
    X, y = data
    frame = pd.DataFrame(X, columns=list("abcde"))
    prepare = ColumnTransformer(
        [("scale", StandardScaler(), ["a", "b"])], remainder="passthrough"
    ).set_output(transform="pandas")
    model = make_pipeline(prepare, FocalLGBMClassifier(**SMALL)).fit(frame, y)
    assert model.predict_proba(frame)[:, 1].mean() == pytest.approx(y.mean())
    assert "scale__a" in model[-1].feature_names_in_


def test_grid_search_in_processes(data):
    X, y = data
    grid = {"focal_gamma": [0.0, 2.0], "learning_rate": [0.05, 0.2]}
    search = GridSearchCV(
        FocalLGBMClassifier(**SMALL), grid, scoring="neg_log_loss", cv=3, n_jobs=2
    ).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(set(np.round(scores, 12))) == 4


def test_calibration_and_threshold_tools(data):
    """Platt on probabilities, or on clipped ones, erases the scale elsewhere; here it
    works on log-odds, where an honest score asks for slope 1 and intercept 0."""
    X, y = data
    honest = FocalLGBMClassifier(num_leaves=4, verbose=-1).fit(X[:1500], y[:1500])
    platt = CalibratedClassifierCV(FrozenEstimator(honest), method="sigmoid")
    sigmoid = platt.fit(X[1500:], y[1500:]).calibrated_classifiers_[0].calibrators[0]
    assert -sigmoid.a_ == pytest.approx(1.0, abs=0.3)
    assert -sigmoid.b_ == pytest.approx(0.0, abs=0.5)
    model = FocalLGBMClassifier(**SMALL)
    calibrated = CalibratedClassifierCV(model, method="sigmoid", cv=3).fit(X, y)
    assert log_loss(y, calibrated.predict_proba(X)) < 0.35
    frozen = FrozenEstimator(model.fit(X[:2000], y[:2000]))
    for method in ("sigmoid", "isotonic"):
        calibrated = CalibratedClassifierCV(frozen, method=method)
        calibrated.fit(X[2000:], y[2000:])
        p = calibrated.predict_proba(X)[:, 1]
        assert p.mean() == pytest.approx(y.mean(), rel=0.2)
    tuned = TunedThresholdClassifierCV(model, scoring="balanced_accuracy", cv=3)
    assert 0 < tuned.fit(X, y).best_threshold_ < 0.5


def test_metadata_routing_of_weights(data):
    X, y = data
    weight = np.where(y == 1, 3.0, 1.0)
    with config_context(enable_metadata_routing=True):
        model = FocalLGBMClassifier(**SMALL).set_fit_request(sample_weight=True)
        scorer = make_scorer(log_loss, response_method="predict_proba")
        scorer.set_score_request(sample_weight=True)
        routed = cross_validate(
            model, X, y, scoring=scorer, params={"sample_weight": weight}
        )
        plain = cross_validate(
            model.set_fit_request(sample_weight=False),
            X,
            y,
            scoring=scorer.set_score_request(sample_weight=False),
        )
    assert not np.allclose(routed["test_score"], plain["test_score"])


X_BAD, Y_BAD = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"focal_gamma": -1}, ValueError, "focal_gamma must be .* got -1"),
        ({"focal_gamma": np.nan}, ValueError, "focal_gamma must be .* got nan"),
        ({"focal_gamma": "2"}, TypeError, "focal_gamma must be .* got '2'"),
        ({"focal_gamma": 31.0}, ValueError, "gamma must be at most 30 .* got 31.0"),
        ({"focal_alpha": 0.0}, ValueError, "focal_alpha must be .* got 0.0"),
        ({"focal_alpha": 1.0}, ValueError, "focal_alpha must be .* got 1.0"),
        ({"link": "magic"}, ValueError, "link must be one of .* got 'magic'"),
        ({"start": 2.0}, ValueError, "start must be .* got 2.0"),
        ({"start": None}, TypeError, "start must be .* got None"),
        ({"max_step": 0}, ValueError, "max_step must be .* got 0"),
        ({"max_step": -1.0}, ValueError, "max_step must be .* got -1.0"),
        ({"objective": "regression"}, ValueError, "objective must be .* 'regression'"),
        ({"objective": print}, ValueError, "objective must be None or 'binary'"),
        ({"application": "poisson"}, ValueError, "objective must be .* 'poisson'"),
        ({"boosting_type": "rf"}, ValueError, "boosting_type='rf' refuses custom"),
        ({"boosting": "random_forest"}, ValueError, "refuses custom objectives"),
        ({"alpha": 0.25}, ValueError, "alpha=0.25 has no effect .* focal_alpha"),
        ({"gamma": 2.0}, ValueError, "LightGBM has no parameter 'gamma'"),
        ({"calibration": "x"}, ValueError, "LightGBM has no parameter 'calibration'"),
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
        ({"scale_pos_weight": 0.0}, ValueError, "scale_pos_weight must be .* got 0.0"),
        (
            {"scale_pos_weight": 2.0, "is_unbalance": True},
            ValueError,
            "is_unbalance and scale_pos_weight cannot both",
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
    ("y", "message"),
    [
        (np.zeros(60), r"needs two classes in y, got one class only: \[0.0\]"),
        (np.arange(60) % 3, "Only binary classification is supported.* 3 classes"),
        (np.where(Y_BAD == 1, np.nan, 0.0), "Input y contains NaN"),
        (np.where(Y_BAD == 1, np.inf, 0.0), "Input y contains infinity"),
        (np.where(Y_BAD == 1, "a", None), "Input y contains NaN: no label in row 0"),
        (Y_BAD + 0.5, "Unknown label type: continuous"),
        (Y_BAD[:59], "inconsistent numbers of samples"),
        (None, "requires y to be passed, but the target y is None"),
    ],
)
def test_bad_labels(y, message):
    """Three classes are refused: the binary formulas on softmax probabilities, as
    elsewhere, are the gradient of nothing."""
    with pytest.raises(ValueError, match=message):
        FocalLGBMClassifier(verbose=-1).fit(X_BAD, y)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-np.ones(60), "sample_weight must be finite and >= 0, got -1.0 in row 0"),
        (np.full(60, np.nan), "sample_weight must be finite .* got nan in row 0"),
        (np.full(60, np.inf), "sample_weight must be finite .* got inf in row 0"),
        (np.ones(3), "sample_weight must have 60 values, .* got 3"),
        (np.zeros(60), "sample_weight must hold a positive value"),
        (Y_BAD, "sample_weight leaves one class"),
    ],
)
def test_bad_weights(weight, message):
    with pytest.raises(ValueError, match=message):
        FocalLGBMClassifier(verbose=-1).fit(X_BAD, Y_BAD, sample_weight=weight)
    with pytest.raises(ValueError, match="sample_weight"):
        FocalLGBMClassifier(verbose=-1).fit(
            X_BAD,
            Y_BAD,
            eval_X=X_BAD,
            eval_y=Y_BAD,
            eval_sample_weight=[weight if weight is not Y_BAD else weight - 1],
        )


@pytest.mark.parametrize(
    "X", [np.empty((0, 3)), pd.DataFrame({"a": []}), sparse.csr_matrix((0, 3))]
)
def test_no_rows(X):
    with pytest.raises(ValueError, match=r"found 0 sample\(s\) in X and y"):
        FocalLGBMClassifier(verbose=-1).fit(X, [])


@pytest.mark.parametrize("X", [np.empty((60, 0)), pd.DataFrame(index=range(60))])
def test_no_features(X):
    with pytest.raises(ValueError, match=r"found 0 feature\(s\) \(shape=\(60, 0\)\)"):
        FocalLGBMClassifier(verbose=-1).fit(X, Y_BAD)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"eval_X": X_BAD}, "eval_X and eval_y must be given together"),
        (
            {"eval_X": X_BAD, "eval_y": Y_BAD, "eval_set": [(X_BAD, Y_BAD)]},
            "give either eval_set or eval_X and eval_y",
        ),
        ({"eval_X": (X_BAD,), "eval_y": Y_BAD}, "eval_y must be a tuple as long"),
        ({"eval_X": X_BAD, "eval_y": Y_BAD + 5}, "previously unseen labels"),
        ({"eval_init_score": [Y_BAD]}, "eval_init_score without init_score"),
        ({"init_score": [0.0]}, "init_score must have 60 values"),
        ({"init_score": []}, "init_score must have 60 values"),
        ({"init_score": np.full(60, np.nan)}, "init_score must be finite, got nan"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        FocalLGBMClassifier(verbose=-1).fit(X_BAD, Y_BAD, **kwargs)


@pytest.mark.filterwarnings("ignore:init_score differs")
def test_starts_that_contradict(data):
    X, y = data
    model = FocalLGBMClassifier(**SMALL)
    with pytest.raises(ValueError, match="eval_init_score must be given where"):
        model.fit(X, y, init_score=X[:, 0], eval_X=X, eval_y=y)
    first = FocalLGBMClassifier(**SMALL).fit(X, y)
    with pytest.raises(ValueError, match="init_score and init_model were both given"):
        model.fit(X, y, init_score=X[:, 0], init_model=first)
    other = FocalLGBMClassifier(link="logit", **SMALL)
    with pytest.raises(ValueError, match="not those of link='logit'"):
        other.fit(X, y, init_model=first)
    regression = lgb.LGBMRegressor(n_estimators=3, verbose=-1).fit(X, y)
    with pytest.raises(ValueError, match="init_model has 'objective=regression'"):
        model.fit(X, y, init_model=regression)


def test_wrong_number_of_features(data):
    X, y = data
    model = FocalLGBMClassifier(**SMALL).fit(X, y)
    with pytest.raises(ValueError, match="X has 2 features"):
        model.predict_proba(X[:, :2])


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
