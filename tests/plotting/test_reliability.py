"""Predicted against observed rates: bins, weights, intervals, and marks at the edge."""

from __future__ import annotations

import numpy as np
import pytest
from figures import pixels, texts_are_apart
from mpmath import betainc
from scipy.special import expit

from focal_gbm.plotting import (
    ReliabilityDisplay,
)

pytestmark = pytest.mark.usefixtures("closed")


def bins_of(y, p, weight, predicted):
    """Return sums of each bin, in a loop: rows in the order of their probability fill a
    bin until their mean is what the display says; it grows with each row."""
    sums, row = [], 0
    rows = sorted(range(len(p)), key=lambda i: p[i])
    for mean in predicted:
        total = positive = of_p = 0.0
        while row < len(rows) and (total == 0 or of_p / total < mean * (1 - 1e-9)):
            i = rows[row]
            total += weight[i]
            positive += weight[i] * y[i]
            of_p += weight[i] * p[i]
            row += 1
        assert of_p / total == pytest.approx(mean, rel=1e-9)
        sums.append((total, positive))
    assert row == len(rows)
    return sums


@pytest.mark.parametrize("scale", ["log", "logit"])
def test_reliability(scale, drawn_rows, drawn_model):
    X, y, truth = drawn_rows
    estimator, words = drawn_model
    display = ReliabilityDisplay.from_predictions(
        y, truth, n_bins=8, scale=scale, name="truth"
    )
    assert len(display.predicted) == 8
    # each bin has an eighth of the positives
    for _, positive in bins_of(y, truth, np.ones(len(y)), display.predicted):
        assert positive == pytest.approx(y.sum() / 8, abs=1)
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


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n_bins", "confidence"), [(1, 0.95), (4, 0.5), (10, 0.99)])
def test_bins_and_intervals(weighted, n_bins, confidence):
    """Weights that are left out, or bins of equally many rows, draw a wrong picture
    that looks right."""
    rng = np.random.default_rng(1)
    p = rng.beta(0.4, 8, 3000)
    y = rng.random(3000) < p**1.3
    weight = rng.integers(1, 5, 3000) if weighted else np.ones(3000)
    display = ReliabilityDisplay.from_predictions(
        y,
        p,
        n_bins=n_bins,
        confidence=confidence,
        sample_weight=weight if weighted else None,
    )
    assert len(display.predicted) == n_bins
    assert display.rate == pytest.approx((weight @ y) / weight.sum())
    share = (weight @ y) / n_bins
    at_once = float(weight.max())  # a positive belongs to one bin with all its weight
    sums = bins_of(y, p, weight, display.predicted)
    for at, (total, positive) in enumerate(sums):
        assert positive == pytest.approx(share, abs=at_once)
        assert display.observed[at] == pytest.approx(positive / total)
        a, b = positive + 0.5, total - positive + 0.5
        for end, chance in (
            (display.low[at], (1 - confidence) / 2),
            (display.high[at], (1 + confidence) / 2),
        ):
            below = betainc(a, b, 0, float(end), regularized=True)
            assert float(below) == pytest.approx(chance, rel=1e-6)
    line, _, (bars,) = display.line_.lines
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    edge = 1.1 * display.ax_.get_ylim()[0]  # what lies below is drawn at the edge
    for drawn, values in (
        (line.get_xdata(), display.predicted),
        (line.get_ydata(), display.observed),
        (ends[:, 0], display.low),
        (ends[:, 1], display.high),
    ):
        is_inside = values > edge
        assert is_inside.mean() > 0.5
        np.testing.assert_allclose(drawn[is_inside], values[is_inside])


def test_reliability_of_weights_and_ties():
    y = np.array([0, 0, 1, 0, 1, 1])
    p = np.array([0.1, 0.1, 0.1, 0.6, 0.6, 0.6])
    weight = [2, 2, 1, 1, 1, 1]
    display = ReliabilityDisplay.from_predictions(y, p, n_bins=1, sample_weight=weight)
    assert display.predicted == pytest.approx([(5 * 0.1 + 3 * 0.6) / 8])
    assert display.observed == pytest.approx([3 / 8])
    assert display.rate == pytest.approx(3 / 8)
    display = ReliabilityDisplay.from_predictions(y, p, n_bins=3, sample_weight=weight)
    assert display.observed.sum() > 0
    total = ReliabilityDisplay.from_predictions(y, p, n_bins=1)
    assert total.predicted == pytest.approx([p.mean()])
    assert total.observed == pytest.approx([0.5])
    assert total.rate == pytest.approx(0.5)


def test_a_bin_for_each_positive():
    y, p = np.tile([0, 1], 4), np.arange(1, 9) / 10
    display = ReliabilityDisplay.from_predictions(y, p, n_bins=4)
    np.testing.assert_allclose(display.predicted, [0.15, 0.35, 0.55, 0.75])
    np.testing.assert_allclose(display.observed, 0.5)
    one = ReliabilityDisplay.from_predictions([0, 0, 1], [0.1, 0.2, 0.6], n_bins=4)
    np.testing.assert_allclose(one.predicted, [0.3])
    np.testing.assert_allclose(one.observed, [1 / 3])


def test_ties_are_not_cut_by_the_order_of_rows():
    first = ReliabilityDisplay.from_predictions([1, 0, 1, 0], [0.1] * 4, n_bins=2)
    other = ReliabilityDisplay.from_predictions([0, 0, 1, 1], [0.1] * 4, n_bins=2)
    np.testing.assert_allclose(first.observed, other.observed)


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


def test_room_at_the_edge_does_not_grow(drawn_rows):
    _, y, truth = drawn_rows
    display = ReliabilityDisplay.from_predictions(y, truth, scale="logit")
    limits = display.ax_.get_xlim()
    for _ in range(5):
        ReliabilityDisplay.from_predictions(y, truth, scale="logit", ax=display.ax_)
    assert display.ax_.get_xlim() == pytest.approx(limits)
