"""Checks of the columns of X, before a booster reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

_NUMBERS = "numbers or booleans"


def in_memory(X: Any) -> Any:
    """Return a lazy Polars frame as a frame in memory, and other features unchanged."""
    return X.collect() if _is_of(X, "polars") and hasattr(X, "collect") else X


def check_columns(X: Any, library: str, *, any_arrow: bool) -> None:
    """Refuse columns that a booster cannot read, with their names.

    ``any_arrow`` is true for a booster that reads dictionaries and half floats of Arrow
    and Polars. LightGBM (4.6 and 4.7) ends the process, by ``std::terminate``, over an
    Arrow column of another type.
    """
    if isinstance(X, pd.DataFrame):
        bad = _of_pandas(X)
        advice = (
            "Turn times into numbers, such as the hour or the days since an event, and "
            "text into categories by astype('category'), or drop the column"
        )
    elif is_arrow(X):
        bad = _of_arrow(X, any_arrow)
        advice = (
            "Turn times into numbers and text into numeric codes, or drop the column; "
            "pandas categories, as of to_pandas(), are read by both libraries"
        )
    else:
        bad = _of_array(X)
        advice = "Turn them into numbers, or pass a data frame with category columns"
    listed = [f"{name!r} ({kind})" for name, kind in bad]
    if listed:
        more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
        msg = (
            f"{library} reads columns of {_NUMBERS} and categories, and X has "
            f"{', '.join(listed[:5])}{more}. {advice}"
        )
        raise TypeError(msg)


def readable(X: Any, library: str, *, any_arrow: bool) -> Any:
    """Return features for a booster's predict, with columns of Arrow checked."""
    X = in_memory(X)
    if is_arrow(X):  # the other containers raise errors of their own
        check_columns(X, library, any_arrow=any_arrow)
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
