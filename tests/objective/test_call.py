"""What an objective reads of a call: arrays of any kind, or a library's data set."""

from __future__ import annotations

import sys
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pandas as pd
import polars as pl
import pytest
import xgboost as xgb
from libraries import make_rows
from scores import GRID, both_classes

import focal_gbm
from focal_gbm import (
    FocalLoss,
    FocalMetric,
    FocalObjective,
)
from focal_gbm.objective import _call
from focal_gbm.objective._call import read_call

PACKAGE = Path(focal_gbm.__file__).parent


def test_labels_and_dtypes_are_equal():
    y, z = both_classes(GRID)
    expected = FocalObjective()(y, z)
    for labels in (y.astype(bool), y.astype(np.int8), list(y)):
        for scores in (z.astype(np.float64), list(map(float, z)), z[:, None]):
            for a, b in zip(FocalObjective()(labels, scores), expected, strict=True):
                np.testing.assert_array_equal(a, b)


def kinds(values):
    """Return values as the arrays that users have."""
    array = np.array(values, np.float64)
    nullable = "Int64" if (array == array.round()).all() else "Float64"
    yield array.astype(">f8")
    yield array.astype(">f4")
    yield array.astype(np.float16)
    yield array.astype(object)
    yield array.astype(np.longdouble)
    yield np.repeat(array, 2)[::2]
    yield pd.Series(array).astype(nullable)
    yield pd.Series(array).astype(nullable)[::-1].sort_index()
    yield pd.Series(array, dtype="double[pyarrow]")
    yield pl.Series(values)
    yield values


def test_arrays_of_any_kind():
    y, raw, weight = [0, 1, 1, 0], [-1.0, 0.5, 2.0, -3.0], [1.0, 2.0, 0.5, 3.0]
    metrics = [FocalMetric(metric=name) for name in ("log_loss", "focal", "error")]
    metrics.append(FocalMetric(metric="recall_at_fpr"))
    expected = [array.copy() for array in FocalObjective()(y, raw, weight)]
    values = [metric.evaluate(y, raw, weight) for metric in metrics]
    labels = [*kinds(y), pd.Series(y, dtype="boolean"), np.array(y, bool)]
    labels.append(pd.Series(y).astype("category"))
    calls = [(kind, raw, weight) for kind in labels]
    calls += [(y, kind, weight) for kind in kinds(raw)]
    calls += [(y, raw, kind) for kind in kinds(weight)]
    calls += [
        (y, np.array(raw)[:, None], weight),
        (y, pd.DataFrame({"z": raw}), weight),
    ]
    for call in calls:
        for ours, truth_ in zip(FocalObjective()(*call), expected, strict=True):
            np.testing.assert_array_equal(ours, truth_)
        for metric, value in zip(metrics, values, strict=True):
            assert metric.evaluate(*call) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("missing", [None, pd.NA, np.nan])
def test_blanks_of_pandas_are_missing(missing):
    good, bad = [0.0, 1.0], pd.Series([0, missing], dtype="Int64")
    for measure in (FocalObjective(), FocalMetric().evaluate, FocalLoss().gradient):
        with pytest.raises(ValueError, match=r"y_true must hold 0 and 1 .* row 1"):
            measure(bad, good)
        with pytest.raises(ValueError, match=r"raw_prediction must not be NaN.* row 1"):
            measure(good, bad)
        with pytest.raises(ValueError, match=r"sample_weight must be finite .* row 1"):
            measure(good, good, bad)


@pytest.mark.parametrize(
    ("y", "raw", "weight", "message"),
    [
        ([0, 1, 1], [0, np.nan, 0], None, "raw_prediction must not be NaN, .* row 1"),
        ([0, 2, 1], [0, 0, 0], None, "y_true must hold 0 and 1 only, got 2.0 in row 1"),
        ([0, 1, np.nan], [0, 0, 0], None, "y_true must hold .* got nan in row 2"),
        ([0, 1, 1], [0, 0, 0], [1, 1, -2], "sample_weight must be .* got -2.0"),
        ([0, 1, 1], [0, 0, 0], [1, np.nan, 1], "sample_weight must be .* got nan"),
        ([0, 1, 1], [0, 0, 0], [1, 1, np.inf], "sample_weight must be .* got inf"),
        (
            [0, 1, 1],
            [0, 0, 0],
            [1, 1e300, 1],
            r"must be below 8.5.* got 1e\+300 in row 1",
        ),
        (
            [0, 1, 1],
            [0, 0, 0],
            [1, 1, 1e38],
            "may overflow float32, got 1e[+]38 in row 2",
        ),
        (
            [0, 1, 1],
            [0, 0, 0],
            [1e-300] * 3,
            "at least 1.18e-38, .* got 1e-300 at most",
        ),
        ([0, 1, 1], [0, 0, 0], [0, 0, 0], "sample_weight must hold a positive value"),
        ([0, 1e300, 1], [0, 0, 0], None, r"y_true must hold .* got 1e\+300 in row 1"),
        (["a", "b", "a"], [0, 0, 0], None, "y_true must hold 0 and 1 only, got 'a'"),
        ([0, 1], [0, 0, 0], None, "y_true must have 3 values"),
        ([0, 1, 1], [0, 0, 0], [1], "sample_weight must have 3 values"),
        ([0, 1], [[0, 0], [0, 0]], None, "raw_prediction must be one-dimensional"),
    ],
)
@pytest.mark.parametrize("link", ["posterior", "logit"])
def test_bad_data(link, y, raw, weight, message):
    """NaN gradients give a model of zeros in LightGBM, a NaN model in XGBoost."""
    with pytest.raises(ValueError, match=message):
        FocalObjective(link=link)(y, raw, weight)


WAYS = {
    "arrays": lambda y, raw, weight: (y, raw, weight),
    "lightgbm": lambda y, raw, weight: (raw, lightgbm_data(y, weight)),
    "xgboost": lambda y, raw, weight: (
        raw,
        xgb.DMatrix(raw[:, None], y, weight=weight),
    ),
}


def test_scores_that_are_no_vector_are_converted_or_refused():
    """Scores of a booster are read in its dtype, whatever their layout."""
    for dtype in (np.float32, np.float64):
        raw = np.arange(6, dtype=dtype)
        for scores in (raw[::2], raw[:3, None]):
            call = read_call(np.zeros(3), scores)
            assert call.raw.dtype == dtype
            assert call.raw.flags.c_contiguous
            np.testing.assert_array_equal(call.raw, scores.ravel())
    assert read_call(np.zeros(1), np.array(0.5)).raw.tolist() == [0.5]
    with pytest.raises(ValueError, match="raw_prediction must be one-dimensional"):
        read_call(np.zeros(2), np.zeros((2, 2)))


def lightgbm_data(y, weight):
    return lgb.Dataset(np.zeros((len(y), 1)), y, weight=weight).construct()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_call_is_read_once_and_checked_once(way, weighted):
    """The way of a raw score to its gradient: at most eight functions of the package,
    none of them twice."""
    rng = np.random.default_rng(0)
    y = (rng.random(50) < 0.3).astype(np.float32)
    raw = rng.normal(size=50).astype(np.float64 if way == "lightgbm" else np.float32)
    call = WAYS[way](y, raw, y + 1 if weighted else None)
    objective = FocalObjective(2.0, 0.3)
    objective(*call)
    entered = []

    def watch(frame, event, _argument):
        path = Path(frame.f_code.co_filename)
        if event == "call" and PACKAGE in path.parents:
            entered.append(frame.f_code.co_name)

    sys.setprofile(watch)
    try:
        objective(*call)
    finally:
        sys.setprofile(None)
    assert entered[0] == "__call__"
    # some versions of Python report compiled functions too
    assert "fill_derivatives" in entered[-2:]
    assert entered[-1] in ("fill_derivatives", "_fill_chunks")
    assert len(entered) == len(set(entered)) <= 8, entered


@pytest.fixture(scope="module")
def data():
    return make_rows(3000, 5, seed=11)


@pytest.mark.parametrize("by", ["C", "Python"])
def test_labels_and_weights_are_those_of_the_matrix(by, data, monkeypatch):
    X, y = data
    if by == "Python":
        monkeypatch.setattr(_call, "_LIBRARY", "no such name")
    w = np.float32(1.0) + np.arange(3000, dtype=np.float32) % 3
    for weight in (None, w):
        matrix = xgb.DMatrix(X, y, weight=weight)
        labels, _, weights, _ = read_call(X[:, 0], matrix)
        np.testing.assert_array_equal(labels, matrix.get_label())
        if weight is None:
            assert weights is None
        else:
            np.testing.assert_array_equal(weights, matrix.get_weight())
    matrix.set_label(1 - y)
    np.testing.assert_array_equal(read_call(X[:, 0], matrix).labels, 1 - y)

    class Own(xgb.DMatrix):
        pass

    own = Own(X, y)
    np.testing.assert_array_equal(read_call(X[:, 0], own).labels, y)


def test_a_matrix_that_xgboost_cannot_read_is_named(monkeypatch):
    """An error of the C interface is a number, and the labels would be any memory."""
    matrix = xgb.DMatrix(np.zeros((2, 1)), [0.0, 1.0])
    monkeypatch.setattr(xgb.core._LIB, "XGDMatrixGetFloatInfo", lambda *_: -1)
    with pytest.raises(RuntimeError, match="XGBoost cannot give the label of <xgb"):
        read_call(np.zeros(2, np.float32), matrix)
