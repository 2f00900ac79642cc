"""The curve of alerts."""

from __future__ import annotations

import numpy as np
import pytest
from figures import pixels, texts_are_apart

from focal_gbm.metrics import precision_at_alert_rate, recall_at_alert_rate
from focal_gbm.plotting import (
    AlertCurveDisplay,
)

pytestmark = pytest.mark.usefixtures("closed")


def test_alert_curve(drawn_rows, drawn_model):
    X, y, _ = drawn_rows
    estimator, words = drawn_model
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


def test_alert_curve_of_days(drawn_rows):
    """The number of different days is that which the rows cover."""
    _, y, truth = drawn_rows
    day = np.datetime64("2025-03-01") + np.arange(len(y)) // 2000
    counted = AlertCurveDisplay.from_predictions(y, truth, day=day, budget=30)
    given = AlertCurveDisplay.from_predictions(y, truth, n_days=10, budget=30)
    np.testing.assert_array_equal(counted.alerts, given.alerts)
    legends = [d.ax_.get_legend().get_texts()[0].get_text() for d in (counted, given)]
    assert legends[0] == legends[1]
    assert "model: recall 0." in legends[0]
    assert ", precision 0." in legends[0]


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (0.9, "tree"),
        (1.0, "tree: recall 0.50, precision 1.00 at budget"),
        (1.9, "tree: recall 0.50, precision 1.00 at budget"),
        (2.0, "tree: recall 1.00, precision 0.75 at budget"),
        (9.0, "tree: recall 1.00, precision 0.75 at budget"),
        (None, "tree"),
    ],
)
def test_what_is_drawn_at_a_budget(budget, said):
    """The first threshold is reached by a budget of its alerts, and none by less."""
    alerts, recall, precision = map(np.array, ([1.0, 2.0], [0.5, 1.0], [1.0, 0.75]))
    display = AlertCurveDisplay(alerts, recall, precision, budget=budget, name="tree")
    ax = display.plot().ax_
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [said]
    for line, values in zip(display.lines_, (recall, precision), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), alerts)
        np.testing.assert_array_equal(line.get_ydata(), values)
    low, high = ax.get_ylim()
    assert low <= 0
    assert high > 1
    others = [line for line in ax.lines if line not in display.lines_]
    if budget is None:
        assert others == []
        return
    border, *marks = others
    np.testing.assert_array_equal(border.get_xdata(), budget)
    for mark in marks:
        np.testing.assert_array_equal(mark.get_xdata(), budget)
        assert said.endswith(
            "recall {:.2f}, precision {:.2f} at budget".format(*mark.get_ydata())
        )
    assert bool(marks) == (budget >= 1)
