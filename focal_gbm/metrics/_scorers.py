"""Measures as scorers for scikit-learn's searches and cross-validation."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics._scorer import _BaseScorer

from focal_gbm._validation import (
    check_labels,
    check_option,
    did_you_mean,
    equal_to,
)
from focal_gbm.metrics._alerts import (
    precision_at_alert_rate,
    precision_at_daily_budget,
    recall_at_alert_rate,
    recall_at_daily_budget,
    recall_at_fpr,
)
from focal_gbm.metrics._costs import card_precision_at_k, expected_cost
from focal_gbm.metrics._probabilities import calibration_in_the_large, calibration_slope
from focal_gbm.metrics._rows import codes_in

_MEASURES: dict[str, Callable[..., float]] = {
    measure.__name__: measure
    for measure in (
        recall_at_fpr,
        recall_at_alert_rate,
        precision_at_alert_rate,
        recall_at_daily_budget,
        precision_at_daily_budget,
        card_precision_at_k,
        expected_cost,
        calibration_in_the_large,
        calibration_slope,
    )
}

# Their scorers are negated, since scikit-learn maximises scores.
_LOSSES = ("expected_cost", "calibration_in_the_large", "calibration_slope")


def _measured(name: str, *args: Any, **kwargs: Any) -> float:
    """Return a measure, and for measures of calibration the deviation from their best
    value, 1: a factor for the level, a distance for the slope."""
    value = float(_MEASURES[name](*args, **kwargs))
    if name == "calibration_in_the_large":
        return max(value, 1.0 / value) if value else float("inf")
    return abs(value - 1.0) if name == "calibration_slope" else value


class _OfDecisions:
    """A measure as a function of predicted labels in place of scores, as
    TunedThresholdClassifierCV of scikit-learn calls it to try thresholds."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    # inspect.signature reads it, and with it scikit-learn: which metadata are routed
    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(_MEASURES[self.__name__])

    def __call__(
        self, y_true: ArrayLike, y_pred: ArrayLike, pos_label: Any = None, **kwargs: Any
    ) -> float:
        labels = np.unique(np.concatenate([np.asarray(y_true), np.asarray(y_pred)]))
        if pos_label is None and not (equal_to(labels, 0) | equal_to(labels, 1)).all():
            pos_label = labels[-1]  # scikit-learn's second class
            if len(labels) < 2:
                msg = (
                    f"all labels are {labels.tolist()[0]!r}, so that the positive "
                    "class is unknown; pass pos_label to scorer"
                )
                raise ValueError(msg)
        if self.__name__ == "expected_cost":
            kwargs.setdefault("threshold", 0.5)  # labels are decisions already
        alerted = equal_to(np.asarray(y_pred), 1 if pos_label is None else pos_label)
        value = _measured(self.__name__, y_true, alerted, pos_label=pos_label, **kwargs)
        # scikit-learn's search would take the threshold of the first NaN for the best
        return 0.0 if np.isnan(value) and self.__name__ not in _LOSSES else value


class _Scorer(_BaseScorer):
    """A scorer of a fitted classifier, whose ``classes_`` name the positive label."""

    def __repr__(self) -> str:
        kwargs = "".join(f", {key}={value!r}" for key, value in self._kwargs.items())
        return f"scorer({self._score_func.__name__!r}{kwargs})"

    # Called by _BaseScorer.__call__ and _MultimetricScorer of scikit-learn 1.6 to 1.9.
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
        # The caller may cache scores. Under a method's name they may be the other
        # class's, of another scorer; no other scorer stores any under a tuple.
        score = method_caller(estimator, self._response_method, X)
        score = np.asarray(score)[:, 1] if np.ndim(score) == 2 else np.asarray(score)
        # scores are of the second class: turn them around for the first
        if column == 0:
            score = -score if self._sign > 0 else 1.0 - score
        value = _measured(self._score_func.__name__, y, score, **kwargs)
        return value if self._sign > 0 else -value


def scorer(name: str, *, pos_label: Any = None, **kwargs: Any) -> Any:
    """Return a measure as a scorer for scikit-learn's searches and cross-validation.

    With TunedThresholdClassifierCV of scikit-learn, where a threshold alerts more rows
    than the rate or the budget of a day allows, none of these alerts counts; a value
    that is undefined counts as 0.

    Parameters
    ----------
    name : str
        Name of a measure of this module: "recall_at_fpr", "recall_at_alert_rate",
        "precision_at_alert_rate", "recall_at_daily_budget",
        "precision_at_daily_budget", "card_precision_at_k", "expected_cost",
        "calibration_in_the_large" or "calibration_slope". The scorers of the last three
        are negated; those of calibration use the deviation from the best value, 1: the
        factor for the level, the distance for the slope.
    pos_label : label or None, default=None
        Label of fraud, a class of the classifier; None: the second class,
        ``classes_[1]``.
    **kwargs
        Parameters of the measure, such as ``fpr=1e-3``. Arrays of one value a row (day,
        card, fraud_cost) are routed as metadata:
        ``scorer("recall_at_daily_budget").set_score_request(day=True)``.

    Returns
    -------
    scorer : callable
        Function ``scorer(estimator, X, y)`` that returns a float; greater is better.

    Raises
    ------
    TypeError
        If the measure has no such parameter.
    ValueError
        If the name is unknown; when the scorer is called, if a label is not a class of
        the classifier.

    See Also
    --------
    focal_gbm.model_selection.PrequentialSplit : Folds in the order of time.
    focal_gbm.FocalMetric : Metrics on evaluation sets in training.

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
    known = [*inspect.signature(_MEASURES[name]).parameters]
    for parameter in kwargs:
        if parameter not in known:
            hint = did_you_mean(parameter, known) or f"; it has {', '.join(known)}"
            msg = f"{name} has no parameter {parameter!r}{hint}"
            raise TypeError(msg)
    if pos_label is not None:
        kwargs["pos_label"] = pos_label
    if name in _LOSSES:
        return _Scorer(_OfDecisions(name), -1, kwargs, ("predict_proba",))
    methods = ("decision_function", "predict_proba")
    return _Scorer(_OfDecisions(name), 1, kwargs, methods)
