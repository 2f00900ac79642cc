"""What the estimators for LightGBM and XGBoost share: parameters, labels, weights,
the start and the final constant."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from focal_gbm import _kernels
from focal_gbm._checks import (
    Float64Array,
    check_alpha,
    check_gamma,
    check_option,
    check_positive,
    check_real,
    check_vector,
    check_weights,
    in_host_memory,
)
from focal_gbm.loss import LINKS, FocalLoss, base_log_odds
from focal_gbm.objective import FocalMetric, FocalObjective

# Parameters of the estimators that the boosters know nothing of.
OWN_PARAMETERS = (
    "focal_gamma",
    "focal_alpha",
    "link",
    "max_step",
    "start",
    "progress",
)


@dataclass
class Training:
    """One fit: the data as the loss sees it, and what boosting starts from.

    ``start`` is the raw score to begin from; ``offset`` is what has to be added to the
    booster's scores while it trains, the start if it takes it for 0.
    """

    X: Any
    labels: NDArray[Any]
    y: Float64Array
    sample_weight: Float64Array | None
    loss: FocalLoss
    scale: float
    start: float
    offset: float
    max_step: float | None
    classes: NDArray[Any]
    threshold: float
    device: str = "cpu"
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


def with_parameters_of(parent: type) -> Callable[[Any], Any]:
    """Return a decorator of ``__init__`` that lists the parent's parameters in place of
    ``**kwargs``, for readers of the signature: help, editors, the estimator's repr."""

    def decorate(init: Any) -> Any:
        own = inspect.signature(init).parameters
        parents = inspect.signature(parent.__init__).parameters  # type: ignore[misc]
        added = [
            value.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, value in parents.items()
            if name not in own
        ]
        *first, kwargs = own.values()
        init.__signature__ = inspect.Signature([*first, *added, kwargs])
        return init

    return decorate


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


class FocalClassifierMixin:
    """Parameters and data of a fit, checked before any work starts."""

    focal_gamma: float
    focal_alpha: float | None
    link: str
    max_step: float | None
    start: float

    def _prepare(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        *,
        class_weight: Any = None,
        scale_pos_weight: float = 1.0,
        is_unbalance: bool = False,
        start: float | None = None,
        begins_at_zero: bool = False,
        device: str = "cpu",
    ) -> Training:
        """Check everything and return what the fit needs.

        ``start`` is the raw score to begin from, None for the one of the parameter;
        ``begins_at_zero`` says that the booster takes it for 0; ``device`` is where
        the derivatives are computed.
        """
        gamma = check_gamma(self.focal_gamma, "focal_gamma")
        alpha = check_alpha(self.focal_alpha, "focal_alpha")
        link = check_option(self.link, "link", LINKS)
        share = check_real(self.start, "start", low=0.0, high=1.0)
        if self.max_step is not None:
            check_positive(self.max_step, "max_step")
        labels, codes, classes = self._check_labels(X, y)
        weight = check_weights(sample_weight, len(labels))
        if weight is not None and len(np.unique(codes[weight > 0])) < 2:
            msg = (
                "sample_weight leaves one class: every row of the other class has "
                "weight 0, and a classifier needs both"
            )
            raise ValueError(msg)
        weight_0, weight_1 = _class_weights(class_weight, classes, labels)
        factor_0, factor_1 = _imbalance_factors(codes, scale_pos_weight, is_unbalance)
        weight_0, weight_1 = weight_0 * factor_0, weight_1 * factor_1
        threshold = weight_0 / (weight_0 + weight_1)
        if alpha is not None:
            weight_0, weight_1 = weight_0 * (1.0 - alpha), weight_1 * alpha
        total = weight_0 + weight_1
        # alpha=None is alpha=1/2 without its factor 1/2
        are_equal = weight_0 == weight_1
        loss = FocalLoss(gamma, None if are_equal else weight_1 / total, link)
        if start is None:
            log_odds = share * base_log_odds(codes, weight)
            start = float(loss.raw_prediction([log_odds])[0])
        training = Training(
            X=X,
            labels=labels,
            y=codes.astype(np.float64),
            sample_weight=weight,
            loss=loss,
            scale=weight_0 if are_equal else total,
            start=start,
            offset=start if begins_at_zero else 0.0,
            max_step=self.max_step,
            classes=classes,
            threshold=threshold,
            device=device,
        )
        training.objective([0.0], [0.0])  # what the objective refuses, it refuses now
        return training

    def _check_labels(
        self, X: Any, y: Any
    ) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[Any]]:
        """Return the labels as a vector, their codes 0 and 1, and the classes."""
        name = type(self).__name__
        if y is None:
            msg = f"{name} requires y to be passed, but the target y is None"
            raise ValueError(msg)
        labels = column_or_1d(np.asarray(in_host_memory(y)), warn=True)
        check_consistent_length(X, labels)
        shape: tuple[int, ...] = getattr(X, "shape", ())
        if len(shape) == 2 and shape[1] == 0:
            found = f"0 feature(s) (shape={shape}) while a minimum of 1 is required."
            msg = f"{name} needs features to fit, found {found}"
            raise ValueError(msg)
        if len(labels) == 0:
            msg = f"{name} needs rows to fit, found 0 sample(s) in X and y"
            raise ValueError(msg)
        if labels.dtype.kind == "f":
            assert_all_finite(labels, input_name="y")
        codes, classes = pd.factorize(labels, sort=True)
        if codes.min() < 0:
            msg = f"Input y contains NaN: no label in row {int(codes.argmin())}"
            raise ValueError(msg)
        check_classification_targets(labels)
        if len(classes) > 2:
            msg = (
                "Only binary classification is supported. The type of the target is "
                f"multiclass: y holds {len(classes)} classes"
            )
            raise ValueError(msg)
        if len(classes) < 2:
            only = np.asarray(classes).tolist()
            msg = f"{name} needs two classes in y, got one class only: {only}"
            raise ValueError(msg)
        return labels, codes, classes

    def __sklearn_tags__(self) -> Any:
        parent: Any = super()  # the booster's own class
        tags = parent.__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.multi_label = False
        return tags


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
    given = check_vector(scores, name, np.float64)
    if not np.isfinite(given).all():
        row = int((~np.isfinite(given)).argmax())
        msg = f"{name} must be finite, got {given[row]} in row {row}"
        raise ValueError(msg)
    if eval_scores is None and len(given) and (given == given[0]).all():
        return float(given[0]), None
    if has_eval_sets and eval_scores is None:
        msg = f"{eval_name} must be given where {name} differs by row"
        raise ValueError(msg)
    warnings.warn(f"{name} differs by row and {advice}", UserWarning, stacklevel=4)
    return 0.0, given


def encode(labels: Any, classes: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return the codes 0 and 1 of labels of known ``classes``."""
    labels = column_or_1d(np.asarray(in_host_memory(labels)), warn=True)
    codes: NDArray[Any] = pd.Index(classes).get_indexer(pd.Index(labels))
    if (codes < 0).any():
        unknown = labels[int((codes < 0).argmax())]
        msg = f"{name} contains previously unseen labels: {unknown!r}"
        raise ValueError(msg)
    return codes.astype(np.uint8)


def _class_weights(
    class_weight: Any, classes: NDArray[Any], labels: NDArray[Any]
) -> tuple[float, float]:
    """Return the weights that ``class_weight`` gives to class 0 and 1."""
    if class_weight is None:
        return 1.0, 1.0
    given = compute_class_weight(class_weight, classes=classes, y=labels)
    if not all(0 < weight < math.inf for weight in given):
        msg = f"class_weight must be finite and > 0, got {class_weight!r}"
        raise ValueError(msg)
    return float(given[0]), float(given[1])


def check_eval_weights(
    eval_sets: Sequence[Any] | None, weights: Any, name: str
) -> None:
    """Check the weights of the evaluation sets, a list or a dict by position."""
    if not eval_sets or weights is None:
        return
    given = weights if isinstance(weights, dict) else dict(enumerate(weights))
    for i, pair in enumerate(eval_sets):
        check_weights(given.get(i), len(pair[1]), f"{name}[{i}]")


def _imbalance_factors(
    codes: NDArray[np.int64], scale_pos_weight: float, is_unbalance: bool
) -> tuple[float, float]:
    """Return the factors of class 0 and 1 that the boosters' own parameters ask for."""
    scale = check_positive(scale_pos_weight, "scale_pos_weight")
    if not is_unbalance:
        return 1.0, scale
    if scale != 1.0:
        msg = "is_unbalance and scale_pos_weight cannot both be set"
        raise ValueError(msg)
    # LightGBM's rule: the rarer class weighs as much as the other
    positives = int(codes.sum())
    ratio = (len(codes) - positives) / positives
    return max(1.0 / ratio, 1.0), max(ratio, 1.0)
