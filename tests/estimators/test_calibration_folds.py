"""Calibrators of the estimators: on rows left out, and on later rows."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from libraries import BOTH, BOTH_LINKS_ONE_SLOW, make_rows, slow
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    TimeSeriesSplit,
)

from focal_gbm import LogOddsCalibrator, PriorShift
from focal_gbm.calibration import METHODS


@BOTH
@BOTH_LINKS_ONE_SLOW
@pytest.mark.parametrize(
    "method",
    [m if m == "platt" else slow(m)[0] for m in METHODS if m != "auto"],
)
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
@pytest.mark.slow
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
