"""Calibration and ranking of a model in service, week by week."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from focal_gbm._times import check_unit, length_of, like, times_of
from focal_gbm._validation import (
    Float64Array,
    check_count,
    check_labels,
    check_maturity,
    check_probabilities,
    check_real,
)
from focal_gbm.metrics._alerts import cuts_of
from focal_gbm.metrics._probabilities import ratio_of
from focal_gbm.metrics._rows import codes_of, rows_by, scores_of, weights_of


def calibration_by_period(
    y_true: ArrayLike,
    y_prob: ArrayLike,
    time: ArrayLike,
    *,
    period: Any = 7,
    origin: Any = None,
    label_maturity: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    pos_label: Any = None,
    confidence: float = 0.95,
    reference: tuple[float, float] | None = None,
    n_periods: int = 2,
) -> pd.DataFrame:
    """Return predicted over observed positives and average precision of each period.

    Use it on the rows that a model has scored in service, with the labels known by now:
    has the level of its probabilities drifted, or its ranking? Each period has an
    advice, by a fixed rule:

    - "retrain": average precision is below the low end of ``reference`` in this period
      and the ``n_periods - 1`` before it. No calibrator can mend the order of rows.
    - "calibrate": otherwise, if the interval of the ratio lies above 1 in this period
      and the ``n_periods - 1`` before it, or below 1 in all of them. Call
      ``calibrate(X, y, label_maturity=...)`` of the model on the rows of these periods,
      and compute later tables from the new probabilities.
    - "none": neither.

    Periods are in the order of time, and a period without rows is left out: the one
    before it then counts as the preceding one.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels as known by now: 0 and 1, booleans, or any two labels with ``pos_label``.
    y_prob : array-like of shape (n_samples,)
        Probabilities of the positive class, in [0, 1], as the model gave them in
        service.
    time : array-like of shape (n_samples,)
        Time of each row, in any order: dates of any resolution (with one time zone or
        none), durations or numbers.
    period : float > 0, or duration, default=7
        Length of a period in days, 0.5 for half a day; in the unit of the times if
        those are numbers. Where times are dates, also a ``timedelta``, a
        ``pandas.Timedelta`` or a text such as "7D". Days are those of the clock on the
        wall in the time zone of the rows.
    origin : date, duration, number or None, default=None
        A moment at which a period begins, of the same kind as the times. None: the
        start of the day of the earliest row; if times are numbers, the whole number
        below the earliest. Pass it where the rows of a later table begin later, so that
        both have the same periods.
    label_maturity : array-like of shape (n_samples,) or None, default=None
        Values in (0, 1]: the probability that a positive of the row would be known by
        now, for example of :class:`~focal_gbm.delays.ReportingDelay`. Leave out rows so
        young that no positive can be known. None: 1 each, labels are final.
    groups : array-like of shape (n_samples,) or None, default=None
        Card of each row. The positives of a card in a period then count as one event of
        their joint weight, which makes intervals longer. None: positives are
        independent.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Finite weights >= 0, not all 0; None: 1 each. Rows of weight 0 are left out.
    pos_label : label or None, default=None
        Label of the positive class; None: 1, or True.
    confidence : float in (0, 1), default=0.95
        Confidence of the intervals.
    reference : tuple of two floats in [0, 1], or None, default=None
        Interval of average precision at training time, for example by
        :func:`bootstrap_interval` with ``average_precision_score`` of scikit-learn, on
        held-out rows of one period: the interval of more rows is shorter, and a week
        would fall below it by chance. None: the advice is never "retrain".
    n_periods : int >= 1, default=2
        Number of periods in a row that lead to an advice.

    Returns
    -------
    table : pandas.DataFrame of shape (n_periods_with_rows, 9)
        - ``period``: start of the period, a ``pandas.Timestamp`` in the time zone of
          the rows, a ``pandas.Timedelta`` or a float, like the times.
        - ``n``, ``n_positive``: number of rows and of known positives, int64; with
          weights their sums, float64.
        - ``expected``: number of positives that should be known by now, the sum of
          weight times probability times maturity.
        - ``ratio``: ``expected / n_positive``, inf without a positive. With final
          labels, :func:`calibration_in_the_large` of the period.
        - ``low``, ``high``: ends of the confidence interval of the ratio, in [0, inf].
        - ``average_precision``: of the order of the probabilities, corrected for labels
          that are not known yet; NaN without a positive.
        - ``advice``: "none", "calibrate" or "retrain".

    Raises
    ------
    TypeError
        If ``period`` is neither a number nor a duration, or ``confidence`` or
        ``n_periods`` is not a number.
    ValueError
        If a label is not one of two classes, a probability is not in [0, 1], a time is
        missing or not a time, a maturity is not in (0, 1], a weight is negative or not
        finite, lengths differ, there is no row, ``origin`` is of another kind than the
        times, or a parameter is out of range.

    See Also
    --------
    focal_gbm.plotting.CalibrationByPeriodDisplay : Picture of the table.

    Notes
    -----
    The interval of the ratio is ``expected`` over the ends of the exact interval of
    Garwood [1]_ for the mean of a Poisson number, at ``n_positive``. It contains 1 at
    least as often as its confidence if the model is right: probabilities near 1 make it
    longer than needed, since the number of positives then varies less. By chance,
    "calibrate" comes in one of 800 weeks at most, with the default settings and
    independent positives.

    With weights or groups, the Poisson number is that of the effective events: events
    of weights v count as ``sum(v)**2 / sum(v**2)`` events of weight
    ``sum(v**2) / sum(v)``, which have the same sum and the same variance. Without a
    positive, an event is assumed to have the largest weight of the period.

    A positive that is known with probability c takes the place of 1 / c positives in
    the precision and in the recall that make up average precision, which then has the
    value of final labels in the mean; with few known positives and small maturities one
    period may exceed 1. Average precision also rises and falls with the rate of
    positives: compare rates before training again.

    References
    ----------
    .. [1] F. Garwood. Fiducial limits for the Poisson distribution. Biometrika 28,
       1936.

    Examples
    --------
    Twice as many frauds are predicted as occur from the second period on:

    >>> import numpy as np
    >>> from focal_gbm.metrics import calibration_by_period
    >>> rng = np.random.default_rng(0)
    >>> day, p = np.arange(40_000) // 1000, rng.random(40_000) / 10
    >>> y = rng.random(40_000) < np.where(day < 10, p, p / 2)
    >>> table = calibration_by_period(y, p, day, period=10)
    >>> table[["period", "n", "ratio", "advice"]].round(1)
       period      n  ratio     advice
    0     0.0  10000    1.0       none
    1    10.0  10000    2.2       none
    2    20.0  10000    2.2  calibrate
    3    30.0  10000    2.0  calibrate
    """
    p = check_probabilities(scores_of(y_prob, "y_prob"))
    y = check_labels(y_true, len(p), pos_label=pos_label)
    maturity = check_maturity(label_maturity, len(p))
    weight = weights_of(sample_weight, len(p))
    level = check_real(confidence, "confidence", low=0.0, high=1.0, open_ends=True)
    lowest = _lowest(reference)
    in_a_row = check_count(n_periods, "n_periods")
    cards = None if groups is None else codes_of(groups, "groups", len(p))[0]
    number, starts = _periods(time, period, origin, len(p))

    c = np.ones(len(p)) if maturity is None else maturity
    w = np.ones(len(p)) if weight is None else weight
    rows = []
    for found in rows_by(number):
        kept = found[w[found] > 0]
        if not len(kept):
            continue
        card = None if cards is None else cards[kept]
        known, of_one = _events(w[kept] * y[kept], card, float(w[kept].max()))
        expected = float((w[kept] * p[kept] * c[kept]).sum())
        low, high = poisson_interval(known / of_one, level)
        rows.append(
            {
                "period": starts[number[found[0]]],
                "n": float(w[kept].sum()),
                "n_positive": known,
                "expected": expected,
                "ratio": float(ratio_of(expected, known)),
                "low": float(ratio_of(expected, high * of_one)),
                "high": float(ratio_of(expected, low * of_one)),
                "average_precision": _average_precision(
                    y[kept] / c[kept], p[kept], w[kept]
                ),
            }
        )
    table = pd.DataFrame(rows)
    if weight is None:
        table = table.astype({"n": np.int64, "n_positive": np.int64})
    return table.assign(advice=_advice(table, lowest, in_a_row))


def poisson_interval(n: float, level: float) -> tuple[float, float]:
    """Return the exact interval of a Poisson mean at a number of events."""
    outside = (1.0 - level) / 2.0
    low = float(chi2.ppf(outside, 2.0 * n)) / 2.0 if n > 0 else 0.0
    return low, float(chi2.isf(outside, 2.0 * n + 2.0)) / 2.0


def _lowest(reference: Any) -> float:
    """Return the average precision below which a period calls for training."""
    if reference is None:
        return 0.0
    try:
        low, high = reference
    except (TypeError, ValueError) as error:
        msg = (
            "reference must be the two ends of an interval of average precision, got "
            f"{reference!r}"
        )
        raise ValueError(msg) from error
    low = check_real(low, "the low end of reference", low=0.0, high=1.0)
    check_real(high, "the high end of reference", low=low, high=1.0)
    return low


def _periods(
    time: Any, period: Any, origin: Any, n_rows: int
) -> tuple[NDArray[np.intp], list[Any]]:
    """Return the number of each row's period among those with rows, and their starts
    as users know times."""
    length = length_of(period, "period")
    times = times_of(time, "time", n_rows)
    check_unit(period, "period", times)
    if origin is None:
        begin = Fraction(times.day_of(times.ticks.min()))
    else:
        begin = times.exactly(like(times, [origin], "origin", 1)[0])
    counts, number = np.unique(times.periods(begin, length), return_inverse=True)
    return number, [times.moment(begin + int(count) * length) for count in counts]


def _events(
    weights: Float64Array, cards: NDArray[np.intp] | None, largest: float
) -> tuple[float, float]:
    """Return the weight of all positives, and that of one of the equal events that have
    the same sum and variance."""
    sums: NDArray[Any] = weights
    if cards is not None:
        sums = np.bincount(np.unique(cards, return_inverse=True)[1], weights)
    total = float(sums.sum())
    return total, float((sums**2).sum()) / total if total > 0 else largest


def _average_precision(y: Float64Array, p: Float64Array, weight: Float64Array) -> float:
    """Return average precision, where a known positive may count as several."""
    cuts = cuts_of(y, p, weight)
    if cuts.positive[-1] == 0:
        return float("nan")
    precision = cuts.positive / (cuts.positive + cuts.negative)
    gained = np.diff(cuts.positive, prepend=0.0)
    return float((gained * precision).sum() / cuts.positive[-1])


def _advice(table: pd.DataFrame, lowest: float, in_a_row: int) -> list[str]:
    """Return the advice of each period."""
    precision, low, high = (
        table[name].to_numpy(np.float64)
        for name in ("average_precision", "low", "high")
    )
    worse = _lasting(precision < lowest, in_a_row)
    off = _lasting(low > 1.0, in_a_row) | _lasting(high < 1.0, in_a_row)
    pairs = zip(worse.tolist(), off.tolist(), strict=True)
    return ["retrain" if w else "calibrate" if o else "none" for w, o in pairs]


def _lasting(held: NDArray[np.bool_], in_a_row: int) -> NDArray[np.bool_]:
    """Return whether a rule held in each period and the ``in_a_row - 1`` before it."""
    place = np.arange(len(held))
    last_break = np.maximum.accumulate(np.where(held, -1, place))
    lasting: NDArray[np.bool_] = place - last_break >= in_a_row
    return lasting
