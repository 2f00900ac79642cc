"""Buffers for derivatives, which are used again in the next call."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from focal_gbm._validation import Float32Array


def _pair(n_rows: int) -> tuple[Float32Array, Float32Array]:
    """Return two vectors in host memory."""
    return np.empty(n_rows, np.float32), np.empty(n_rows, np.float32)


class Pair:
    """Two vectors that are returned again if nothing else refers to them or to a view
    of them; otherwise new ones are made."""

    # Reuse saves a page fault every 4 KiB of a fresh vector.
    def __init__(self, make: Callable[[int], tuple[Any, Any]] = _pair) -> None:
        self._make = make
        self._held = make(0)

    def take(self, n_rows: int) -> tuple[Any, Any]:
        """Return two vectors of ``n_rows``."""
        first, second = self._held
        references = sys.getrefcount(first), sys.getrefcount(second)
        # a view refers to its base, so that a pair still in use is never overwritten
        if len(first) != n_rows or references != _UNSHARED:
            self._held = self._make(n_rows)
        return self._held


def _unshared() -> tuple[int, int]:
    """Return the reference counts that ``take`` finds for vectors without another
    reference."""
    held = _pair(0)
    first, second = held
    return sys.getrefcount(first), sys.getrefcount(second)


# Measured, not written: the counts differ between versions of Python.
_UNSHARED = _unshared()
