"""FocalClassifierCV: size, number of trees and calibrator from one set of folds."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
from joblib import cpu_count, effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.validation import check_is_fitted

from focal_gbm._doc_links import DocLinkMixin
from focal_gbm._estimators.calibrated import copies_of
from focal_gbm._estimators.classifier import FocalClassifierMixin
from focal_gbm._estimators.columns import check_fixed_categories, in_memory
from focal_gbm._estimators.folds import Curve, InStep, Pool
from focal_gbm._estimators.labels import check_target, known_share
from focal_gbm._estimators.mlflow import autologging_paused
from focal_gbm._estimators.progress import tree_bar
from focal_gbm._estimators.splits import row_splits
from focal_gbm._validation import (
    Float64Array,
    check_count,
    check_flag,
    check_known,
    check_option,
    check_weights,
    is_whole,
)
from focal_gbm.calibration import METHODS, LogOddsCalibrator

# Parameters of the classifiers that are not a matter of size.
_FIXED = {
    "n_estimators",
    "n_jobs",
    "link",
    "calibration",
    "calibration_cv",
    "callbacks",
    "progress",
    "random_state",
}
# Trees from one look at the held-out rows to the next.
_EVERY = 15
# Trees without a better criterion after which a size is done.
_PATIENCE = 60
_SEEDS = 2**31  # LightGBM's are 32-bit integers with a sign


class FocalClassifierCV(
    DocLinkMixin, ClassifierMixin, MetaEstimatorMixin, BaseEstimator
):
    """Classifier that chooses the size of its trees, and their number, by folds.

    Use it where one model with default settings is not enough and a search is too much
    work: one set of fits gives the size of the trees, the number of trees, log-odds of
    rows that no model has seen, and a calibrator fitted to them.

    How a fit proceeds:

    1. Rows are split into folds. Without a splitter, folds are stratified, and without
       groups a fold has at least one positive.
    2. For each size the folds train side by side. Every 15 trees the log-odds of all
       held-out rows together give the criterion: the log-loss after the best straight
       line, which measures ranking and shape without the error of calibration [1]_.
       Training stops when the criterion has not improved for 60 trees, or when the
       size cannot pass the best size so far.
    3. The size with the best criterion is kept, at its best number of trees.
    4. If every row was held out once, the models of the folds become one booster, whose
       raw score is their mean. Otherwise (folds in time order) one model is fitted to
       all rows, with a number of trees that grows with the square root of the rows (for
       five folds three rules rank alike: benchmarks/parameters/bins.md).
    5. The calibrator is fitted to the held-out log-odds.

    Parameters
    ----------
    estimator : FocalLGBMClassifier, FocalXGBClassifier or None, default=None
        Unfitted classifier. None: ``FocalLGBMClassifier(verbose=-1)``. Its own
        ``n_estimators`` and ``calibration`` have no part in the fit. Callbacks of a
        FocalXGBClassifier act in the folds as copies, if they can be copied and do not
        report to a trial of Optuna.
    sizes : "auto" or list of dict, default="auto"
        Parameters of the library that are tried, in this order. "auto" tries the three
        of ``type(estimator).tree_sizes()``, each without the parameters that
        ``estimator`` has set to another value than the default.
    cv : int, splitter or iterable of splits, default=5
        The folds. A number means stratified folds (by group, if ``groups`` are passed),
        as many as there are positives if those are fewer. Use ``PrequentialSplit`` for
        transactions in time, whose labels become known after a delay.
    ensemble : {"auto", True, False}, default="auto"
        Whether the models of the folds become one booster, as in step 4. "auto": if
        every row is held out once and the link is "posterior". False: one model is
        fitted to all rows.
    calibration : str or None, default="auto"
        Method of :class:`LogOddsCalibrator` for the held-out log-odds; None: no
        calibrator.
    max_trees : int >= 1, default=900
        Largest number of trees in a fold.
    n_jobs : int or None, default=None
        Folds that train at a time, -1 for all. They share the threads of ``estimator``.
        The model does not depend on it. Every fold keeps its rows, and the library's
        copy of them, while it waits, so that memory grows with each fold.
    random_state : int >= 0, RandomState or None, default=None
        ``random_state`` of the models, below 2**31; None: that of ``estimator``.
    progress : bool, default=False
        Show a progress bar over the sizes and trees; needs tqdm.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        Labels; the second is the positive class.
    estimator_ : FocalLGBMClassifier or FocalXGBClassifier
        Fitted classifier of the library, with one booster and the calibrator. It can be
        saved and used alone.
    estimators_ : list
        Fitted classifiers of the folds, of the best size.
    best_params_ : dict
        The size that was chosen.
    n_trees_ : int
        Number of trees of the model of a fold; fewer in a fold where no tree could
        split.
    oof_log_odds_ : ndarray of shape (n_samples,), float64
        Log-odds of each row by the models that have not seen it, before the
        calibrator; NaN where no fold held the row out.
    calibrator_ : LogOddsCalibrator or None
        Fitted calibrator, which maps log-odds to calibrated log-odds.
    cv_results_ : dict of lists
        For each size: "params", "n_trees", "criterion" (the log-loss after the best
        line), "trained_trees" and "fit_time" in seconds.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns of a data frame.

    See Also
    --------
    FocalLGBMClassifier, FocalXGBClassifier : One model with parameters of your own.

    References
    ----------
    .. [1] E. Berta, D. Holzmuller, M. I. Jordan, F. Bach. Rethinking early stopping:
       refine, then calibrate. 2025, arXiv 2501.19195.

    Examples
    --------
    >>> from focal_gbm import FocalClassifierCV
    >>> from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
    >>> from focal_gbm.metrics import alert_threshold
    >>> data = make_transactions(n_customers=200, n_terminals=400, n_days=60)
    >>> X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"]
    >>> model = FocalClassifierCV(cv=3, max_trees=15, random_state=0).fit(X, y)
    >>> p = model.predict_proba(X)[:, 1]
    >>> held_out = model.calibrator_.predict(model.oof_log_odds_)
    >>> bool(alert_threshold(held_out, budget=5, n_days=60) > -10)
    True
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        sizes: Any = "auto",
        cv: Any = 5,
        ensemble: Any = "auto",
        calibration: str | None = "auto",
        max_trees: int = 900,
        n_jobs: int | None = None,
        random_state: Any = None,
        progress: bool = False,
    ) -> None:
        self.estimator = estimator
        self.sizes = sizes
        self.cv = cv
        self.ensemble = ensemble
        self.calibration = calibration
        self.max_trees = max_trees
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.progress = progress

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        label_maturity: ArrayLike | None = None,
    ) -> FocalClassifierCV:
        """Choose size and number of trees, and fit model and calibrator.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels of two classes: numbers, booleans, texts or dates. The second in
            sorted order is the positive class.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0: the number of rows of the population that a row
            represents. None: 1 for every row.
        groups : array-like of shape (n_samples,) or None, default=None
            Groups of rows, such as cards, for the splitter.
        label_maturity : array-like of shape (n_samples,) or None, default=None
            Values in (0, 1]: the probability that a positive of the row would be known
            by now. Models, criterion and calibrator are then those of the true class.
            None: 1 each, labels are final.

        Returns
        -------
        self : FocalClassifierCV

        Raises
        ------
        ValueError, TypeError
            If a parameter or an argument cannot be used; the message names it and the
            cure. A fit that fails leaves the estimator as it was.
        """
        base = self._base()
        ensemble = self._check_parameters(base)
        (X,) = indexable(in_memory(X))  # not every container gives its rows
        labels, codes, classes = check_target(X, y, type(self).__name__)
        weight = check_weights(sample_weight, len(labels))
        maturity = known_share(label_maturity, codes, weight, base.link)
        check_fixed_categories(X)
        splits = self._splits(X, codes, groups)
        _check_folds(splits, codes, weight, maturity)
        held = np.concatenate([held for _, held in splits])
        is_partition = len(held) == len(codes) == len(np.unique(held))
        if ensemble == "auto":
            ensemble = is_partition and base.link == "posterior"
        sizes = self._sizes(base)
        pool = Pool(
            [codes[held] for _, held in splits],
            [_part(weight, held) for _, held in splits],
            [_part(maturity, held) for _, held in splits],
        )
        results: dict[str, list[Any]] = {
            name: []
            for name in ("params", "n_trees", "criterion", "trained_trees", "fit_time")
        }
        best: list[Any] = []
        lowest = np.inf
        with ExitStack() as stack:
            stack.enter_context(autologging_paused())
            bar = stack.enter_context(_bar(self.progress, len(sizes) * self.max_trees))
            for size in sizes:
                begun = time.perf_counter()
                curve = Curve(_PATIENCE, int(self.max_trees), lowest)
                folds = self._fit_folds(
                    base, size, X, labels, (weight, maturity), splits, pool, curve, bar
                )
                criterion, n_trees = curve.best
                results["params"].append(size)
                results["n_trees"].append(n_trees)
                results["criterion"].append(criterion)
                results["trained_trees"].append(curve.n_trees[-1])
                results["fit_time"].append(time.perf_counter() - begun)
                if criterion < lowest:
                    lowest, best = criterion, folds
        chosen = int(np.argmin(results["criterion"]))
        size, n_trees = results["params"][chosen], results["n_trees"][chosen]
        models = [model for model, _ in best]
        held_out = [log_odds for _, log_odds in best]
        log_odds = _mean_log_odds(held_out, splits, len(codes))
        calibrator = self._calibrator(log_odds, codes, weight, maturity)
        if ensemble:
            model = models[0]._averaged(models)
            own = {"callbacks": base.callbacks} if hasattr(base, "callbacks") else {}
            model.set_params(n_jobs=base.n_jobs, n_estimators=n_trees, **own)
        else:
            rows = np.mean([len(fit) for fit, _ in splits])
            grown = max(round(n_trees * (len(codes) / rows) ** 0.5), 1)
            model = self._model(base, size, grown)
            late = {} if maturity is None else {"label_maturity": maturity}
            model.fit(X, labels, sample_weight=weight, **late)
        model._keep(calibrator)
        self.classes_ = classes
        self.estimator_ = model
        self.estimators_ = models
        self.best_params_ = size
        self.n_trees_ = n_trees
        self.oof_log_odds_ = log_odds
        self.cv_results_ = results
        return self

    def _base(self) -> Any:
        """Return the classifier to be cloned, with its parameters checked."""
        if self.estimator is None:
            return _default_estimator()
        if not isinstance(self.estimator, FocalClassifierMixin):
            msg = (
                "estimator must be a FocalLGBMClassifier or a FocalXGBClassifier, got "
                f"{self.estimator!r}: other classifiers have no booster to average"
            )
            raise TypeError(msg)
        return self.estimator

    def _check_parameters(self, base: Any) -> Any:
        """Refuse parameters that cannot be used; return whether to average."""
        reason = base._no_folds()
        if reason:
            msg = (
                f"the folds cannot choose the number of trees: {reason}; change that "
                "parameter of estimator"
            )
            raise ValueError(msg)
        check_count(self.max_trees, "max_trees")
        n_jobs, seed = self.n_jobs, self.random_state
        if n_jobs is not None and not (is_whole(n_jobs) and n_jobs != 0):
            msg = f"n_jobs must be a whole number that is not 0, got {n_jobs!r}"
            raise ValueError(msg)
        is_source = isinstance(seed, (np.random.RandomState, np.random.Generator))
        is_seed = seed is None or (is_whole(seed) and 0 <= seed < _SEEDS)
        if not (is_source or is_seed):
            msg = (
                f"random_state must be a whole number in [0, {_SEEDS}), a RandomState "
                f"or None, got {seed!r}"
            )
            raise ValueError(msg)
        check_flag(self.progress, "progress")
        if self.calibration is not None:
            check_option(self.calibration, "calibration", METHODS)
        if isinstance(self.ensemble, str):
            return check_option(self.ensemble, "ensemble", ["auto", True, False])
        ensemble = check_flag(self.ensemble, "ensemble")
        if ensemble and base.link != "posterior":
            msg = (
                f"ensemble=True needs link='posterior', got {base.link!r}: the mean of "
                "focal logits is not the mean of log-odds; set ensemble=False"
            )
            raise ValueError(msg)
        return ensemble

    def _splits(
        self, X: Any, codes: NDArray[np.uint8], groups: Any
    ) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Return the training rows and the held-out rows of each fold."""
        cv = self.cv
        if isinstance(cv, (int, np.integer)) and not isinstance(cv, bool):
            n_folds = check_count(cv, "cv", low=2)
            fewest = int(min(codes.sum(), len(codes) - codes.sum()))
            if fewest < 2:
                msg = (
                    f"FocalClassifierCV needs two rows of each class, got {fewest} of "
                    "one: a fold that holds it out has none to train on; fit "
                    "FocalLGBMClassifier, or wait for more labels"
                )
                raise ValueError(msg)
            if fewest < n_folds:
                msg = (
                    f"cv={n_folds} was reduced to {fewest} folds, since one class has "
                    f"{fewest} rows only and each fold must hold one out"
                )
                warnings.warn(msg, UserWarning, stacklevel=3)
                n_folds = fewest
            splitter: Any = StratifiedKFold(n_folds)
            if groups is not None:
                splitter = StratifiedGroupKFold(n_folds)
            return row_splits(splitter, X, codes, "cv", groups)
        return row_splits(cv, X, codes, "cv", groups)

    def _sizes(self, base: Any) -> list[dict[str, Any]]:
        """Return the parameters of each size, without those that the user has set."""
        if isinstance(self.sizes, str) and self.sizes == "auto":
            sizes = [
                {name: v for name, v in size.items() if not base._is_set(name)}
                for size in base.tree_sizes()
            ]
            # what is left may be the same twice
            return [size for i, size in enumerate(sizes) if size not in sizes[:i]]
        sizes = list(self.sizes) if isinstance(self.sizes, Sequence) else []
        if not sizes or not all(isinstance(size, Mapping) for size in sizes):
            msg = (
                "sizes must be 'auto' or a list of dicts of parameters, got "
                f"{self.sizes!r}"
            )
            raise ValueError(msg)
        for size in sizes:
            self._check_size(base, size)
        return [dict(size) for size in sizes]

    def _check_size(self, base: Any, size: Mapping[str, Any]) -> None:
        """Refuse parameters of a size that this class or the folds decide on."""
        fixed = sorted(_FIXED & size.keys())
        if fixed:
            msg = (
                f"sizes must not set {', '.join(fixed)}: set it in estimator or as a "
                "parameter of FocalClassifierCV"
            )
            raise ValueError(msg)
        reason = clone(base).set_params(**size)._no_folds()
        if reason:
            msg = f"the folds cannot choose the number of trees: {reason}, in sizes"
            raise ValueError(msg)

    def _model(self, base: Any, size: Mapping[str, Any], n_trees: int) -> Any:
        """Return an unfitted classifier of a size."""
        model = clone(base)
        model.set_params(**size, n_estimators=n_trees, calibration=None, progress=False)
        if self.random_state is not None:
            model.set_params(random_state=clone(self.random_state, safe=False))
        return model

    def _fit_folds(
        self,
        base: Any,
        size: Mapping[str, Any],
        X: Any,
        labels: NDArray[Any],
        rows: tuple[Float64Array | None, Float64Array | None],
        splits: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
        pool: Pool,
        curve: Curve,
        bar: Any,
    ) -> list[Any]:
        """Return the fitted model of each fold and its held-out log-odds.

        ``rows`` are the weights and the maturities of the rows, or None.
        """
        weight, maturity = rows
        n_parallel = min(effective_n_jobs(self.n_jobs), len(splits))
        threads = base.n_jobs if base.n_jobs and base.n_jobs > 0 else cpu_count()
        seen = [0]

        def fitted(fit: Any, held: Any, is_first: bool, decide: Any) -> Any:
            def report(n_trees: int, raw: Any) -> int | None:
                log_odds = model._log_odds_in_training(raw)
                kept: int | None = decide(n_trees, log_odds)
                if is_first:  # one fold counts for all
                    bar.update(n_trees - seen[0])
                    seen[0] = n_trees
                return kept

            model = self._model(base, size, int(self.max_trees))
            model.set_params(n_jobs=max(threads // n_parallel, 1))
            model._is_fold = True
            held_out = _safe_indexing(X, held)
            checkpoints = model._checkpoints(held_out, _EVERY, report)
            callbacks = getattr(base, "callbacks", None) or ()
            own = copies_of(callbacks, base._reporting_callbacks)
            model.fit(
                _safe_indexing(X, fit),
                labels[fit],
                sample_weight=_part(weight, fit),
                **({} if maturity is None else {"label_maturity": maturity[fit]}),
                **model._give_callbacks(model, [*own, checkpoints]),
            )
            # the checkpoints have rows of the user's
            model._give_callbacks(model, [])
            return model, model.decision_function(held_out) if len(held) else held

        def job(i: int) -> Callable[[Any], Any]:
            def work(decide: Any) -> Any:
                model, log_odds = fitted(*splits[i], i == 0, decide)
                # a fold may end early, where no tree can split
                pool.log_odds[i] = log_odds
                return model, log_odds

            return work

        step = InStep(pool, curve, n_parallel)
        results = step.run([job(i) for i in range(len(splits))])
        bar.update(self.max_trees - seen[0])
        if not step.is_decided:  # no tree could split, or a callback ended the training
            n_trees = max(model._n_rounds() for model, _ in results)
            curve.close(n_trees, pool.criterion())
        return results

    def _calibrator(
        self,
        log_odds: Float64Array,
        codes: NDArray[Any],
        weight: Float64Array | None,
        maturity: Float64Array | None,
    ) -> LogOddsCalibrator | None:
        if self.calibration is None:
            return None
        seen = ~np.isnan(log_odds)  # folds in time hold the first rows out of none
        calibrator = LogOddsCalibrator(self.calibration)
        return calibrator.fit(
            log_odds[seen],
            codes[seen],
            sample_weight=_part(weight, seen),
            label_maturity=_part(maturity, seen),
        )

    def set_params(self, **params: Any) -> FocalClassifierCV:
        """Set parameters of this classifier, and of ``estimator`` by
        ``estimator__<name>``.

        Parameters
        ----------
        **params
            Parameters by name. With ``estimator=None``, those of ``estimator`` are set
            in the classifier that None means, which becomes ``estimator``.

        Returns
        -------
        self : FocalClassifierCV
        """
        is_nested = any(name.startswith("estimator__") for name in params)
        if is_nested and params.get("estimator", self.estimator) is None:
            params["estimator"] = _default_estimator()
        super().set_params(**params)
        return self

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Features.

        Returns
        -------
        probability : ndarray of shape (n_samples, 2)
            Columns in the order of ``classes_``.
        """
        check_is_fitted(self)
        probability: NDArray[Any] = self.estimator_.predict_proba(X)
        return probability

    def decision_function(self, X: Any) -> Float64Array:
        """Return the log-odds of the positive class, after the calibrator if any.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Features.

        Returns
        -------
        log_odds : ndarray of shape (n_samples,), float64
            expit of it is ``predict_proba(X)[:, 1]``.
        """
        check_is_fitted(self)
        log_odds: Float64Array = self.estimator_.decision_function(X)
        return log_odds

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the class of each row: the positive class above ``threshold_``.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Features.

        Returns
        -------
        classes : ndarray of shape (n_samples,)
            Members of ``classes_``.
        """
        check_is_fitted(self)
        classes: NDArray[Any] = self.estimator_.predict(X)
        return classes

    def calibrate(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        label_maturity: ArrayLike | None = None,
    ) -> FocalClassifierCV:
        """Fit the calibrator to rows that no model has trained on, such as later rows.

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
        self : FocalClassifierCV
            ``calibrator_`` is the new calibrator; trees and raw scores do not change.
        """
        check_is_fitted(self)
        self.estimator_.calibrate(X, y, sample_weight, label_maturity)
        return self

    @property
    def calibrator_(self) -> Any:
        """Fitted calibrator, which maps log-odds to calibrated log-odds, or None."""
        return self.estimator_.calibrator_

    @property
    def threshold_(self) -> float:
        """Probability above which ``predict`` returns the positive class."""
        threshold: float = self.estimator_.threshold_
        return threshold

    @property
    def n_features_in_(self) -> int:
        """Number of columns."""
        n_features: int = self.estimator_.n_features_in_
        return n_features

    # scikit-learn looks for the attribute, which is missing without names
    @property
    def feature_names_in_(self) -> NDArray[Any]:
        """Names of the columns of a data frame."""
        names: NDArray[Any] = self.estimator_.feature_names_in_
        return names

    @property
    def feature_importances_(self) -> NDArray[Any]:
        """Importance of each column, as the library computes it."""
        importances: NDArray[Any] = self.estimator_.feature_importances_
        return importances

    @property
    def booster_(self) -> Any:
        """One ``lightgbm.Booster``, with the mean raw score of the folds."""
        return self.estimator_.booster_

    def get_booster(self) -> Any:
        """Return the one ``xgboost.Booster``, with the mean raw score of the folds.

        Returns
        -------
        booster : xgboost.Booster
        """
        check_is_fitted(self)
        return self.estimator_.get_booster()

    def __sklearn_is_fitted__(self) -> bool:
        return "estimator_" in self.__dict__

    def __sklearn_tags__(self) -> Any:
        if not isinstance(self.estimator, (FocalClassifierMixin, type(None))):
            return super().__sklearn_tags__()  # fit raises the error
        return self._base().__sklearn_tags__()

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        if isinstance(state.get("cv"), Iterator):
            state["cv"] = ()  # read by the fit, and no iterator has a copy
        return state


def _default_estimator() -> Any:
    """Return the classifier that ``estimator=None`` means."""
    from focal_gbm.lightgbm import FocalLGBMClassifier

    return FocalLGBMClassifier(verbose=-1)


def _check_folds(
    splits: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    codes: NDArray[np.uint8],
    weight: Float64Array | None,
    maturity: Float64Array | None,
) -> None:
    """Refuse folds without both classes among the rows that count, or with maturities
    that cannot be."""
    counts = np.ones(len(codes), bool) if weight is None else weight > 0
    for i, (fit, _) in enumerate(splits):
        if len(np.unique(codes[fit][counts[fit]])) < 2:
            msg = (
                f"fold {i} of cv has one class to train on, rows of weight 0 left out; "
                "pass fewer folds, or splits with both classes"
            )
            raise ValueError(msg)
    weights = np.ones(len(codes)) if weight is None else weight
    held = np.concatenate([held for _, held in splits])
    parts = {f"the training rows of fold {i}": s[0] for i, s in enumerate(splits)}
    for name, rows in {**parts, "the held-out rows": held}.items():
        try:
            positives = float((weights[rows] * codes[rows]).sum())
            check_known(positives, weights[rows], _part(maturity, rows))
        except ValueError as error:
            error.add_note(f"in {name} of cv")
            raise
    if len(np.unique(codes[held][counts[held]])) < 2:
        msg = (
            "the held-out rows of cv have one class, rows of weight 0 left out, and "
            "cannot choose the number of trees; pass splits that hold out both"
        )
        raise ValueError(msg)


def _part(values: Float64Array | None, rows: NDArray[Any]) -> Float64Array | None:
    return None if values is None else values[rows]


def _mean_log_odds(
    held_out: Sequence[Float64Array],
    splits: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    n_rows: int,
) -> Float64Array:
    """Return the mean held-out log-odds of each row, NaN for rows never held out."""
    total, times = np.zeros(n_rows), np.zeros(n_rows)
    for log_odds, (_, held) in zip(held_out, splits, strict=True):
        np.add.at(total, held, log_odds)
        np.add.at(times, held, 1.0)
    with np.errstate(invalid="ignore"):
        return total / times


@contextmanager
def _bar(is_wanted: bool, total: int) -> Iterator[Any]:
    """Give a progress bar over trees, or nothing that can be updated."""
    if not is_wanted:
        yield _NoBar()
        return
    bar = tree_bar("FocalClassifierCV", total)
    try:
        yield bar
    finally:  # an open bar would swallow the lines of an error
        bar.close()


class _NoBar:
    def update(self, n: int) -> None:
        """Show nothing."""
