"""Training: the facts of one fit, fixed before boosting starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_gbm._estimators.closing import closing_root, expected_positives
from focal_gbm._estimators.evaluation import OnProbabilities, OnSets
from focal_gbm._validation import (
    Float64Array,
)
from focal_gbm.loss import FocalLoss
from focal_gbm.objective import FocalMetric, FocalObjective


@dataclass(frozen=True)
class Training:
    """The facts of one fit: its data as the loss sees them, and where boosting begins.

    ``raw_start`` is the raw score at which boosting begins. ``offset`` is added to the
    booster's raw scores in training: ``raw_start`` for a booster that begins at 0, else
    0. ``init_score`` holds initial raw scores that differ by row. ``maturities`` are
    those of the labels of evaluation sets, in the order in which the booster measures
    the sets, or empty. ``prior_shift`` is the constant that a :class:`PriorShift` adds
    to the predicted log-odds.
    """

    X: Any
    y: NDArray[np.uint8]
    sample_weight: Float64Array | None
    label_maturity: Float64Array | None
    classes: NDArray[Any]
    loss: FocalLoss
    threshold: float
    scale: float
    raw_start: float
    offset: float
    init_score: Float64Array | None
    maturities: tuple[Any, ...]
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
        """Bound on a leaf's step in raw score; 0 means none, as in both boosters."""
        if self.max_step is None:  # XGBoost and LightGBM take 0 for no bound
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
            label_maturity=self.label_maturity,
            device=self.device,
            n_jobs=self.n_jobs,
        )

    def metric(self, metric: str, name: str | None) -> FocalMetric | OnSets:
        """Return the metric of this training's loss, listed as ``name``."""
        loss = self.loss
        measure = FocalMetric(
            loss.gamma,
            loss.alpha,
            link=loss.link,
            metric=metric,
            offset=self.offset,
            prior_shift=self.prior_shift,
            name=name,
        )
        return OnSets(measure, self.maturities) if self.maturities else measure

    def on_probabilities(self, metric: Callable[..., Any]) -> OnProbabilities:
        """Return a user's metric as one that the booster calls with raw scores."""
        return OnProbabilities(metric, self.loss, self.offset, self.prior_shift)

    def closing_constant(self, raw: NDArray[Any]) -> float:
        """Return the constant for which as many positives are expected to be known at
        ``raw`` plus the constant as are; ``raw`` are the booster's raw scores of the
        training rows.
        """
        weight = self.sample_weight
        total = float(self.y.sum() if weight is None else weight.sum(where=self.y > 0))
        if self.label_maturity is not None:
            known = self.label_maturity
            weight = known if weight is None else weight * known
        return self.closing_root(lambda c: self.expected(raw, weight, c), total)

    def expected(
        self, raw: NDArray[Any], weight: Float64Array | None, constant: float
    ) -> tuple[float, float]:
        """Return the weighted sums of p and p (1 - p) at raw scores plus a constant."""
        return expected_positives(self.loss, raw, weight, self.offset + constant)

    def closing_root(
        self, expected: Callable[[float], tuple[float, float]], total: float
    ) -> float:
        """Return the constant at which the first sum of ``expected`` is ``total``."""
        return closing_root(self.loss, expected, total)
