"""Metrics and evaluation sets in the forms that LightGBM takes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lightgbm import (
    early_stopping,
)

from focal_gbm._estimators.evaluation import eval_pairs, refuse_maturity
from focal_gbm._estimators.lightgbm.parameters import value_of
from focal_gbm._estimators.training import Training
from focal_gbm.objective import METRICS, FocalMetric

# Names under which LightGBM would measure raw scores as if they were
# probabilities, and the measure of FocalMetric that is right.
_METRICS = {
    "binary_logloss": ("binary_logloss", "log_loss"),
    "binary": ("binary_logloss", "log_loss"),
    "logloss": ("binary_logloss", "log_loss"),
    "cross_entropy": ("cross_entropy", "log_loss"),
    "xentropy": ("cross_entropy", "log_loss"),
    "binary_error": ("binary_error", "error"),
    "error": ("binary_error", "error"),
    **{name: (name, name) for name in METRICS if name != "error"},
}
_RANK_METRICS = ("auc", "average_precision")
_NO_METRIC = ("None", "none", "null", "na", "custom", "")
# Classes with private names.
_EARLY_STOPPING = type(early_stopping(1, verbose=False))


def split_metrics(training: Training, *requests: Any) -> tuple[list[str], list[Any]]:
    """Return the requested metrics that LightGBM computes, and callables for the
    others."""
    native: list[str] = []
    callables: list[Any] = []
    added: Any
    for request in _flat(requests):
        if isinstance(request, FocalMetric):
            refuse_maturity(request)
            added = training.metric(request.metric, request.name)
        elif callable(request):
            added = training.on_probabilities(request)
        elif not isinstance(request, str):
            msg = f"eval_metric must hold names and callables, got {request!r}"
            raise TypeError(msg)
        elif request in _RANK_METRICS:
            native += [request] if request not in native else []
            continue
        elif request in _NO_METRIC:
            continue
        elif request in _METRICS:
            name, measure = _METRICS[request]
            added = training.metric(measure, name)
        else:
            choices = ", ".join((*_RANK_METRICS, *_METRICS))
            msg = (
                f"metric {request!r} would be computed on raw scores while LightGBM "
                f"trains with a custom objective; use one of {choices}, or a callable"
            )
            raise ValueError(msg)
        if added not in callables:
            callables.append(added)
    return native, callables


def _flat(requests: Any) -> list[Any]:
    """Return metrics as a flat list; a text may hold names between commas."""
    flat: list[Any] = []
    for request in requests:
        if request is None:
            continue
        if isinstance(request, str):
            flat += [name.strip() for name in request.split(",")]
        elif isinstance(request, (list, tuple, set)):
            flat += _flat(request)
        else:
            flat.append(request)
    return flat


def stops_early(parameters: Mapping[str, Any], callbacks: Sequence[Any]) -> bool:
    """Whether a metric may end training before the last iteration."""
    rounds = value_of(parameters, "early_stopping_round", 0)
    return rounds > 0 or any(isinstance(c, _EARLY_STOPPING) for c in callbacks)


def pairs_of(eval_set: Any, eval_X: Any, eval_y: Any) -> list[Any] | None:
    """Return evaluation sets as a list of pairs, from ``eval_set`` or from its
    parts."""
    if (eval_X is None) != (eval_y is None):
        missing = "eval_X" if eval_X is None else "eval_y"
        msg = f"eval_X and eval_y are one set in two parts, but {missing} is missing"
        raise ValueError(msg)
    if eval_X is None:
        # one pair, or a tuple of pairs
        if isinstance(eval_set, tuple) and not _are_pairs(eval_set):
            eval_set = [eval_set] if eval_set else None
        return eval_pairs(eval_set)
    if eval_set is not None:
        msg = (
            "eval_set was passed beside eval_X and eval_y, which name the same sets in "
            "another way; pass either"
        )
        raise ValueError(msg)
    if not isinstance(eval_X, tuple):
        return [(eval_X, eval_y)]
    if not isinstance(eval_y, tuple) or len(eval_X) != len(eval_y):
        got = len(eval_y) if isinstance(eval_y, tuple) else type(eval_y).__name__
        msg = (
            f"eval_X is a tuple of {len(eval_X)} sets, so eval_y must be a tuple of as "
            f"many label vectors, got {got}"
        )
        raise ValueError(msg)
    return list(zip(eval_X, eval_y, strict=True)) or None


def _are_pairs(values: tuple[Any, ...]) -> bool:
    """Whether each value is a pair; a list of two numbers is a row of features."""
    return bool(values) and all(
        isinstance(v, tuple)
        or (isinstance(v, list) and len(v) == 2 and hasattr(v[0], "shape"))
        for v in values
    )


def by_part(eval_sets: list[Any] | None) -> dict[str, Any]:
    """Return evaluation sets as the arguments ``eval_X`` and ``eval_y``."""
    if eval_sets is None:
        return {}
    parts = zip(*eval_sets, strict=True)
    return dict(zip(("eval_X", "eval_y"), parts, strict=True))


@contextmanager
def deprecations_by(eval_set: Any, eval_sets: Any) -> Iterator[None]:
    """Hide that ``eval_set`` is deprecated from users who did not pass it.

    Warnings are filtered only then, because filters are shared by all threads.
    """
    if eval_set is not None or eval_sets is None:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The argument 'eval_set'")
        yield
