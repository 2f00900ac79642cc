"""Labels of two classes, and their codes 0 and 1."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from focal_gbm._estimators.columns import in_memory
from focal_gbm._validation import (
    Float64Array,
    check_known,
    check_maturity,
    check_posterior,
    check_vector,
    equal_to,
    in_host_memory,
    native,
)

# Below this mean the weights are on another scale than min_child_weight.
_SMALL_WEIGHT = 0.1


def as_labels(y: Any) -> NDArray[Any]:
    """Return labels as a vector of numbers, booleans, texts or dates of NumPy."""
    labels = native(column_or_1d(np.asarray(in_host_memory(in_memory(y))), warn=True))
    if labels.dtype == np.float16:  # which pandas.factorize refuses
        return labels.astype(np.float32)
    if labels.dtype != object or pd.isna(labels).any():
        return labels
    values = pd.unique(labels)
    if all(isinstance(value, (Real, Decimal, np.bool_)) for value in values):
        numbers = np.asarray(labels.tolist())
        return numbers.astype(np.float64) if numbers.dtype == object else numbers
    kinds = {str if isinstance(v, str) else type(v) for v in values}
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        msg = f"y must hold labels of one type, got {names} in one column"
        raise ValueError(msg)
    if issubclass(kinds.pop(), date):  # datetime and pandas' Timestamp too
        times = pd.to_datetime(pd.Series(labels))
        if times.dt.tz is not None:  # NumPy has no zones: the same instants, in UTC
            times = times.dt.tz_convert(None)
        return times.to_numpy()
    return labels


def check_target(
    X: Any, y: Any, name: str
) -> tuple[NDArray[Any], NDArray[np.uint8], NDArray[Any]]:
    """Return labels as a vector, their codes 0 and 1, and the two classes.

    ``name`` is the class of the estimator, for the errors.
    """
    if y is None:
        msg = f"{name} requires y to be passed, but the target y is None"
        raise ValueError(msg)
    labels = as_labels(y)
    check_consistent_length(X, labels)
    shape: tuple[int, ...] = getattr(X, "shape", ())
    if len(shape) == 2 and shape[1] == 0:
        found = f"0 feature(s) (shape={shape}) while a minimum of 1 is required."
        msg = f"{name} needs features to fit, found {found}"
        raise ValueError(msg)
    if len(labels) == 0:
        msg = f"{name} needs rows to fit, found 0 sample(s) in X and y"
        raise ValueError(msg)
    if labels.dtype.kind == "f":
        assert_all_finite(labels, input_name="y")
    missing = np.asarray(pd.isna(labels))
    if missing.any():
        msg = f"Input y contains NaN: no label in row {int(missing.argmax())}"
        raise ValueError(msg)
    check_classification_targets(labels)
    # faster than numpy.unique on texts and objects
    codes, classes = pd.factorize(labels, sort=True)
    if len(classes) > 2:
        msg = (
            "Only binary classification is supported. The type of the target is "
            f"multiclass: y holds {len(classes)} classes"
        )
        raise ValueError(msg)
    if len(classes) < 2:
        only = np.asarray(classes).tolist()
        msg = (
            f"{name} needs two classes in y, got one class only: {only} in "
            f"{len(labels)} rows; where a search or its folds chose the rows, use "
            "StratifiedKFold, and in a halving search min_resources >= 10 * n_splits / "
            "(share of the rarer class) or resource='n_estimators'"
        )
        raise ValueError(msg)
    return labels, codes.astype(np.uint8), classes


def encode(labels: Any, classes: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return the codes 0 and 1 of labels, given the fitted ``classes``."""
    labels = column_or_1d(np.asarray(in_host_memory(in_memory(labels))), warn=True)
    # dates of Python are equal to none of NumPy's
    if classes.dtype.kind == "M" and labels.dtype == object:
        labels = as_labels(labels)
    positive = equal_to(labels, classes[1])
    unknown = ~(positive | equal_to(labels, classes[0]))
    if unknown.any():
        row = int(unknown.argmax())
        label = labels[row : row + 1].tolist()[0]
        msg = (
            f"{name} contains previously unseen labels: {label!r} in row {row}; "
            f"the labels fitted are {classes.tolist()}"
        )
        raise ValueError(msg)
    return positive.astype(np.uint8)


def doubts(
    share: float, classes: NDArray[Any], mean_weight: float | None
) -> Iterator[str]:
    """Yield warnings about labels and weights that are usable but probably not as
    meant.

    ``share`` is that of the positive class among the rows, and ``mean_weight`` the mean
    of the weights that are not 0, or None without weights.
    """
    # 1 is the positive class by custom, and may be frequent; "legit" is by its letters
    by_custom = classes.dtype.kind in "biuf" and classes[1] == 1
    if share > (0.9 if by_custom else 0.5):
        negative, positive = classes.tolist()
        yield (
            f"the positive class is {positive!r}, the second label in sorted order, "
            f"and holds {share:.0%} of the rows; if {negative!r} is the rare class to "
            f"find, encode the labels as y == {negative!r}, or read the first column "
            f"of predict_proba and pass pos_label={negative!r} to scorers, measures "
            "and displays"
        )
    if mean_weight is not None and mean_weight < _SMALL_WEIGHT:
        yield (
            f"sample_weight has a mean of {mean_weight:.3g}: a weight is the number of "
            "rows of the population that a row represents, and min_child_weight and "
            "reg_lambda are on that scale, so that few leaves can split or none; "
            "divide the weights by their mean"
        )


def known_share(
    label_maturity: Any,
    codes: NDArray[np.uint8],
    weight: Float64Array | None,
    link: str,
) -> Float64Array | None:
    """Return maturities of labels for a fit, or None where all labels are final."""
    maturity = maturity_of_rows(label_maturity, codes, link)
    if maturity is not None:
        counted = codes.astype(np.float64) if weight is None else weight * codes
        check_known(float(counted.sum()), weight, maturity)
    return maturity


def maturity_of_rows(
    label_maturity: Any,
    codes: NDArray[np.uint8],
    link: str,
    name: str = "label_maturity",
) -> Float64Array | None:
    """Return maturities of labels, each valid beside its label, or None where all
    labels are final."""
    if label_maturity is None:
        return None
    values = check_vector(label_maturity, name, np.float64, len(codes))
    impossible = (codes > 0) & (values == 0)
    if impossible.any():
        msg = (
            f"{name} is 0 in row {int(impossible.argmax())}, whose positive is "
            "known: pass the probability that a positive of this age would be known, "
            "or 1 for a row that was investigated"
        )
        raise ValueError(msg)
    maturity = check_maturity(values, name=name)
    if maturity is not None:
        check_posterior(link)
    return maturity
