"""Pictures: what they show, and that they can be read."""

from __future__ import annotations

import copy
import io
import subprocess
import sys
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.special import expit

from focal_gbm import FocalLGBMClassifier, FocalLoss
from focal_gbm.metrics import precision_at_alert_rate, recall_at_alert_rate
from focal_gbm.plotting import (
    AlertCurveDisplay,
    FocalLossDisplay,
    ReliabilityDisplay,
)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 4))
    truth = expit(2 * X[:, 0] - 5)
    y = (rng.random(20_000) < truth).astype(int)
    return X, y, truth


@pytest.fixture(scope="module")
def model(rows):
    X, y, _ = rows
    words = np.where(y == 1, "x fraud", "good")
    return FocalLGBMClassifier(n_estimators=20, verbose=-1).fit(X, words), words


def pixels(figure):
    """Return a picture of 600 pixels in width."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=600 / figure.get_figwidth())
    buffer.seek(0)
    return plt.imread(buffer)


def texts_are_apart(ax):
    """Whether no tick label touches the next one."""
    figure = ax.figure
    figure.canvas.draw()
    for axis in (ax.xaxis, ax.yaxis):
        shown = [label for label in axis.get_ticklabels() if label.get_text()]
        low, high = ax.get_xlim() if axis is ax.xaxis else ax.get_ylim()
        boxes = [
            label.get_window_extent()
            for label in shown
            if low <= label.get_position()[0 if axis is ax.xaxis else 1] <= high
        ]
        boxes.sort(key=lambda box: (box.x0, box.y0))
        if any(a.overlaps(b) for a, b in pairwise(boxes)):
            return False
    return True


def test_alert_curve(rows, model):
    X, y, _ = rows
    estimator, words = model
    display = AlertCurveDisplay.from_estimator(
        estimator, X, words, n_days=10, budget=30
    )
    p = estimator.predict_proba(X)[:, 1]
    for rate in (0.005, 0.015, 0.1):
        at = np.searchsorted(display.alerts, rate * 2000, side="right") - 1
        assert display.recall[at] == recall_at_alert_rate(y, p, rate=rate)
        assert display.precision[at] == precision_at_alert_rate(y, p, rate=rate)
    ax = display.ax_
    assert (ax.get_xlabel(), ax.get_ylabel()) == (
        "Alerts a day",
        "Recall (solid), precision (dashed)",
    )
    assert ax.get_xscale() == "log"
    other = AlertCurveDisplay.from_predictions(y, -p, n_days=10, ax=ax, name="reversed")
    assert other.ax_ is ax
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    reached = [
        measure(y, p, rate=0.015)
        for measure in (recall_at_alert_rate, precision_at_alert_rate)
    ]
    assert labels == [
        "FocalLGBMClassifier: {:.2f} and {:.2f} at budget".format(*reached),
        "reversed",
    ]
    colours = [line.get_color() for line in (*display.lines_, *other.lines_)]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert texts_are_apart(ax)
    assert pixels(display.figure_)[..., :3].std() > 0.05


@pytest.mark.parametrize("scale", ["log", "logit"])
def test_reliability(scale, rows, model):
    X, y, truth = rows
    estimator, words = model
    display = ReliabilityDisplay.from_predictions(
        y, truth, n_bins=8, scale=scale, name="truth"
    )
    assert len(display.predicted) == 8
    # each bin has an eighth of the positives
    n_rows = np.histogram(truth, np.r_[0, display.predicted, 1])[0].sum()
    assert n_rows == len(y)
    inside = (display.low < display.predicted) & (display.predicted < display.high)
    assert inside.mean() >= 0.75
    overconfident = expit(2 * np.log(truth / (1 - truth)))
    other = ReliabilityDisplay.from_predictions(
        y, overconfident, ax=display.ax_, scale=scale, name="twice the log-odds"
    )
    inside = (other.low < other.predicted) & (other.predicted < other.high)
    assert inside.mean() < 0.5
    third = ReliabilityDisplay.from_estimator(
        estimator, X, words, ax=display.ax_, scale=scale
    )
    ax = display.ax_
    assert ax.get_xscale() == ax.get_yscale() == scale
    assert ax.get_xlim() == ax.get_ylim()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["truth", "twice the log-odds", "FocalLGBMClassifier"]
    colours = {d.line_.lines[0].get_color() for d in (display, other, third)}
    assert len(colours) == 3
    assert len(ax.child_axes) == 1  # one strip for the histograms of all
    assert texts_are_apart(ax)
    assert pixels(display.figure_)[..., :3].std() > 0.05


def test_reliability_of_weights_and_ties():
    y = np.array([0, 0, 1, 0, 1, 1])
    p = np.array([0.1, 0.1, 0.1, 0.6, 0.6, 0.6])
    display = ReliabilityDisplay.from_predictions(
        y, p, n_bins=3, sample_weight=[2, 2, 1, 1, 1, 1]
    )
    assert display.observed.sum() > 0
    total = ReliabilityDisplay.from_predictions(y, p, n_bins=1)
    assert total.predicted == pytest.approx([p.mean()])
    assert total.observed == pytest.approx([0.5])
    assert total.rate == pytest.approx(0.5)


def test_loss(rows, model):
    X, y, _ = rows
    estimator, words = model
    display = FocalLossDisplay().plot()
    loss, gradient, hessian = display.axes_
    z, drawn = loss.lines[2].get_data()
    exact = FocalLoss(2.0, link="logit")
    np.testing.assert_allclose(drawn, exact.loss(np.ones_like(z), z))
    z, drawn = gradient.lines[2].get_data()
    np.testing.assert_allclose(drawn, exact.gradient(np.ones_like(z), z))
    dotted = [line for line in hessian.lines if line.get_linestyle() == ":"]
    values = np.concatenate([line.get_ydata() for line in dotted])
    assert (values[~np.isnan(values)] < 0).all()
    assert (~np.isnan(values)).any()
    solid = [line for line in hessian.lines if line.get_linestyle() == "-"]
    assert all(np.nanmin(line.get_ydata()) >= 0 for line in solid)
    assert all(texts_are_apart(ax) for ax in display.axes_)
    assert pixels(display.figure_)[..., :3].std() > 0.03

    display = FocalLossDisplay.from_estimator(estimator, X, words)
    assert list(display.gammas) == [0.0, 2.0]
    assert len(display.raw_prediction) == y.sum()
    assert "log-odds" in display.axes_[0].get_xlabel()
    axes = plt.subplots(3)[1]
    marked = FocalLossDisplay.from_predictions(y, X[:, 0], gammas=[3.0], ax=axes)
    assert marked.axes_[1] is axes[1]
    FocalLossDisplay.from_estimator(estimator)


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
        (lambda: FocalLossDisplay([-1.0]).plot(), "gamma must be .* got -1.0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_without_matplotlib():
    code = (
        "import sys; sys.modules['matplotlib'] = None;"
        "from focal_gbm.plotting import FocalLossDisplay;"
        "FocalLossDisplay().plot()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pictures need matplotlib: pip install matplotlib" in run.stderr


def test_marks_of_a_calibrated_estimator_are_raw_scores(rows, model):
    X, _, _ = rows
    estimator, words = model
    calibrated = copy.deepcopy(estimator).calibrate(X, words)
    plain = FocalLossDisplay.from_estimator(estimator, X, words)
    display = FocalLossDisplay.from_estimator(calibrated, X, words)
    np.testing.assert_array_equal(display.raw_prediction, plain.raw_prediction)
