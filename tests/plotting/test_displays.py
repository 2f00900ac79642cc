"""What all pictures have: the class that is named, and errors."""

from __future__ import annotations

import pydoc
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest

from focal_gbm import FocalLGBMClassifier, FocalLoss, plotting
from focal_gbm.plotting import (
    AlertCurveDisplay,
    FocalLossDisplay,
    ReliabilityDisplay,
)

pytestmark = pytest.mark.usefixtures("closed")


@pytest.mark.parametrize(
    ("names", "pos_label"),
    [
        (["legit", "fraud"], "fraud"),
        (np.array(["legit", "fraud"], object), "fraud"),
        ([1, 0], 0),
        ([True, False], False),
    ],
)
def test_the_class_that_is_named(names, pos_label, drawn_rows):
    """Probabilities and scores are those of the class that pos_label names."""
    X, y, truth = drawn_rows
    labels = np.asarray(names)[y]
    model = FocalLGBMClassifier(n_estimators=20, focal_alpha=0.3, n_jobs=1, verbose=-1)
    model.fit(X, labels)
    p = model.predict_proba(X)[:, 0]
    shown = AlertCurveDisplay.from_estimator(
        model, X, labels, n_days=10, budget=30, pos_label=pos_label
    )
    expected = AlertCurveDisplay.from_predictions(y, p, n_days=10, budget=30)
    np.testing.assert_array_equal(shown.recall, expected.recall)
    np.testing.assert_array_equal(shown.precision, expected.precision)
    same = AlertCurveDisplay.from_predictions(
        labels, p, n_days=10, budget=30, pos_label=pos_label
    )
    np.testing.assert_array_equal(same.recall, expected.recall)
    shown = ReliabilityDisplay.from_estimator(model, X, labels, pos_label=pos_label)
    expected = ReliabilityDisplay.from_predictions(labels, p, pos_label=pos_label)
    np.testing.assert_array_equal(shown.observed, expected.observed)
    assert shown.rate == pytest.approx(y.mean())
    loss = FocalLossDisplay.from_estimator(model, X, labels, pos_label=pos_label)
    raw = model.predict(X[y == 1], raw_score=True)
    np.testing.assert_array_equal(loss.raw_prediction, -raw)
    assert loss.alpha == pytest.approx(0.7)
    z, drawn = loss.axes_[0].lines[1].get_data()
    own = FocalLoss(2.0, 0.3).loss(np.zeros_like(z), -z)
    np.testing.assert_allclose(drawn, 3.0 * own)
    marked = FocalLossDisplay.from_predictions(labels, truth, pos_label=pos_label)
    np.testing.assert_array_equal(marked.raw_prediction, truth[y == 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: AlertCurveDisplay.from_predictions([0, 0], [0, 1], n_days=1),
            "y_true must hold a fraud",
        ),
        (
            lambda: AlertCurveDisplay.from_predictions([0, 1], [0, 1], n_days=0),
            "n_days must be .* got 0",
        ),
        (
            lambda: AlertCurveDisplay.from_predictions(
                [0, 1], [0, 1], n_days=1, budget=-1
            ),
            "budget must be .* got -1",
        ),
        (
            lambda: ReliabilityDisplay.from_predictions([0, 1], [0, 2]),
            r"y_prob must lie in \[0, 1\]",
        ),
        (
            lambda: ReliabilityDisplay.from_predictions([0, 0], [0, 1]),
            "y_true must hold a positive",
        ),
        (
            lambda: ReliabilityDisplay.from_predictions([0, 1], [0, 1], scale="x"),
            "scale must be one of .* got 'x'",
        ),
        (lambda: FocalLossDisplay().plot(plt.gca()), "ax must be three axes, got 1"),
        (
            lambda: AlertCurveDisplay.from_predictions(
                [0, 1], [0, 1], n_days=1, ax=plt.subplots(2)[1]
            ),
            "ax must be matplotlib axes, got 2",
        ),
        (
            lambda: AlertCurveDisplay.from_predictions([0, 1], [0, 1], budget=1),
            "give either n_days, .* or day, .* got neither",
        ),
        (
            lambda: AlertCurveDisplay.from_predictions([0, 1], [0, np.nan], n_days=1),
            "y_score must not be NaN, got NaN in row 1",
        ),
        (
            lambda: AlertCurveDisplay.from_predictions([0, 1], [0, 1], day=[0.5, 1]),
            "day must hold whole days, got 0.5 in row 0",
        ),
        (
            lambda: ReliabilityDisplay.from_predictions([0, 1], [0, 1], n_bins=2.5),
            "n_bins must be a whole number >= 1, got 2.5",
        ),
        (
            lambda: ReliabilityDisplay.from_predictions([], []),
            "y_prob must hold at least one row",
        ),
        (
            lambda: FocalLossDisplay.from_predictions([], []),
            "raw_prediction must hold at least one row",
        ),
        (
            lambda: FocalLossDisplay.from_predictions([0, 1], [0, np.inf]),
            "raw_prediction must be finite, got inf in row 1",
        ),
        (
            lambda: FocalLossDisplay.from_predictions(["a", "b"], [0, 1]),
            "y_true must hold 0 and 1 only, got 'a' .* pos_label",
        ),
        (lambda: FocalLossDisplay([-1.0]).plot(), "gamma must be .* got -1.0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_bad_estimators(drawn_rows, drawn_model):
    X, y, _ = drawn_rows
    estimator, words = drawn_model
    alerts, reliability = (
        AlertCurveDisplay.from_estimator,
        ReliabilityDisplay.from_estimator,
    )
    loss = FocalLossDisplay.from_estimator
    for draw in (lambda *a, **k: alerts(*a, n_days=1, **k), reliability, loss):
        with pytest.raises(TypeError, match=r"estimator must be a fitted .* got Focal"):
            draw(FocalLGBMClassifier(), X, words)
        with pytest.raises(
            ValueError, match=r"y must hold .* classes, .* got 0 in row"
        ):
            draw(estimator, X, y)
        with pytest.raises(
            ValueError, match=r"pos_label must be a class .* got 'fraud'"
        ):
            draw(estimator, X, words, pos_label="fraud")
        with pytest.raises(ValueError, match=r"y must hold .* got None in row 1"):
            draw(estimator, X[:2], ["good", None])
    with pytest.raises(ValueError, match="must be passed together, got X alone"):
        loss(estimator, X)


def test_help_lists_the_displays():
    text = pydoc.plain(pydoc.render_doc(plotting))
    for name in plotting.__all__:
        assert f"class {name}" in text


@pytest.mark.slow
def test_without_matplotlib():
    code = (
        "import sys; sys.modules['matplotlib'] = None;"
        "from focal_gbm.plotting import FocalLossDisplay;"
        "FocalLossDisplay().plot()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "install it with pip install matplotlib" in run.stderr
