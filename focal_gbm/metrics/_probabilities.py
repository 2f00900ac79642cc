"""Measures of the calibration of probabilities: their level and their spread."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit

from focal_gbm._validation import (
    Float64Array,
    check_labels,
    check_probabilities,
)
from focal_gbm.calibration import LogOddsCalibrator
from focal_gbm.metrics._rows import scores_of, weights_of


def calibration_in_the_large(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
) -> float:
    """Return the mean predicted probability divided by the observed rate.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels: 0 and 1, booleans, or any two labels with ``pos_label``.
    y_prob : array-like of shape (n_samples,)
        Probabilities of the positive class, in [0, 1].
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of the positive class; None: 1, or True.

    Returns
    -------
    ratio : float >= 0
        1 if the level is right; 2 if twice as many positives are predicted as are
        observed; inf if there is no positive.

    Raises
    ------
    ValueError
        If a probability is not in [0, 1], a label is not one of two classes, a weight
        is negative or not finite, lengths differ, or there is no row.

    See Also
    --------
    focal_gbm.metrics.calibration_slope : Slope below 1 where a model over-fits.
    focal_gbm.metrics.calibration_by_period : The ratio in each period of service.
    focal_gbm.plotting.ReliabilityDisplay : Picture of observed against predicted rates.

    Examples
    --------
    >>> from focal_gbm.metrics import calibration_in_the_large
    >>> calibration_in_the_large([0, 0, 0, 1], [0.1, 0.1, 0.2, 0.6])
    1.0
    """
    p = check_probabilities(scores_of(y_prob, "y_prob"))
    y = check_labels(y_true, len(p), pos_label=pos_label)
    weight = weights_of(sample_weight, len(p))
    return float(ratio_of(np.average(p, weights=weight), np.average(y, weights=weight)))


def ratio_of(predicted: Any, observed: Any) -> Float64Array:
    """Return predicted over observed; inf where nothing is observed."""
    predicted, observed = np.asarray(predicted), np.asarray(observed)
    infinite = np.full(observed.shape, np.inf)
    ratio: Float64Array = np.divide(
        predicted, observed, out=infinite, where=observed > 0
    )
    return ratio


def calibration_slope(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
) -> float:
    """Return the slope of a logistic regression of labels on predicted log-odds.

    The slope [1]_ is 1 if the spread of the predictions is right, and below 1 if
    predictions are too extreme, for example because of over-fitting.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels of both classes: 0 and 1, booleans, or any two labels with ``pos_label``.
    y_prob : array-like of shape (n_samples,)
        Probabilities of the positive class, inside (0, 1).
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of the positive class; None: 1, or True.

    Returns
    -------
    slope : float >= 0
        Slope of the fit, which has an intercept and a ridge of one unit that draws the
        slope to 1.

    Raises
    ------
    ValueError
        If a class is missing, a probability is not inside (0, 1), a label is not one of
        two classes, a weight is negative or not finite, lengths differ, or there is no
        row.

    See Also
    --------
    focal_gbm.metrics.calibration_in_the_large : Predicted over observed positives.
    focal_gbm.LogOddsCalibrator : Corrects the slope.
    focal_gbm.plotting.ReliabilityDisplay : Picture of observed against predicted rates.

    References
    ----------
    .. [1] D. R. Cox. Two further applications of a model for binary regression.
       Biometrika 45, 1958.

    Examples
    --------
    >>> import numpy as np
    >>> from focal_gbm.metrics import calibration_slope
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(-2, 2, 50_000)
    >>> y = rng.random(50_000) < 1 / (1 + np.exp(-x))
    >>> bool(abs(calibration_slope(y, 1 / (1 + np.exp(-2 * x))) - 0.5) < 0.03)
    True
    """
    p = check_probabilities(scores_of(y_prob, "y_prob"))
    # refused, not clipped: the slope would depend on where to clip
    bad = (p == 0) | (p == 1)
    if bad.any():
        at = f"got {p[bad][0]} in row {int(bad.argmax())}; clip it or leave it out"
        msg = f"y_prob must lie inside (0, 1), its log-odds being finite, {at}"
        raise ValueError(msg)
    y = check_labels(y_true, len(p), pos_label=pos_label)
    weight = weights_of(sample_weight, len(p))
    calibrator = LogOddsCalibrator("platt").fit(logit(p), y, weight)
    # coefficients are deviations from the identity, whose slope is 1
    return float(1.0 + calibrator.coef_[1])
