"""Focal loss, its exact derivatives and its probabilities, in float64.

:class:`FocalLoss` needs no booster. The objectives in :mod:`focal_gbm.objective`
compute the same loss in float32, for training.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from focal_gbm._kernels import cpu
from focal_gbm._kernels.formulas import Exact, ExactPosterior, LogLoss
from focal_gbm._kernels.rational import LARGEST_GAMMA
from focal_gbm._validation import (
    Float64Array,
    check_alpha,
    check_heaviest,
    check_labels,
    check_maturity,
    check_option,
    check_posterior,
    check_real,
    check_scores,
    check_weights,
    immaturity_of,
    suggest_parameters,
)

LINKS = ("posterior", "logit")


@suggest_parameters
@dataclass(frozen=True)
class FocalLoss:
    r"""Binary focal loss, its exact derivatives and its probabilities.

    Use this class to evaluate the loss outside a booster, or to turn raw scores into
    probabilities. To train a booster, use an estimator or
    :class:`~focal_gbm.FocalObjective`.

    Domain: ``y_true`` in {0, 1}, ``raw_prediction`` any real number.

    With the own-class margin m = (2 y - 1) z, p = expit(m), q = 1 - p and
    l = -log p, focal loss [1]_ and its derivatives in the focal logit z are::

        loss      alpha_y q^gamma l
        gradient  -(2 y - 1) alpha_y q^gamma (gamma p l + q)
        Hessian   alpha_y q^gamma p (gamma l (gamma p - q) + (2 gamma + 1) q)

    Focal loss is not proper: expit(z) is not a probability. A closed form [2]_ maps
    the minimiser z to the posterior. On the log-odds scale, with
    rho(x) = exp(x) log1p(exp(-x)) and r = log(alpha_1 / alpha_0), the map is::

        x = (1 + gamma) z + log1p(gamma rho(-z)) - log1p(gamma rho(z))
        f = x - r                                  the log-odds of class 1

    Written as a function of f, the same loss is log-loss with a weight that
    depends on f alone, omega(x) = (g_0 - g_1) / (dx/dz), where g_y is the gradient
    of a row of class y::

        gradient  -(2 y - 1) alpha_y omega(x) expit(-(2 y - 1) x)
        Hessian   alpha_y omega(x) expit(x) expit(-x)    (expected: Fisher scoring)

    Labels that arrive late: where a positive of a row would be known by now with
    probability c, the loss at gamma 0 is that of the labels seen, -log(c p) or
    -log(1 - c p) with p = expit(f) [3]_. Its derivatives are those above, but for the
    factor c (1 - p) / (1 - c p) in the gradient of rows seen as 0 and in the Hessian;
    the minimiser f is the log-odds of the true class.

    Parameters
    ----------
    gamma : float in [0, 1000], default=2.0
        Focusing parameter; 0 is log-loss. On the scale of the default link, focal
        loss is log-loss with a weight that depends on the log-odds alone. Uncertain
        rows, whose log-odds are near 0, weigh less than the others: 0.67 times as
        much at gamma 2, 0.15 times at gamma 5. Confident rows keep their weight,
        whether right or wrong.
    alpha : float in (0, 1) or None, default=None
        Weight of class 1; class 0 weighs 1 - alpha. None: both classes weigh 1. The
        weight affects training and never shifts the probability.
    link : {"posterior", "logit"}, default="posterior"
        Scale of ``raw_prediction``: "posterior" is f, the log-odds of class 1;
        "logit" is z, the logit of the focal score, as in the classic form.

    Raises
    ------
    TypeError
        If ``gamma`` or ``alpha`` is not a number, or a parameter is unknown.
    ValueError
        If ``gamma`` or ``alpha`` is out of range, or ``link`` is unknown.

    See Also
    --------
    focal_gbm.FocalObjective : The loss as an objective of LightGBM and XGBoost.
    focal_gbm.plotting.FocalLossDisplay : Picture of loss, gradient and weight.

    Notes
    -----
    gamma = 0 : log-loss times alpha_y on both links; "logit" is then f + r.
    gamma > 0 : the Hessian of "logit" is negative on rows whose score is far on the
    wrong side.
    raw_prediction -> +-inf : the gradient tends to 0 for rows on the right side
    and to -+alpha_y (divided by 1 + gamma on "posterior") for rows on the wrong side.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar. Focal loss for dense
       object detection. ICCV 2017, eq. 4-5. arXiv:1708.02002
    .. [2] N. Charoenphakdee, J. Vongkulbhisal, N. Chairatanakul, M. Sugiyama. On
       focal loss for class-posterior probability estimation: a theoretical
       perspective. CVPR 2021, Theorem 11. arXiv:2011.09172
    .. [3] O. Chapelle. Modeling delayed feedback in display advertising. KDD 2014; with
       one c for all rows: C. Elkan, K. Noto. Learning classifiers from only positive
       and unlabeled data. KDD 2008.

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
        # a frozen data class refuses a plain assignment
        object.__setattr__(self, "gamma", gamma)
        object.__setattr__(self, "alpha", check_alpha(self.alpha))
        check_option(self.link, "link", LINKS)

    # Properties, not fields: equality and repr are to compare parameters alone.
    @property
    def class_weights(self) -> tuple[float, float]:
        """Return the weights of class 0 and class 1."""
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
        label_maturity: ArrayLike | None = None,
    ) -> Float64Array:
        """Return the weighted loss of each row, not averaged.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels, 0 or 1.
        raw_prediction : array-like of shape (n_samples,)
            Raw scores on the scale of ``link``: log-odds of class 1, or the logit
            of the focal score. Infinite scores are allowed, NaN is refused.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0, not all 0; None: 1 each.
        label_maturity : array-like of shape (n_samples,) or None, default=None
            Values in (0, 1]: the probability that a positive of the row would be known
            by now. None: 1 each, labels are final. For link "posterior" and gamma 0
            only: with gamma > 0 the derivatives have a closed form, the loss has none.

        Returns
        -------
        loss : ndarray of shape (n_samples,), float64
            Values >= 0; infinite if an infinite score is on the wrong side, or if the
            product with a weight overflows float64.

        Raises
        ------
        ValueError
            If a label is not 0 or 1, a score is NaN, a weight is negative or not
            finite, all weights are 0, a maturity is outside (0, 1] or cannot be used,
            or lengths differ.

        Examples
        --------
        >>> from focal_gbm import FocalLoss
        >>> FocalLoss(gamma=0.0).loss([0, 1], [0.0, 0.0]).round(4)
        array([0.6931, 0.6931])
        >>> FocalLoss(gamma=0.0).loss([0], [0.0], label_maturity=[0.5]).round(4)
        array([0.2877])
        """
        score, y, weight = _checked(y_true, raw_prediction, sample_weight)
        maturity = self._maturity(label_maturity, len(score))
        if maturity is not None and self.gamma > 0:
            msg = (
                f"the loss with label_maturity needs gamma=0, got {self.gamma}: with "
                "gamma > 0 only its derivatives have a closed form; measure the "
                "log-loss, with FocalLoss(gamma=0)"
            )
            raise ValueError(msg)
        x = score + self.shift
        # the kernel is the classic form, of z, which is x at gamma 0
        if self.link == "posterior" and self.gamma == 0:
            score = x
        elif self.link == "posterior":
            score = _mapped(cpu.fill_raw_score, score + self.shift, self.gamma)
        out = np.empty_like(score)
        cpu.fill_loss(score, y, self.gamma, out)
        if maturity is not None:
            ratio = self.class_weights[0] / self.class_weights[1]
            late = np.empty_like(x)
            immaturity = immaturity_of(maturity, np.float64)
            cpu.fill_late_loss(x, immaturity, ratio, late)
            out = np.where(y > 0, out - np.log(maturity), late)
        out *= np.where(y > 0, self.class_weights[1], self.class_weights[0])
        if weight is None:
            return out
        with np.errstate(over="ignore"):  # an infinite loss times 0 is to be 0
            return np.multiply(out, weight, where=weight > 0, out=np.zeros_like(out))

    def gradient(
        self,
        y_true: ArrayLike,
        raw_prediction: ArrayLike,
        sample_weight: ArrayLike | None = None,
        label_maturity: ArrayLike | None = None,
    ) -> Float64Array:
        """Return d loss / d raw_prediction of each row.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels, 0 or 1.
        raw_prediction : array-like of shape (n_samples,)
            Raw scores on the scale of ``link``: log-odds of class 1, or the logit
            of the focal score. Infinite scores are allowed, NaN is refused.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights in [0, 4e307), not all 0; None: 1 each.
        label_maturity : array-like of shape (n_samples,) or None, default=None
            Values in (0, 1]: the probability that a positive of the row would be known
            by now. None: 1 each, labels are final. For link "posterior" only.

        Returns
        -------
        gradient : ndarray of shape (n_samples,), float64
            Weighted first derivative with respect to ``raw_prediction``.

        Raises
        ------
        ValueError
            If a label is not 0 or 1, a score is NaN, a weight is negative, not finite
            or too large, all weights are 0, or lengths differ.

        Examples
        --------
        >>> from focal_gbm import FocalLoss
        >>> FocalLoss(gamma=0.0).gradient([0, 1], [0.0, 0.0])
        array([ 0.5, -0.5])
        """
        return self.gradient_hessian(
            y_true, raw_prediction, sample_weight, label_maturity
        )[0]

    def gradient_hessian(
        self,
        y_true: ArrayLike,
        raw_prediction: ArrayLike,
        sample_weight: ArrayLike | None = None,
        label_maturity: ArrayLike | None = None,
    ) -> tuple[Float64Array, Float64Array]:
        """Return the first and second derivative of the loss of each row.

        With link "posterior" the Hessian is the expected Hessian (Fisher scoring) and
        never negative; with link "logit" it is the exact second derivative.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels, 0 or 1.
        raw_prediction : array-like of shape (n_samples,)
            Raw scores on the scale of ``link``: log-odds of class 1, or the logit
            of the focal score. Infinite scores are allowed, NaN is refused.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights in [0, 4e307), not all 0; None: 1 each.
        label_maturity : array-like of shape (n_samples,) or None, default=None
            Values in (0, 1]: the probability that a positive of the row would be known
            by now. None: 1 each, labels are final. For link "posterior" only.

        Returns
        -------
        gradient, hessian : ndarray of shape (n_samples,), float64
            Weighted derivatives with respect to ``raw_prediction``.

        Raises
        ------
        ValueError
            If a label is not 0 or 1, a score is NaN, a weight is negative, not finite
            or too large, all weights are 0, or lengths differ.

        Examples
        --------
        >>> from focal_gbm import FocalLoss
        >>> gradient, hessian = FocalLoss(gamma=2.0).gradient_hessian([1], [-8.0])
        >>> gradient.round(4), hessian.round(6)
        (array([-0.4001]), array([0.000134]))
        """
        score, y, weight = _checked(y_true, raw_prediction, sample_weight)
        maturity = self._maturity(label_maturity, len(score))
        form: Exact | ExactPosterior | LogLoss
        if self.link == "posterior":
            form = ExactPosterior(self.gamma) if self.gamma > 0 else LogLoss(1.0)
            shift = self.shift
        else:
            # f differs from x by the shift; z is a score already
            form, shift = Exact(self.gamma), 0.0
        gradient, hessian = np.empty_like(score), np.empty_like(score)
        weights = self.class_weights
        # checked before the loop, which does not report the number of a bad row
        limit = cpu.too_heavy(weights, np.float64)
        check_heaviest(weight, limit, np.float64)
        immaturity = immaturity_of(maturity, np.float64)
        cpu.fill_derivatives(
            form, score, y, weight, immaturity, weights, limit, shift, gradient, hessian
        )
        return gradient, hessian

    def log_odds(self, raw_prediction: ArrayLike) -> Float64Array:
        """Return the log-odds of class 1 for raw scores.

        Parameters
        ----------
        raw_prediction : array-like of shape (n_samples,)
            Raw scores on the scale of ``link``: log-odds of class 1, of which a copy is
            returned, or the logit of the focal score. NaN is refused.

        Returns
        -------
        log_odds : ndarray of shape (n_samples,), float64
            Strictly increasing in ``raw_prediction``.

        Raises
        ------
        ValueError
            If a score is NaN.

        Examples
        --------
        >>> from focal_gbm import FocalLoss
        >>> FocalLoss(gamma=2.0, link="logit").log_odds([-2.5452]).round(3)
        array([-6.907])
        """
        score = check_scores(raw_prediction, "raw_prediction")
        if self.link == "posterior":
            return score.copy()  # the result is the caller's to change
        return _mapped(cpu.fill_log_odds, score, self.gamma) - self.shift

    def probability(self, raw_prediction: ArrayLike) -> Float64Array:
        """Return the probability of class 1, expit of :meth:`log_odds`.

        Parameters
        ----------
        raw_prediction : array-like of shape (n_samples,)
            Raw scores on the scale of ``link``: log-odds of class 1, or the logit
            of the focal score. Infinite scores are allowed, NaN is refused.

        Returns
        -------
        probability : ndarray of shape (n_samples,), float64
            Values in [0, 1].

        Raises
        ------
        ValueError
            If a score is NaN.

        Examples
        --------
        >>> from focal_gbm import FocalLoss
        >>> FocalLoss().probability([0.0])
        array([0.5])
        """
        x = self.log_odds(raw_prediction)
        e = np.exp(-np.abs(x))  # exp(-x) would overflow for x below -709
        return np.where(x < 0, e, 1.0) / (1.0 + e)

    def raw_prediction(self, log_odds: ArrayLike) -> Float64Array:
        """Return the raw scores for log-odds of class 1, the inverse of `log_odds`.

        Parameters
        ----------
        log_odds : array-like of shape (n_samples,)
            Log-odds of class 1; NaN is refused.

        Returns
        -------
        raw_prediction : ndarray of shape (n_samples,), float64
            Raw scores on the scale of ``link``, by Newton's method to the last bits.

        Raises
        ------
        ValueError
            If a value is NaN.

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
        self,
        y_true: ArrayLike,
        sample_weight: ArrayLike | None = None,
        label_maturity: ArrayLike | None = None,
    ) -> float:
        """Return the constant ``raw_prediction`` of least total loss.

        Its probability is the weighted rate of class 1; with maturities c, the sum of
        w y over the sum of w c, at which as many positives are expected to be known as
        are. A class without weight counts as half of one average row, so that the
        constant is always finite.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels, 0 or 1; at least one row.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0, not all 0; None: 1 each.
        label_maturity : array-like of shape (n_samples,) or None, default=None
            Values in (0, 1]: the probability that a positive of the row would be known
            by now. None: 1 each, labels are final. For link "posterior" only.

        Returns
        -------
        constant : float
            Raw score on the scale of ``link``.

        Raises
        ------
        ValueError
            If there is no row, a label is not 0 or 1, a weight is negative or not
            finite, all weights are 0, or lengths differ.

        Examples
        --------
        >>> from focal_gbm import FocalLoss
        >>> round(FocalLoss().constant([0] * 999 + [1]), 4)
        -6.9068
        """
        y = check_labels(y_true)
        maturity = self._maturity(label_maturity, len(y))
        log_odds = base_log_odds(y, sample_weight, maturity)
        return float(self.raw_prediction([log_odds])[0])

    def _maturity(self, values: ArrayLike | None, n_rows: int) -> Float64Array | None:
        maturity = check_maturity(values, n_rows)
        if maturity is not None:
            check_posterior(self.link)
        return maturity


def base_log_odds(
    y_true: ArrayLike,
    sample_weight: ArrayLike | None = None,
    maturity: Float64Array | None = None,
) -> float:
    """Return the log-odds of the weighted rate of class 1, always finite."""
    y = check_labels(y_true)
    if len(y) == 0:
        msg = "y_true must hold at least one row, got none"
        raise ValueError(msg)
    weight = check_weights(sample_weight, len(y))
    # sums, not products: BLAS would start threads of its own beside the booster's
    weight = np.ones_like(y) if weight is None else near_one(weight)
    positive = float(weight.sum(where=y > 0))
    negative = float(weight.sum(where=y == 0))
    if maturity is not None:  # of the true class, whose positives are not all known
        negative = max(float((weight * maturity).sum()) - positive, 0.0)
    return log_odds_of_sums(positive, negative, int(np.count_nonzero(weight)))


def log_odds_of_sums(positive: float, negative: float, n_rows: int) -> float:
    """Return the log-odds of class 1 from the weights of both classes, always finite.

    ``n_rows`` is the number of rows of positive weight.
    """
    # in place of an empty class, whose logarithm would be -inf
    half_a_row = 0.5 * (positive + negative) / n_rows
    return math.log(positive or half_a_row) - math.log(negative or half_a_row)


def near_one(weight: Float64Array) -> Float64Array:
    """Return weights divided by a power of two, so that their sum neither overflows
    nor vanishes; such a division changes no digit."""
    exponent = np.frexp(weight.max(initial=0.0))[1]
    scaled: Float64Array = np.ldexp(weight, -exponent)
    return scaled


def _checked(
    y_true: ArrayLike, raw_prediction: ArrayLike, sample_weight: ArrayLike | None
) -> tuple[Float64Array, Float64Array, Float64Array | None]:
    """Return raw scores, labels and weights after checks."""
    score = check_scores(raw_prediction, "raw_prediction")
    y = check_labels(y_true, len(score))
    return score, y, check_weights(sample_weight, len(score))


def _mapped(
    kernel: Callable[..., None], values: Float64Array, gamma: float
) -> Float64Array:
    """Return a kernel's values in a fresh array."""
    out = np.empty_like(values)
    kernel(values, gamma, out)
    return out
