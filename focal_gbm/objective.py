"""What LightGBM and XGBoost call while they train: FocalObjective and FocalMetric.

Each is one picklable callable for four entry points. The native ones,
``lightgbm.train`` and ``xgboost.train`` (and their ``cv``), pass the scores and
the data set; the scikit-learn ones pass labels, scores and weights. LightGBM looks
at the number of parameters to decide whether to pass weights, XGBoost at the name
``sample_weight``; with neither they would be dropped in silence.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from focal_gbm import _kernels, _threads, metrics
from focal_gbm._calls import (
    arguments,
    as_labels,
    as_scores,
    as_weights,
    c_interface,
    check_offset,
    explain,
    is_data_set,
    suggest_parameters,
    weighted_mean,
)
from focal_gbm._calls import warn_if_undefined as warn_if_undefined
from focal_gbm._checks import (
    check_labels,
    check_n_jobs,
    check_option,
    check_positive,
    check_real,
    check_weights,
)
from focal_gbm._device import Kept, check_device
from focal_gbm._omega import CLASSIC_FORMS, objective_form, objective_weights
from focal_gbm.loss import FocalLoss

# Where the threads are, known by the dtype of the scores that a booster hands over.
_LIBRARIES = {
    np.dtype(np.float64): "lightgbm.basic",
    np.dtype(np.float32): "xgboost.core",
}

# Of focal_gbm.metrics, those that compare labels with scores; all grow with skill.
RANK_METRICS = ("precision_at_alert_rate", "recall_at_alert_rate", "recall_at_fpr")
METRICS = ("log_loss", "error", "focal", *RANK_METRICS)


@suggest_parameters
@dataclass(frozen=True)
class FocalObjective:
    """Focal loss as a custom objective for LightGBM and XGBoost.

    One callable for ``lightgbm.train(params={"objective": ...})``, ``lightgbm.cv``,
    ``LGBMClassifier(objective=...)``, ``xgboost.train(obj=...)``, ``xgboost.cv`` and
    ``XGBClassifier(objective=...)``. Weights of the rows act in every one.

    With the default link the raw score of the booster is the log-odds of class 1,
    apart from a constant if boosting is cut short: expit of it is the probability.
    Both derivatives are 1 + gamma times those of :class:`FocalLoss`, which gives
    them the scale of log-loss on all rows but the uncertain ones: learning rate,
    ``min_child_weight``, ``reg_lambda`` and ``max_delta_step`` keep their meaning.
    With ``link="logit"`` the raw score is that of the classic form;
    ``FocalLoss(gamma, alpha, link="logit").probability`` makes it a probability.

    The estimators :class:`FocalLGBMClassifier` and ``FocalXGBClassifier`` add what a
    callable cannot: the start, the bound on a leaf's step and the final constant.

    Parameters
    ----------
    gamma : float in [0, 30], default=2.0
        Focusing parameter, up to 1000 with ``link="logit"``; 0 is the boosters' own
        log-loss. On the log-odds scale, that of the default link, focal loss is
        log-loss with a weight that depends on the log-odds alone. Uncertain rows, whose
        log-odds are near 0, weigh less than the others (0.67 times as much at gamma 2,
        0.15 at gamma 5); confident rows keep their weight, be they right or wrong.
    alpha : float in (0, 1) or None, default=None
        Weight of class 1, 1 - alpha being that of class 0. None: both weigh 1.
    link : {"posterior", "logit"}, default="posterior"
        What the booster's raw score is: log-odds of class 1, or the focal logit.
    hessian : {"expected", "exact", "clipped"}, default="expected"
        "expected" (Fisher scoring) is positive everywhere. For ``link="logit"``
        only: "exact" is the second derivative, negative on far-missed rows, which
        both boosters sum as it is; "clipped" is the larger of "exact" and the size
        of the gradient, so that no row asks for a step of more than 1.
    scale : float > 0, default=1.0
        Factor on both derivatives. Class weights (w_0, w_1) are
        ``alpha=w_1 / (w_0 + w_1), scale=w_0 + w_1``, each in [1e-20, 1e20].
    offset : float in [-1e30, 1e30], default=0.0
        Added to every raw score: where boosting starts, for boosters that start a
        custom objective at 0. It has to be added to the predictions too.
    device : {"cpu", "cuda", "cuda:<ordinal>"}, default="cpu"
        Where the derivatives are computed. For XGBoost that trains on a GPU: give
        both the same device, and gradient and Hessian stay there; labels and weights
        of a DMatrix go there when boosting begins. To continue a model on a DMatrix
        whose labels or weights you changed in place, make a new objective. Where the
        device cannot be used, the CPU computes the same, and a warning says why.
    n_jobs : int, default=1
        Threads on the CPU, -1 for all. Give it the booster's own number: its OpenMP
        threads do the work, and a team of another size would have to be made anew for
        every call. One thread where there are few rows or no such runtime.

    Notes
    -----
    Derivatives are float32, computed in one pass over the rows, and finite for every
    score but NaN. Relative error against :class:`FocalLoss`: 1e-5 for both links up to
    gamma 5 and scores of 80 in size.

    Examples
    --------
    >>> import lightgbm as lgb, numpy as np
    >>> from focal_gbm import FocalObjective
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(1000, 3))
    >>> y = rng.random(1000) < 1 / (1 + np.exp(4 - 2 * X[:, 0]))
    >>> params = {"objective": FocalObjective(gamma=2.0), "verbosity": -1}
    >>> booster = lgb.train(params, lgb.Dataset(X, y), num_boost_round=20)
    >>> log_odds = booster.predict(X)   # LightGBM applies no sigmoid to a custom one
    >>> bool(log_odds[y].mean() > log_odds[~y].mean())
    True
    """

    gamma: float = 2.0
    alpha: float | None = None
    link: str = field(default="posterior", kw_only=True)
    hessian: str = field(default="expected", kw_only=True)
    scale: float = field(default=1.0, kw_only=True)
    offset: float = field(default=0.0, kw_only=True)
    device: str = field(default="cpu", kw_only=True)
    n_jobs: int = field(default=1, kw_only=True)
    _kept: Kept = field(default_factory=Kept, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        loss = FocalLoss(self.gamma, self.alpha, self.link)
        object.__setattr__(self, "gamma", loss.gamma)
        object.__setattr__(self, "alpha", loss.alpha)
        object.__setattr__(self, "scale", check_positive(self.scale, "scale"))
        object.__setattr__(self, "offset", check_offset(self.offset))
        check_option(self.hessian, "hessian", CLASSIC_FORMS)
        check_device(self.device)
        object.__setattr__(self, "n_jobs", check_n_jobs(self.n_jobs))
        if self.link == "posterior" and self.hessian != "expected":
            msg = (
                f"hessian={self.hessian!r} needs link='logit': with link='posterior' "
                "the Hessian is the expected one"
            )
            raise ValueError(msg)
        self._form()

    @property
    def loss(self) -> FocalLoss:
        """The loss whose derivatives this objective hands to the booster."""
        return FocalLoss(self.gamma, self.alpha, self.link)

    def __call__(
        self,
        y_true: ArrayLike,
        raw_prediction: Any,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[Any, Any]:
        """Return gradient and Hessian of each row.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels, 0 or 1. In a native call: the raw scores.
        raw_prediction : array-like of shape (n_samples,)
            Raw scores. In a native call: the ``lightgbm.Dataset`` or
            ``xgboost.DMatrix``, which holds labels and weights.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite factors >= 0, below 8e37 / (scale times the larger class weight).

        Returns
        -------
        gradient, hessian : ndarray of shape (n_samples,), float32
            Valid for as long as you hold them; buffers are used again after that.
            On a GPU: device arrays of Numba.

        Raises
        ------
        ValueError
            If a raw score is NaN, a label is not 0 or 1, a weight is negative, not
            finite or too large for float32, or lengths differ.
        """
        return self._derivatives(y_true, raw_prediction, sample_weight)

    def _derivatives(
        self,
        y_true: Any,
        raw_prediction: Any,
        sample_weight: Any = None,
        *,
        over_scores: bool = False,
    ) -> tuple[Any, Any]:
        """Return what a call returns; with ``over_scores`` the gradient may be written
        over the scores, which spares memory where nobody needs them any more."""
        data = raw_prediction if is_data_set(raw_prediction) else None
        raw = as_scores(raw_prediction if data is None else y_true)
        form, weights, shift = self._form()
        limit = _kernels.too_heavy(weights, np.float32)
        if self.device != "cpu" and len(raw) and self._kept.device_works(self.device):
            call = y_true, raw_prediction, sample_weight
            loop = self._kept.loop(data, raw, call, self.device, limit)
            gradient, hessian, is_good = loop.run(raw, form, weights, shift)
            if not is_good:
                explain(raw)
            return gradient, hessian
        y, _, sample_weight = arguments(y_true, raw_prediction, sample_weight)
        labels = as_labels(y, len(raw))
        weight = None if sample_weight is None else as_weights(sample_weight, len(raw))
        team = _threads.ALONE
        if self.n_jobs != 1 and len(raw) >= _threads.MIN_ROWS:
            library = c_interface(_LIBRARIES[raw.dtype])
            team = _threads.team(library, self.n_jobs)
        scores: Any = raw
        gradient, hessian = self._kept.pair.take(len(raw))
        if over_scores and raw.dtype == np.float32 and raw.flags.writeable:
            scores, gradient = None, raw  # what nobody writes to takes no memory
        is_good = _kernels.fill_derivatives(
            form, scores, labels, weight, weights, shift, gradient, hessian, team
        )
        if not is_good:
            explain(raw, y, sample_weight, limit)
        return gradient, hessian

    def _form(self) -> tuple[Any, tuple[np.float32, np.float32], np.float32]:
        loss = self.loss
        form = objective_form(self.link, self.hessian, self.gamma)
        weights = objective_weights(loss.class_weights, self.alpha, self.scale)
        shift = self.offset + (loss.shift if self.link == "posterior" else 0.0)
        return form, weights, np.float32(shift)


# Names of which XGBoost takes the maximum, whatever they measure.
_MAXIMISED = ("auc", "map", "ndcg", "pre")


@suggest_parameters
@dataclass(frozen=True)
class FocalMetric:
    """The evaluation function that goes with :class:`FocalObjective`.

    One callable for ``lightgbm.train(feval=...)``, ``LGBMClassifier.fit(eval_metric=
    ...)``, ``xgboost.train(custom_metric=...)`` and ``XGBClassifier(eval_metric=...)``.
    It takes the raw scores that a custom objective leaves there and measures the
    probabilities that they stand for; weights of the rows act in every one.

    Parameters
    ----------
    gamma : float in [0, 1000], default=2.0
        Focusing parameter of the objective.
    alpha : float in (0, 1) or None, default=None
        Weight of class 1 in the objective.
    link : {"posterior", "logit"}, default="posterior"
        What raw scores are: log-odds of class 1, or the focal logit.
    metric : str, default="log_loss"
        "log_loss" or "error" (at 1/2) of the probabilities, "focal" for the mean
        focal loss, or a name of :mod:`focal_gbm.metrics` that compares labels with
        scores, at its default budget: "recall_at_fpr", "recall_at_alert_rate" or
        "precision_at_alert_rate".
    offset : float in [-1e30, 1e30], default=0.0
        Added to every raw score, as in the objective.
    prior_shift : float, default=0.0
        Added to the log-odds before they are measured: the constant of
        :class:`PriorShift`, for a validation set whose fraud rate differs from that of
        the training rows. No measure of ranks depends on it.
    name : str or None, default=None
        How the booster lists it; None: the metric's own name. XGBoost guesses the
        direction of early stopping from the name and takes what it does not know
        for a loss, so there the rank metrics are reported as "neg_..." and negated,
        and losses with names like "premium" or "map_cost" as "loss_...".

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
    name: str | None = field(default=None, kw_only=True)
    # of which a NaN was reported; a copy of a metric, as of each fit, begins anew
    _named: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        FocalLoss(self.gamma, self.alpha, self.link)
        check_option(self.metric, "metric", METRICS)
        check_offset(self.offset)
        check_real(self.prior_shift, "prior_shift")

    @property
    def is_higher_better(self) -> bool:
        """Whether early stopping should look for the maximum."""
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
        """Return what the calling booster expects of a metric.

        Parameters
        ----------
        y_true, raw_prediction
            As in :class:`FocalObjective`, swapped likewise in a native call.
        *weight_and_group
            How LightGBM's scikit-learn interface passes weights: four parameters
            make it pass two more values, by which it is known.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            How XGBoost's passes them.

        Returns
        -------
        tuple or float
            LightGBM: (name, value, is_higher_better). ``xgboost.train``: (name,
            value). ``XGBClassifier``: the value.
        """
        data_set = raw_prediction if is_data_set(raw_prediction) else None
        if weight_and_group:
            sample_weight = weight_and_group[0]
        y, raw, weight = arguments(y_true, raw_prediction, sample_weight)
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
        loss = FocalLoss(self.gamma, self.alpha, self.link)
        score = score + self.offset
        if self.metric == "focal":
            if self.prior_shift:
                score = loss.raw_prediction(loss.log_odds(score) + self.prior_shift)
            rows = loss.loss(y_true, score)
        else:
            log_odds = loss.log_odds(score) + self.prior_shift
            if self.metric == "log_loss":
                rows = FocalLoss(gamma=0.0, link="logit").loss(y_true, log_odds)
            else:
                y = check_labels(y_true, len(log_odds))
                rows = ((log_odds > 0) != (y > 0)).astype(np.float64)
        return weighted_mean(rows, check_weights(sample_weight, len(rows)))
