"""Callbacks of LightGBM around a fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from lightgbm import (
    Booster,
    log_evaluation,
    record_evaluation,
)
from lightgbm.callback import CallbackEnv
from numpy.typing import NDArray
from sklearn.utils import check_array

from focal_gbm._estimators.lightgbm.parameters import given
from focal_gbm._estimators.progress import ProgressBar
from focal_gbm._estimators.training import Training

REPORTING = (type(log_evaluation()), type(record_evaluation({})))


class WithoutReset:
    """Callback that keeps LightGBM from setting the objective to "none" once more.

    Before its first iteration with a callable, ``Booster.update`` (4.6, 4.7) resets the
    parameters to the objective alone, though ``train`` has set it: that fails where no
    column has two values, and warns of a ``max_depth`` without ``num_leaves``. The
    booster that training leaves is made anew, without this mark.
    """

    before_iteration = True

    def __call__(self, env: CallbackEnv) -> None:
        env.model._Booster__set_objective_to_none = True


def scores_are_predictions(parameters: Mapping[str, Any]) -> bool:
    """Whether the scores of training are what the model will predict: linear trees
    predict otherwise, and asking dart drops the trees of the next iteration."""
    is_dart = given(parameters, "boosting") == "dart"
    return not (is_dart or given(parameters, "linear_tree", False))


class Closing:
    """Callback that finds the closing constant from the scores of the last iteration,
    which LightGBM already has: to predict them again takes every row through every
    tree."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._iteration = -1
        self._constant = 0.0

    def __call__(self, env: CallbackEnv) -> None:
        if env.iteration == env.end_iteration - 1:
            env.model.eval_train(self._measure)
            self._iteration = env.iteration + 1

    def _measure(self, raw: NDArray[np.float64], _: Any) -> tuple[str, float, bool]:
        self._constant = self._training.closing_constant(raw)
        return "closing constant", self._constant, False

    def constant(self, booster: Booster) -> float:
        """Return the constant for the trees that predictions will use."""
        ran_through = self._iteration > 0
        if ran_through and booster.best_iteration in (-1, 0, self._iteration):
            return self._constant
        training = self._training
        raw = booster.predict(
            _as_parent_reads(training.X), raw_score=True, num_threads=training.n_jobs
        )
        if training.init_score is not None:
            raw = raw + training.init_score
        return training.closing_constant(raw)


def _as_parent_reads(X: Any) -> Any:
    """Return what the parent's fit and predict make of features in an array."""
    if hasattr(X, "columns") or hasattr(X, "column_names"):
        return X
    return check_array(
        X,
        accept_sparse=True,
        dtype=(np.float64, np.float32),
        ensure_all_finite=False,
    )


class Progress(ProgressBar):
    """Callback that shows the iterations and the last metrics."""

    def __call__(self, env: CallbackEnv) -> None:
        results = env.evaluation_result_list or ()
        self.show(
            env.end_iteration - env.begin_iteration,
            {f"{result[0]} {result[1]}": result[2] for result in results},
        )
