"""Calibration of log-odds: monotone maps fitted to labels, and corrections for a known
change of the fraud rate.

Calibrators have ``fit(log_odds, y, sample_weight)`` and ``predict(log_odds)``; both
take log-odds of class 1, not probabilities, and ``predict`` returns them.
:class:`LogOddsCalibrator` also takes labels that arrive late, by ``label_maturity``.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import logit
from sklearn.base import BaseEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.validation import check_is_fitted

from focal_gbm._doc_links import DocLinkMixin
from focal_gbm._validation import (
    Float64Array,
    check_count,
    check_finite_vector,
    check_known,
    check_labels,
    check_maturity,
    check_option,
    check_real,
    check_scores,
    check_weights,
)
from focal_gbm.loss import FocalLoss

METHODS = ("intercept", "platt", "beta", "quadratic", "isotonic", "auto")
# By rising flexibility: "auto" moves on only where cross-validation shows a gain.
_CANDIDATES = ("identity", *METHODS[:-1])
_FEW_POSITIVES = 50  # fewer cannot determine a slope
_LIMIT = 700.0  # exp of more overflows
_LOG_LOSS = FocalLoss(gamma=0.0)
_EM_ROUNDS, _EM_TOLERANCE = 500, 1e-6
_BELOW_ONE = 1.0 - 2.0**-53


class _Scale(NamedTuple):
    """Locations of the scores of the two classes, fixed when a map is fitted."""

    centre: float
    low: float
    high: float


def _intercept(x: Float64Array, _: _Scale) -> Float64Array:
    return np.column_stack([np.ones_like(x)])


def _platt(x: Float64Array, scale: _Scale) -> Float64Array:
    return np.column_stack([np.ones_like(x), x - scale.centre])


def _beta(x: Float64Array, _: _Scale) -> Float64Array:
    return np.column_stack(
        [np.ones_like(x), -np.logaddexp(0.0, -x), np.logaddexp(0.0, x)]
    )


def _quadratic(x: Float64Array, scale: _Scale) -> Float64Array:
    """Return the integrals of a slope that falls linearly from low to high and of a
    slope that grows linearly; both are straight lines beyond."""
    width = scale.high - scale.low
    t = np.clip((x - scale.low) / width, 0.0, 1.0)
    falling = width * (t - t * t / 2) + np.minimum(x - scale.low, 0.0)
    growing = width * t * t / 2 + np.maximum(x - scale.high, 0.0)
    return np.column_stack([np.ones_like(x), falling, growing])


# The calibrated log-odds are x + basis(x) @ coef: coef 0 is the identity, and slopes
# stay >= 0 where every coefficient but the intercept's is >= -1.
_BASES: dict[str, Callable[[Float64Array, _Scale], Float64Array]] = {
    "intercept": _intercept,
    "platt": _platt,
    "beta": _beta,
    "quadratic": _quadratic,
}


class LogOddsCalibrator(DocLinkMixin, BaseEstimator):
    """Monotone map from log-odds to log-odds, fitted to labels by log-loss.

    Use it to correct the probabilities of a model with labels of rows on which the
    model was not trained. A parametric map is x plus a combination of a few functions
    of x. Bounds keep the map increasing. A ridge of one unit draws its coefficients to
    the identity, so that they stay finite on separable labels. The methods are:

    - "intercept": x + a
    - "platt": a + b x (Platt [1]_ on log-odds, where the map of calibrated scores is
      the identity)
    - "beta": a - b softplus(-x) + c softplus(x) (Kull et al. [2]_)
    - "quadratic": a curve whose slope is linear between the scores of the classes
    - "isotonic": steps; probabilities stay half a row away from 0 and 1
    - "auto": the identity or the method above with the lowest cross-validated
      log-loss. A more flexible map must be better by one standard error. With fewer
      than 50 positives the choice is between the identity and "intercept", and a
      warning names the result: so few positives cannot determine a slope.

    Parameters
    ----------
    method : {"intercept", "platt", "beta", "quadratic", "isotonic", "auto"}, \
default="auto"
        Form of the map.
    cv : int >= 2, default=5
        Number of stratified folds with ``method="auto"``; at most the number of rows of
        the rarer class.

    Attributes
    ----------
    method_ : str
        The method in use, "identity" included.
    coef_ : ndarray of shape (n_coefficients,), float64
        Coefficients of a parametric map, as deviations from the identity; empty with
        "identity" and "isotonic".

    See Also
    --------
    focal_gbm.PriorShift :
        Correction for a known change of the fraud rate, without labels.
    focal_gbm.metrics.calibration_slope : Slope below 1 where a model over-fits.
    focal_gbm.plotting.ReliabilityDisplay : Picture of observed against predicted rates.

    References
    ----------
    .. [1] J. Platt. Probabilistic outputs for support vector machines and comparisons
       to regularized likelihood methods. Advances in Large Margin Classifiers, 1999.
    .. [2] M. Kull, T. Silva Filho, P. Flach. Beta calibration: a well-founded and
       easily implemented improvement on logistic calibration for binary classifiers.
       AISTATS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from focal_gbm import LogOddsCalibrator
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(-3, 2, 20_000)
    >>> y = rng.random(20_000) < 1 / (1 + np.exp(1 - 0.5 * x))  # truth: x / 2 - 1
    >>> calibrator = LogOddsCalibrator("platt").fit(x, y)
    >>> bool(abs(calibrator.predict([-4.0])[0] + 3.0) < 0.1)
    True
    """

    def __init__(self, method: str = "auto", *, cv: int = 5) -> None:
        self.method = method
        self.cv = cv

    def fit(
        self,
        log_odds: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        label_maturity: ArrayLike | None = None,
    ) -> LogOddsCalibrator:
        """Fit the map to labels.

        Parameters
        ----------
        log_odds : array-like of shape (n_samples,)
            Finite log-odds of class 1, of rows on which the model was not trained.
        y : array-like of shape (n_samples,)
            Labels 0 and 1; both must occur with a weight > 0.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0, not all 0; None: 1 each. Only their ratios matter.
        label_maturity : array-like of shape (n_samples,) or None, default=None
            Values in (0, 1]: the probability that a positive of the row would be known
            by now. The map is then that of the true class, fitted by the log-loss of
            the labels seen (formulas: :class:`FocalLoss`). None: 1 each.

        Returns
        -------
        self : LogOddsCalibrator

        Raises
        ------
        TypeError
            If ``cv`` is not a number.
        ValueError
            If a value of ``log_odds`` is not finite, a label is not 0 or 1, one class
            is missing, a weight is negative or not finite, a maturity is outside (0, 1]
            or fewer positives could be known by the maturities than are, lengths
            differ, ``method`` is unknown, or ``cv`` is not a whole number >= 2.

        Warns
        -----
        UserWarning
            If ``method`` is "auto" and fewer than 50 positives have a weight > 0.

        Examples
        --------
        >>> from focal_gbm import LogOddsCalibrator
        >>> calibrator = LogOddsCalibrator("intercept").fit([0.0] * 4, [0, 0, 0, 1])
        >>> calibrator.coef_.round(3)                    # log(1 / 3)
        array([-1.099])
        """
        check_option(self.method, "method", METHODS)
        folds = check_count(self.cv, "cv", low=2)
        x = check_finite_vector(log_odds, "log_odds")
        labels = check_labels(y, len(x))
        checked = check_weights(sample_weight, len(x))
        weight = np.ones_like(x) if checked is None else checked
        maturity = check_maturity(label_maturity, len(x))
        n_positive = int(((labels > 0) & (weight > 0)).sum())
        n_negative = int(((labels == 0) & (weight > 0)).sum())
        if not n_positive or not n_negative:
            msg = (
                f"y must hold both classes, got {n_positive} rows of class 1 and "
                f"{n_negative} of class 0 with a weight"
            )
            raise ValueError(msg)
        # mean 1, so that the ridge of one unit weighs the same at any scale of weights
        weight = weight * (np.count_nonzero(weight) / weight.sum())
        check_known(float(weight.sum(where=labels > 0)), weight, maturity)
        method = self.method
        if method == "auto":
            candidates = (
                _CANDIDATES if n_positive >= _FEW_POSITIVES else _CANDIDATES[:2]
            )
            folds = min(folds, n_positive, n_negative)
            method = _choose(candidates, x, labels, weight, maturity, folds)
            if n_positive < _FEW_POSITIVES:
                msg = (
                    f"method='auto' has {n_positive} positives; fewer than "
                    f"{_FEW_POSITIVES} cannot determine a slope, so that only "
                    f"'identity' and 'intercept' are candidates, and {method!r} was "
                    "chosen; wait for more labels, or set method to fit another map"
                )
                warnings.warn(msg, UserWarning, stacklevel=2)
        self.method_ = method
        self._map = _fit(method, x, labels, weight, maturity)
        self.coef_ = getattr(self._map, "coef", np.empty(0))
        return self

    def predict(self, log_odds: ArrayLike) -> Float64Array:
        """Return the calibrated log-odds.

        Parameters
        ----------
        log_odds : array-like of shape (n_samples,)
            Log-odds of class 1. Values beyond -700 and 700, infinity included, are
            clipped; NaN is refused.

        Returns
        -------
        log_odds : ndarray of shape (n_samples,), float64
            Finite and non-decreasing in the input; strictly increasing except with
            "isotonic" and with slopes at their bound of 0.

        Raises
        ------
        NotFittedError
            If ``fit`` has not been called.
        ValueError
            If a value is NaN.

        Examples
        --------
        >>> from focal_gbm import LogOddsCalibrator
        >>> calibrator = LogOddsCalibrator("intercept").fit([0.0] * 4, [0, 0, 0, 1])
        >>> calibrator.predict([0.0, 1.0]).round(3)
        array([-1.099, -0.099])
        """
        check_is_fitted(self, "method_")
        x = check_scores(log_odds, "log_odds")
        calibrated: Float64Array = self._map(np.clip(x, -_LIMIT, _LIMIT))
        return calibrated


def _unmoved(x: Float64Array) -> Float64Array:
    return x


class _Parametric(NamedTuple):
    """The fitted map of a parametric method."""

    method: str
    scale: _Scale
    coef: Float64Array

    def __call__(self, x: Float64Array) -> Float64Array:
        calibrated: Float64Array = x + _BASES[self.method](x, self.scale) @ self.coef
        return calibrated


class _Steps(NamedTuple):
    """The fitted map of "isotonic"."""

    steps: IsotonicRegression
    margin: float  # least distance to probability 0
    top: float | None = None  # least distance to probability 1; None: the same

    def __call__(self, x: Float64Array) -> Float64Array:
        top = self.margin if self.top is None else self.top
        # as predict of the steps, which refuses no rows at all
        p = np.interp(x, self.steps.X_thresholds_, self.steps.y_thresholds_)
        calibrated: Float64Array = logit(np.clip(p, self.margin, 1.0 - top))
        return calibrated


def _fit(
    method: str,
    x: Float64Array,
    y: Float64Array,
    weight: Float64Array,
    maturity: Float64Array | None,
) -> Any:
    """Return the fitted map of a method, a callable from log-odds to log-odds."""
    if method == "identity":
        return _unmoved
    if method == "isotonic":
        steps = _steps(x, y, weight, maturity)
        total = float(weight.sum())
        # half a row of the class, by its mean weight: log-odds of 0 and 1 are infinite
        low, top = (
            0.5 * w / (total + w)
            for w in (
                weight[(y > 0) & (weight > 0)].mean(),
                weight[(y == 0) & (weight > 0)].mean(),
            )
        )
        return _Steps(steps, low, top)
    used = weight > 0
    negative, positive = x[used & (y == 0)], x[used & (y > 0)]
    # quantiles, so that one outlying score does not move the ends of the curve
    low = float(np.quantile(negative, 0.05))
    high = max(float(np.quantile(positive, 0.95)), low + 1.0)
    scale = _Scale(float(positive.mean()), low, high)
    basis = _BASES[method](x, scale)
    ridge = np.ones(basis.shape[1])
    ridge[0] = 0.0  # the intercept is free

    def objective(coef: Float64Array) -> tuple[float, Float64Array]:
        calibrated = x + basis @ coef
        slope = weight * _LOG_LOSS.gradient(y, calibrated, None, maturity)
        loss = (weight * _row_losses(calibrated, y, maturity)).sum()
        penalty = 0.5 * (ridge * coef**2).sum()
        return float(loss + penalty), slope @ basis + ridge * coef

    # deviations of at least -1 from slopes of 1: the map cannot decrease
    bounds = [(None, None)] + [(-1.0, None)] * (len(ridge) - 1)
    solution = minimize(
        objective,
        np.zeros(len(ridge)),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"ftol": 1e-14, "gtol": 1e-6, "maxiter": 500},
    )
    return _Parametric(method, scale, solution.x)


def _row_losses(
    calibrated: Float64Array, y: Float64Array, maturity: Float64Array | None
) -> Float64Array:
    """Return the log-loss of each row at log-odds ``calibrated``."""
    return _LOG_LOSS.loss(y, calibrated, None, maturity)


def _steps(
    x: Float64Array,
    y: Float64Array,
    weight: Float64Array,
    maturity: Float64Array | None,
) -> IsotonicRegression:
    """Return the non-decreasing steps of highest likelihood.

    With late labels by the EM algorithm: a row seen as 0 is a positive with the
    probability p (1 - c) / (1 - c p), and the steps are fitted to these probabilities
    in turn.
    """
    steps = IsotonicRegression(out_of_bounds="clip").fit(x, y, weight)
    if maturity is None:
        return steps
    fitted = np.minimum(steps.predict(x), _BELOW_ONE)
    for _ in range(_EM_ROUNDS):
        hidden = fitted * (1.0 - maturity) / (1.0 - maturity * fitted)
        steps.fit(x, np.where(y > 0, 1.0, hidden), weight)
        before, fitted = fitted, np.minimum(steps.predict(x), _BELOW_ONE)
        if np.abs(fitted - before).max() < _EM_TOLERANCE:
            break
    return steps


def _choose(
    candidates: tuple[str, ...],
    x: Float64Array,
    y: Float64Array,
    weight: Float64Array,
    maturity: Float64Array | None,
    folds: int,
) -> str:
    """Return the simplest method that no other beats by a standard error."""
    if folds < 2:  # one row of a class: nothing is left to validate on
        return "identity"
    losses = {method: np.empty_like(x) for method in candidates}
    splitter = StratifiedKFold(folds, shuffle=True, random_state=0)
    # a stratum of their own: rows without weight are not to unbalance the folds
    strata = np.where(weight > 0, y, 2)
    for train, test in splitter.split(x, strata):
        for method, loss in losses.items():
            of_rows = None if maturity is None else maturity[train]
            fitted = _fit(method, x[train], y[train], weight[train], of_rows)
            of_rows = None if maturity is None else maturity[test]
            loss[test] = _row_losses(fitted(x[test]), y[test], of_rows)
    chosen = candidates[0]
    for method in candidates[1:]:
        gain = losses[chosen] - losses[method]
        mean = np.average(gain, weights=weight)
        error = math.sqrt(((weight * (gain - mean)) ** 2).sum()) / weight.sum()
        if mean > error:
            chosen = method
    return chosen


class PriorShift(DocLinkMixin, BaseEstimator):
    """Correction of log-odds for a fraud rate that differs from that of training.

    Use it if negatives were dropped for training, or if the fraud rate has changed. If
    negatives were kept with probability beta, the log-odds of the model are too high by
    -log(beta) [1]_. If the fraud rate has changed and frauds look as before, the
    log-odds are off by the difference of the logits of the two rates [2]_. The
    correction is a constant that follows from the parameters alone.

    Parameters
    ----------
    kept_negatives : float in (0, 1], default=1.0
        Share of the negatives that was kept for training.
    rates : (float, float) or None, default=None
        Fraud rate of the training rows before negatives were dropped, and fraud rate of
        the rows to be scored; each in (0, 1). None: both are the same.

    Attributes
    ----------
    constant_ : float
        Constant that is added to every log-odds.

    See Also
    --------
    focal_gbm.LogOddsCalibrator : Calibrator that is fitted to labels.
    focal_gbm.metrics.calibration_in_the_large : Predicted over observed positives.

    References
    ----------
    .. [1] A. Dal Pozzolo, O. Caelen, R. A. Johnson, G. Bontempi. Calibrating
       probability with undersampling for unbalanced classification. CIDM 2015, eq. 4.
    .. [2] C. Elkan. The foundations of cost-sensitive learning. IJCAI 2001, Theorem 2.

    Examples
    --------
    >>> from focal_gbm import PriorShift
    >>> shift = PriorShift(kept_negatives=0.1, rates=(0.01, 0.02))
    >>> shift.predict([0.0]).round(4)
    array([-1.5993])
    """

    def __init__(
        self,
        *,
        kept_negatives: float = 1.0,
        rates: tuple[float, float] | None = None,
    ) -> None:
        self.kept_negatives = kept_negatives
        self.rates = rates

    # A property: it must follow set_params, and predict works without fit.
    @property
    def constant_(self) -> float:
        """Return the constant that is added to every log-odds."""
        kept = check_real(self.kept_negatives, "kept_negatives", low=0.0, high=1.0)
        if kept == 0.0:
            msg = "kept_negatives must be > 0, got 0.0"
            raise ValueError(msg)
        constant = math.log(kept)
        if self.rates is not None:
            if not isinstance(self.rates, (tuple, list)) or len(self.rates) != 2:
                msg = (
                    "rates must be the pair of the fraud rates of training and of "
                    f"scoring, got {self.rates!r}"
                )
                raise ValueError(msg)
            before, after = (
                check_real(rate, "rates", low=0.0, high=1.0, open_ends=True)
                for rate in self.rates
            )
            constant += float(logit(after) - logit(before))
        return constant

    def fit(
        self,
        log_odds: Any = None,  # noqa: ARG002 - nothing is learnt
        y: Any = None,  # noqa: ARG002
        sample_weight: Any = None,  # noqa: ARG002
    ) -> PriorShift:
        """Check the parameters; nothing is learnt from data.

        Parameters
        ----------
        log_odds, y, sample_weight
            Not used; present for the interface of calibrators.

        Returns
        -------
        self : PriorShift

        Raises
        ------
        TypeError
            If ``kept_negatives`` or a rate is not a number.
        ValueError
            If ``kept_negatives`` or a rate is out of range, or ``rates`` is not a pair.

        Examples
        --------
        >>> from focal_gbm import PriorShift
        >>> round(PriorShift(kept_negatives=0.1).fit().constant_, 4)
        -2.3026
        """
        _ = self.constant_  # reading the property runs the checks
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True  # predict reads the parameters alone

    def predict(self, log_odds: ArrayLike) -> NDArray[np.float64]:
        """Return the corrected log-odds.

        Parameters
        ----------
        log_odds : array-like of shape (n_samples,)
            Log-odds of class 1; NaN is refused.

        Returns
        -------
        log_odds : ndarray of shape (n_samples,), float64
            Input plus ``constant_``.

        Raises
        ------
        TypeError
            If ``kept_negatives`` or a rate is not a number.
        ValueError
            If a value is NaN, or a parameter is out of range.

        Examples
        --------
        >>> from focal_gbm import PriorShift
        >>> PriorShift(rates=(0.01, 0.02)).predict([0.0, -1.0]).round(4)
        array([ 0.7033, -0.2967])
        """
        return check_scores(log_odds, "log_odds") + self.constant_


def state_of(calibrator: Any) -> dict[str, Any] | None:
    """Return a calibrator of this module as plain numbers and strings, None for any
    other object."""
    # the exact type: a subclass may hold more than is written here
    if type(calibrator) is PriorShift:
        rates = calibrator.rates
        return {
            "type": "PriorShift",
            "parameters": {
                "kept_negatives": float(calibrator.kept_negatives),
                "rates": None if rates is None else [float(rate) for rate in rates],
            },
        }
    if type(calibrator) is not LogOddsCalibrator:
        return None
    state: dict[str, Any] = {
        "type": "LogOddsCalibrator",
        "parameters": {
            "method": str(calibrator.method),
            "cv": check_count(calibrator.cv, "cv", low=2),
        },
        "method": calibrator.method_,
    }
    fitted = calibrator._map
    if isinstance(fitted, _Parametric):
        state |= {"scale": [*fitted.scale], "coef": fitted.coef.tolist()}
    elif isinstance(fitted, _Steps):
        steps = fitted.steps
        state |= {
            "x": steps.X_thresholds_.tolist(),
            "y": steps.y_thresholds_.tolist(),
            "margin": fitted.margin,
            "top": fitted.top,
        }
    return state


def map_of(calibrator: Any) -> Callable[[Any], Any] | None:
    """Return the map of a calibrator of this module as a function of log-odds, made of
    functions of NumPy and SciPy alone; None for any other object."""
    if type(calibrator) is PriorShift:
        return lambda x: x + calibrator.constant_
    if type(calibrator) is LogOddsCalibrator:
        return lambda x: calibrator._map(np.clip(x, -_LIMIT, _LIMIT))
    return None


def from_state(state: Mapping[str, Any] | None) -> Any:
    """Return the calibrator of a state from :func:`state_of`, None for None."""
    if state is None:
        return None
    if state["type"] == "PriorShift":
        return PriorShift(**state["parameters"])
    calibrator = LogOddsCalibrator(**state["parameters"])
    calibrator.method_ = state["method"]
    fitted: Any = _unmoved
    if "coef" in state:
        coef = np.asarray(state["coef"], dtype=np.float64)
        fitted = _Parametric(state["method"], _Scale(*state["scale"]), coef)
    elif "x" in state:
        # thresholds are monotone, so that a fit to them returns them
        steps = IsotonicRegression(out_of_bounds="clip").fit(state["x"], state["y"])
        fitted = _Steps(steps, state["margin"], state["top"])
    calibrator._map = fitted
    calibrator.coef_ = getattr(fitted, "coef", np.empty(0))
    return calibrator
