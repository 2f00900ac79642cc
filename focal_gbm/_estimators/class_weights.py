"""Weights of the classes: they shape the training and never shift a probability."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from focal_gbm._validation import (
    equal_to,
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
