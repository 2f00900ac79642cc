"""The objective in the form of XGBoost's estimators, without copies of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost.sklearn
from xgboost import DMatrix

from focal_gbm.objective import FocalObjective
from focal_gbm.objective._call import read_call

# From XGBoost 3.4 on the estimators pass the DMatrix to an objective of this class,
# which exists since 3.2. Before, they pass copies of its labels and weights to a
# callable. In 2.1 the same name is a type alias.
_Objective: Any = getattr(xgboost.sklearn, "Objective", None)
if not isinstance(_Objective, type):
    _Objective = None


@dataclass(eq=False)
class Rows:
    """Holder of the training rows: the DMatrix that XGBClassifier.fit makes."""

    matrix: DMatrix | None = None


def objective_on(rows: Rows, objective: FocalObjective) -> Any:
    """Return the objective in the form that the installed XGBoost's estimators take."""
    if _Objective is None:
        return _OnRows(rows, objective)
    return _on_matrix(objective)


def take(rows: Rows, matrix: DMatrix) -> None:
    """Keep the training rows, and spare the copies of labels and weights."""
    rows.matrix = matrix
    if _Objective is None:
        matrix.get_label = matrix.get_weight = lambda: np.empty(0, np.float32)


class _OnRows:
    """Objective for XGBoost before 3.4, which reads the kept DMatrix."""

    def __init__(self, rows: Rows, objective: FocalObjective) -> None:
        self._rows = rows
        self._objective = objective

    def __call__(self, _y_true: Any, raw: Any) -> Any:
        call = read_call(raw, self._rows.matrix)
        return self._objective.gradient_hessian(call, over_scores=True)


def _on_matrix(objective: FocalObjective) -> Any:
    class OnMatrix(_Objective):
        """Objective for XGBoost 3.4 and later, which receives the DMatrix."""

        def __call__(self, _iteration: int, raw: Any, matrix: DMatrix) -> Any:
            return objective.gradient_hessian(read_call(raw, matrix), over_scores=True)

    return OnMatrix()
