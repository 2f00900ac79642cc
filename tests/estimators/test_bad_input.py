"""Parameters, labels, weights and features that cannot be used, of both estimators."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from libraries import BOTH, LIGHTGBM, X_BAD, Y_BAD
from scipy import sparse


@BOTH
@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"focal_gamma": -1}, ValueError, "focal_gamma must be .* got -1"),
        ({"focal_gamma": np.nan}, ValueError, "focal_gamma must be .* got nan"),
        ({"focal_gamma": "2"}, TypeError, "focal_gamma must be .* got '2'"),
        ({"focal_gamma": 31.0}, ValueError, "gamma must be at most 30 .* got 31.0"),
        ({"focal_alpha": 0.0}, ValueError, "focal_alpha must be .* got 0.0"),
        ({"focal_alpha": 1.0}, ValueError, "focal_alpha must be .* got 1.0"),
        ({"link": "magic"}, ValueError, "link must be one of .* got 'magic'"),
        ({"start": 2.0}, ValueError, "start must be .* got 2.0"),
        ({"start": None}, TypeError, "start must be .* got None"),
        ({"max_step": 0}, ValueError, "max_step must be .* got 0"),
        ({"max_step": -1.0}, ValueError, "max_step must be .* got -1.0"),
        ({"objective": print}, ValueError, "objective must be None or 'binary"),
        ({"scale_pos_weight": 0.0}, ValueError, "scale_pos_weight must be .* got 0.0"),
        ({"calibration": "x"}, ValueError, "calibration must be one of .* got 'x'"),
        ({"calibration": 3}, ValueError, "calibration must be one of .* got 3"),
        ({"calibrations": "x"}, ValueError, "did you mean calibration?"),
        ({"lerning_rate": 0.1}, ValueError, "did you mean learning_rate?"),
    ],
)
def test_bad_parameters(library, kwargs, error, message):
    with pytest.raises(error, match=message):
        library.model(**kwargs).fit(X_BAD, Y_BAD)


@BOTH
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(60), r"needs two classes in y, got one class only: \[0.0\]"),
        (np.arange(60) % 3, "Only binary classification is supported.* 3 classes"),
        (np.where(Y_BAD == 1, np.nan, 0.0), "Input y contains NaN"),
        (np.where(Y_BAD == 1, np.inf, 0.0), "Input y contains infinity"),
        (np.where(Y_BAD == 1, "a", None), "Input y contains NaN: no label in row 0"),
        (Y_BAD + 0.5, "Unknown label type: continuous"),
        (Y_BAD[:59], "inconsistent numbers of samples"),
        (None, "requires y to be passed, but the target y is None"),
    ],
)
def test_bad_labels(library, y, message):
    """Three classes are refused: the binary formulas on softmax probabilities, as
    elsewhere, are the gradient of nothing."""
    with pytest.raises(ValueError, match=message):
        library.model().fit(X_BAD, y)


@BOTH
@pytest.mark.filterwarnings("ignore:The argument 'eval_set'")
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-np.ones(60), "sample_weight must be finite and >= 0, got -1.0 in row 0"),
        (np.full(60, np.nan), "sample_weight must be finite .* got nan in row 0"),
        (np.full(60, np.inf), "sample_weight must be finite .* got inf in row 0"),
        (np.ones(3), "sample_weight must have 60 values, .* got 3"),
        (np.zeros(60), "sample_weight must hold a positive value"),
        (Y_BAD, "sample_weight leaves one class"),
    ],
)
def test_bad_weights(library, weight, message):
    with pytest.raises(ValueError, match=message):
        library.model().fit(X_BAD, Y_BAD, sample_weight=weight)
    name = library.eval_weights
    weights = {name: [weight if weight is not Y_BAD else weight - 1]}
    with pytest.raises(ValueError, match=name):
        library.model().fit(X_BAD, Y_BAD, eval_set=[(X_BAD, Y_BAD)], **weights)


@BOTH
@pytest.mark.parametrize(
    "X", [np.empty((0, 3)), pd.DataFrame({"a": []}), sparse.csr_matrix((0, 3))]
)
def test_no_rows(library, X):
    with pytest.raises(ValueError, match=r"found 0 sample\(s\) in X and y"):
        library.model().fit(X, [])


@BOTH
@pytest.mark.parametrize("X", [np.empty((60, 0)), pd.DataFrame(index=range(60))])
def test_no_features(library, X):
    with pytest.raises(ValueError, match=r"found 0 feature\(s\) \(shape=\(60, 0\)\)"):
        library.model().fit(X, Y_BAD)


@BOTH
def test_wrong_number_of_features(library, data):
    X, y = data
    model = library.model().fit(X, y)
    expected = "X has 2 features" if library is LIGHTGBM else "expected: 5, got 2"
    with pytest.raises(ValueError, match=expected):
        model.predict_proba(X[:, :2])
