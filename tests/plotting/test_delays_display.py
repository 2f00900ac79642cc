"""The picture of reporting delays."""

from __future__ import annotations

import numpy as np
import pytest
from figures import pixels, texts_are_apart

from focal_gbm.delays import ReportingDelay
from focal_gbm.plotting import ReportingDelayDisplay

pytestmark = pytest.mark.usefixtures("closed")


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    delay, span = rng.gamma(2, 8, 1000), rng.uniform(0, 60, 1000)
    known = delay <= span
    groups = np.where(np.arange(1000) % 2, "app", "post")[known]
    return ReportingDelay().fit(delay[known], span[known], groups=groups)


def test_reporting_delay(fitted):
    display = ReportingDelayDisplay.from_estimator(fitted, level=0.9)
    x, y = display.line_.get_data()
    assert x[-1] == fitted.longest_
    np.testing.assert_array_equal(y, fitted.maturity(x))
    x, y = display.tail_line_.get_data()
    assert x[0] == fitted.longest_
    assert x[-1] == pytest.approx(1.25 * fitted.delays_[-1])
    np.testing.assert_array_equal(y, fitted.maturity(x))
    low, high = fitted.interval(display.age, level=0.9)
    np.testing.assert_array_equal(display.low, low)
    np.testing.assert_array_equal(display.high, high)
    # the plain distribution is above the curve in the middle: it is too short
    x, y = display.plain_line_.get_data()
    counts = [fitted.weights_[fitted.delays_ <= t].sum() for t in x]
    np.testing.assert_allclose(y, np.array(counts) / fitted.weights_.sum())
    assert (y > display.maturity + 0.02).mean() > 0.2
    assert texts_are_apart(display.ax_)
    assert pixels(display.figure_)[..., :3].std() > 0.03


def test_several_curves_share_axes(fitted):
    first = ReportingDelayDisplay.from_estimator(fitted.groups_["app"], name="app")
    ax = first.ax_
    second = ReportingDelayDisplay.from_estimator(
        fitted.groups_["post"], name="post", ax=ax, max_age=80, linewidth=3
    )
    assert second.ax_ is ax
    assert second.age[-1] == 80
    assert second.line_.get_linewidth() == 3
    assert first.line_.get_color() != second.line_.get_color()
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["app", "plain distribution", "post"]


def test_delays_of_zero():
    display = ReportingDelayDisplay.from_estimator(ReportingDelay().fit([0], [3]))
    assert display.age[-1] == 1.0
    np.testing.assert_array_equal(display.maturity, 1.0)


def test_bad_input(fitted):
    draw = ReportingDelayDisplay.from_estimator
    for wrong in (ReportingDelay(), "curve"):
        with pytest.raises(TypeError, match="estimator must be a fitted Reporting"):
            draw(wrong)
    with pytest.raises(ValueError, match=r"level must be .* got 2"):
        draw(fitted, level=2)
    with pytest.raises(ValueError, match=r"max_age must be .* got 0"):
        draw(fitted, max_age=0)
    with pytest.raises(ValueError, match="ax must be matplotlib axes"):
        draw(fitted, ax=3)
