"""Loops over rows for the CPU, from scores, labels and weights to derivatives.

One pass without temporary arrays checks labels and weights, computes the derivatives
and applies the weights, so that the checks cost almost nothing. The loop reports
whether there is a bad row; the caller looks for its position.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload
from numpy.typing import NDArray

from focal_gbm._kernels.formulas import (
    ROW_OPTIONS,
    classic_loss,
    coarse,
    derivatives,
    late_loss,
    least,
    log_odds,
    matured,
    omega,
    probability,
    raw_score,
)
from focal_gbm._kernels.openmp import (
    ALONE,
    OWN,
    SHARED,
    claim,
    on_threads,
    stop_sharing,
)

_NOTHING, _BAD_ROW = np.int32(0), np.int32(1)
# No derivative of a row of weight 1 is larger, at any score and any gamma that a loss
# takes: the largest is 3.02, of the classic form at gamma 1000.
_LARGEST = 4.0

# Rows converted at a time: few enough to stay in the first-level cache, and in a loop
# of their own because a loop of two widths is vectorised for the wider type.
_BLOCK = 2048
# Rows that a thread claims at a time: so many that the atomic claims cost little.
CHUNK = 8 * _BLOCK


def _compiled(**options: Any) -> Any:
    """Return njit with the disk cache, or without it if no folder can be written."""

    def decorate(function: Any) -> Any:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # numba: no locator available
            return njit(**options)(function)

    return decorate


# Overloads choose by type, when the loop is compiled: a test inside the loop would keep
# it from being vectorised.
def _part(vector: Any, start: int, stop: int) -> Any:
    """Return a part of a vector, or None for None."""
    return None if vector is None else vector[start:stop]


@overload(_part, jit_options=ROW_OPTIONS)
def _part_of(vector, start, stop):
    if vector == types.none:
        return lambda vector, start, stop: None
    return lambda vector, start, stop: vector[start:stop]


def _scores(raw: Any, block: Any) -> Any:
    """Return scores in the dtype of ``block``, or None if they are in ``block``."""
    return raw


@overload(_scores, jit_options=ROW_OPTIONS)
def _scores_of(raw, block):
    if raw == types.none or raw.dtype == block.dtype:
        return lambda raw, block: raw

    def convert(raw, block):
        for i in range(block.shape[0]):
            block[i] = raw[i]

    return convert


# int32 throughout: a 64-bit flag would halve the number of rows in a vector.
@njit(**ROW_OPTIONS)
def _fill_block(
    form, scores, y, weight, immaturity, weights, limit, shift, gradient, hessian
):
    """Write the derivatives of a block and return whether it has a bad row."""
    seen = _NOTHING
    ratio = weights[0] / weights[1]
    for i in range(gradient.shape[0]):
        score = (gradient[i] if scores is None else scores[i]) + shift
        label = y[i]
        positive = label > 0.5
        w = weights[1] if positive else weights[0]
        # & in place of ``and``: a branch would keep the loop from being vectorised
        is_good = (score == score) & ((label == 0) | (label == 1))
        if weight is not None:
            sample = weight[i]
            is_good &= (sample >= 0) & (sample < limit)
        seen = np.int32(seen | (_NOTHING if is_good else _BAD_ROW))
        g, h = derivatives(form, score, positive)
        if immaturity is not None:
            share = matured(score, immaturity[i], ratio)
            g, h = (g if positive else g * share), h * share
        # rounded first, so that weight 2 gives exactly twice the derivatives
        g, h = coarse(w * g), coarse(w * h)
        if immaturity is not None:
            h = h if h > least(h) else least(h)
        if weight is not None:
            g, h = sample * g, sample * h
        gradient[i] = g
        hessian[i] = h
    return seen


@_compiled(nogil=True, **ROW_OPTIONS)
def _fill_chunks(
    form, raw, y, weight, immaturity, weights, limit, shift, gradient, hessian, ledger
):
    """Claim chunks until all are done; write derivatives and flags of bad rows."""
    n = gradient.shape[0]
    while True:
        chunk = claim(ledger)
        first = chunk * CHUNK
        if first >= n:
            break
        last = min(first + CHUNK, n)
        seen = _NOTHING
        for start in range(first, last, _BLOCK):
            stop = min(start + _BLOCK, last)
            block = gradient[start:stop]
            seen |= _fill_block(
                form,
                _scores(_part(raw, start, stop), block),
                y[start:stop],
                _part(weight, start, stop),
                _part(immaturity, start, stop),
                weights,
                limit,
                shift,
                block,
                hessian[start:stop],
            )
        ledger[chunk + 1] = seen  # a place of its own: no thread writes another's


@_compiled(nogil=True, **ROW_OPTIONS)
def _share_out(runtime, n_threads, work):
    """Run the loop over chunks on threads of an OpenMP runtime."""
    on_threads(runtime, n_threads, _fill_chunks, work)


def too_heavy(weights: tuple[Any, Any], dtype: Any) -> Any:
    """Return the smallest weight of a row, in ``dtype``, at which its derivatives may
    overflow; ``weights`` are the weights of class 0 and class 1."""
    largest = max(_LARGEST * float(max(weights)), 1.0)
    return np.dtype(dtype).type(float(np.finfo(dtype).max) / largest)


def fill_derivatives(
    form: Any,
    raw: NDArray[Any] | None,
    y: NDArray[Any],
    weight: NDArray[Any] | None,
    immaturity: NDArray[Any] | None,
    weights: tuple[Any, Any],
    limit: Any,
    shift: Any,
    gradient: NDArray[Any],
    hessian: NDArray[Any],
    team: tuple[int, int] = ALONE,
) -> bool:
    """Write the weighted derivatives of each row and return whether all rows are good.

    The dtype of ``gradient`` is the dtype of the arithmetic. ``immaturity`` is that of
    ``matured``, for a form whose scores are log-odds. ``weights`` are the weights of
    class 0 and class 1, and ``limit`` is ``too_heavy(weights, dtype)``. A row is bad if
    its score is NaN, its label is not 0 or 1, or its weight is negative, NaN or not
    below ``limit``. Scores of another dtype are converted into ``gradient``, which
    saves a buffer; with ``raw`` None they are there already. ``team`` is the runtime
    and the number of threads that share the chunks.
    """
    runtime, n_threads = team
    # the number of chunks claimed, then a flag for each chunk
    n_chunks = -(-len(gradient) // CHUNK)
    ledger = np.zeros(1 + n_chunks, OWN if n_threads == 1 else SHARED)
    rows = raw, y, weight, immaturity
    work = form, *rows, weights, limit, shift, gradient, hessian, ledger
    if n_threads == 1:
        _fill_chunks(*work)
    else:
        try:
            _share_out(runtime, n_threads, work)
        # any error: versions of Numba raise different ones. All are raised by the
        # compiler, before a row is written.
        except Exception as error:
            stop_sharing(error)
            return fill_derivatives(*work[:-1])
    return not ledger[1:].any()


@_compiled(error_model="numpy")
def fill_loss(z, y, gamma, out):
    """Write the focal loss of each row, without class weights."""
    for i in range(out.shape[0]):
        out[i] = classic_loss(z[i], y[i] > 0.5, gamma)


@_compiled(error_model="numpy")
def fill_late_loss(x, immaturity, ratio, out):
    """Write the log-loss of each row as if it were seen as 0, by its immaturity."""
    for i in range(out.shape[0]):
        out[i] = late_loss(x[i], immaturity[i], ratio)


@_compiled(error_model="numpy")
def fill_log_odds(z, gamma, out):
    """Write L(z), the log-odds under equal class weights."""
    for i in range(out.shape[0]):
        out[i] = log_odds(z[i], gamma)


@_compiled(error_model="numpy")
def fill_raw_score(x, gamma, out):
    """Write L^-1(x), the logit of the focal score."""
    for i in range(out.shape[0]):
        out[i] = raw_score(x[i], gamma)


@_compiled(error_model="numpy")
def fill_omega(z, gamma, x, out):
    """Write x = L(z) and its weight omega(x)."""
    for i in range(out.shape[0]):
        x[i] = log_odds(z[i], gamma)
        out[i] = omega(z[i], gamma)


@_compiled(error_model="numpy")
def probability_sums(x, weight, shift):
    """Return the weighted sums of p and p (1 - p) at log-odds x + shift."""
    total = 0.0
    spread = 0.0
    for i in range(x.shape[0]):
        p, variance = probability(x[i] + shift)
        w = 1.0 if weight is None else weight[i]
        total += w * p
        spread += w * variance
    return total, spread


@_compiled(error_model="numpy")
def line_sums(x, y, weight, immaturity, slope, intercept):
    """Return the weighted sums of log-loss, its two derivatives and its three second
    derivatives (expected) by slope and intercept, at log-odds slope x + intercept."""
    loss = 0.0
    by_slope, by_intercept = 0.0, 0.0
    slopes, mixed, intercepts = 0.0, 0.0, 0.0
    for i in range(x.shape[0]):
        f = slope * x[i] + intercept
        p, variance = probability(f)
        w = weight[i]
        if immaturity is None or immaturity[i] == 0:
            loss += w * classic_loss(f, y[i] > 0, 0.0)
            error = w * (p - y[i])
        else:
            share = matured(f, immaturity[i], 1.0)
            variance *= share
            if y[i] > 0:
                loss += w * (classic_loss(f, True, 0.0) + math.log1p(immaturity[i]))
                error = w * (p - 1.0)
            else:
                loss += w * late_loss(f, immaturity[i], 1.0)
                error = w * p * share
        spread = w * variance
        by_slope += error * x[i]
        by_intercept += error
        slopes += spread * x[i] * x[i]
        mixed += spread * x[i]
        intercepts += spread
    return loss, by_slope, by_intercept, slopes, mixed, intercepts
