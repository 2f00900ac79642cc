"""What a saved model says to other readers, and training that goes on from it."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from libraries import (
    BOTH,
    BOTH_LINKS,
    BOTH_LINKS_ONE_SLOW,
    MODES,
    XGBOOST,
    make_rows,
    slow,
)
from scipy.special import expit
from sklearn.metrics import log_loss
from xgboost import Booster
from xgboost.callback import TrainingCallback, TrainingCheckPoint


@pytest.fixture(scope="module")
def data():
    """6000 rows, 5 % positive, with missing values."""
    X, y = make_rows(6000, 8, seed=7)
    X[np.random.default_rng(1).random(X.shape) < 0.05] = np.nan
    return X, y


@MODES
@BOTH_LINKS_ONE_SLOW
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
@pytest.mark.parametrize("mode", ["gbdt", *slow("dart")])
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
@BOTH_LINKS_ONE_SLOW
def test_continued_training(library, link, data, tmp_path):
    X, y = data
    first = library.model(link=link).fit(X, y)
    path = str(tmp_path / "model.json")
    booster = library.booster(first)
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


def test_an_interrupted_fit_of_xgboost_goes_on(data, tmp_path):
    """A checkpoint without the start would begin at even odds."""
    X, y = data

    class Interrupt(TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            if epoch == 17:
                raise KeyboardInterrupt
            return False

    saving = [TrainingCheckPoint(tmp_path, "fit", interval=4), Interrupt()]
    with pytest.raises(KeyboardInterrupt):
        XGBOOST.model(callbacks=saving).fit(X, y)
    last = max(tmp_path.iterdir(), key=lambda path: int(path.stem.partition("_")[2]))
    n_before = Booster(model_file=last).num_boosted_rounds()
    assert 12 < n_before < 18
    resumed = XGBOOST.model(n_estimators=30 - n_before).fit(X, y, xgb_model=str(last))
    whole = XGBOOST.model().fit(X, y)
    np.testing.assert_allclose(
        XGBOOST.raw_score(resumed, X), XGBOOST.raw_score(whole, X), atol=1e-5, rtol=0
    )


@BOTH
def test_continuing_a_model_of_the_library(library, data):
    X, y = data
    first = library.parent(n_estimators=30, **library.quiet).fit(X, y)
    model = library.model().fit(X, y, **library.continued(first))
    p = model.predict_proba(X)[:, 1]
    assert p.astype(float).mean() == pytest.approx(y.mean(), rel=1e-6)
    assert log_loss(y, p) < log_loss(y, first.predict_proba(X)[:, 1])


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
