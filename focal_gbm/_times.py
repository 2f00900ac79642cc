"""Lengths, times, periods, reports and labels of rows, from any container."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from focal_gbm._validation import (
    as_float,
    did_you_mean,
    equal_to,
    in_host_memory,
    native,
)

# Dates and durations are whole microseconds: float64 has no room for them.
_DAY = 86_400_000_000
# Types of lengths that have a unit.
DURATIONS = (timedelta, np.timedelta64, str)


@dataclass(frozen=True)
class Times:
    """Times of rows: int64 microseconds of the clock on the wall, or float64 numbers.

    An edge is an exact number of days, or of the unit of times that are numbers.
    """

    ticks: NDArray[Any]
    kind: str  # "dates", "durations" or "numbers"
    tz: Any = None

    @property
    def per_day(self) -> int:
        """The number of ticks in a day."""
        return 1 if self.kind == "numbers" else _DAY

    @property
    def never(self) -> Any:
        """A tick after every edge."""
        return np.inf if self.kind == "numbers" else np.iinfo(np.int64).max

    def day_of(self, tick: Any) -> int:
        """Return the day of a tick, in days from the origin of the times."""
        return math.floor(tick) if self.kind == "numbers" else int(tick) // _DAY

    def exactly(self, tick: Any) -> Fraction:
        """Return a tick as an edge."""
        if self.kind == "numbers":
            return Fraction(repr(float(tick)))  # 0.1 is a tenth, as in a length
        return Fraction(int(tick), _DAY)

    def periods(self, origin: Fraction, length: Fraction) -> NDArray[Any]:
        """Return how many whole periods of a length lie from an edge to each tick."""
        begin, size = self.at(origin), self.at(length)
        if self.kind != "numbers":
            if size < 1:
                msg = (
                    f"period must last at least a microsecond, got {float(length)} days"
                )
                raise ValueError(msg)
            whole: NDArray[Any] = (self.ticks - begin) // size
            return whole
        with np.errstate(over="ignore"):
            counts: NDArray[Any] = np.floor((self.ticks - begin) / size)
        most = float(np.abs(counts).max())
        if most > 2**53:
            msg = (
                f"time lies {most:.3g} periods of {size:.6g} from the first one, which "
                "float64 cannot count; pass a longer period"
            )
            raise ValueError(msg)
        # a time next to an edge may be rounded across it
        found, rows = np.unique(counts, return_inverse=True)
        edges = [
            [self.at(origin + (int(count) + one) * length) for one in (0, 1)]
            for count in found
        ]
        low, high = np.array(edges, np.float64)[rows].T
        counts += (self.ticks >= high).astype(float) - (self.ticks < low)
        return counts

    def at(self, edge: Fraction) -> Any:
        """Return an edge as a number that times can be compared with."""
        return float(edge) if self.kind == "numbers" else round(edge * _DAY)

    def moment(self, edge: Fraction) -> Any:
        """Return an edge as users know times."""
        if self.kind == "numbers":
            return float(edge)
        if self.kind == "durations":
            return pd.Timedelta(np.timedelta64(self.at(edge), "us"))
        stamp = pd.Timestamp(np.datetime64(self.at(edge), "us"))
        # some zones change their clocks at midnight
        return stamp.tz_localize(self.tz, ambiguous=True, nonexistent="shift_forward")


def length_of(value: Any, name: str, *, is_zero_allowed: bool = False) -> Fraction:
    """Return a length in days, or in the unit of times that are numbers."""
    low = ">= 0" if is_zero_allowed else "> 0"
    msg = (
        f"{name} must be a finite number of days {low}, or a duration such as "
        f"timedelta(days=7) or '7D', got {value!r}"
    )
    days = None
    # NumPy's durations are integers, too, and come first
    if isinstance(value, DURATIONS):
        try:
            if isinstance(value, str) and not any(map(str.isalpha, value)):
                raise ValueError(msg)  # Pandas would read 7 as nanoseconds
            duration = pd.Timedelta(value)
        except ValueError as error:
            raise ValueError(msg) from error
        if not pd.isna(duration):
            micros = duration.to_timedelta64().astype("timedelta64[us]")
            days = Fraction(int(micros.astype(np.int64)), _DAY)
    else:
        number = as_float(value)
        if number is None:
            raise TypeError(msg)
        if math.isfinite(number):
            # 0.1 is a tenth, not the number next to it: times near an edge tell them
            # apart
            is_whole = isinstance(value, Integral)
            days = Fraction(int(value) if is_whole else repr(number))
    if days is None or days < 0 or (days == 0 and not is_zero_allowed):
        raise ValueError(msg)
    return days


def values_of(source: Any, name: str, X: Any, y: Any, n_rows: int) -> Any:
    """Return the values of the rows, from a column, the index, an array or a call."""
    if callable(source):
        source = source(X)
    index = getattr(X if _is_pandas(X) else y, "index", None)
    if not isinstance(index, pd.Index):  # a list has a method of this name
        index = None
    if source is None:
        return _index_values(index, name)
    if isinstance(source, (str, Integral)):
        return _column(X, index, source, name)
    if isinstance(source, pd.Series) and index is not None:
        source = _by_label(source, index, name)
    if not hasattr(source, "__len__"):
        msg = (
            f"{name} must be a column's name, None for the index of X, a callable or "
            f"an array with a value for each row, got {source!r}"
        )
        raise TypeError(msg)
    if len(source) != n_rows:
        msg = (
            f"{name} has {len(source)} values and X has {n_rows} rows. A search, a "
            "calibration or another cross-validation passes a part of the rows: pass "
            f"{name} as the name of a column or of a level of the index of X, or as a "
            "pandas.Series with the labels of a Pandas X"
        )
        raise ValueError(msg)
    return source


def _is_pandas(X: Any) -> bool:
    return isinstance(X, (pd.DataFrame, pd.Series))


def _index_values(index: Any, name: str) -> Any:
    if index is None:
        msg = (
            f"{name}=None reads the index of X, and neither X nor y is of Pandas; pass "
            f"{name} as a column, an array or a callable"
        )
        raise ValueError(msg)
    if isinstance(index, pd.MultiIndex):
        msg = (
            f"{name}=None reads the index of X, which has {index.nlevels} levels; pass "
            f"the name of one of them, {list(index.names)}"
        )
        raise ValueError(msg)
    if index.name is None and pd.api.types.is_numeric_dtype(index.dtype):
        msg = (
            f"{name}=None reads the index of X, which holds numbers without a name, as "
            f"row numbers do; pass {name} as a column or an array, or name the index"
        )
        raise ValueError(msg)
    return index


def _column(X: Any, index: Any, key: Any, name: str) -> Any:
    """Return a column of X, or a level of the index."""
    levels = [] if index is None else [n for n in index.names if n is not None]
    known: list[Any] = []
    if isinstance(X, pd.DataFrame):
        known = list(X.columns)
        if key in known:
            return X[key]
    elif hasattr(X, "get_column"):  # of Polars
        known = list(X.columns)
        if key in known:
            return X.get_column(key)
    elif hasattr(X, "column_names"):  # of Arrow
        known = list(X.column_names)
        if key in known:
            return X.column(key)
    elif isinstance(X, np.ndarray) and X.ndim == 2 and not isinstance(key, str):
        if -X.shape[1] <= key < X.shape[1]:
            return X[:, key]
        known = list(range(X.shape[1]))
    if key in levels:
        return index.get_level_values(key)
    if not known and not levels:
        msg = (
            f"{name}={key!r} names a column, and X of type {type(X).__name__} has no "
            f"names; pass {name} as an array or a callable"
        )
        raise ValueError(msg)
    texts = [other for other in [*known, *levels] if isinstance(other, str)]
    hint = did_you_mean(str(key), texts)
    msg = f"X has no column and no level of its index {name}={key!r}{hint}"
    raise ValueError(msg)


def _by_label(values: pd.Series[Any], index: pd.Index[Any], name: str) -> Any:
    """Return the values of a Series in the order of the labels of X."""
    if values.index.equals(index):
        return values
    positions = np.array([-1])
    if values.index.is_unique:
        positions = values.index.get_indexer(index)
    if (positions < 0).any():
        what = "does not have all labels of X"
        if not values.index.is_unique:
            what = "has labels twice, and differs from that of X"
        msg = (
            f"the index of {name} {what}; pass a Series with the unique labels of X, "
            f"or {name}.to_numpy() if its rows are those of X in the same order"
        )
        raise ValueError(msg)
    return values.take(positions)


def _series(values: Any, name: str) -> pd.Series[Any]:
    """Return values of any container as a Series of the type that they have."""
    values = in_host_memory(values)
    package = type(values).__module__.partition(".")[0]
    if package == "polars":
        # Polars converts times to NumPy in UTC, whatever the zone, and version 1.0 ends
        # the process over them with NumPy 2.0
        is_time = values.dtype.is_temporal()
        values = values.to_list() if is_time else values.to_numpy()
    elif isinstance(getattr(values, "dtype", None), pd.ArrowDtype):
        import pyarrow

        values = pyarrow.array(values.array).to_pandas()
    elif package == "pyarrow":
        values = values.to_pandas()
    if not isinstance(values, (pd.Series, pd.Index)):
        listed = isinstance(values, (list, tuple))
        values = native(np.asarray(values, object if listed else None))
    if values.ndim != 1:
        msg = f"{name} must be one-dimensional, got shape {values.shape}"
        raise ValueError(msg)
    # Pandas would turn a month into its first day
    if str(values.dtype) in [f"datetime64[{unit}]" for unit in "YMW"]:
        msg = (
            f"{name} must hold times to the day or finer, got {values.dtype}, which is "
            "longer"
        )
        raise ValueError(msg)
    if values.dtype == np.float16:  # Pandas has no index of it
        values = np.asarray(values, np.float64)
    series = pd.Series(values).reset_index(drop=True)
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(series.cat.categories.dtype)
    return series.infer_objects()


def times_of(values: Any, name: str, n_rows: int, *, may_miss: bool = False) -> Times:
    """Return times of rows; with ``may_miss``, a missing time is never."""
    series = _series(values, name)
    if len(series) != n_rows:  # of a callable or a column that is none
        msg = f"{name} must have {n_rows} values, one a row, got {len(series)}"
        raise ValueError(msg)
    missing = series.isna().to_numpy(bool)
    if missing.any() and not may_miss:
        msg = (
            f"{name} must not be missing, as it is in row {int(missing.argmax())}; "
            "leave such rows out"
        )
        raise ValueError(msg)
    kind = pd.api.types.infer_dtype(series, skipna=True)
    try:
        if kind in ("date", "datetime", "datetime64"):
            stamps = pd.to_datetime(series)
            tz = stamps.dt.tz
            if tz is not None:
                stamps = stamps.dt.tz_localize(None)
            micros = stamps.to_numpy().astype("datetime64[us]").astype(np.int64)
            times = Times(micros, "dates", tz)
        elif kind in ("timedelta", "timedelta64"):
            spans = pd.to_timedelta(series).to_numpy()
            times = Times(spans.astype("timedelta64[us]").astype(np.int64), "durations")
        elif kind in ("integer", "floating", "mixed-integer-float", "decimal"):
            numbers = series.to_numpy(np.float64, na_value=np.nan)
            times = Times(numbers, "numbers")
        else:
            raise TypeError(kind)
    except (TypeError, ValueError, AttributeError) as error:
        row = int((~missing).argmax())
        got = series[row : row + 1].tolist()[0]
        msg = (
            f"{name} must hold dates of one time zone, durations or numbers, got "
            f"{got!r} in row {row} and values of kind {kind!r}; convert text and "
            "mixed zones by pandas.to_datetime, periods by to_timestamp"
        )
        raise ValueError(msg) from error
    if times.kind == "numbers" and not may_miss and not np.isfinite(times.ticks).all():
        row = int((~np.isfinite(times.ticks)).argmax())
        msg = f"{name} must be finite, got {times.ticks[row]} in row {row}"
        raise ValueError(msg)
    ticks = np.where(missing, times.never, times.ticks)
    return Times(ticks, times.kind, times.tz)


def reports_of(values: Any, times: Times) -> NDArray[Any]:
    """Return the times of reports, in the kind and the zone of the rows' times."""
    series = _series(values, "reported")
    n_rows = len(times.ticks)
    if len(series) == n_rows and series.isna().all():
        return np.full(n_rows, times.never)
    return like(times, series, "reported", n_rows, may_miss=True)


def like(
    times: Times, values: Any, name: str, n_values: int, *, may_miss: bool = False
) -> NDArray[Any]:
    """Return other times as ticks, in the kind and the zone of the rows' times."""
    series = _series(values, name)
    others = times_of(series, name, n_values, may_miss=may_miss)
    if others.kind != times.kind:
        msg = (
            f"{name} holds {others.kind} and time holds {times.kind}; pass a time, of "
            "the same kind as the times of the rows"
        )
        raise ValueError(msg)
    if (others.tz is None) != (times.tz is None):
        with_zone, without = name, "time"
        if others.tz is None:
            with_zone, without = without, with_zone
        msg = (
            f"{with_zone} has a time zone and {without} has none; give both the same "
            "one by dt.tz_localize of Pandas"
        )
        raise ValueError(msg)
    if str(others.tz) != str(times.tz):
        converted = pd.to_datetime(series).dt.tz_convert(times.tz)
        others = times_of(converted, name, n_values, may_miss=may_miss)
    return others.ticks


def check_unit(length: Any, name: str, times: Times) -> None:
    """Refuse a duration where times are numbers."""
    if times.kind == "numbers" and isinstance(length, DURATIONS):
        msg = (
            f"{name}={length!r} is a duration, and time holds numbers, whose unit is "
            f"not known; pass {name} as a number in that unit"
        )
        raise ValueError(msg)


def positives_of(y: Any, n_rows: int, pos_label: Any) -> NDArray[np.bool_]:
    """Return which labels are positive."""
    labels = native(np.asarray(in_host_memory(y)))
    if labels.ndim != 1 or len(labels) != n_rows:
        msg = f"y must have {n_rows} labels, one a row, got shape {labels.shape}"
        raise ValueError(msg)
    missing = np.asarray(pd.isna(labels))
    if missing.any():
        msg = f"y must not be missing, as it is in row {int(missing.argmax())}"
        raise ValueError(msg)
    kinds = pd.unique(labels)
    listed = ", ".join(repr(label) for label in kinds[:3].tolist())
    if pos_label is not None:
        positive = equal_to(labels, pos_label)
        if (~equal_to(kinds, pos_label)).sum() > 1:
            msg = (
                f"y must hold pos_label={pos_label!r} and one other label, got {listed}"
            )
            raise ValueError(msg)
        return positive
    if len(kinds) > 2:
        msg = f"y must hold two labels, got {len(kinds)}: {listed}"
        raise ValueError(msg)
    if len(kinds) == 2:
        return equal_to(labels, max(kinds.tolist()))
    if labels.dtype.kind in "biuf":
        return np.full(n_rows, kinds[0] > 0)
    msg = f"y holds one label, {listed}; name the positive one with pos_label"
    raise ValueError(msg)
