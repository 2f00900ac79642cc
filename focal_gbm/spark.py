"""Parameters for ``xgboost.spark``, which takes no objective in Python.

``SparkXGBClassifier`` refuses callables, so that focal loss cannot train on a Spark
cluster. At ``focal_gamma=0`` the estimator is XGBoost's own log-loss with a start, a
bound on the step and a closing constant, and these are numbers, which Spark takes:

1. The base rate is one number, which Spark computes.
2. :func:`spark_params` returns the parameters for ``SparkXGBClassifier``.
3. :func:`focal_gbm.native.complete` adds the closing constant to the trained booster.

::

    from pyspark.sql import functions as F
    from xgboost.spark import SparkXGBClassifier

    rate = rows.agg(F.avg("is_fraud")).first()[0]
    params = spark_params(rate, **FocalXGBClassifier.rare_event_params())
    model = SparkXGBClassifier(
        **params, features_col=names, label_col="is_fraud", num_workers=8
    ).fit(rows)

    sample = rows.sampleBy("is_fraud", {0: 0.01, 1: 1.0}, seed=0).toPandas()
    weight = sample["is_fraud"].map({0: 100.0, 1: 1.0})
    booster = model.get_booster()
    batches = [(sample[names], sample["is_fraud"], weight)]
    finished = complete(booster, batches, objective=FocalObjective(gamma=0.0))
    booster.load_model(finished.save_raw())

The last line replaces the booster in ``model``: ``model.transform`` then returns the
probabilities, and ``model.save`` saves them. The rows for ``complete`` are a sample
here, in which a row counts as many as it represents: all positives, and one of a
hundred others. They may be all training rows too, in batches, which closes more
exactly (benchmarks/scale/spark.md). ``finished`` in a file is a model that
``FocalXGBClassifier.load_model`` reads, to be calibrated on later rows.

What is lost is focal loss itself, which ranks no better than log-loss once both are
tuned (benchmarks/detection/README.md), with ``focal_alpha``, late labels and the
calibration by folds. In XGBoost 2 ``features_col`` must be one column of vectors or
arrays on CPUs, such as ``VectorAssembler`` makes; X of ``complete`` is then an array.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from focal_gbm._estimators.labels import doubts
from focal_gbm._estimators.xgboost.parameters import check_parameters, class_factors
from focal_gbm._estimators.xgboost.session import Session
from focal_gbm._validation import check_real
from focal_gbm.xgboost import FocalXGBClassifier

__all__ = ["spark_params"]

# Parameters of the estimator without effect on Spark: the values that ask for nothing,
# and what to do in place of others.
_WITHOUT_EFFECT: dict[str, tuple[tuple[Any, ...], str]] = {
    "focal_gamma": (
        (0,),
        "xgboost.spark takes no objective in Python, and XGBoost has none of focal "
        "loss: leave it out, which is log-loss and ranks as well, or train with "
        "FocalXGBClassifier or focal_gbm.dask",
    ),
    "focal_alpha": (
        (None,),
        "it weighs the negative class too, and XGBoost the positive class alone: set "
        "scale_pos_weight to focal_alpha / (1 - focal_alpha)",
    ),
    "link": (
        ("posterior",),
        "xgboost.spark trains 'binary:logistic', whose raw score is the log-odds",
    ),
    "objective": (
        (None, "binary:logistic"),
        "xgboost.spark takes no objective in Python and sets 'binary:logistic' itself: "
        "leave it out",
    ),
    "calibration": (
        (None,),
        "xgboost.spark fits no calibrator: read the completed booster with "
        "FocalXGBClassifier.load_model, and call calibrate on later rows",
    ),
    "progress": ((False,), "training is on the workers"),
    "n_jobs": ((None,), "the threads of a worker are Spark's spark.task.cpus"),
    "nthread": ((None,), "the threads of a worker are Spark's spark.task.cpus"),
    "enable_categorical": (
        (None, False),
        "xgboost.spark refuses it: name categorical columns in feature_types",
    ),
}


def spark_params(base_rate: float, **parameters: Any) -> dict[str, Any]:
    """Return the parameters for ``xgboost.spark.SparkXGBClassifier``.

    They train the model of ``FocalXGBClassifier(focal_gamma=0, **parameters)``, up to
    the closing constant that :func:`focal_gbm.native.complete` adds. Columns and
    workers are arguments of SparkXGBClassifier itself.

    Parameters
    ----------
    base_rate : float in (0, 1)
        Share of the positive class in the training rows: the mean of labels 0 and 1, by
        weight if the rows have weights. In Spark ``F.avg("label")``, or
        ``F.sum(F.col("weight") * F.col("label")) / F.sum("weight")``.
    **parameters
        Parameters of :class:`FocalXGBClassifier`, and of XGBoost: ``start`` and
        ``max_step``, which become ``base_score`` and ``max_delta_step``, sizes of
        trees, names of metrics. ``scale_pos_weight`` decides on which rows training
        concentrates, and moves no probability after ``complete``. Parameters that
        Spark cannot honour are refused.

    Returns
    -------
    params : dict
        Values by name, all of them texts, numbers, booleans, lists or dicts as JSON has
        them: ``base_score``, ``max_delta_step``, and the parameters passed. Whatever is
        not in it has the default of XGBoost, which is that of FocalXGBClassifier too.

    Raises
    ------
    ValueError, TypeError
        If the rate or a parameter cannot be used; the message names it and the cure.

    See Also
    --------
    focal_gbm.native.complete : Closing constant of a booster that Spark trained.
    focal_gbm.FocalXGBClassifier : The classifier with focal loss, on one machine.
    focal_gbm.dask.FocalDaskXGBClassifier : Focal loss on a cluster.

    Notes
    -----
    ``base_score`` is a probability, which every version of XGBoost reads as float32;
    XGBoost 3 begins at 1e-6 where it is lower.

    The column "prediction" of Spark compares the probability with 1/2. With
    ``scale_pos_weight`` w the threshold of FocalXGBClassifier is 1 / (1 + w).

    Examples
    --------
    >>> from focal_gbm.spark import spark_params
    >>> params = spark_params(0.001, n_estimators=20)
    >>> params["n_estimators"], params["max_delta_step"], round(params["base_score"], 4)
    (20, 4.0, 0.0307)

    On one machine the same parameters give the same model:

    >>> import numpy as np
    >>> from xgboost import DMatrix, XGBClassifier
    >>> from focal_gbm import FocalObjective
    >>> from focal_gbm.native import complete
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(3000, 3))
    >>> y = (rng.random(3000) < 1 / (1 + np.exp(4 - 2 * X[:, 0]))).astype(int)
    >>> params = spark_params(y.mean(), n_estimators=20)
    >>> booster = XGBClassifier(**params).fit(X, y).get_booster()
    >>> booster = complete(booster, [(X, y)], objective=FocalObjective(gamma=0.0))
    >>> bool(np.isclose(booster.predict(DMatrix(X)).mean(), y.mean(), rtol=1e-6))
    True
    """
    rate = _checked_rate(base_rate)
    for name, value in parameters.items():
        _check_effect(name, value)
    model = FocalXGBClassifier(**{**parameters, "focal_gamma": 0.0})
    own = model._own_parameters()
    settings = model.get_params(deep=False)
    check_parameters(settings, getattr(model, "kwargs", None) or {}, own)
    factors = class_factors(settings["scale_pos_weight"])
    training = model._prepare(
        np.zeros((2, 1)),  # two rows with the base rate of all
        np.arange(2),
        np.array([1.0 - rate, rate]),
        None,
        class_factors=lambda _: factors,
        start_probability=settings["base_score"],
    )
    for message in doubts(rate, training.classes, None):
        warnings.warn(message, UserWarning, stacklevel=2)
    # the class weight of XGBoost's own loss moves its raw score away from the log-odds
    moved = replace(training, raw_start=training.raw_start + training.loss.shift)
    session = Session.of(moved, settings["eval_metric"], continues=False)
    if session.evaluation is not None:
        msg = (
            f"eval_metric={settings['eval_metric']!r} is measured in Python, and "
            "xgboost.spark takes only names of XGBoost's own metrics, such as 'aucpr'"
        )
        raise ValueError(msg)
    passed = {k: v for k, v in parameters.items() if k not in own and v is not None}
    result = session.parameters(passed, None)
    del result["objective"]  # SparkXGBClassifier refuses it, whatever its value
    if settings["eval_metric"] is None:
        del result["eval_metric"]
    return {name: _plain(name, value) for name, value in result.items()}


def _checked_rate(base_rate: Any) -> float:
    try:
        return check_real(base_rate, "base_rate", low=0.0, high=1.0, open_ends=True)
    except (TypeError, ValueError) as error:
        msg = (
            f"{error}; it is the mean of the labels 0 and 1 of all training rows, "
            "which need both classes: y.mean(), or "
            "rows.agg(F.avg('label')).first()[0] in Spark"
        )
        raise type(error)(msg) from error


def _check_effect(name: str, value: Any) -> None:
    """Refuse a parameter that would have no effect on Spark, or has another place."""
    if name.endswith("_col") or name == "num_workers":
        msg = (
            f"{name}={value!r} is an argument of SparkXGBClassifier: pass it there, "
            "beside **spark_params(...)"
        )
        raise ValueError(msg)
    usual, cure = _WITHOUT_EFFECT.get(name, ((value,), ""))
    if not any(value is one or value == one for one in usual):
        msg = f"{name}={value!r} cannot have an effect on Spark: {cure}"
        raise ValueError(msg)


def _plain(name: str, value: Any) -> Any:
    """Return a value in types of Python, as Spark sends and saves it."""
    value = value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value
    try:
        json.dumps(value)
    except (TypeError, ValueError) as error:
        msg = (
            f"{name}={value!r} is not a text, a number, a list or a dict, which is all "
            "that these parameters hold; pass it to SparkXGBClassifier itself if that "
            "takes it"
        )
        raise TypeError(msg) from error
    return value
