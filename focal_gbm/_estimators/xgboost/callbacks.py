"""Callbacks that a fit adds to XGBoost's training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xgboost import Booster, DMatrix
from xgboost.callback import (
    EvaluationMonitor,
    TrainingCallback,
    TrainingCheckPoint,
)

from focal_gbm._estimators.progress import ProgressBar

REPORTING = (EvaluationMonitor, TrainingCheckPoint)


class Completion(TrainingCallback):
    """Callback that completes the model when training ends.

    XGBoost still has the raw scores of the training rows then; to predict them again
    would take every row through every tree.
    """

    def __init__(self, complete: Callable[[Booster], Booster]) -> None:
        super().__init__()
        self._complete = complete

    def before_training(self, model: Booster) -> Booster:
        # those of a model that is continued would cut its new trees off
        model.set_attr(best_iteration=None, best_score=None)
        return model

    def after_training(self, model: Booster) -> Booster:
        return self._complete(model)


class Progress(ProgressBar, TrainingCallback):
    """Callback that shows the rounds and the latest metrics."""

    def __init__(self, title: str, total: int) -> None:
        super().__init__(title)
        self._total = total

    def after_iteration(self, _model: Any, _epoch: int, evals_log: Any) -> bool:
        values = {
            f"{data} {metric}": history[-1]
            for data, results in evals_log.items()
            for metric, history in results.items()
        }
        self.show(self._total, values)
        return False


class Checkpoints(TrainingCallback):
    """Callback that passes raw scores of held-out rows on, once in ``every`` rounds.

    ``decide`` takes the number of rounds and the raw scores. It returns the number of
    rounds to keep, which ends the training, or None.
    """

    def __init__(
        self, matrix: DMatrix, every: int, last: int, decide: Callable[..., int | None]
    ) -> None:
        super().__init__()
        self._matrix = matrix
        self._every = every
        self._last = last
        self._decide = decide

    def after_iteration(self, model: Booster, epoch: int, _evals_log: Any) -> bool:
        rounds = epoch + 1
        if rounds % self._every and rounds != self._last:
            return False
        # XGBoost keeps the scores of a DMatrix and adds those of new trees
        kept = self._decide(rounds, model.predict(self._matrix, output_margin=True))
        if kept is None:
            return False
        model.set_attr(best_iteration=str(kept - 1))
        return True
