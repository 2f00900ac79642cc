"""Pictures: what they show, and that they can be read."""

from __future__ import annotations

import copy
import io
import pydoc
import subprocess
import sys
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.special import expit

from focal_gbm import FocalLGBMClassifier, FocalLoss, plotting
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
        "FocalLGBMClassifier: recall {:.2f}, precision {:.2f} at budget".format(
            *reached
        ),
        "reversed",
    ]
    colours = [line.get_color() for line in (*display.lines_, *other.lines_)]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert texts_are_apart(ax)
    assert pixels(display.figure_)[..., :3].std() > 0.05


def test_alert_curve_of_days(rows):
    """The number of different days is that which the rows cover."""
    _, y, truth = rows
    day = np.datetime64("2025-03-01") + np.arange(len(y)) // 2000
    counted = AlertCurveDisplay.from_predictions(y, truth, day=day, budget=30)
    given = AlertCurveDisplay.from_predictions(y, truth, n_days=10, budget=30)
    np.testing.assert_array_equal(counted.alerts, given.alerts)
    legends = [d.ax_.get_legend().get_texts()[0].get_text() for d in (counted, given)]
    assert legends[0] == legends[1]
    assert "model: recall 0." in legends[0]
    assert ", precision 0." in legends[0]


@pytest.mark.parametrize(
    ("names", "pos_label"),
    [
        (["legit", "fraud"], "fraud"),
        (np.array(["legit", "fraud"], object), "fraud"),
        ([1, 0], 0),
        ([True, False], False),
    ],
)
def test_the_class_that_is_named(names, pos_label, rows):
    """Probabilities and scores are those of the class that pos_label names."""
    X, y, truth = rows
    labels = np.asarray(names)[y]
    model = FocalLGBMClassifier(n_estimators=20, focal_alpha=0.3, verbose=-1)
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


@pytest.mark.parametrize("scale", ["log", "logit"])
def test_marks_at_infinity_are_at_the_edge(scale):
    """A bin of frauds only has a rate of 1, whose log-odds are infinite."""
    p = np.r_[np.full(50, 0.01), np.full(50, 0.2), np.full(10, 0.9), np.full(10, 1.0)]
    y = np.r_[np.arange(50) < 5, np.arange(50) < 10, np.ones(20)].astype(int)
    display = ReliabilityDisplay.from_predictions(y, p, n_bins=4, scale=scale)
    assert display.observed[-1] == 1.0
    displays = [
        display,
        ReliabilityDisplay(
            predicted=np.array([0.0, 0.1, 1.0]),
            observed=np.array([0.0, 0.1, 1.0]),
            low=np.array([0.0, 0.05, 0.9]),
            high=np.array([0.2, 0.2, 1.0]),
            probability=p,
            rate=0.1,
        ).plot(scale=scale),
    ]
    for one in displays:
        one.figure_.canvas.draw()
        low, high = one.ax_.get_xlim()
        assert (low, high) == one.ax_.get_ylim()
        line, caps, bars = one.line_.lines
        ends = [line, *caps]
        for x, at in [part.get_data() for part in ends]:
            assert len(x) == len(one.predicted)
            for values in (x, at):
                assert ((np.asarray(values) > low) & (np.asarray(values) < high)).all()
        assert np.isfinite(bars[0].get_segments()).all()
        # a mark of its colour is there, next to the edge at the top
        where = one.ax_.transData.transform(np.transpose(line.get_data()))[-1]
        top = one.ax_.transAxes.transform([1, 1])[1]
        assert 1.0 < top - where[1] < 8.0
    kept = (display.observed.tolist(), displays[1].predicted.tolist())
    assert kept[0][-1] == 1.0
    assert kept[1] == [0.0, 0.1, 1.0]


def test_room_at_the_edge_does_not_grow(rows):
    _, y, truth = rows
    display = ReliabilityDisplay.from_predictions(y, truth, scale="logit")
    limits = display.ax_.get_xlim()
    for _ in range(5):
        ReliabilityDisplay.from_predictions(y, truth, scale="logit", ax=display.ax_)
    assert display.ax_.get_xlim() == pytest.approx(limits)


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


@pytest.mark.parametrize("gammas", [2.0, [], None, [[1.0, 2.0]]])
def test_gammas_are_a_sequence(gammas):
    with pytest.raises(TypeError, match="gammas must be a sequence such as"):
        FocalLossDisplay(gammas=gammas)


def test_bad_estimators(rows, model):
    X, y, _ = rows
    estimator, words = model
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


def test_without_matplotlib():
    code = (
        "import sys; sys.modules['matplotlib'] = None;"
        "from focal_gbm.plotting import FocalLossDisplay;"
        "FocalLossDisplay().plot()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "install it with pip install matplotlib" in run.stderr


def test_marks_of_a_calibrated_estimator_are_raw_scores(rows, model):
    X, _, _ = rows
    estimator, words = model
    calibrated = copy.deepcopy(estimator).calibrate(X, words)
    plain = FocalLossDisplay.from_estimator(estimator, X, words)
    display = FocalLossDisplay.from_estimator(calibrated, X, words)
    np.testing.assert_array_equal(display.raw_prediction, plain.raw_prediction)
