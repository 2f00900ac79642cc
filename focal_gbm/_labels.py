"""Labels of two classes, as codes, with their weights."""

from __future__ import annotations

import math
import warnings
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight

from focal_gbm._checks import (
    Float64Array,
    check_positive,
    equal_to,
    in_host_memory,
    native,
)
from focal_gbm._columns import in_memory

# Below this mean the weights are on another scale than min_child_weight.
_SMALL_WEIGHT = 0.1


def as_labels(y: Any) -> NDArray[Any]:
    """Return labels as a vector of a dtype that all tools beneath know."""
    labels = column_or_1d(np.asarray(in_host_memory(in_memory(y))), warn=True)
    if labels.dtype == object and not pd.isna(labels).any():
        values = pd.unique(labels)
        if all(isinstance(value, (Real, np.bool_)) for value in values):
            labels = np.asarray(labels.tolist())
        else:
            kinds = {str if isinstance(v, str) else type(v) for v in values}
            if len(kinds) > 1:
                names = ", ".join(sorted(kind.__name__ for kind in kinds))
                msg = f"y must hold labels of one type, got {names} in one column"
                raise ValueError(msg)
    return native(labels.astype(np.float32) if labels.dtype == np.float16 else labels)


def encode(labels: Any, classes: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return the codes 0 and 1 of labels of known ``classes``."""
    labels = column_or_1d(np.asarray(in_host_memory(in_memory(labels))), warn=True)
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


def warn_of_rows(
    codes: NDArray[np.uint8], classes: NDArray[Any], weight: Float64Array | None
) -> None:
    """Warn of labels and weights that can be used, but hardly as they were meant."""
    share = float(codes.mean())
    # 1 is the positive class by custom, and may be frequent; "legit" is by its letters
    by_custom = classes.dtype.kind in "biuf" and classes[1] == 1
    if share > (0.9 if by_custom else 0.5):
        negative, positive = classes.tolist()
        msg = (
            f"the positive class is {positive!r}, the second label in sorted order, "
            f"and holds {share:.0%} of the rows; if {negative!r} is the rare class to "
            f"find, encode the labels as y == {negative!r}, or read the first column "
            f"of predict_proba and pass pos_label={negative!r} to scorers, measures "
            "and displays"
        )
        warnings.warn(msg, UserWarning, stacklevel=4)
    if weight is None:
        return
    mean = float(weight.sum() / np.count_nonzero(weight))
    if mean < _SMALL_WEIGHT:
        msg = (
            f"sample_weight has a mean of {mean:.3g}: a weight says how many rows of "
            "the population a row stands for, and min_child_weight and reg_lambda are "
            "on that scale, so that few leaves can split or none; divide the weights "
            "by their mean"
        )
        warnings.warn(msg, UserWarning, stacklevel=4)


def class_weights(
    class_weight: Any, classes: NDArray[Any], labels: NDArray[Any]
) -> tuple[float, float]:
    """Return the weights that ``class_weight`` gives to class 0 and 1."""
    if class_weight is None:
        return 1.0, 1.0
    given = compute_class_weight(class_weight, classes=classes, y=labels)
    if not all(0 < weight < math.inf for weight in given):
        msg = f"class_weight must be finite and > 0, got {class_weight!r}"
        raise ValueError(msg)
    return float(given[0]), float(given[1])


def imbalance_factors(
    codes: NDArray[np.uint8], scale_pos_weight: float, is_unbalance: bool
) -> tuple[float, float]:
    """Return the factors of class 0 and 1 that the boosters' own parameters ask for."""
    scale = check_positive(scale_pos_weight, "scale_pos_weight")
    if not is_unbalance:
        return 1.0, scale
    if scale != 1.0:
        msg = "is_unbalance and scale_pos_weight cannot both be set"
        raise ValueError(msg)
    # LightGBM's rule: the rarer class weighs as much as the other
    positives = int(codes.sum())
    ratio = (len(codes) - positives) / positives
    return max(1.0 / ratio, 1.0), max(ratio, 1.0)
