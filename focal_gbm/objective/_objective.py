"""FocalObjective: gradient and Hessian of the focal loss for a booster.

A call is read once and checked once; then the loop on the CPU or on the device runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from focal_gbm._kernels import cpu, openmp
from focal_gbm._kernels.rational import (
    CLASSIC_FORMS,
    objective_form,
    objective_weights,
)
from focal_gbm._validation import (
    as_rows,
    check_n_jobs,
    check_option,
    check_positive,
    immaturity_of,
    suggest_parameters,
)
from focal_gbm.loss import FocalLoss
from focal_gbm.objective._call import (
    Call,
    are_equal,
    c_interface,
    check_offset,
    check_one_each,
    kept_maturity,
    raise_for_bad_row,
    read_call,
)
from focal_gbm.objective._device import Kept, check_device

# The module with the OpenMP threads, by the dtype of the raw scores that a booster
# passes.
_LIBRARIES = {
    np.dtype(np.float64): "lightgbm.basic",
    np.dtype(np.float32): "xgboost.core",
}


@suggest_parameters
@dataclass(frozen=True)
class FocalObjective:
    """Focal loss as a custom objective for LightGBM and XGBoost.

    It is one callable for ``lightgbm.train(params={"objective": ...})``,
    ``lightgbm.cv``, ``LGBMClassifier(objective=...)``, ``xgboost.train(obj=...)``,
    ``xgboost.cv`` and ``XGBClassifier(objective=...)``. Row weights act in every entry
    point. The estimators :class:`FocalLGBMClassifier` and :class:`FocalXGBClassifier`
    use it and add the start, the bound on a leaf's step and the closing constant, which
    a callable cannot.

    With the default link the raw score of the booster is the log-odds of class 1, apart
    from a constant if boosting is cut short; expit of the raw score is the probability.
    Both derivatives are 1 + gamma times those of :class:`FocalLoss`. They have the
    scale of log-loss on all rows but the uncertain ones, so that learning rate,
    ``min_child_weight``, ``reg_lambda`` and ``max_delta_step`` keep their meaning. With
    ``link="logit"`` the raw score is that of the classic form, and
    ``FocalLoss(gamma, alpha, link="logit").probability`` converts it.

    Parameters
    ----------
    gamma : float in [0, 30], default=2.0
        Focusing parameter, up to 1000 with ``link="logit"``; 0 is the boosters' own
        log-loss. On the log-odds scale, that of the default link, focal loss is
        log-loss with a weight that depends on the log-odds alone. Uncertain rows, whose
        log-odds are near 0, weigh less than the others (0.67 times as much at gamma 2,
        0.15 at gamma 5); confident rows keep their weight, be they right or wrong.
    alpha : float in (0, 1) or None, default=None
        Weight of class 1; class 0 has the weight 1 - alpha. None: both classes have the
        weight 1.
    link : {"posterior", "logit"}, default="posterior"
        Scale of the booster's raw score: the log-odds of class 1, or the focal logit.
    hessian : {"expected", "exact", "clipped"}, default="expected"
        "expected" (Fisher scoring) is positive everywhere. For ``link="logit"``
        only: "exact" is the second derivative, negative on far-missed rows, which
        both boosters sum as it is; "clipped" is the larger of "exact" and the size
        of the gradient, so that no row has a Newton step of more than 1.
    scale : float > 0, default=1.0
        Factor on both derivatives. Class weights (w_0, w_1) are
        ``alpha=w_1 / (w_0 + w_1), scale=w_0 + w_1``, each in [1e-20, 1e20].
    offset : float in [-1e30, 1e30], default=0.0
        Constant added to every raw score: where boosting begins, for boosters that
        begin a custom objective at 0. Add it to the predictions too.
    label_maturity : array-like of shape (n_samples,) or None, default=None
        Values in (0, 1], one for each training row in its order: the probability that a
        positive of the row would be known by now (formulas: :class:`FocalLoss`). None:
        1 each, labels are final. For the default link only. The objective is then made
        for these rows in this order: it refuses another number of rows, such as those
        of ``lgb.cv``, and cannot tell other rows of the same number.
    device : {"cpu", "cuda", "cuda:<ordinal>"}, default="cpu"
        Device that computes the derivatives. If XGBoost trains on a GPU, name the same
        device here: gradient and Hessian then stay there, and labels and weights of a
        DMatrix are copied to it once, when boosting begins. Make a new objective to
        continue a model on a DMatrix whose labels or weights you changed in place. If
        the device cannot be used, the CPU computes the same, and a warning gives the
        reason.
    n_jobs : int, default=1
        Number of threads on the CPU, -1 for all. Set the booster's own number: the
        booster's OpenMP threads do the work, and a team of another size would be made
        anew in every call. With few rows, or without such a runtime, one thread works.

    See Also
    --------
    focal_gbm.FocalMetric : Metrics on probabilities, for the same training.
    focal_gbm.FocalLoss : The formulas, for arrays of labels and scores.
    focal_gbm.native.starting_point : The ``offset`` of the estimators.
    focal_gbm.native.complete : Probabilities from a booster trained with the objective.

    Notes
    -----
    Derivatives are float32, computed in one pass over the rows, and finite for every
    score but NaN. Relative error against :class:`FocalLoss`: 1e-5 for both links up to
    gamma 5 and scores of 80 in size. The Hessian of a row whose label is not final
    falls with the square of exp(-score) and ends at 1e-38, the least of float32.

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
    label_maturity: Any = field(default=None, kw_only=True, repr=False, compare=False)
    device: str = field(default="cpu", kw_only=True)
    n_jobs: int = field(default=1, kw_only=True)

    def __post_init__(self) -> None:
        loss = FocalLoss(self.gamma, self.alpha, self.link)
        # numbers of any type, as floats: the data class is frozen
        object.__setattr__(self, "gamma", loss.gamma)
        object.__setattr__(self, "alpha", loss.alpha)
        object.__setattr__(self, "scale", check_positive(self.scale, "scale"))
        object.__setattr__(self, "offset", check_offset(self.offset))
        check_option(self.hessian, "hessian", CLASSIC_FORMS)
        maturity = kept_maturity(self.label_maturity, self.link)
        object.__setattr__(self, "label_maturity", maturity)
        check_device(self.device)
        object.__setattr__(self, "n_jobs", check_n_jobs(self.n_jobs))
        if self.link == "posterior" and self.hessian != "expected":
            msg = (
                f"hessian={self.hessian!r} needs link='logit': with link='posterior' "
                "the Hessian is the expected one"
            )
            raise ValueError(msg)
        _ = self._plan  # refuses what float32 cannot hold

    @property
    def loss(self) -> FocalLoss:
        """Loss with the derivatives of this objective, apart from its scale."""
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
            Valid as long as you keep a reference; buffers are used again after that. On
            a GPU: device arrays of Numba.

        Raises
        ------
        ValueError
            If a raw score is NaN, a label is not 0 or 1, a weight is negative, not
            finite or too large for float32, or lengths differ.
        """
        return self.gradient_hessian(read_call(y_true, raw_prediction, sample_weight))

    def gradient_hessian(
        self, call: Call, *, over_scores: bool = False
    ) -> tuple[Any, Any]:
        """Return gradient and Hessian of each row of a call that was read.

        Parameters
        ----------
        call : Call
            Labels, raw scores and weights.
        over_scores : bool, default=False
            Whether the gradient may be written over the raw scores, which spares memory
            where they are not needed any more.

        Returns
        -------
        gradient, hessian : ndarray of shape (n_samples,), float32
            As a call of the objective returns them.
        """
        raw, kept = call.raw, self._kept
        form, weights, limit, shift, immaturity = self._plan
        if immaturity is not None:
            check_one_each(immaturity, len(raw))
        if self.device != "cpu" and len(raw) and kept.device_works(self.device):
            loop = kept.loop(call, self.device, limit, immaturity)
            gradient, hessian, is_good = loop.run(raw, form, weights, shift)
            if not is_good:
                raise_for_bad_row(raw)
            return gradient, hessian
        labels, weight = as_rows(call.labels, call.weight, len(raw))
        # waking threads costs more than they save on few rows
        team = openmp.ALONE
        if self.n_jobs != 1 and len(raw) >= openmp.MIN_ROWS:
            team = openmp.team(c_interface(_LIBRARIES[raw.dtype]), self.n_jobs)
        scores: Any = raw
        gradient, hessian = kept.pair.take(len(raw))
        if over_scores and raw.dtype == np.float32 and raw.flags.writeable:
            # pages of the buffer that no loop writes to take no memory
            scores, gradient = None, raw
        rows = scores, labels, weight, immaturity
        is_good = cpu.fill_derivatives(
            form, *rows, weights, limit, shift, gradient, hessian, team
        )
        if not is_good:
            raise_for_bad_row(raw, call.labels, call.weight, limit)
        return gradient, hessian

    @cached_property
    def _plan(self) -> tuple[Any, tuple[np.float32, np.float32], Any, np.float32, Any]:
        """Form, class weights, limit of row weights, constant added to raw scores, and
        immaturity of the labels."""
        loss = self.loss
        form = objective_form(self.link, self.hessian, self.gamma)
        weights = objective_weights(loss.class_weights, self.alpha, self.scale)
        shift = self.offset + (loss.shift if self.link == "posterior" else 0.0)
        limit = cpu.too_heavy(weights, np.float32)
        immaturity = immaturity_of(self.label_maturity, np.float32)
        return form, weights, limit, np.float32(shift), immaturity

    @cached_property
    def _kept(self) -> Kept:
        return Kept()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FocalObjective):
            return NotImplemented
        return are_equal(self, other)

    def __getstate__(self) -> dict[str, Any]:
        """Return the parameters alone; a copy or a pickle computes the rest again."""
        return {part.name: getattr(self, part.name) for part in fields(self)}
