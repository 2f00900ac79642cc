"""Checks of scores, weights, classes, days and cards, which all measures share."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from focal_gbm._validation import (
    Float64Array,
    check_scores,
    check_vector,
    check_weights,
    equal_to,
    in_host_memory,
    native,
)

# A time of day in text; midnight does not match, since dates are also written so.
_TIME_OF_DAY = re.compile(r"\d[T ](?!0?0:00(:00([.,]0*)?)?(?![\d:.,]))\d\d?:\d\d")

_STAMP = (
    "a time stamp would be a day of its own; convert it to a day by .dt.normalize() or "
    ".dt.date of Pandas, or by astype('datetime64[D]') of NumPy"
)


def numbers(values: Any, name: str, n_rows: int | None = None) -> Float64Array:
    """Return numbers of any dtype as a float64 vector."""
    values = in_host_memory(values)
    try:
        array = np.asarray(values)
    except ValueError:  # nested lists of unequal length
        array = np.asarray(values, object)
    if array.dtype.kind in "SU" and isinstance(values, (list, tuple)):
        array = np.asarray(values, object)  # NumPy makes text of numbers beside text
    # checked one by one: NumPy would convert text such as "2025" to a number
    if array.ndim == 1 and array.dtype.kind not in "biuf":
        for row, value in enumerate(array):
            if not isinstance(value, (Real, Decimal, np.bool_)):
                msg = f"{name} must hold numbers, got {value!r} in row {row}"
                raise ValueError(msg)
    return check_vector(array, name, np.float64, n_rows)


def scores_of(y_score: ArrayLike, name: str = "y_score") -> Float64Array:
    """Return scores as a float64 vector of at least one row, without NaN."""
    score = check_scores(numbers(y_score, name), name)
    if len(score) == 0:
        msg = f"{name} must hold at least one row, got none"
        raise ValueError(msg)
    return score


def weights_of(sample_weight: ArrayLike | None, n_rows: int) -> Float64Array | None:
    """Return finite weights >= 0, not all of them zero, or None."""
    if sample_weight is not None:
        sample_weight = numbers(sample_weight, "sample_weight", n_rows)
    return check_weights(sample_weight, n_rows)


def weights_or_ones(sample_weight: ArrayLike | None, n_rows: int) -> Float64Array:
    """Return finite weights >= 0, not all of them zero; for None, 1 each."""
    weight = weights_of(sample_weight, n_rows)
    return np.ones(n_rows) if weight is None else weight


def codes_in(
    y: ArrayLike, classes: ArrayLike, pos_label: Any
) -> tuple[Float64Array, int]:
    """Return labels as 0 and 1, and the column of the positive class in ``classes``:
    that of ``pos_label``, or the second for None."""
    known, labels = np.asarray(classes), np.asarray(in_host_memory(y))
    if known.shape != (2,) or labels.ndim != 1:
        msg = (
            "y must be one-dimensional, of an estimator with two classes, got shape "
            f"{labels.shape} and classes {known.tolist()}"
        )
        raise ValueError(msg)
    both = " and ".join(map(repr, known.tolist()))
    is_named = equal_to(known, known[1] if pos_label is None else pos_label)
    if not is_named.any():
        msg = f"pos_label must be a class of the estimator, {both}, got {pos_label!r}"
        raise ValueError(msg)
    column = int(is_named.argmax())
    positive = equal_to(labels, known[column])
    unknown = ~(positive | equal_to(labels, known[1 - column]))
    if unknown.any():
        row = int(unknown.argmax())
        label = labels[row : row + 1].tolist()[0]
        msg = f"y must hold the estimator's classes, {both}, got {label!r} in row {row}"
        raise ValueError(msg)
    return positive.astype(np.float64), column


def _no_day(value: Any) -> str:
    """Return why a label cannot be a day, or "" if the label can be one."""
    if isinstance(value, datetime):
        value = value.isoformat()
    if isinstance(value, str):
        return _STAMP if _TIME_OF_DAY.search(value) else ""
    if isinstance(value, timedelta):
        return "it is not a whole number of days" if value % timedelta(1) else ""
    if isinstance(value, pd.Period):
        # daily periods: of calendar, business and custom business days
        is_day = value.freqstr in ("D", "B", "C")
        return "" if is_day else "it is not a period of one day"
    if isinstance(value, (Real, Decimal)):
        return "" if float(value).is_integer() else "it is not a whole number"
    is_day = isinstance(value, (date, bytes))
    return "" if is_day else "it is not a date, a number or text"


def codes_of(
    labels: Any, name: str, n_rows: int, *, days: bool = False
) -> tuple[NDArray[np.intp], int]:
    """Return a whole number for each row, in the sorted order of the labels, and the
    number of different labels; with ``days``, check that the labels are days.
    """
    values = in_host_memory(labels)
    if "polars" in type(values).__module__ and hasattr(values, "to_list"):
        values = values.to_list()  # Polars converts to NumPy in UTC, whatever the zone
    arrow = isinstance(getattr(values, "dtype", None), pd.ArrowDtype)
    if arrow or not isinstance(values, (pd.Series, pd.Index)):
        # objects keep None beside numbers, and NaN beside text, in a list of both
        listed = isinstance(values, (list, tuple))
        values = native(np.asarray(values, object if listed else None))
    if values.ndim != 1:
        msg = f"{name} must be one-dimensional, got shape {values.shape}"
        raise ValueError(msg)
    if len(values) != n_rows:
        msg = f"{name} must have {n_rows} values, one a row, got {len(values)}"
        raise ValueError(msg)
    # Pandas would turn a month into its first day
    if days and str(values.dtype) in [f"datetime64[{unit}]" for unit in "YMW"]:
        msg = f"{name} must hold whole days, got {values.dtype}, which is longer"
        raise ValueError(msg)
    if values.dtype.kind == "f":  # Pandas has no index of float16
        values = np.asarray(values, np.float64)
    try:
        codes, kinds = pd.factorize(pd.Series(values).infer_objects(), sort=True)
        if days and kinds.dtype == object:
            sorted(kinds)  # Pandas leaves labels that it cannot sort in any order
    except TypeError as error:
        msg = f"{name} must hold values of one kind, such as numbers or text: {error}"
        raise ValueError(msg) from error
    if (codes < 0).any():
        msg = (
            f"{name} must not be missing, as it is in row {int(codes.argmin())}; leave "
            "such rows out or give each a label of its own"
        )
        raise ValueError(msg)
    # time stamps as cards or groups, too, would be one label a row
    for code, label in enumerate(kinds if days or kinds.dtype.kind == "M" else ()):
        if reason := _no_day(label):
            row = int((codes == code).argmax())
            msg = f"{name} must hold whole days, got {label!r} in row {row}: {reason}"
            raise ValueError(msg)
    return codes, len(kinds)


def rows_by(codes: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return the positions of the rows of each code, by rising code."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
