"""Both classifiers on a Dask cluster: FocalDaskLGBMClassifier, FocalDaskXGBClassifier.

They need the extra ``focal_gbm[dask]``. The rows stay on the workers, where each
library trains by its own distributed algorithm with the objective of this library. Base
rate, class weights, start and closing constant are those of all rows, and the fitted
model is that of the classifier without Dask: ``to_local()`` returns it.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from lightgbm import Booster
from lightgbm.dask import DaskLGBMRegressor
from numpy.typing import NDArray
from sklearn.utils import check_consistent_length
from xgboost import Booster as XGBBooster
from xgboost import DMatrix
from xgboost import dask as xgb_dask

from focal_gbm._estimators.calibrated import fitted_to
from focal_gbm._estimators.classifier import without_split
from focal_gbm._estimators.cluster import (
    COLLECTIONS,
    ByLabel,
    Facts,
    Part,
    as_two_rows,
    by_partition,
    check_frame,
    client_of,
    cluster_constant,
    collected,
    collections_of,
    delayed_labels,
    facts_of,
    on_workers,
    parts_of,
    threads_of,
    two_rows,
)
from focal_gbm._estimators.columns import Reader, readable
from focal_gbm._estimators.labels import doubts
from focal_gbm._estimators.lightgbm.callbacks import Closing, WithoutReset
from focal_gbm._estimators.lightgbm.parameters import READER as LIGHTGBM_READER
from focal_gbm._estimators.lightgbm.parameters import aliases, value_of
from focal_gbm._estimators.lightgbm.parameters import (
    booster_parameters as lightgbm_parameters,
)
from focal_gbm._estimators.lightgbm.parameters import (
    check_parameters as check_lightgbm,
)
from focal_gbm._estimators.lightgbm.parameters import class_factors as by_lightgbm
from focal_gbm._estimators.lightgbm.saved_model import has_split
from focal_gbm._estimators.lightgbm.session import Session as LGBMSession
from focal_gbm._estimators.training import Training
from focal_gbm._estimators.xgboost.objective import Rows
from focal_gbm._estimators.xgboost.parameters import READER as XGBOOST_READER
from focal_gbm._estimators.xgboost.parameters import check_parameters as check_xgboost
from focal_gbm._estimators.xgboost.parameters import class_factors as by_xgboost
from focal_gbm._estimators.xgboost.parameters import device_of
from focal_gbm._estimators.xgboost.saved_model import completed
from focal_gbm._estimators.xgboost.saved_model import has_split as has_split_xgb
from focal_gbm._estimators.xgboost.session import Session as XGBSession
from focal_gbm._estimators.xgboost.start import start_of
from focal_gbm.calibration import PriorShift
from focal_gbm.lightgbm import FocalLGBMClassifier
from focal_gbm.xgboost import FocalXGBClassifier

__all__ = ["FocalDaskLGBMClassifier", "FocalDaskXGBClassifier"]

# Minutes that LightGBM's workers wait for a worker that is silent; its own 120 would
# hang that long where the network loses one that Dask still sees.
_TIME_OUT = 20


class _OnCluster:
    """Fit and predict on Dask collections; all else is the classifier without Dask."""

    _local: type[Any]
    _reader: Reader

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        label_maturity: Any = None,
    ) -> Any:
        """Fit the model to rows on the cluster of the current client.

        Parameters
        ----------
        X : dask array or data frame of shape (n_samples, n_features)
            Features. Partitions may differ in size, be empty or have no positive.
            Categorical columns need categories that Dask knows: ``X.categorize()``.
        y : dask array or series of shape (n_samples,)
            Labels of two classes, with the partitions of X.
        sample_weight : dask array or series of shape (n_samples,) or None, default=None
            Finite weights >= 0, with the partitions of X.
        label_maturity : dask array or series of shape (n_samples,) or None, \
default=None
            Values in (0, 1]: the probability that a positive of the row would be known
            by now, with the partitions of X.

        Returns
        -------
        self : FocalDaskLGBMClassifier or FocalDaskXGBClassifier

        Raises
        ------
        ValueError, TypeError
            If a parameter or an argument cannot be used; the message names it and the
            cure. A fit that fails leaves the estimator as it was.
        RuntimeError
            If no client is connected to a cluster, or the library cannot train: a
            worker that is lost ends the fit.
        OSError, concurrent.futures.CancelledError
            If the scheduler is lost: at once from LightGBM; from XGBoost after the time
            that Dask waits for a connection, its setting
            ``distributed.comm.timeouts.connect`` of 30 s. Workers that outlive their
            scheduler may train on in vain: end them.
        """
        name = type(self).__name__
        local = self._unfitted()
        self._refuse(local)
        client = client_of(name)
        check_frame(X)
        parts = parts_of(X, y, sample_weight, label_maturity)
        parts, lengths, facts = facts_of(client, parts, self._reader)
        classes, weight, maturity = as_two_rows(facts, name)
        counts = [facts.rows[label] for label in _in_order(facts, classes)]
        mean = None
        if sample_weight is not None:
            mean = sum(facts.weight.values()) / sum(facts.counted.values())
        for message in doubts(counts[1] / sum(counts), classes, mean):
            local._warn(message)
        rows = classes, weight, None if label_maturity is None else maturity
        training = self._training(local, rows, counts, threads_of(client))
        labels = [delayed_labels(part, classes) for part in parts]
        data = collections_of(parts, lengths, labels, X, facts.n_columns)
        total = float(facts.weight[_in_order(facts, classes)[1]])

        def constant(raw_of: Any) -> float:
            return cluster_constant(client, training, parts, total, raw_of)

        calibrator = None
        if isinstance(local.calibration, PriorShift):
            calibrator = local._new_calibrator().fit()
        fitted = self._trained(
            client, local, training, data, constant, calibrator, parts[0]
        )
        parameters: dict[str, Any] = self.get_params(deep=False)
        self.__dict__.update(fitted.__dict__)
        self.__dict__.update(
            {k: v for k, v in parameters.items() if k in self.__dict__}
        )
        return self

    def to_local(self) -> Any:
        """Return the classifier without Dask, fitted as this one is.

        Returns
        -------
        local : FocalLGBMClassifier or FocalXGBClassifier
        """
        local = self._unfitted()
        local.__dict__.update(self.__dict__)
        return local

    def _unfitted(self) -> Any:
        return self._local(**self.get_params(deep=False))

    def _refuse(self, local: Any) -> None:
        """Refuse parameters that a fit on a cluster cannot honour."""
        calibration = local.calibration
        if calibration is not None and not isinstance(calibration, PriorShift):
            msg = (
                f"calibration={calibration!r} needs folds, which a fit on a cluster "
                "has not: fit without it, and call calibrate on later rows"
            )
            raise ValueError(msg)
        if local.progress:
            msg = (
                "progress=True shows the iterations of this process, and a cluster "
                "trains on its workers: see the dashboard of the client"
            )
            raise ValueError(msg)

    if TYPE_CHECKING:

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...

        def _keep(self, calibrator: Any) -> None: ...

        def _training(
            self, local: Any, rows: Any, counts: list[int], threads: int
        ) -> Training: ...

        def _trained(
            self,
            client: Any,
            local: Any,
            training: Training,
            data: Any,
            constant: Any,
            calibrator: Any,
            part: Part,
        ) -> Any: ...

    def predict_proba(self, X: Any, **kwargs: Any) -> Any:
        """Return the probability of each class.

        Parameters
        ----------
        X : dask collection, or what the classifier without Dask takes
            Features of shape (n_samples, n_features).
        **kwargs
            Arguments of the classifier without Dask.

        Returns
        -------
        probability : dask array, or ndarray, of shape (n_samples, 2)
            Columns in the order of ``classes_``. A dask array is not computed.
        """
        return self._mapped(X, "predict_proba", 2, **kwargs)

    def decision_function(self, X: Any, **kwargs: Any) -> Any:
        """Return the log-odds of the positive class, after the calibrator if any.

        Parameters
        ----------
        X : dask collection, or what the classifier without Dask takes
            Features of shape (n_samples, n_features).
        **kwargs
            Arguments of the classifier without Dask.

        Returns
        -------
        log_odds : dask array, or ndarray, of shape (n_samples,)
            expit of it is ``predict_proba(X)[:, 1]``.
        """
        return self._mapped(X, "decision_function", 0, **kwargs)

    def predict(self, X: Any, **kwargs: Any) -> Any:
        """Return the class of each row: the positive class above ``threshold_``.

        Parameters
        ----------
        X : dask collection, or what the classifier without Dask takes
            Features of shape (n_samples, n_features).
        **kwargs
            Arguments of the classifier without Dask.

        Returns
        -------
        classes : dask array, or ndarray, of shape (n_samples,)
            Members of ``classes_``.
        """
        return self._mapped(X, "predict", 0, **kwargs)

    def _mapped(self, X: Any, method: str, width: int, **kwargs: Any) -> Any:
        local = self.to_local()
        call = partial(getattr(local, method), **kwargs)
        if not isinstance(X, COLLECTIONS):
            return call(X)
        dtype = local.classes_.dtype if method == "predict" else float
        return by_partition(X, call, width, dtype)

    def calibrate(
        self, X: Any, y: Any, sample_weight: Any = None, label_maturity: Any = None
    ) -> Any:
        """Fit the calibrator to rows that the model has not trained on.

        The log-odds and labels of all rows come to this process, 9 bytes a row and 8
        more for weights and maturities each: pass a week or a sample, not everything.

        Parameters
        ----------
        X : dask collection, or what the classifier without Dask takes
            Features of shape (n_samples, n_features).
        y, sample_weight, label_maturity : dask arrays, or in memory, or None
            Labels, weights and maturities of the rows, as in ``fit``.

        Returns
        -------
        self : FocalDaskLGBMClassifier or FocalDaskXGBClassifier
            ``calibrator_`` is the new calibrator.
        """
        local = self.to_local()
        if isinstance(X, COLLECTIONS):
            log_odds, *rows = collected(
                by_partition(X, local._bare_log_odds, 0),
                y,
                sample_weight,
                label_maturity,
            )
            calibrator, *rows = local._to_calibrate(*rows)
            check_consistent_length(log_odds, rows[0])
            calibrator = fitted_to(calibrator, log_odds, *rows)
        else:
            calibrator = local.calibrate(
                X, y, sample_weight, label_maturity
            ).calibrator_
        self._keep(calibrator)
        return self


def _in_order(facts: Facts, classes: NDArray[Any]) -> list[Any]:
    """Return the labels of the facts in the order of the classes."""
    return [next(k for k in facts.rows if k == label) for label in classes.tolist()]


class FocalDaskLGBMClassifier(_OnCluster, FocalLGBMClassifier):  # type: ignore[misc]
    """FocalLGBMClassifier on a Dask cluster.

    LightGBM trains on the workers by its data-parallel algorithm; the fitted model is
    that of :class:`FocalLGBMClassifier`, and every attribute and every reader of a
    saved booster sees no difference.

    Parameters
    ----------
    **kwargs
        Those of :class:`FocalLGBMClassifier`. ``n_jobs`` has no effect on a cluster:
        each worker uses its own threads. ``calibration`` by folds, early stopping and
        evaluation sets are not available: call ``calibrate`` on later rows, and choose
        the number of trees on a sample with :class:`FocalClassifierCV`. ``time_out``,
        in minutes, is how long workers wait for one that is silent (20 unless set).

    See Also
    --------
    focal_gbm.FocalLGBMClassifier : The same classifier on one machine.
    focal_gbm.dask.FocalDaskXGBClassifier : The same on XGBoost.
    focal_gbm.native.complete : Rows in files, on one machine.

    Examples
    --------
    >>> from dask import array as da
    >>> from distributed import Client
    >>> from focal_gbm.dask import FocalDaskLGBMClassifier
    >>> from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
    >>> data = make_transactions(n_customers=200, n_terminals=400, n_days=60)
    >>> features = data[list(TRANSACTION_FEATURES)].to_numpy()
    >>> X = da.from_array(features, chunks=(5000, 18))
    >>> y = da.from_array(data["is_fraud"].to_numpy(), chunks=5000)
    >>> with Client(processes=False, dashboard_address=None) as client:
    ...     model = FocalDaskLGBMClassifier(n_estimators=10, verbose=-1).fit(X, y)
    ...     p = model.predict_proba(X)[:, 1].compute()
    Finding random open ports for workers
    >>> bool(abs(p.mean() / y.mean().compute() - 1) < 0.01)
    True
    """

    _local = FocalLGBMClassifier
    _reader = LIGHTGBM_READER

    def _refuse(self, local: Any) -> None:
        super()._refuse(local)
        parameters = local.get_params(deep=False)
        check_lightgbm(parameters, local._own_parameters())
        if value_of(parameters, "early_stopping_round", 0) > 0:
            msg = (
                "early_stopping_round needs evaluation sets, on which LightGBM's "
                "workers would stop at different iterations and wait for each other: "
                "choose n_estimators on a sample, with FocalClassifierCV or eval_set"
            )
            raise ValueError(msg)

    def _training(
        self,
        local: Any,
        rows: tuple[Any, Any, Any],
        counts: list[int],
        threads: int,
    ) -> Training:
        classes, weight, maturity = rows
        class_weight = local.class_weight
        if isinstance(class_weight, str) and class_weight == "balanced":
            class_weight = {
                label: sum(counts) / (2 * count)
                for label, count in zip(classes.tolist(), counts, strict=True)
            }
        parameters = local.get_params(deep=False)
        training: Training = local._prepare(
            np.zeros((2, 1)),
            classes,
            weight,
            maturity,
            class_weight=class_weight,
            class_factors=lambda _: by_lightgbm(parameters, counts),
            begins_at_zero=True,
            n_jobs=threads,
        )
        return training

    def _trained(
        self,
        client: Any,
        local: Any,
        training: Training,
        data: tuple[Any, Any, Any],
        constant: Any,
        calibrator: Any,
        part: Part,
    ) -> Any:
        dX, dy, dw = data
        session = LGBMSession(
            training, [], [], ClusterClosing(training, constant), calibrator
        )
        parameters = lightgbm_parameters(
            local.get_params(deep=False), local._own_parameters()
        )
        parameters = session.parameters(parameters)
        # the threads are the workers'
        for name in {"n_jobs", "class_weight", *aliases("num_threads")}:
            parameters.pop(name, None)
        if value_of(parameters, "time_out") is None:
            parameters["time_out"] = _TIME_OUT
        if training.label_maturity is not None:
            parameters["objective"] = ByLabel(training.objective)
        # no encoder of labels, which a worker would fit to its own
        parallel = DaskLGBMRegressor(client=client, **parameters)
        with on_workers(client), warnings.catch_warnings():
            # of the parent's default, which nobody has set
            warnings.filterwarnings("ignore", "Parameter n_jobs will be ignored")
            parallel.fit(dX, dy, sample_weight=dw, callbacks=[WithoutReset()])
        booster = session.complete(parallel.booster_)
        # a model of two rows sets what LightGBM's estimator has beside its booster
        fitted = local._for_fold().set_params(n_estimators=1, verbose=-1)
        fitted.fit(client.compute(two_rows(part)).result(), training.classes)
        fitted.__dict__["_Booster"] = booster
        fitted._set_fitted(training, calibrator)
        fitted._is_fold = False
        local._warn(without_split(has_split(booster)))
        return fitted


class ClusterClosing(Closing):
    """Closing constant of a booster by sums over the cluster."""

    def __init__(self, training: Training, over_cluster: Any) -> None:
        super().__init__(training)
        self._over_cluster = over_cluster

    def constant(self, booster: Booster) -> float:
        """Return the closing constant."""
        model = booster.model_to_string(num_iteration=-1)
        constant: float = self._over_cluster(partial(_lightgbm_scores, model))
        return constant


def _lightgbm_scores(model: str, X: Any) -> NDArray[Any]:
    scores: NDArray[Any] = Booster(model_str=model).predict(
        readable(X, LIGHTGBM_READER), raw_score=True, num_threads=1
    )
    return scores


class FocalDaskXGBClassifier(_OnCluster, FocalXGBClassifier):  # type: ignore[misc]
    """FocalXGBClassifier on a Dask cluster.

    XGBoost trains on the workers; the fitted model is that of
    :class:`FocalXGBClassifier`, and every attribute and every reader of a saved booster
    sees no difference.

    Parameters
    ----------
    **kwargs
        Those of :class:`FocalXGBClassifier`. ``n_jobs`` has no effect on a cluster:
        each worker uses its own threads. ``calibration`` by folds, callbacks, early
        stopping and evaluation sets are not available: call ``calibrate`` on later
        rows, and choose the number of trees on a sample with
        :class:`FocalClassifierCV`.

    See Also
    --------
    focal_gbm.FocalXGBClassifier : The same classifier on one machine.
    focal_gbm.dask.FocalDaskLGBMClassifier : The same on LightGBM.
    focal_gbm.native.complete : Rows in files, on one machine.

    Examples
    --------
    >>> from dask import array as da
    >>> from distributed import Client
    >>> from focal_gbm.dask import FocalDaskXGBClassifier
    >>> from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
    >>> data = make_transactions(n_customers=200, n_terminals=400, n_days=60)
    >>> features = data[list(TRANSACTION_FEATURES)].to_numpy()
    >>> X = da.from_array(features, chunks=(5000, 18))
    >>> y = da.from_array(data["is_fraud"].to_numpy(), chunks=5000)
    >>> with Client(processes=False, dashboard_address=None) as client:
    ...     model = FocalDaskXGBClassifier(n_estimators=10).fit(X, y)
    ...     p = model.predict_proba(X)[:, 1].compute()
    >>> bool(abs(p.mean() / y.mean().compute() - 1) < 0.01)
    True
    """

    _local = FocalXGBClassifier
    _reader = XGBOOST_READER

    def _refuse(self, local: Any) -> None:
        super()._refuse(local)
        parameters = local.get_params(deep=False)
        others = getattr(local, "kwargs", None) or {}
        check_xgboost(parameters, others, local._own_parameters())
        for name in ("early_stopping_rounds", "callbacks", "eval_metric"):
            if parameters.get(name):
                msg = (
                    f"{name} needs evaluation sets or this process, which a fit on a "
                    "cluster has not: choose n_estimators on a sample, with "
                    "FocalClassifierCV or eval_set"
                )
                raise ValueError(msg)

    def _training(
        self,
        local: Any,
        rows: tuple[Any, Any, Any],
        counts: list[int],  # noqa: ARG002 - XGBoost counts no rows
        threads: int,
    ) -> Training:
        classes, weight, maturity = rows
        parameters = local.get_params(deep=False)
        base_score = parameters["base_score"]
        raw_start, _ = start_of(local.link, base_score, None, None, None, False)
        factors = by_xgboost(parameters["scale_pos_weight"])
        training: Training = local._prepare(
            np.zeros((2, 1)),
            classes,
            weight,
            maturity,
            class_factors=lambda _: factors,
            raw_start=raw_start,
            start_probability=base_score,
            device=device_of(parameters),
            n_jobs=threads,
        )
        return training

    def _trained(
        self,
        client: Any,
        local: Any,
        training: Training,
        data: tuple[Any, Any, Any],
        constant: Any,
        calibrator: Any,
        part: Part,  # noqa: ARG002 - the model knows its columns
    ) -> Any:
        dX, dy, dw = data
        session = XGBSession(training, [], None, Rows(), False, calibrator)
        parameters = session.parameters(local.get_xgb_params(), None)
        for name in ("n_jobs", "nthread"):
            parameters.pop(name, None)
        objective: Any = session.objective
        if not isinstance(objective, str):
            objective = training.objective
        if training.label_maturity is not None:
            objective = ByLabel(training.objective)
        matrix_type = xgb_dask.DaskDMatrix
        of_matrix: dict[str, Any] = {}
        if parameters.get("tree_method") in (None, "auto", "hist"):
            matrix_type = xgb_dask.DaskQuantileDMatrix
            of_matrix["max_bin"] = parameters.get("max_bin") or 256
        matrix = matrix_type(
            client,
            dX,
            dy,
            weight=dw,
            missing=local.missing,
            feature_types=local.feature_types,
            enable_categorical=local.enable_categorical,
            **of_matrix,
        )
        with on_workers(client):
            result = xgb_dask.train(
                client,
                parameters,
                matrix,
                num_boost_round=local.get_num_boosting_rounds(),
                obj=None if isinstance(objective, str) else objective,
                verbose_eval=False,
            )
        booster = completed(
            result["booster"],
            training.loss,
            training.threshold,
            training.classes,
            lambda b: constant(partial(_xgboost_scores, b.save_raw("ubj"), local)),
            calibrator,
        )
        local._warn(without_split(has_split_xgb(booster)))
        local.load_model(booster.save_raw("ubj"))
        return local


def _xgboost_scores(model: bytearray, reader: Any, X: Any) -> NDArray[Any]:
    matrix = DMatrix(
        readable(X, XGBOOST_READER),
        missing=reader.missing,
        feature_types=reader.feature_types,
        enable_categorical=reader.enable_categorical,
        nthread=1,
    )
    scores: NDArray[Any] = XGBBooster({"nthread": 1}, model_file=model).predict(
        matrix, output_margin=True
    )
    return scores
