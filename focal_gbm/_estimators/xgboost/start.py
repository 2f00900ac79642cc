"""The raw scores at which XGBoost begins, from the arguments of fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from xgboost import Booster, XGBModel

from focal_gbm._estimators.start import start_of_rows
from focal_gbm._estimators.xgboost.saved_model import OBJECTIVES, learner


def start_of(
    link: str,
    base_score: Any,
    base_margin: Any,
    base_margin_eval_set: Any,
    xgb_model: Any,
    has_eval_sets: bool,
) -> tuple[float | None, NDArray[np.float64] | None]:
    """Return the raw score at which boosting begins, and raw scores by row for XGBoost.

    The first is None where the parameter ``start`` decides.
    """
    if base_margin_eval_set is not None and base_margin is None:
        msg = (
            "base_margin_eval_set was passed without base_margin: evaluation sets and "
            "training rows would begin at different scores; pass both or neither"
        )
        raise ValueError(msg)
    if xgb_model is not None:
        if base_margin is not None or base_score is not None:
            name = "base_score" if base_margin is None else "base_margin"
            msg = (
                f"{name} and xgb_model were both passed, but boosting begins where the "
                "model ends; pass one"
            )
            raise ValueError(msg)
        _check_scale(link, xgb_model)
        # the model has the start in its base_score
        return 0.0, None
    if base_margin is None:
        return None, None
    return start_of_rows(
        base_margin,
        base_margin_eval_set,
        has_eval_sets,
        ("base_margin", "base_margin_eval_set"),
        "is not part of an XGBoost model: pass the base_margin of the rows to "
        "predict_proba too",
    )


def _check_scale(link: str, xgb_model: Any) -> None:
    """Refuse to continue a model whose raw scores are on another scale."""
    if isinstance(xgb_model, XGBModel):
        xgb_model = xgb_model.get_booster()
    if not isinstance(xgb_model, Booster):
        xgb_model = Booster(model_file=xgb_model)
    # the objective is the only trace of what raw scores mean
    objective = learner(xgb_model)["objective"]["name"]
    if objective != OBJECTIVES[link]:
        msg = (
            f"xgb_model has the objective {objective!r}, and its raw scores are not "
            f"those of link={link!r}"
        )
        raise ValueError(msg)
