"""Convert what a caller passes to a loss, an objective or a metric: arrays of any kind,
data sets of the boosters, names of parameters."""

from __future__ import annotations

import ctypes
import functools
import inspect
import sys
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from focal_gbm._checks import (
    Float64Array,
    check_labels,
    check_real,
    check_vector,
    check_weights,
    did_you_mean,
    in_host_memory,
)

Class = TypeVar("Class", bound=type)
Float32Array = NDArray[np.float32]


def suggest_parameters(cls: Class) -> Class:
    """Make the error for an unknown parameter of a data class name the closest one."""
    init: Any = cls.__init__  # type: ignore[misc]
    known = list(inspect.signature(cls).parameters)

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            if name not in known:
                hint = did_you_mean(name, known) or f"; it has {', '.join(known)}"
                msg = f"{cls.__name__} has no parameter {name!r}{hint}"
                raise TypeError(msg)
        init(self, *args, **kwargs)

    cls.__init__ = checked  # type: ignore[misc]
    return cls


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
    is_single = getattr(raw, "dtype", None) == np.float32
    scores = np.asarray(in_host_memory(raw), np.float32 if is_single else np.float64)
    if scores.ndim == 2 and scores.shape[1] == 1:
        scores = scores[:, 0]
    return check_vector(scores, "raw_prediction", scores.dtype.type)


def check_offset(value: Any) -> float:
    """Return what is added to raw scores; float32 holds its sum with any of them."""
    return check_real(value, "offset", low=-1e30, high=1e30)


def as_labels(y: Any, n_rows: int) -> Float32Array:
    """Return labels as float32; whether they are 0 and 1 is for the loop to see."""
    try:
        with np.errstate(over="ignore"):
            return check_vector(y, "y_true", np.float32, n_rows)
    except (TypeError, ValueError):
        check_labels(y, n_rows)  # knows how to say what is wrong with a word
        raise


def as_weights(sample_weight: Any, n_rows: int) -> Float32Array:
    """Return weights as float32; whether they are in range is for the loop to see."""
    with np.errstate(over="ignore"):
        weight = check_vector(sample_weight, "sample_weight", np.float32, n_rows)
    least = float(np.finfo(np.float32).tiny)
    # one look where all is well
    if n_rows and weight[0] < least and weight.max() < least:
        largest = check_weights(sample_weight, n_rows).max()  # type: ignore[union-attr]
        msg = (
            f"sample_weight must hold a value of at least {least:.3g}, the smallest of "
            f"float32, got {largest} at most; multiply all weights by one number"
        )
        raise ValueError(msg)
    return weight


def check_heaviest(weight: Float64Array | None, limit: float, dtype: Any) -> None:
    """Refuse weights so large that a derivative may overflow."""
    if weight is None:
        return
    with np.errstate(over="ignore"):
        bad = weight.astype(dtype, copy=False) >= np.asarray(limit, dtype)
    if bad.any():
        row = int(bad.argmax())
        msg = (
            f"sample_weight must be below {limit:.3g}, or derivatives may overflow "
            f"{np.dtype(dtype).name}, got {weight[row]} in row {row}; divide all "
            "weights by one number"
        )
        raise ValueError(msg)


def explain(
    raw: NDArray[Any],
    labels: Any = None,
    weight: Any = None,
    limit: float = np.inf,
) -> None:
    """Raise the error for the bad row that the kernel saw."""
    if labels is not None:
        check_labels(labels, len(raw))
        check_heaviest(check_weights(weight, len(raw)), limit, np.float32)
    missing = np.isnan(raw)
    row = f" in row {int(missing.argmax())}" if missing.any() else ""
    msg = (
        f"raw_prediction must not be NaN, got NaN{row}: the booster diverged or was "
        "given NaN as its start"
    )
    raise ValueError(msg)


def warn_if_undefined(name: str, value: Any, named: set[str] | None = None) -> None:
    """Warn if a metric is NaN, by which early stopping cannot compare.

    ``named`` holds the metrics warned of before, which are not named again.
    """
    is_undefined = isinstance(value, (float, np.floating)) and value != value
    if not is_undefined or (named is not None and name in named):
        return
    if named is not None:
        named.add(name)
    msg = (
        f"{name} is NaN on an evaluation set: no row is positive, none is negative, or "
        "the budget allows no alert. Early stopping on it keeps the first tree; leave "
        'the set out, or use "log_loss", which is defined on every set'
    )
    warnings.warn(msg, UserWarning, stacklevel=2)


def weighted_mean(rows: Float64Array, weight: Float64Array | None) -> float:
    """Return the mean; weights of any size are brought to that of 1 first."""
    if weight is None:
        return float(np.mean(rows))
    weight = near_one(weight)
    # a row without weight may have an infinite loss
    return float(np.average(np.where(weight > 0, rows, 0.0), weights=weight))


def near_one(weight: Float64Array) -> Float64Array:
    """Return weights divided by a power of two, which changes no digit, so that their
    sum neither overflows nor vanishes."""
    exponent = np.frexp(weight.max(initial=0.0))[1]
    scaled: Float64Array = np.ldexp(weight, -exponent)
    return scaled


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
