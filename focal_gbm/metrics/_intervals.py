"""Bootstrap intervals of measures, with cards or days drawn as wholes."""

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
from sklearn.utils import _safe_indexing  # private, in 1.6 to 1.9; rows of any type

from focal_gbm._validation import (
    check_count,
    check_generator,
    check_labels,
    check_real,
)
from focal_gbm.metrics._rows import codes_of, scores_of, weights_or_ones


def drawings(
    columns: dict[str, Any], groups: Any, n_rows: int, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.intp], dict[str, Any]]]:
    """Yield positions of rows of groups drawn with replacement, and their columns."""
    codes, n_groups = np.arange(n_rows), n_rows
    if groups is not None:
        codes, n_groups = codes_of(groups, "groups", n_rows)
    if n_groups < 2:
        drawn_from = "rows" if groups is None else "groups"
        msg = (
            f"an interval needs at least two {drawn_from} to draw from, got one, of "
            f"which all resamples are equal; pass more {drawn_from}"
        )
        raise ValueError(msg)
    # columns that name groups or parts of groups: each copy needs its own names
    names: dict[str, NDArray[np.intp]] = {}
    for name, values in columns.items() if groups is not None else ():
        if name == "day":
            # as many pairs as days: every day lies in one group
            days, n_days = codes_of(values, name, n_rows, days=True)
            if len(np.unique(days * np.int64(n_groups) + codes)) == n_days:
                names[name] = days
        elif name == "card":
            names[name] = codes_of(values, name, n_rows)[0]
        elif np.ndim(values) == 1 and pd.Series([*values]).equals(pd.Series([*groups])):
            names[name] = codes
    order, sizes = np.argsort(codes, kind="stable"), np.bincount(codes)
    starts = np.cumsum(sizes) - sizes
    while True:
        # sorted, so that the copies of a group follow each other and can be numbered
        drawn = np.sort(rng.integers(0, n_groups, n_groups))
        size = sizes[drawn]
        shift = np.repeat(starts[drawn] - np.cumsum(size) + size, size)
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
    """Return a bootstrap interval for a measure, drawn by rows, by cards or by days.

    Frauds of one card or of one day resemble each other. Intervals from rows drawn one
    by one are then too short, so that groups are drawn as wholes. A group drawn twice
    counts as two groups. These keyword arguments therefore reach the metric as whole
    numbers:

    - ``card``: a second copy of a group has other cards than the first copy, so that a
      card found in one copy stays in the other. First copies share their cards with one
      another, like the rows of the data, and so do second copies.
    - ``day``: if every day lies in one group (groups of days or weeks), each copy has
      its own days with their own budgets, next to the first copy in the order of time.
      Groups of cards share the days and their budgets.
    - An array equal to ``groups``: each copy has its own name.

    Parameters
    ----------
    metric : callable
        Function of this module, of scikit-learn or your own, called as
        ``metric(y_true, y_score, **kwargs)`` with labels 0 and 1, and with
        ``sample_weight=`` if weights are passed or the function requires them.
    y_true : array-like of shape (n_samples,)
        Labels: 0 and 1, booleans, or any two labels with ``pos_label``.
    y_score : array-like of shape (n_samples,)
        Scores or probabilities of the positive class; NaN is refused.
    groups : array-like of shape (n_samples,) or None, default=None
        Name of the group of each row, such as its card or day. Groups are drawn as
        wholes. None: rows are drawn, and keep their card and day.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each.
    pos_label : label or None, default=None
        Label of the positive class; None: 1, or True.
    n_resamples : int >= 1, default=500
        Number of resamples on which the measure is defined. Up to as many others, such
        as resamples without a positive, are replaced by new draws.
    confidence : float in (0, 1), default=0.95
        Share of the resamples between the ends, which are percentiles [1]_.
    random_state : int >= 0, numpy.random.Generator or None, default=None
        Seed or source of the draws; None: other draws in each call.
    **kwargs
        Arguments of the metric. Array-likes of n_samples values are drawn with the
        rows.

    Returns
    -------
    low, high : float
        Ends of the interval, widened to contain the measure of all rows if the
        percentiles do not.

    Raises
    ------
    TypeError
        If ``metric`` is not a function, or ``n_resamples`` or ``confidence`` is not a
        number.
    ValueError
        If the measure is undefined on all rows or on more than ``n_resamples``
        resamples, there are fewer than two groups (rows without ``groups``), a label is
        not one of two classes, a score is NaN, a weight is negative or not finite,
        lengths differ, or a parameter is out of range.

    See Also
    --------
    focal_gbm.metrics.recall_at_daily_budget : A measure whose days are drawn as wholes.
    focal_gbm.metrics.card_precision_at_k : A measure whose cards are drawn as wholes.
    focal_gbm.plotting.ReliabilityDisplay : Intervals of observed rates, by a formula.

    References
    ----------
    .. [1] B. Efron. Bootstrap methods: another look at the jackknife. Annals of
       Statistics 7(1), 1979.

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
    rng = check_generator(random_state)
    if not callable(metric):
        msg = (
            "metric must be a function, such as focal_gbm.metrics.recall_at_fpr, got "
            f"{metric!r}"
        )
        raise TypeError(msg)
    if sample_weight is not None or _needs_weight(metric):
        kwargs["sample_weight"] = weights_or_ones(sample_weight, len(score))
    name = getattr(metric, "__name__", repr(metric))
    estimate = float(metric(y, score, **kwargs))
    if not np.isfinite(estimate):
        msg = (
            f"{name} is {estimate} on all rows, which no interval can contain; pass "
            "rows on which the measure is finite, such as rows of both classes"
        )
        raise ValueError(msg)
    columns = {k: v for k, v in kwargs.items() if np.shape(v)[:1] == score.shape}
    draws = drawings(columns, groups, len(score), rng)
    values: list[float] = []
    n_undefined, n_without, cause = 0, 0, None
    while len(values) < n_resamples:
        rows, drawn = next(draws)
        try:
            # undefined values are counted below, one warning each would repeat that
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UndefinedMetricWarning)
                value = float(metric(y[rows], score[rows], **{**kwargs, **drawn}))
        except ValueError as error:  # of this resample: all rows raised none
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
    # percentiles of a biased measure may exclude the estimate
    low, high = np.quantile(values, [(1 - inside) / 2, (1 + inside) / 2])
    return min(float(low), estimate), max(float(high), estimate)


def _needs_weight(metric: Callable[..., float]) -> bool:
    """Return whether a metric cannot be called without ``sample_weight``."""
    with contextlib.suppress(TypeError, ValueError):  # built-in: no signature
        needed = inspect.signature(metric).parameters.get("sample_weight")
        return needed is not None and needed.default is needed.empty
    return False
