"""The raw scores at which boosting begins, where the user passes them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from focal_gbm._validation import (
    Float64Array,
    check_finite_vector,
)


def start_of_rows(
    scores: ArrayLike,
    eval_scores: Any,
    has_eval_sets: bool,
    names: tuple[str, str],
    advice: str,
) -> tuple[float, Float64Array | None]:
    """Return the raw score to begin from and the scores to hand to the booster: one
    value for all rows is a start like any other. ``names`` are the parameters'."""
    name, eval_name = names
    given = check_finite_vector(scores, name)
    if len(given) and (given == given[0]).all():
        others = eval_scores.values() if isinstance(eval_scores, dict) else eval_scores
        if all((np.asarray(other) == given[0]).all() for other in others or ()):
            return float(given[0]), None
    if has_eval_sets and eval_scores is None:
        msg = f"{eval_name} must be given where {name} differs by row"
        raise ValueError(msg)
    warnings.warn(f"{name} differs by row and {advice}", UserWarning, stacklevel=4)
    return 0.0, given
