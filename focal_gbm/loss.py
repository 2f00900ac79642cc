"""Focal loss in exact float64 arithmetic; knows nothing of boosters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from focal_gbm._kernels import cpu
from focal_gbm._kernels.formulas import Exact, ExactPosterior
from focal_gbm._kernels.rational import LARGEST_GAMMA
from focal_gbm._validation import (
    Float64Array,
    check_alpha,
    check_heaviest,
    check_labels,
    check_option,
    check_real,
    check_scores,
    check_weights,
    suggest_parameters,
)

LINKS = ("posterior", "logit")


@suggest_parameters
@dataclass(frozen=True)
class FocalLoss:
    r"""Binary focal loss and its exact derivatives.

    Domain: ``y_true`` in {0, 1}, ``raw_prediction`` any real number.

    With the own-class margin m = (2 y - 1) z, p = expit(m), q = 1 - p and
    l = -log p, focal loss [1]_ and its derivatives in the focal logit z are::

        loss      alpha_y q^gamma l
        gradient  -(2 y - 1) alpha_y q^gamma (gamma p l + q)
        Hessian   alpha_y q^gamma p (gamma l (gamma p - q) + (2 gamma + 1) q)

    Focal loss is not proper: expit(z) is no probability. Its minimiser and the
    posterior are tied by a closed form [2]_; on the log-odds scale, with
    rho(x) = exp(x) log1p(exp(-x)) and r = log(alpha_1 / alpha_0)::

        x = (1 + gamma) z + log1p(gamma rho(-z)) - log1p(gamma rho(z))
        f = x - r                                  the log-odds of class 1

    Written as a function of f, the same loss is log-loss with a weight that
    depends on f alone, omega(x) = (g_0 - g_1) / (dx/dz), where g_y is the gradient
    of a row of class y::

        gradient  -(2 y - 1) alpha_y omega(x) expit(-(2 y - 1) x)
        Hessian   alpha_y omega(x) expit(x) expit(-x)    (expected: Fisher scoring)

    Parameters
    ----------
    gamma : float in [0, 1000], default=2.0
        Focusing parameter; 0 is log-loss. On the log-odds scale, that of the default
        link, focal loss is log-loss with a weight that depends on the log-odds alone.
        Uncertain rows, whose log-odds are near 0, weigh less than the others (0.67
        times as much at gamma 2, 0.15 at gamma 5); confident rows keep their weight,
        be they right or wrong.
    alpha : float in (0, 1) or None, default=None
        Weight of class 1; class 0 weighs 1 - alpha. None: both weigh 1. It shapes
        the training and never shifts the probability.
    link : {"posterior", "logit"}, default="posterior"
        What ``raw_prediction`` is: f, the log-odds of class 1, or z, the classic
        form.

    Notes
    -----
    gamma = 0 : log-loss times alpha_y on both links; "logit" is then f + r.
    gamma > 0 : the Hessian of "logit" is negative on rows that are far missed.
    raw_prediction -> +-inf : the gradient tends to 0 for rows on the right side
    and to -+alpha_y (divided by 1 + gamma on "posterior") for missed ones.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar. Focal loss for dense
       object detection. ICCV 2017, eq. 4-5. arXiv:1708.02002
    .. [2] N. Charoenphakdee, J. Vongkulbhisal, N. Chairatanakul, M. Sugiyama. On
       focal loss for class-posterior probability estimation: a theoretical
       perspective. CVPR 2021, Theorem 11. arXiv:2011.09172

    Examples
    --------
    >>> from focal_gbm import FocalLoss
    >>> loss = FocalLoss(gamma=2.0, link="logit")
    >>> loss.loss([1, 0], [0.0, -3.0]).round(6)
    array([1.73287e-01, 1.09000e-04])
    >>> float(loss.probability([-2.5452])[0].round(4))   # expit(-2.5452) is 0.0727
    0.001
    """

    gamma: float = 2.0
    alpha: float | None = None
    link: str = "posterior"

    def __post_init__(self) -> None:
        gamma = check_real(self.gamma, "gamma", low=0.0, high=LARGEST_GAMMA)
        object.__setattr__(self, "gamma", gamma)
        object.__setattr__(self, "alpha", check_alpha(self.alpha))
        check_option(self.link, "link", LINKS)

    @property
    def class_weights(self) -> tuple[float, float]:
        """Weights of class 0 and class 1."""
        return (1.0, 1.0) if self.alpha is None else (1.0 - self.alpha, self.alpha)

    @property
    def shift(self) -> float:
        """Return log(alpha_1 / alpha_0), the log-odds that the class weights add."""
        weight_0, weight_1 = self.class_weights
        return math.log(weight_1 / weight_0)

    def loss(
        self,
        y_true: ArrayLike,
        raw_prediction: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> Float64Array:
        """Return the loss of each row, not averaged.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels, 0 or 1.
        raw_prediction : array-like of shape (n_samples,)
            Scores on the scale of ``link``.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite factors >= 0; None means 1.

        Returns
        -------
        loss : ndarray of shape (n_samples,), float64
            Infinite for an infinite score on the wrong side, or where the product with
            a weight is beyond float64.

        Raises
        ------
        ValueError
            If a label is not 0 or 1, a score is NaN, a weight is negative or not
            finite, or lengths differ.

        Examples
        --------
        >>> from focal_gbm import FocalLoss
        >>> FocalLoss(gamma=0.0).loss([0, 1], [0.0, 0.0]).round(4)
        array([0.6931, 0.6931])
        """
        score, y, weight = _checked(y_true, raw_prediction, sample_weight)
        if self.link == "posterior":
            score = _mapped(cpu.fill_raw_score, score + self.shift, self.gamma)
        out = np.empty_like(score)
        cpu.fill_loss(score, y, self.gamma, out)
        out *= np.where(y > 0, self.class_weights[1], self.class_weights[0])
        if weight is None:
            return out
        with np.errstate(over="ignore"):  # a loss may be infinite, and times 0 it is 0
            return np.multiply(out, weight, where=weight > 0, out=np.zeros_like(out))

    def gradient(
        self,
        y_true: ArrayLike,
        raw_prediction: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> Float64Array:
        """Return d loss / d raw_prediction of each row.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels, 0 or 1.
        raw_prediction : array-like of shape (n_samples,)
            Scores on the scale of ``link``.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite factors >= 0, below 4e307; None means 1.

        Returns
        -------
        gradient : ndarray of shape (n_samples,), float64

        Examples
        --------
        >>> from focal_gbm import FocalLoss
        >>> FocalLoss(gamma=0.0).gradient([0, 1], [0.0, 0.0])
        array([ 0.5, -0.5])
        """
        return self.gradient_hessian(y_true, raw_prediction, sample_weight)[0]

    def gradient_hessian(
        self,
        y_true: ArrayLike,
        raw_prediction: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[Float64Array, Float64Array]:
        """Return the first and second derivative of each row.

        The Hessian is the expected one on "posterior", which is never negative,
        and the exact one on "logit".

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels, 0 or 1.
        raw_prediction : array-like of shape (n_samples,)
            Scores on the scale of ``link``.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite factors >= 0, below 4e307; None means 1.

        Returns
        -------
        gradient, hessian : ndarray of shape (n_samples,), float64

        Examples
        --------
        >>> from focal_gbm import FocalLoss
        >>> gradient, hessian = FocalLoss(gamma=2.0).gradient_hessian([1], [-8.0])
        >>> gradient.round(4), hessian.round(6)
        (array([-0.4001]), array([0.000134]))
        """
        score, y, weight = _checked(y_true, raw_prediction, sample_weight)
        form: Exact | ExactPosterior
        if self.link == "posterior":
            form, shift = ExactPosterior(self.gamma), self.shift
        else:
            form, shift = Exact(self.gamma), 0.0
        gradient, hessian = np.empty_like(score), np.empty_like(score)
        weights = self.class_weights
        limit = cpu.too_heavy(weights, np.float64)
        check_heaviest(weight, limit, np.float64)
        cpu.fill_derivatives(
            form, score, y, weight, weights, limit, shift, gradient, hessian
        )
        return gradient, hessian

    def log_odds(self, raw_prediction: ArrayLike) -> Float64Array:
        """Return the log-odds of class 1 that the scores stand for.

        Parameters
        ----------
        raw_prediction : array-like of shape (n_samples,)
            Scores on the scale of ``link``; with "posterior" they are returned.

        Returns
        -------
        log_odds : ndarray of shape (n_samples,), float64
            Strictly increasing in ``raw_prediction``.

        Examples
        --------
        >>> from focal_gbm import FocalLoss
        >>> FocalLoss(gamma=2.0, link="logit").log_odds([-2.5452]).round(3)
        array([-6.907])
        """
        score = check_scores(raw_prediction, "raw_prediction")
        if self.link == "posterior":
            return score.copy()
        return _mapped(cpu.fill_log_odds, score, self.gamma) - self.shift

    def probability(self, raw_prediction: ArrayLike) -> Float64Array:
        """Return the probability of class 1, expit of :meth:`log_odds`.

        Parameters
        ----------
        raw_prediction : array-like of shape (n_samples,)
            Scores on the scale of ``link``.

        Returns
        -------
        probability : ndarray of shape (n_samples,), float64

        Examples
        --------
        >>> from focal_gbm import FocalLoss
        >>> FocalLoss().probability([0.0])
        array([0.5])
        """
        x = self.log_odds(raw_prediction)
        e = np.exp(-np.abs(x))
        return np.where(x < 0, e, 1.0) / (1.0 + e)

    def raw_prediction(self, log_odds: ArrayLike) -> Float64Array:
        """Return the scores that stand for the given log-odds of class 1.

        Parameters
        ----------
        log_odds : array-like of shape (n_samples,)
            Log-odds of class 1.

        Returns
        -------
        raw_prediction : ndarray of shape (n_samples,), float64
            Inverse of :meth:`log_odds`, by Newton's method to the last bits.

        Examples
        --------
        >>> from focal_gbm import FocalLoss
        >>> FocalLoss(gamma=2.0, link="logit").raw_prediction([-6.9068]).round(3)
        array([-2.545])
        """
        x = check_scores(log_odds, "log_odds")
        if self.link == "posterior":
            return x.copy()
        return _mapped(cpu.fill_raw_score, x + self.shift, self.gamma)

    def constant(
        self, y_true: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the constant ``raw_prediction`` of least total loss.

        It stands for the weighted rate of class 1. A class without weight counts
        as half of one average row, so the constant is always finite.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels, 0 or 1; at least one row.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite factors >= 0; None means 1.

        Returns
        -------
        constant : float

        Examples
        --------
        >>> from focal_gbm import FocalLoss
        >>> round(FocalLoss().constant([0] * 999 + [1]), 4)
        -6.9068
        """
        return float(self.raw_prediction([base_log_odds(y_true, sample_weight)])[0])


def base_log_odds(y_true: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    """Return the log-odds of the weighted rate of class 1; finite."""
    y = check_labels(y_true)
    if len(y) == 0:
        msg = "y_true must hold at least one row, got none"
        raise ValueError(msg)
    weight = check_weights(sample_weight, len(y))
    # sums, not products: BLAS would start threads of its own beside the booster's
    weight = np.ones_like(y) if weight is None else near_one(weight)
    positive = float(weight.sum(where=y > 0))
    negative = float(weight.sum(where=y == 0))
    half_a_row = 0.5 * (positive + negative) / np.count_nonzero(weight)
    return math.log(positive or half_a_row) - math.log(negative or half_a_row)


def near_one(weight: Float64Array) -> Float64Array:
    """Return weights divided by a power of two, which changes no digit, so that their
    sum neither overflows nor vanishes."""
    exponent = np.frexp(weight.max(initial=0.0))[1]
    scaled: Float64Array = np.ldexp(weight, -exponent)
    return scaled


def _checked(
    y_true: ArrayLike, raw_prediction: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Float64Array, Float64Array, Float64Array | None]:
    score = check_scores(raw_prediction, "raw_prediction")
    y = check_labels(y_true, len(score))
    return score, y, check_weights(sample_weight, len(score))


def _mapped(
    kernel: Callable[..., None], values: Float64Array, gamma: float
) -> Float64Array:
    out = np.empty_like(values)
    kernel(values, gamma, out)
    return out
