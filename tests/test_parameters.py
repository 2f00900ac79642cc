"""Any value as a numeric parameter of any public function: a finite result, or an error
that names the parameter."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from surface import numeric_parameters

import focal_gbm
from focal_gbm import delays, metrics, native, spark
from focal_gbm.datasets import make_transactions
from focal_gbm.model_selection import PrequentialSplit

# Not ours to check: what a library reads itself, and fields of displays, which
# from_predictions has computed from checked arguments.
OTHERS = {
    "FocalLGBMClassifier": {"min_child_weight"},
    "FocalLGBMClassifier.predict": {"start_iteration", "num_iteration"},
    "FocalLGBMClassifier.predict_proba": {"start_iteration", "num_iteration"},
    "plotting.AlertCurveDisplay": {"budget"},
    "plotting.ReliabilityDisplay": {"rate"},
    "plotting.ReportingDelayDisplay": {"longest"},
}
PARAMETERS = [
    parameter
    for parameter in numeric_parameters()
    if parameter.name not in OTHERS.get(parameter.function, ())
]
# A larger size is valid, and takes long.
SIZES = ("max_trees", "n_customers", "n_days", "n_resamples", "n_terminals")
LARGEST_SIZE = 8

NAN = float("nan")
INF = float("inf")
VALUES = (
    *(NAN, INF, -INF, 0, -0.0, 1, -1, 2, 2.5, 5e-324, -5e-324, 1e-310, 1e-40, 1e308),
    *(-1e308, 10**400, -(10**400), 2**63, 1.0 - 2**-53, 1.0 + 2**-52, 30.5, 1000.5),
    *(True, False, np.True_, None, "", "1", "nan", b"1", 1j, (), [0.5], {}, print),
    *(np.float16(0.5), np.float32(0.5), np.float32(NAN), np.longdouble("1e4000")),
    *(np.int8(1), np.uint64(2**64 - 1), np.complex64(1)),
    *(np.timedelta64(1, "D"), np.timedelta64("NaT"), np.datetime64("2024-01-01")),
    *(Decimal("0.5"), Decimal("sNaN"), Fraction(1, 2), Fraction(10**400), pd.NA),
    *(np.array(0.5), np.array(NAN), np.array([0.5]), np.array([], float)),
)
NUMBERS = st.one_of(
    st.floats(),
    st.floats(0.0, 1.0),
    st.integers(-3, LARGEST_SIZE),
    st.floats(width=32).map(np.float32),
    st.floats(width=16).map(np.float16),
    st.integers(-128, 127).map(np.int8),
    st.fractions(0, 3),
)

Y, SCORE = np.array([0, 0, 1, 0, 1, 0]), np.array([0.1, 0.4, 0.8, 0.3, 0.2, 0.1])
RAW = np.array([-1e3, -1.0, 0.0, 1.0, 1e3, 0.5])
DAY, CARD = np.array([1, 1, 2, 2, 3, 3]), np.array([7, 8, 8, 9, 7, 9])
X, LABELS = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
REPORTS = [0.0, 1.0, 1.0, 2.0], [3.0, 1.0, 2.0, 2.0]


def of_loss(**values: Any) -> Any:
    """Return the quantities of the loss at scores of any size."""
    loss = focal_gbm.FocalLoss(**values)
    derivatives = loss.gradient_hessian(Y, RAW)
    return [loss.loss(Y, RAW), *derivatives, loss.log_odds(RAW), loss.constant(Y)]


def of_calibrator(**values: Any) -> Any:
    """Return calibrated log-odds."""
    fitted = focal_gbm.LogOddsCalibrator(**values).fit(SCORE, Y)
    return fitted.predict(SCORE)


def of_classifier(estimator: Any, **values: Any) -> Any:
    """Return the probabilities of a model of one tree."""
    if "calibration_cv" in values:
        values["calibration"] = "intercept"
    model = estimator(n_estimators=1, n_jobs=1, **values).fit(X, LABELS)
    return model.predict_proba(X)


def of_cross_fit(**values: Any) -> Any:
    """Return the probabilities of folds with one tree each."""
    base = focal_gbm.FocalLGBMClassifier(n_jobs=1, verbose=-1)
    few = {"sizes": [{}], "cv": 2, "max_trees": 1, "calibration": None, **values}
    return focal_gbm.FocalClassifierCV(base, **few).fit(X, LABELS).predict_proba(X)


def of_threshold(**values: Any) -> Any:
    """Return a threshold, by the parameters that belong together."""
    beside = {"budget": {"n_days": 2}, "n_days": {"budget": 1}, "rate": {}}
    (name,) = values
    threshold = metrics.alert_threshold(SCORE, **values, **beside[name])
    return min(threshold, 1e300)  # inf: no alert


def of_periods(**values: Any) -> Any:
    """Return the numbers of the table that are always defined."""
    table = metrics.calibration_by_period(Y, SCORE, DAY, **values)
    return table[["n", "n_positive", "expected", "low"]].to_numpy(float)


def of_cost(**values: Any) -> Any:
    """Return a mean cost."""
    return metrics.expected_cost(Y, SCORE, **{"fraud_cost": 5.0, **values})


def of_interval(**values: Any) -> Any:
    """Return a bootstrap interval of few resamples."""
    few = {"n_resamples": 3, "random_state": 0, **values}
    return metrics.bootstrap_interval(metrics.recall_at_alert_rate, Y, SCORE, **few)


def of_delays(**values: Any) -> Any:
    """Return maturities."""
    return delays.ReportingDelay(tail=None, **values).fit(*REPORTS).maturity([0.0, 1.0])


@cache
def reporting() -> Any:
    """Return a fitted curve of delays."""
    return delays.ReportingDelay(tail=None).fit(*REPORTS)


@cache
def model() -> Any:
    """Return a fitted classifier."""
    few = {"n_estimators": 1, "n_jobs": 1, "verbose": -1, "min_child_samples": 5}
    return focal_gbm.FocalLGBMClassifier(**few).fit(X, LABELS)


def of_split(**values: Any) -> Any:
    """Return the sizes of the parts of each split."""
    usual = {"train": 2, "delay": 1, "test": 2, "step": 1, "time": np.arange(40.0)}
    splits = PrequentialSplit(**{**usual, **values}).split(X)
    return [[len(train), len(test)] for train, test in splits]


def of_transactions(**values: Any) -> Any:
    """Return the numbers of a small simulation."""
    small = {"n_customers": 3, "n_terminals": 3, "n_days": 3}
    beside = {
        "never_reported": {"reporting_delay": 1.0},
        "new_fraud_rate": {"new_fraud_day": 1},
        "new_fraud_growth": {"new_fraud_day": 1},
    }
    (name,) = values
    frame = make_transactions(**{**small, **values, **beside.get(name, {})})
    return frame[["amount", "hour", "distance", "customer_n_1d", "is_fraud"]].to_numpy()


def axes(n_axes: int) -> Any:
    """Return axes in an empty figure."""
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="needs matplotlib")
    return pyplot.figure(num=n_axes, clear=True).subplots(1, n_axes)


def drawn(display: str, **arguments: Any) -> Any:
    """Return a function that draws a display, and returns its fields."""

    def draw(**values: Any) -> Any:
        plotting = pytest.importorskip("focal_gbm.plotting")
        name, method = display.split(".")
        ax = axes(3) if name == "FocalLossDisplay" else axes(1)
        given = {key: value() for key, value in arguments.items()}
        if "n_days" not in values and name == "AlertCurveDisplay":
            given["n_days"] = 2
        found = getattr(getattr(plotting, name), method)(ax=ax, **given, **values)
        fields = vars(found).values()
        return [
            value
            for value in fields
            if isinstance(value, (float, np.ndarray)) and np.asarray(value).dtype != "O"
        ]

    return draw


PREDICTIONS = {"y_true": lambda: Y}
ESTIMATOR = {"estimator": model, "X": lambda: X, "y": lambda: LABELS}
CALLS = {
    "FocalLoss": of_loss,
    "FocalObjective": lambda **v: focal_gbm.FocalObjective(**v)(Y, RAW),
    "FocalMetric": lambda **v: focal_gbm.FocalMetric(**v).evaluate(Y, SCORE),
    "FocalLGBMClassifier": lambda **v: of_classifier(
        focal_gbm.FocalLGBMClassifier, verbose=-1, **v
    ),
    "FocalXGBClassifier": lambda **v: of_classifier(focal_gbm.FocalXGBClassifier, **v),
    "FocalClassifierCV": of_cross_fit,
    "LogOddsCalibrator": of_calibrator,
    "PriorShift": lambda **v: focal_gbm.PriorShift(**v).predict(SCORE),
    "metrics.alert_threshold": of_threshold,
    "metrics.bootstrap_interval": of_interval,
    "metrics.calibration_by_period": of_periods,
    "metrics.card_precision_at_k": lambda **v: metrics.card_precision_at_k(
        Y, SCORE, CARD, DAY, **v
    ),
    "metrics.expected_cost": of_cost,
    "metrics.precision_at_alert_rate": lambda **v: np.nan_to_num(
        metrics.precision_at_alert_rate(Y, SCORE, **v)  # NaN: no alert
    ),
    "metrics.precision_at_daily_budget": lambda **v: np.nan_to_num(
        metrics.precision_at_daily_budget(Y, SCORE, DAY, **v)
    ),
    "metrics.recall_at_alert_rate": lambda **v: metrics.recall_at_alert_rate(
        Y, SCORE, **v
    ),
    "metrics.recall_at_daily_budget": lambda **v: metrics.recall_at_daily_budget(
        Y, SCORE, DAY, **v
    ),
    "metrics.recall_at_fpr": lambda **v: metrics.recall_at_fpr(Y, SCORE, **v),
    "delays.ReportingDelay": of_delays,
    "delays.ReportingDelay.interval": lambda **v: reporting().interval([0.0, 1.0], **v),
    "native.starting_point": lambda **v: native.starting_point(Y, **v),
    "spark.spark_params": lambda **v: spark.spark_params(**v)["base_score"],
    "model_selection.PrequentialSplit": of_split,
    "datasets.make_transactions": of_transactions,
    "plotting.AlertCurveDisplay.from_predictions": drawn(
        "AlertCurveDisplay.from_predictions", **PREDICTIONS, y_score=lambda: SCORE
    ),
    "plotting.AlertCurveDisplay.from_estimator": drawn(
        "AlertCurveDisplay.from_estimator", **ESTIMATOR
    ),
    "plotting.FocalLossDisplay": lambda **v: (
        pytest.importorskip("focal_gbm.plotting").FocalLossDisplay(**v).gammas
    ),
    "plotting.FocalLossDisplay.from_predictions": drawn(
        "FocalLossDisplay.from_predictions", **PREDICTIONS, raw_prediction=lambda: SCORE
    ),
    "plotting.ReliabilityDisplay.from_predictions": drawn(
        "ReliabilityDisplay.from_predictions", **PREDICTIONS, y_prob=lambda: SCORE
    ),
    "plotting.ReliabilityDisplay.from_estimator": drawn(
        "ReliabilityDisplay.from_estimator", **ESTIMATOR
    ),
    "plotting.ReportingDelayDisplay.from_estimator": drawn(
        "ReportingDelayDisplay.from_estimator", estimator=reporting
    ),
}


def size_of(value: Any) -> float:
    """Return a number as float, and inf if it is beyond float64, or no number."""
    kinds = (int, float, np.floating, np.integer, Fraction)
    if isinstance(value, (bool, np.timedelta64)) or not isinstance(value, kinds):
        return INF
    try:
        return float(value)
    except OverflowError:
        return INF


def with_examples(test: Any) -> Any:
    """Return a test of Hypothesis that tries each of VALUES."""
    for value in VALUES:
        test = example(value=value)(test)
    return test


def marked(parameter: Any) -> Any:
    """Return a parameter of a picture, which takes long where another test draws the
    same, marked as slow."""
    is_drawn = parameter.function.startswith("plotting")
    fast = ("n_bins", "n_days", "max_age")
    is_again = "from_estimator" in parameter.function and parameter.name != "max_age"
    is_slow = is_drawn and (is_again or parameter.name not in fast)
    return pytest.param(parameter, marks=[pytest.mark.slow] if is_slow else [])


def test_every_numeric_parameter_is_found():
    """A docstring without the type of a parameter would hide it."""
    found = {f"{one.function}.{one.name}" for one in PARAMETERS}
    assert len(found) > 60
    assert {"FocalLoss.gamma", "metrics.recall_at_fpr.fpr"} <= found
    assert {one.function for one in PARAMETERS} == set(CALLS)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning:matplotlib")
@pytest.mark.parametrize("parameter", [marked(one) for one in PARAMETERS], ids=str)
@settings(max_examples=15)
@given(value=NUMBERS)
@with_examples
def test_a_finite_result_or_an_error_that_names_the_parameter(parameter, value):
    number = size_of(value)
    assume(parameter.name not in SIZES or not LARGEST_SIZE < number < INF)
    result = message = None
    try:
        result = CALLS[parameter.function](**{parameter.name: value})
    except (TypeError, ValueError) as error:
        message = str(error)
    if message is not None:
        assert parameter.name in message
        return
    for part in result if isinstance(result, (list, tuple)) else [result]:
        assert np.isfinite(np.asarray(part, float)).all()
    if not np.isinf(number):
        assert not parameter.refuses(number)
    if value is None:
        assert "None" in parameter.kind
