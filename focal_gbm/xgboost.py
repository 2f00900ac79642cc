"""FocalXGBClassifier: focal loss on XGBoost, with probabilities that hold.

XGBoost calls a custom objective once per iteration but gives it none of what its own
objectives get: no start, no class weights, no trees cut off where early stopping
says. This module adds them around the parent's fit:

- the start stands in base_score, with which the booster begins by itself;
- class weights act in the loss, where they cannot shift the probability;
- the moment the parent stores the trained booster, the closing constant goes into
  its base_score, and its objective is the one whose sigmoid every reader of the model
  knows. It has to be that moment: wrappers around ``fit`` (MLflow's autolog) copy the
  model before ``fit`` of this class returns.
"""

from __future__ import annotations

from functools import partial
from inspect import signature
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from xgboost import Booster, DMatrix, XGBClassifier, XGBModel

from focal_gbm import _xgboost
from focal_gbm._checks import check_vector
from focal_gbm._classifier import (
    FocalClassifierMixin,
    with_parameters_of,
    without_split,
)
from focal_gbm._columns import check_columns, in_memory
from focal_gbm._training import (
    check_eval_classes,
    check_eval_scores,
    check_eval_weights,
    check_lasts,
    eval_pairs,
    listed,
    progress_bar,
)
from focal_gbm.loss import FocalLoss


class FocalXGBClassifier(FocalClassifierMixin, XGBClassifier):
    """XGBoost classifier that trains with focal loss.

    An ``XGBClassifier`` in everything but the loss: its parameters, early stopping,
    callbacks, categorical columns, missing values, sparse matrices and frames, and
    the tools that take one (SHAP, pipelines, searches, pickle) work as they do there.

    The probabilities are honest without a calibration step: with the default link the
    booster's raw score is the log-odds, and ``predict_proba`` is its expit, here and in
    every reader of the saved model. ``scale_pos_weight`` and ``focal_alpha`` shape the
    training and never shift the probabilities; ``scale_pos_weight`` moves the decision
    of ``predict``. ``sample_weight`` describes the population that the probabilities
    refer to.

    The mean probability of the training rows is their observed rate. On later rows it
    is as good as the trees: an over-fitted model understates the rate of new frauds
    (benchmarks/calibration/later_weeks.md), which ``calibrate`` on later labels puts
    right.

    Parameters
    ----------
    focal_gamma : float in [0, 30], default=2.0
        How much less an uncertain row counts than a confident one, right or wrong: a
        row at even odds has 0.67 of the weight at gamma 2 and 0.15 at gamma 5. 0 is
        log-loss. With ``link="logit"`` up to 1000. XGBoost's own ``gamma``, the
        least gain of a split, is another parameter.
    focal_alpha : float in (0, 1) or None, default=None
        Weight of the positive class, 1 - focal_alpha being that of the negative.
        None: both weigh 1. XGBoost's ``reg_alpha`` is another parameter.
    link : {"posterior", "logit"}, default="posterior"
        "posterior": the raw score is the log-odds. "logit": it is the logit of the
        classic form, and the closed form of :class:`FocalLoss` makes probabilities
        of it in ``decision_function`` and ``predict_proba``; a plain booster then
        returns raw scores (its objective is "binary:logitraw"), for which expit would
        be no probability. Derivatives of "logit" shrink as rows get easy, so
        ``min_child_weight`` and ``reg_lambda`` bite harder than with log-loss, and
        ``max_delta_step`` bounds the focal logit, of which a log-odds is up to
        1 + focal_gamma times as large.
    max_step : float > 0 or None, default=4.0
        Bound on the step of a leaf in log-odds, before the learning rate; handed to
        ``max_delta_step`` unless you set that. None: no bound. A leaf of frauds
        alone asks for a step of 1 / rate, by which plain boosting collapses on rare
        classes. Without effect on ``booster="gblinear"``, which has no leaves.
    start : float in [0, 1], default=0.5
        Where boosting begins, as a share of the log-odds of the base rate. Without
        effect when ``base_score``, ``base_margin`` or ``xgb_model`` say where.
    progress : bool, default=False
        Show a progress bar over the iterations; needs tqdm.
    calibration : str, estimator or None, default=None
        A method of :class:`LogOddsCalibrator`, a :class:`PriorShift`, or an estimator
        with ``fit`` and ``predict`` on log-odds, fitted to rows left out in turn; the
        booster then learns from all. None: the closed form alone. See ``calibrate``
        for later rows. Readers of the booster alone
        (ONNX, treelite, a plain ``xgboost.Booster``) know nothing of it; pickle,
        joblib and ``save_model`` of this class keep it. Metrics of the training
        are measured before a fitted calibrator and after a ``PriorShift``. Callbacks
        of the user's that have copies act in the folds by a copy, so that these stop
        as the model does.
    calibration_cv : int, splitter or iterable of splits, default=5
        The folds; for transactions in the order of time, ``TimeSeriesSplit``. A
        splitter is called with X and y; for one that needs groups, pass
        ``list(splitter.split(X, y, groups))``.
    objective : str or None, default="binary:logistic"
        None or "binary:logistic"; the focal loss is the objective.
    **kwargs
        Every parameter of :class:`xgboost.XGBClassifier`, which lists them, and of
        XGBoost itself; those that it does not know, or cannot use with the booster and
        tree method given, are refused at fit. ``base_score`` is the probability to
        begin from. ``eval_metric`` may be any metric of XGBoost, measured on the
        probabilities, a name that :class:`FocalMetric` knows, a FocalMetric, a callable
        of labels and probabilities, or a list of them. Metrics of :class:`FocalMetric`
        that grow with skill are reported as "neg_..." and negated, for XGBoost takes
        what it does not know for a loss.

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
        Labels; the second is the positive class. Strings and numbers are kept in the
        saved model too.

    Notes
    -----
    After early stopping the booster is cut after its best iteration, so that the saved
    model and ``predict_proba`` agree; ``booster="gblinear"`` cannot be cut and predicts
    with all rounds everywhere.

    Examples
    --------
    >>> from focal_gbm import FocalXGBClassifier
    >>> from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
    >>> data = make_transactions(n_customers=200, n_terminals=400, n_days=60)
    >>> X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"]
    >>> model = FocalXGBClassifier(n_estimators=30, max_depth=4).fit(X, y)
    >>> p = model.predict_proba(X)[:, 1]
    >>> bool(abs(p.mean() / y.mean() - 1) < 0.01)
    True
    """

    base_score: Any
    callbacks: Any
    eval_metric: Any
    objective: Any

    _rare_event_size: ClassVar = {"max_depth": 5, "max_bin": 1024}

    _reporting_callbacks = _xgboost.REPORTING

    @with_parameters_of(XGBModel)
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
        objective: str | None = "binary:logistic",
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
        super().__init__(objective=objective, **kwargs)

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        base_margin: ArrayLike | None = None,
        eval_set: Any = None,
        verbose: bool | int | None = True,
        xgb_model: Any = None,
        sample_weight_eval_set: Any = None,
        base_margin_eval_set: Any = None,
        feature_weights: ArrayLike | None = None,
    ) -> FocalXGBClassifier:
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
        base_margin : array-like of shape (n_samples,) or None, default=None
            Raw scores to begin from. One value for all rows becomes part of the
            model. Scores that differ by row do not, as in XGBoost: pass those of the
            rows to ``predict_proba`` too; there is no closing constant then.
        eval_set : iterable of pairs (X, y) or None, default=None
            Rows to measure the metrics on after each round; an empty one is none.
            Labels equal to those of ``y``, of whichever dtype.
        verbose : bool or int, default=True
            Whether to print the metrics, or every how many rounds.
        sample_weight_eval_set : iterable of array-likes or None, default=None
            Weights of the rows of each set.
        feature_weights : array-like of shape (n_features,) or None, default=None
            Chances of the columns to be drawn; XGBoost 3 wants them in the constructor.
        base_margin_eval_set : list or None, default=None
            Needed with a ``base_margin`` that differs by row, and only then.
        xgb_model : str, Booster, XGBModel or None, default=None
            Model to continue, on the same scale: a focal one of the same link, or
            for the posterior link any of "binary:logistic".

        Returns
        -------
        self : FocalXGBClassifier

        Raises
        ------
        ValueError, TypeError
            If a parameter or an input cannot be used; the message names it. A fit that
            fails or is interrupted leaves the estimator as it was.
        """
        parameters = self.get_params(deep=False)
        others = getattr(self, "kwargs", None) or {}
        _xgboost.check_parameters(parameters, others, self._own_parameters())
        for message in _xgboost.namesakes(parameters):
            self._warn(message)
        given_X, X = X, in_memory(X)
        check_columns(X, "XGBoost", any_arrow=True)
        base_score = parameters["base_score"]
        eval_sets = eval_pairs(eval_set)
        eval_scores = listed(base_margin_eval_set, "base_margin_eval_set")
        raw_start, score_by_row = _xgboost.start_of(
            self.link,
            base_score,
            base_margin,
            eval_scores,
            xgb_model,
            bool(eval_sets),
        )
        scale = parameters["scale_pos_weight"]
        training = self._prepare(
            X,
            y,
            sample_weight,
            scale_pos_weight=1.0 if scale is None else scale,
            raw_start=raw_start,
            start_probability=base_score,
            init_score=score_by_row,
            device=_xgboost.device_of(parameters),
            n_jobs=others.get("nthread", parameters["n_jobs"]),
        )
        if base_margin is not None:
            check_vector(base_margin, "base_margin", np.float64, len(training.y))
        eval_sets, eval_weights = _xgboost.encoded(
            eval_sets,
            _xgboost.by_position(sample_weight_eval_set, len(eval_sets or ())),
            given_X,
            y,
            sample_weight,
            training,
        )
        check_eval_weights(eval_sets, eval_weights, "sample_weight_eval_set")
        check_eval_scores(eval_sets, eval_scores, "base_margin_eval_set")
        if score_by_row is None:
            eval_scores = None
        check_lasts(self.eval_metric, "eval_metric")
        check_lasts(self.callbacks, "callbacks")
        native, evaluation = _xgboost.metrics(training, self.eval_metric)
        callbacks = listed(self.callbacks, "callbacks") or []
        for message in check_eval_classes(
            eval_sets,
            eval_weights,
            1,
            _xgboost.rank_metrics(native, evaluation),
            stops_early=_xgboost.stops_early(parameters, callbacks),
        ):
            self._warn(message)
        of_columns: dict[str, Any] = {"verbose": verbose}
        if feature_weights is not None:  # no argument of fit any more after 3.4
            of_columns["feature_weights"] = feature_weights
        calibrator = self._cross_calibrated(
            training,
            y,
            {"base_margin": base_margin, "xgb_model": xgb_model},
            callbacks,
            eval_set=_xgboost.with_labels(eval_sets, training),
            sample_weight_eval_set=eval_weights,
            **of_columns,
        )
        closing = _xgboost.Closing(training)
        session = _xgboost.Session(
            training, native, evaluation, closing, calibrator, xgb_model is not None
        )
        rounds = self.get_num_boosting_rounds()
        make_bar = partial(_xgboost.Progress, total=rounds)
        with (
            progress_bar(self, make_bar) as bars,
            self._lending(
                session,
                objective=session.objective,
                callbacks=[*callbacks, closing, *bars],
                eval_metric=native or None,
            ),
        ):
            self.__dict__.pop("evals_result_", None)  # that of the fit before
            super().fit(
                X,
                training.y,
                sample_weight=training.sample_weight,
                base_margin=score_by_row,
                eval_set=eval_sets,
                xgb_model=xgb_model,
                sample_weight_eval_set=eval_weights,
                base_margin_eval_set=eval_scores,
                **of_columns,
            )
        return self

    def _raw_score(self, X: Any, **kwargs: Any) -> Any:
        return self.predict(X, output_margin=True, **kwargs)

    def predict(
        self,
        X: Any,
        *,
        output_margin: bool = False,
        validate_features: bool = True,
        base_margin: ArrayLike | None = None,
        iteration_range: tuple[int, int] | None = None,
    ) -> Any:
        """Return the class of each row: the positive one above ``threshold_``.

        The arguments are those of :meth:`predict_proba`; with ``output_margin`` the
        result is XGBoost's own, the raw scores.
        """
        X = _xgboost.readable(X)
        arguments: dict[str, Any] = {
            "validate_features": validate_features,
            "base_margin": base_margin,
            "iteration_range": iteration_range,
        }
        if output_margin:
            raw = super().predict(X, output_margin=True, **arguments)
            return raw if len(raw) else raw.reshape(-1)  # 3.4 gives shape (0, 0)
        result = self.predict_proba(X, **arguments)
        return self.classes_[(result[:, 1] > self.threshold_).astype(int)]

    def predict_proba(
        self,
        X: Any,
        validate_features: bool = True,
        base_margin: ArrayLike | None = None,
        iteration_range: tuple[int, int] | None = None,
    ) -> Any:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Features.
        validate_features, base_margin, iteration_range
            As in XGBoost.

        Returns
        -------
        probability : ndarray of shape (n_samples, 2), float32
            Columns in the order of ``classes_``.
        """
        X = _xgboost.readable(X)
        arguments: dict[str, Any] = {
            "validate_features": validate_features,
            "base_margin": base_margin,
            "iteration_range": iteration_range,
        }
        if self._says_probabilities():
            result = super().predict_proba(X, **arguments)
            return result if len(result) else result.reshape(0, 2)
        return self._probabilities(self._raw_score(X, **arguments))

    def load_model(self, fname: Any) -> None:
        """Load a model, of this class or any of "binary:logistic", from a file.

        Parameters
        ----------
        fname : str, path-like or bytearray
            What ``save_model`` of the estimator or of a booster wrote.
        """
        before = self.__dict__.copy()
        self.__dict__.pop("_Booster", None)  # the parent would load into it
        try:
            super().load_model(fname)
            restored = _xgboost.restore(self._Booster)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        self.loss_, self.threshold_, self._classes, self.calibrator_ = restored
        # the parent takes what was trained for what is to be trained
        self.objective, self.base_score = before["objective"], before["base_score"]

    def save_model(self, fname: Any) -> None:
        """Save the model to a file of XGBoost, with its labels and calibrator.

        Any reader of XGBoost finds the trees in it, and ``load_model`` of this class
        the whole classifier. A plain reader knows nothing of the calibrator.

        Parameters
        ----------
        fname : str or path-like
            Name of the file; the extension picks the format, ``.json`` or ``.ubj``.

        Raises
        ------
        ValueError
            If the calibrator is an estimator of another library, which the file could
            not hold.
        """
        check_is_fitted(self, "loss_")
        if not _xgboost.holds(self.get_booster(), self.calibrator_):
            msg = (
                "a file of XGBoost cannot hold the calibrator "
                f"{type(self.calibrator_).__name__}; save the estimator with joblib or "
                "pickle, or the trees alone with get_booster().save_model(...)"
            )
            raise ValueError(msg)
        super().save_model(fname)

    def _keep(self, calibrator: Any) -> None:
        _xgboost.keep_calibrator(self.get_booster(), calibrator)
        self.calibrator_ = calibrator

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels, the second being the positive class."""
        session: _xgboost.Session | None = self.__dict__.get("_session")
        if session is not None and session.closing.matrix is None:
            return np.arange(2)  # the parent's fit, before it reads the rows
        return self._classes

    def _give_callbacks(self, model: Any, callbacks: list[Any]) -> dict[str, Any]:
        model.set_params(callbacks=callbacks or None)
        return {}

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
        return {*signature(XGBModel.__init__).parameters}

    def get_xgb_params(self) -> dict[str, Any]:
        """Return what goes to XGBoost."""
        parameters: dict[str, Any] = super().get_xgb_params()
        loss: FocalLoss | None = getattr(self, "loss_", None)
        return _xgboost.booster_parameters(parameters, self._own_parameters(), loss)

    def _configure_fit(self, *args: Any) -> tuple[Any, ...]:
        """Return model, metric, parameters and more, by version, for a fit."""
        model, _, parameters, *rest = super()._configure_fit(*args)
        session = self._session
        parameters = _xgboost.training_parameters(parameters, session, model)
        return (model, session.evaluation, parameters, *rest)

    def _create_dmatrix(self, ref: DMatrix | None, **kwargs: Any) -> DMatrix:
        session = self._session
        if session.continues:
            # the bins of these rows are not those of the trees that are there
            matrix = DMatrix(**kwargs, nthread=self.n_jobs)
        else:
            matrix = super()._create_dmatrix(ref, **kwargs)
        if session.closing.matrix is None:  # the training rows come first
            session.closing.matrix = matrix
            _xgboost.without_copies(matrix)
        return matrix

    @property
    def _Booster(self) -> Booster:
        if "_Booster" not in self.__dict__:
            msg = f"{type(self).__name__} is not fitted"
            raise AttributeError(msg)
        return self.__dict__["_Booster"]

    @_Booster.setter
    def _Booster(self, booster: Booster) -> None:
        session: _xgboost.Session | None = self.__dict__.get("_session")
        if session is not None:
            booster = _xgboost.complete(booster, session)
            self._classes = session.training.classes
            self._complete(session.training, session.calibrator)
            self._warn(without_split(_xgboost.has_split(booster)))
        self.__dict__["_Booster"] = booster
