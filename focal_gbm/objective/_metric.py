"""FocalMetric: the evaluation function for boosters that train with FocalObjective."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from focal_gbm import metrics
from focal_gbm._validation import (
    Float64Array,
    check_labels,
    check_option,
    check_weights,
    suggest_parameters,
)
from focal_gbm.loss import FocalLoss, near_one
from focal_gbm.objective._call import (
    are_equal,
    as_scores,
    check_offset,
    check_one_each,
    kept_maturity,
    read_call,
)

# Of focal_gbm.metrics, those that compare labels with scores; all grow with skill.
RANK_METRICS = ("precision_at_alert_rate", "recall_at_alert_rate", "recall_at_fpr")
METRICS = ("log_loss", "error", "focal", *RANK_METRICS)
# Names of which XGBoost takes the maximum, whatever they measure.
_MAXIMISED = ("auc", "map", "ndcg", "pre")


@suggest_parameters
@dataclass(frozen=True)
class FocalMetric:
    """Evaluation function for boosters that train with :class:`FocalObjective`.

    It is one callable for ``lightgbm.train(feval=...)``,
    ``LGBMClassifier.fit(eval_metric=...)``, ``xgboost.train(custom_metric=...)`` and
    ``XGBClassifier(eval_metric=...)``.
    Boosters pass raw scores to the metrics of a custom objective. FocalMetric converts
    raw scores to probabilities and measures these. Row weights act in every entry
    point.

    Parameters
    ----------
    gamma : float in [0, 1000], default=2.0
        Focusing parameter of the objective.
    alpha : float in (0, 1) or None, default=None
        Weight of class 1 in the objective.
    link : {"posterior", "logit"}, default="posterior"
        Scale of the raw scores: the log-odds of class 1, or the focal logit.
    metric : str, default="log_loss"
        "log_loss" or "error" (at 1/2) of the probabilities, "focal" for the mean
        focal loss, or a name of :mod:`focal_gbm.metrics` that compares labels with
        scores, at its default budget: "recall_at_fpr", "recall_at_alert_rate" or
        "precision_at_alert_rate".
    offset : float in [-1e30, 1e30], default=0.0
        Constant added to every raw score; set that of the objective.
    prior_shift : float in [-1e30, 1e30], default=0.0
        Constant added to the log-odds before they are measured. It is the constant of
        :class:`PriorShift`, for a validation set whose fraud rate differs from the rate
        of the training rows. Rank metrics do not depend on it.
    label_maturity : array-like of shape (n_samples,) or None, default=None
        Values in (0, 1], one for each row of the one evaluation set that is measured:
        the probability that a positive of the row would be known by now. "log_loss",
        "error" and "focal" (at gamma 0) then measure how well the labels seen are
        predicted, by c p in place of p; rank metrics take the labels as they are. None:
        1 each. For the default link only.
    name : str or None, default=None
        Name in the results of the booster. None: the value of ``metric``. XGBoost takes
        the direction of early stopping from the name and minimises metrics that it does
        not know. For XGBoost the rank metrics are therefore negated and called
        ``neg_...``, and losses with names like "premium" or "map_cost" are called
        ``loss_...``.

    See Also
    --------
    focal_gbm.FocalObjective : Objective of the same raw scores.
    focal_gbm.metrics.scorer : Measures as scorers of scikit-learn.

    Examples
    --------
    >>> import lightgbm as lgb, numpy as np
    >>> from focal_gbm import FocalMetric, FocalObjective
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 3))
    >>> y = rng.random(1000) < 1 / (1 + np.exp(4 - 2 * X[:, 0]))
    >>> data, history = lgb.Dataset(X, y), {}
    >>> booster = lgb.train(
    ...     {"objective": FocalObjective(), "metric": "None", "verbosity": -1},
    ...     data, num_boost_round=20, valid_sets=[data], feval=FocalMetric(),
    ...     callbacks=[lgb.record_evaluation(history)])
    >>> losses = history["training"]["log_loss"]
    >>> losses[0] > losses[-1] > 0
    True
    """

    gamma: float = 2.0
    alpha: float | None = None
    link: str = field(default="posterior", kw_only=True)
    metric: str = field(default="log_loss", kw_only=True)
    offset: float = field(default=0.0, kw_only=True)
    prior_shift: float = field(default=0.0, kw_only=True)
    label_maturity: Any = field(default=None, kw_only=True, repr=False, compare=False)
    name: str | None = field(default=None, kw_only=True)
    # of which a NaN was reported; a copy of a metric, as of each fit, begins anew
    _named: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        FocalLoss(self.gamma, self.alpha, self.link)
        check_option(self.metric, "metric", METRICS)
        check_offset(self.offset)
        check_offset(self.prior_shift, "prior_shift")
        maturity = kept_maturity(self.label_maturity, self.link)
        object.__setattr__(self, "label_maturity", maturity)
        if maturity is not None and self.metric == "focal" and self.gamma > 0:
            msg = (
                f"metric='focal' with label_maturity needs gamma=0, got {self.gamma}: "
                "with gamma > 0 the loss of late labels has no closed form; use "
                "metric='log_loss'"
            )
            raise ValueError(msg)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FocalMetric):
            return NotImplemented
        return are_equal(self, other)

    @property
    def is_higher_better(self) -> bool:
        """Whether larger values are better, for early stopping."""
        return self.metric in RANK_METRICS

    @property
    def __name__(self) -> str:
        """The name that XGBoost lists."""
        name = self.name or self.metric
        if self.is_higher_better:
            return f"neg_{name}"
        return f"loss_{name}" if name.startswith(_MAXIMISED) else name

    def __call__(
        self,
        y_true: Any,
        raw_prediction: Any,
        *weight_and_group: ArrayLike | None,
        sample_weight: ArrayLike | None = None,
    ) -> Any:
        """Return the value of the metric in the form of the calling booster.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels, 0 or 1. In a native call: the raw scores.
        raw_prediction : array-like of shape (n_samples,)
            Raw scores. In a native call: the ``lightgbm.Dataset`` or
            ``xgboost.DMatrix``, which holds labels and weights.
        *weight_and_group
            Weights and groups from LightGBM's scikit-learn interface, which passes them
            by position.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights from XGBoost's scikit-learn interface, which passes them by name.

        Returns
        -------
        tuple or float
            LightGBM: (name, value, is_higher_better). ``xgboost.train``: (name,
            value). ``XGBClassifier``: the value.
        """
        if weight_and_group:
            sample_weight = weight_and_group[0]
        y, raw, weight, data_set = read_call(y_true, raw_prediction, sample_weight)
        value = self.evaluate(y, raw, weight)
        warn_if_undefined(self.name or self.metric, value, self._named)
        is_native_lightgbm = type(data_set).__module__.startswith("lightgbm")
        if weight_and_group or is_native_lightgbm:
            return self.name or self.metric, value, self.is_higher_better
        value = -value if self.is_higher_better else value
        return value if data_set is None else (self.__name__, value)

    def evaluate(
        self,
        y_true: ArrayLike,
        raw_prediction: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the value of the metric, in its own direction.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels, 0 or 1.
        raw_prediction : array-like of shape (n_samples,)
            Raw scores on the scale of ``link``.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite factors >= 0.

        Returns
        -------
        value : float

        Examples
        --------
        >>> from focal_gbm import FocalMetric
        >>> FocalMetric(metric="error").evaluate([0, 1], [-3.0, -1.0])
        0.5
        """
        score = as_scores(raw_prediction).astype(np.float64, copy=False)
        if self.metric in RANK_METRICS:
            measure = getattr(metrics, self.metric)
            return float(measure(y_true, score, sample_weight=sample_weight))
        maturity = self.label_maturity
        if maturity is not None:
            check_one_each(maturity, len(score))
        loss = FocalLoss(self.gamma, self.alpha, self.link)
        score = score + self.offset
        if self.metric == "focal":
            if self.prior_shift:
                score = loss.raw_prediction(loss.log_odds(score) + self.prior_shift)
            rows = loss.loss(y_true, score, label_maturity=maturity)
        else:
            log_odds = loss.log_odds(score) + self.prior_shift
            if self.metric == "log_loss" and maturity is None:
                rows = FocalLoss(gamma=0.0, link="logit").loss(y_true, log_odds)
            elif self.metric == "log_loss":
                rows = FocalLoss(0.0).loss(y_true, log_odds, label_maturity=maturity)
            else:
                y = check_labels(y_true, len(log_odds))
                seen = log_odds > 0
                if maturity is not None:
                    seen = maturity * FocalLoss().probability(log_odds) > 0.5
                rows = (seen != (y > 0)).astype(np.float64)
        return weighted_mean(rows, check_weights(sample_weight, len(rows)))


def warn_if_undefined(name: str, value: Any, named: set[str] | None = None) -> None:
    """Warn about a metric that is NaN, with which early stopping cannot compare.

    ``named`` holds the metrics of earlier warnings, which are not repeated.
    """
    is_undefined = isinstance(value, (float, np.floating)) and value != value
    if not is_undefined or (named is not None and name in named):
        return
    if named is not None:
        named.add(name)
    msg = (
        f"{name} is NaN on an evaluation set: no row is positive, none is negative, or "
        "the budget allows no alert. Early stopping on it keeps the first tree; leave "
        'the set out, or use "log_loss", which is defined on every set'
    )
    warnings.warn(msg, UserWarning, stacklevel=2)


def weighted_mean(rows: Float64Array, weight: Float64Array | None) -> float:
    """Return the mean of rows; weights of any size are first scaled near to 1."""
    if weight is None:
        return float(np.mean(rows))
    weight = near_one(weight)
    # a row without weight may have an infinite loss
    return float(np.average(np.where(weight > 0, rows, 0.0), weights=weight))
