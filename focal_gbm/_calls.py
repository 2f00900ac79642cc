"""What the boosters pass to an objective or a metric, made into arrays."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_gbm._checks import (
    check_labels,
    check_vector,
    check_weights,
    in_host_memory,
)

Float32Array = NDArray[np.float32]


def is_data_set(value: Any) -> bool:
    """Whether it is a ``lightgbm.Dataset`` or an ``xgboost.DMatrix``."""
    return hasattr(value, "get_label")


def arguments(y_true: Any, raw_prediction: Any, sample_weight: Any) -> Any:
    """Return labels, scores and weights, whichever entry point called."""
    if not is_data_set(raw_prediction):
        return y_true, raw_prediction, sample_weight
    labels, weight = rows_of(raw_prediction)
    return labels, y_true, weight


def rows_of(data: Any) -> tuple[Any, Any]:
    """Return labels and weights of a data set, None for no weights."""
    xgboost = sys.modules.get("xgboost")
    if xgboost is None or not isinstance(data, xgboost.DMatrix):
        return data.get_label(), data.get_weight()
    weight = _view(data, "weight")
    return _view(data, "label"), weight if len(weight) else None


def _view(matrix: Any, field: str) -> Float32Array:
    """Return what a DMatrix holds, valid as long as it is not changed.

    By the C interface, since ``get_label`` and ``get_weight`` copy it, and to a CuPy
    array where it lies on a GPU.
    """
    library = c_interface("xgboost.core")
    if library is None:
        return np.asarray(in_host_memory(matrix.get_float_info(field)), np.float32)
    length = ctypes.c_uint64()
    values = ctypes.POINTER(ctypes.c_float)()
    failed = library.XGDMatrixGetFloatInfo(
        matrix.handle, field.encode(), ctypes.byref(length), ctypes.byref(values)
    )
    if failed:
        msg = f"XGBoost cannot give the {field} of {matrix!r}"
        raise RuntimeError(msg)
    if length.value == 0:
        return np.empty(0, np.float32)
    return np.ctypeslib.as_array(values, (length.value,))


def c_interface(module: str) -> Any:
    """Return the library behind a booster's module, None where that is not loaded: its
    functions are documented, its name is private."""
    return getattr(sys.modules.get(module), "_LIB", None)


def as_scores(raw: Any) -> NDArray[Any]:
    """Return raw scores as a contiguous vector in the dtype they came in."""
    raw = np.asarray(raw)
    if raw.ndim == 2 and raw.shape[1] == 1:
        raw = raw[:, 0]
    dtype = np.float32 if raw.dtype == np.float32 else np.float64
    return check_vector(raw, "raw_prediction", dtype)


def explain(raw: NDArray[Any], labels: Any = None, weight: Any = None) -> None:
    """Raise the error for the bad row that the kernel saw."""
    if labels is not None:
        check_labels(labels)
        check_weights(weight, len(raw))
    missing = np.isnan(raw)
    row = f" in row {int(missing.argmax())}" if missing.any() else ""
    msg = (
        f"raw_prediction must not be NaN, got NaN{row}: the booster diverged or was "
        "given NaN as its start"
    )
    raise ValueError(msg)


def warn_if_undefined(name: str, value: Any) -> None:
    import warnings

    if isinstance(value, (float, np.floating)) and value != value:
        warnings.warn(
            f"{name} is NaN on an evaluation set, which holds no positive row",
            UserWarning,
            stacklevel=2,
        )


def _references(arrays: tuple[Any, Any]) -> list[int]:
    return [sys.getrefcount(array) for array in arrays]


def _pair(n_rows: int) -> tuple[Float32Array, Float32Array]:
    return np.empty(n_rows, np.float32), np.empty(n_rows, np.float32)


# What this interpreter counts for a pair that nobody else holds.
_UNSHARED = _references(_pair(0))


class Pair:
    """Two vectors of the last call, handed out again once nobody else holds them or a
    view of them: fresh ones cost a page fault every 4 KiB."""

    def __init__(self, make: Callable[[int], tuple[Any, Any]] = _pair) -> None:
        self._make = make
        self._held = make(0)

    def take(self, n_rows: int) -> tuple[Any, Any]:
        """Return two vectors of ``n_rows``."""
        if len(self._held[0]) != n_rows or _references(self._held) != _UNSHARED:
            self._held = self._make(n_rows)
        return self._held
