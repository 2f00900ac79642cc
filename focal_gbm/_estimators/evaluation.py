"""Evaluation sets and metrics of a fit, checked before training starts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_gbm._estimators.arguments import listed
from focal_gbm._validation import (
    check_finite_vector,
    check_maturity,
    check_weights,
)
from focal_gbm.loss import FocalLoss
from focal_gbm.objective import FocalMetric
from focal_gbm.objective._metric import warn_if_undefined


class OnProbabilities:
    """A user's metric that receives probabilities in place of raw scores.

    It holds no data, because LightGBM deep-copies the metrics of a fit.
    """

    def __init__(
        self,
        metric: Callable[..., Any],
        loss: FocalLoss,
        offset: float,
        prior_shift: float,
    ) -> None:
        self._metric = metric
        self._loss = loss
        self._offset = offset
        self._prior_shift = prior_shift
        # LightGBM passes as many values as the signature has parameters, XGBoost
        # lists the name.
        self.__signature__ = inspect.signature(metric)
        self.__name__: str = getattr(metric, "__name__", type(metric).__name__)

    def __call__(
        self, y_true: Any, raw: NDArray[Any], *rest: Any, **kwargs: Any
    ) -> Any:
        log_odds = self._loss.log_odds(raw + self._offset) + self._prior_shift
        p = FocalLoss().probability(log_odds)
        result = self._metric(y_true, p, *rest, **kwargs)
        # LightGBM's metrics return name, value and direction, XGBoost's the value
        value = result[1] if isinstance(result, tuple) and len(result) > 1 else result
        warn_if_undefined(self.__name__, value)
        return result


class OnSets:
    """A metric that knows how far the labels of each evaluation set have matured.

    Boosters call metrics set by set, in the order of ``maturities`` the first time, and
    pass the same object for a set each time: LightGBM the labels, XGBoost the DMatrix.
    XGBoost has one matrix for the training data, however often it is a set.
    """

    def __init__(self, metric: FocalMetric, maturities: Sequence[Any]) -> None:
        self._metrics = [replace(metric, label_maturity=m) for m in maturities]
        self._sets: list[Any] = []  # one for each call of the first round
        self.name, self.metric = metric.name, metric.metric
        self.is_higher_better = metric.is_higher_better
        self.__name__ = metric.__name__

    # as FocalMetric has it, by which LightGBM passes weights
    def __call__(
        self,
        y_true: Any,
        raw_prediction: Any,
        *weight_and_group: Any,
        sample_weight: Any = None,
    ) -> Any:
        is_native = hasattr(raw_prediction, "get_label")
        key = raw_prediction if is_native else y_true
        if len(self._sets) < len(self._metrics):
            self._sets.append(key)
        position = next(i for i, k in enumerate(self._sets) if k is key)
        metric = self._metrics[position]
        arguments = y_true, raw_prediction, *weight_and_group
        if sample_weight is None:
            return metric(*arguments)
        return metric(*arguments, sample_weight=sample_weight)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OnSets) and self._metrics == other._metrics

    def __hash__(self) -> int:
        return hash(self.__name__)

    def __deepcopy__(self, _: Any) -> OnSets:
        return self  # LightGBM's copies would not know the sets


def refuse_maturity(metric: FocalMetric) -> None:
    """Refuse a metric with maturities of its own, of which a set is not known."""
    if metric.label_maturity is not None:
        msg = (
            "FocalMetric(label_maturity=...) in an estimator: pass the maturities to "
            "fit, as eval_label_maturity, which knows the set that they belong to"
        )
        raise ValueError(msg)


def set_maturities(
    eval_sets: Sequence[Any] | None,
    values: Any,
    name: str,
    training: tuple[Any, Any, Any],
    *,
    training_first: bool,
) -> tuple[list[Any], list[Any]]:
    """Return maturities of the labels of evaluation sets, by position and in the order
    in which a booster measures the sets; two empty lists where all labels are final.

    ``values`` is a list or a dict by position. ``training`` holds the features and the
    labels of the training rows as the user passed them, and their maturities, which
    hold for an evaluation set that is the training data.
    """
    values = listed(values, name)
    n_sets = len(eval_sets or ())
    found = values if isinstance(values, dict) else dict(enumerate(values or ()))
    wrong = [key for key in found if key not in range(n_sets)]
    if wrong:
        msg = (
            f"{name} has {len(found)} entries for {n_sets} evaluation sets: pass a "
            "list with a vector, or None, for each set, or a dict by position from 0"
        )
        raise ValueError(msg)
    X, y, own = training
    is_training = [f is X and labels is y for f, labels in eval_sets or ()]
    by_position: list[Any] = []
    for i, (_, labels) in enumerate(eval_sets or ()):
        mine = found.get(i)
        if mine is None and is_training[i]:
            mine = own
        n_rows = len(labels) if hasattr(labels, "__len__") else None
        by_position.append(check_maturity(mine, n_rows, f"{name}[{i}]"))
    if all(maturity is None for maturity in by_position):
        return [], []
    own_sets = [by_position[i] for i in range(n_sets) if is_training[i]]
    if any(not np.array_equal(maturity, own_sets[0]) for maturity in own_sets):
        msg = f"{name} gives the training data, which is a set twice, two maturities"
        raise ValueError(msg)
    if not training_first or not own_sets:
        return by_position, list(by_position)
    # LightGBM measures the training data once, before the other sets
    others = [by_position[i] for i in range(n_sets) if not is_training[i]]
    return by_position, [own_sets[0], *others]


def eval_pairs(eval_set: Any) -> list[tuple[Any, Any]] | None:
    """Return evaluation sets as a list of pairs, or None if there is none."""
    if eval_set is None:
        return None
    if not isinstance(eval_set, Iterable):
        msg = f"eval_set must be a list of pairs (X, y), got {type(eval_set).__name__}"
        raise TypeError(msg)
    pairs = list(eval_set)
    for i, pair in enumerate(pairs):
        if not _is_pair(pair):
            msg = (
                f"eval_set must be a list of pairs (X, y), got {type(pair).__name__} "
                f"at position {i}"
            )
            raise ValueError(msg)
    # tuples, by which LightGBM tells a pair from features
    return [(pair[0], pair[1]) for pair in pairs] or None


def _is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2


def check_eval_scores(eval_sets: Sequence[Any] | None, scores: Any, name: str) -> None:
    """Check the initial raw scores of the evaluation sets, a list or a dict by
    position."""
    if scores is None:
        return
    by_position = scores if isinstance(scores, dict) else dict(enumerate(scores))
    n_sets = len(eval_sets or ())
    if set(by_position) != set(range(n_sets)):
        msg = (
            f"{name} must hold scores for each of the {n_sets} evaluation sets, got "
            f"them for {sorted(by_position)}"
        )
        raise ValueError(msg)
    for i, (_, labels) in enumerate(eval_sets or ()):
        n_scores = len(check_finite_vector(by_position[i], f"{name}[{i}]"))
        if n_scores != len(labels):
            msg = (
                f"{name}[{i}] must have {len(labels)} values, one a row, got {n_scores}"
            )
            raise ValueError(msg)


def check_eval_weights(
    eval_sets: Sequence[Any] | None, weights: Any, name: str
) -> None:
    """Check the row weights of the evaluation sets, a list or a dict by position."""
    if not eval_sets or weights is None:
        return
    by_position = weights if isinstance(weights, dict) else dict(enumerate(weights))
    for i, pair in enumerate(eval_sets):
        check_weights(by_position.get(i), len(pair[1]), f"{name}[{i}]")


def check_eval_classes(
    eval_sets: Sequence[Any] | None,
    weights: Any,
    positive: Any,
    metrics: Sequence[str],
    *,
    stops_early: bool,
) -> list[str]:
    """Return warnings about evaluation sets of one class, on which rank metrics are
    undefined.

    Sets without rows are refused, and so are sets of one class where training stops
    early by a rank metric. ``positive`` is the positive class among the labels of the
    sets; ``metrics`` are the names of the rank metrics in use.
    """
    if not isinstance(weights, dict):
        weights = dict(enumerate(weights or ()))
    messages = []
    for i, (_, labels) in enumerate(eval_sets or ()):
        if len(labels) == 0:
            msg = f"evaluation set {i} holds no row: leave it out"
            raise ValueError(msg)
        is_positive = labels == positive
        weight = weights.get(i)
        if weight is not None:  # metrics ignore rows without weight
            is_positive = is_positive[np.asarray(weight) > 0]
        if not metrics or len(np.unique(is_positive)) > 1:
            continue
        missing = "negative" if is_positive.any() else "positive"
        problem = (
            f"evaluation set {i} holds no {missing} row, where {', '.join(metrics)} "
            "cannot tell one model from another"
        )
        if stops_early:
            msg = (
                f"{problem}, so that early stopping would keep the first tree: leave "
                "the set out, wait for its labels, or stop on the log-loss"
            )
            raise ValueError(msg)
        messages.append(problem)
    return messages
