"""The loop over rows for NVIDIA GPUs.

Labels and weights are copied to the device once, and scores once a call; derivatives
stay on the device. The formulas are those of the CPU, compiled for the device by
numba-cuda. XGBoost passes scores in host memory and accepts arrays of the CUDA array
interface, so that one copy of four bytes a row each way is the least that a custom
objective can do.
"""

from __future__ import annotations

import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from textwrap import shorten
from typing import Any

import numpy as np
from numba import cuda
from numba.core.errors import NumbaPerformanceWarning
from numpy.typing import ArrayLike, NDArray

from focal_gbm._kernels.buffers import Pair
from focal_gbm._kernels.formulas import LogLoss, coarse, derivatives, least, matured
from focal_gbm._validation import (
    as_rows,
    check_heaviest,
    check_labels,
    check_weights,
)

_THREADS = 256  # a block


@cuda.jit
def _fill(form, rows, immaturity, weight_0, weight_1, shift, gradient, hessian, bad):
    """Write the derivatives of each row, the gradient over the scores.

    ``rows`` holds the weight of each row, with the sign of its class: positive for
    class 1, negative for class 0. One array in place of two halves the reads.
    ``immaturity`` has no element where labels are final.
    """
    i = cuda.grid(1)
    # the last block may have more threads than rows
    if i < gradient.shape[0]:
        score = gradient[i] + shift
        row = rows[i]
        positive = row > 0
        g, h = derivatives(form, score, positive)
        w = weight_1 if positive else weight_0
        is_late = immaturity.shape[0] > 0
        if is_late:
            share = matured(score, immaturity[i], weight_0 / weight_1)
            g, h = (g if positive else g * share), h * share
        sample = np.float32(abs(row))
        g, h = coarse(w * g), coarse(w * h)
        if is_late and h < least(h):
            h = least(h)
        gradient[i] = sample * g
        hessian[i] = sample * h
        # threads race to write, but all write the same value
        if score != score:
            bad[0] = True


def _on(device: str) -> AbstractContextManager[Any]:
    """Return the context of a device; for a device without an ordinal, a context that
    leaves the booster's device current."""
    _, _, ordinal = device.partition(":")
    return cuda.gpus[int(ordinal)] if ordinal else nullcontext()


def _pair(n_rows: int) -> tuple[Any, Any]:
    """Return two float32 vectors on the current device."""
    # a device cannot allocate memory of size 0
    n_rows = max(n_rows, 1)
    return cuda.device_array(n_rows, np.float32), cuda.device_array(n_rows, np.float32)


class Loop:
    """Labels, weights and buffers on a device, from which derivatives are computed."""

    def __init__(
        self,
        labels: ArrayLike,
        weight: ArrayLike | None,
        n_rows: int,
        device: str,
        limit: float = np.inf,
        immaturity: NDArray[np.float32] | None = None,
    ) -> None:
        y = check_labels(labels, n_rows)
        sample_weight = check_weights(weight, n_rows)
        check_heaviest(sample_weight, limit, np.float32)
        single = as_rows(y, sample_weight, n_rows)[1]
        # without weights one byte a row, to save memory of the device
        size: Any = np.int8(1) if single is None else single
        rows = np.where(y > 0, size, -size)
        self._device = device
        with _on(device):
            self._rows = cuda.to_device(rows)
            self._immaturity = cuda.to_device(
                np.empty(0, np.float32) if immaturity is None else immaturity
            )
            self._bad = cuda.to_device(np.zeros(1, np.bool_))
            self._pair = Pair(_pair)

    def run(
        self,
        raw: NDArray[Any],
        form: Any,
        weights: tuple[np.float32, np.float32],
        shift: np.float32,
    ) -> tuple[Any, Any, bool]:
        """Return gradient and Hessian on the device, and whether no score is NaN."""
        n_rows = len(raw)
        with _on(self._device):
            gradient, hessian = self._pair.take(n_rows)
            with np.errstate(over="ignore"):  # beyond float32: infinite scores are fine
                scores = raw.astype(np.float32, copy=False)
            gradient.copy_to_device(scores)
            blocks = -(-n_rows // _THREADS)
            # numba-cuda warns if few rows leave most of the device unused
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NumbaPerformanceWarning)
                _fill[blocks, _THREADS](
                    form,
                    self._rows,
                    self._immaturity,
                    *weights,
                    shift,
                    gradient,
                    hessian,
                    self._bad,
                )
            # the copy waits for the loop, so that the derivatives are ready to read
            is_bad = bool(self._bad.copy_to_host()[0])
            if is_bad:
                self._bad = cuda.to_device(np.zeros(1, np.bool_))
        return gradient, hessian, not is_bad


@lru_cache(maxsize=64)
def obstacle(device: str) -> str:
    """Return why the loop cannot run on a device, or "" if the loop can run."""
    one = np.float32(1.0)
    try:
        loop = Loop([0.0], None, 1, device)
        loop.run(np.zeros(1, np.float32), LogLoss(one), (one, one), one)
    except Exception as error:  # no driver, no such device, no compiler, ...
        return _in_one_line(error)
    return ""


def _in_one_line(error: Exception) -> str:
    """Return the message of an error as the first part of a sentence."""
    line = shorten(str(error), 300, placeholder=" [...]").rstrip(" .,:;")
    return line or type(error).__name__
