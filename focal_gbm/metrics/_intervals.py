"""Intervals of measures, from cards or days drawn again as wholes."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils import _safe_indexing

from focal_gbm._validation import (
    check_count,
    check_labels,
    check_real,
)
from focal_gbm.metrics._rows import codes_of, scores_of, weights_of


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


def bootstrap_interval(
    metric: Callable[..., float],
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
    n_resamples: int = 500,
    confidence: float = 0.95,
    random_state: int | np.random.Generator | None = None,
    **kwargs: Any,
) -> tuple[float, float]:
    """Return an interval for a measure from rows drawn again, by card or by day.

    Frauds of one card or one day resemble each other, and rows drawn one by one make
    intervals that are too short; groups are drawn as wholes. A group drawn twice is
    two groups; what names groups arrives at the metric as whole numbers:

    - ``card``: a second copy of a group has other cards than the first, so that a card
      found in one is not missed in the other. First copies share their cards with one
      another, as the data do, and so do second copies.
    - ``day``: if every day lies in one group (groups of days or weeks), each copy has
      days of its own, with budgets of their own, beside the first in the order of time.
      Groups of cards share the days, and so the budgets.
    - An array equal to ``groups``: each copy has a name of its own.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, y_score, **kwargs)``, of this module, of scikit-learn or of
        your own, with labels 0 and 1; with ``sample_weight=`` where there are weights.
    y_true : array-like of shape (n_samples,)
        Labels: 0 and 1, booleans, or any two with ``pos_label``.
    y_score : array-like of shape (n_samples,)
        Scores or probabilities of the positive class; NaN is refused.
    groups : array-like of shape (n_samples,) or None, default=None
        Names of what is drawn as a whole; None: each row, which keeps card and day.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of the positive class; None: 1, or True.
    n_resamples : int >= 1, default=500
        Resamples on which the measure is defined. Others, as without a positive, are
        drawn again, at most as many.
    confidence : float in (0, 1), default=0.95
        Share of the resamples between the ends (percentiles; Efron 1979).
    random_state : int, numpy.random.Generator or None, default=None
        Seed or source of the drawings; None: different ones each time.
    **kwargs
        For the metric. Array-likes of n_samples values are drawn with the rows.

    Returns
    -------
    low, high : float
        Widened to hold the measure of all rows where the percentiles leave it out.

    Raises
    ------
    ValueError
        If the measure is undefined on all rows or many resamples, or data unusable.

    Examples
    --------
    >>> import numpy as np
    >>> from focal_gbm.metrics import bootstrap_interval, recall_at_daily_budget
    >>> rng = np.random.default_rng(0)
    >>> y, day = rng.random(2000) < 0.05, np.arange(2000) // 100
    >>> low, high = bootstrap_interval(
    ...     recall_at_daily_budget, y, y + rng.normal(size=2000), groups=day, day=day,
    ...     budget=10, random_state=0)
    >>> 0 < low < high < 1
    True
    """
    n_resamples = check_count(n_resamples, "n_resamples")
    inside = check_real(confidence, "confidence", low=0.0, high=1.0, open_ends=True)
    score = scores_of(y_score)
    y = check_labels(y_true, len(score), pos_label=pos_label)
    rng = np.random.default_rng(random_state)
    if sample_weight is not None or _needs_weight(metric):
        weight = np.ones_like(score) if sample_weight is None else sample_weight
        kwargs["sample_weight"] = weights_of(weight, len(score))
    name = getattr(metric, "__name__", repr(metric))
    estimate = float(metric(y, score, **kwargs))
    if not np.isfinite(estimate):
        msg = f"{name} is {estimate} on all rows, which no interval can hold"
        raise ValueError(msg)
    columns = {k: v for k, v in kwargs.items() if np.shape(v)[:1] == score.shape}
    draws = drawings(columns, groups, len(score), rng)
    values: list[float] = []
    n_undefined, n_without, cause = 0, 0, None
    while len(values) < n_resamples:
        rows, drawn = next(draws)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UndefinedMetricWarning)
                value = float(metric(y[rows], score[rows], **{**kwargs, **drawn}))
        except ValueError as error:  # it is defined on all rows
            value, cause = float("nan"), error
        if np.isfinite(value):
            values.append(value)
            continue
        n_undefined, n_without = n_undefined + 1, n_without + (not y[rows].any())
        if n_undefined > n_resamples:
            msg = (
                f"{name} is undefined on {n_undefined} of {n_undefined + len(values)} "
                f"resamples, {n_without} of which hold no positive: an interval of the "
                "others would mislead; take more rows, more groups or another measure"
            )
            raise ValueError(msg) from cause
    low, high = np.quantile(values, [(1 - inside) / 2, (1 + inside) / 2])
    return min(float(low), estimate), max(float(high), estimate)


def _needs_weight(metric: Callable[..., float]) -> bool:
    """Whether a metric cannot be called without ``sample_weight``."""
    with contextlib.suppress(TypeError, ValueError):  # built-in ones have no signature
        needed = inspect.signature(metric).parameters.get("sample_weight")
        return needed is not None and needed.default is needed.empty
    return False
