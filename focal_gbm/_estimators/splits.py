"""Folds of rows, from a number, a splitter or an iterable of splits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import check_cv

from focal_gbm._validation import is_whole


def row_splits(
    cv: Any, X: Any, y: Any, name: str, groups: Any = None
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return the positions of the training rows and the held-out rows of each fold.

    ``name`` is that of the parameter ``cv``, for the errors.
    """
    is_count = is_whole(cv)
    # bytes have a method split, and an array without an axis has one that iterates
    is_other = isinstance(cv, (str, bytes)) or (
        isinstance(cv, np.ndarray) and cv.ndim == 0
    )
    if not (is_count or hasattr(cv, "split") or isinstance(cv, Iterable)) or (
        is_other or (is_count and cv < 2)
    ):
        msg = (
            f"{name} must be a number of folds >= 2, a splitter or an iterable of "
            f"splits, got {cv!r}"
        )
        raise ValueError(msg)
    most = int(np.unique(y, return_counts=True)[1].max()) if is_count else 0
    if is_count and cv > most:
        msg = (
            f"{name} must be at most {most}, the number of rows of the more frequent "
            f"class, got {cv!r}: each fold holds out other rows"
        )
        raise ValueError(msg)
    try:
        if is_count or hasattr(cv, "split"):
            cv = check_cv(cv, y, classifier=True).split(X, y, groups)
        splits = list(cv)
    except ValueError as error:
        if "groups" in str(error):
            error.add_note(
                "where fit takes no groups, pass "
                f"{name}=list(splitter.split(X, y, groups=groups))"
            )
        raise
    if not splits:
        msg = (
            f"{name} holds no fold: a generator can be read once; pass "
            "list(splitter.split(X, y)) to fit again"
        )
        raise ValueError(msg)
    return [_rows_of_split(split, i, len(y), name) for i, split in enumerate(splits)]


def _rows_of_split(
    split: Any, number: int, n_rows: int, name: str
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the row positions of a split, which may be positions or masks."""
    try:
        parts = [np.asarray(part) for part in split]
        fit, held = (
            np.flatnonzero(part)
            if part.dtype == bool and len(part) == n_rows
            else np.arange(n_rows)[part.astype(np.intp) if not len(part) else part]
            for part in parts
        )
    except (TypeError, ValueError, IndexError) as error:
        msg = (
            f"{name} must hold pairs of positions below {n_rows}, or of masks "
            f"of {n_rows} rows, to fit to and to hold out; split {number} is none"
        )
        raise ValueError(msg) from error
    return fit, held
