"""FocalXGBClassifier: focal loss on XGBoost, with honest probabilities.

XGBoost calls a custom objective once a round, and leaves out what its own objectives
get: a start, class weights, and trees cut where early stopping found the best round.
FocalXGBClassifier adds them around the fit of XGBClassifier.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import partial
from inspect import signature
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from xgboost import Booster, DMatrix, XGBClassifier, XGBModel

from focal_gbm._estimators.arguments import check_lasts, listed
from focal_gbm._estimators.classifier import (
    FocalClassifierMixin,
    with_parameters_of,
    without_split,
)
from focal_gbm._estimators.columns import check_columns, in_memory, readable
from focal_gbm._estimators.evaluation import (
    check_eval_classes,
    check_eval_scores,
    check_eval_weights,
    eval_pairs,
    set_maturities,
)
from focal_gbm._estimators.progress import progress_bar
from focal_gbm._estimators.xgboost.callbacks import (
    REPORTING,
    Checkpoints,
    Completion,
    Progress,
)
from focal_gbm._estimators.xgboost.evaluation import (
    by_position,
    check_last_metric,
    stops_early,
)
from focal_gbm._estimators.xgboost.objective import take
from focal_gbm._estimators.xgboost.parameters import (
    READER,
    SYNONYMS,
    booster_parameters,
    check_parameters,
    class_factors,
    device_of,
    namesakes,
)
from focal_gbm._estimators.xgboost.saved_model import (
    OBJECTIVES,
    describe,
    has_split,
    holds,
    keep_calibrator,
    mean_of,
    restore,
)
from focal_gbm._estimators.xgboost.session import Session
from focal_gbm._estimators.xgboost.start import start_of
from focal_gbm._validation import check_vector
from focal_gbm.loss import FocalLoss


class FocalXGBClassifier(FocalClassifierMixin, XGBClassifier):
    """XGBoost classifier with focal loss and honest probabilities.

    Use it in place of :class:`xgboost.XGBClassifier` to find a rare class, such as card
    fraud. Parameters, early stopping, callbacks, categorical columns, missing values,
    sparse matrices, data frames and tools (SHAP, pipelines, searches, pickle) work as
    they do there. The target has two classes; the positive class is the second in
    sorted order.

    With the default link the booster's raw score is the log-odds of the positive class,
    and expit of the raw score is the probability, here and in every reader of the saved
    model.

    ``scale_pos_weight`` and ``focal_alpha`` decide on which rows training concentrates.
    They never shift the probabilities. ``scale_pos_weight`` moves the threshold of
    ``predict``. ``sample_weight`` is the number of rows of the population that a row
    represents; the probabilities refer to that population.

    How a fit proceeds:

    1. Parameters, data and evaluation sets are checked. A fit that fails, then or
       later, leaves the estimator as it was.
    2. The start is set: ``start`` times the log-odds of the base rate.
    3. With ``calibration``, a model is fitted in each fold, and the calibrator learns
       from the log-odds of the held-out rows.
    4. XGBoost trains on all rows. In each round it passes the raw scores to a
       :class:`FocalObjective` and receives gradient and Hessian. With plain log-loss
       (``focal_gamma=0`` and no class weights) XGBoost computes its own.
    5. A closing constant goes into ``base_score``, so that the mean probability of the
       training rows is their observed rate. All fitted attributes are set together.

    On later rows the mean probability is only as good as the trees: a model that
    over-fits predicts too few of the new frauds
    (benchmarks/calibration/later_weeks.md). Call ``calibrate`` with later labels to
    correct that.

    Parameters
    ----------
    focal_gamma : float in [0, 30], default=2.0
        Focusing parameter: how much less an uncertain row counts than a confident one,
        whether that is right or wrong. A row at even odds has 0.67 of the weight at
        gamma 2, and 0.15 at gamma 5. 0 is log-loss. Up to 1000 with ``link="logit"``.
        XGBoost's own ``gamma``, the least gain of a split, is another parameter.
    focal_alpha : float in (0, 1) or None, default=None
        Weight of the positive class; the negative class has the weight 1 - focal_alpha.
        None: both classes have the weight 1. XGBoost's ``reg_alpha`` is another
        parameter.
    link : {"posterior", "logit"}, default="posterior"
        Scale of the raw score. "posterior": the log-odds of the positive class.
        "logit": the logit of the classic form, which ``decision_function`` and
        ``predict_proba`` convert by the closed form of :class:`FocalLoss`; a plain
        booster (its objective is "binary:logitraw") then returns raw scores, and expit
        of those is no probability. With "logit" derivatives shrink as rows become easy,
        so ``min_child_weight`` and ``reg_lambda`` restrict the trees more than with
        log-loss, and ``max_delta_step`` bounds the focal logit; a log-odds is up to
        1 + focal_gamma times as large.
    max_step : float in [1e-30, 1e30] or None, default=4.0
        Bound on the step of a leaf in log-odds, before the learning rate. It becomes
        ``max_delta_step`` unless you set that. None: no bound. A leaf of frauds alone
        has a Newton step of 1 / rate, which makes plain boosting collapse on rare
        classes. It has no effect on ``booster="gblinear"``, which has no leaves.
    start : float in [0, 1], default=0.5
        Where boosting begins, as a share of the log-odds of the base rate. It has no
        effect with ``base_score``, ``base_margin`` or ``xgb_model``, which set the
        start.
    progress : bool, default=False
        Show a progress bar over the rounds; needs tqdm.
    calibration : str, estimator or None, default=None
        Calibrator of the log-odds: a method of :class:`LogOddsCalibrator`, a
        :class:`PriorShift`, or an estimator with ``fit`` and ``predict`` on log-odds.
        It is fitted to the held-out rows of each fold; the booster then trains on all
        rows. None: no calibrator. See ``calibrate`` for later rows. pickle, joblib,
        ``save_model`` of this class and ONNX (``focal_gbm.export.register_onnx``) hold
        the calibrator; readers of the booster alone (treelite, a plain
        ``xgboost.Booster``) do not see it. Metrics in training are measured before a
        fitted calibrator and after a ``PriorShift``. Your callbacks act in the folds
        too, each as a copy, if they can be copied
        and do not report to a trial of Optuna.
    calibration_cv : int, splitter or iterable of splits, default=5
        The folds. Use ``TimeSeriesSplit`` for transactions in time order. A splitter
        is called with X and y; if it needs groups, pass
        ``list(splitter.split(X, y, groups))``.
    objective : str or None, default="binary:logistic"
        None or "binary:logistic"; the focal loss takes its place.
    **kwargs
        Every parameter of :class:`xgboost.XGBClassifier` and of XGBoost itself. Unknown
        parameters are refused at fit, and so are parameters without effect on the
        booster and tree method in use. ``base_score`` is the probability at which
        boosting begins. ``eval_metric`` is a metric of XGBoost, a name that
        :class:`FocalMetric` takes, a FocalMetric, a callable of labels and
        probabilities, or a list of them. All are measured on the probabilities.
        XGBoost minimises metrics that it does not know, so metrics of
        :class:`FocalMetric` that grow with skill are negated and named ``neg_...``.

    Attributes
    ----------
    loss_ : FocalLoss
        Loss of the training; its alpha includes the class weights.
    calibrator_ : estimator or None
        Fitted calibrator, which maps log-odds to calibrated log-odds.
    threshold_ : float
        Probability above which ``predict`` returns the positive class: 1/2, or with
        class weights w_0 / (w_0 + w_1), the decision of least weighted error
        (Elkan 2001, "The foundations of cost-sensitive learning", eq. 2).
    classes_ : ndarray of shape (2,)
        Labels; the second is the positive class. The saved model holds labels that are
        texts, numbers or dates.

    See Also
    --------
    focal_gbm.FocalLGBMClassifier : The same classifier on LightGBM.
    focal_gbm.FocalClassifierCV : Size and number of trees chosen by folds.
    focal_gbm.dask.FocalDaskXGBClassifier : The same classifier on a Dask cluster.
    focal_gbm.metrics.alert_threshold : Threshold for a budget of alerts.

    Notes
    -----
    After early stopping the booster is cut after its best iteration, so that the saved
    model and ``predict_proba`` agree. ``booster="gblinear"`` cannot be cut and predicts
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

    _tree_ranges: ClassVar = {"max_bin": [256, 1024], "max_depth": (2, 8, "")}

    _sizes: ClassVar = (
        {"max_leaves": 31},
        {"max_leaves": 8},
        {"max_leaves": 127, "min_child_weight": 0.05},
    )
    _size_of_all: ClassVar = {
        "grow_policy": "lossguide",
        "max_depth": 0,
        "max_bin": 1024,
    }

    _reporting_callbacks = REPORTING

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
        label_maturity: ArrayLike | None = None,
        eval_label_maturity: Any = None,
    ) -> FocalXGBClassifier:
        """Fit the model to training rows.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels of two classes: numbers, booleans, texts or dates. The second in
            sorted order is the positive class. A warning names the positive class if
            most rows have it.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0: the number of rows of the population that a row
            represents. None: 1 for every row.
        base_margin : array-like of shape (n_samples,) or None, default=None
            Raw scores at which boosting begins. One value for all rows becomes part of
            the model. Scores that differ by row do not, here and in XGBoost: pass the
            scores of the rows to ``predict_proba`` too. There is no closing constant
            then.
        eval_set : iterable of pairs (X, y) or None, default=None
            Evaluation sets, on which the metrics are measured after each round. An
            empty iterable means none. Their labels must be equal to labels of ``y``;
            the dtype may differ.
        verbose : bool or int, default=True
            Whether to print the metrics; a number prints them once in as many rounds.
        sample_weight_eval_set : iterable of array-likes or None, default=None
            Weights of the rows of each evaluation set.
        feature_weights : array-like of shape (n_features,) or None, default=None
            Relative chances of the columns where columns are drawn. XGBoost 3 has them
            in the constructor.
        base_margin_eval_set : list or None, default=None
            Initial raw scores of each evaluation set. Needed where ``base_margin``
            differs by row, and refused without ``base_margin``.
        xgb_model : str, Booster, XGBModel or None, default=None
            Model whose training is continued. Its raw scores must be on the scale of
            ``link``: a focal model of the same link or, for the posterior link, any
            model of "binary:logistic". ``n_estimators`` counts the new trees. To resume
            an interrupted fit, pass the last booster that
            ``xgboost.callback.TrainingCheckPoint`` has saved, with the remaining number
            of trees: unless rows or columns are sampled, the model is that of one fit.
        label_maturity : array-like of shape (n_samples,) or None, default=None
            Values in (0, 1]: the probability that a positive of the row would be known
            by now, such as :class:`~focal_gbm.delays.ReportingDelay` estimates; 1 for
            rows that were investigated. A row labelled negative then counts as one that
            may be a positive not reported yet, and the probabilities are those of the
            true class. None: 1 each, labels are final.
        eval_label_maturity : iterable or dict or None, default=None
            The same of each evaluation set, by position. The log-loss and the error
            then measure how well the labels seen are predicted; rank metrics and
            callables take the labels as they are. A set that is the training data has
            ``label_maturity``.

        Returns
        -------
        self : FocalXGBClassifier

        Raises
        ------
        ValueError, TypeError
            If a parameter or an argument cannot be used; the message names it and the
            cure. A fit that fails or is interrupted leaves the estimator as it was.
        """
        parameters = self.get_params(deep=False)
        others = getattr(self, "kwargs", None) or {}
        check_parameters(parameters, others, self._own_parameters())
        for message in namesakes(parameters):
            self._warn(message)
        # the user's own X is compared with evaluation sets by identity
        X_as_passed, X = X, in_memory(X)
        check_columns(X, READER)
        base_score = parameters["base_score"]
        eval_sets = eval_pairs(eval_set)
        eval_scores = listed(base_margin_eval_set, "base_margin_eval_set")
        raw_start, score_by_row = start_of(
            self.link,
            base_score,
            base_margin,
            eval_scores,
            xgb_model,
            bool(eval_sets),
        )
        late_sets, maturities = set_maturities(
            eval_sets,
            eval_label_maturity,
            "eval_label_maturity",
            (X_as_passed, y, label_maturity),
            training_first=False,
        )
        factors = class_factors(parameters["scale_pos_weight"])
        training = self._prepare(
            X,
            y,
            sample_weight,
            label_maturity,
            class_factors=lambda _: factors,
            raw_start=raw_start,
            start_probability=base_score,
            init_score=score_by_row,
            maturities=maturities,
            device=device_of(parameters),
            n_jobs=others.get("nthread", parameters["n_jobs"]),
        )
        if base_margin is not None:
            check_vector(base_margin, "base_margin", np.float64, len(training.y))
        check_lasts(self.eval_metric, "eval_metric")
        check_lasts(self.callbacks, "callbacks")
        session = Session.of(
            training, self.eval_metric, continues=xgb_model is not None
        )
        eval_sets, eval_weights = session.encoded(
            eval_sets,
            by_position(sample_weight_eval_set, len(eval_sets or ())),
            X_as_passed,
            y,
            sample_weight,
        )
        is_stopping = stops_early(parameters, listed(self.callbacks, "callbacks") or [])
        if maturities and is_stopping:
            check_last_metric(session.native_metrics, self.eval_metric)
        check_eval_weights(eval_sets, eval_weights, "sample_weight_eval_set")
        check_eval_scores(eval_sets, eval_scores, "base_margin_eval_set")
        if score_by_row is None:  # the start is in base_score
            eval_scores = None
        callbacks = listed(self.callbacks, "callbacks") or []
        for message in check_eval_classes(
            eval_sets,
            eval_weights,
            1,
            session.rank_metrics,
            stops_early=is_stopping,
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
            eval_set=session.labelled(eval_sets),
            sample_weight_eval_set=eval_weights,
            **({"eval_label_maturity": late_sets} if late_sets else {}),
            **of_columns,
        )
        session = replace(session, calibrator=calibrator)
        rounds = self.get_num_boosting_rounds()
        make_bar = partial(Progress, total=rounds)
        with (
            progress_bar(self, make_bar) as bars,
            self._lending(
                session,
                objective=session.objective,
                callbacks=[*callbacks, Completion(self._completed), *bars],
                eval_metric=session.native_metrics or None,
            ),
        ):
            # XGBoost sets it only if there are evaluation sets
            self.__dict__.pop("evals_result_", None)
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
        X = readable(X, READER)
        raw = super().predict(X, output_margin=True, **kwargs)
        return raw if len(raw) else raw.reshape(-1)  # 3.4 gives shape (0, 0)

    def _completed(self, booster: Booster) -> Booster:
        """Return the trained booster completed, and set what a fit sets beside it."""
        session: Session = self._session
        training = session.training
        booster = session.complete(booster)
        self._set_fitted(training, session.calibrator, _classes=training.classes)
        self._warn(without_split(has_split(booster)))
        return booster

    def predict(
        self,
        X: Any,
        *,
        output_margin: bool = False,
        validate_features: bool = True,
        base_margin: ArrayLike | None = None,
        iteration_range: tuple[int, int] | None = None,
    ) -> Any:
        """Return the class of each row: the positive class above ``threshold_``.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Features.
        output_margin : bool, default=False
            Return the raw scores in place of classes, as XGBoost computes them.
        validate_features : bool, default=True
            Whether the columns must have the names of the training columns.
        base_margin : array-like of shape (n_samples,) or None, default=None
            Raw scores of the rows at which boosting began, for a model whose fit had
            such scores.
        iteration_range : tuple of int or None, default=None
            First round to use, and the one after the last; None: up to the best round.

        Returns
        -------
        classes : ndarray of shape (n_samples,)
            Members of ``classes_``.
        """
        arguments: dict[str, Any] = {
            "validate_features": validate_features,
            "base_margin": base_margin,
            "iteration_range": iteration_range,
        }
        if output_margin:
            return self._raw_score(X, **arguments)
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
        validate_features : bool, default=True
            Whether the columns must have the names of the training columns.
        base_margin : array-like of shape (n_samples,) or None, default=None
            Raw scores of the rows at which boosting began, for a model whose fit had
            such scores.
        iteration_range : tuple of int or None, default=None
            First round to use, and the one after the last; None: up to the best round.

        Returns
        -------
        probability : ndarray of shape (n_samples, 2), float32
            Columns in the order of ``classes_``.
        """
        arguments: dict[str, Any] = {
            "validate_features": validate_features,
            "base_margin": base_margin,
            "iteration_range": iteration_range,
        }
        if self._predicts_probabilities():
            X = readable(X, READER)
            result = super().predict_proba(X, **arguments)
            return result if len(result) else result.reshape(0, 2)
        return self._probabilities(self._raw_score(X, **arguments))

    def load_model(self, fname: Any) -> None:
        """Load a model, of this class or any of "binary:logistic", from a file.

        Parameters
        ----------
        fname : str, path-like or bytearray
            File that ``save_model`` of the estimator or of a booster wrote.
        """
        before = self.__dict__.copy()
        self.__dict__.pop("_Booster", None)  # the parent would load into it
        try:
            super().load_model(fname)
            restored = restore(self._Booster)
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        self.loss_, self.threshold_, self._classes, self.calibrator_ = restored
        # the parent takes what was trained for what is to be trained
        self.objective, self.base_score = before["objective"], before["base_score"]

    def save_model(self, fname: Any) -> None:
        """Save the model to a file of XGBoost, with its labels and calibrator.

        Any reader of XGBoost's files reads the trees, and ``load_model`` of this class
        the whole classifier. Other readers do not see the calibrator.

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
        if not holds(self.get_booster(), self.calibrator_):
            msg = (
                "a file of XGBoost cannot hold the calibrator "
                f"{type(self.calibrator_).__name__}; save the estimator with joblib or "
                "pickle, or the trees alone with get_booster().save_model(...)"
            )
            raise ValueError(msg)
        super().save_model(fname)

    def _keep(self, calibrator: Any) -> None:
        keep_calibrator(self.get_booster(), calibrator)
        self.calibrator_ = calibrator

    @property
    def classes_(self) -> NDArray[Any]:
        """Labels, the second being the positive class."""
        session: Session | None = self.__dict__.get("_session")
        if session is not None and session.rows.matrix is None:
            return np.arange(2)  # the parent's fit, before it reads the rows
        return self._classes

    def _give_callbacks(self, model: Any, callbacks: list[Any]) -> dict[str, Any]:
        model.set_params(callbacks=callbacks or None)
        return {}

    def _checkpoints(self, X: Any, every: int, decide: Callable[..., Any]) -> Any:
        """Return a callback that passes raw scores of held-out rows to ``decide``."""
        matrix = DMatrix(
            readable(X, READER),
            missing=self.missing,
            feature_types=self.feature_types,
            enable_categorical=self.enable_categorical,
            nthread=self.n_jobs,
        )
        rounds: int = self.get_num_boosting_rounds()
        return Checkpoints(matrix, every, rounds, decide)

    def _no_folds(self) -> str:
        """Return why folds cannot choose the number of trees; nothing if they can."""
        parameters = self.get_params(deep=False)
        if parameters.get("booster") in ("dart", "gblinear"):
            booster = parameters["booster"]
            return f"with booster={booster!r} later rounds change the earlier ones"
        if parameters.get("early_stopping_rounds"):
            return "early_stopping_rounds would choose it by other rows"
        return ""

    def _n_rounds(self) -> int:
        """Return the number of rounds of the booster."""
        n_rounds: int = self.get_booster().num_boosted_rounds()
        return n_rounds

    @classmethod
    def _names_of(cls, name: str) -> set[str]:
        return {name, *SYNONYMS.get(name, ())}

    def _averaged(self, models: list[Any]) -> Any:
        """Return a fitted copy whose raw score is the mean of the models'."""
        averaged = copy(self)
        booster = mean_of([model.get_booster() for model in models], self.link)
        averaged._Booster = booster
        averaged.threshold_ = float(np.mean([model.threshold_ for model in models]))
        describe(booster, self.loss_, averaged.threshold_, self.classes_)
        averaged._is_fold = False
        return averaged

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
        return self._as_set(super().get_params(deep))

    @classmethod
    def _library_parameters(cls) -> set[str]:
        return {*signature(XGBModel.__init__).parameters}

    def get_xgb_params(self) -> dict[str, Any]:
        """Return the parameters that go to XGBoost."""
        parameters: dict[str, Any] = super().get_xgb_params()
        parameters = booster_parameters(parameters, self._own_parameters())
        loss: FocalLoss | None = getattr(self, "loss_", None)
        if loss is not None:
            parameters["objective"] = OBJECTIVES[loss.link]
        return parameters

    # What XGBClassifier.fit (2.1 to 3.4) calls to read the parameters of a fit.
    def _configure_fit(self, *args: Any) -> tuple[Any, ...]:
        """Return model, metric, parameters and more, by version, for a fit."""
        model, _, parameters, *rest = super()._configure_fit(*args)
        session: Session = self._session
        return (model, session.evaluation, session.parameters(parameters, model), *rest)

    # What XGBClassifier.fit (2.1 to 3.4) calls to make each DMatrix.
    def _create_dmatrix(self, ref: DMatrix | None, **kwargs: Any) -> DMatrix:
        session: Session = self._session
        if session.continues:
            # the bins of these rows are not those of the trees that are there
            matrix = DMatrix(**kwargs, nthread=self.n_jobs)
        else:
            matrix = super()._create_dmatrix(ref, **kwargs)
        if session.rows.matrix is None:  # the training rows come first
            take(session.rows, matrix)
        return matrix
