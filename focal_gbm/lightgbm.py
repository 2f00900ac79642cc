"""FocalLGBMClassifier: focal loss on LightGBM, with honest probabilities.

LightGBM calls a custom objective once an iteration, and leaves out what its own
objectives get: a start, class weights, metrics on probabilities, and a sigmoid in the
saved model. FocalLGBMClassifier adds them around the fit of LGBMClassifier.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from lightgbm import Booster, LGBMClassifier
from numpy.typing import ArrayLike

from focal_gbm._estimators.arguments import listed
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
    set_maturities,
)
from focal_gbm._estimators.lightgbm.callbacks import (
    REPORTING,
    Checkpoints,
    Progress,
    WithoutReset,
    scores_are_predictions,
)
from focal_gbm._estimators.lightgbm.evaluation import (
    by_part,
    deprecations_by,
    pairs_of,
    stops_early,
)
from focal_gbm._estimators.lightgbm.parameters import (
    READER,
    aliases,
    booster_parameters,
    check_parameters,
    class_factors,
    known_parameters,
    synonyms,
    value_of,
)
from focal_gbm._estimators.lightgbm.saved_model import has_split, mean_of
from focal_gbm._estimators.lightgbm.session import Session
from focal_gbm._estimators.lightgbm.start import start_of
from focal_gbm._estimators.mlflow import types_trusted
from focal_gbm._estimators.progress import progress_bar
from focal_gbm._validation import check_vector

# Values that LightGBM can copy at no cost.
_PLAIN = (str, int, float, type(None))


class FocalLGBMClassifier(FocalClassifierMixin, LGBMClassifier):
    """LightGBM classifier with focal loss and honest probabilities.

    Use it in place of :class:`lightgbm.LGBMClassifier` to find a rare class, such as
    card fraud. Parameters, early stopping, callbacks, categorical columns, missing
    values, sparse matrices, data frames and tools (SHAP, pipelines, searches, pickle)
    work as they do there. The target has two classes; the positive class is the second
    in sorted order.

    With the default link the booster's raw score is the log-odds of the positive class,
    and expit of the raw score is the probability, here and in every reader of the saved
    model.

    ``class_weight``, ``scale_pos_weight``, ``is_unbalance`` and ``focal_alpha`` decide
    on which rows training concentrates. They never shift the probabilities. All but
    ``focal_alpha`` move the threshold of ``predict``. ``sample_weight`` is the number
    of rows of the population that a row represents; the probabilities refer to that
    population.

    How a fit proceeds:

    1. Parameters, data and evaluation sets are checked. A fit that fails, then or
       later, leaves the estimator as it was.
    2. The start is set: ``start`` times the log-odds of the base rate.
    3. With ``calibration``, a model is fitted in each fold, and the calibrator learns
       from the log-odds of the held-out rows.
    4. LightGBM trains on all rows. In each iteration it passes the raw scores to a
       :class:`FocalObjective` and receives gradient and Hessian.
    5. A closing constant goes into the leaves of the first tree, so that the mean
       probability of the training rows is their observed rate. All fitted attributes
       are set together.

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
    focal_alpha : float in (0, 1) or None, default=None
        Weight of the positive class; the negative class has the weight 1 - focal_alpha.
        None: both classes have the weight 1.
    link : {"posterior", "logit"}, default="posterior"
        Scale of the raw score. "posterior": the log-odds of the positive class.
        "logit": the logit of the classic form, which ``decision_function`` and
        ``predict_proba`` convert by the closed form of :class:`FocalLoss`; a plain
        booster then returns raw scores, and expit of those is no probability. With
        "logit" derivatives shrink as rows become easy, so ``min_child_weight`` and
        ``reg_lambda`` restrict the trees more than with log-loss.
    max_step : float in [1e-30, 1e30] or None, default=4.0
        Bound on the step of a leaf in log-odds, before the learning rate. It becomes
        ``max_delta_step`` unless you set that. None: no bound. A leaf of frauds alone
        has a Newton step of 1 / rate, which makes plain boosting collapse on rare
        classes.
    start : float in [0, 1], default=0.5
        Where boosting begins, as a share of the log-odds of the base rate. It has no
        effect with ``init_model`` or ``init_score``, which set the start.
    progress : bool, default=False
        Show a progress bar over the iterations; needs tqdm.
    calibration : str, estimator or None, default=None
        Calibrator of the log-odds: a method of :class:`LogOddsCalibrator`, a
        :class:`PriorShift`, or an estimator with ``fit`` and ``predict`` on log-odds.
        It is fitted to the held-out rows of each fold; the booster then trains on all
        rows. None: no calibrator. See ``calibrate`` for later rows. pickle, joblib,
        skops and ONNX (``focal_gbm.export.register_onnx``) hold the calibrator; readers
        of the booster alone (``booster_.save_model``, treelite) do not see it. Metrics
        in training are measured before a fitted calibrator and after a ``PriorShift``.
        Your callbacks act in the folds too, each as a copy, if they can be copied
        and do not report to a trial of Optuna.
    calibration_cv : int, splitter or iterable of splits, default=5
        The folds. Use ``TimeSeriesSplit`` for transactions in time order. A splitter
        is called with X and y; if it needs groups, pass
        ``list(splitter.split(X, y, groups))``.
    min_child_weight : float, default=1.0
        Least sum of Hessians in a leaf. LightGBM's default of 1e-3 allows leaves of one
        or two positives.
    boosting_type, num_leaves, ..., verbose
        Parameters of :class:`lightgbm.LGBMClassifier`, with its meaning and defaults.
        ``objective`` may be None or "binary". ``boosting_type="rf"`` is refused, since
        LightGBM has no random forests with a custom objective.
    **kwargs
        Every other parameter of LightGBM, by any of its names. Unknown parameters are
        refused at fit, and so are parameters that a custom objective leaves without
        effect.

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
        Labels; the second is the positive class.

    See Also
    --------
    focal_gbm.FocalXGBClassifier : The same classifier on XGBoost.
    focal_gbm.FocalClassifierCV : Size and number of trees chosen by folds.
    focal_gbm.dask.FocalDaskLGBMClassifier : The same classifier on a Dask cluster.
    focal_gbm.metrics.alert_threshold : Threshold for a budget of alerts.

    Notes
    -----
    Start and closing constant are in the leaves of the first tree, as LightGBM's own
    bias is. ``start_iteration > 0`` therefore leaves both out.

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

    _tree_ranges: ClassVar = {
        "max_bin": [255, 1023],
        "num_leaves": (4, 64, "log"),
        "min_child_samples": (2, 100, "log"),
        "subsample_freq": [1],  # by default LightGBM draws no rows
    }

    _sizes: ClassVar = (
        {"num_leaves": 31},
        {"num_leaves": 8},
        {"num_leaves": 127, "min_child_weight": 0.05},
    )
    # Minima of rows would count a row of weight 2 once, min_child_weight twice.
    _size_of_all: ClassVar = {
        "min_child_samples": 1,
        "min_data_in_bin": 1,
        "max_bin": 1023,
    }

    _reporting_callbacks = REPORTING

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
        label_maturity: ArrayLike | None = None,
        eval_label_maturity: Any = None,
    ) -> FocalLGBMClassifier:
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
        init_score : array-like of shape (n_samples,) or None, default=None
            Raw scores at which boosting begins. One value for all rows becomes part of
            the model. Scores that differ by row do not, here and in LightGBM: add the
            score of a row to its raw score before you compute a probability.
        eval_set : iterable of pairs (X, y), or one pair, default=None
            Evaluation sets, on which the metrics are measured after each iteration. An
            empty iterable means none. Their labels must be equal to labels of ``y``;
            the dtype may differ. LightGBM 4.7 deprecates ``eval_set`` in favour of
            ``eval_X`` and ``eval_y``, which work here on every supported version.
        eval_X, eval_y : features and labels, or tuples of them, default=None
            The evaluation sets in two arguments, in place of ``eval_set``.
        eval_names : iterable of str, default=None
            Names of the evaluation sets in the results.
        eval_sample_weight, eval_class_weight : iterable or dict or None, default=None
            Weights of the rows and of the classes of each evaluation set, by position.
        eval_init_score : list or dict or None, default=None
            Initial raw scores of each evaluation set, by position. Needed where
            ``init_score`` differs by row, and refused without ``init_score``.
        eval_metric : str, callable, or list of them, default=None
            Metrics of the evaluation sets. "auc" and "average_precision" are LightGBM's
            own. "binary_logloss" (measured by default, unless ``metric`` is set),
            "cross_entropy", "binary_error" and the names of :class:`FocalMetric` are
            computed here on the probabilities, because LightGBM would compute them on
            raw scores. A :class:`FocalMetric` is measured with this estimator's loss.
            Other callables receive probabilities, as they do with LightGBM's own
            objectives. LightGBM lists its own metrics first, which matters for
            ``first_metric_only``.
        feature_name : iterable of str or "auto", default="auto"
            Names of the columns. "auto": the columns of a data frame.
        categorical_feature : iterable of str or int, or "auto", default="auto"
            Columns that are split by category. "auto": the unordered categories of
            pandas.
        callbacks : iterable of callables or None, default=None
            Callables that LightGBM calls in each iteration with the state of the
            training.
        init_model : str, Path, Booster, LGBMModel or None, default=None
            Model whose training is continued. Its raw scores must be on the scale of
            ``link``: a focal model of the same link or, for the posterior link, any
            model whose raw score is the log-odds. ``n_estimators`` counts the new
            trees. To lose no more than a part of a long fit, fit in stages, save each
            fitted model, and continue the last one; a booster that a callback saves
            within a fit has no start in it, and is no stage.
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
        self : FocalLGBMClassifier

        Raises
        ------
        ValueError, TypeError
            If a parameter or an argument cannot be used; the message names it and the
            cure. A fit that fails or is interrupted leaves the estimator as it was.
        """
        parameters = self.get_params(deep=False)
        check_parameters(parameters, self._own_parameters())
        # the user's own X is compared with evaluation sets by identity
        X_as_passed, X = X, in_memory(X)
        check_columns(X, READER)
        eval_sets = pairs_of(eval_set, eval_X, eval_y)
        eval_scores = listed(eval_init_score, "eval_init_score")
        raw_start, score_by_row = start_of(
            self.link, init_score, eval_scores, init_model, bool(eval_sets)
        )
        late_sets, maturities = set_maturities(
            eval_sets,
            eval_label_maturity,
            "eval_label_maturity",
            (X_as_passed, y, label_maturity),
            training_first=True,
        )
        training = self._prepare(
            X,
            y,
            sample_weight,
            label_maturity,
            class_weight=self.class_weight,
            class_factors=partial(class_factors, parameters),
            raw_start=raw_start,
            init_score=score_by_row,
            maturities=maturities,
            begins_at_zero=True,  # LightGBM, with a custom objective
            n_jobs=self._process_n_jobs(value_of(parameters, "num_threads")),
        )
        if init_score is not None:
            check_vector(init_score, "init_score", np.float64, len(training.y))
        labels = training.labels
        metric = value_of(parameters, "metric", "binary_logloss")
        if not callable(eval_metric):
            eval_metric = listed(eval_metric, "eval_metric")
        session = Session.of(training, eval_metric, metric)
        eval_sets = session.encoded(eval_sets, X_as_passed, y, labels)
        of_sets = {
            "eval_names": listed(eval_names, "eval_names"),
            "eval_sample_weight": listed(eval_sample_weight, "eval_sample_weight"),
            "eval_class_weight": listed(eval_class_weight, "eval_class_weight"),
        }
        eval_weights = of_sets["eval_sample_weight"]
        check_eval_weights(eval_sets, eval_weights, "eval_sample_weight")
        check_eval_scores(eval_sets, eval_scores, "eval_init_score")
        if score_by_row is None:  # the start is in the objective and in the metrics
            eval_scores = None
        callbacks = listed(callbacks, "callbacks") or []
        for message in check_eval_classes(
            eval_sets,
            eval_weights,
            training.classes[1],
            session.rank_metrics,
            stops_early=stops_early(parameters, callbacks),
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
            **by_part(eval_sets),
            eval_metric=eval_metric,
            **({"eval_label_maturity": late_sets} if late_sets else {}),
            **of_sets,
            **of_columns,
        )
        session = replace(session, calibrator=calibrator)
        # after the user's callbacks, which may end the training
        callbacks.append(WithoutReset())
        if scores_are_predictions(parameters):
            callbacks.append(session.closing)
            for callback in callbacks:
                if isinstance(callback, Checkpoints):
                    callback.closing = session.closing
        with (
            progress_bar(self, Progress) as bars,
            # class weights act in the loss: the parent would multiply them into those
            # of the rows, and metrics and base rate would shift
            self._lending(session, class_weight=None, _class_weight=None),
            types_trusted(),
            deprecations_by(eval_set, eval_sets),
        ):
            super().fit(
                X,
                labels,
                sample_weight=training.sample_weight,
                init_score=score_by_row,
                eval_set=eval_sets,
                eval_init_score=eval_scores,
                eval_metric=session.measures,
                callbacks=[*callbacks, *bars],
                init_model=init_model,
                **of_sets,
                **of_columns,
            )
        return self

    def _raw_score(self, X: Any, **kwargs: Any) -> Any:
        X = readable(X, READER)
        return super().predict_proba(X, raw_score=True, **kwargs)

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
        """Return the class of each row: the positive class above ``threshold_``.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Features.
        raw_score, pred_leaf, pred_contrib : bool, default=False
            Return the raw scores, the leaf of each tree or the contributions of the
            columns in place of classes, as LightGBM computes them.
        start_iteration, num_iteration : int or None
            First iteration to use, and how many; None: up to the best iteration.
        validate_features : bool, default=False
            Whether the columns must have the names of the training columns.
        **kwargs
            Parameters of prediction for LightGBM.

        Returns
        -------
        classes : ndarray of shape (n_samples,)
            Members of ``classes_``.
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
        raw_score, pred_leaf, pred_contrib : bool, default=False
            Return the raw scores, the leaf of each tree or the contributions of the
            columns in place of probabilities, as LightGBM computes them.
        start_iteration, num_iteration : int or None
            First iteration to use, and how many; None: up to the best iteration.
        validate_features : bool, default=False
            Whether the columns must have the names of the training columns.
        **kwargs
            Parameters of prediction for LightGBM.

        Returns
        -------
        probability : ndarray of shape (n_samples, 2), float64
            Columns in the order of ``classes_``.
        """
        X = readable(X, READER)
        as_it_is = (
            pred_leaf or pred_contrib or raw_score or self._predicts_probabilities()
        )
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

    def _checkpoints(self, X: Any, every: int, decide: Callable[..., Any]) -> Any:
        """Return a callback that passes raw scores of held-out rows to ``decide``."""
        X = readable(X, READER)
        return Checkpoints(X, every, decide, self.n_jobs)

    def _no_folds(self) -> str:
        """Return why folds cannot choose the number of trees; nothing if they can."""
        parameters = self.get_params(deep=False)
        if value_of(parameters, "boosting") == "dart":
            return "with boosting_type='dart' later trees change the earlier ones"
        if value_of(parameters, "early_stopping_round", 0) > 0:
            return "early_stopping_round would choose it by other rows"
        for name in aliases("num_iterations") - {"n_estimators"}:
            if parameters.get(name) is not None:
                return f"{name}={parameters[name]} would set it"
        return ""

    def _n_rounds(self) -> int:
        """Return the number of iterations of the booster."""
        n_rounds: int = self.booster_.current_iteration()
        return n_rounds

    @classmethod
    def _names_of(cls, name: str) -> set[str]:
        return synonyms(name)

    def _averaged(self, models: list[Any]) -> Any:
        """Return a fitted copy whose raw score is the mean of the models'."""
        averaged = copy(self)
        boosters = [model.booster_ for model in models]
        text = mean_of(
            [b.model_to_string(num_iteration=b.best_iteration) for b in boosters]
        )
        booster = Booster(model_str=text)
        booster.params = dict(boosters[0].params)
        averaged.__dict__["_Booster"] = booster
        averaged._best_iteration = booster.current_iteration()
        averaged.threshold_ = float(np.mean([model.threshold_ for model in models]))
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
        return known_parameters()

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
        parameters = booster_parameters(parameters, own)
        if stage == "fit":
            self._objective: Any = reader._objective
            parameters = self._session.parameters(parameters)
        return parameters

    # A property, because tools that wrap the fit of LightGBM's own class (MLflow's
    # autologging) copy the estimator when that returns: the model has to be complete
    # when LGBMModel.fit (4.6, 4.7) sets the attribute.
    @property
    def _Booster(self) -> Booster | None:
        return self.__dict__.get("_Booster")

    @_Booster.setter
    def _Booster(self, booster: Booster | None) -> None:
        session: Session | None = self.__dict__.get("_session")
        if booster is not None and session is not None:
            booster = session.complete(booster)
            self._set_fitted(session.training, session.calibrator)
            self._warn(without_split(has_split(booster)))
        self.__dict__["_Booster"] = booster
