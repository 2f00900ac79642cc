"""Loops over rows for the CPU: scores, labels and weights in, derivatives out.

One pass, no temporaries: labels and weights are checked and class weights
applied in the loop that computes the derivatives, so that bad rows cost nothing
to look for; where they are, the caller finds out.
"""

from __future__ import annotations

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
    log_odds,
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

# Rows converted at a time: small enough to stay in the first-level cache, and a
# loop of its own because a mixed-width loop is vectorised for the wider type.
_BLOCK = 2048
# Rows that a thread takes at a time.
CHUNK = 8 * _BLOCK


def _compiled(**options: Any) -> Any:
    """Return njit with the disk cache, or without where no folder can be written."""

    def decorate(function: Any) -> Any:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # numba: no locator available
            return njit(**options)(function)

    return decorate


def _part(vector: Any, start: int, stop: int) -> Any:
    """Return a part of a vector that may be missing."""
    return None if vector is None else vector[start:stop]


@overload(_part, jit_options=ROW_OPTIONS)
def _part_of(vector, start, stop):
    if vector == types.none:
        return lambda vector, start, stop: None
    return lambda vector, start, stop: vector[start:stop]


def _scores(raw: Any, block: Any) -> Any:
    """Return scores in the dtype of ``block``, None if they lie in it."""
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
def _fill_block(form, scores, y, weight, weights, limit, shift, gradient, hessian):
    seen = _NOTHING
    for i in range(gradient.shape[0]):
        score = (gradient[i] if scores is None else scores[i]) + shift
        label = y[i]
        positive = label > 0.5
        w = weights[1] if positive else weights[0]
        is_good = (score == score) & ((label == 0) | (label == 1))
        if weight is not None:
            sample = weight[i]
            is_good &= (sample >= 0) & (sample < limit)
        seen = np.int32(seen | (_NOTHING if is_good else _BAD_ROW))
        g, h = derivatives(form, score, positive)
        # weight 2 is to give the very bits of the row twice
        g, h = coarse(w * g), coarse(w * h)
        if weight is not None:
            g, h = sample * g, sample * h
        gradient[i] = g
        hessian[i] = h
    return seen


@_compiled(nogil=True, **ROW_OPTIONS)
def _fill_chunks(
    form, raw, y, weight, weights, limit, shift, gradient, hessian, ledger
):
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
                weights,
                limit,
                shift,
                block,
                hessian[start:stop],
            )
        ledger[chunk + 1] = seen


@_compiled(nogil=True, **ROW_OPTIONS)
def _share_out(runtime, n_threads, work):
    on_threads(runtime, n_threads, _fill_chunks, work)


def too_heavy(weights: tuple[Any, Any], dtype: Any) -> Any:
    """Return the weight of a row, in ``dtype``, from which on its derivatives may
    overflow; ``weights`` are those of class 0 and 1."""
    largest = max(_LARGEST * float(max(weights)), 1.0)
    return np.dtype(dtype).type(float(np.finfo(dtype).max) / largest)


def fill_derivatives(
    form: Any,
    raw: NDArray[Any] | None,
    y: NDArray[Any],
    weight: NDArray[Any] | None,
    weights: tuple[Any, Any],
    limit: Any,
    shift: Any,
    gradient: NDArray[Any],
    hessian: NDArray[Any],
    team: tuple[int, int] = ALONE,
) -> bool:
    """Write the weighted derivatives of each row and return whether all rows are good.

    The dtype of ``gradient`` is the arithmetic's; ``weights`` are those of class
    0 and 1, and ``limit`` is what they leave for a row, ``too_heavy(weights, dtype)``.
    A row is bad if its score is NaN, its label is not 0 or 1, or its weight is
    negative, NaN or not below the limit. Scores of another dtype pass through
    ``gradient``, which saves a buffer; with ``raw`` None they lie there already.
    ``team`` is the runtime and the number of threads that share the chunks.
    """
    runtime, n_threads = team
    # the number of chunks begun, and what was seen in each
    n_chunks = -(-len(gradient) // CHUNK)
    ledger = np.zeros(1 + n_chunks, OWN if n_threads == 1 else SHARED)
    work = form, raw, y, weight, weights, limit, shift, gradient, hessian, ledger
    if n_threads == 1:
        _fill_chunks(*work)
    else:
        try:
            _share_out(runtime, n_threads, work)
        except Exception as error:  # it did not compile, and so wrote nothing
            stop_sharing(error)
            return fill_derivatives(*work[:-1])
    return not ledger[1:].any()


@_compiled(error_model="numpy")
def fill_loss(z, y, gamma, out):
    """Write the focal loss of each row."""
    for i in range(out.shape[0]):
        out[i] = classic_loss(z[i], y[i] > 0.5, gamma)


@_compiled(error_model="numpy")
def fill_log_odds(z, gamma, out):
    """Write L(z)."""
    for i in range(out.shape[0]):
        out[i] = log_odds(z[i], gamma)


@_compiled(error_model="numpy")
def fill_raw_score(x, gamma, out):
    """Write L^-1(x)."""
    for i in range(out.shape[0]):
        out[i] = raw_score(x[i], gamma)


@_compiled(error_model="numpy")
def fill_omega(z, gamma, x, out):
    """Write x = L(z) and omega(x)."""
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
