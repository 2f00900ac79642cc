"""The picture of a model in service."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from figures import pixels, texts_are_apart
from sklearn.linear_model import LogisticRegression

from focal_gbm.metrics import calibration_by_period
from focal_gbm.plotting import CalibrationByPeriodDisplay

pytestmark = pytest.mark.usefixtures("closed")
draw = CalibrationByPeriodDisplay.from_predictions


@pytest.fixture(scope="module")
def rows():
    """Eight weeks; from the fifth on, twice too many predicted and no ranking."""
    rng = np.random.default_rng(0)
    p, week = rng.beta(1, 20, 16_000), np.arange(16_000) // 2000
    y = rng.random(16_000) < p
    p = np.where(week < 4, p, 2 * rng.permutation(p)).clip(0, 1)
    time = pd.Timestamp("2024-03-01", tz="Europe/Berlin") + pd.to_timedelta(
        week * 7, "D"
    )
    return y, p, time


def bars_of(display):
    """Return the ends of the bars."""
    return np.array([path[:, 1] for path in display.bars_.lines[2][0].get_segments()]).T


def test_picture_shows_the_table(rows):
    display = draw(*rows, reference=(0.1, 0.3), name="ours")
    table = calibration_by_period(*rows, reference=(0.1, 0.3))
    pd.testing.assert_frame_equal(display.table, table)
    low, high = bars_of(display)
    np.testing.assert_allclose(low, table["low"])
    np.testing.assert_allclose(high, table["high"])
    np.testing.assert_array_equal(display.marks_.get_ydata(), table["ratio"])
    np.testing.assert_array_equal(display.line_.get_ydata(), table["average_precision"])
    assert set(table["advice"]) == {"none", "retrain"}
    calibrate, retrain = display.rings_
    assert len(calibrate.get_xdata()) == 0
    assert len(retrain.get_xdata()) == (table["advice"] == "retrain").sum() == 3
    (band,) = display.axes_[1].patches
    assert band.get_y() == 0.1
    assert band.get_height() == pytest.approx(0.2)
    assert display.axes_[1].get_ylim()[0] == 0
    assert 0.3 < display.axes_[1].get_ylim()[1] < 0.4
    for ax in display.axes_:
        assert texts_are_apart(ax)
    assert pixels(display.figure_)[..., :3].std() > 0.03


def test_rings_where_a_calibrator_is_due(rows):
    display = draw(*rows)
    calibrate, retrain = display.rings_
    wanted = (display.table["advice"] == "calibrate").to_numpy()
    assert wanted.sum() == 3
    ratio = display.table["ratio"].to_numpy()
    np.testing.assert_array_equal(calibrate.get_ydata(), ratio[wanted])
    assert len(retrain.get_xdata()) == 0
    assert not display.axes_[1].patches


def test_ratios_that_have_no_place():
    """Periods without positives, or of probability 0, are marked at an edge."""
    y, p, day = [0, 1, 1, 0], [0.1, 0.0, 0.9, 0.1], [0, 7, 14, 14]
    display = draw(y, p, day)
    up, down = (
        next(line for line in display.axes_[0].lines if line.get_marker() == m)
        for m in "^v"
    )
    assert up.get_xdata().tolist() == [0]
    assert down.get_xdata().tolist() == [7]
    low, high = bars_of(display)
    bottom, top = display.axes_[0].get_ylim()
    assert high[0] > top > low[0]
    assert low[1] < bottom
    assert bottom < 1 < top
    display.figure_.canvas.draw()


@pytest.mark.parametrize("y", [0, 1])
def test_one_period_of_zeros(y):
    display = draw([y], [0.0], [0])
    display.figure_.canvas.draw()
    assert display.axes_[0].get_ylim() == pytest.approx((0.5 / 1.2, 2.4))


@pytest.mark.parametrize(
    "convert", [lambda day: day, lambda day: pd.to_timedelta(day, "D")]
)
def test_times_without_dates(convert):
    display = draw([0, 1] * 10, [0.2, 0.8] * 10, convert(np.arange(20)))
    assert display.line_.get_xdata().tolist() == [0, 7, 14]


def test_several_models_share_axes(rows):
    y, p, time = rows
    first = draw(y, p, time, name="a")
    bottom, top = first.axes_[0].get_ylim()
    second = draw(y, p / 5, time, name="b", ax=first.axes_)
    assert second.axes_[0] is first.axes_[0]
    assert second.axes_[0].get_ylim()[0] < bottom
    assert second.axes_[0].get_ylim()[1] >= top
    texts = [text.get_text() for text in first.axes_[0].get_legend().get_texts()]
    assert texts == ["a", "b"]
    assert first.line_.get_color() != second.line_.get_color()


def test_of_an_estimator(rows):
    y, p, time = rows
    words = np.where(y, "fraud", "none")
    X = np.log(p + 1e-6)[:, None]
    model = LogisticRegression().fit(X, words)
    display = CalibrationByPeriodDisplay.from_estimator(
        model, X, words, time, pos_label="fraud", period=14
    )
    p = model.predict_proba(X)[:, 0]
    pd.testing.assert_frame_equal(
        display.table, calibration_by_period(y, p, time, period=14)
    )
    assert display.name == "LogisticRegression"


def test_bad_input(rows):
    with pytest.raises(TypeError, match="estimator must be a fitted classifier"):
        CalibrationByPeriodDisplay.from_estimator("model", [[0]], [0], [0])
    with pytest.raises(ValueError, match="ax must be two axes, got 1"):
        draw(*rows, ax=plt.gca())
    with pytest.raises(ValueError, match="table has no column 'ratio'"):
        CalibrationByPeriodDisplay(pd.DataFrame({"period": [0]})).plot()
    with pytest.raises(TypeError, match="unexpected keyword argument 'perod'"):
        draw(*rows, perod=7)
