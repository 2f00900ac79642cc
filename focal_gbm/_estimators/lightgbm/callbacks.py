"""Callbacks that a fit adds to LightGBM's training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from lightgbm import (
    Booster,
    log_evaluation,
    record_evaluation,
)
from lightgbm.callback import CallbackEnv, EarlyStopException
from numpy.typing import NDArray
from sklearn.utils import check_array

from focal_gbm._estimators.lightgbm.parameters import value_of
from focal_gbm._estimators.progress import ProgressBar
from focal_gbm._estimators.training import Training

# They print or record for the user, so the models of folds get no copy of them.
REPORTING = (type(log_evaluation()), type(record_evaluation({})))


class WithoutReset:
    """Callback that keeps LightGBM from setting the objective to "none" once more.

    ``Booster.update`` (4.6, 4.7) resets the parameters to the objective alone before
    the first iteration with a callable, though ``train`` has set it already. The reset
    fails where no column has two values, and it warns of a ``max_depth`` without
    ``num_leaves``. The completed booster is a new one, without this mark.
    """

    before_iteration = True

    def __call__(self, env: CallbackEnv) -> None:
        # read by Booster.update (4.6, 4.7), which sets it when it has reset
        env.model._Booster__set_objective_to_none = True


def scores_are_predictions(parameters: Mapping[str, Any]) -> bool:
    """Whether the raw scores in training are those that the model will predict.

    Linear trees predict other scores. To ask dart for scores drops the trees of the
    next iteration.
    """
    is_dart = value_of(parameters, "boosting") == "dart"
    return not (is_dart or value_of(parameters, "linear_tree", False))


class Closing:
    """Callback that finds the closing constant from the raw scores of the last
    iteration.

    LightGBM has those scores; to predict them again would take every row through every
    tree.
    """

    def __init__(self, training: Training) -> None:
        self._training = training
        self._iteration = -1
        self._constant = 0.0
        self._surplus: Any = None

    def __call__(self, env: CallbackEnv) -> None:
        # an iteration more would change the scores; one that is stopped early has no
        # last iteration, and constant() then predicts
        if env.iteration == env.end_iteration - 1:
            env.model.eval_train(self._measure)
            self._iteration = env.iteration + 1

    def at(self, booster: Booster, kept: int) -> None:
        """Find the constant of the first ``kept`` trees of a booster in training."""
        surplus = booster.current_iteration() - kept
        if surplus > kept:  # constant() has less to predict
            return
        if surplus:
            self._surplus = self._predicted(
                booster, start_iteration=kept, num_iteration=surplus
            )
        booster.eval_train(self._measure)
        self._iteration = kept

    def _measure(self, raw: NDArray[np.float64], _: Any) -> tuple[str, float, bool]:
        if self._surplus is not None:
            raw = raw - self._surplus
        self._constant = self._training.closing_constant(raw)
        return "closing constant", self._constant, False

    def _predicted(self, booster: Booster, **trees: int) -> Any:
        """Return the raw scores of the training rows, by all trees or by some."""
        training = self._training
        return booster.predict(
            _as_parent_reads(training.X),
            raw_score=True,
            num_threads=training.n_jobs,
            **trees,
        )

    def constant(self, booster: Booster) -> float:
        """Return the closing constant for the trees that predictions use."""
        # LightGBM 4.6 has a best iteration of 0 or -1 where none was chosen
        ran_through = self._iteration > 0
        if ran_through and booster.best_iteration in (-1, 0, self._iteration):
            return self._constant
        training = self._training
        raw = self._predicted(booster)
        # predict does not know the initial scores of the rows
        if training.init_score is not None:
            raw = raw + training.init_score
        return training.closing_constant(raw)


def _as_parent_reads(X: Any) -> Any:
    """Return features in an array as LGBMModel.fit and predict convert them."""
    # frames and Arrow tables go to the booster as they are
    if hasattr(X, "columns") or hasattr(X, "column_names"):
        return X
    return check_array(
        X,
        accept_sparse=True,
        dtype=(np.float64, np.float32),
        ensure_all_finite=False,
    )


class Progress(ProgressBar):
    """Callback that shows the iterations and the latest metrics."""

    def __call__(self, env: CallbackEnv) -> None:
        results = env.evaluation_result_list or ()
        self.show(
            env.end_iteration - env.begin_iteration,
            {f"{result[0]} {result[1]}": result[2] for result in results},
        )


class Checkpoints:
    """Callback that passes raw scores of held-out rows on, once in ``every`` trees.

    ``decide`` takes the number of trees and the raw scores. It returns the number of
    trees to keep, which ends the training, or None. ``closing`` finds the constant of
    these trees then.
    """

    closing: Closing | None = None

    def __init__(
        self,
        X: Any,
        every: int,
        decide: Callable[..., int | None],
        num_threads: int | None,
    ) -> None:
        self._X = X
        self._every = every
        self._decide = decide
        # the number of threads is one for the whole process: another one here would
        # leave the buffers of folds in training too small, which ends the process
        self._threads = {} if num_threads is None else {"num_threads": num_threads}
        self._raw: Any = None
        self._n_trees = 0

    def __call__(self, env: CallbackEnv) -> None:
        n_trees = env.iteration + 1
        if n_trees % self._every and n_trees != env.end_iteration:
            return
        # of the new trees alone
        added = env.model.predict(
            self._X,
            raw_score=True,
            start_iteration=self._n_trees,
            num_iteration=n_trees - self._n_trees,
            **self._threads,
        )
        self._raw = added if self._raw is None else self._raw + added
        self._n_trees = n_trees
        kept = self._decide(n_trees, self._raw)
        if kept is not None:
            if self.closing is not None:
                self.closing.at(env.model, kept)
            raise EarlyStopException(kept - 1, [])
