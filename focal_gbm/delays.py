"""Delays of fraud reports: the probability that a fraud of a given age is known.

The frauds of the last weeks are not all reported yet. The delays of those that are
reported are right-truncated: a fraud that happened ten days ago can only show a delay
of at most ten days, so that the plain distribution of known delays is too short.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import gammainc, gammaincc, gammaln
from scipy.stats import norm
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from focal_gbm._doc_links import DocLinkMixin
from focal_gbm._validation import (
    Float64Array,
    check_count,
    check_finite_vector,
    check_option,
    check_real,
    in_host_memory,
    suggest_parameters,
)
from focal_gbm.metrics._rows import numbers, weights_or_ones

_LEAST = 1e-6  # of a maturity: a model divides by it
_AT_RISK = 0.02  # least share of the weight in a risk set of the curve
_STARTS = (0.0, 0.1, 0.25, 0.5, 0.75)  # shares of the delays that the tail leaves out
_MISFIT = 3.0  # largest distance, in standard deviations of the curve
# Largest standard deviations of the log of P(D <= longest): of a tail fitted to all
# delays, and to those above a start.
_UNCLEAR, _UNCERTAIN = 0.3, 0.1
_FEW_ABOVE = 50  # fewer reports cannot determine a tail
_LITTLE = 0.75  # less of the frauds within reach of the data: a warning
_CELLS = 2000
_LIGHTEST = 1e-100  # a weight whose square is a normal number


class _Tail(NamedTuple):
    """Gamma distribution of the delays above ``above``, in units of ``scale``."""

    log_shape: float
    log_scale: float
    above: float
    share: float  # of the delays up to longest, those up to above
    longest: float
    covariance: NDArray[np.float64]  # of log_shape and log_scale

    def __call__(
        self, age: Float64Array, step: tuple[float, float] = (0.0, 0.0)
    ) -> Any:
        """Return P(D <= age) for ages from ``longest``."""
        shape = math.exp(self.log_shape + step[0])
        scale = math.exp(self.log_scale + step[1])
        left = gammaincc(shape, self.above / scale)
        beyond = gammaincc(shape, np.r_[self.longest, age] / scale) / left
        # P(D <= above) is share of P(D <= longest), which solves a linear equation
        reached = (1.0 - beyond[0]) / (1.0 - self.share * beyond[0])
        return 1.0 - (1.0 - self.share * reached) * beyond[1:]

    def uncertainty(self) -> float:
        """Return the standard deviation of the log of P(D <= longest)."""
        return math.sqrt(float(self.variance(np.array([self.longest]))[0]))

    def variance(self, age: Float64Array) -> Float64Array:
        """Return the variance of log P(D <= age), by the delta method."""
        h = 1e-4
        least = np.finfo(np.float64).tiny  # of probabilities that round to 0
        slopes = np.stack(
            [
                np.log(
                    np.maximum(self(age, up), least)
                    / np.maximum(self(age, down), least)
                )
                / (2 * h)
                for up, down in (((h, 0.0), (-h, 0.0)), ((0.0, h), (0.0, -h)))
            ]
        )
        # slopes of 0 are 0 whatever the variance
        variance = np.zeros(len(age))
        moves = (slopes != 0).any(axis=0)
        s = slopes[:, moves]
        with np.errstate(invalid="ignore"):  # of an infinite covariance
            variance[moves] = np.einsum("ik,ij,jk->k", s, self.covariance, s)
        variance[np.isnan(variance)] = np.inf
        return np.maximum(variance, 0.0)


class _Curve(NamedTuple):
    """The estimate of one set of reports."""

    delays: Float64Array  # distinct
    weights: Float64Array  # of the reports of each delay
    reached: Float64Array  # P(D <= delay)
    variance: Float64Array  # of the log of reached
    longest: float
    tail: _Tail | None
    is_unclear: bool  # whether the delays determine no tail

    def __call__(self, age: Float64Array) -> Float64Array:
        inside = self.delays <= self.longest
        x, y = self.delays[inside], self.reached[inside]
        p: Float64Array = np.interp(age, np.r_[0.0, x], np.r_[0.0, y])
        if x[0] == 0.0:  # NumPy takes either of two equal knots
            p[age == 0.0] = y[0]
        beyond = age > self.longest
        p[beyond] = 1.0 if self.tail is None else self.tail(age[beyond])
        return p

    def interval(
        self, age: Float64Array, level: float
    ) -> tuple[Float64Array, Float64Array]:
        inside = self.delays <= self.longest
        x, y, v = (a[inside] for a in (self.delays, self.reached, self.variance))
        ends = []
        beyond = age > self.longest
        tail_variance = 0.0 if self.tail is None else self.tail.variance(age[beyond])
        for z in (norm.ppf(0.5 - level / 2), norm.ppf(0.5 + level / 2)):
            knots = _log_log_end(y, v, z)
            first = 0.0 if z < 0 else knots[0]  # no report is as quick
            end = np.interp(age, np.r_[0.0, x], np.r_[first, knots])
            if x[0] == 0.0:
                end[age == 0.0] = knots[0]
            end[beyond] = _log_log_end(self(age[beyond]), tail_variance, z)
            ends.append(end)
        return ends[0], ends[1]


def _log_log_end(p: Float64Array, variance: Any, z: float) -> Float64Array:
    """Return an end of the interval of p on the scale of log(-log(p)), where
    ``variance`` is that of log(p)."""
    with np.errstate(all="ignore"):
        rate = -np.log(p)
        end = np.exp(-rate * np.exp(-z * np.sqrt(variance) / rate))
    # 0 and 1 have no such scale; an infinite variance tells nothing
    end = np.where(np.isinf(variance), float(z > 0), end)
    end = np.where((p >= 1.0) & (variance == 0), 1.0, end)
    return np.where(np.isnan(end), float(z > 0), end)


def _curve(
    delay: Float64Array, span: Float64Array, weight: Float64Array, tail: str | None
) -> _Curve:
    """Return the product-limit estimate of right-truncated delays, with its tail."""
    order, by_span = np.argsort(delay), np.argsort(span)
    ranked, spans = delay[order], span[by_span]
    first = np.flatnonzero(np.r_[True, np.diff(ranked) > 0])
    delays = ranked[first]
    until_delay = np.cumsum(weight[order])
    until_span = np.r_[0.0, np.cumsum(weight[by_span])]
    total = float(until_delay[-1])
    last = np.r_[first[1:], len(ranked)] - 1
    events = np.diff(np.r_[0.0, until_delay[last]])
    # a span is at least its delay: of the delays up to u, those with a span below u
    # are all rows with a span below u
    at_risk = until_delay[last] - until_span[np.searchsorted(spans, delays)]
    wide = np.flatnonzero(at_risk >= _AT_RISK * total * (1 - 1e-9))
    end = int(wide[-1] if len(wide) else at_risk.argmax())
    left = at_risk - events
    half = 0.5 * total / len(delay)
    # sums of floats: what is left over may be rounding
    lone = left <= 1e-10 * total
    left, at_risk = np.where(lone, half, left), np.where(lone, events + half, at_risk)
    used = np.arange(len(delays)) <= end
    factor = np.where(used, np.minimum(left / at_risk, 1.0), 1.0)
    noise = np.where(used, np.maximum(at_risk - left, 0.0) / (at_risk * left), 0.0)
    values = np.r_[np.cumprod(factor[:0:-1])[::-1], 1.0]
    variance = np.r_[np.cumsum(noise[:0:-1])[::-1], 0.0]
    longest = float(delays[end])
    fitted = None
    if tail is not None:
        # the noise of the curve, if a weight of the mean size were a report
        size = total * float((weight**2).sum()) / total**2
        deviation = values * np.sqrt(variance * size)
        known = (a[: end + 1] for a in (delays, values, deviation))
        # as many reports as weights of the mean size make: only ratios may decide
        fitted = _fit_tail(delay, span, weight / size, *known)
        if fitted is not None:  # for intervals a weight is a number of reports
            fitted = fitted._replace(covariance=fitted.covariance / size)
    if fitted is not None:
        values = values * fitted(np.array([longest]))[0]
        values[end + 1 :] = fitted(delays[end + 1 :])
        variance = variance + fitted.variance(np.array([longest]))[0]
        variance[end + 1 :] = fitted.variance(delays[end + 1 :])
    # of two delays nobody expects a tail; all delays count, also those after the last
    # risk set that is large enough
    is_unclear = tail is not None and fitted is None and np.sum(delays > 0) > 2
    return _Curve(delays, events, values, variance, longest, fitted, bool(is_unclear))


def _fit_tail(
    delay: Float64Array,
    span: Float64Array,
    weight: Float64Array,
    delays: Float64Array,
    values: Float64Array,
    deviation: Float64Array,
) -> _Tail | None:
    """Return the gamma distribution of the delays above the first start that fits them,
    or None if there are too few delays."""
    best: tuple[float, _Tail] | None = None
    longest = float(delays[-1])
    for start in _STARTS:
        # half a delay's probability below: the delay on which a start falls is left out
        place = int(np.searchsorted(values, start)) if start else -1
        above = float(delays[place]) if start else 0.0
        rows = (delay > above) & (weight > 0)
        w = weight[rows]
        n = float(w.sum() ** 2 / (w**2).sum()) if rows.any() else 0.0
        if start and n < _FEW_ABOVE:
            break
        if np.count_nonzero(delays > above) < 3:
            break
        if start:
            share = float(values[place])
        else:
            share = float(values[0]) if delays[0] == 0.0 else 0.0
        tail = _fit_gamma(delay[rows], span[rows], w, above, share, longest)
        if tail is None or tail.uncertainty() > (_UNCERTAIN if start else _UNCLEAR):
            continue
        at = delays[delays > above]
        # P(D <= t | above < D <= longest) of the gamma distribution and of the curve
        shape, scale = math.exp(tail.log_shape), math.exp(tail.log_scale)
        low, top = gammainc(shape, np.array([above, longest]) / scale)
        gamma = (gammainc(shape, at / scale) - low) / max(top - low, 1e-300)
        curve = (values[delays > above] - share) / max(1.0 - share, 1e-300)
        noise = float(deviation[delays > above].max()) / max(1.0 - share, 1e-300)
        misfit = float(np.abs(gamma - curve).max()) / max(noise, 1e-300)
        if best is None or misfit < best[0]:
            best = misfit, tail
        if misfit < _MISFIT:
            break
    return None if best is None else best[1]


def _fit_gamma(
    delay: Float64Array,
    span: Float64Array,
    weight: Float64Array,
    above: float,
    share: float,
    longest: float,
) -> _Tail | None:
    """Return the gamma distribution of greatest likelihood for delays above ``above``
    that are right-truncated at ``span``."""
    total = float(weight.sum())
    # in units of the mean, so that the search is the same in hours and in days
    unit = float(weight @ delay) / total
    mean_log = float(weight @ np.log(delay / unit)) / total
    spans, inverse = np.unique(span, return_inverse=True)
    weights: NDArray[Any] = np.bincount(inverse, weight) / total
    if len(spans) > _CELLS:
        cell = np.minimum((np.cumsum(weights) * _CELLS).astype(int), _CELLS - 1)
        sums = np.bincount(cell, weights * spans)
        masses: NDArray[Any] = np.bincount(cell, weights)
        spans, weights = sums[masses > 0] / masses[masses > 0], masses[masses > 0]
    spans, start = spans / unit, above / unit

    def loss(log_shape: float, log_scale: float) -> float:
        """Return the mean negative log-likelihood, of f(d) / (F(T) - F(above))."""
        shape, scale = math.exp(log_shape), math.exp(log_scale)
        if start > shape * scale:  # the smaller tails do not cancel
            within = gammaincc(shape, start / scale) - gammaincc(shape, spans / scale)
        else:
            within = gammainc(shape, spans / scale) - gammainc(shape, start / scale)
        log_density = (
            (shape - 1.0) * mean_log - 1.0 / scale - gammaln(shape) - shape * log_scale
        )
        observable = float(weights @ np.log(np.maximum(within, 1e-300)))
        return observable - float(log_density)

    # a shape of 0.05 to 55, and no scale that is far beyond the data
    bounds = [(-3.0, 4.0), (-5.0, math.log(float(spans[-1])) + 3.0)]
    solution = minimize(
        lambda x: loss(*x),
        [0.0, 0.0],
        method="L-BFGS-B",
        bounds=bounds,
        options={"ftol": 1e-13, "gtol": 1e-8, "maxiter": 300},
    )
    a, b = (float(x) for x in solution.x)
    if not math.isfinite(solution.fun):
        return None
    h = 1e-3
    middle = loss(a, b)
    cross = (
        loss(a + h, b + h) - loss(a + h, b - h) - loss(a - h, b + h)
        + loss(a - h, b - h)
    ) / 4  # fmt: skip
    hessian = (
        np.array(
            [
                [loss(a + h, b) - 2 * middle + loss(a - h, b), cross],
                [cross, loss(a, b + h) - 2 * middle + loss(a, b - h)],
            ]
        )
        * total
        / h**2
    )
    covariance = np.full((2, 2), np.inf)  # of a likelihood that is flat
    free = all(
        low + h < x < top - h for x, (low, top) in zip((a, b), bounds, strict=True)
    )
    if free and np.linalg.eigvalsh(hessian)[0] > 1e-6 * total:
        covariance = np.linalg.inv(hessian)
    return _Tail(a, b + math.log(unit), above, share, longest, covariance)


def _times(values: Any, name: str) -> Float64Array:
    """Return finite times >= 0 as a float64 vector."""
    values = in_host_memory(values)
    array = np.asarray(values) if hasattr(values, "dtype") else None
    kind = "" if array is None else array.dtype.kind
    items = values if isinstance(values, (list, tuple)) else array
    if kind == "O" or array is None:
        is_time = items is not None and any(
            isinstance(v, (timedelta, np.timedelta64)) for v in items
        )
    else:
        is_time = kind == "m"
    if is_time:
        msg = (
            f"{name} must hold numbers in one unit, such as days, got time "
            "differences; convert them by .dt.total_seconds() / 86400 of Pandas, or by "
            "/ np.timedelta64(1, 'D') of NumPy"
        )
        raise TypeError(msg)
    times = check_finite_vector(numbers(values, name), name)
    if (times < 0).any():
        row = int((times < 0).argmax())
        msg = f"{name} must be >= 0, got {times[row]} in row {row}"
        raise ValueError(msg)
    return times


def _grouped(groups: Any, n_rows: int) -> tuple[NDArray[np.intp], list[Hashable]]:
    """Return the position of each row's label, and the labels."""
    values = in_host_memory(groups)
    if "polars" in type(values).__module__ and hasattr(values, "to_list"):
        values = values.to_list()
    if not isinstance(values, (list, tuple, pd.Series, pd.Index)):
        values = np.asarray(values)
        if values.ndim != 1:
            msg = f"groups must be one-dimensional, got shape {values.shape}"
            raise ValueError(msg)
    listed = isinstance(values, (list, tuple))
    series = pd.Series(values, dtype=object) if listed else pd.Series(values)
    if len(series) != n_rows:
        msg = f"groups must have {n_rows} values, one a row, got {len(series)}"
        raise ValueError(msg)
    try:
        codes, kinds = pd.factorize(series)
    except TypeError as error:
        msg = f"groups must hold labels such as numbers or text: {error}"
        raise TypeError(msg) from error
    if (codes < 0).any():
        msg = (
            f"groups must not be missing, as it is in row {int(codes.argmin())}; leave "
            "such rows out or give them a label of their own"
        )
        raise ValueError(msg)
    return codes, list(kinds)


def _listed(labels: list[Hashable]) -> str:
    shown = ", ".join(repr(getattr(v, "item", lambda v=v: v)()) for v in labels[:5])
    return shown + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")


@suggest_parameters
class ReportingDelay(DocLinkMixin, BaseEstimator):
    """Probability that a fraud of a given age has been reported.

    Use it to find out how many frauds of the last days or weeks are not known yet, and
    to train on recent rows: a row without a report is genuine, or a fraud whose report
    is still to come.

    The estimate needs known frauds alone: the delay of each report, and the time from
    the fraud to today. A fraud can only be in the data if its delay is at most that
    time, which shortens the plain distribution of known delays. The product-limit
    estimate for such right-truncated delays [1]_ [2]_ [3]_ goes back in time from the
    largest delay. With d_i the delay of a report, T_i the time since its fraud and
    w_i its weight,

        P(D <= t) / P(D <= longest) = product over distinct delays u, t < u <= longest,
        of 1 - sum(w_i : d_i = u) / sum(w_i : d_i <= u <= T_i)

    The sum in the denominator is the risk set. ``longest`` is the largest delay whose
    risk set holds at least 2 % of the weight: factors of smaller risk sets at the
    largest delays would add noise to the whole curve. Where the reports of a delay are
    their whole risk set although there are shorter delays, the factor would be 0, and
    so would the curve at all shorter delays; half a report is then added to the risk
    set. The curve is linear between delays, and from 0 at age 0 to the smallest delay.
    It is never below 1e-6, so that a model can divide by it.

    The data cannot show what lies beyond ``longest``. With ``tail="gamma"`` a gamma
    distribution, fitted by maximum likelihood of the truncated delays, gives
    P(D <= longest) and the curve at larger ages. If it misfits the curve, it is fitted
    to the delays above the 10 %, 25 %, 50 % or 75 % quantile alone. A tail with a
    standard error of log P(D <= longest) above 0.3 (0.1 above a quantile) is not used;
    if no other is found, a warning reports that the curve has none.

    In simulations of delays of several shapes, with 2,000 reports of frauds of up to 60
    days ago, the greatest error of the curve is below 0.06 on average
    (tests/test_delays.py). The data cannot show that a tail is right: read the curve
    beyond ``longest`` with care.

    Delays must not depend on when the fraud happened; if reports have become faster or
    slower, fit recent frauds alone.

    Parameters
    ----------
    tail : {"gamma"} or None, default="gamma"
        Distribution of the delays beyond the data; None: no fraud is reported later
        than ``longest_``, where the curve is 1.
    ever_reported : float in (0, 1], default=1.0
        Share of frauds that are reported at some time. It multiplies the curve. It
        cannot be estimated from reports; take it from an audit, for example.
    min_reports : int >= 1, default=30
        Least number of reports with a weight > 0 for which a group has a curve of its
        own; other groups use the curve of all rows.

    Attributes
    ----------
    delays_ : ndarray of shape (n_delays,), float64
        Distinct delays of the reports with a weight > 0, increasing.
    weights_ : ndarray of shape (n_delays,), float64
        Sum of the weights of the reports of each delay. Its cumulative sum is the plain
        distribution of delays, which is too short.
    curve_ : ndarray of shape (n_delays,), float64
        Maturity at each delay, in (0, 1].
    longest_ : float
        Delay at which the product-limit estimate ends.
    tail_ : dict or None
        Gamma distribution of the tail: its ``"shape"`` and ``"scale"``, the delay
        ``"above"`` which it was fitted, and the share ``"reached"`` of all frauds ever
        reported that are reported within ``longest_``. None without a tail, also if
        the delays do not determine one, and if fewer than three of them differ.
    n_reports_ : int
        Number of reports with a weight > 0.
    groups_ : dict or None
        For each label of a group its own fitted ``ReportingDelay``, or None if the
        group uses the curve of all rows; None if ``fit`` had no groups.

    See Also
    --------
    focal_gbm.plotting.ReportingDelayDisplay : Picture of the curve.
    focal_gbm.model_selection.PrequentialSplit :
        Folds whose labels are those known at the time.
    focal_gbm.FocalLGBMClassifier :
        Takes the maturities as ``label_maturity`` in ``fit``.

    References
    ----------
    .. [1] M. Woodroofe. Estimating a distribution function with truncated data. Annals
       of Statistics 13(1), 1985.
    .. [2] S. W. Lagakos, L. M. Barraj, V. De Gruttola. Nonparametric analysis of
       truncated survival data, with application to AIDS. Biometrika 75(3), 1988.
    .. [3] J. D. Kalbfleisch, J. F. Lawless. Inference based on retrospective
       ascertainment: an analysis of the data on transfusion-related AIDS. Journal of
       the American Statistical Association 84(406), 1989.

    Examples
    --------
    >>> import numpy as np
    >>> from focal_gbm.delays import ReportingDelay
    >>> rng = np.random.default_rng(0)
    >>> delay, age = rng.gamma(2, 6, 2500), rng.uniform(0, 60, 2500)
    >>> known = delay <= age
    >>> reporting = ReportingDelay().fit(delay[known], age[known])
    >>> maturity = reporting.maturity([5, 10, 20, 40])
    >>> bool(np.abs(maturity - [0.203, 0.496, 0.845, 0.990]).max() < 0.05)  # the truth
    True
    >>> plain = [(delay[known] <= t).mean() for t in (5, 10, 20, 40)]
    >>> np.round(plain, 2)                                        # too short
    array([0.24, 0.56, 0.89, 0.99])
    """

    def __init__(
        self,
        *,
        tail: str | None = "gamma",
        ever_reported: float = 1.0,
        min_reports: int = 30,
    ) -> None:
        self.tail = tail
        self.ever_reported = ever_reported
        self.min_reports = min_reports

    def fit(
        self,
        delay: ArrayLike,
        observed_for: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: Any = None,
    ) -> ReportingDelay:
        """Fit the curve to the delays of known frauds.

        Parameters
        ----------
        delay : array-like of shape (n_reports,)
            Time from each known fraud to its report: finite numbers >= 0 in any unit,
            such as days.
        observed_for : array-like of shape (n_reports,)
            Time from each known fraud to today, in the same unit: the largest delay
            that the fraud could show. At least ``delay``.
        sample_weight : array-like of shape (n_reports,) or None, default=None
            Finite weights >= 0, not all 0; None: 1 each. Only their ratios matter to
            the curve; intervals treat a weight as a number of equal rows.
        groups : array-like of shape (n_reports,) or None, default=None
            Labels of groups that are reported at different speeds, such as channels:
            each group has a curve of its own. Labels are hashable and not missing.
            None: one curve.

        Returns
        -------
        self : ReportingDelay

        Raises
        ------
        TypeError
            If times are time differences such as timedelta64 and not numbers, a
            parameter is not a number, or a label is not hashable.
        ValueError
            If a time is negative or not finite, a delay is greater than
            ``observed_for`` (such a report could not be known yet), there is no report,
            a weight is negative or not finite, all weights are 0, a label is missing,
            lengths differ, or a parameter is out of range.

        Warns
        -----
        UserWarning
            If a group has fewer than ``min_reports`` reports, if the tail places more
            than a quarter of the frauds beyond ``longest_``, or if the delays determine
            no tail.

        Examples
        --------
        >>> from focal_gbm.delays import ReportingDelay
        >>> reporting = ReportingDelay(tail=None).fit([0, 1, 1, 2], [3, 1, 2, 2])
        >>> reporting.delays_, reporting.curve_.round(3)
        (array([0., 1., 2.]), array([0.222, 0.667, 1.   ]))
        """
        tail = self.tail
        if tail is not None:
            tail = check_option(tail, "tail", ("gamma", None))
        ever = check_real(self.ever_reported, "ever_reported", low=0.0, high=1.0)
        if ever == 0.0:
            msg = f"ever_reported must be > 0, got {self.ever_reported!r}"
            raise ValueError(msg)
        fewest = check_count(self.min_reports, "min_reports")
        delays = _times(delay, "delay")
        spans = _times(observed_for, "observed_for")
        if len(spans) != len(delays):
            msg = (
                f"observed_for must have {len(delays)} values, one for each delay, got "
                f"{len(spans)}"
            )
            raise ValueError(msg)
        if len(delays) == 0:
            msg = "delay must hold at least one report, got none"
            raise ValueError(msg)
        if (delays > spans).any():
            row = int((delays > spans).argmax())
            msg = (
                f"delay must be at most observed_for, got delay {delays[row]} and "
                f"observed_for {spans[row]} in row {row}: a report that late could not "
                "be known yet; pass both in the same unit, and the time from the fraud "
                "to the day of the data as observed_for"
            )
            raise ValueError(msg)
        weight = weights_or_ones(sample_weight, len(delays))
        codes: NDArray[np.intp] | None = None
        labels: list[Hashable] = []
        if groups is not None:
            codes, labels = _grouped(groups, len(delays))
        used = weight > 0
        if not (weight[used].min() >= _LIGHTEST and weight.max() <= 1 / _LIGHTEST):
            msg = (
                f"sample_weight must be 0 or in [{_LIGHTEST}, {1 / _LIGHTEST}], got "
                f"{weight[used].min()} to {weight.max()}: divide all weights by one "
                "number"
            )
            raise ValueError(msg)
        if not used.all():
            delays, spans, weight = delays[used], spans[used], weight[used]
            codes = None if codes is None else codes[used]
        curve = _curve(delays, spans, weight, tail)
        members: dict[Hashable, ReportingDelay | None] | None = None
        few: list[Hashable] = []
        parts = [("all rows", curve)]
        if codes is not None:
            members = {}
            order = np.argsort(codes, kind="stable")
            ends = np.cumsum(np.bincount(codes, minlength=len(labels)))
            for label, rows in zip(labels, np.split(order, ends[:-1]), strict=True):
                if len(rows) < fewest:
                    members[label] = None
                    few.append(label)
                    continue
                own = _curve(delays[rows], spans[rows], weight[rows], tail)
                parts.append((f"group {_listed([label])}", own))
                members[label] = clone(self)._set_fitted(own, ever, len(rows), None)
        self._set_fitted(curve, ever, len(delays), members)
        if few:
            msg = (
                f"groups with fewer than min_reports={fewest} reports use the curve of "
                f"all rows: {_listed(few)}"
            )
            warnings.warn(msg, UserWarning, stacklevel=2)
        unclear = [name for name, part in parts if part.is_unclear]
        if unclear:
            msg = (
                f"the delays of {', '.join(unclear)} do not determine how many are "
                "longer than observed: the curve has no tail and ends at 1, which may "
                "be far too high; pass reports of older frauds too, or set tail=None "
                "for the curve among the delays observed"
            )
            warnings.warn(msg, UserWarning, stacklevel=2)
        shares = [
            (name, float(part.tail(np.array([part.longest]))[0]))
            for name, part in parts
            if part.tail is not None
        ]
        far = [f"{1 - reached:.0%} of {name}" for name, reached in shares
               if reached < _LITTLE]  # fmt: skip
        if far:
            msg = (
                f"the tail places {', '.join(far)} beyond the delays observed, where "
                "no data can confirm it; pass reports of older frauds too, or set "
                "tail=None for the curve among the delays observed"
            )
            warnings.warn(msg, UserWarning, stacklevel=2)
        return self

    def _set_fitted(
        self,
        curve: _Curve,
        ever: float,
        n_reports: int,
        members: dict[Hashable, ReportingDelay | None] | None,
    ) -> ReportingDelay:
        self._curve, self._ever = curve, ever
        self.delays_, self.weights_ = curve.delays, curve.weights
        self.curve_ = np.maximum(ever * curve.reached, _LEAST)
        self.longest_ = curve.longest
        tail = curve.tail
        self.tail_ = None
        if tail is not None:
            self.tail_ = {
                "shape": math.exp(tail.log_shape),
                "scale": math.exp(tail.log_scale),
                "above": tail.above,
                "reached": float(tail(np.array([curve.longest]))[0]),
            }
        self.n_reports_ = n_reports
        self.groups_ = members
        return self

    def maturity(self, age: ArrayLike, groups: Any = None) -> Float64Array:
        """Return the probability that a fraud of each age has been reported.

        Parameters
        ----------
        age : array-like of shape (n_samples,)
            Time from each transaction to the day of the labels, finite and >= 0, in the
            unit of ``fit``.
        groups : array-like of shape (n_samples,) or None, default=None
            Label of the group of each transaction, if ``fit`` had groups; a label that
            ``fit`` did not see uses the curve of all rows. None: the curve of all rows.

        Returns
        -------
        maturity : ndarray of shape (n_samples,), float64
            Probabilities in [1e-6, 1], non-decreasing in the age within a group.

        Raises
        ------
        NotFittedError
            If ``fit`` has not been called.
        TypeError
            If ages are time differences such as timedelta64 and not numbers, or a label
            is not hashable.
        ValueError
            If an age is negative or not finite, lengths differ, a label is missing, or
            there are groups and ``fit`` had none.

        Warns
        -----
        UserWarning
            If ``fit`` did not see a label.

        Examples
        --------
        >>> from focal_gbm.delays import ReportingDelay
        >>> reporting = ReportingDelay(tail=None).fit([0, 1, 1, 2], [3, 1, 2, 2])
        >>> reporting.maturity([0, 0.5, 1, 30]).round(3)
        array([0.222, 0.444, 0.667, 1.   ])
        """
        check_is_fitted(self, "curve_")
        ages = _times(age, "age")
        result = np.empty(len(ages))
        for curve, rows in self._parts(ages, groups):
            result[rows] = np.maximum(self._ever * curve(ages[rows]), _LEAST)
        return result

    def interval(
        self, age: ArrayLike, groups: Any = None, *, level: float = 0.95
    ) -> tuple[Float64Array, Float64Array]:
        """Return confidence intervals of the maturity at each age.

        The variance is Greenwood's in reversed time, plus that of the tail by the delta
        method; the interval is symmetric on the scale of log(-log). It holds at each
        age alone, and has no width where no known delay is longer and there is no tail.
        It does not contain the error of ``ever_reported``, nor that of the
        gamma distribution if the tail has another shape.

        Parameters
        ----------
        age : array-like of shape (n_samples,)
            Time from each transaction to the day of the labels, finite and >= 0, in the
            unit of ``fit``.
        groups : array-like of shape (n_samples,) or None, default=None
            Label of the group of each transaction, if ``fit`` had groups; a label that
            ``fit`` did not see uses the curve of all rows. None: the curve of all rows.
        level : float in (0, 1), default=0.95
            Confidence of the intervals.

        Returns
        -------
        low, high : ndarray of shape (n_samples,), float64
            Ends of the intervals, in [0, 1].

        Raises
        ------
        NotFittedError
            If ``fit`` has not been called.
        TypeError
            If ages are time differences such as timedelta64 and not numbers, ``level``
            is not a number, or a label is not hashable.
        ValueError
            If an age is negative or not finite, ``level`` is not in (0, 1), lengths
            differ, a label is missing, or there are groups and ``fit`` had none.

        Warns
        -----
        UserWarning
            If ``fit`` did not see a label.

        Examples
        --------
        >>> from focal_gbm.delays import ReportingDelay
        >>> reporting = ReportingDelay(tail=None).fit([0, 1, 1, 2], [3, 1, 2, 2])
        >>> low, high = reporting.interval([1.0])
        >>> low.round(3), high.round(3)
        (array([0.054]), array([0.945]))
        """
        check_is_fitted(self, "curve_")
        confidence = check_real(level, "level", low=0.0, high=1.0, open_ends=True)
        ages = _times(age, "age")
        low, high = np.empty(len(ages)), np.empty(len(ages))
        for curve, rows in self._parts(ages, groups):
            ends = curve.interval(ages[rows], confidence)
            low[rows], high[rows] = (self._ever * end for end in ends)
        return low, high

    def _parts(self, ages: Float64Array, groups: Any) -> list[tuple[_Curve, Any]]:
        """Return each curve in use, and its rows."""
        if groups is None:
            return [(self._curve, slice(None))]
        if self.groups_ is None:
            msg = (
                "groups were passed, but fit had none; pass groups to fit, or leave "
                "them out here"
            )
            raise ValueError(msg)
        codes, labels = _grouped(groups, len(ages))
        unknown = [label for label in labels if label not in self.groups_]
        if unknown:
            msg = (
                f"groups that fit did not see use the curve of all rows: "
                f"{_listed(unknown)}"
            )
            warnings.warn(msg, UserWarning, stacklevel=3)
        own = [self.groups_.get(label) for label in labels]
        return [
            (self._curve if one is None else one._curve, codes == code)
            for code, one in enumerate(own)
        ]
