"""PrequentialSplit: windows of training days, a delay and test days."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import BaseCrossValidator

from focal_gbm._estimators.columns import in_memory
from focal_gbm._times import (
    Times,
    check_unit,
    length_of,
    positives_of,
    reports_of,
    times_of,
    values_of,
)
from focal_gbm._validation import Float64Array, check_count
from focal_gbm.metrics._rows import codes_of


@dataclass(frozen=True, eq=False)
class PrequentialWindow:
    """One window of PrequentialSplit: its rows, its times, and labels as once known.

    Times are ``pandas.Timestamp`` (in the time zone of the rows) if the times of the
    rows are dates, ``pandas.Timedelta`` if those are durations, and floats if those are
    numbers.

    Attributes
    ----------
    train : ndarray of shape (n_train,), intp
        Positions of the training rows in X, ascending.
    test : ndarray of shape (n_test,), intp
        Positions of the test rows in X, ascending.
    train_start : Timestamp, Timedelta or float
        Start of the training days, which contain it.
    train_end : Timestamp, Timedelta or float
        End of the training days, which do not contain it.
    cut : Timestamp, Timedelta or float
        Moment of training: the end of the delay and the start of the test days, which
        contain it.
    test_end : Timestamp, Timedelta or float
        End of the test days, which do not contain it.
    y_known : ndarray of shape (n_train,), int8, or None
        Labels of the training rows as they were known at the cut: 1 for a positive, and
        with ``reported`` only for one reported before the cut, else 0. None if no
        labels were passed.
    age : ndarray of shape (n_train,), float64
        Time from each training row to the cut, in days (in the unit of the times if
        they are numbers); > 0. A report counts if it came before the cut: where times
        are whole days, a row of age 3 shows delays of at most 2 days, so pass
        ``age - 1`` to :class:`~focal_gbm.delays.ReportingDelay`, as ``observed_for``
        and to ``maturity``.

    See Also
    --------
    focal_gbm.model_selection.PrequentialSplit : Splitter that makes the windows.
    """

    train: NDArray[np.intp]
    test: NDArray[np.intp]
    train_start: Any
    train_end: Any
    cut: Any
    test_end: Any
    y_known: NDArray[np.int8] | None
    age: Float64Array


class PrequentialSplit(BaseCrossValidator):
    """Cross-validation splitter for time: training days, a delay, then test days.

    The labels of a day of transactions are complete only weeks later. A model that is
    trained today learns from days before that delay, and scores the days to come. Each
    split repeats this at another day, as in the Fraud Detection Handbook [1]_::

        train     train     delay     test
                  train     train     delay     test
        ------------------------------------------------> time

    How the windows are placed:

    1. Time is cut into days: those of the calendar, from midnight to midnight in the
       time zone of the rows. If times are numbers, a day is their unit, from one whole
       number to the next.
    2. The last test window ends at the end of the last day that has a row. Each earlier
       window begins ``step`` days before the next.
    3. A window fits if its training days begin no earlier than the first day that has a
       row.
    4. Windows contain their start and not their end. Training rows are at least
       ``delay`` before any test row.
    5. A window without training rows or without test rows is left out, with a warning.
       Splits are in the order of time.

    Parameters
    ----------
    train : float > 0, or duration
        Length of the training window in days, 0.5 for half a day; in the unit of the
        times if those are numbers. Where times are dates, also a ``timedelta``, a
        ``pandas.Timedelta`` or a text such as "28D".
    delay : float >= 0, or duration
        Length of the delay between the training window and the test window, as for
        ``train``.
    test : float > 0, or duration
        Length of the test window, as for ``train``.
    n_splits : int >= 1 or None, default=None
        Number of splits, the most recent ones. None: as many as fit.
    time : str, int, callable, array-like or None
        Where the time of each row is found. Times are dates of any resolution (Python,
        NumPy, Pandas, Polars, Arrow; with one time zone or none), durations or numbers;
        rows may be in any order.

        - str: a column of X, or else a level of its index. int: the same in a data
          frame with such a name, and the position of a column in an array.
        - None: the index of X. If X is no Pandas frame, the index of y.
        - ``pandas.Series``: by label, if X (or else y) is of Pandas, so that X may be a
          part of the rows. The labels of the Series must be unique and contain those of
          X, or be the same in the same order. Do not reset the index of one alone.
        - other array-like: by position.
        - callable: is passed X and returns any of the arrays above.

        A search, a calibration or another cross-validation passes a part of the rows to
        the splitter. Arrays by position then have another length, and an error is
        raised.
    step : float > 0, or duration, or None, default=None
        Time from one window to the next, as for ``train``. None: ``test``, so that each
        row is in at most one test window.
    groups : str, int, callable, array-like or None, default=None
        Card (or customer) of each row, found as for ``time``. Transactions of
        compromised cards are left out of the test rows: on each test day, those of
        cards with a fraud known at the start of that day. A fraud of the training
        window or later is known when ``delay`` is over or, with ``reported``, when it
        is reported. Splitting then needs y. None: no row is left out.
    reported : str, int, callable, array-like or None, default=None
        Time at which each positive was reported, found as for ``time``, of the same
        kind and zone; a time, not a delay. Missing or inf: never. Values of negatives
        are not used. None: a label is known when ``delay`` is over.
    pos_label : label or None, default=None
        Label of the positive class. None: the second of the two in sorted order, as in
        the estimators of this package. Labels are read only for ``groups`` and for
        ``y_known``.

    See Also
    --------
    sklearn.model_selection.TimeSeriesSplit : Splits by numbers of rows. It is enough
        if rows are sorted, each day has about as many rows, and ``gap`` may be a number
        of rows.

    Notes
    -----
    ``TimeGapSplit`` of scikit-lego also splits by time, and it is enough for a Pandas
    frame where neither cards nor reports matter. It also has training windows that
    grow. Its windows are placed from the time of the first row and not by days,
    ``n_splits`` spreads them over the data, and the gap must be shorter than the
    training window.

    Cards are left out of the test rows by the rule of the Handbook: on test day d, a
    card is known to be compromised by a fraud from the start of the training window to
    day d - delay - 1. Earlier frauds are forgotten, and the training rows keep every
    card.

    Boosters cannot read a column of dates. Leave it out of X and pass it as a Series,
    set it as the index of X, or drop it in a pipeline.

    A search and a cross-validation train with the labels y, whenever these were
    reported; use ``windows`` to train with ``y_known``.

    Times with a zone are compared by the clock on the wall. Only a window that begins
    or ends within the hour that is repeated in autumn mixes the two.

    References
    ----------
    .. [1] Y.-A. Le Borgne, W. Siblini, B. Lebichot, G. Bontempi. Reproducible Machine
       Learning for Credit Card Fraud Detection - Practical Handbook. Universite Libre
       de Bruxelles, 2022, chapters 3 and 5.

    Examples
    --------
    >>> from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
    >>> from focal_gbm.model_selection import PrequentialSplit
    >>> data = make_transactions(n_customers=400, n_terminals=800, n_days=60)
    >>> X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"]
    >>> cv = PrequentialSplit(
    ...     21, 7, 7, 3, time=data["time"], groups=data["customer_id"]
    ... )
    >>> for window in cv.windows(X, y):
    ...     print(window.train_start.date(), window.cut.date(), window.test_end.date())
    2024-01-12 2024-02-09 2024-02-16
    2024-01-19 2024-02-16 2024-02-23
    2024-01-26 2024-02-23 2024-03-01

    The splitter is the ``cv`` of a search, or of a cross-validation:

    >>> from sklearn.model_selection import cross_val_score
    >>> from focal_gbm import FocalLGBMClassifier
    >>> model = FocalLGBMClassifier(n_estimators=5, verbose=-1)
    >>> len(cross_val_score(model, X, y, cv=cv, scoring="average_precision"))
    3
    """

    # cards may also come through scikit-learn's metadata routing
    __metadata_request__split = {"groups": True}  # noqa: RUF012 - read by scikit-learn

    def __init__(
        self,
        train: Any,
        delay: Any,
        test: Any,
        n_splits: int | None = None,
        *,
        time: Any,
        step: Any = None,
        groups: Any = None,
        reported: Any = None,
        pos_label: Any = None,
    ) -> None:
        length_of(train, "train")
        length_of(delay, "delay", is_zero_allowed=True)
        length_of(test, "test")
        if step is not None:
            length_of(step, "step")
        if n_splits is not None:
            check_count(n_splits, "n_splits")
        self.train = train
        self.delay = delay
        self.test = test
        self.n_splits = n_splits
        self.time = time
        self.step = step
        self.groups = groups
        self.reported = reported
        self.pos_label = pos_label

    def split(
        self, X: Any, y: Any = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Yield the positions of the training rows and the test rows of each split.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows to split, in any order.
        y : array-like of shape (n_samples,) or None, default=None
            Labels of at most two classes; needed only with ``groups``.
        groups : array-like of shape (n_samples,) or None, default=None
            Card of each row, in place of the parameter ``groups``.

        Yields
        ------
        train : ndarray of shape (n_train,), intp
            Positions of the training rows, ascending.
        test : ndarray of shape (n_test,), intp
            Positions of the test rows, ascending.

        Raises
        ------
        ValueError
            If no window fits, or fewer than ``n_splits``; if times, cards, reports or
            labels are not found, not one a row, of another kind, or missing; if cards
            are passed without y.

        Warns
        -----
        UserWarning
            If a window without training rows or test rows is left out.
        """
        for window in self._windows(X, y, groups, reads_labels=False):
            yield window.train, window.test

    def windows(
        self, X: Any, y: Any = None, groups: ArrayLike | None = None
    ) -> Iterator[PrequentialWindow]:
        """Yield the splits with their times, labels as known at the cut, and ages.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_samples, n_features)
            Rows to split, in any order.
        y : array-like of shape (n_samples,) or None, default=None
            Labels of at most two classes. None: ``y_known`` is None.
        groups : array-like of shape (n_samples,) or None, default=None
            Card of each row, in place of the parameter ``groups``.

        Yields
        ------
        window : PrequentialWindow
            ``train`` and ``test`` are the positions that ``split`` yields.

        Raises
        ------
        ValueError
            If no window fits, or fewer than ``n_splits``; if times, cards, reports or
            labels are not found, not one a row, of another kind, or missing; if cards
            are passed without y.

        Warns
        -----
        UserWarning
            If a window without training rows or test rows is left out.

        Examples
        --------
        Fraud is learned from yesterday's rows, with the reports that came so far:

        >>> import numpy as np
        >>> from focal_gbm.model_selection import PrequentialSplit
        >>> X, day = np.zeros((5, 1)), [0.0, 0.5, 1.0, 1.5, 2.0]
        >>> y, reported = [1, 1, 1, 0, 0], [0.7, 2.7, 1.2, np.nan, np.nan]
        >>> cv = PrequentialSplit(2, 0, 1, time=day, reported=reported)
        >>> for window in cv.windows(X, y):
        ...     print(window.cut, window.train, window.y_known, window.age)
        2.0 [0 1 2 3] [1 0 1 0] [2.  1.5 1.  0.5]
        """
        yield from self._windows(X, y, groups, reads_labels=True)

    def _windows(
        self, X: Any, y: Any, groups: Any, *, reads_labels: bool
    ) -> Iterator[PrequentialWindow]:
        rows = self._read(in_memory(X), y, groups, reads_labels=reads_labels)
        times = rows.times
        found, empty = self._found(rows)
        if empty:
            first, last = (times.moment(edges.cut) for edges in (empty[-1], empty[0]))
            msg = (
                f"PrequentialSplit leaves out {len(empty)} of "
                f"{len(empty) + len(found)} windows, without training rows or without "
                "test rows (of cards not known to be compromised): the first with test "
                f"days from {first}, the last from {last}; longer windows may have rows"
            )
            warnings.warn(msg, UserWarning, stacklevel=3)
        for edges, test in found:
            train = rows.between(edges.train_start, edges.train_end)
            cut = times.at(edges.cut)
            known = None
            if rows.positive is not None:
                is_known = rows.positive[train]
                if rows.reported is not None:
                    is_known = is_known & (rows.reported[train] < cut)
                known = is_known.astype(np.int8)
            yield PrequentialWindow(
                train=train,
                test=test,
                **{name: times.moment(e) for name, e in edges._asdict().items()},
                y_known=known,
                age=(cut - times.ticks[train]) / times.per_day,
            )

    def get_n_splits(
        self, X: Any = None, y: Any = None, groups: ArrayLike | None = None
    ) -> int:
        """Return the number of splits: ``n_splits``, or else as many as fit.

        Parameters
        ----------
        X : array-like, sparse matrix, data frame or None, default=None
            Rows to split; needed if ``n_splits`` is None.
        y : array-like of shape (n_samples,) or None, default=None
            Labels; needed if ``n_splits`` is None and there are cards.
        groups : array-like of shape (n_samples,) or None, default=None
            Card of each row, in place of the parameter ``groups``.

        Returns
        -------
        n_splits : int

        Raises
        ------
        ValueError
            If ``n_splits`` is None and X is None or cannot be split.
        """
        if self.n_splits is not None:
            return int(self.n_splits)
        if X is None:
            msg = (
                "get_n_splits got X=None and n_splits=None: the number of windows that "
                "fit depends on the times of the rows; pass X, or set n_splits"
            )
            raise ValueError(msg)
        rows = self._read(in_memory(X), y, groups, reads_labels=False)
        return len(self._found(rows)[0])

    def __repr__(self) -> str:
        lengths = [_shown(self.train), _shown(self.delay), _shown(self.test)]
        named = {"n_splits": self.n_splits, "time": self.time, "step": self.step}
        named |= {"groups": self.groups, "reported": self.reported}
        named["pos_label"] = self.pos_label
        pairs = [
            f"{name}={_shown(value)}"
            for name, value in named.items()
            if name == "time" or value is not None
        ]
        return f"{type(self).__name__}({', '.join(lengths + pairs)})"

    def _read(self, X: Any, y: Any, groups: Any, *, reads_labels: bool) -> _Rows:
        """Return times, cards, reports and the labels that are needed."""
        n_rows = int(X.shape[0]) if hasattr(X, "shape") else len(X)
        if n_rows == 0:
            msg = "PrequentialSplit needs at least one row, got none"
            raise ValueError(msg)
        times = times_of(values_of(self.time, "time", X, y, n_rows), "time", n_rows)
        for name in ("train", "delay", "test", "step"):
            check_unit(getattr(self, name), name, times)
        reported = None
        if self.reported is not None:
            values = values_of(self.reported, "reported", X, y, n_rows)
            reported = reports_of(values, times)
        cards = groups if groups is not None else self.groups
        if cards is not None:
            cards, _ = codes_of(
                values_of(cards, "groups", X, y, n_rows), "groups", n_rows
            )
            if y is None:
                msg = (
                    "PrequentialSplit got groups and y=None: which cards are known to "
                    "be compromised depends on the labels; pass y"
                )
                raise ValueError(msg)
        positive = None
        if y is not None and (reads_labels or cards is not None):
            positive = positives_of(y, n_rows, self.pos_label)
        order = np.argsort(times.ticks, kind="stable")
        return _Rows(times, order, times.ticks[order], positive, cards, reported)

    def _found(
        self, rows: _Rows
    ) -> tuple[list[tuple[_Edges, NDArray[np.intp]]], list[_Edges]]:
        """Return the edges and the test rows of each split, and the edges of empty
        windows, the last one first."""
        train, test = length_of(self.train, "train"), length_of(self.test, "test")
        delay = length_of(self.delay, "delay", is_zero_allowed=True)
        step = test if self.step is None else length_of(self.step, "step")
        first, last = (rows.times.day_of(rows.sorted_ticks[i]) for i in (0, -1))
        n_days, needed = last + 1 - first, train + delay + test
        n_fit = math.floor((n_days - needed) / step) + 1 if n_days >= needed else 0
        n_wanted = n_fit if self.n_splits is None else int(self.n_splits)
        # each window costs a search, and times in seconds would make millions of them
        limit = max(len(rows.order), 1000) + (0 if self.n_splits is None else n_wanted)
        if self.n_splits is None and n_fit > limit:
            msg = (
                f"{n_fit} windows of test={self.test!r} and step={self.step!r} fit in "
                f"{len(rows.order)} rows: lengths are in days, or in the unit of the "
                "times if these are numbers; convert the times to days, or set n_splits"
            )
            raise ValueError(msg)
        found: list[tuple[_Edges, NDArray[np.intp]]] = []
        empty: list[_Edges] = []
        for i in range(min(n_fit, limit)):
            end = last + 1 - i * step
            cut = end - test
            edges = _Edges(cut - delay - train, cut - delay, cut, end)
            tested = self._tested(rows, edges, delay)
            if len(tested) and rows.has_any(edges.train_start, edges.train_end):
                found.append((edges, tested))
            else:
                empty.append(edges)
            if len(found) == n_wanted:
                break
        if len(found) < max(n_wanted, 1) and (self.n_splits is not None or not found):
            raise ValueError(self._too_few(rows, n_fit, len(found), needed, step))
        return found[::-1], empty

    def _tested(self, rows: _Rows, edges: _Edges, delay: Fraction) -> NDArray[np.intp]:
        """Return the test rows, without those of cards known to be compromised."""
        tested = rows.between(edges.cut, edges.test_end)
        if rows.cards is None or rows.positive is None:
            return tested
        times = rows.times
        is_later = times.ticks >= times.at(edges.train_start)
        frauds = np.flatnonzero(rows.positive & is_later)
        # not times + delay against the day: a sum of floats may pass the edge
        known, edge = times.ticks, times.at(edges.cut - delay)
        if rows.reported is not None:
            known, edge = rows.reported, times.at(edges.cut)
        first_known = np.full(int(rows.cards.max()) + 1, times.never)
        np.minimum.at(first_known, rows.cards[frauds], known[frauds])
        passed = (times.ticks[tested] - times.at(edges.cut)) // times.per_day
        still_unknown: NDArray[np.bool_] = (
            first_known[rows.cards[tested]] >= edge + passed * times.per_day
        )
        return tested[still_unknown]

    def _too_few(
        self, rows: _Rows, n_fit: int, n_found: int, needed: Fraction, step: Fraction
    ) -> str:
        """Return the message for data with too few windows."""
        n_wanted = int(self.n_splits or 1)
        unit = "units of time" if rows.times.kind == "numbers" else "days"
        first, last = (rows.times.day_of(rows.sorted_ticks[i]) for i in (0, -1))
        have = (
            f"the rows cover {last + 1 - first} {unit}, from "
            f"{rows.times.moment(Fraction(first))} to "
            f"{rows.times.moment(Fraction(last + 1))}"
        )
        lengths = f"train={self.train!r}, delay={self.delay!r}, test={self.test!r}"
        if n_fit >= n_wanted:
            return (
                f"{have}, and {n_found} of {n_fit} windows of {lengths} have training "
                "rows and test rows (of cards not known to be compromised); pass "
                "longer windows, or a smaller n_splits"
            )
        n_needed = float(needed + (n_wanted - 1) * step)
        splits = "one split" if n_wanted == 1 else f"n_splits={n_wanted}"
        return (
            f"{have}, and {splits} of {lengths} and step={self.step!r} need "
            f"{n_needed:g}; pass shorter windows or fewer splits, or more rows"
        )


class _Edges(NamedTuple):
    """Edges of a window, in days of the calendar or in the unit of the times."""

    train_start: Fraction
    train_end: Fraction
    cut: Fraction
    test_end: Fraction


class _Rows(NamedTuple):
    """Times, labels, cards and reports of the rows, and their order in time."""

    times: Times
    order: NDArray[np.intp]
    sorted_ticks: NDArray[Any]
    positive: NDArray[np.bool_] | None
    cards: NDArray[np.intp] | None
    reported: NDArray[Any] | None

    def _span(self, start: Fraction, end: Fraction) -> tuple[int, int]:
        edges = [self.times.at(start), self.times.at(end)]
        first, stop = np.searchsorted(self.sorted_ticks, edges)
        return int(first), int(stop)

    def between(self, start: Fraction, end: Fraction) -> NDArray[np.intp]:
        """Return the positions of the rows from ``start`` to before ``end``."""
        return np.sort(self.order[slice(*self._span(start, end))])

    def has_any(self, start: Fraction, end: Fraction) -> bool:
        first, stop = self._span(start, end)
        return stop > first


def _shown(value: Any) -> str:
    """Return a parameter as text, an array by its length."""
    if hasattr(value, "__len__") and not isinstance(value, str):
        return f"<{type(value).__name__} of {len(value)} values>"
    return repr(value)
