"""One fit as the loss sees it, and what both boosters need around it."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from focal_gbm import _kernels
from focal_gbm._checks import Float64Array, check_finite_vector, check_weights
from focal_gbm.loss import FocalLoss
from focal_gbm.objective import FocalMetric, FocalObjective


@dataclass
class Training:
    """One fit: the data as the loss sees it, and what boosting starts from.

    ``start`` is the raw score to begin from; ``offset`` is what has to be added to the
    booster's scores while it trains, the start if it takes it for 0.
    """

    X: Any
    labels: NDArray[Any]
    y: NDArray[np.uint8]
    sample_weight: Float64Array | None
    loss: FocalLoss
    scale: float
    start: float
    offset: float
    max_step: float | None
    classes: NDArray[Any]
    threshold: float
    device: str = "cpu"
    n_jobs: int = 1
    init_score: Float64Array | None = None
    closing: Any = None
    native_metrics: list[str] = field(default_factory=list)
    evaluation: Any = None

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
            name=name,
        )

    def probability(self, raw: NDArray[Any]) -> Float64Array:
        """Return what scores of the booster stand for while it trains."""
        return self.loss.probability(raw + self.offset)

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
    """A metric of the user's, given the probabilities that raw scores stand for."""

    def __init__(self, metric: Callable[..., Any], training: Training) -> None:
        self._metric = metric
        self._training = training
        # LightGBM passes as many values as the signature has parameters, XGBoost
        # lists the name.
        self.__signature__ = inspect.signature(metric)
        self.__name__: str = getattr(metric, "__name__", type(metric).__name__)

    def __call__(
        self, y_true: Any, raw: NDArray[Any], *rest: Any, **kwargs: Any
    ) -> Any:
        return self._metric(y_true, self._training.probability(raw), *rest, **kwargs)


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
    if eval_scores is None and len(given) and (given == given[0]).all():
        return float(given[0]), None
    if has_eval_sets and eval_scores is None:
        msg = f"{eval_name} must be given where {name} differs by row"
        raise ValueError(msg)
    warnings.warn(f"{name} differs by row and {advice}", UserWarning, stacklevel=4)
    return 0.0, given


def check_eval_weights(
    eval_sets: Sequence[Any] | None, weights: Any, name: str
) -> None:
    """Check the weights of the evaluation sets, a list or a dict by position."""
    if not eval_sets or weights is None:
        return
    given = weights if isinstance(weights, dict) else dict(enumerate(weights))
    for i, pair in enumerate(eval_sets):
        check_weights(given.get(i), len(pair[1]), f"{name}[{i}]")
