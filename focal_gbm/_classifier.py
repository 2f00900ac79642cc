"""What the estimators for LightGBM and XGBoost share: parameters, labels, weights,
probabilities and their calibration."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from scipy.special import expit, logit
from sklearn.base import clone, is_classifier
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import check_cv
from sklearn.utils import (
    _safe_indexing,
    assert_all_finite,
    check_consistent_length,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

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
from focal_gbm._columns import in_memory
from focal_gbm._labels import (
    as_labels,
    class_weights,
    doubts,
    encode,
    imbalance_factors,
)
from focal_gbm._mlflow import autologging_paused
from focal_gbm._omega import (
    LARGEST_GAMMA,
    LARGEST_WEIGHT,
    MAX_GAMMA,
    SMALLEST_WEIGHT,
)
from focal_gbm._training import Training, copies_of
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
    progress: bool
    loss_: FocalLoss
    calibrator_: Any
    _rare_event_size: ClassVar[dict[str, int]]
    # the library's own that print, record or write, and do not shape the training
    _reporting_callbacks: ClassVar[tuple[type, ...]]
    _is_fold = False

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

        Later rows serve best. The trees stay as they are, and so do raw scores; what an
        earlier calibrator did is forgotten. Without the parameter ``calibration`` the
        method is "auto", which needs 50 positives to choose more than a constant, and
        then warns of what it chose.

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
        self : FocalLGBMClassifier or FocalXGBClassifier
            ``calibrator_`` is the new one; if it cannot be fitted, the old one stays.

        Raises
        ------
        ValueError, TypeError
            If a label is unknown, one class is missing, a weight cannot be used, or
            ``calibration`` is no calibrator of log-odds.
        """
        check_is_fitted(self, "loss_")
        self._check_calibration()
        classes: NDArray[Any] = getattr(self, "classes_")  # noqa: B009 - the parent's
        X = in_memory(X)
        codes = encode(y, classes, "y")
        check_consistent_length(X, codes)
        weight = check_weights(sample_weight, len(codes))
        calibrator = self._new_calibrator()
        log_odds = self.loss_.log_odds(self._raw_score(X))
        self._keep(_fitted(calibrator, log_odds, codes, weight))
        return self

    def _keep(self, calibrator: Any) -> None:
        """Set the calibrator of a fitted model."""
        self.calibrator_ = calibrator

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

        def _raw_score(self, X: Any, **kwargs: Any) -> NDArray[Any]: ...

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...

        def _give_callbacks(self, model: Any, callbacks: list[Any]) -> Any: ...

        @classmethod
        def _library_parameters(cls) -> set[str]: ...

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

    def _cross_calibrated(
        self,
        training: Training,
        y_index: Any,
        begun: Mapping[str, Any],
        callbacks: Sequence[Any],
        **fit_arguments: Any,
    ) -> Any:
        """Return the calibrator fitted to log-odds of rows that were left out.

        ``y_index`` is the index of the labels if they came with one, for splitters that
        read it; ``begun`` are the arguments that say where to begin. The user's
        ``callbacks`` belong to the model; the folds get copies of those that have
        copies, since they may end the training or change its rate.
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
        for fit, held in self._calibration_splits(X, training.labels, y_index):
            kept = fit if weight is None else fit[weight[fit] > 0]
            if len(np.unique(y[kept])) < 2:
                msg = (
                    "calibration_cv leaves one class to train on in one of its folds, "
                    "rows of weight 0 left out"
                )
                raise ValueError(msg)
            model = self._for_fold()
            copies = copies_of(callbacks, self._reporting_callbacks)
            with autologging_paused():
                model.fit(
                    _safe_indexing(X, fit),
                    training.labels[fit],
                    sample_weight=None if weight is None else weight[fit],
                    **fit_arguments,
                    **self._give_callbacks(model, copies),
                )
            if len(held):
                log_odds[held] = model.decision_function(_safe_indexing(X, held))
        seen = ~np.isnan(log_odds)  # folds in time leave the first rows out
        weight = None if weight is None else weight[seen]
        return _fitted(calibrator, log_odds[seen], y[seen], weight)

    def _calibration_splits(
        self, X: Any, labels: NDArray[Any], y_index: Any
    ) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Return the rows to fit to and the rows held out of each fold."""
        cv = self.calibration_cv
        is_count = isinstance(cv, Integral) and not isinstance(cv, bool)
        if not (is_count or hasattr(cv, "split") or isinstance(cv, Iterable)) or (
            isinstance(cv, str) or (is_count and cv < 2)
        ):
            msg = (
                "calibration_cv must be a number of folds >= 2, a splitter or an "
                f"iterable of splits, got {cv!r}"
            )
            raise ValueError(msg)
        y = labels if y_index is None else pd.Series(labels, index=y_index)
        try:
            if is_count or hasattr(cv, "split"):
                cv = check_cv(cv, labels, classifier=True).split(X, y)
            splits = list(cv)
        except ValueError as error:
            if "groups" in str(error):
                error.add_note(
                    "fit knows no groups: pass calibration_cv=list(splitter.split("
                    "X, y, groups=groups))"
                )
            raise
        if not splits:
            msg = (
                "calibration_cv holds no fold: a generator can be read once; pass "
                "list(splitter.split(X, y)) to fit again"
            )
            raise ValueError(msg)
        return [_rows_of_split(split, i, len(labels)) for i, split in enumerate(splits)]

    def _for_fold(self) -> Any:
        """Return an unfitted copy for a fold of the calibration, without calibration
        and callbacks; it warns of nothing, since the whole fit does."""
        parameters = {
            name: clone(value, safe=False) if _is_copied(name, value) else value
            for name, value in self.get_params(deep=False).items()
            if name not in ("calibration", "calibration_cv", "callbacks", "progress")
        }
        model = type(self)(**parameters)
        model._is_fold = True
        return model

    def _warn(self, message: str) -> None:
        """Warn of a fit's data, but not in a fold: filters are no way to keep silent,
        since they are not safe among threads."""
        if message and not self._is_fold:
            warnings.warn(message, UserWarning, stacklevel=4)

    def _check_calibration(self) -> None:
        calibration = self.calibration
        if calibration is None or isinstance(calibration, LogOddsCalibrator):
            return
        if isinstance(calibration, str) or not hasattr(calibration, "predict"):
            check_option(calibration, "calibration", METHODS)
        elif isinstance(calibration, type):
            msg = (
                f"calibration must be an instance, got the class "
                f"{calibration.__name__}; pass {calibration.__name__}()"
            )
            raise TypeError(msg)
        elif not hasattr(calibration, "get_params"):
            msg = (
                f"calibration={type(calibration).__name__} must be an estimator that "
                "scikit-learn can clone: derive it from sklearn.base.BaseEstimator"
            )
            raise TypeError(msg)
        elif isinstance(calibration, IsotonicRegression):
            msg = (
                "calibration=IsotonicRegression() returns probabilities, and a "
                "calibrator has to return log-odds; pass calibration='isotonic'"
            )
            raise ValueError(msg)
        elif is_classifier(calibration):
            name = type(calibration).__name__
            msg = (
                f"calibration={name}() is a classifier, and a calibrator has to return "
                "log-odds from predict; pass calibration='platt' for a logistic "
                "regression on the log-odds, or another method's name"
            )
            raise ValueError(msg)

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


def _is_copied(name: str, value: Any) -> bool:
    """Whether a fold needs a parameter of its own: metrics and the like are shared."""
    return hasattr(value, "get_params") or name == "random_state"


def _rows_of_split(
    split: Any, number: int, n_rows: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the positions of a split, given as positions or as masks."""
    try:
        parts = [np.asarray(part) for part in split]
        fit, held = (
            np.flatnonzero(part)
            if part.dtype == bool and len(part) == n_rows
            else np.arange(n_rows)[part.astype(np.intp) if not len(part) else part]
            for part in parts
        )
    except (TypeError, ValueError, IndexError) as error:
        msg = (
            f"calibration_cv must hold pairs of positions below {n_rows}, or of masks "
            f"of {n_rows} rows, to fit to and to hold out; split {number} is none"
        )
        raise ValueError(msg) from error
    return fit, held


def _fitted(
    calibrator: Any, log_odds: Any, y: NDArray[Any], weight: Float64Array | None
) -> Any:
    """Return the calibrator fitted to rows, if what it predicts are log-odds."""
    name = type(calibrator).__name__
    weights = {} if weight is None else {"sample_weight": weight}
    try:
        fitted = calibrator.fit(log_odds, y, **weights)
    except Exception as error:
        given = "log_odds, y" + (", sample_weight" if weights else "")
        error.add_note(
            f"raised by calibration={name}().fit({given}), log_odds being a vector of "
            f"{len(log_odds)} values"
        )
        raise
    if fitted is None or not hasattr(fitted, "predict"):
        msg = f"calibration={name}: fit must return the calibrator, got {fitted!r}"
        raise TypeError(msg)
    if isinstance(fitted, (LogOddsCalibrator, PriorShift)):
        return fitted
    moved = np.asarray(fitted.predict(log_odds), dtype=np.float64)
    if moved.shape != log_odds.shape or not np.isfinite(moved).all():
        msg = (
            f"calibration={name}: predict must return a finite log-odds for each row, "
            f"got shape {moved.shape} for {len(log_odds)} rows, "
            f"{int((~np.isfinite(moved)).sum())} of them not finite"
        )
        raise ValueError(msg)
    rate = float(np.average(y, weights=weight))
    as_they_are = abs(float(np.average(moved, weights=weight)) - rate)
    as_log_odds = abs(float(np.average(expit(moved), weights=weight)) - rate)
    if moved.min() >= 0 and moved.max() <= 1 and as_they_are < as_log_odds:
        msg = (
            f"calibration={name}: predict returns values from {moved.min():.3g} to "
            f"{moved.max():.3g}, which are probabilities, and a calibrator has to "
            "return log-odds; return scipy.special.logit of them, or pass a method's "
            f"name: {', '.join(METHODS)}"
        )
        raise ValueError(msg)
    return fitted
