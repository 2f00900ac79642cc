"""Calibration of a classifier: on the held-out rows of folds, or on later rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from scipy.special import expit
from sklearn.base import clone, is_classifier
from sklearn.isotonic import IsotonicRegression
from sklearn.utils import _safe_indexing, check_consistent_length
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from focal_gbm._estimators.columns import in_memory
from focal_gbm._estimators.labels import encode
from focal_gbm._estimators.mlflow import autologging_paused
from focal_gbm._estimators.splits import row_splits
from focal_gbm._estimators.training import Training
from focal_gbm._validation import (
    Float64Array,
    check_maturity,
    check_option,
    check_weights,
)
from focal_gbm.calibration import METHODS, LogOddsCalibrator, PriorShift
from focal_gbm.loss import FocalLoss


class CalibratedMixin:
    """Probabilities of a fitted classifier, and the calibrator that maps them."""

    calibration: Any
    calibration_cv: Any
    loss_: FocalLoss
    calibrator_: Any
    # the library's own that print, record or write, and do not shape the training
    _reporting_callbacks: ClassVar[tuple[type, ...]]
    _is_fold = False

    if TYPE_CHECKING:

        def _raw_score(self, X: Any, **kwargs: Any) -> NDArray[Any]: ...

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...

        def _give_callbacks(self, model: Any, callbacks: list[Any]) -> Any: ...

    def calibrate(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        label_maturity: ArrayLike | None = None,
    ) -> Any:
        """Fit the calibrator to rows that the model has not trained on.

        Later rows are best. Trees and raw scores do not change, and the new calibrator
        replaces an earlier one. Without the parameter ``calibration`` the method is
        "auto"; with fewer than 50 positives "auto" chooses between no change and a
        constant, and warns.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels of the classes fitted, both of them.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0. None: 1 for every row.
        label_maturity : array-like of shape (n_samples,) or None, default=None
            Values in (0, 1]: the probability that a positive of the row would be known
            by now. None: 1 each, labels are final.

        Returns
        -------
        self : FocalLGBMClassifier or FocalXGBClassifier
            ``calibrator_`` is the new calibrator. If the fit fails, ``calibrator_``
            does not change.

        Raises
        ------
        ValueError, TypeError
            If a label is unknown, one class is missing, a weight or a maturity cannot
            be used, or ``calibration`` is no calibrator of log-odds.
        """
        X = in_memory(X)
        calibrator, codes, *others = self._to_calibrate(
            y, sample_weight, label_maturity
        )
        check_consistent_length(X, codes)
        self._keep(fitted_to(calibrator, self._bare_log_odds(X), codes, *others))
        return self

    def _to_calibrate(
        self, y: Any, sample_weight: Any, label_maturity: Any
    ) -> tuple[Any, ...]:
        """Return the calibrator to be fitted, and labels as codes, weights and
        maturities."""
        check_is_fitted(self, "loss_")
        self._check_calibration()  # set_params may have changed it since the fit
        classes: NDArray[Any] = getattr(self, "classes_")  # noqa: B009 - the parent's
        codes = encode(y, classes, "y")
        weight = check_weights(sample_weight, len(codes))
        maturity = check_maturity(label_maturity, len(codes))
        calibrator = self._new_calibrator()
        check_takes_maturity(calibrator, maturity)
        return calibrator, codes, weight, maturity

    def _bare_log_odds(self, X: Any) -> Float64Array:
        """Return log-odds before the calibrator."""
        return self.loss_.log_odds(self._raw_score(X))

    def _keep(self, calibrator: Any) -> None:
        """Set the calibrator of a fitted model."""
        self.calibrator_ = calibrator

    def _log_odds(self, raw: NDArray[Any]) -> NDArray[np.float64]:
        log_odds = self.loss_.log_odds(raw)
        if self.calibrator_ is None:
            return log_odds
        return np.asarray(self.calibrator_.predict(log_odds), dtype=np.float64)

    def _predicts_probabilities(self) -> bool:
        """Whether the booster's own predictions are the probabilities."""
        if "loss_" not in self.__dict__:
            return (
                True  # the parent raises the error of an estimator that is not fitted
            )
        return self.loss_.link == "posterior" and self.calibrator_ is None

    def _probabilities(self, raw: NDArray[Any]) -> NDArray[Any]:
        """Return both columns for raw scores, in their dtype."""
        positive = FocalLoss().probability(self._log_odds(raw)).astype(raw.dtype)
        return np.column_stack((1.0 - positive, positive))

    def _new_calibrator(self) -> Any:
        method = "auto" if self.calibration is None else self.calibration
        return LogOddsCalibrator(method) if isinstance(method, str) else clone(method)

    def _cross_calibrated(
        self,
        training: Training,
        y_as_passed: Any,
        begun: Mapping[str, Any],
        callbacks: Sequence[Any],
        **fit_arguments: Any,
    ) -> Any:
        """Return the calibrator fitted to the log-odds of held-out rows.

        ``y_as_passed`` are the labels as the user passed them. ``begun`` holds the
        arguments that set where boosting begins. Each fold gets copies of the user's
        ``callbacks``, since a callback may end the training or change its learning
        rate.
        """
        if self.calibration is None:
            return None
        calibrator = self._new_calibrator()
        check_takes_maturity(calibrator, training.label_maturity)
        if isinstance(calibrator, PriorShift):
            return calibrator.fit()  # its rates are known, and it needs no folds
        for name, value in begun.items():
            if value is not None:
                msg = (
                    f"calibration={self.calibration!r} with {name}: rows that are left "
                    "out may not be unseen; fit without it, and call calibrate on "
                    "later rows"
                )
                raise ValueError(msg)
        X, y, weight = training.X, training.y, training.sample_weight
        maturity = training.label_maturity
        X = X.tocsr() if issparse(X) else X  # not every format gives its rows
        log_odds = np.full(len(y), np.nan)  # of rows that no fold holds out
        labels = training.labels
        of_splits: Any = labels
        if isinstance(y_as_passed, pd.Series):  # splitters may read its index
            of_splits = pd.Series(labels, index=y_as_passed.index)
        for fit, held in row_splits(
            self.calibration_cv, X, of_splits, "calibration_cv"
        ):
            kept = fit if weight is None else fit[weight[fit] > 0]
            if len(np.unique(y[kept])) < 2:
                msg = (
                    "calibration_cv leaves one class to train on in one of its folds, "
                    "rows of weight 0 left out"
                )
                raise ValueError(msg)
            # a fit of its own, so that nothing of a fold can stay in this estimator
            model = self._for_fold()
            copies = copies_of(callbacks, self._reporting_callbacks)
            with autologging_paused():
                model.fit(
                    _safe_indexing(X, fit),
                    labels[fit],
                    sample_weight=None if weight is None else weight[fit],
                    **({} if maturity is None else {"label_maturity": maturity[fit]}),
                    **fit_arguments,
                    **self._give_callbacks(model, copies),
                )
            if len(held):  # a splitter may hold out no row
                log_odds[held] = model.decision_function(_safe_indexing(X, held))
        seen = ~np.isnan(log_odds)  # folds in time leave the first rows out
        weight = None if weight is None else weight[seen]
        maturity = None if maturity is None else maturity[seen]
        return fitted_to(calibrator, log_odds[seen], y[seen], weight, maturity)

    def _for_fold(self) -> Any:
        """Return an unfitted copy for a fold, without calibration and callbacks.

        The copy issues no warnings, since the whole fit issues them.
        """
        parameters = {
            name: clone(value, safe=False) if _is_copied(name, value) else value
            for name, value in self.get_params(deep=False).items()
            if name not in ("calibration", "calibration_cv", "callbacks", "progress")
        }
        model = type(self)(**parameters)
        model._is_fold = True
        return model

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


def copies_of(callbacks: Sequence[Any], reporting: tuple[type, ...]) -> list[Any]:
    """Return copies of the callbacks of a fit, for a fold.

    Callbacks that report are left out, and so are functions and other callbacks that
    cannot be copied: the state of the user's own belongs to the whole fit.
    """
    copies = []
    for callback in callbacks:
        if isinstance(callback, reporting) or _has_trial(callback):
            continue
        try:
            copy = deepcopy(callback)
        except Exception:  # locks, files, connections: anything may be in them
            continue
        if copy is not callback:
            copies.append(copy)
    return copies


def _has_trial(callback: Any) -> bool:
    """Whether a callback reports to a trial of Optuna; its copy would report to a copy
    of the whole study."""
    values = getattr(callback, "__dict__", {}).values()
    return any(type(value).__module__.startswith("optuna.") for value in values)


def _is_copied(name: str, value: Any) -> bool:
    """Whether a fold needs a copy of a parameter's value; metrics and the like are
    shared."""
    return hasattr(value, "get_params") or name == "random_state"


def check_takes_maturity(calibrator: Any, maturity: Float64Array | None) -> None:
    """Refuse a calibrator that would take late labels for final."""
    if maturity is None:
        return
    if isinstance(calibrator, PriorShift):
        if calibrator.kept_negatives != 1.0:
            kept = calibrator.kept_negatives
            msg = (
                f"PriorShift(kept_negatives={kept}) with label_maturity: among the "
                "rows seen as negative that were dropped are positives not known yet, "
                "which no constant makes up for; pass sample_weight, 1 / "
                f"{kept} for each negative kept and 1 for positives"
            )
            raise ValueError(msg)
        return
    if not has_fit_parameter(calibrator, "label_maturity"):
        msg = (
            f"calibration={type(calibrator).__name__}() has no label_maturity in its "
            "fit and would take late labels for final: add it, or pass a method's "
            f"name: {', '.join(METHODS)}"
        )
        raise ValueError(msg)


def fitted_to(
    calibrator: Any,
    log_odds: Any,
    y: NDArray[Any],
    weight: Float64Array | None,
    maturity: Float64Array | None,
) -> Any:
    """Return the calibrator fitted to rows, once its predictions proved to be
    log-odds."""
    name = type(calibrator).__name__
    rows = {} if weight is None else {"sample_weight": weight}
    if maturity is not None and not isinstance(calibrator, PriorShift):
        rows["label_maturity"] = maturity
    try:
        fitted = calibrator.fit(log_odds, y, **rows)
    except Exception as error:  # of an estimator of the user, without our context
        arguments = ", ".join(["log_odds", "y", *rows])
        error.add_note(
            f"raised by calibration={name}().fit({arguments}), where log_odds is a "
            f"vector of {len(log_odds)} values"
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
    # scikit-learn's calibrators return probabilities; as log-odds those would all be
    # near 1/2 or above, and their mean shows which of the two was meant
    rate = float(np.average(y, weights=weight))
    if maturity is not None:
        rate /= float(np.average(maturity, weights=weight))
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
