"""FocalLGBMClassifier: focal loss on LightGBM, with probabilities that hold.

LightGBM calls a custom objective once per iteration but gives it none of what its
own objectives get: no start, no class weights, no right metrics, no sigmoid in the
saved model. This module adds them around the parent's fit:

- raw scores are offset by the start, in the objective and in the metrics;
- class weights act in the loss, where they cannot shift the probability;
- the moment the parent stores the trained booster, the start and a closing constant
  go into the leaves of its first tree, and its text says the objective whose sigmoid
  every reader knows. Wrappers around ``fit`` (MLflow's autolog) copy it right then.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, ClassVar

import numpy as np
from lightgbm import Booster, LGBMClassifier
from numpy.typing import ArrayLike

from focal_gbm import _lightgbm
from focal_gbm._checks import check_vector
from focal_gbm._classifier import (
    FocalClassifierMixin,
    with_parameters_of,
    without_split,
)
from focal_gbm._columns import check_columns, in_memory
from focal_gbm._mlflow import types_trusted
from focal_gbm._training import (
    check_eval_classes,
    check_eval_scores,
    check_eval_weights,
    listed,
    progress_bar,
)

# Values that LightGBM can copy at no cost.
_PLAIN = (str, int, float, type(None))


class FocalLGBMClassifier(FocalClassifierMixin, LGBMClassifier):
    """LightGBM classifier with focal loss and probabilities that hold.

    Everything of :class:`lightgbm.LGBMClassifier` stays. Only binary targets are
    supported; the positive class is the second in sorted order.

    With the default link the booster boosts the log-odds of the positive class, so
    that its raw score is the log-odds and expit of it the probability, here and in
    every reader of the saved model. ``class_weight``, ``scale_pos_weight``,
    ``is_unbalance`` and ``focal_alpha`` shape the training and never shift the
    probabilities; all but ``focal_alpha`` move the decision of ``predict``.
    ``sample_weight`` describes the population that the probabilities refer to.

    The mean probability of the training rows is their observed rate. On later rows it
    is as good as the trees: an over-fitted model understates the rate of new frauds
    (benchmarks/calibration/later_weeks.md), which ``calibrate`` on later labels puts
    right.

    Parameters
    ----------
    focal_gamma : float in [0, 30], default=2.0
        How much less an uncertain row counts than a confident one, right or wrong: a
        row at even odds has 0.67 of the weight at gamma 2 and 0.15 at gamma 5. 0 is
        log-loss. With ``link="logit"`` up to 1000.
    focal_alpha : float in (0, 1) or None, default=None
        Weight of the positive class, 1 - focal_alpha being that of the negative.
        None: both weigh 1.
    link : {"posterior", "logit"}, default="posterior"
        "posterior": the raw score is the log-odds. "logit": it is the logit of the
        classic form, and the closed form of :class:`FocalLoss` makes probabilities
        of it in ``decision_function`` and ``predict_proba``; a plain booster then
        returns raw scores, for which expit would be no probability. Derivatives of
        "logit" shrink as rows get easy, so ``min_child_weight`` and ``reg_lambda``
        bite harder than with log-loss.
    max_step : float > 0 or None, default=4.0
        Bound on the step of a leaf in log-odds, before the learning rate; handed to
        ``max_delta_step`` unless you set that. None: no bound. A leaf of frauds
        alone asks for a step of 1 / rate, by which plain boosting collapses on rare
        classes.
    start : float in [0, 1], default=0.5
        Where boosting begins, as a share of the log-odds of the base rate. Without
        effect when ``init_model`` or ``init_score`` say where.
    progress : bool, default=False
        Show a progress bar over the iterations; needs tqdm.
    calibration : str, estimator or None, default=None
        A method of :class:`LogOddsCalibrator`, a :class:`PriorShift`, or an estimator
        with ``fit`` and ``predict`` on log-odds, fitted to rows left out in turn; the
        booster then learns from all. None: the closed form alone. See ``calibrate``
        for later rows. Readers of the booster alone
        (``booster_.save_model``, ONNX, treelite) know nothing of it; pickle, joblib
        and skops keep it. Metrics of the training
        are measured before a fitted calibrator and after a ``PriorShift``. Callbacks
        of the user's that have copies act in the folds by a copy, so that these stop
        as the model does.
    calibration_cv : int, splitter or iterable of splits, default=5
        The folds; for transactions in the order of time, ``TimeSeriesSplit``. A
        splitter is called with X and y; for one that needs groups, pass
        ``list(splitter.split(X, y, groups))``.
    min_child_weight : float, default=1.0
        As in LightGBM, whose 1e-3 lets leaves of one or two positives through.
    boosting_type, num_leaves, ..., verbose
        As in :class:`lightgbm.LGBMClassifier`. ``objective`` may be None or
        "binary"; ``boosting_type="rf"`` cannot be had with a custom objective.
    **kwargs
        Every other parameter of LightGBM, by any of its names. Unknown ones are
        refused at fit, and so are those without effect under a custom objective.

    Attributes
    ----------
    loss_ : FocalLoss
        The loss trained with, class weights included in its alpha.
    calibrator_ : estimator or None
        What maps log-odds to calibrated ones.
    threshold_ : float
        Probability above which ``predict`` says the positive class: 1/2, or with
        class weights w_0 / (w_0 + w_1), the decision of least weighted error
        (Elkan 2001, "The foundations of cost-sensitive learning", eq. 2).
    classes_ : ndarray of shape (2,)
        Labels; the second is the positive class.

    Notes
    -----
    Start and closing constant stand in the leaves of the first tree, and so
    ``start_iteration > 0`` leaves them out, as it does LightGBM's own bias.

    Examples
    --------
    >>> from focal_gbm import FocalLGBMClassifier
    >>> from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
    >>> data = make_transactions(n_customers=200, n_terminals=400, n_days=60)
    >>> X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"]
    >>> model = FocalLGBMClassifier(n_estimators=30, verbose=-1).fit(X, y)
    >>> p = model.predict_proba(X)[:, 1]
    >>> bool(abs(p.mean() / y.mean() - 1) < 0.01)
    True
    """

    _rare_event_size: ClassVar = {
        "num_leaves": 12,
        "min_child_samples": 10,
        "max_bin": 1023,
    }

    _reporting_callbacks = _lightgbm.REPORTING

    @with_parameters_of(LGBMClassifier)
    def __init__(
        self,
        *,
        focal_gamma: float = 2.0,
        focal_alpha: float | None = None,
        link: str = "posterior",
        max_step: float | None = 4.0,
        start: float = 0.5,
        progress: bool = False,
        calibration: Any = None,
        calibration_cv: Any = 5,
        min_child_weight: float = 1.0,
        verbose: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.focal_gamma = focal_gamma
        self.focal_alpha = focal_alpha
        self.link = link
        self.max_step = max_step
        self.start = start
        self.progress = progress
        self.calibration = calibration
        self.calibration_cv = calibration_cv
        self.verbose = verbose
        super().__init__(min_child_weight=min_child_weight, **kwargs)

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        init_score: ArrayLike | None = None,
        eval_set: Any = None,
        eval_names: list[str] | None = None,
        eval_sample_weight: Any = None,
        eval_class_weight: Any = None,
        eval_init_score: Any = None,
        eval_metric: Any = None,
        feature_name: Any = "auto",
        categorical_feature: Any = "auto",
        callbacks: list[Callable[..., Any]] | None = None,
        init_model: Any = None,
        *,
        eval_X: Any = None,
        eval_y: Any = None,
    ) -> FocalLGBMClassifier:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels of two classes: numbers, booleans, texts or dates. The second in
            sorted order is the positive class; a warning names it if most rows have
            it.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0: how many rows of the population a row stands for.
        init_score : array-like of shape (n_samples,) or None, default=None
            Raw scores to begin from. One value for all rows becomes part of the
            model. Scores that differ by row do not, as in LightGBM: add a row's own
            to its raw score before you read a probability.
        eval_set : iterable of pairs (X, y), or one pair, default=None
            Rows to measure the metrics on after each iteration; an empty one is none.
            Labels equal to those of ``y``, of whichever dtype. LightGBM 4.7 deprecates
            it in favour of ``eval_X`` and ``eval_y``, which work here on every
            supported version.
        eval_X, eval_y : features and labels, or tuples of them, default=None
            The same sets by part.
        eval_names : iterable of str, default=None
            How the sets are listed.
        eval_sample_weight, eval_class_weight : iterable or dict or None, default=None
            By position: weights of the rows and of the classes of each set.
        eval_init_score : list or dict or None, default=None
            Needed with an ``init_score`` that differs by row, and only then.
        eval_metric : str, callable, or list of them, default=None
            "auc" and "average_precision" are LightGBM's own. "binary_logloss" (which
            is always there unless ``metric`` says otherwise), "cross_entropy" and
            "binary_error" are computed on the probabilities, where LightGBM would
            take raw scores for them, and so are the names that :class:`FocalMetric`
            knows. A :class:`FocalMetric` is measured with this estimator's loss; other
            callables get probabilities, as with LightGBM's own objectives. LightGBM
            lists its own metrics first, which matters to ``first_metric_only``.
        feature_name : iterable of str or "auto", default="auto"
            Names of the columns; "auto" takes those of a data frame.
        categorical_feature : iterable of str or int, or "auto", default="auto"
            Columns to split by category; "auto" takes the unordered categories of
            pandas.
        callbacks : iterable of callables or None, default=None
            Called by LightGBM with the state of the training in each iteration.
        init_model : str, Path, Booster, LGBMModel or None, default=None
            Model to continue, on the same scale: a focal one of the same link, or
            for the posterior link any whose raw score is the log-odds.

        Returns
        -------
        self : FocalLGBMClassifier

        Raises
        ------
        ValueError, TypeError
            If a parameter or an input cannot be used; the message names it. A fit that
            fails or is interrupted leaves the estimator as it was.
        """
        parameters = self.get_params(deep=False)
        _lightgbm.check_parameters(parameters, self._own_parameters())
        given_X, X = X, in_memory(X)
        check_columns(X, "LightGBM", any_arrow=False)
        eval_sets = _lightgbm.eval_sets(eval_set, eval_X, eval_y)
        eval_scores = listed(eval_init_score, "eval_init_score")
        raw_start, score_by_row = _lightgbm.start_of(
            self.link, init_score, eval_scores, init_model, bool(eval_sets)
        )
        training = self._prepare(
            X,
            y,
            sample_weight,
            class_weight=self.class_weight,
            scale_pos_weight=_lightgbm.given(parameters, "scale_pos_weight", 1.0),
            is_unbalance=_lightgbm.given(parameters, "is_unbalance", False),
            raw_start=raw_start,
            init_score=score_by_row,
            begins_at_zero=True,
            n_jobs=self._process_n_jobs(_lightgbm.given(parameters, "num_threads")),
        )
        if init_score is not None:
            check_vector(init_score, "init_score", np.float64, len(training.y))
        labels = training.labels
        eval_sets = _lightgbm.encoded(eval_sets, given_X, y, training, labels)
        of_sets = {
            "eval_names": listed(eval_names, "eval_names"),
            "eval_sample_weight": listed(eval_sample_weight, "eval_sample_weight"),
            "eval_class_weight": listed(eval_class_weight, "eval_class_weight"),
        }
        eval_weights = of_sets["eval_sample_weight"]
        check_eval_weights(eval_sets, eval_weights, "eval_sample_weight")
        check_eval_scores(eval_sets, eval_scores, "eval_init_score")
        if score_by_row is None:
            eval_scores = None
        metric = _lightgbm.given(parameters, "metric", "binary_logloss")
        if not callable(eval_metric):
            eval_metric = listed(eval_metric, "eval_metric")
        native, measures = _lightgbm.metrics(training, eval_metric, metric)
        callbacks = listed(callbacks, "callbacks") or []
        for message in check_eval_classes(
            eval_sets,
            eval_weights,
            training.classes[1],
            _lightgbm.rank_metrics(native, measures),
            stops_early=_lightgbm.stops_early(parameters, callbacks),
        ):
            self._warn(message)
        of_columns = {
            "feature_name": listed(feature_name, "feature_name"),
            "categorical_feature": listed(categorical_feature, "categorical_feature"),
        }
        calibrator = self._cross_calibrated(
            training,
            y,
            {"init_score": init_score, "init_model": init_model},
            callbacks,
            **_lightgbm.by_part(eval_sets),
            eval_metric=eval_metric,
            **of_sets,
            **of_columns,
        )
        closing = _lightgbm.Closing(training)
        session = _lightgbm.Session(training, native, closing, calibrator)
        callbacks.append(_lightgbm.WithoutReset())
        if _lightgbm.scores_are_predictions(parameters):
            callbacks.append(closing)
        with (
            progress_bar(self, _lightgbm.Progress) as bars,
            # class weights act in the loss: the parent would multiply them into those
            # of the rows, and metrics and base rate would shift
            self._lending(session, class_weight=None, _class_weight=None),
            types_trusted(),
            _lightgbm.deprecations_by(eval_set, eval_sets),
        ):
            super().fit(
                X,
                labels,
                sample_weight=training.sample_weight,
                init_score=score_by_row,
                eval_set=eval_sets,
                eval_init_score=eval_scores,
                eval_metric=measures,
                callbacks=[*callbacks, *bars],
                init_model=init_model,
                **of_sets,
                **of_columns,
            )
        return self

    def _raw_score(self, X: Any, **kwargs: Any) -> Any:
        return self.predict(X, raw_score=True, **kwargs)

    def predict(
        self,
        X: Any,
        raw_score: bool = False,
        start_iteration: int = 0,
        num_iteration: int | None = None,
        pred_leaf: bool = False,
        pred_contrib: bool = False,
        validate_features: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the class of each row: the positive one above ``threshold_``.

        The arguments are those of :meth:`predict_proba`; with ``raw_score``,
        ``pred_leaf`` or ``pred_contrib`` the result is LightGBM's own.
        """
        result = self.predict_proba(
            X,
            raw_score,
            start_iteration,
            num_iteration,
            pred_leaf,
            pred_contrib,
            validate_features,
            **kwargs,
        )
        if raw_score or pred_leaf or pred_contrib:
            return result
        return self.classes_[(result[:, 1] > self.threshold_).astype(int)]

    def predict_proba(
        self,
        X: Any,
        raw_score: bool = False,
        start_iteration: int = 0,
        num_iteration: int | None = None,
        pred_leaf: bool = False,
        pred_contrib: bool = False,
        validate_features: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Features.
        raw_score, start_iteration, ..., **kwargs
            As in LightGBM: what to return instead, and the trees to use.

        Returns
        -------
        probability : ndarray of shape (n_samples, 2), float64
            Columns in the order of ``classes_``.
        """
        X = _lightgbm.readable(X)
        as_it_is = pred_leaf or pred_contrib or raw_score or self._says_probabilities()
        result = super().predict_proba(
            X,
            raw_score or not as_it_is,
            start_iteration,
            num_iteration,
            pred_leaf,
            pred_contrib,
            validate_features,
            **kwargs,
        )
        return result if as_it_is else self._probabilities(result)

    def _give_callbacks(self, _model: Any, callbacks: list[Any]) -> dict[str, Any]:
        return {"callbacks": callbacks}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the estimator.

        Parameters
        ----------
        deep : bool, default=True
            Whether to list the parameters of a calibrator that is an estimator too.

        Returns
        -------
        parameters : dict
            Values by name.
        """
        return self._as_given(super().get_params(deep))

    @classmethod
    def _library_parameters(cls) -> set[str]:
        return _lightgbm.known_parameters()

    def _process_params(self, stage: str) -> dict[str, Any]:
        own = self._own_parameters()
        reader = self
        if not all(isinstance(getattr(self, n, None), _PLAIN) for n in own):
            # the parent copies every value in depth, in each fit and predict, and not
            # every calibrator and no generator has a copy
            reader = copy(self)
            reader._other_params = {
                k: v for k, v in self._other_params.items() if k not in own
            }
            reader.__dict__.update(dict.fromkeys(own))
        parameters: dict[str, Any] = super(FocalLGBMClassifier, reader)._process_params(
            stage
        )
        session = None
        if stage == "fit":
            self._objective: Any = reader._objective
            session = self._session
        return _lightgbm.booster_parameters(parameters, own, session)

    @property
    def _Booster(self) -> Booster | None:
        return self.__dict__.get("_Booster")

    @_Booster.setter
    def _Booster(self, booster: Booster | None) -> None:
        session: _lightgbm.Session | None = self.__dict__.get("_session")
        if booster is not None and session is not None:
            booster = _lightgbm.complete(booster, session)
            self._complete(session.training, session.calibrator)
            self._warn(without_split(_lightgbm.has_split(booster)))
        self.__dict__["_Booster"] = booster
