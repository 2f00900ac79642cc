"""The loop over rows computes whole vectors: what the compiler made of it."""

from __future__ import annotations

import platform
import re
from collections import Counter

import numpy as np
import pytest
from libraries import slow
from numba import njit

from focal_gbm._kernels import cpu, openmp
from focal_gbm._kernels.formulas import ROW_OPTIONS, Clipped, Exact, Expected
from focal_gbm._kernels.rational import posterior_form

_SIZE = np.float32(2.0)
# Multiplications in float32, fused or not, as assembly has them: x86 with SSE, AVX or
# AVX-512, ARM with NEON or SVE. The last letters say how wide the register is.
_MULTIPLICATION = re.compile(
    r"^\s+(?:v?mul|vfn?m(?:add|sub)\d{3})(?P<x86>[ps]s)\s.*%(?P<register>[xyz])mm"
    r"|^\s+f(?:mul|ml[as]|n?m(?:add|sub))(?:\.(?P<lanes>4s|2s)\s"
    r"|\s+(?P<arm>[svz])\d+(?:\.(?P<suffix>4s|2s|s)\b)?)",
    re.MULTILINE,
)


def multiplications(compiled):
    """Return how many there are, by the lanes of the register: 1 is a row alone."""
    lanes = {"x": 4, "y": 8, "z": 16, "4s": 4, "2s": 2}
    count = Counter()
    for assembly in compiled.inspect_asm().values():
        for found in _MULTIPLICATION.finditer(assembly):
            if found["x86"]:
                packed = found["x86"] == "ps"
                count[lanes[found["register"]] if packed else 1] += 1
            elif found["arm"] == "z":
                count[4] += 1  # or more, which the program does not know
            elif found["arm"] != "s" or found["lanes"]:
                count[lanes.get(found["lanes"] or found["suffix"], 0)] += 1
            else:
                count[1] += 1
    return count


@njit(**ROW_OPTIONS)
def squares(values, out):
    for i in range(out.shape[0]):
        out[i] = values[i] * values[i]


@njit(**ROW_OPTIONS)
def with_a_wide_flag(values, out):
    """Halve the number of rows in a vector."""
    bad = 0
    for i in range(out.shape[0]):
        out[i] = values[i] * values[i]
        bad |= np.int64(1 if values[i] > 3 else 0)
    return bad


@njit(**ROW_OPTIONS)
def one_after_another(values, out):
    """Use the row before, so that no two can be computed at once."""
    for i in range(1, out.shape[0]):
        out[i] = (out[i - 1] + values[i]) * values[i] * np.float32(0.5)


@pytest.fixture(scope="module")
def widest():
    """The lanes of the vectors that the compiler takes for this processor."""
    values = np.zeros(16, np.float32)
    squares(values, values.copy())
    count = multiplications(squares)
    if max(count, default=1) == 1:
        pytest.skip(f"no vector instructions known for {platform.machine()}")
    return max(count)


def assert_vectorised(compiled, widest):
    """Every operation of a row has a twin on whole vectors. The loop over the rows that
    are left at the end has the operations once more, some in another form."""
    count = multiplications(compiled)
    others = max((n for lanes, n in count.items() if lanes != widest), default=0)
    assert count[widest] > 0
    assert 1.25 * count[widest] >= others, dict(count)


@pytest.mark.parametrize("loop", [with_a_wide_flag, one_after_another])
def test_a_loop_that_is_not_vectorised_is_seen(loop, widest):
    if loop is with_a_wide_flag and widest == 4:
        pytest.skip("the shortest vectors can be filled with any flag")
    values = np.zeros(16, np.float32)
    loop(values, values.copy())
    with pytest.raises(AssertionError):
        assert_vectorised(loop, widest)


@pytest.mark.parametrize("late", [*slow(False), True])
@pytest.mark.parametrize("weighted", [*slow(False), True])
@pytest.mark.parametrize(
    "form",
    [
        *slow(posterior_form(0.0)),
        posterior_form(2.0),
        *slow(Expected(_SIZE), Exact(_SIZE), Clipped(_SIZE)),
    ],
    ids=lambda form: type(form).__name__,
)
@pytest.mark.parametrize("dtype", [*slow(np.float64), np.float32])
def test_the_loop_is_vectorised(form, weighted, late, dtype, widest):
    """One row at a time takes twenty times as long, and nothing else tells."""
    compiled = njit(**ROW_OPTIONS)(cpu._fill_chunks.py_func)
    raw, y = np.zeros(16, dtype), np.zeros(16, np.float32)
    weight, one = (y if weighted else None), np.float32(1.0)
    immaturity = y if late else None
    ledger = np.zeros(2, openmp.OWN)
    shift, limit = np.float32(0.0), one
    rows = raw, y, weight, immaturity
    compiled(form, *rows, (one, one), limit, shift, y.copy(), y.copy(), ledger)
    assert_vectorised(compiled, widest)
