"""Read a booster's call of an objective or a metric: labels, raw scores and weights."""

from __future__ import annotations

import ctypes
import sys
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from focal_gbm._validation import (
    Float32Array,
    Float64Array,
    check_heaviest,
    check_labels,
    check_maturity,
    check_posterior,
    check_real,
    check_vector,
    check_weights,
    in_host_memory,
)

_SCORES = (np.dtype(np.float32), np.dtype(np.float64))


# The library behind a booster's module: its functions are documented, its name is
# private.
_LIBRARY = "_LIB"


class Call(NamedTuple):
    """Labels, raw scores and weights that a booster passes to an objective or a metric.

    ``raw`` is a contiguous vector in the dtype of the booster. ``data_set`` is the
    ``lightgbm.Dataset`` or ``xgboost.DMatrix`` of a native call, and None for a call
    with arrays.
    """

    labels: Any
    raw: NDArray[Any]
    weight: Any
    data_set: Any


def read_call(y_true: Any, raw_prediction: Any, sample_weight: Any = None) -> Call:
    """Return the parts of a call, from whichever entry point it comes.

    A native call passes the raw scores first and the data set second. Labels and
    weights of a DMatrix are views into it, valid until it changes: ``get_label`` and
    ``get_weight`` would copy them, and to a CuPy array if they lie on a GPU.
    """
    labels, raw, weight, data_set = y_true, raw_prediction, sample_weight, None
    # both data sets have this method, and no array has
    if hasattr(raw_prediction, "get_label"):
        data_set, raw = raw_prediction, y_true
        xgboost = sys.modules.get("xgboost")
        if xgboost is None or not isinstance(data_set, xgboost.DMatrix):
            labels, weight = data_set.get_label(), data_set.get_weight()
        else:
            library = getattr(xgboost.core, _LIBRARY, None)
            labels, weight = rows_of(library, data_set)
    is_vector = isinstance(raw, np.ndarray) and raw.ndim == 1
    # what boosters pass is of that kind, and needs no conversion
    if not (is_vector and raw.dtype in _SCORES and raw.flags.c_contiguous):
        raw = as_scores(raw)
    return Call(labels, raw, weight, data_set)


def rows_of(library: Any, matrix: Any) -> tuple[Float32Array, Float32Array | None]:
    """Return labels and weights of a DMatrix; None for no weights."""
    found = []
    for field in ("label", "weight"):
        if library is None:
            values = np.asarray(in_host_memory(matrix.get_float_info(field)))
            found.append(values.astype(np.float32, copy=False))
            continue
        length, address = ctypes.c_uint64(), ctypes.POINTER(ctypes.c_float)()
        failed = library.XGDMatrixGetFloatInfo(
            matrix.handle, field.encode(), ctypes.byref(length), ctypes.byref(address)
        )
        if failed:
            msg = f"XGBoost cannot give the {field} of {matrix!r}"
            raise RuntimeError(msg)
        if length.value == 0:  # the address is null then
            found.append(np.empty(0, np.float32))
        else:
            found.append(np.ctypeslib.as_array(address, (length.value,)))
    labels, weight = found
    return labels, weight if len(weight) else None


def c_interface(module: str) -> Any:
    """Return the C library of a booster's module; None if the module is not loaded."""
    return getattr(sys.modules.get(module), _LIBRARY, None)


def as_scores(raw: Any) -> NDArray[Any]:
    """Return raw scores as a contiguous vector in the dtype they came in."""
    is_single = getattr(raw, "dtype", None) == np.float32
    scores = np.asarray(in_host_memory(raw), np.float32 if is_single else np.float64)
    if scores.ndim == 2 and scores.shape[1] == 1:
        scores = scores[:, 0]
    return check_vector(scores, "raw_prediction", scores.dtype.type)


def check_offset(value: Any, name: str = "offset") -> float:
    """Return the offset of raw scores; float32 can hold its sum with any raw score."""
    return check_real(value, name, low=-1e30, high=1e30)


def kept_maturity(values: Any, link: str) -> Float64Array | None:
    """Return maturities of labels as a read-only copy, or None if all are final."""
    maturity = check_maturity(values)
    if maturity is None:
        return None
    check_posterior(link)
    maturity = maturity.copy()
    maturity.flags.writeable = False
    return maturity


def are_equal(one: Any, other: Any) -> bool:
    """Whether two objectives or metrics have equal parameters, maturities included."""
    names = [part.name for part in fields(one) if part.compare]
    return all(getattr(one, n) == getattr(other, n) for n in names) and (
        np.array_equal(one.label_maturity, other.label_maturity)
    )


def check_one_each(maturity: NDArray[Any], n_rows: int) -> None:
    """Refuse rows other than those whose maturities are known."""
    if len(maturity) != n_rows:
        msg = (
            f"label_maturity has {len(maturity)} values, but the booster passes "
            f"{n_rows} rows: the values belong to the rows of one data set, in its "
            "order, so that folds need an objective each and evaluation sets a metric "
            "each"
        )
        raise ValueError(msg)


def raise_for_bad_row(
    raw: NDArray[Any],
    labels: Any = None,
    weight: Any = None,
    limit: float = np.inf,
) -> None:
    """Raise the error for the bad row that a loop has found."""
    if labels is not None:
        check_labels(labels, len(raw))
        check_heaviest(check_weights(weight, len(raw)), limit, np.float32)
    # labels and weights are fine
    missing = np.isnan(raw)
    row = f" in row {int(missing.argmax())}" if missing.any() else ""
    msg = (
        f"raw_prediction must not be NaN, got NaN{row}: the booster diverged or was "
        "given NaN as its start"
    )
    raise ValueError(msg)
