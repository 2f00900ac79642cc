"""Both estimators in scikit-learn's checks and tools."""

from __future__ import annotations

import copy
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from libraries import BOTH, BOTH_LINKS, LIBRARIES, LIGHTGBM, known_failures
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    TunedThresholdClassifierCV,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from focal_gbm._estimators.classifier import OWN_PARAMETERS

CHECKS = parametrize_with_checks(
    [
        library.estimator(**library.quiet, **kwargs)
        for library in LIBRARIES
        for kwargs in ({}, {"link": "logit", "n_estimators": 10})
    ],
    expected_failed_checks=known_failures,
)


def with_one_slow_link(cases):
    """Mark the checks of the other link, which repeat those of the default."""
    for case in cases:
        values, marks, *_ = case if hasattr(case, "marks") else (case, ())
        more = [pytest.mark.slow] if values[0].link == "logit" else []
        yield pytest.param(*values, marks=[*marks, *more])


@pytest.mark.parametrize(
    CHECKS.args[0], list(with_one_slow_link(CHECKS.args[1])), **CHECKS.kwargs
)
def test_scikit_learn_checks(estimator, check):
    """Clone, Pipeline, string labels and frames break elsewhere; none is excluded."""
    check(estimator)


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
@pytest.mark.slow
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
@pytest.mark.slow
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
@pytest.mark.slow
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
