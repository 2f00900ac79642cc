"""Predicted against observed rates: bins, weights, intervals, and marks at the edge."""

from __future__ import annotations

import numpy as np
import pytest
from figures import pixels, texts_are_apart
from scipy.special import expit

from focal_gbm.plotting import (
    ReliabilityDisplay,
)


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
