"""Measures that fraud teams decide by: of alerts within a budget, of cards, of money
and of probabilities, with intervals and as scorers for scikit-learn.

scikit-learn has further ones: ``average_precision_score``, ``brier_score_loss``,
``d2_log_loss_score`` (the skill score of log-loss), ``FixedThresholdClassifier``.
"""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics._scorer import _BaseScorer

from focal_gbm._alerts import (
    codes_in,
    drawings,
    precision_at_alert_rate,
    recall_at_alert_rate,
    recall_at_fpr,
    scores_of,
    weights_of,
)
from focal_gbm._checks import (
    check_count,
    check_labels,
    check_option,
    check_probabilities,
    check_real,
    equal_to,
)
from focal_gbm._decisions import (
    alert_threshold,
    card_precision_at_k,
    expected_cost,
    precision_at_daily_budget,
    recall_at_daily_budget,
)
from focal_gbm.calibration import LogOddsCalibrator

__all__ = [
    "alert_threshold",
    "bootstrap_interval",
    "calibration_in_the_large",
    "calibration_slope",
    "card_precision_at_k",
    "expected_cost",
    "precision_at_alert_rate",
    "precision_at_daily_budget",
    "recall_at_alert_rate",
    "recall_at_daily_budget",
    "recall_at_fpr",
    "scorer",
]


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
        Labels: 0 and 1, booleans, or any two with ``pos_label``.
    y_prob : array-like of shape (n_samples,)
        Probabilities of the positive class, in [0, 1].
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of the positive class; None: 1, or True.

    Returns
    -------
    ratio : float >= 0
        1 if the level is right; 2 if twice as many positives are predicted as there
        are. inf without positives.

    Raises
    ------
    ValueError
        If data cannot be used, lengths differ, or there is no row.

    Examples
    --------
    >>> from focal_gbm.metrics import calibration_in_the_large
    >>> calibration_in_the_large([0, 0, 0, 1], [0.1, 0.1, 0.2, 0.6])
    1.0
    """
    p = check_probabilities(scores_of(y_prob, "y_prob"))
    y = check_labels(y_true, len(p), pos_label=pos_label)
    weight = weights_of(sample_weight, len(p))
    rate = float(np.average(y, weights=weight))
    return float(np.average(p, weights=weight)) / rate if rate else float("inf")


def calibration_slope(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
) -> float:
    """Return the slope of the log-odds that the labels ask for.

    The slope of a logistic regression of labels on predicted log-odds (Cox 1958): 1 if
    the spread is right, below 1 if predictions are too extreme, as by over-fitting.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels, both of them: 0 and 1, booleans, or any two with ``pos_label``.
    y_prob : array-like of shape (n_samples,)
        Probabilities of the positive class, inside (0, 1).
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of the positive class; None: 1, or True.

    Returns
    -------
    slope : float >= 0

    Raises
    ------
    ValueError
        If a class is missing, data cannot be used, lengths differ, or no row is there.

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
    bad = (p == 0) | (p == 1)
    if bad.any():
        at = f"got {p[bad][0]} in row {int(bad.argmax())}; clip it or leave it out"
        msg = f"y_prob must lie inside (0, 1), its log-odds being finite, {at}"
        raise ValueError(msg)
    y = check_labels(y_true, len(p), pos_label=pos_label)
    weight = weights_of(sample_weight, len(p))
    calibrator = LogOddsCalibrator("platt").fit(logit(p), y, weight)
    return float(1.0 + calibrator.coef_[1])


def bootstrap_interval(
    metric: Callable[..., float],
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
    n_resamples: int = 500,
    confidence: float = 0.95,
    random_state: int | np.random.Generator | None = None,
    **kwargs: Any,
) -> tuple[float, float]:
    """Return an interval for a measure from rows drawn again, by card or by day.

    Frauds of one card or one day resemble each other, and rows drawn one by one make
    intervals that are too short; groups are drawn as wholes. A group drawn twice is
    two groups; what names groups arrives at the metric as whole numbers:

    - ``card``: a second copy of a group has other cards than the first, so that a card
      found in one is not missed in the other. First copies share their cards with one
      another, as the data do, and so do second copies.
    - ``day``: if every day lies in one group (groups of days or weeks), each copy has
      days of its own, with budgets of their own, beside the first in the order of time.
      Groups of cards share the days, and so the budgets.
    - An array equal to ``groups``: each copy has a name of its own.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, y_score, **kwargs)``, of this module, of scikit-learn or of
        your own, with labels 0 and 1; with ``sample_weight=`` where there are weights.
    y_true : array-like of shape (n_samples,)
        Labels: 0 and 1, booleans, or any two with ``pos_label``.
    y_score : array-like of shape (n_samples,)
        Scores or probabilities of the positive class; NaN is refused.
    groups : array-like of shape (n_samples,) or None, default=None
        Names of what is drawn as a whole; None: each row, which keeps card and day.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of the positive class; None: 1, or True.
    n_resamples : int >= 1, default=500
        Resamples on which the measure is defined. Others, as without a positive, are
        drawn again, at most as many.
    confidence : float in (0, 1), default=0.95
        Share of the resamples between the ends (percentiles; Efron 1979).
    random_state : int, numpy.random.Generator or None, default=None
        Seed or source of the drawings; None: different ones each time.
    **kwargs
        For the metric. Array-likes of n_samples values are drawn with the rows.

    Returns
    -------
    low, high : float
        Widened to hold the measure of all rows where the percentiles leave it out.

    Raises
    ------
    ValueError
        If the measure is undefined on all rows or many resamples, or data unusable.

    Examples
    --------
    >>> import numpy as np
    >>> from focal_gbm.metrics import bootstrap_interval, recall_at_daily_budget
    >>> rng = np.random.default_rng(0)
    >>> y, day = rng.random(2000) < 0.05, np.arange(2000) // 100
    >>> low, high = bootstrap_interval(
    ...     recall_at_daily_budget, y, y + rng.normal(size=2000), groups=day, day=day,
    ...     budget=10, random_state=0)
    >>> 0 < low < high < 1
    True
    """
    n_resamples = check_count(n_resamples, "n_resamples")
    inside = check_real(confidence, "confidence", low=0.0, high=1.0, open_ends=True)
    score = scores_of(y_score)
    y = check_labels(y_true, len(score), pos_label=pos_label)
    rng = np.random.default_rng(random_state)
    if sample_weight is not None or _needs_weight(metric):
        weight = np.ones_like(score) if sample_weight is None else sample_weight
        kwargs["sample_weight"] = weights_of(weight, len(score))
    name = getattr(metric, "__name__", repr(metric))
    estimate = float(metric(y, score, **kwargs))
    if not np.isfinite(estimate):
        msg = f"{name} is {estimate} on all rows, which no interval can hold"
        raise ValueError(msg)
    columns = {k: v for k, v in kwargs.items() if np.shape(v)[:1] == score.shape}
    draws = drawings(columns, groups, len(score), rng)
    values: list[float] = []
    n_undefined, n_without, cause = 0, 0, None
    while len(values) < n_resamples:
        rows, drawn = next(draws)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UndefinedMetricWarning)
                value = float(metric(y[rows], score[rows], **{**kwargs, **drawn}))
        except ValueError as error:  # it is defined on all rows
            value, cause = float("nan"), error
        if np.isfinite(value):
            values.append(value)
            continue
        n_undefined, n_without = n_undefined + 1, n_without + (not y[rows].any())
        if n_undefined > n_resamples:
            msg = (
                f"{name} is undefined on {n_undefined} of {n_undefined + len(values)} "
                f"resamples, {n_without} of which hold no positive: an interval of the "
                "others would mislead; take more rows, more groups or another measure"
            )
            raise ValueError(msg) from cause
    low, high = np.quantile(values, [(1 - inside) / 2, (1 + inside) / 2])
    return min(float(low), estimate), max(float(high), estimate)


def _needs_weight(metric: Callable[..., float]) -> bool:
    """Whether a metric cannot be called without ``sample_weight``."""
    with contextlib.suppress(TypeError, ValueError):  # built-in ones have no signature
        needed = inspect.signature(metric).parameters.get("sample_weight")
        return needed is not None and needed.default is needed.empty
    return False


_LOSSES = ("expected_cost", "calibration_in_the_large", "calibration_slope")
_OTHERS = ("alert_threshold", "bootstrap_interval", "scorer")
_MEASURES = {name: globals()[name] for name in __all__ if name not in _OTHERS}


def _measured(name: str, *args: Any, **kwargs: Any) -> float:
    """Return a measure, or by how much those of calibration miss 1, which is best."""
    value = float(_MEASURES[name](*args, **kwargs))
    if name == "calibration_in_the_large":
        return max(value, 1.0 / value) if value else float("inf")
    return abs(value - 1.0) if name == "calibration_slope" else value


class _OfDecisions:
    """A measure of predicted labels in place of scores: TunedThresholdClassifierCV of
    scikit-learn tries thresholds so. Its signature says which metadata are routed."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(_MEASURES[self.__name__])

    def __call__(
        self, y_true: ArrayLike, y_pred: ArrayLike, pos_label: Any = None, **kwargs: Any
    ) -> float:
        labels = np.unique(np.concatenate([np.asarray(y_true), np.asarray(y_pred)]))
        if pos_label is None and not (equal_to(labels, 0) | equal_to(labels, 1)).all():
            pos_label = labels[-1]
            if len(labels) < 2:
                msg = f"give scorer a pos_label: all labels are {pos_label!r}"
                raise ValueError(msg)
        if self.__name__ == "expected_cost":
            kwargs.setdefault("threshold", 0.5)
        alerted = equal_to(np.asarray(y_pred), 1 if pos_label is None else pos_label)
        return _measured(self.__name__, y_true, alerted, pos_label=pos_label, **kwargs)


class _Scorer(_BaseScorer):
    """A measure of a fitted classifier, whose classes say which label is positive."""

    def __repr__(self) -> str:
        kwargs = "".join(f", {key}={value!r}" for key, value in self._kwargs.items())
        return f"scorer({self._score_func.__name__!r}{kwargs})"

    def _score(
        self, method_caller: Any, estimator: Any, X: Any, y_true: Any, **kwargs: Any
    ) -> float:
        self._warn_overlap("Metadata override parameters of the scorer.", kwargs)
        kwargs = {**self._kwargs, **kwargs}
        pos_label = kwargs.pop("pos_label", None)
        if hasattr(estimator, "classes_"):
            y, column = codes_in(y_true, estimator.classes_, pos_label)
        else:
            y, column = check_labels(y_true, pos_label=pos_label), 1
        # scikit-learn 1.6 to 1.9 call this with a cache: under a method's name it may
        # hold the other class's scores, of another scorer, but not under a tuple.
        score = method_caller(estimator, self._response_method, X)
        score = np.asarray(score)[:, 1] if np.ndim(score) == 2 else np.asarray(score)
        if column == 0:
            score = -score if self._sign > 0 else 1.0 - score
        value = _measured(self._score_func.__name__, y, score, **kwargs)
        return value if self._sign > 0 else -value


def scorer(name: str, *, pos_label: Any = None, **kwargs: Any) -> Any:
    """Return a measure as a scorer for scikit-learn's searches and cross-validation.

    Parameters
    ----------
    name : str
        A measure of this module: "recall_at_fpr", "recall_at_alert_rate",
        "precision_at_alert_rate", "recall_at_daily_budget",
        "precision_at_daily_budget", "card_precision_at_k", "expected_cost",
        "calibration_in_the_large" or "calibration_slope". Costs are negated, and so are
        the last two, as the factor and the distance by which they miss 1.
    pos_label : label or None, default=None
        Label of fraud, a class of the classifier; None: its second, ``classes_[1]``.
    **kwargs
        Parameters of the measure, ``fpr=1e-3`` for one. Arrays of a value a row (day,
        card, fraud_cost) are routed as metadata:
        ``scorer("recall_at_daily_budget").set_score_request(day=True)``.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y)``, a float; greater is better.

    Raises
    ------
    TypeError
        If the measure has no such parameter.
    ValueError
        If there is no such measure; when called, if a label is no class.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from focal_gbm import FocalLGBMClassifier
    >>> from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
    >>> from focal_gbm.metrics import scorer
    >>> data = make_transactions(n_customers=200, n_terminals=400, n_days=60)
    >>> X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"]
    >>> model = FocalLGBMClassifier(n_estimators=30, verbose=-1)
    >>> scores = cross_val_score(model, X, y, scoring=scorer("recall_at_fpr", fpr=0.01))
    >>> bool((scores > 0.2).all())
    True
    """
    check_option(name, "name", tuple(_MEASURES))
    inspect.signature(_MEASURES[name]).bind_partial(**kwargs)  # raises the TypeError
    if pos_label is not None:
        kwargs["pos_label"] = pos_label
    if name in _LOSSES:
        return _Scorer(_OfDecisions(name), -1, kwargs, ("predict_proba",))
    methods = ("decision_function", "predict_proba")
    return _Scorer(_OfDecisions(name), 1, kwargs, methods)
