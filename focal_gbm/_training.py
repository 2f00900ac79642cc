"""One fit as the loss sees it, and what both boosters need around it."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from focal_gbm import _kernels
from focal_gbm._calls import warn_if_undefined
from focal_gbm._checks import (
    Float64Array,
    check_finite_vector,
    check_flag,
    check_weights,
)
from focal_gbm.loss import FocalLoss
from focal_gbm.objective import FocalMetric, FocalObjective


@dataclass(frozen=True)
class Training:
    """One fit: the data as the loss sees it, and what boosting starts from.

    ``raw_start`` is the raw score to begin from; ``offset`` is what has to be added to
    the booster's scores while it trains, the start if the booster takes it for 0.
    ``init_score`` are scores to begin from that differ by row. ``prior_shift`` is what
    a :class:`PriorShift` adds to the log-odds of the predictions.
    """

    X: Any
    y: NDArray[np.uint8]
    sample_weight: Float64Array | None
    classes: NDArray[Any]
    loss: FocalLoss
    threshold: float
    scale: float
    raw_start: float
    offset: float
    init_score: Float64Array | None
    prior_shift: float
    max_step: float | None
    device: str
    n_jobs: int

    @property
    def labels(self) -> NDArray[Any]:
        """The labels of the training rows, as members of ``classes``."""
        labels: NDArray[Any] = self.classes[self.y]
        return labels

    @property
    def leaf_bound(self) -> float:
        """Bound on a leaf's step in raw score; 0, the boosters' word for none."""
        if self.max_step is None:
            return 0.0
        if self.loss.link == "logit":  # dx/dz is 1 + gamma on all but uncertain rows
            return self.max_step / (1.0 + self.loss.gamma)
        return self.max_step

    @cached_property
    def objective(self) -> FocalObjective:
        """The callable that the booster trains with."""
        loss = self.loss
        return FocalObjective(
            loss.gamma,
            loss.alpha,
            link=loss.link,
            scale=self.scale,
            offset=self.offset,
            device=self.device,
            n_jobs=self.n_jobs,
        )

    def metric(self, metric: str, name: str | None) -> FocalMetric:
        """Return an evaluation function on the probabilities, listed as ``name``."""
        loss = self.loss
        return FocalMetric(
            loss.gamma,
            loss.alpha,
            link=loss.link,
            metric=metric,
            offset=self.offset,
            prior_shift=self.prior_shift,
            name=name,
        )

    def on_probabilities(self, metric: Callable[..., Any]) -> OnProbabilities:
        """Return a metric of the user's, to be called with raw scores."""
        return OnProbabilities(metric, self.loss, self.offset, self.prior_shift)

    def closing_constant(self, raw: NDArray[Any]) -> float:
        """Return c for which the mean probability at ``raw`` + c is the base rate.

        ``raw`` is what the booster says while it trains. Newton's method on the
        logarithm of the mean, which is increasing and concave in c; the step is
        bounded for models that say 1 nearly everywhere.
        """
        weight = self.sample_weight
        total = float(self.y.sum() if weight is None else weight.sum(where=self.y > 0))
        is_logit = self.loss.link == "logit"
        slope = 1.0 + self.loss.gamma if is_logit else 1.0
        constant = 0.0
        for _ in range(100):
            x, shift = raw, self.offset + constant
            if is_logit:
                x, shift = self.loss.log_odds(raw + shift), 0.0
            mean, spread = _kernels.probability_sums(x, weight, shift)
            step = math.log(mean / total) * mean / (spread * slope)
            constant -= min(max(step, -5.0), 5.0)
            if abs(step) < 1e-9:
                break
        return constant


class OnProbabilities:
    """A metric of the user's, given the probabilities that raw scores stand for.

    It holds no data: LightGBM deep-copies the metrics of a fit.
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
        value = result[1] if isinstance(result, tuple) and len(result) > 1 else result
        warn_if_undefined(self.__name__, value)
        return result


class ProgressBar:
    """Bar over the iterations; made when training starts and gone when it ends."""

    def __init__(self, title: str) -> None:
        try:
            from tqdm.auto import tqdm
        except ImportError as error:
            msg = "progress=True needs tqdm: pip install tqdm"
            raise ImportError(msg) from error
        self._bar = tqdm(desc=title, unit="tree")

    def show(self, total: int, metrics: Mapping[str, float]) -> None:
        """Count one more iteration."""
        self._bar.total = total
        self._bar.set_postfix(
            {name: f"{value:.4g}" for name, value in metrics.items()}, refresh=False
        )
        self._bar.update()

    def close(self) -> None:
        """Leave the finished bar."""
        self._bar.close()


@contextmanager
def progress_bar(estimator: Any, make: Callable[..., Any]) -> Iterator[list[Any]]:
    """Give the progress bar of a fit as a list of callbacks, empty if none is wanted,
    and leave it as it is when the fit ends."""
    is_wanted = check_flag(estimator.progress, "progress")
    bars = [make(type(estimator).__name__)] if is_wanted else []
    try:
        yield bars
    finally:
        for bar in bars:
            bar.close()


def start_of_rows(
    scores: ArrayLike,
    eval_scores: Any,
    has_eval_sets: bool,
    names: tuple[str, str],
    advice: str,
) -> tuple[float, Float64Array | None]:
    """Return the raw score to begin from and the scores to hand to the booster: one
    value for all rows is a start like any other. ``names`` are the parameters'."""
    name, eval_name = names
    given = check_finite_vector(scores, name)
    if len(given) and (given == given[0]).all():
        others = eval_scores.values() if isinstance(eval_scores, dict) else eval_scores
        if all((np.asarray(other) == given[0]).all() for other in others or ()):
            return float(given[0]), None
    if has_eval_sets and eval_scores is None:
        msg = f"{eval_name} must be given where {name} differs by row"
        raise ValueError(msg)
    warnings.warn(f"{name} differs by row and {advice}", UserWarning, stacklevel=4)
    return 0.0, given


def copies_of(callbacks: Sequence[Any], reporting: tuple[type, ...]) -> list[Any]:
    """Return copies of callbacks; without those that report, and without functions and
    whatever else has no copy of its own."""
    copies = []
    for callback in callbacks:
        if isinstance(callback, reporting):
            continue
        try:
            copy = deepcopy(callback)
        except Exception:  # locks, files, connections: anything may be in them
            continue
        if copy is not callback:
            copies.append(copy)
    return copies


def listed(values: Any, name: str = "") -> Any:
    """Return what was given as a list, from whichever iterable it came; text, a dict by
    position and None stay. With a ``name``, what is no iterable is refused."""
    if values is None or isinstance(values, (dict, str)):
        return values
    if name and not isinstance(values, Iterable):
        msg = f"{name} must be a list, got {values!r}"
        raise TypeError(msg)
    # LightGBM takes no integers of NumPy for positions
    return [v.item() if isinstance(v, np.integer) else v for v in values]


def check_lasts(values: Any, name: str) -> None:
    """Refuse an iterator as a parameter: the next fit would find it empty."""
    if isinstance(values, Iterator):
        msg = (
            f"{name} is an iterator, which lasts for one fit; pass a list of its items"
        )
        raise TypeError(msg)


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
    return [(pair[0], pair[1]) for pair in pairs] or None


def _is_pair(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2


def check_eval_scores(eval_sets: Sequence[Any] | None, scores: Any, name: str) -> None:
    """Check the scores to begin from of the evaluation sets, a list or a dict by
    position."""
    if scores is None:
        return
    given = scores if isinstance(scores, dict) else dict(enumerate(scores))
    n_sets = len(eval_sets or ())
    if set(given) != set(range(n_sets)):
        msg = (
            f"{name} must hold scores for each of the {n_sets} evaluation sets, got "
            f"them for {sorted(given)}"
        )
        raise ValueError(msg)
    for i, (_, labels) in enumerate(eval_sets or ()):
        n_given = len(check_finite_vector(given[i], f"{name}[{i}]"))
        if n_given != len(labels):
            msg = (
                f"{name}[{i}] must have {len(labels)} values, one a row, got {n_given}"
            )
            raise ValueError(msg)


def check_eval_weights(
    eval_sets: Sequence[Any] | None, weights: Any, name: str
) -> None:
    """Check the weights of the evaluation sets, a list or a dict by position."""
    if not eval_sets or weights is None:
        return
    given = weights if isinstance(weights, dict) else dict(enumerate(weights))
    for i, pair in enumerate(eval_sets):
        check_weights(given.get(i), len(pair[1]), f"{name}[{i}]")


def check_eval_classes(
    eval_sets: Sequence[Any] | None,
    weights: Any,
    positive: Any,
    metrics: Sequence[str],
    *,
    stops_early: bool,
) -> list[str]:
    """Refuse evaluation sets without rows, and, where training stops early, those on
    which rank metrics are undefined; return what is to be said of others.

    ``positive`` is the positive class among the labels of the sets, and ``metrics`` are
    the names of the rank metrics in use.
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
        if weight is not None:
            is_positive = is_positive[np.asarray(weight) > 0]
        if not metrics or len(np.unique(is_positive)) > 1:
            continue
        missing = "negative" if is_positive.any() else "positive"
        said = (
            f"evaluation set {i} holds no {missing} row, where {', '.join(metrics)} "
            "cannot tell one model from another"
        )
        if stops_early:
            msg = (
                f"{said}, so that early stopping would keep the first tree: leave the "
                "set out, wait for its labels, or stop on the log-loss"
            )
            raise ValueError(msg)
        messages.append(said)
    return messages
