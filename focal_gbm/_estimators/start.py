"""The raw scores at which boosting begins."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from focal_gbm._validation import (
    Float64Array,
    check_finite_vector,
)
from focal_gbm.loss import FocalLoss, base_log_odds


def start_of_share(
    loss: FocalLoss,
    share: float,
    codes: NDArray[np.uint8],
    weight: Float64Array | None,
    maturity: Float64Array | None,
    probability: float | None = None,
) -> float:
    """Return the raw score at which boosting begins.

    It is that of ``share`` times the log-odds of the base rate, or of the
    ``probability`` that the user has set.
    """
    if probability is None:
        log_odds = share * base_log_odds(codes, weight, maturity)
    else:
        log_odds = float(logit(probability))
    return float(loss.raw_prediction([log_odds])[0])


def start_of_rows(
    scores: ArrayLike,
    eval_scores: Any,
    has_eval_sets: bool,
    names: tuple[str, str],
    advice: str,
) -> tuple[float, Float64Array | None]:
    """Return the raw score at which boosting begins, and raw scores by row for the
    booster.

    One value for all rows is a start and becomes part of the model. ``names`` are the
    two parameters', ``advice`` is the end of the warning about scores that differ by
    row.
    """
    name, eval_name = names
    start = check_finite_vector(scores, name)
    # a constant can be part of the model, and evaluation sets must share it
    if len(start) and (start == start[0]).all():
        others = eval_scores.values() if isinstance(eval_scores, dict) else eval_scores
        if all((np.asarray(other) == start[0]).all() for other in others or ()):
            return float(start[0]), None
    if has_eval_sets and eval_scores is None:
        msg = (
            f"{name} differs by row, and without {eval_name} the evaluation sets would "
            f"begin at other scores; pass {eval_name} too"
        )
        raise ValueError(msg)
    warnings.warn(f"{name} differs by row and {advice}", UserWarning, stacklevel=4)
    return 0.0, start
