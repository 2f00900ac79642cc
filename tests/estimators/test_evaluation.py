"""Metrics and early stopping: what is measured, on probabilities."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
from libraries import BOTH, BOTH_LINKS, LIGHTGBM, XGBOOST, make_rows
from sklearn.base import clone
from sklearn.metrics import (
    average_precision_score,
    log_loss,
    roc_auc_score,
)


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
def test_a_bar_without_tqdm_is_refused(library, data, monkeypatch):
    X, y = data
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ImportError, match="progress=True needs tqdm: pip install tqdm"):
        library.model(progress=True).fit(X, y)


# the names of the same measure, and how near ours must be to scikit-learn's
NAMES = {
    LIGHTGBM: {
        "auc": ("auc", 1e-6),
        "precision": ("average_precision", 1e-4),
        "error": ("binary_error", None),
        "cross-entropy": ("cross_entropy", 0.02),
        "focal": ("focal", None),
    },
    XGBOOST: {
        "log-loss": ("logloss", 0.02),
        "auc": ("auc", 1e-4),
        "precision": ("aucpr", 0.02),
        "error": ("error", None),
        "focal": ("focal", None),
        "recall": ("recall_at_fpr", None),
    },
}


@BOTH
@BOTH_LINKS
def test_metrics_are_measured_on_probabilities(library, link, data):
    """Metrics of raw scores go negative elsewhere, and stopping never fires."""
    X, y = data
    w = 1.0 + np.arange(1000) % 3
    names = NAMES[library]
    kwargs, given = library.measuring([name for name, _ in names.values()])
    if library is LIGHTGBM:
        given["eval_names"] = ["later"]
    model = library.model(link=link, n_estimators=80, **kwargs).fit(
        X[:2000],
        y[:2000],
        **library.later(X[2000:], y[2000:]),
        **{library.eval_weights: [w]},
        **given,
    )
    set_name = "later" if library is LIGHTGBM else "validation_0"
    said = {name: values[-1] for name, values in model.evals_result_[set_name].items()}
    if library is LIGHTGBM:
        assert set(said) == {name for name, _ in names.values()} | {"binary_logloss"}
        assert said["binary_logloss"] == said["cross_entropy"]
    else:
        recall = said.pop("neg_recall_at_fpr")
        assert set(said) | {"recall_at_fpr"} == {name for name, _ in names.values()}
        assert -1 <= recall < 0
    p, y = model.predict_proba(X[2000:])[:, 1], y[2000:]
    # the closing constant comes after the last evaluation
    loss = said[library.log_loss]
    assert loss == pytest.approx(log_loss(y, p, sample_weight=w), rel=0.02)
    for measure, metric in (
        ("auc", roc_auc_score),
        ("precision", average_precision_score),
    ):
        name, near = names[measure]
        expected = metric(y, p, sample_weight=w)
        assert said[name] == pytest.approx(expected, rel=near)
    wrong = np.average((p > 0.5) != y, weights=w)
    assert said[names["error"][0]] == pytest.approx(wrong, abs=5e-3)
    assert 0 < said["focal"] < loss


@BOTH
@pytest.mark.parametrize("metric", ["recall_at_fpr", "recall_at_alert_rate"])
def test_early_stopping_on_a_fraud_metric(library, metric):
    """XGBoost would take a recall for a loss and keep the worst trees."""
    X, y = make_rows(16_000, 5, seed=11)
    model = library.model(
        n_estimators=100, **library.stopping(10), **{library.metric: metric}
    )
    model.fit(X[:2000], y[:2000], **library.later(X[2000:], y[2000:]))
    (results,) = model.evals_result_.values()
    (values,) = results.values()
    best = np.argmax(values) if library is LIGHTGBM else np.argmin(values)
    assert library.n_rounds(model) == int(best) + 1
    # a metric that never moves would keep the first round in either direction
    assert 0 < best < len(values) - 1
    if library is XGBOOST:
        assert model.best_score == pytest.approx(min(values))
        booster = model.get_booster()
        assert booster.num_boosted_rounds() == model.best_iteration + 1
