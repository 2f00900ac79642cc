"""The picture of the loss and of its derivatives."""

from __future__ import annotations

import copy

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import pixels, texts_are_apart

from focal_gbm import FocalLoss
from focal_gbm.plotting import (
    FocalLossDisplay,
)

pytestmark = pytest.mark.usefixtures("closed")


def test_loss(drawn_rows, drawn_model):
    X, y, _ = drawn_rows
    estimator, words = drawn_model
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


@pytest.mark.parametrize("gammas", [2.0, [], None, [[1.0, 2.0]]])
def test_gammas_are_a_sequence(gammas):
    with pytest.raises(TypeError, match="gammas must be a sequence such as"):
        FocalLossDisplay(gammas=gammas)


def test_marks_of_a_calibrated_estimator_are_raw_scores(drawn_rows, drawn_model):
    X, _, _ = drawn_rows
    estimator, words = drawn_model
    calibrated = copy.deepcopy(estimator).calibrate(X, words)
    plain = FocalLossDisplay.from_estimator(estimator, X, words)
    display = FocalLossDisplay.from_estimator(calibrated, X, words)
    np.testing.assert_array_equal(display.raw_prediction, plain.raw_prediction)
