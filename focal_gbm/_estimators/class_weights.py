"""The weights of the classes, which shape training and never shift the
probabilities."""

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
    """Return the weights of class 0 and 1 from the parameter ``class_weight``."""
    if class_weight is None:
        return 1.0, 1.0
    if isinstance(class_weight, dict):
        weights = [1.0, 1.0]
        for label, weight in class_weight.items():
            is_label = equal_to(classes, label)
            if not is_label.any():
                msg = (
                    f"class_weight names the label {label!r}, which y does not hold: "
                    f"its labels are {classes.tolist()}"
                )
                raise ValueError(msg)
            weights[int(is_label.argmax())] = weight
    else:
        weights = compute_class_weight(class_weight, classes=classes, y=labels)
    for weight in weights:
        is_number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not is_number or not 0 < weight < math.inf:
            msg = f"class_weight must be finite and > 0, got {class_weight!r}"
            raise ValueError(msg)
    return float(weights[0]), float(weights[1])
