"""Features, labels and weights in containers of every kind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
from libraries import (
    BOTH,
    LIGHTGBM,
    LIGHTGBM_VERSION,
    XGBOOST,
    XGBOOST_VERSION,
)
from scipy import sparse

IS_NEW = {LIGHTGBM: LIGHTGBM_VERSION >= (4, 7), XGBOOST: XGBOOST_VERSION >= (3, 0)}


@BOTH
def test_containers(library, data):
    X, y = data
    expected = library.model().fit(X, y).predict_proba(X)
    frame = pd.DataFrame(X, columns=list("abcde"))
    cases = [
        (X.tolist(), y.tolist()),
        (np.asfortranarray(X), y.astype(bool)),
        (frame, pd.Series(y, index=np.arange(3000)[::-1])),
        (frame, pd.Series(y, dtype="Int64")),
        (frame, pd.Series(y).astype("category")),
        (sparse.csr_matrix(X), y),
    ]
    # before, they take no polars, and LightGBM no pyarrow with this scikit-learn
    if IS_NEW[library]:
        cases.append((polars.from_pandas(frame), polars.Series(y)))
        cases.append((pyarrow.Table.from_pandas(frame), pyarrow.chunked_array([y])))
    for features, labels in cases:
        model = library.model().fit(features, labels)
        np.testing.assert_allclose(model.predict_proba(features), expected, atol=1e-6)
        assert model.n_features_in_ == 5


@BOTH
def test_labels_and_weights_on_a_gpu(library, data):
    """CuPy hands arrays out by get alone, cuDF by to_numpy."""
    X, y = data
    weight = 1.0 + np.arange(3000) % 3

    class OnDevice:
        __cuda_array_interface__ = {}  # noqa: RUF012 - as CuPy has it

        def __init__(self, values):
            self.values = values

        def get(self):
            return self.values

        def __array__(self, *args, **kwargs):
            raise TypeError("implicit conversion to NumPy is not allowed")

    expected = library.model().fit(X, y, weight).predict_proba(X)
    model = library.model().fit(X, OnDevice(y), OnDevice(weight))
    np.testing.assert_array_equal(model.predict_proba(X), expected)


@BOTH
@pytest.mark.slow
def test_weights_in_containers(library, data):
    X, y = data
    w = 1.0 + np.arange(3000) % 3
    expected = library.model().fit(X, y, sample_weight=w).predict_proba(X)
    for weight in (w.tolist(), pd.Series(w), w.astype(np.float32), w.astype(int)):
        model = library.model().fit(X, y, sample_weight=weight)
        np.testing.assert_array_equal(model.predict_proba(X), expected)


@BOTH
@pytest.mark.slow
def test_calibration_of_every_container(library, data):
    X, y = data
    kwargs = {"calibration": "platt", "calibration_cv": 2, "n_estimators": 5}
    expected = library.model(**kwargs).fit(X, y).predict_proba(X)
    frame = pd.DataFrame(X, columns=list("abcde"))
    cases = [X.tolist(), frame, sparse.csr_matrix(X), sparse.coo_matrix(X)]
    if IS_NEW[library]:
        cases += [pyarrow.Table.from_pandas(frame), polars.from_pandas(frame)]
    for features in cases:
        model = library.model(**kwargs).fit(features, y)
        np.testing.assert_allclose(model.predict_proba(features), expected, atol=1e-6)
        model.calibrate(features, y)
