"""The raw scores at which LightGBM begins, from the arguments of fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lightgbm import (
    Booster,
    LGBMModel,
)
from numpy.typing import NDArray

from focal_gbm._estimators.lightgbm.saved_model import LOG_ODDS, objective_of
from focal_gbm._estimators.start import start_of_rows


def start_of(
    link: str,
    init_score: Any,
    eval_init_score: Any,
    init_model: Any,
    has_eval_sets: bool,
) -> tuple[float | None, NDArray[np.float64] | None]:
    """Return the raw score at which boosting begins, and raw scores by row for
    LightGBM.

    The first is None where the parameter ``start`` decides.
    """
    if eval_init_score is not None and init_score is None:
        msg = (
            "eval_init_score was passed without init_score: evaluation sets and "
            "training rows would begin at different scores; pass both or neither"
        )
        raise ValueError(msg)
    if init_model is not None:
        if init_score is not None:
            msg = (
                "init_score and init_model were both passed: LightGBM would drop "
                "init_score, since boosting begins where the model ends; pass one"
            )
            raise ValueError(msg)
        _check_scale(link, init_model)
        # the trees of the model have the start in them
        return 0.0, None
    if init_score is None:
        return None, None
    return start_of_rows(
        init_score,
        eval_init_score,
        has_eval_sets,
        ("init_score", "eval_init_score"),
        "is not part of a LightGBM model: add the init_score of a row to its raw score "
        "before you read a probability",
    )


def _check_scale(link: str, init_model: Any) -> None:
    """Refuse to continue a model whose raw scores are on another scale."""
    if isinstance(init_model, LGBMModel):
        init_model = init_model.booster_
    if isinstance(init_model, Booster):
        text = init_model.model_to_string(num_iteration=1)
    else:
        text = Path(init_model).read_text(encoding="utf-8")
    named = objective_of(text)
    fitting = LOG_ODDS if link == "posterior" else ""
    if named not in ("", fitting):  # a custom objective has no line, and may be ours
        msg = (
            f"init_model has {named!r}, and its raw scores are not those of "
            f"link={link!r}"
        )
        raise ValueError(msg)
