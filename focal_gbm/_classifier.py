"""What the estimators for LightGBM and XGBoost share: parameters, labels, weights,
probabilities and their calibration."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit
from sklearn.utils import (
    assert_all_finite,
    check_consistent_length,
)
from sklearn.utils.multiclass import check_classification_targets

from focal_gbm._calibrated import CalibratedMixin
from focal_gbm._checks import (
    Float64Array,
    check_alpha,
    check_flag,
    check_gamma,
    check_option,
    check_positive,
    check_real,
    check_weights,
)
from focal_gbm._labels import (
    as_labels,
    class_weights,
    doubts,
    imbalance_factors,
)
from focal_gbm._omega import (
    LARGEST_GAMMA,
    LARGEST_WEIGHT,
    MAX_GAMMA,
    SMALLEST_WEIGHT,
)
from focal_gbm._training import Training
from focal_gbm.calibration import PriorShift
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


class FocalClassifierMixin(CalibratedMixin):
    """Parameters and data of a fit, checked before any work starts."""

    focal_gamma: float
    focal_alpha: float | None
    link: str
    max_step: float | None
    start: float
    progress: bool
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
        by the search of benchmarks/parameters/starting_point.py;
        benchmarks/detection/README.md has what they gain.

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

    def set_params(self, **params: Any) -> Any:
        """Set parameters of the estimator and, as ``calibration__<name>``, of a
        calibrator that is an estimator.

        Parameters
        ----------
        **params
            Parameters by name.

        Returns
        -------
        self : FocalLGBMClassifier or FocalXGBClassifier
        """
        nested: dict[str, dict[str, Any]] = {}
        own: dict[str, Any] = {}
        for name, value in params.items():
            outer, is_nested, inner = name.partition("__")
            # the parents would keep it as a parameter of the booster
            if is_nested and outer in self._get_param_names():
                nested.setdefault(outer, {})[inner] = value
            else:
                own[name] = value
        for outer, inner_params in nested.items():
            part = own.get(outer, getattr(self, outer))
            known = part.get_params() if hasattr(part, "set_params") else {}
            unknown = [name for name in inner_params if name not in known]
            if unknown:
                msg = (
                    f"Invalid parameter {outer}__{unknown[0]}: {outer}={part!r} has no "
                    f"parameter {unknown[0]!r}"
                )
                raise ValueError(msg)
        parent: Any = super()
        parent.set_params(**own)
        for outer, inner_params in nested.items():
            getattr(self, outer).set_params(**inner_params)
        return self

    def score(
        self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> float:
        """Return the share of rows whose class ``predict`` names.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0.

        Returns
        -------
        accuracy : float in [0, 1]
            Nearly 1 for any model of a rare class; see :mod:`focal_gbm.metrics`.
        """
        parent: Any = super()
        accuracy: float = parent.score(X, as_labels(y), sample_weight)
        return accuracy

    def __getstate__(self) -> dict[str, Any]:
        parent: Any = super()
        state: dict[str, Any] = dict(parent.__getstate__())
        if isinstance(state.get("calibration_cv"), Iterator):
            state["calibration_cv"] = ()  # read by the fit, and no iterator has a copy
        return state

    if TYPE_CHECKING:

        @classmethod
        def _library_parameters(cls) -> set[str]: ...

    @classmethod
    @cache  # asked for in every call of predict
    def _own_parameters(cls) -> frozenset[str]:
        """Return the parameters that the booster knows nothing of: ours, and those that
        the constructors of subclasses add."""
        names: set[str] = set()
        for base in cls.__mro__:
            if FocalClassifierMixin in base.__bases__:
                break
            if "__init__" in vars(base):
                signature = inspect.signature(vars(base)["__init__"])
                named = list(signature.parameters.values())[1:]
                names |= {p.name for p in named if p.kind is not p.VAR_KEYWORD}
        return frozenset(OWN_PARAMETERS) | (names - cls._library_parameters())

    @contextmanager
    def _lending(self, session: Any, **lent: Any) -> Iterator[None]:
        """Lend the parent's fit what it reads from the estimator: ``session``, which is
        gone when the booster is complete, and parameters in place of the user's.

        A fit that fails or is interrupted leaves the estimator as it was.
        """
        before = self.__dict__.copy()
        self._given = {name: before[name] for name in lent}
        self._session = session
        self.__dict__.update(lent)
        try:
            yield
            self._take_back()
            # XGBoost stores the objective that it trained with
            self.__dict__.update({name: before[name] for name in lent})
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _take_back(self) -> None:
        """Put the user's parameters back in place of those that were lent."""
        self.__dict__.update(self.__dict__.pop("_given", {}))
        self.__dict__.pop("_session", None)

    def _as_given(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return parameters as the user set them, also while others are lent."""
        given = self.__dict__.get("_given", {})
        return {**parameters, **{k: v for k, v in given.items() if k in parameters}}

    def _complete(self, training: Training, calibrator: Any) -> None:
        """Set what a fit sets beside the booster. Tools that wrap ``fit`` copy the
        estimator before it returns, and so nothing lent may be left in it."""
        self.loss_ = training.loss
        self.threshold_ = training.threshold
        self.calibrator_ = calibrator
        self._take_back()

    def _warn(self, message: str) -> None:
        """Warn of a fit's data, but not in a fold: filters are no way to keep silent,
        since they are not safe among threads."""
        if message and not self._is_fold:
            warnings.warn(message, UserWarning, stacklevel=4)

    def _prepare(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        *,
        class_weight: Any = None,
        scale_pos_weight: float = 1.0,
        is_unbalance: bool = False,
        raw_start: float | None = None,
        start_probability: float | None = None,
        init_score: Float64Array | None = None,
        begins_at_zero: bool = False,
        device: str = "cpu",
        n_jobs: int | None = None,
    ) -> Training:
        """Check everything and return what the fit needs.

        ``raw_start`` is the raw score to begin from and ``start_probability`` what it
        stands for; without both it follows from the parameter ``start``.
        ``begins_at_zero`` says that the booster takes it for 0; ``device`` and
        ``n_jobs`` say where the derivatives are computed, and by how many threads.
        """
        link = check_option(self.link, "link", LINKS)
        gamma = check_gamma(self.focal_gamma, "focal_gamma")
        largest = MAX_GAMMA if link == "posterior" else LARGEST_GAMMA
        if gamma > largest:
            msg = (
                f"focal_gamma must be at most {largest} with link={link!r}, got {gamma}"
            )
            if link == "posterior":
                msg += f"; link='logit' takes up to {LARGEST_GAMMA}"
            raise ValueError(msg)
        alpha = check_alpha(self.focal_alpha, "focal_alpha")
        share = check_real(self.start, "start", low=0.0, high=1.0)
        if self.max_step is not None:
            check_positive(self.max_step, "max_step")
        check_flag(self.progress, "progress")
        self._check_calibration()
        labels, codes, classes = self._check_labels(X, y)
        weight = check_weights(sample_weight, len(labels))
        if weight is not None and len(np.unique(codes[weight > 0])) < 2:
            msg = (
                "sample_weight leaves one class: every row of the other class has "
                "weight 0, and a classifier needs both"
            )
            raise ValueError(msg)
        for message in doubts(codes, classes, weight):
            self._warn(message)
        weight_0, weight_1 = class_weights(class_weight, classes, labels)
        factor_0, factor_1 = imbalance_factors(codes, scale_pos_weight, is_unbalance)
        weight_0, weight_1 = weight_0 * factor_0, weight_1 * factor_1
        threshold = weight_0 / (weight_0 + weight_1)
        if alpha is not None:
            weight_0, weight_1 = weight_0 * (1.0 - alpha), weight_1 * alpha
        for value, label in zip((weight_0, weight_1), classes.tolist(), strict=True):
            if not SMALLEST_WEIGHT <= value <= LARGEST_WEIGHT:
                msg = (
                    f"class_weight, scale_pos_weight and focal_alpha give class "
                    f"{label!r} the weight {value:.3g}; it has to lie in "
                    f"[{SMALLEST_WEIGHT:g}, {LARGEST_WEIGHT:g}]"
                )
                raise ValueError(msg)
        total = weight_0 + weight_1
        # alpha=None is alpha=1/2 without its factor 1/2
        are_equal = weight_0 == weight_1
        loss = FocalLoss(gamma, None if are_equal else weight_1 / total, link)
        if raw_start is None:
            log_odds = share * base_log_odds(codes, weight)
            if start_probability is not None:
                log_odds = float(logit(start_probability))
            raw_start = float(loss.raw_prediction([log_odds])[0])
        calibration = self.calibration
        is_shifted = isinstance(calibration, PriorShift)
        training = Training(
            X=X,
            y=codes,
            sample_weight=weight,
            classes=classes,
            loss=loss,
            threshold=threshold,
            scale=weight_0 if are_equal else total,
            raw_start=raw_start,
            offset=raw_start if begins_at_zero else 0.0,
            init_score=init_score,
            prior_shift=calibration.constant_ if is_shifted else 0.0,
            max_step=None if self.max_step is None else float(self.max_step),
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
        labels = as_labels(y)
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
        missing = np.asarray(pd.isna(labels))
        if missing.any():
            msg = f"Input y contains NaN: no label in row {int(missing.argmax())}"
            raise ValueError(msg)
        check_classification_targets(labels)
        codes, classes = pd.factorize(labels, sort=True)
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


def without_split(has_split: bool) -> str:
    """Return what is to be said of a model that gives every row the base rate."""
    if has_split:
        return ""
    return (
        "no tree could split, and the model gives every row the base rate: columns of "
        "one value have no split, and min_child_weight, min_child_samples, "
        "min_split_gain, gamma or small sample weights can forbid them"
    )
