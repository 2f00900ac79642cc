"""What the estimators for LightGBM and XGBoost share: parameters, labels, weights,
probabilities and their calibration."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils import (
    _safe_indexing,
    assert_all_finite,
    check_consistent_length,
    column_or_1d,
)
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from focal_gbm._checks import (
    Float64Array,
    check_alpha,
    check_gamma,
    check_option,
    check_positive,
    check_real,
    check_weights,
    in_host_memory,
)
from focal_gbm._training import Training
from focal_gbm.calibration import METHODS, LogOddsCalibrator, PriorShift
from focal_gbm.loss import LINKS, FocalLoss, base_log_odds

# Parameters of the estimators that the boosters know nothing of.
OWN_PARAMETERS = (
    "focal_gamma",
    "focal_alpha",
    "link",
    "max_step",
    "start",
    "progress",
    "calibration",
    "calibration_cv",
)

RARE_EVENTS: dict[str, Any] = {
    "learning_rate": 0.1,
    "n_estimators": 150,
    "min_child_weight": 0.5,
    "reg_lambda": 1.0,
    "colsample_bytree": 0.7,
}


def with_parameters_of(parent: Any) -> Callable[[Any], Any]:
    """Return a decorator of ``__init__`` that lists the parent's parameters in place of
    ``**kwargs``, for readers of the signature: help, editors, the estimator's repr."""

    def decorate(init: Any) -> Any:
        own = inspect.signature(init).parameters
        parents = inspect.signature(parent.__init__).parameters
        added = [
            value.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, value in parents.items()
            if name not in own
        ]
        *first, kwargs = own.values()
        init.__signature__ = inspect.Signature([*first, *added, kwargs])
        return init

    return decorate


class FocalClassifierMixin:
    """Parameters and data of a fit, checked before any work starts."""

    focal_gamma: float
    focal_alpha: float | None
    link: str
    max_step: float | None
    start: float
    calibration: Any
    calibration_cv: Any
    loss_: FocalLoss
    calibrator_: Any
    _rare_event_size: ClassVar[dict[str, int]]

    @classmethod
    @cache  # LightGBM's predict asks twice, and a signature is slow to read
    def _get_param_names(cls) -> list[str]:
        parent: Any = super()
        names: list[str] = parent._get_param_names()
        return names

    @classmethod
    def rare_event_params(cls) -> dict[str, Any]:
        """Return parameters of the library to start from where positives are few.

        More and smaller trees than by default, on four times the bins: what positives
        share may be far narrower than one of 256 bins with as many rows each. Chosen
        by the search of benchmarks/starting_point.py; benchmarks/RESULTS.md says what
        they gain.

        Returns
        -------
        parameters : dict
            For the constructor or ``set_params``.

        Examples
        --------
        >>> from focal_gbm import FocalLGBMClassifier
        >>> start = FocalLGBMClassifier.rare_event_params()
        >>> FocalLGBMClassifier(**start, verbose=-1).n_estimators
        150
        """
        return {**RARE_EVENTS, **cls._rare_event_size}

    def decision_function(self, X: Any, **kwargs: Any) -> NDArray[np.float64]:
        """Return the log-odds of the positive class, after the calibrator if any.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Features.
        **kwargs
            As in ``predict_proba``, to say which trees to use.

        Returns
        -------
        log_odds : ndarray of shape (n_samples,), float64
            expit of it is ``predict_proba(X)[:, 1]``.
        """
        return self._log_odds(self._raw_score(X, **kwargs))

    def calibrate(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> Any:
        """Fit the calibrator to rows that the model has not trained on.

        Later rows serve best. The trees stay as they are, and so do raw scores and the
        saved booster; what an earlier calibrator did is forgotten. Without the
        parameter ``calibration`` the method is "auto".

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels of the classes fitted, both of them.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0.

        Returns
        -------
        self
        """
        check_is_fitted(self, "loss_")
        classes: NDArray[Any] = getattr(self, "classes_")  # noqa: B009 - the parent's
        codes = encode(y, classes, "y")
        check_consistent_length(X, codes)
        weight = check_weights(sample_weight, len(codes))
        calibrator = self._new_calibrator()
        log_odds = self.loss_.log_odds(self._raw_score(X))
        self.calibrator_ = _fitted(calibrator, log_odds, codes, weight)
        return self

    if TYPE_CHECKING:

        def _raw_score(self, X: Any, **kwargs: Any) -> NDArray[Any]: ...

    def _log_odds(self, raw: NDArray[Any]) -> NDArray[np.float64]:
        log_odds = self.loss_.log_odds(raw)
        if self.calibrator_ is None:
            return log_odds
        return np.asarray(self.calibrator_.predict(log_odds), dtype=np.float64)

    def _says_probabilities(self) -> bool:
        """Whether the booster's own predictions are the probabilities."""
        if "loss_" not in self.__dict__:
            return True  # the parent says that it is not fitted
        return self.loss_.link == "posterior" and self.calibrator_ is None

    def _probabilities(self, raw: NDArray[Any]) -> NDArray[Any]:
        """Return both columns for raw scores, in their dtype."""
        positive = FocalLoss().probability(self._log_odds(raw)).astype(raw.dtype)
        return np.column_stack((1.0 - positive, positive))

    def _new_calibrator(self) -> Any:
        method = "auto" if self.calibration is None else self.calibration
        return LogOddsCalibrator(method) if isinstance(method, str) else clone(method)

    def _cross_calibrated(
        self, training: Training, begun: Mapping[str, Any], **fit_arguments: Any
    ) -> Any:
        """Return the calibrator fitted to log-odds of rows that were left out.

        ``begun`` are the arguments that say where to begin.
        """
        if self.calibration is None:
            return None
        calibrator = self._new_calibrator()
        if isinstance(calibrator, PriorShift):
            return calibrator.fit()
        for name, value in begun.items():
            if value is not None:
                msg = (
                    f"calibration={self.calibration!r} with {name}: rows that are left "
                    "out may not be unseen; fit without it, and call calibrate on "
                    "later rows"
                )
                raise ValueError(msg)
        X, y, weight = training.X, training.y, training.sample_weight
        X = X.tocsr() if issparse(X) else X  # not every format gives its rows
        log_odds = np.full(len(y), np.nan)
        splitter = check_cv(self.calibration_cv, y, classifier=True)
        for fit, held in splitter.split(np.zeros((len(y), 1)), y):
            if len(np.unique(y[fit])) < 2:
                msg = "calibration_cv leaves one class to train on in one of its folds"
                raise ValueError(msg)
            model: Any = clone(self)
            model.set_params(calibration=None).fit(
                _safe_indexing(X, fit),
                training.classes[y[fit].astype(int)],
                sample_weight=None if weight is None else weight[fit],
                **fit_arguments,
            )
            log_odds[held] = model.decision_function(_safe_indexing(X, held))
        seen = ~np.isnan(log_odds)  # folds in time leave the first rows out
        weight = None if weight is None else weight[seen]
        return _fitted(calibrator, log_odds[seen], y[seen], weight)

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
        n_jobs: int | None = None,
    ) -> Training:
        """Check everything and return what the fit needs.

        ``start`` is the raw score to begin from, None for the one of the parameter;
        ``begins_at_zero`` says that the booster takes it for 0; ``device`` and
        ``n_jobs`` say where the derivatives are computed, and by how many threads.
        """
        gamma = check_gamma(self.focal_gamma, "focal_gamma")
        alpha = check_alpha(self.focal_alpha, "focal_alpha")
        link = check_option(self.link, "link", LINKS)
        share = check_real(self.start, "start", low=0.0, high=1.0)
        if self.max_step is not None:
            check_positive(self.max_step, "max_step")
        if self.calibration is not None and not hasattr(self.calibration, "predict"):
            check_option(self.calibration, "calibration", METHODS)
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
            y=codes,
            sample_weight=weight,
            loss=loss,
            scale=weight_0 if are_equal else total,
            start=start,
            offset=start if begins_at_zero else 0.0,
            max_step=self.max_step,
            classes=classes,
            threshold=threshold,
            device=device,
            n_jobs=n_jobs if n_jobs and n_jobs > 0 else -1,
        )
        _ = training.objective  # what the objective refuses, it refuses now
        return training

    def _check_labels(
        self, X: Any, y: Any
    ) -> tuple[NDArray[Any], NDArray[np.uint8], NDArray[Any]]:
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
        return labels, codes.astype(np.uint8), classes

    def __sklearn_tags__(self) -> Any:
        parent: Any = super()  # the booster's own class
        tags = parent.__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.multi_label = False
        return tags


def _fitted(
    calibrator: Any, log_odds: Any, y: NDArray[Any], weight: Float64Array | None
) -> Any:
    weights = {} if weight is None else {"sample_weight": weight}
    return calibrator.fit(log_odds, y, **weights)


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


def _imbalance_factors(
    codes: NDArray[np.uint8], scale_pos_weight: float, is_unbalance: bool
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
