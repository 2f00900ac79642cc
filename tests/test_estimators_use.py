"""Both estimators: containers, copies, scikit-learn's tools, and bad input."""

from __future__ import annotations

import copy
import pickle

import joblib
import lightgbm as lgb
import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
import sklearn
import xgboost as xgb
from libraries import BOTH, BOTH_LINKS, LIGHTGBM, XGBOOST, make_rows
from scipy import sparse
from scipy.special import expit
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    TimeSeriesSplit,
    TunedThresholdClassifierCV,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from focal_gbm import LogOddsCalibrator, PriorShift
from focal_gbm._estimators.classifier import OWN_PARAMETERS
from focal_gbm.calibration import METHODS

IS_LIGHTGBM_4_7 = tuple(map(int, lgb.__version__.split(".")[:2])) >= (4, 7)
IS_XGBOOST_3 = int(xgb.__version__.split(".")[0]) >= 3
X_BAD, Y_BAD = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2


@pytest.fixture(scope="module")
def data():
    return make_rows(3000, 5, seed=11)


@BOTH
def test_string_labels_in_evaluation_sets(library, data):
    X, y = data
    words = np.where(y == 1, "fraud", "good")  # the second in order is positive
    flipped = np.where(y == 1, "a fraud", "good")
    first, later = slice(0, 2000), slice(2000, None)
    model, numbers = library.model(), library.model()
    library.fit_stopping(model, 5, (X[first], words[first]), (X[later], words[later]))
    assert list(model.classes_) == ["fraud", "good"]
    fit, held = (X[first], 1 - y[first]), (X[later], 1 - y[later])
    library.fit_stopping(numbers, 5, fit, held)
    np.testing.assert_array_equal(numbers.predict_proba(X), model.predict_proba(X))
    assert model.evals_result_ == numbers.evals_result_
    np.testing.assert_array_equal(
        model.predict(X), np.where(numbers.predict(X) == 1, "good", "fraud")
    )
    fit, held = (X[first], flipped[first]), (X[later], flipped[later])
    library.fit_stopping(model, 5, fit, held)
    assert model.predict_proba(X)[:, 0].mean() == pytest.approx(y.mean(), rel=0.2)
    with pytest.raises(ValueError, match="previously unseen labels"):
        library.fit_stopping(model, 5, fit, (X[later], y[later]))


@BOTH
@pytest.mark.parametrize(
    "values",
    [(False, True), (3, 7), (-1, 1), (0.0, 1.0), (2.0, 5.0), ("", "x"), (1, 0)],
    ids=str,
)
def test_any_two_labels(library, values, data):
    X, y = data
    low, high = sorted(values)
    kwargs = {"n_estimators": 10, "scale_pos_weight": 20.0}
    model = library.model(**kwargs).fit(X, np.where(y == 1, high, low))
    plain = library.model(**kwargs).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert model.classes_.tolist() == [low, high]
    assert set(model.predict(X)) == {low, high}


@BOTH
def test_early_stopping_listens_to_log_loss(library, data):
    X, y = data
    model = library.model(n_estimators=300, learning_rate=0.3)
    library.fit_stopping(model, 10, (X[:2000], y[:2000]), (X[2000:], y[2000:]))
    (results,) = model.evals_result_.values()
    (losses,) = results.values()
    assert library.n_rounds(model) == int(np.argmin(losses)) + 1
    assert len(losses) == library.n_rounds(model) + 10
    p = model.predict_proba(X[2000:])
    # the closing constant comes after the last evaluation
    assert min(losses) == pytest.approx(log_loss(y[2000:], p), rel=0.02)


@BOTH
def test_progress_bar_comes_and_goes(library, data, capsys):
    X, y = data
    model = library.model(progress=True)
    library.fit_stopping(model, 1000, (X, y), (X[:500], y[:500]))
    shown = capsys.readouterr().err
    assert library.estimator.__name__ in shown
    assert "30/30" in shown
    assert "logloss" in shown
    pickle.loads(pickle.dumps(model))
    clone(model)


@BOTH
def test_containers(library, data):
    X, y = data
    expected = library.model().fit(X, y).predict_proba(X)
    frame = pd.DataFrame(X, columns=list("abcde"))
    cases = [
        (X.tolist(), y.tolist()),
        (np.asfortranarray(X), y.astype(bool)),
        (frame, pd.Series(y, index=np.arange(3000)[::-1])),
        (frame, pd.Series(y, dtype="Int64")),
        (frame, pd.Series(y).astype("category")),
        (sparse.csr_matrix(X), y),
    ]
    # before, they take no polars, and LightGBM no pyarrow with this scikit-learn
    if IS_LIGHTGBM_4_7 if library is LIGHTGBM else IS_XGBOOST_3:
        cases.append((polars.from_pandas(frame), polars.Series(y)))
        cases.append((pyarrow.Table.from_pandas(frame), pyarrow.chunked_array([y])))
    for features, labels in cases:
        model = library.model().fit(features, labels)
        np.testing.assert_allclose(model.predict_proba(features), expected, atol=1e-6)
        assert model.n_features_in_ == 5


@BOTH
def test_labels_and_weights_on_a_gpu(library, data):
    """CuPy hands arrays out by get alone, cuDF by to_numpy."""
    X, y = data
    weight = 1.0 + np.arange(3000) % 3

    class OnDevice:
        __cuda_array_interface__ = {}  # noqa: RUF012 - as CuPy has it

        def __init__(self, values):
            self.values = values

        def get(self):
            return self.values

        def __array__(self, *args, **kwargs):
            raise TypeError("implicit conversion to NumPy is not allowed")

    expected = library.model().fit(X, y, weight).predict_proba(X)
    model = library.model().fit(X, OnDevice(y), OnDevice(weight))
    np.testing.assert_array_equal(model.predict_proba(X), expected)


@BOTH
def test_weights_in_containers(library, data):
    X, y = data
    w = 1.0 + np.arange(3000) % 3
    expected = library.model().fit(X, y, sample_weight=w).predict_proba(X)
    for weight in (w.tolist(), pd.Series(w), w.astype(np.float32), w.astype(int)):
        model = library.model().fit(X, y, sample_weight=weight)
        np.testing.assert_array_equal(model.predict_proba(X), expected)


@BOTH
@BOTH_LINKS
def test_copies_say_the_same(library, link, data, tmp_path):
    """Lambdas and closures in estimators break pickle and joblib elsewhere."""
    X, y = data
    model = library.model(link=link, scale_pos_weight=5.0).fit(X, y)
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
    assert str(twin.get_params()) == str(model.get_params())
    model.set_params(
        link="logit" if link == "posterior" else "posterior",
        n_estimators=7,
        scale_pos_weight=1.0,
        start=0.0,
    )
    for name in ("predict_proba", "predict", "decision_function"):
        np.testing.assert_array_equal(
            getattr(model, name)(X), getattr(copies[0], name)(X)
        )  # a parameter set after the fit changes nothing before the next


@BOTH
def test_fit_changes_no_parameter(library, data):
    X, y = data
    model = library.model(scale_pos_weight=3.0)
    before = str(model.get_params())
    model.fit(X, y)
    assert str(model.get_params()) == before
    with pytest.raises(ValueError, match="numbers of samples"):
        model.fit(X, y[:5])
    with pytest.raises(ValueError, match="seen"):
        library.fit_stopping(model, 5, (X, y), (X, y + 5))
    assert model.objective in (None, "binary:logistic")
    assert getattr(model, "callbacks", None) is None


@BOTH
def test_parameters_for_rare_events_are_the_parents(library, data):
    X, y = data
    point = library.estimator.rare_event_params()
    assert not set(point) & set(OWN_PARAMETERS)
    library.parent(**library.quiet, **point).fit(X, y)
    point["n_estimators"] = 3  # what was returned is the caller's
    assert library.estimator.rare_event_params()["n_estimators"] > 3
    p = library.model(**point).fit(X, y).predict_proba(X)[:, 1]
    assert p.mean() == pytest.approx(y.mean(), rel=1e-5)


@BOTH
def test_repr_shows_what_was_set(library):
    model = library.estimator(focal_gamma=1.0, max_depth=15)
    name = library.estimator.__name__
    assert repr(model) == f"{name}(focal_gamma=1.0, max_depth=15)"


@BOTH
def test_pipeline_and_column_transformer(library, data):
    X, y = data
    frame = pd.DataFrame(X, columns=list("abcde"))
    prepare = ColumnTransformer(
        [("scale", StandardScaler(), ["a", "b"])], remainder="passthrough"
    ).set_output(transform="pandas")
    model = make_pipeline(prepare, library.model()).fit(frame, y)
    p = model.predict_proba(frame)[:, 1].astype(float)
    assert p.mean() == pytest.approx(y.mean(), rel=1e-6)
    assert "scale__a" in model[-1].feature_names_in_


@BOTH
def test_grid_search_in_processes(library, data):
    X, y = data
    grid = {"focal_gamma": [0.0, 2.0], "learning_rate": [0.05, 0.2]}
    search = GridSearchCV(
        library.model(n_jobs=1), grid, scoring="neg_log_loss", cv=3, n_jobs=2
    ).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert len(set(np.round(scores, 12))) == 4


@BOTH
def test_calibration_and_threshold_tools(library, data):
    """Platt on probabilities, or on clipped ones, erases the scale elsewhere; here it
    works on log-odds, where an honest score asks for slope 1 and intercept 0."""
    X, y = data
    small = {"num_leaves": 4} if library is LIGHTGBM else {"max_depth": 2}
    honest = library.model(n_estimators=60, **small).fit(X[:1500], y[:1500])
    platt = CalibratedClassifierCV(FrozenEstimator(honest), method="sigmoid")
    sigmoid = platt.fit(X[1500:], y[1500:]).calibrated_classifiers_[0].calibrators[0]
    assert -sigmoid.a_ == pytest.approx(1.0, abs=0.35)
    assert -sigmoid.b_ == pytest.approx(0.0, abs=0.6)
    model = library.model()
    calibrated = CalibratedClassifierCV(model, method="sigmoid", cv=3).fit(X, y)
    assert log_loss(y, calibrated.predict_proba(X)) < 0.35
    frozen = FrozenEstimator(model.fit(X[:2000], y[:2000]))
    temperature = ("temperature",) if sklearn.__version__ >= "1.8" else ()
    for method in ("sigmoid", "isotonic", *temperature):
        calibrated = CalibratedClassifierCV(frozen, method=method)
        calibrated.fit(X[2000:], y[2000:])
        p = calibrated.predict_proba(X)[:, 1]
        assert p.mean() == pytest.approx(y.mean(), rel=0.2)
    tuned = TunedThresholdClassifierCV(model, scoring="balanced_accuracy", cv=3)
    assert 0 < tuned.fit(X, y).best_threshold_ < 0.5


@BOTH
@BOTH_LINKS
@pytest.mark.parametrize("method", [m for m in METHODS if m != "auto"])
def test_calibration_on_rows_left_out(library, link, method, data):
    X, y = data
    w = 1.0 + np.arange(3000) % 3
    model = library.model(link=link, calibration=method, calibration_cv=3)
    plain = library.model(link=link).fit(X, y, w)
    model.fit(X, y, sample_weight=w)
    # one booster on all rows, whatever the calibrator
    raw = library.raw_score(plain, X)
    np.testing.assert_array_equal(library.raw_score(model, X), raw)
    assert model.calibrator_.method_ == method
    f = model.decision_function(X)
    np.testing.assert_allclose(f, model.calibrator_.predict(plain.decision_function(X)))
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], expit(f), atol=1e-6)
    order = np.argsort(raw, kind="stable")
    assert (np.diff(f[order]) >= -1e-9).all()
    np.testing.assert_array_equal(model.predict(X), (expit(f) > 0.5).astype(int))
    np.testing.assert_array_equal(model.fit(X, y, w).decision_function(X), f)


@BOTH
def test_calibration_learns_from_rows_left_out(library, data):
    """An over-fitted model looks honest on the rows that it was trained on."""
    X, y = make_rows(12_000, 5, seed=12)
    overfit = {"learning_rate": 0.5, "n_estimators": 200}
    plain = library.model(**overfit).fit(X[:8000], y[:8000])
    model = library.model(calibration="platt", **overfit).fit(X[:8000], y[:8000])
    assert model.calibrator_.coef_[1] < -0.2  # flatter
    losses = [log_loss(y[8000:], m.predict_proba(X[8000:])) for m in (model, plain)]
    assert losses[0] < 0.9 * losses[1]


@BOTH
def test_calibration_folds(library, data):
    X, y = data
    words = np.where(y == 1, "fraud", "good")
    frame = pd.DataFrame(X, columns=list("abcde"))
    splits = [(np.arange(1500), np.arange(1500, 2500))]
    for cv in (TimeSeriesSplit(3), splits):
        model = library.model(calibration="intercept", calibration_cv=cv)
        model.fit(frame, words)
        p = model.predict_proba(frame)[:, 0]
        assert p.mean() == pytest.approx(y.mean(), rel=0.25)
    later = np.zeros(3000, int)
    later[2000:] = np.arange(1000) % 2
    model = library.model(calibration="platt", calibration_cv=splits)
    with pytest.raises(ValueError, match="calibration_cv leaves one class"):
        model.fit(X, later)
    first = library.model().fit(X, y)
    with pytest.raises(ValueError, match=r"with (init|xgb)_model: rows .* calibrate"):
        model.fit(X, y, **library.continued(first))


@BOTH
def test_calibration_of_every_container(library, data):
    X, y = data
    kwargs = {"calibration": "platt", "calibration_cv": 2, "n_estimators": 5}
    expected = library.model(**kwargs).fit(X, y).predict_proba(X)
    frame = pd.DataFrame(X, columns=list("abcde"))
    cases = [X.tolist(), frame, sparse.csr_matrix(X), sparse.coo_matrix(X)]
    if IS_LIGHTGBM_4_7 if library is LIGHTGBM else IS_XGBOOST_3:
        cases += [pyarrow.Table.from_pandas(frame), polars.from_pandas(frame)]
    for features in cases:
        model = library.model(**kwargs).fit(features, y)
        np.testing.assert_allclose(model.predict_proba(features), expected, atol=1e-6)
        model.calibrate(features, y)


@BOTH
def test_calibration_stops_early_in_every_fold(library, data):
    X, y = data
    words = np.where(y == 1, "fraud", "good")
    model = library.model(n_estimators=300, learning_rate=0.3, calibration="platt")
    library.fit_stopping(model, 5, (X[:2000], words[:2000]), (X[2000:], words[2000:]))
    assert library.n_rounds(model) < 100
    p = model.predict_proba(X[2000:])[:, 0]
    assert log_loss(y[2000:], p) < log_loss(y[2000:], np.full(1000, y.mean()))
    # folds that ran on would ask for a far flatter map
    assert model.calibrator_.coef_[1] > -0.5


@BOTH
def test_calibrate_on_later_rows(library, data):
    X, y = data
    model = library.model(learning_rate=0.3).fit(X[:1500], y[:1500])
    before = library.raw_score(model, X)
    assert model.calibrator_ is None
    assert model.calibrate(X[1500:], y[1500:]) is model
    assert isinstance(model.calibrator_, LogOddsCalibrator)  # "auto"
    once = model.predict_proba(X)
    np.testing.assert_array_equal(
        model.calibrate(X[1500:], y[1500:]).predict_proba(X), once
    )
    np.testing.assert_array_equal(library.raw_score(model, X), before)
    model.set_params(calibration="intercept").calibrate(
        X[1500:], y[1500:], sample_weight=np.where(y[1500:] == 1, 3.0, 1.0)
    )
    p = model.predict_proba(X[1500:])[:, 1].astype(float)
    weight = np.where(y[1500:] == 1, 3.0, 1.0)
    rate = np.average(y[1500:], weights=weight)
    assert np.average(p, weights=weight) == pytest.approx(rate, rel=1e-3)
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    with pytest.raises(ValueError, match="previously unseen labels"):
        model.calibrate(X, y + 1)
    with pytest.raises(ValueError, match="both classes"):
        model.calibrate(X[:50], np.zeros(50, int))
    with pytest.raises(NotFittedError):
        library.model().calibrate(X, y)


@BOTH
def test_own_calibrators_and_priors(library, data):
    X, y = data

    class Halved(BaseEstimator):
        def fit(self, log_odds, y):
            self.n_ = len(y)
            return self

        def predict(self, log_odds):
            return 0.5 * log_odds

    plain = library.model().fit(X, y)
    model = library.model(calibration=Halved(), calibration_cv=2).fit(X, y)
    assert model.calibrator_.n_ == 3000
    np.testing.assert_allclose(
        model.decision_function(X), 0.5 * plain.decision_function(X)
    )
    # negatives thinned to a fifth, and the rate put right
    kept = (y == 1) | (np.arange(3000) % 5 == 0)
    shift = PriorShift(kept_negatives=(kept & (y == 0)).sum() / (y == 0).sum())
    model = library.model(calibration=shift).fit(X[kept], y[kept])
    p = model.predict_proba(X)[:, 1]
    assert p.mean() == pytest.approx(y.mean(), rel=0.25)
    thinned = library.model().fit(X[kept], y[kept]).predict_proba(X)[:, 1]
    assert thinned.mean() > 2 * y.mean()


@BOTH
def test_metadata_routing_of_weights(library, data):
    X, y = data
    weight = np.where(y == 1, 3.0, 1.0)
    with config_context(enable_metadata_routing=True):
        model = library.model().set_fit_request(sample_weight=True)
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


@BOTH
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
        ({"objective": print}, ValueError, "objective must be None or 'binary"),
        ({"scale_pos_weight": 0.0}, ValueError, "scale_pos_weight must be .* got 0.0"),
        ({"calibration": "x"}, ValueError, "calibration must be one of .* got 'x'"),
        ({"calibration": 3}, ValueError, "calibration must be one of .* got 3"),
        ({"calibrations": "x"}, ValueError, "did you mean calibration?"),
        ({"lerning_rate": 0.1}, ValueError, "did you mean learning_rate?"),
    ],
)
def test_bad_parameters(library, kwargs, error, message):
    with pytest.raises(error, match=message):
        library.model(**kwargs).fit(X_BAD, Y_BAD)


@BOTH
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
def test_bad_labels(library, y, message):
    """Three classes are refused: the binary formulas on softmax probabilities, as
    elsewhere, are the gradient of nothing."""
    with pytest.raises(ValueError, match=message):
        library.model().fit(X_BAD, y)


@BOTH
@pytest.mark.filterwarnings("ignore:The argument 'eval_set'")
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
def test_bad_weights(library, weight, message):
    with pytest.raises(ValueError, match=message):
        library.model().fit(X_BAD, Y_BAD, sample_weight=weight)
    name = "eval_sample_weight" if library is LIGHTGBM else "sample_weight_eval_set"
    weights = {name: [weight if weight is not Y_BAD else weight - 1]}
    with pytest.raises(ValueError, match=name):
        library.model().fit(X_BAD, Y_BAD, eval_set=[(X_BAD, Y_BAD)], **weights)


@BOTH
@pytest.mark.parametrize(
    "X", [np.empty((0, 3)), pd.DataFrame({"a": []}), sparse.csr_matrix((0, 3))]
)
def test_no_rows(library, X):
    with pytest.raises(ValueError, match=r"found 0 sample\(s\) in X and y"):
        library.model().fit(X, [])


@BOTH
@pytest.mark.parametrize("X", [np.empty((60, 0)), pd.DataFrame(index=range(60))])
def test_no_features(library, X):
    with pytest.raises(ValueError, match=r"found 0 feature\(s\) \(shape=\(60, 0\)\)"):
        library.model().fit(X, Y_BAD)


@BOTH
def test_wrong_number_of_features(library, data):
    X, y = data
    model = library.model().fit(X, y)
    expected = "X has 2 features" if library is LIGHTGBM else "expected: 5, got 2"
    with pytest.raises(ValueError, match=expected):
        model.predict_proba(X[:, :2])


@BOTH
def test_a_start_that_differs_by_row(library, data):
    """init_score is lost at predict elsewhere; here it warns."""
    X, y = data
    scores = np.where(X[:, 0] > 0, -1.0, -4.0)
    name = "init_score" if library is LIGHTGBM else "base_margin"
    with pytest.warns(UserWarning, match=f"{name} differs by row"):
        model = library.model().fit(X, y, **{name: scores})
    if library is XGBOOST:
        p = model.predict_proba(X, base_margin=scores)[:, 1]
    else:
        p = 1 / (1 + np.exp(-(library.raw_score(model, X) + scores)))
    assert p.mean() == pytest.approx(y.mean(), rel=0.05)
    given = library.model().fit(X, y, **{name: np.full(len(y), -2.5)})
    log_odds = np.log(y.mean() / (1 - y.mean()))
    other = library.model(start=-2.5 / log_odds).fit(X, y)
    np.testing.assert_allclose(
        given.decision_function(X), other.decision_function(X), atol=1e-4
    )
