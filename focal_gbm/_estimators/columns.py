"""Checks of the columns of X, before a booster reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api import types

_NUMBERS = "numbers or booleans"
OTHER_INTEGER = "masked or unsigned integer"


class Reader(NamedTuple):
    """The columns that a library can read.

    ``any_arrow`` is true for a booster that reads dictionaries and half floats of Arrow
    and Polars. ``categories`` are the kinds of categories of a pandas column that the
    library can store in its model, in the words of ``_kind``; None: any.
    """

    library: str
    any_arrow: bool
    categories: frozenset[str] | None


def in_memory(X: Any) -> Any:
    """Return a lazy Polars frame as a frame in memory, and other features unchanged."""
    return X.collect() if _is_of(X, "polars") and hasattr(X, "collect") else X


def check_columns(X: Any, reader: Reader) -> None:
    """Refuse columns that a booster cannot read, with their names.

    LightGBM (4.6 and 4.7) ends the process, by ``std::terminate``, over an Arrow column
    of another type.
    """
    if isinstance(X, pd.DataFrame):
        _check_categories(X, reader)
        bad = _of_pandas(X)
        advice = (
            "Turn times into numbers, such as the hour or the days since an event, and "
            "text into categories by astype('category'), or drop the column"
        )
    elif is_arrow(X):
        bad = _of_arrow(X, reader.any_arrow)
        advice = (
            "Turn times into numbers and text into numeric codes, or drop the column; "
            "pandas categories, as of to_pandas(), are read by both libraries"
        )
    else:
        bad = _of_array(X)
        advice = "Turn them into numbers, or pass a data frame with category columns"
    if listed := _listed(bad):
        msg = (
            f"{reader.library} reads columns of {_NUMBERS} and categories, and X has "
            f"{listed}. {advice}"
        )
        raise TypeError(msg)


def readable(X: Any, reader: Reader) -> Any:
    """Return features for a booster's predict, with columns of Arrow checked."""
    X = in_memory(X)
    if is_arrow(X):  # the other containers raise errors of their own
        check_columns(X, reader)
    return X


def check_fixed_categories(X: Any) -> None:
    """Refuse Categorical columns of Polars, which have other codes in other rows."""
    if not _is_of(X, "polars"):
        return
    names = [n for n, dtype in X.schema.items() if str(dtype).startswith("Categorical")]
    if names:
        msg = (
            f"X has Categorical columns of Polars, {names[0]!r} first, whose codes "
            "differ from fold to fold; cast them to Enum, which has fixed categories"
        )
        raise TypeError(msg)


def is_arrow(X: Any) -> bool:
    """Whether a booster reads the features through Arrow."""
    return _is_of(X, "polars") or _is_of(X, "pyarrow")


def _is_of(X: Any, package: str) -> bool:
    # by name: a check of the type would import the package
    return type(X).__module__.partition(".")[0] == package


def _listed(columns: Iterator[tuple[Any, Any]]) -> str:
    """Return the first five columns with their kinds, and how many follow."""
    listed = [f"{name!r} ({kind})" for name, kind in columns]
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more


def _check_categories(X: pd.DataFrame, reader: Reader) -> None:
    """Refuse categories that a library cannot store in its model.

    LightGBM would end the fit with "Circular reference detected", and XGBoost 3.1 to
    3.3 with "object of type 'int' has no len()".
    """
    if reader.categories is None:
        return
    bad = (
        (name, "no category" if kind == "empty" else f"categories of {kind}")
        for name, dtype in X.dtypes.items()
        if isinstance(dtype, pd.CategoricalDtype)
        and (kind := _kind(dtype.categories)) not in reader.categories
    )
    if listed := _listed(bad):
        msg = (
            f"{reader.library} cannot store the categories of X in the model: {listed}."
            " Make them texts, by X[name].cat.rename_categories(str) wherever rows are"
            " trained or scored, or drop the column"
        )
        raise TypeError(msg)


def _kind(categories: pd.Index[Any]) -> str:
    """Return the kind of categories: "string", "integer", "floating", ...

    "integer" are the signed integers of NumPy; XGBoost 3.1 to 3.3 reads no others.
    """
    kind: str = types.infer_dtype(categories, skipna=False)
    dtype = categories.dtype
    is_signed = isinstance(dtype, np.dtype) and dtype.kind == "i"
    return OTHER_INTEGER if kind == "integer" and not is_signed else kind


def _of_pandas(X: pd.DataFrame) -> Iterator[tuple[Any, Any]]:
    for name, dtype in X.dtypes.items():
        is_number = types.is_numeric_dtype(dtype) or types.is_bool_dtype(dtype)
        # both libraries split categories by their codes
        is_category = isinstance(dtype, pd.CategoricalDtype)
        if types.is_complex_dtype(dtype) or not (is_number or is_category):
            yield name, dtype


def _of_arrow(X: Any, any_arrow: bool) -> Iterator[tuple[str, Any]]:
    """Yield the unreadable columns of a frame of Polars or a table of PyArrow."""
    if _is_of(X, "polars"):
        for name, dtype in X.schema.items():
            kind = str(dtype).partition("(")[0]
            extra = kind in ("Categorical", "Enum", "Float16")
            is_number = dtype.is_numeric() and kind != "Decimal"
            is_plain = (is_number and not extra) or kind == "Boolean"
            if not (is_plain or (extra and any_arrow)):
                yield name, dtype
        return
    from pyarrow import types as arrow

    for field in X.schema:
        kind = field.type
        extra = arrow.is_dictionary(kind) or arrow.is_float16(kind)
        is_number = arrow.is_integer(kind) or arrow.is_floating(kind)
        is_plain = (is_number and not extra) or arrow.is_boolean(kind)
        if not (is_plain or (extra and any_arrow)):
            yield field.name, kind


def _of_array(X: Any) -> Iterator[tuple[int, Any]]:
    """Yield the columns of an array that are not numbers, by position."""
    if not isinstance(X, np.ndarray) or X.ndim != 2 or X.dtype.kind in "biufc":
        return  # both libraries refuse complex numbers in words of their own
    for i in range(X.shape[1]):
        column = X[:, i]
        try:
            if column.dtype.kind in "Mm":  # which NumPy would convert to numbers
                yield i, column.dtype
            else:
                column.astype(np.float64)
        except (TypeError, ValueError) as error:
            yield i, error
