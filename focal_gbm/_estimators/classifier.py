"""The base class of both classifiers: their parameters, and the checks of a fit."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from focal_gbm._doc_links import DocLinkMixin
from focal_gbm._estimators.calibrated import CalibratedMixin
from focal_gbm._estimators.class_weights import class_weights, weighted_loss
from focal_gbm._estimators.fit_state import FitState
from focal_gbm._estimators.labels import (
    as_labels,
    check_target,
    doubts,
    known_share,
)
from focal_gbm._estimators.ranges import Ranges, all_ranges, draw
from focal_gbm._estimators.start import start_of_share
from focal_gbm._estimators.training import Training
from focal_gbm._kernels.rational import (
    LARGEST_GAMMA,
    MAX_GAMMA,
)
from focal_gbm._validation import (
    Float64Array,
    check_alpha,
    check_flag,
    check_gamma,
    check_option,
    check_real,
    check_weights,
)
from focal_gbm.calibration import PriorShift
from focal_gbm.loss import LINKS, FocalLoss

# Parameters of this library, which do not go to the boosters.
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

# The library's own size of a tree comes on top.
RARE_EVENTS: dict[str, Any] = {
    "learning_rate": 0.1,
    "n_estimators": 150,
    "min_child_weight": 0.5,
    "reg_lambda": 1.0,
    "colsample_bytree": 0.7,
}


def with_parameters_of(parent: Any) -> Callable[[Any], Any]:
    """Return a decorator that lists the parent's parameters in the signature of
    ``__init__``.

    They take the place of ``**kwargs`` for readers of the signature: help, editors and
    the representation of the estimator.
    """

    def decorate(init: Any) -> Any:
        own = inspect.signature(init).parameters
        parents = inspect.signature(parent.__init__).parameters
        added = [
            value.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, value in parents.items()
            if name not in own
        ]
        *first, kwargs = own.values()
        # scikit-learn, help and editors read this attribute before the code
        init.__signature__ = inspect.Signature([*first, *added, kwargs])
        return init

    return decorate


class FocalClassifierMixin(DocLinkMixin, CalibratedMixin, FitState):
    """The part of a classifier that does not depend on the library underneath."""

    focal_gamma: float
    focal_alpha: float | None
    link: str
    max_step: float | None
    start: float
    progress: bool
    _rare_event_size: ClassVar[dict[str, int]]
    _tree_ranges: ClassVar[Ranges]
    _sizes: ClassVar[tuple[dict[str, float], ...]]
    _size_of_all: ClassVar[dict[str, Any]]

    @classmethod
    @cache  # LightGBM's predict reads them twice, and a signature is slow
    def _get_param_names(cls) -> list[str]:
        parent: Any = super()
        names: list[str] = parent._get_param_names()
        return names

    @classmethod
    def rare_event_params(cls) -> dict[str, Any]:
        """Return parameters of the library to start from where positives are few.

        More and smaller trees than by default, on four times the bins: the values that
        positives share may span far less than one of 256 bins of equal counts. Chosen
        by the search of benchmarks/parameters/starting_point.py;
        benchmarks/detection/README.md has the gain. Small trees lose where a target has
        many interactions (benchmarks/parameters/cross_fit.md);
        :class:`FocalClassifierCV` chooses the size by folds.

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

    @classmethod
    def suggest_params(
        cls, trial: Any, y: ArrayLike | None = None, **fixed: Any
    ) -> dict[str, Any]:
        """Draw parameters from a trial of Optuna.

        The ranges are those of the searches in benchmarks/detection/README.md: size
        and number of trees, learning rate, sampling, regularisation, bins, and of the
        loss ``focal_gamma`` (0 is the log-loss), ``max_step`` and ``start``.

        Parameters
        ----------
        trial : optuna.trial.Trial
            Trial of a study, or any object with the methods ``suggest_float``,
            ``suggest_int`` and ``suggest_categorical``.
        y : array-like of shape (n_samples,) or None, default=None
            Labels of the training rows. With them ``scale_pos_weight`` is drawn too,
            between 1 and the number of negatives for each positive. None: no class
            weights.
        **fixed
            Parameters that are not drawn, by any name that the library has for them,
            and any others of the constructor. ``study.best_params`` does not hold them.

        Returns
        -------
        parameters : dict
            For the constructor or ``set_params``.

        Raises
        ------
        TypeError
            If ``trial`` cannot draw.
        ValueError
            If ``y`` does not hold two classes.

        Notes
        -----
        A search with Optuna, and the model of its best parameters::

            def objective(trial):
                parameters = FocalLGBMClassifier.suggest_params(trial, verbose=-1)
                model = FocalLGBMClassifier(**parameters)
                scores = cross_val_score(model, X, y, scoring="average_precision")
                return scores.mean()

            study = optuna.create_study(direction="maximize")
            study.optimize(objective, n_trials=50)
            model = FocalLGBMClassifier(**study.best_params, verbose=-1).fit(X, y)

        Examples
        --------
        >>> from types import SimpleNamespace
        >>> from focal_gbm import FocalLGBMClassifier
        >>> lowest = SimpleNamespace(
        ...     suggest_float=lambda name, low, high, log: low,
        ...     suggest_int=lambda name, low, high, log: low,
        ...     suggest_categorical=lambda name, choices: choices[0],
        ... )
        >>> parameters = FocalLGBMClassifier.suggest_params(lowest, n_estimators=300)
        >>> [parameters[name] for name in ("n_estimators", "num_leaves", "focal_gamma")]
        [300, 4, 0.0]
        """
        if not hasattr(trial, "suggest_float"):
            msg = (
                f"trial must be a trial of Optuna, got {trial!r}; call suggest_params "
                "in the objective of study.optimize, or with study.ask()"
            )
            raise TypeError(msg)
        ratio = None
        if y is not None:
            labels = as_labels(y)
            share = check_target(labels, labels, cls.__name__)[1].mean()
            ratio = float(1.0 / share - 1.0)
        ranges = {
            name: values
            for name, values in all_ranges(cls._tree_ranges, ratio).items()
            if not cls._names_of(name) & fixed.keys()
        }
        return {**draw(trial, ranges), **fixed}

    @classmethod
    def tree_sizes(cls) -> list[dict[str, Any]]:
        """Return the sizes of trees that :class:`FocalClassifierCV` tries.

        Returns
        -------
        sizes : list of dict
            Parameters of the library: trees of 31 leaves, of 8, and of 127 leaves that
            may hold few rows.

        Examples
        --------
        >>> from focal_gbm import FocalLGBMClassifier
        >>> [size["num_leaves"] for size in FocalLGBMClassifier.tree_sizes()]
        [31, 8, 127]
        """
        shared = {k: v for k, v in RARE_EVENTS.items() if k != "n_estimators"}
        return [{**shared, **cls._size_of_all, **size} for size in cls._sizes]

    def decision_function(self, X: Any, **kwargs: Any) -> NDArray[np.float64]:
        """Return the log-odds of the positive class, after the calibrator if any.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Features.
        **kwargs
            Arguments of ``predict_proba`` that name the trees to use.

        Returns
        -------
        log_odds : ndarray of shape (n_samples,), float64
            expit of it is ``predict_proba(X)[:, 1]``.
        """
        return self._log_odds(self._raw_score(X, **kwargs))

    def set_params(self, **params: Any) -> Any:
        """Set parameters of the estimator.

        A parameter of a calibrator that is an estimator is ``calibration__<name>``.

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
        # all names are checked first, so that an unknown one changes no parameter
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
        """Return the accuracy of ``predict``.

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
            Share of rows with the right class. It is close to 1 for any model of a rare
            class; :mod:`focal_gbm.metrics` has better measures.
        """
        parent: Any = super()
        # of the kinds that fit takes, of which scikit-learn compares only some
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
        def _names_of(cls, name: str) -> set[str]: ...

    @classmethod
    @cache  # read in every call of predict
    def _own_parameters(cls) -> frozenset[str]:
        """Return the parameters that the booster does not know.

        They are those of this library, and those that constructors of subclasses add.
        """
        names: set[str] = set()
        # from the subclass of a user up to the classifier of this library
        for base in cls.__mro__:
            if FocalClassifierMixin in base.__bases__:
                break
            if "__init__" in vars(base):
                signature = inspect.signature(vars(base)["__init__"])
                named = list(signature.parameters.values())[1:]
                names |= {p.name for p in named if p.kind is not p.VAR_KEYWORD}
        return frozenset(OWN_PARAMETERS) | (names - cls._library_parameters())

    def _is_set(self, name: str) -> bool:
        """Whether the user has set a parameter, by any of its names."""
        return any(is_changed(self, other) for other in self._names_of(name))

    def _warn(self, message: str) -> None:
        """Warn about the data of a fit, but not in a fold, where the whole fit warns.

        Filters of warnings would be another way to keep a fold silent, but filters are
        shared by all threads.
        """
        if message and not self._is_fold:
            warnings.warn(message, UserWarning, stacklevel=4)

    def _prepare(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        label_maturity: ArrayLike | None,
        *,
        class_weight: Any = None,
        class_factors: Callable[[Sequence[int]], tuple[float, float]],
        raw_start: float | None = None,
        start_probability: float | None = None,
        init_score: Float64Array | None = None,
        maturities: Sequence[Any] = (),
        begins_at_zero: bool = False,
        device: str = "cpu",
        n_jobs: int | None = None,
    ) -> Training:
        """Check parameters and data, and return the training that follows from them.

        ``class_factors`` returns, for the rows of each class, the factors of class 0
        and 1 from the parameters of the library. ``raw_start`` is the raw score at
        which boosting begins, and ``start_probability`` the probability; without both
        the start follows from the parameter ``start``. ``maturities`` are those of the
        labels of evaluation sets, in the order in which the booster measures them.
        ``begins_at_zero`` is true for a booster that starts a custom objective at raw
        score 0. ``device`` and ``n_jobs`` are where the derivatives are computed, and
        by how many threads.
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
            # as float32, XGBoost refuses what is smaller than a normal number, or inf
            check_real(self.max_step, "max_step", low=1e-30, high=1e30)
        check_flag(self.progress, "progress")
        self._check_calibration()
        labels, codes, classes = check_target(X, y, type(self).__name__)
        weight = check_weights(sample_weight, len(labels))
        if weight is not None and len(np.unique(codes[weight > 0])) < 2:
            msg = (
                "sample_weight leaves one class: every row of the other class has "
                "weight 0, and a classifier needs both"
            )
            raise ValueError(msg)
        maturity = known_share(label_maturity, codes, weight, link)
        mean_weight = None
        if weight is not None:
            mean_weight = float(weight.sum() / np.count_nonzero(weight))
        for message in doubts(float(codes.mean()), classes, mean_weight):
            self._warn(message)
        counts = np.bincount(codes, minlength=2).tolist()
        by_label = class_weights(class_weight, classes, labels)
        loss, scale, threshold = weighted_loss(
            FocalLoss(gamma, alpha, link), by_label, class_factors(counts), classes
        )
        # an argument of fit comes before a parameter
        if raw_start is None:
            raw_start = start_of_share(
                loss, share, codes, weight, maturity, start_probability
            )
        calibration = self.calibration
        is_shifted = isinstance(calibration, PriorShift)
        training = Training(
            X=X,
            y=codes,
            sample_weight=weight,
            label_maturity=maturity,
            classes=classes,
            loss=loss,
            threshold=threshold,
            scale=scale,
            raw_start=raw_start,
            offset=raw_start if begins_at_zero else 0.0,
            init_score=init_score,
            maturities=tuple(maturities),
            prior_shift=calibration.constant_ if is_shifted else 0.0,
            max_step=None if self.max_step is None else float(self.max_step),
            device=device,
            # None and 0 mean all threads to the boosters
            n_jobs=n_jobs if n_jobs and n_jobs > 0 else -1,
        )
        _ = training.objective  # what the objective refuses, it refuses now
        return training

    def __sklearn_tags__(self) -> Any:
        parent: Any = super()  # the booster's own class
        tags = parent.__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.classifier_tags.multi_label = False
        return tags


def is_changed(estimator: Any, name: str) -> bool:
    """Whether a parameter has another value than by default."""
    parameters = estimator.get_params(deep=False)
    usual = type(estimator)().get_params(deep=False)
    if name not in usual:
        return parameters.get(name) is not None
    value = parameters[name]
    return value is not usual[name] and bool(value != usual[name])


def without_split(has_split: bool) -> str:
    """Return the warning for a model that predicts the base rate for every row."""
    if has_split:
        return ""
    return (
        "no tree could split, and the model gives every row the base rate: columns of "
        "one value have no split, and min_child_weight, min_child_samples, "
        "min_split_gain, gamma or small sample weights can forbid them"
    )
