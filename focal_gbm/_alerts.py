"""Measures at a false-positive rate or at a rate of alerts, the threshold for a budget
of alerts, and the checks of rows that all measures share.

Scores only rank here: any strictly increasing transform of them gives the same
values. Rows of equal score are alerted together or not at all, since no threshold
can part them; every measure keeps to its budget and never exceeds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import _safe_indexing

from focal_gbm._checks import (
    Float64Array,
    check_labels,
    check_real,
    check_scores,
    check_vector,
    check_weights,
    equal_to,
    in_host_memory,
    native,
)

# Budgets are met up to rounding: 0.001 of 1000 rows is one row, not 0.9999...
_ROUNDING = 1e-12
# A time of day in text, other than midnight.
_TIME_OF_DAY = re.compile(r"\d[T ](?!0?0:00(:00([.,]0*)?)?(?![\d:.,]))\d\d?:\d\d")

_STAMP = (
    "a time stamp would be a day of its own; take the day of it by .dt.normalize() or "
    ".dt.date of Pandas, or by astype('datetime64[D]') of NumPy"
)


class Cuts(NamedTuple):
    """Alerted weight of each class at every distinct threshold, most alerts last."""

    threshold: Float64Array
    positive: Float64Array
    negative: Float64Array

    @property
    def total(self) -> float:
        """Weight of all rows."""
        return float(self.positive[-1] + self.negative[-1])


def numbers(values: Any, name: str, n_rows: int | None = None) -> Float64Array:
    """Return numbers of any dtype as a float64 vector."""
    values = in_host_memory(values)
    try:
        array = np.asarray(values)
    except ValueError:  # nested lists of unequal length
        array = np.asarray(values, object)
    if array.dtype.kind in "SU" and isinstance(values, (list, tuple)):
        array = np.asarray(values, object)  # NumPy makes text of numbers beside text
    if array.ndim == 1 and array.dtype.kind not in "biuf":
        for row, value in enumerate(array):
            if not isinstance(value, (Real, Decimal, np.bool_)):
                msg = f"{name} must hold numbers, got {value!r} in row {row}"
                raise ValueError(msg)
    return check_vector(array, name, np.float64, n_rows)


def scores_of(y_score: ArrayLike, name: str = "y_score") -> Float64Array:
    """Return at least one score, none of them NaN."""
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


def codes_in(
    y: ArrayLike, classes: ArrayLike, pos_label: Any
) -> tuple[Float64Array, int]:
    """Return labels of a classifier as 0 and 1, and the column of the positive class:
    ``pos_label`` or, by None, the second class."""
    known, labels = np.asarray(classes), np.asarray(in_host_memory(y))
    if known.shape != (2,) or labels.ndim != 1:
        msg = f"y must be one-dimensional, of two classes, got {labels.shape}, {known}"
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
    """Return why a label cannot be a day, or "" if it can be one."""
    if isinstance(value, datetime):
        value = value.isoformat()
    if isinstance(value, str):
        return _STAMP if _TIME_OF_DAY.search(value) else ""
    if isinstance(value, timedelta):
        return "it is no whole number of days" if value % timedelta(1) else ""
    if isinstance(value, pd.Period):
        return "" if value.freqstr in ("D", "B", "C") else "it is no period of a day"
    if isinstance(value, (Real, Decimal)):
        return "" if float(value).is_integer() else "it is no whole number"
    return "" if isinstance(value, (date, bytes)) else "it is neither date nor number"


def codes_of(
    labels: Any, name: str, n_rows: int, *, days: bool = False
) -> tuple[NDArray[np.intp], int]:
    """Return the code of each row's label, codes being whole numbers in the order of
    the labels, and how many labels there are; with ``days``, check that they are days.
    """
    values = in_host_memory(labels)
    if "polars" in type(values).__module__ and hasattr(values, "to_list"):
        values = values.to_list()  # to NumPy it gives times in UTC, whatever their zone
    arrow = isinstance(getattr(values, "dtype", None), pd.ArrowDtype)
    if arrow or not isinstance(values, (pd.Series, pd.Index)):
        # objects keep what lists mix: None beside numbers, NaN beside text
        listed = isinstance(values, (list, tuple))
        values = native(np.asarray(values, object if listed else None))
    if values.ndim != 1:
        msg = f"{name} must be one-dimensional, got shape {values.shape}"
        raise ValueError(msg)
    if len(values) != n_rows:
        msg = f"{name} must have {n_rows} values, one a row, got {len(values)}"
        raise ValueError(msg)
    if days and str(values.dtype) in [f"datetime64[{unit}]" for unit in "YMW"]:
        msg = f"{name} must hold whole days, got {values.dtype}, which is longer"
        raise ValueError(msg)
    if values.dtype.kind == "f":  # Pandas has no index of float16
        values = np.asarray(values, np.float64)
    try:
        codes, kinds = pd.factorize(pd.Series(values).infer_objects(), sort=True)
        if days and kinds.dtype == object:
            sorted(kinds)  # where Pandas cannot sort, it does not say so
    except TypeError as error:
        msg = f"{name} must hold values of one kind, such as numbers or text: {error}"
        raise ValueError(msg) from error
    if (codes < 0).any():
        msg = (
            f"{name} must not be missing, as it is in row {int(codes.argmin())}; leave "
            "such rows out or give each a label of its own"
        )
        raise ValueError(msg)
    for code, label in enumerate(kinds if days or kinds.dtype.kind == "M" else ()):
        if reason := _no_day(label):
            row = int((codes == code).argmax())
            msg = f"{name} must hold whole days, got {label!r} in row {row}: {reason}"
            raise ValueError(msg)
    return codes, len(kinds)


def rows_by(codes: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Return the rows of each code, in order."""
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def drawings(
    columns: dict[str, Any], groups: Any, n_rows: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.intp], dict[str, Any]]]:
    """Yield the rows of groups drawn with replacement, and their values in columns."""
    codes, n_groups = np.arange(n_rows), n_rows
    if groups is not None:
        codes, n_groups = codes_of(groups, "groups", n_rows)
    if n_groups < 2:
        msg = "an interval needs at least two groups, or rows, got one: nothing varies"
        raise ValueError(msg)
    # what names groups, or parts of them: each copy of a group has names of its own
    names: dict[str, NDArray[np.intp]] = {}
    for name, values in columns.items() if groups is not None else ():
        if name == "day":
            days, n_days = codes_of(values, name, n_rows, days=True)
            if len(np.unique(days * np.int64(n_groups) + codes)) == n_days:
                names[name] = days
        elif name == "card":
            names[name] = codes_of(values, name, n_rows)[0]
        elif np.ndim(values) == 1 and pd.Series([*values]).equals(pd.Series([*groups])):
            names[name] = codes
    order, sizes = np.argsort(codes, kind="stable"), np.bincount(codes)
    begins = np.cumsum(sizes) - sizes
    while True:
        drawn = np.sort(rng.integers(0, n_groups, n_groups))
        size = sizes[drawn]
        shift = np.repeat(begins[drawn] - np.cumsum(size) + size, size)
        rows = order[shift + np.arange(len(shift))]
        copy = np.arange(n_groups) - np.searchsorted(drawn, drawn)
        n_copies, copies = int(copy.max()) + 1, np.repeat(copy, size)
        yield (
            rows,
            {
                name: names[name][rows] * n_copies + copies
                if name in names
                else _safe_indexing(values, rows)
                for name, values in columns.items()
            },
        )


def cuts_of(y: Float64Array, score: Float64Array, weight: Float64Array | None) -> Cuts:
    """Return what is alerted at each threshold, for rows that have been checked."""
    order = np.argsort(-score, kind="stable")
    score, y = score[order], y[order]
    w = np.ones_like(y) if weight is None else weight[order]
    # not by differences, which are NaN between infinite scores
    last = np.append(np.flatnonzero(score[1:] != score[:-1]), len(score) - 1)
    positive, negative = np.cumsum(w * y)[last], np.cumsum(w * (1 - y))[last]
    return Cuts(score[last], positive, negative)


def cuts_from(
    y_true: ArrayLike,
    y_score: ArrayLike,
    sample_weight: ArrayLike | None,
    pos_label: Any = None,
) -> Cuts:
    """Return what is alerted at each threshold, after checks."""
    score = scores_of(y_score)
    y = check_labels(y_true, len(score), pos_label=pos_label)
    return cuts_of(y, score, weights_of(sample_weight, len(score)))


def n_within(spent: Float64Array, budget: float) -> int:
    """Return how many thresholds keep to the budget."""
    return int(np.searchsorted(spent, budget * (1 + _ROUNDING), side="right"))


def spent(cuts: Cuts, budget: float) -> tuple[float, float, float]:
    """Return frauds alerted, rows alerted and all frauds within a budget of alerts."""
    alerts = cuts.positive + cuts.negative
    at = n_within(alerts, budget) - 1
    if at < 0:
        return 0.0, 0.0, float(cuts.positive[-1])
    return float(cuts.positive[at]), float(alerts[at]), float(cuts.positive[-1])


def share(part: float, whole: float) -> float:
    """Return part / whole, NaN if there is no whole."""
    return float(part / whole) if whole > 0 else float("nan")


def recall_at_fpr(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    fpr: float = 1e-3,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
) -> float:
    """Return the share of frauds caught at a bounded false-positive rate.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels: 0 and 1, booleans, or any two with ``pos_label``.
    y_score : array-like of shape (n_samples,)
        Scores, higher for fraud; infinite ones rank, NaN is refused.
    fpr : float in [0, 1], default=1e-3
        Largest share of the negatives that may be alerted.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of fraud, the class that ``y_score`` is for; None: 1, or True.

    Returns
    -------
    recall : float in [0, 1]
        NaN if there is no fraud. With no negative, 1.

    Raises
    ------
    ValueError
        If data cannot be used, lengths differ, or there is no row.

    Examples
    --------
    >>> from focal_gbm.metrics import recall_at_fpr
    >>> recall_at_fpr([1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.2, 0.1], fpr=0.4)
    1.0
    """
    fpr = check_real(fpr, "fpr", low=0.0, high=1.0)
    cuts = cuts_from(y_true, y_score, sample_weight, pos_label)
    at = n_within(cuts.negative, fpr * cuts.negative[-1]) - 1
    return share(cuts.positive[at] if at >= 0 else 0.0, cuts.positive[-1])


def recall_at_alert_rate(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    rate: float = 1e-2,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
) -> float:
    """Return the share of frauds caught when a bounded share of rows is alerted.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels: 0 and 1, booleans, or any two with ``pos_label``.
    y_score : array-like of shape (n_samples,)
        Scores, higher for fraud; infinite ones rank, NaN is refused.
    rate : float in [0, 1], default=1e-2
        Largest share of all rows that may be alerted.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of fraud, the class that ``y_score`` is for; None: 1, or True.

    Returns
    -------
    recall : float in [0, 1]
        NaN if there is no fraud.

    Raises
    ------
    ValueError
        If data cannot be used, lengths differ, or there is no row.

    Examples
    --------
    >>> from focal_gbm.metrics import recall_at_alert_rate
    >>> recall_at_alert_rate([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.2], rate=0.5)
    0.5
    """
    rate = check_real(rate, "rate", low=0.0, high=1.0)
    cuts = cuts_from(y_true, y_score, sample_weight, pos_label)
    caught, _, frauds = spent(cuts, rate * cuts.total)
    return share(caught, frauds)


def precision_at_alert_rate(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    rate: float = 1e-2,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
) -> float:
    """Return the share of frauds among the alerts when a bounded share is alerted.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels: 0 and 1, booleans, or any two with ``pos_label``.
    y_score : array-like of shape (n_samples,)
        Scores, higher for fraud; infinite ones rank, NaN is refused.
    rate : float in [0, 1], default=1e-2
        Largest share of all rows that may be alerted.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of fraud, the class that ``y_score`` is for; None: 1, or True.

    Returns
    -------
    precision : float in [0, 1]
        NaN if the rate allows no alert.

    Raises
    ------
    ValueError
        If data cannot be used, lengths differ, or there is no row.

    Examples
    --------
    >>> from focal_gbm.metrics import precision_at_alert_rate
    >>> precision_at_alert_rate([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.2], rate=0.75)
    0.6666666666666666
    """
    rate = check_real(rate, "rate", low=0.0, high=1.0)
    cuts = cuts_from(y_true, y_score, sample_weight, pos_label)
    caught, alerted, _ = spent(cuts, rate * cuts.total)
    return share(caught, alerted)
