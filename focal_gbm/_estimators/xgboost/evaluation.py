"""Metrics and evaluation sets in the forms that XGBoost takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xgboost import Booster, DMatrix
from xgboost.callback import (
    EarlyStopping,
)
from xgboost.core import XGBoostError

from focal_gbm._estimators.arguments import listed
from focal_gbm._estimators.evaluation import OnSets, refuse_maturity
from focal_gbm._estimators.training import Training
from focal_gbm._validation import did_you_mean
from focal_gbm.objective import METRICS, FocalMetric
from focal_gbm.objective._call import read_call

# Names under which XGBoost would measure raw scores of link="logit" as if they were
# log-odds, and the measure of FocalMetric that is right.
_METRICS = {"logloss": "log_loss", "error": "error"}
RANK_METRICS = ("auc", "aucpr", "pre", "map", "ndcg")
_OWN_METRICS = tuple(name for name in METRICS if name != "error")


def split_metrics(
    training: Training, eval_metric: Any
) -> tuple[list[str], Evaluation | None]:
    """Return the requested metrics that XGBoost computes, and a callable for the
    others.

    With the default link raw scores are log-odds, and all of XGBoost's own metrics are
    right, unless a prior shift is added or labels of evaluation sets are not final.
    """
    are_log_odds = training.loss.link == "posterior" and not training.prior_shift
    is_late = bool(training.maturities)
    if isinstance(eval_metric, str) or callable(eval_metric):
        eval_metric = [eval_metric]
    requests = listed(eval_metric, "eval_metric") or []
    if not any(isinstance(request, str) for request in requests):
        requests.insert(0, "logloss")  # XGBoost measures it by default
    native: list[str] = []
    others: list[Any] = []
    for request in requests:
        if isinstance(request, FocalMetric):
            refuse_maturity(request)
            others.append(training.metric(request.metric, request.name))
        elif callable(request):
            others.append(training.on_probabilities(request))
        elif not isinstance(request, str):
            msg = f"eval_metric must hold names and callables, got {request!r}"
            raise TypeError(msg)
        elif request in _OWN_METRICS:
            others.append(training.metric(request, None))
        elif is_late and request in _METRICS:
            others.append(training.metric(_METRICS[request], request))
        elif are_log_odds or request.partition("@")[0] in RANK_METRICS:
            _check_metric(request)
            native.append(request)
        elif request in _METRICS:
            others.append(training.metric(_METRICS[request], request))
        else:
            choices = ", ".join((*RANK_METRICS, *_METRICS, *_OWN_METRICS))
            msg = (
                f"metric {request!r} would be computed on raw scores, which link="
                "'logit' and PriorShift do not make log-odds of the predictions; use "
                f"one of {choices}, or a callable"
            )
            raise ValueError(msg)
    return native, Evaluation(others) if others else None


@cache  # it makes a booster, and searches fit with the same metric many times
def _check_metric(name: str) -> None:
    """Refuse a metric that XGBoost does not know; only XGBoost itself can tell."""
    rows = DMatrix(np.zeros((2, 1)), label=[0, 1])
    settings = {"eval_metric": name, "objective": "binary:logistic", "verbosity": 0}
    try:
        Booster(settings, [rows]).eval(rows)
    except XGBoostError as error:
        known = ("logloss", "error", "rmse", "mae", *RANK_METRICS, *_OWN_METRICS)
        msg = f"XGBoost has no metric {name!r}{did_you_mean(name, known)}"
        raise ValueError(msg) from error


def stops_early(parameters: Mapping[str, Any], callbacks: Sequence[Any]) -> bool:
    """Whether a metric may end training before the last round."""
    return bool(parameters["early_stopping_rounds"]) or any(
        isinstance(callback, EarlyStopping) for callback in callbacks
    )


def check_last_metric(native: Sequence[str], eval_metric: Any) -> None:
    """Refuse to stop early on a metric that XGBoost would not list last any more.

    With late labels the log-loss is a callable, and XGBoost lists its own metrics
    first.
    """
    requests = [eval_metric] if isinstance(eval_metric, str) else eval_metric
    requests = list(requests) if isinstance(requests, (list, tuple)) else []
    last = requests[-1] if requests else None
    if len(requests) > 1 and last in native and len(native) < len(requests):
        msg = (
            f"early stopping listens to the last metric, {last!r}, which XGBoost lists "
            "before the log-loss of late labels: pass eval_metric with the metric to "
            "stop on alone, or callbacks=[xgboost.callback.EarlyStopping(rounds=..., "
            f"metric_name={last!r})]"
        )
        raise ValueError(msg)


class Evaluation:
    """Any number of metrics in the one callable that XGBoost takes."""

    def __init__(self, metrics: list[Any]) -> None:
        self.metrics = metrics

    def __call__(self, raw: NDArray[Any], data: DMatrix) -> list[tuple[str, float]]:
        return [self._measure(metric, raw, data) for metric in self.metrics]

    @staticmethod
    def _measure(metric: Any, raw: NDArray[Any], data: DMatrix) -> tuple[str, float]:
        if isinstance(metric, (FocalMetric, OnSets)):
            return tuple(metric(raw, data))
        labels, raw, weight, _ = read_call(raw, data)
        weights = {} if weight is None else {"sample_weight": weight}
        return metric.__name__, float(metric(labels, raw, **weights))


def by_position(weights: Any, n_sets: int) -> list[Any] | None:
    """Return the weights of the evaluation sets as a list, from a list or a dict."""
    weights = listed(weights, "sample_weight_eval_set")
    if isinstance(weights, dict):
        weights = [weights.get(i) for i in range(n_sets)]
    return weights or None
