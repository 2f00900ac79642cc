"""Labels of two classes, as codes, with their weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight

from focal_gbm._checks import (
    Float64Array,
    check_flag,
    check_positive,
    equal_to,
    in_host_memory,
    native,
)
from focal_gbm._columns import in_memory

# Below this mean the weights are on another scale than min_child_weight.
_SMALL_WEIGHT = 0.1


def as_labels(y: Any) -> NDArray[Any]:
    """Return labels as a vector of a dtype that all tools beneath know: numbers,
    booleans, texts or dates of NumPy."""
    labels = native(column_or_1d(np.asarray(in_host_memory(in_memory(y))), warn=True))
    if labels.dtype == np.float16:
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
        if times.dt.tz is not None:
            times = times.dt.tz_convert(None)
        return times.to_numpy()
    return labels


def encode(labels: Any, classes: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return the codes 0 and 1 of labels of known ``classes``."""
    labels = column_or_1d(np.asarray(in_host_memory(in_memory(labels))), warn=True)
    if classes.dtype.kind == "M" and labels.dtype == object:
        labels = as_labels(labels)
    positive = equal_to(labels, classes[1])
    unknown = ~(positive | equal_to(labels, classes[0]))
    if unknown.any():
        row = int(unknown.argmax())
        msg = (
            f"{name} contains previously unseen labels: {labels[row]!r} in row {row}; "
            f"the labels fitted are {classes.tolist()}"
        )
        raise ValueError(msg)
    return positive.astype(np.uint8)


def doubts(
    codes: NDArray[np.uint8], classes: NDArray[Any], weight: Float64Array | None
) -> Iterator[str]:
    """Yield what is to be said of labels and weights that can be used, but hardly as
    they were meant."""
    share = float(codes.mean())
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
    if weight is None:
        return
    mean = float(weight.sum() / np.count_nonzero(weight))
    if mean < _SMALL_WEIGHT:
        yield (
            f"sample_weight has a mean of {mean:.3g}: a weight says how many rows of "
            "the population a row stands for, and min_child_weight and reg_lambda are "
            "on that scale, so that few leaves can split or none; divide the weights "
            "by their mean"
        )


def class_weights(
    class_weight: Any, classes: NDArray[Any], labels: NDArray[Any]
) -> tuple[float, float]:
    """Return the weights that ``class_weight`` gives to class 0 and 1."""
    if class_weight is None:
        return 1.0, 1.0
    if isinstance(class_weight, dict):
        given = [1.0, 1.0]
        for label, weight in class_weight.items():
            is_label = equal_to(classes, label)
            if not is_label.any():
                msg = (
                    f"class_weight names the label {label!r}, which y does not hold: "
                    f"its labels are {classes.tolist()}"
                )
                raise ValueError(msg)
            given[int(is_label.argmax())] = weight
    else:
        given = compute_class_weight(class_weight, classes=classes, y=labels)
    for weight in given:
        is_number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not is_number or not 0 < weight < math.inf:
            msg = f"class_weight must be finite and > 0, got {class_weight!r}"
            raise ValueError(msg)
    return float(given[0]), float(given[1])


def imbalance_factors(
    codes: NDArray[np.uint8], scale_pos_weight: float, is_unbalance: Any
) -> tuple[float, float]:
    """Return the factors of class 0 and 1 that the boosters' own parameters ask for."""
    scale = check_positive(scale_pos_weight, "scale_pos_weight")
    if not check_flag(is_unbalance, "is_unbalance"):
        return 1.0, scale
    if scale != 1.0:
        msg = "is_unbalance and scale_pos_weight cannot both be set"
        raise ValueError(msg)
    # LightGBM's rule: the rarer class weighs as much as the other
    positives = int(codes.sum())
    ratio = (len(codes) - positives) / positives
    return max(1.0 / ratio, 1.0), max(ratio, 1.0)
