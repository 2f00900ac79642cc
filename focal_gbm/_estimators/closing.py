"""The closing constant: after it, as many positives are expected as are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from focal_gbm._kernels.cpu import probability_sums
from focal_gbm._validation import Float64Array
from focal_gbm.loss import FocalLoss


def expected_positives(
    loss: FocalLoss, raw: NDArray[Any], weight: Float64Array | None, shift: float
) -> tuple[float, float]:
    """Return the weighted sums of p and p (1 - p) at raw scores plus ``shift``."""
    x = raw
    if loss.link == "logit":
        x, shift = loss.log_odds(raw + shift), 0.0
    # sums in a loop of our own: NumPy would need four arrays of this length
    total, spread = probability_sums(x, weight, shift)
    return float(total), float(spread)


def closing_root(
    loss: FocalLoss, expected: Callable[[float], tuple[float, float]], total: float
) -> float:
    """Return the constant at which the first sum of ``expected`` is ``total``.

    Newton's method on the logarithm of the sum, which increases with the constant and
    is concave; the step is bounded for models that predict 1 nearly everywhere.
    """
    slope = 1.0 + loss.gamma if loss.link == "logit" else 1.0
    constant = 0.0
    for _ in range(100):
        mean, spread = expected(constant)
        step = math.log(mean / total) * mean / (spread * slope)
        constant -= min(max(step, -5.0), 5.0)
        if abs(step) < 1e-9:  # the sum is right to nine digits
            break
    return constant
