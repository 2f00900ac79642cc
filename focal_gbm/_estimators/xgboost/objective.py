"""The objective as XGBoost's estimators take it; labels and weights are not copied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost.sklearn
from xgboost import DMatrix

from focal_gbm.objective import FocalObjective
from focal_gbm.objective._call import read_call

# From XGBoost 3.4 on the estimators hand the DMatrix to an objective of a class that
# has been there since 3.2; before, they hand copies of its labels and weights to a
# callable. In 2.1 the same name is a type alias.
_Objective: Any = getattr(xgboost.sklearn, "Objective", None)
if not isinstance(_Objective, type):
    _Objective = None


@dataclass(eq=False)
class Rows:
    """The training rows as a DMatrix, which the parent's fit makes."""

    matrix: DMatrix | None = None


def objective_on(rows: Rows, objective: FocalObjective) -> Any:
    """Return the objective in the form that this XGBoost's estimators take."""
    if _Objective is None:
        return _OnRows(rows, objective)
    return _on_matrix(objective)


def take(rows: Rows, matrix: DMatrix) -> None:
    """Keep the training rows, and spare the copies that nobody reads."""
    rows.matrix = matrix
    if _Objective is None:
        matrix.get_label = matrix.get_weight = lambda: np.empty(0, np.float32)


class _OnRows:
    """The objective for XGBoost before 3.4, which reads labels and weights from the
    DMatrix that the estimator has kept."""

    def __init__(self, rows: Rows, objective: FocalObjective) -> None:
        self._rows = rows
        self._objective = objective

    def __call__(self, _y_true: Any, raw: Any) -> Any:
        call = read_call(raw, self._rows.matrix)
        return self._objective.gradient_hessian(call, over_scores=True)


def _on_matrix(objective: FocalObjective) -> Any:
    class OnMatrix(_Objective):
        """The objective for XGBoost 3.4 and later."""

        def __call__(self, _iteration: int, raw: Any, matrix: DMatrix) -> Any:
            return objective.gradient_hessian(read_call(raw, matrix), over_scores=True)

    return OnMatrix()
