"""Folds that train side by side: their held-out rows decide on the number of trees."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import config_context, get_config

from focal_gbm._kernels.cpu import line_sums
from focal_gbm._validation import Float64Array, immaturity_of
from focal_gbm.loss import base_log_odds

# Enough from the line of the checkpoint before; separated classes have no best line.
_NEWTON_STEPS = 12
# Checkpoints over which a gain is measured, and the least that gains can fall by.
_WINDOW = 2
_SLOWEST_DECAY = 0.9


class Stopped(Exception):  # noqa: N818 - it is no error of the fold that raises it
    """Raised in a fold when another fold has failed."""


@dataclass
class Pool:
    """Held-out rows of all folds: labels, weights, and log-odds when folds report.

    The log-odds of one fold alone say nothing where a fold has three positives.
    """

    labels: Sequence[NDArray[np.uint8]]
    weights: Sequence[Float64Array | None]
    maturities: Sequence[Float64Array | None] = ()
    log_odds: list[Any] = field(init=False)
    _line: tuple[float, float] = field(default=(1.0, 0.0), init=False)

    def __post_init__(self) -> None:
        self.log_odds = [np.zeros(len(y)) for y in self.labels]
        self._y = np.concatenate(self.labels)
        ones = (
            np.ones(len(y)) if w is None else w
            for y, w in zip(self.labels, self.weights, strict=True)
        )
        self._weight = np.concatenate(list(ones))
        self._total = float(self._weight.sum())
        late = [m for m in self.maturities if m is not None]
        self._immaturity = (
            immaturity_of(np.concatenate(late), np.float64) if late else None
        )

    def criterion(self) -> float:
        """Return the log-loss after the best straight line on the log-odds.

        The line takes the error of calibration away, which a calibrator repairs; the
        ranking and the shape remain (Berta, Holzmuller, Jordan and Bach 2025,
        "Rethinking early stopping: refine, then calibrate", arXiv 2501.19195).
        """
        x = np.concatenate(self.log_odds).astype(np.float64)
        rows = x, self._y, self._weight, self._immaturity
        loss, self._line = _loss_on_line(*rows, self._line)
        return loss / self._total


def _loss_on_line(
    x: Float64Array,
    y: Any,
    weight: Float64Array,
    immaturity: Any,
    line: tuple[float, float],
) -> tuple[float, tuple[float, float]]:
    """Return the least log-loss at log-odds slope x + intercept, slope >= 0, and the
    line to begin from next.

    Newton's method from ``line``; a step that does not lower the loss is halved.
    """
    slope, intercept = line
    rows = x, y, weight, immaturity
    loss, g_s, g_i, ss, si, ii = line_sums(*rows, slope, intercept)
    for _ in range(_NEWTON_STEPS):
        determinant = ss * ii - si * si
        if determinant > 1e-12 * ss * ii:
            step_s = (ii * g_s - si * g_i) / determinant
            step_i = (ss * g_i - si * g_s) / determinant
        elif ii > 0.0:  # one value of x has no slope
            step_s, step_i = 0.0, g_i / ii
        else:  # separated classes have no best line
            break
        if step_s * g_s + step_i * g_i < 1e-9 * loss:
            break
        size = 1.0
        while size > 1e-3:
            new = slope - size * step_s, intercept - size * step_i
            sums = line_sums(*rows, *new)
            if sums[0] < loss:
                break
            size *= 0.5
        else:
            break
        (slope, intercept), (loss, g_s, g_i, ss, si, ii) = new, sums
    if slope < 0.0:  # no calibrator turns a ranking round: the base rate is all
        return _loss_of_rate(y, weight, immaturity), (1.0, 0.0)
    return float(loss), (slope, intercept)


def _loss_of_rate(y: Any, weight: Float64Array, immaturity: Any) -> float:
    """Return the log-loss at the base rate."""
    if immaturity is not None:
        rate = base_log_odds(y, weight, 1.0 / (1.0 + immaturity))
        return float(line_sums(np.zeros(len(y)), y, weight, immaturity, 0.0, rate)[0])
    positive = float(weight.sum(where=y > 0))
    negative = float(weight.sum()) - positive
    total = positive + negative
    parts = [part * np.log(part / total) for part in (positive, negative) if part > 0]
    return float(-sum(parts))


@dataclass
class Curve:
    """The criterion of one size by the number of trees, and where to stop.

    Training stops ``patience`` trees after the best number, and earlier where the size
    cannot pass the ``bar``, the best criterion of the sizes before.
    """

    patience: int
    last: int
    bar: float = np.inf
    n_trees: list[int] = field(default_factory=list)
    criteria: list[float] = field(default_factory=list)

    @property
    def best(self) -> tuple[float, int]:
        """Best criterion, and its number of trees."""
        i = int(np.argmin(self.criteria))
        return self.criteria[i], self.n_trees[i]

    def kept(self, n_trees: int, criterion: float) -> int | None:
        """Add a point; return the number of trees to keep if training should stop."""
        self.n_trees.append(n_trees)
        self.criteria.append(criterion)
        value, best = self.best
        is_over = n_trees >= self.last or n_trees - best >= self.patience
        return best if is_over or self._is_hopeless(value) else None

    def close(self, n_trees: int, criterion: float) -> None:
        """Replace all points by that of folds that ended by themselves, as they are."""
        self.n_trees, self.criteria = [n_trees], [criterion]

    def _is_hopeless(self, value: float) -> bool:
        """Whether the curve cannot fall below the bar, by the gains of two windows."""
        points = self.criteria
        if len(points) <= 2 * _WINDOW or value <= self.bar:
            return False
        before = points[-1 - 2 * _WINDOW] - points[-1 - _WINDOW]
        gain = points[-1 - _WINDOW] - points[-1]
        if gain <= 0.0:
            return True
        # later gains as a geometric series, with half of their sum for safety
        decay = min(gain / before, _SLOWEST_DECAY) if before > 0.0 else _SLOWEST_DECAY
        return points[-1] - 1.5 * gain * decay / (1.0 - decay) > self.bar


class InStep:
    """Folds in threads of their own, which wait for one another at each checkpoint.

    ``n_parallel`` of them train at a time. Decisions depend on the pooled rows alone,
    and so the models are the same for any ``n_parallel``.
    """

    def __init__(self, pool: Pool, curve: Curve, n_parallel: int) -> None:
        self._pool = pool
        self._curve = curve
        self._slots = threading.Semaphore(n_parallel)
        self._changed = threading.Condition()
        self._begun = threading.Event()
        self._training = len(pool.labels)
        self._arrived = 0
        self._round = 0
        self._n_trees = 0
        self._kept: int | None = None
        self._error: BaseException | None = None

    def run(
        self, fits: Sequence[Callable[[Callable[..., int | None]], Any]]
    ) -> list[Any]:
        """Call each fit with the function for its checkpoints; return the results."""
        results: list[Any] = [None] * len(fits)
        settings = get_config()

        def work(fold: int) -> None:
            def decide(n_trees: int, log_odds: Any) -> int | None:
                return self._arrive(fold, n_trees, log_odds)

            try:
                # settings of scikit-learn are those of a thread
                self._begun.wait()
                with self._slots, config_context(**settings):
                    if self._error is None:
                        results[fold] = fits[fold](decide)
            except Stopped:
                return
            except BaseException as error:
                self._fail(error)
            finally:
                self._leave()

        threads = [
            threading.Thread(target=work, args=(fold,), daemon=True)
            for fold in range(len(fits))
        ]
        try:
            for thread in threads:
                thread.start()
            self._begun.set()
            self._wait_for_all()
        except BaseException as error:  # an interruption reaches the main thread alone
            self._fail(error)
            if self._begun.is_set():
                self._wait_for_all()
            self._begun.set()  # those that were started end before they train
            raise
        finally:
            for thread in threads:
                with suppress(RuntimeError):  # not started
                    thread.join()
        if self._error is not None:
            raise self._error
        return results

    @property
    def is_decided(self) -> bool:
        """Whether the folds were stopped; otherwise all of them ended by themselves."""
        return self._kept is not None

    def _arrive(self, fold: int, n_trees: int, log_odds: Any) -> int | None:
        """Report a checkpoint of a fold, wait for the others, return the decision."""
        with self._changed:
            self._pool.log_odds[fold] = log_odds
            self._n_trees = max(self._n_trees, n_trees)
            self._arrived += 1
            this_round = self._round
            self._decide_if_complete()
        # another fold trains while this one waits
        self._slots.release()
        with self._changed:
            self._changed.wait_for(lambda: self._round != this_round or self._error)
        self._slots.acquire()
        if self._error is not None:
            raise Stopped
        return self._kept

    def _wait_for_all(self) -> None:
        """Wait until no fold trains.

        ``Thread.join`` would not do: an interruption makes Python take a thread that
        still runs for one that has ended (before 3.13).
        """
        with self._changed:
            self._changed.wait_for(lambda: self._training == 0)

    def _leave(self) -> None:
        """Count out a fold that has ended, perhaps because no tree could split."""
        with self._changed:
            self._training -= 1
            self._decide_if_complete()
            self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def _decide_if_complete(self) -> None:
        is_complete = self._arrived and self._arrived >= self._training
        if not is_complete or self._error is not None:
            return
        self._kept = self._curve.kept(self._n_trees, self._pool.criterion())
        self._arrived = 0
        self._round += 1
        self._changed.notify_all()
