"""The weights of the classes, which shape training and never shift the
probabilities."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from focal_gbm._kernels.rational import LARGEST_WEIGHT, SMALLEST_WEIGHT
from focal_gbm._validation import (
    equal_to,
)
from focal_gbm.loss import FocalLoss


def class_weights(
    class_weight: Any, classes: NDArray[Any], labels: NDArray[Any]
) -> tuple[float, float]:
    """Return the weights of class 0 and 1 from the parameter ``class_weight``."""
    if class_weight is None:
        return 1.0, 1.0
    if isinstance(class_weight, dict):
        weights = [1.0, 1.0]  # labels that are not named
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
        # True would be a weight of 1 and is probably a slip
        is_number = isinstance(weight, Real) and not isinstance(weight, bool)
        if not is_number or not 0 < weight < math.inf:
            msg = f"class_weight must be finite and > 0, got {class_weight!r}"
            raise ValueError(msg)
    return float(weights[0]), float(weights[1])


def weighted_loss(
    loss: FocalLoss,
    by_label: tuple[float, float],
    factors: tuple[float, float],
    classes: NDArray[Any],
) -> tuple[FocalLoss, float, float]:
    """Return the loss with the weights of the classes in its alpha, the scale that
    alpha leaves out, and the threshold of least weighted error.

    ``loss`` has the user's own alpha, ``by_label`` are the weights of class 0 and 1
    from ``class_weight``, and ``factors`` those from the library's parameters.
    """
    weights = [by_label[label] * factors[label] for label in (0, 1)]
    # Elkan (2001), eq. 2; focal_alpha is a part of the loss and no cost of an error
    threshold = weights[0] / (weights[0] + weights[1])
    if loss.alpha is not None:
        weights = [weights[0] * (1.0 - loss.alpha), weights[1] * loss.alpha]
    for weight, label in zip(weights, classes.tolist(), strict=True):
        if not SMALLEST_WEIGHT <= weight <= LARGEST_WEIGHT:
            msg = (
                f"class_weight, scale_pos_weight and focal_alpha give class {label!r} "
                f"the weight {weight:.3g}; it has to lie in [{SMALLEST_WEIGHT:g}, "
                f"{LARGEST_WEIGHT:g}]"
            )
            raise ValueError(msg)
    negative, positive = weights
    if negative == positive:  # alpha=None is alpha=1/2 without its factor 1/2
        return FocalLoss(loss.gamma, None, loss.link), negative, threshold
    total = negative + positive
    alpha = positive / total
    return FocalLoss(loss.gamma, alpha, loss.link), total, threshold
