"""What the estimators for LightGBM and XGBoost share: parameters, labels, weights,
the start and the final constant."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
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
    check_weights,
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
    """One fit: the data as the loss sees it, and what boosting starts from."""

    X: Any
    labels: NDArray[Any]
    y: Float64Array
    sample_weight: Float64Array | None
    loss: FocalLoss
    scale: float
    start: float
    max_step: float | None
    threshold: float
    init_score: Float64Array | None = None
    closing: Any = None
    native_metrics: list[str] = field(default_factory=list)

    @property
    def leaf_bound(self) -> float:
        """Bound on a leaf's step in raw score; 0, the boosters' word for none."""
        if self.max_step is None:
            return 0.0
        if self.loss.link == "logit":  # dx/dz is 1 + gamma on all but uncertain rows
            return self.max_step / (1.0 + self.loss.gamma)
        return self.max_step

    @property
    def objective(self) -> FocalObjective:
        """The callable that the booster trains with."""
        loss = self.loss
        return FocalObjective(
            loss.gamma,
            loss.alpha,
            link=loss.link,
            scale=self.scale,
            offset=self.start,
        )

    def metric(self, metric: str, name: str | None) -> FocalMetric:
        """Return an evaluation function on the probabilities, listed as ``name``."""
        loss = self.loss
        return FocalMetric(
            loss.gamma,
            loss.alpha,
            link=loss.link,
            metric=metric,
            offset=self.start,
            name=name,
        )

    def closing_constant(self, raw: NDArray[Any]) -> float:
        """Return c for which the mean probability at ``raw`` + c is the base rate.

        ``raw`` is what the booster says, the start not included. Newton's method on
        the logarithm of the mean, which is increasing and concave in c; the step is
        bounded for models that say 1 nearly everywhere.
        """
        weight = self.sample_weight
        total = float(self.y.sum() if weight is None else weight.sum(where=self.y > 0))
        is_logit = self.loss.link == "logit"
        slope = 1.0 + self.loss.gamma if is_logit else 1.0
        constant = 0.0
        for _ in range(100):
            x, shift = raw, self.start + constant
            if is_logit:
                x, shift = self.loss.log_odds(raw + shift), 0.0
            mean, spread = _kernels.probability_sums(x, weight, shift)
            step = math.log(mean / total) * mean / (spread * slope)
            constant -= min(max(step, -5.0), 5.0)
            if abs(step) < 1e-9:
                break
        return constant


class FocalClassifierMixin:
    """Parameters and data of a fit, checked before any work starts."""

    focal_gamma: float
    focal_alpha: float | None
    link: str
    max_step: float | None
    start: float
    class_weight: Any

    def _prepare(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        *,
        scale_pos_weight: float = 1.0,
        is_unbalance: bool = False,
        start: float | None = None,
    ) -> Training:
        """Check everything and return what the fit needs.

        ``start`` is the raw score to begin from, None for the one of the parameter.
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
        weight_0, weight_1 = self._class_weights(classes, labels)
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
            max_step=self.max_step,
            threshold=threshold,
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
        labels = column_or_1d(np.asarray(y), warn=True)
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

    def _class_weights(
        self, classes: NDArray[Any], labels: NDArray[Any]
    ) -> tuple[float, float]:
        """Return the weights that ``class_weight`` gives to class 0 and 1."""
        if self.class_weight is None:
            return 1.0, 1.0
        given = compute_class_weight(self.class_weight, classes=classes, y=labels)
        if not all(0 < weight < math.inf for weight in given):
            msg = f"class_weight must be finite and > 0, got {self.class_weight!r}"
            raise ValueError(msg)
        return float(given[0]), float(given[1])

    def __sklearn_tags__(self) -> Any:
        parent: Any = super()  # the booster's own class
        tags = parent.__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


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
