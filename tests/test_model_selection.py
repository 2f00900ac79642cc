"""PrequentialSplit: windows in time, known cards and labels, parts of the rows."""

from __future__ import annotations

import pickle
import warnings
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline

from focal_gbm import FocalClassifierCV, FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.model_selection import PrequentialSplit

START = pd.Timestamp("2024-01-01")


def at_days(days):
    return START + pd.to_timedelta(np.asarray(days, float), unit="D")


def rows_of(n_days=40, per_day=6, seed=0):
    """Return unsorted rows with an index of their own, cards and a rare class."""
    rng = np.random.default_rng(seed)
    n = n_days * per_day
    day = np.repeat(np.arange(n_days), per_day) + rng.random(n)
    X = pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n)})
    X["day"] = rng.permutation(day)
    X.index = rng.permutation(n) + 1000
    y = pd.Series((rng.random(n) < 0.3).astype(int), index=X.index)
    card = pd.Series(rng.integers(0, 30, n), index=X.index)
    time = pd.Series(at_days(X["day"]), index=X.index)
    return X, y, time, card


def pairs(splits):
    return [(train.tolist(), test.tolist()) for train, test in splits]


def naive(days, lengths, n_splits=None):
    """Return the splits by a loop over windows and rows, in exact numbers."""
    train, delay, test, step = map(Fraction, lengths)
    first, end = min(days) // 1, max(days) // 1 + 1
    splits, empty = [], 0
    while end - test - delay - train >= first:
        cut = end - test
        window = (
            [
                i
                for i, day in enumerate(days)
                if cut - delay - train <= day < cut - delay
            ],
            [i for i, day in enumerate(days) if cut <= day < end],
        )
        if all(window):
            splits.insert(0, window)
        else:
            empty += 1
        if len(splits) == n_splits:
            break
        end -= step
    return splits, empty


QUARTERS = st.integers(1, 16).map(lambda n: n / 4)
DAYS = st.lists(st.integers(-40, 400).map(lambda n: n / 16), min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(
    DAYS,
    st.tuples(QUARTERS, st.integers(0, 16).map(lambda n: n / 4), QUARTERS, QUARTERS),
    st.none() | st.integers(1, 3),
    st.booleans(),
)
def test_splits_are_those_of_a_naive_loop(days, lengths, n_splits, has_dates):
    train, delay, test, step = lengths
    time = at_days(days) if has_dates else days
    X = np.zeros((len(days), 1))
    cv = PrequentialSplit(train, delay, test, n_splits, step=step, time=time)
    expected, n_empty = naive([Fraction(d) for d in days], lengths, n_splits)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if len(expected) < (n_splits or 1):
            with pytest.raises(ValueError, match="the rows cover"):
                list(cv.split(X))
            return
        windows = list(cv.windows(X))
        assert len(caught) == (n_empty > 0)
        assert cv.get_n_splits(X) == len(expected)
        assert len(caught) == (n_empty > 0)
        assert pairs(cv.split(X)) == expected
    assert [(w.train.tolist(), w.test.tolist()) for w in windows] == expected
    at = np.asarray(time)
    for window in windows:
        assert window.train.dtype == window.test.dtype == np.intp
        assert not set(window.train) & set(window.test)
        gap = at[window.test].min() - at[window.train].max()
        assert gap > (np.timedelta64(round(delay * 24), "h") if has_dates else delay)
        edges = (window.train_start, window.train_end, window.cut, window.test_end)
        apart = [train, delay, test]
        if has_dates:
            assert all(isinstance(edge, pd.Timestamp) for edge in edges)
            apart = [pd.Timedelta(days=length) for length in apart]
        found = [b - a for a, b in pairwise(edges)]
        assert found == apart
        assert (window.age > delay).all()
        assert (window.age <= delay + train).all()


@settings(max_examples=50, deadline=None)
@given(DAYS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(days, random):
    order = list(range(len(days)))
    random.shuffle(order)
    cv = PrequentialSplit(2, 1, 1, time="day")
    X = pd.DataFrame({"day": days})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = [(set(a), set(b)) for a, b in cv.split(X)]
        except ValueError:
            expected = None
        moved = X.iloc[order]
        if expected is None:
            with pytest.raises(ValueError, match="the rows cover"):
                list(cv.split(moved))
            return
        order = np.array(order)
        found = list(cv.split(moved))
    assert [(set(order[a]), set(order[b])) for a, b in found] == expected
    assert all((np.diff(rows) > 0).all() for split in found for rows in split)


def test_tenths_are_tenths():
    # 3 * 0.1 is above 0.3 in float64, and 0.1 + 0.2 + 0.7 days would not fit in one
    time = np.arange(10) / 10
    splits = pairs(PrequentialSplit(0.1, 0.2, 0.1, time=time).split(time))
    assert splits == [([i], [i + 3]) for i in range(7)]
    one = PrequentialSplit(0.1, 0.2, 0.7, time=time).split(time)
    assert pairs(one) == [([0], [3, 4, 5, 6, 7, 8, 9])]


def test_days_begin_at_midnight_whenever_the_first_and_the_last_row_are():
    texts = ["2024-01-01 23:59:59.999999", "2024-01-02", "2024-01-03"]
    time = pd.to_datetime(texts, format="ISO8601")
    window = next(PrequentialSplit(1, 0, 1, time=time).windows(np.zeros(3)))
    assert (window.train.tolist(), window.test.tolist()) == ([0], [1])
    assert window.train_start == pd.Timestamp("2024-01-01")
    assert window.cut == pd.Timestamp("2024-01-02")
    # the last nanosecond of a day does not belong to the next
    texts = ["1960-01-01 23:59:59.999999999", "1960-01-02"]
    time = pd.to_datetime(texts, format="ISO8601")
    assert pairs(PrequentialSplit(1, 0, 1, time=time).split(time)) == [([0], [1])]


def test_the_last_splits_are_taken():
    X = pd.DataFrame({"day": np.arange(30)})
    every = pairs(PrequentialSplit(5, 2, 3, time="day").split(X))
    assert len(every) == 7
    assert every[-1] == ([20, 21, 22, 23, 24], [27, 28, 29])
    last = PrequentialSplit(5, 2, 3, 2, time="day")
    assert pairs(last.split(X)) == every[-2:]
    assert last.get_n_splits() == 2
    daily = pairs(PrequentialSplit(5, 2, 3, 2, step=1, time="day").split(X))
    assert [test for _, test in daily] == [[26, 27, 28], [27, 28, 29]]


def test_durations_are_lengths():
    time = pd.date_range("2024-01-01", periods=60, freq="12h")
    expected = pairs(PrequentialSplit(7, 1.5, 2, step=0.5, time=time).split(time))
    for train, delay, test, step in (
        ("7D", "36h", "2 days", "12h"),
        (timedelta(7), timedelta(1.5), timedelta(2), timedelta(0.5)),
        (pd.Timedelta("7D"), np.timedelta64(36, "h"), 2, pd.Timedelta("12h")),
    ):
        cv = PrequentialSplit(train, delay, test, step=step, time=time)
        assert pairs(cv.split(time)) == expected


def test_windows_without_rows_are_left_out():
    # a shop that is closed at weekends: 2024-01-01 is a Monday
    time = pd.Series(pd.bdate_range("2024-01-01", periods=15))
    cv = PrequentialSplit(3, 0, 1, time=time)
    with pytest.warns(
        UserWarning, match=r"4 of 16 windows, .* from 2024-01-06 "
    ) as caught:
        splits = pairs(cv.split(time))
    assert [warning.filename for warning in caught] == [__file__]
    assert len(splits) == cv.get_n_splits(time) == 12
    assert all(len(test) == 1 for _, test in splits)
    three = PrequentialSplit(3, 0, 1, 7, time=time)
    with pytest.warns(UserWarning, match="2 of 9 windows"):
        assert pairs(three.split(time)) == splits[-7:]


# Cards.


def handbook(frame, train_start, train, delay, test):
    """Return the test rows as the Handbook describes them, day by day."""
    day, kept = frame["day"] // 1, []
    known = set()
    for d in range(train_start, train_start + train + delay + test):
        if d >= train_start + train + delay:
            # what was fraudulent ``delay`` + 1 days ago is known this morning
            past = (day >= train_start) & (day <= d - delay - 1)
            known |= set(frame["card"][past & (frame["y"] == 1)])
            today = (day == d) & ~frame["card"].isin(known)
            kept.extend(np.flatnonzero(today))
    return sorted(kept)


@pytest.mark.parametrize("delay", [0, 1, 4])
@pytest.mark.parametrize("kind", ["numbers", "whole numbers", "dates"])
def test_known_cards_are_those_of_the_handbook(delay, kind):
    X, y, time, card = rows_of(seed=delay)
    y = y.where(np.arange(len(y)) % 3 == 0, 0)
    frame = X.assign(card=card, y=y)
    times = {"numbers": "day", "whole numbers": X["day"] // 1, "dates": time}
    cv = PrequentialSplit(6, delay, 5, time=times[kind], groups=card, n_splits=4)
    plain = PrequentialSplit(6, delay, 5, time="day", n_splits=4)
    n_left_out = set()
    for i, window in enumerate(cv.windows(X, y)):
        start = 40 - 5 * (4 - i) - delay - 6
        if kind != "dates":
            assert window.train_start == start
        assert window.test.tolist() == handbook(frame, start, 6, delay, 5)
        train, test = list(plain.split(X))[i]
        np.testing.assert_array_equal(window.train, train)
        assert set(window.test) < set(test)
        n_left_out.add(len(test) - len(window.test))
    assert len(n_left_out) > 1
    # of split, and of the routing of scikit-learn
    expected = pairs(cv.split(X, y))
    assert pairs(plain.split(X, y, card)) == expected
    assert pairs(cv.split(X, y, np.arange(len(X)))) == pairs(plain.split(X))
    with sklearn.config_context(enable_metadata_routing=True):
        result = cross_validate(
            DummyClassifier(),
            X,
            y,
            cv=plain,
            params={"groups": card},
            return_indices=True,
        )["indices"]
    assert pairs(zip(result["train"], result["test"], strict=True)) == expected


def test_reported_frauds_make_cards_known():
    X = pd.DataFrame(
        {
            "day": [0.5, 1.5, 2.5, 2.6, 3.1, 3.2, 4.5, 4.6],
            "card": ["a", "b", "a", "b", "a", "b", "a", "b"],
        }
    )
    y = [1, 1, 0, 0, 0, 0, 0, 0]
    reported = [3.9, 1.7, 9, 9, 0, 0, 0, 0]
    cv = PrequentialSplit(2, 0, 3, time="day", groups="card", reported=reported)
    window = next(cv.windows(X, y))
    # b is known before the cut, a at the start of day 4; negatives have no report
    assert window.test.tolist() == [2, 4]
    assert window.y_known.tolist() == [0, 1]
    # without reports both are known at once
    at_once = PrequentialSplit(2, 0, 3, time="day", groups="card")
    with pytest.raises(ValueError, match=r"0 of 1 windows .* have training rows and"):
        next(at_once.split(X, y))
    never = PrequentialSplit(
        2, 0, 3, time="day", groups="card", reported=[np.nan, np.inf, *reported[2:]]
    )
    assert next(never.windows(X, y)).test.tolist() == [2, 3, 4, 5, 6, 7]


# Labels as known.


def test_a_label_is_known_once_it_is_reported():
    X, y, time, _ = rows_of()
    rng = np.random.default_rng(1)
    wait = rng.exponential(5, len(X))
    wait[rng.random(len(X)) < 0.2] = np.nan
    reported = (time + pd.to_timedelta(wait, unit="D")).where(y == 1)
    n_known = n_unknown = 0
    for delay in (0, 2):
        cv = PrequentialSplit(10, delay, 4, time=time, reported=reported)
        for window in cv.windows(X, y):
            for row, label, age in zip(
                window.train, window.y_known, window.age, strict=True
            ):
                is_known = y.iloc[row] == 1 and reported.iloc[row] < window.cut
                assert label == is_known
                passed = (window.cut - time.iloc[row]) / pd.Timedelta(days=1)
                assert age == pytest.approx(passed, abs=1e-10)
                n_known += is_known
                n_unknown += y.iloc[row] == 1 and not is_known
    assert min(n_known, n_unknown) > 20
    whole = next(PrequentialSplit(10, 2, 4, time=time).windows(X, y))
    np.testing.assert_array_equal(whole.y_known, y.to_numpy()[whole.train])
    assert next(PrequentialSplit(10, 2, 4, time=time).windows(X)).y_known is None


def test_a_report_at_the_cut_comes_too_late():
    cv = PrequentialSplit(1, 0, 1, time=[0, 0, 1], reported=[1.0, 0.999, np.nan])
    assert next(cv.windows(np.zeros(3), [1, 1, 0])).y_known.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("y", "pos_label", "expected"),
    [
        ([0, 1, 0], None, [0, 1]),
        ([-1, 1, -1], None, [0, 1]),
        ([False, True, False], None, [0, 1]),
        (["genuine", "theft", "genuine"], None, [0, 1]),
        (["genuine", "fraud", "genuine"], "fraud", [0, 1]),
        ([1, 0, 1], 0, [0, 1]),
        ([0, 0, 0], None, [0, 0]),
        ([1, 1, 1], None, [1, 1]),
        (["fraud"] * 3, "fraud", [1, 1]),
        (pl.Series([0, 1, 0]), None, [0, 1]),
    ],
)
def test_labels_of_any_two_values(y, pos_label, expected):
    cv = PrequentialSplit(1, 0, 1, time=[0, 0, 1], pos_label=pos_label)
    assert next(cv.windows(np.zeros(3), y)).y_known.tolist() == expected


# Where times are found.


def test_times_from_every_place():
    X, y, time, _ = rows_of()
    lengths = (10, 3, 5)
    expected = pairs(PrequentialSplit(*lengths, time="day").split(X))
    assert len(expected) == 5
    dated = X.assign(when=time)
    by_time = X.set_index(pd.DatetimeIndex(time, name="when"))
    both = X.set_index([pd.DatetimeIndex(time, name="when"), X.index])
    without_names = np.asarray(X)
    for given_time, rows, labels in (
        ("when", dated, None),
        (None, by_time, None),
        ("when", by_time, None),
        ("when", both, None),
        (time, X, None),
        (time.to_numpy(), X, None),
        (time.tolist(), X, None),
        (lambda X: X["day"], X, None),
        (lambda X: X["day"].to_list(), X, None),
        (2, without_names, None),
        (-1, without_names, None),
        (time, without_names, y),
        (None, without_names, pd.Series(np.asarray(y), by_time.index)),
        ("when", without_names, pd.Series(np.asarray(y), by_time.index)),
        ("when", pl.from_pandas(dated), None),
        ("when", pl.from_pandas(dated).lazy(), None),
        ("when", pa.Table.from_pandas(dated), None),
        ("day", pl.from_pandas(dated), None),
        ("when", dated.convert_dtypes(dtype_backend="pyarrow"), None),
        ("day", X.convert_dtypes(), None),
        (2, X.set_axis(range(3), axis=1), None),
        (time.astype("category"), X, None),
    ):
        cv = PrequentialSplit(*lengths, time=given_time)
        assert pairs(cv.split(rows, labels)) == expected, cv


@pytest.mark.parametrize(
    "convert",
    [
        lambda t: t.to_numpy("datetime64[s]"),
        lambda t: t.to_numpy("datetime64[ms]"),
        lambda t: t.to_numpy("datetime64[D]"),
        lambda t: t.as_unit("s"),
        lambda t: [stamp.date() for stamp in t],
        lambda t: [stamp.to_pydatetime() for stamp in t],
        lambda t: [stamp.to_datetime64() for stamp in t],
        lambda t: t.tz_localize("Europe/Berlin"),
        lambda t: list(t.tz_localize(UTC).to_pydatetime()),
        lambda t: t.to_numpy() - np.datetime64("2024-01-01"),
        lambda t: [stamp - START for stamp in t],
        lambda t: (t - START) / pd.Timedelta(days=1),
        lambda t: [Fraction(n).numerator for n in range(len(t))],
        lambda t: np.arange(len(t), dtype=np.uint8),
        lambda t: np.arange(len(t), dtype=np.float16),
        lambda t: np.arange(len(t)).astype(">i4"),
        lambda t: pl.Series(list(t.to_pydatetime())),
        lambda t: pl.Series(list(t.to_pydatetime())).dt.replace_time_zone("Asia/Tokyo"),
        lambda t: pl.Series([stamp.date() for stamp in t]),
        lambda t: pa.chunked_array([pa.array(t)]),
    ],
)
def test_times_of_every_type(convert):
    time = convert(pd.date_range("2024-01-01", periods=20))
    cv = PrequentialSplit(5, 2, 3, time=time)
    assert pairs(cv.split(np.zeros(20)))[-1] == ([10, 11, 12, 13, 14], [17, 18, 19])


def test_times_far_from_nanoseconds():
    time = np.datetime64("3000-01-01", "s") + np.arange(10) * np.timedelta64(1, "D")
    window = next(PrequentialSplit(3, 2, 5, time=time).windows(time))
    assert window.train.tolist() == [0, 1, 2]
    assert window.cut.year == 3000


def test_days_are_those_of_the_time_zone():
    # 2024-03-31 has 23 hours in Berlin and 2024-10-27 has 25
    for first, hours in (("2024-03-29", 5 * 24 - 1), ("2024-10-25", 5 * 24 + 1)):
        time = pd.date_range(first, periods=hours, freq="h", tz="Europe/Berlin")
        for given_time in (time, time.tz_convert("UTC").tz_convert("Europe/Berlin")):
            cv = PrequentialSplit(1, 1, 1, time=given_time)
            windows = list(cv.windows(time))
            assert len(windows) == 3
            for i, window in enumerate(windows):
                day = time[0] + pd.DateOffset(days=i)
                assert window.train_start == day
                assert {t.date() for t in time[window.train]} == {day.date()}
                cut = day + pd.DateOffset(days=2)
                assert window.cut == cut
                assert {t.date() for t in time[window.test]} == {cut.date()}
        sizes = [len(window.test) for window in windows]
        assert (hours % 24 or 24) in [size % 24 or 24 for size in sizes]
    # the days of UTC are others
    utc = next(PrequentialSplit(1, 1, 1, time=time.tz_convert("UTC")).windows(time))
    assert utc.cut.hour == 0
    assert str(utc.cut.tz) == "UTC"
    assert utc.cut not in [window.cut for window in windows]


def test_a_midnight_that_does_not_exist():
    time = pd.date_range("2018-11-01 12:00", periods=6, tz="America/Sao_Paulo")
    cuts = [w.cut for w in PrequentialSplit(1, 0, 1, time=time).windows(time)]
    assert cuts[2] == pd.Timestamp("2018-11-04 01:00", tz="America/Sao_Paulo")


def test_reports_in_another_zone_are_the_same_moment():
    time = pd.date_range("2024-01-01 12:00", periods=3, tz="America/New_York")
    cut = pd.Timestamp("2024-01-03", tz="America/New_York")
    reported = [cut - pd.Timedelta("1s"), cut, pd.NaT]
    for tz in ("America/New_York", "UTC", "Asia/Tokyo"):
        reports = pd.Series(pd.DatetimeIndex(reported).tz_convert(tz))
        cv = PrequentialSplit(2, 0, 1, time=time, reported=reports)
        assert next(cv.windows(time, [1, 1, 0])).y_known.tolist() == [1, 0]
    for nothing in ([None] * 3, np.full(3, np.nan), pd.Series([pd.NaT] * 3)):
        cv = PrequentialSplit(2, 0, 1, time=time, reported=nothing)
        assert next(cv.windows(time, [1, 1, 0])).y_known.tolist() == [0, 0]


def test_nothing_of_the_caller_is_changed():
    reported = np.array([0.5, np.nan, np.nan])
    time = np.array([0.0, 0.5, 1.0])
    time.flags.writeable = False
    cv = PrequentialSplit(1, 0, 1, time=time, reported=reported)
    list(cv.windows(time, [1, 1, 0]))
    assert np.isnan(reported[1:]).all()


# Parts of the rows.


def test_a_part_of_the_rows_has_its_own_times():
    X, y, time, card = rows_of()
    part = np.flatnonzero(np.random.default_rng(3).random(len(X)) < 0.6)
    X_part, y_part = X.iloc[part], y.iloc[part]
    cv = PrequentialSplit(9, 3, 4, time="day", groups=card)
    expected = pairs(cv.split(X_part, y_part))
    by_position = PrequentialSplit(
        9, 3, 4, time=time.to_numpy()[part], groups=card.to_numpy()[part]
    )
    assert pairs(by_position.split(X_part, y_part)) == expected
    by_label = PrequentialSplit(9, 3, 4, time=time, groups=card)
    assert pairs(by_label.split(X_part, y_part)) == expected
    # rows without labels have those of y
    assert pairs(by_label.split(np.asarray(X_part), y_part)) == expected
    with pytest.raises(ValueError, match=f"time has 240 values and X has {len(part)}"):
        next(PrequentialSplit(9, 3, 4, time=time.to_numpy()).split(X_part))


def test_rows_that_are_drawn_twice():
    X, _, time, _ = rows_of()
    drawn = np.random.default_rng(0).integers(0, len(X), 200)
    expected = pairs(PrequentialSplit(9, 3, 4, time="day").split(X.iloc[drawn]))
    cv = PrequentialSplit(9, 3, 4, time=time)
    assert pairs(cv.split(X.iloc[drawn])) == expected


# In scikit-learn and in our estimators.


@pytest.fixture(scope="module")
def data():
    X, _, time, _ = rows_of(60, 30, seed=5)
    rng = np.random.default_rng(9)
    y = pd.Series(np.where(X["a"] + rng.normal(size=len(X)) > 1.5, 1, 0), X.index)
    card = pd.Series(rng.integers(0, 600, len(X)), X.index)
    return X[["a", "b"]], y, time, card


def tiny(library=FocalLGBMClassifier, **kwargs):
    quiet = {"verbose": -1} if library is FocalLGBMClassifier else {}
    return library(n_estimators=3, n_jobs=1, **quiet, **kwargs)


def test_cross_validation_and_search(data):
    X, y, time, card = data
    cv = PrequentialSplit(20, 5, 5, 3, time=time, groups=card)
    result = cross_validate(tiny(), X, y, cv=cv, scoring="roc_auc", return_indices=True)
    found = pairs(zip(*(result["indices"][k] for k in ("train", "test")), strict=True))
    assert found == pairs(cv.split(X, y))
    for splitter in (cv, PrequentialSplit(20, 5, 5, time=time, groups=card)):
        search = GridSearchCV(
            tiny(), {"num_leaves": [2, 4]}, cv=splitter, scoring="roc_auc"
        ).fit(X, y)
        assert search.n_splits_ == splitter.get_n_splits(X, y)
        # a search in a cross-validation passes parts of the rows
        inner = PrequentialSplit(8, 2, 5, 2, time=time, groups=card)
        nested = cross_val_score(
            search.set_params(cv=inner), X, y, cv=splitter, error_score="raise"
        )
        assert len(nested) == splitter.get_n_splits(X, y)


def test_a_column_of_times_that_a_pipeline_drops(data):
    X, y, time, _ = data
    rows = X.assign(time=time)
    model = make_pipeline(
        make_column_transformer(("passthrough", ["a", "b"])), LogisticRegression()
    )
    search = GridSearchCV(
        model,
        {"logisticregression__C": [0.1, 1.0]},
        cv=PrequentialSplit("8D", "2D", "5D", 2, time="time"),
    )
    outer = PrequentialSplit(20, 5, 5, 3, time="time")
    scores = cross_val_score(search, rows, y, cv=outer, error_score="raise")
    assert len(scores) == 3
    with pytest.raises(ValueError, match="only works for partitions"):
        cross_val_predict(model, rows, y, cv=outer)


@pytest.mark.parametrize("library", [FocalLGBMClassifier, FocalXGBClassifier])
def test_calibration_on_later_days(library, data):
    X, y, time, card = data
    cv = PrequentialSplit(20, 5, 5, 3, time=time, groups=card)
    model = tiny(library, calibration="platt", calibration_cv=cv)
    folds = list(cv.split(X, y))
    same = clone(model).set_params(calibration_cv=folds).fit(X, y)
    fitted = clone(model).fit(X, y)
    expected = same.predict_proba(X)
    np.testing.assert_array_equal(fitted.predict_proba(X), expected)
    assert np.abs(expected - tiny(library).fit(X, y).predict_proba(X)).max() > 1e-4
    # in a cross-validation, with the index as the time
    by_time = X.set_index(pd.DatetimeIndex(time))
    inner = PrequentialSplit(8, 2, 5, 2, time=None)
    outer = PrequentialSplit(20, 5, 5, 2, time=None)
    model.set_params(calibration_cv=inner)
    cross_val_score(model, by_time, np.asarray(y), cv=outer, error_score="raise")


@pytest.mark.parametrize("texts", [False, True])
def test_size_and_trees_chosen_on_later_days(texts, data):
    X, y, time, card = data
    labels = y.map({0: "genuine", 1: "theft"}) if texts else y
    cv = PrequentialSplit(20, 5, 5, 3, time=time, groups=card)
    model = FocalClassifierCV(tiny(), cv=cv, sizes=[{"num_leaves": 4}], max_trees=15)
    model = clone(model).fit(X, labels)
    held = np.concatenate([test for _, test in cv.split(X, y)])
    assert np.flatnonzero(~np.isnan(model.oof_log_odds_)).tolist() == sorted(held)
    by_call = FocalClassifierCV(
        tiny(),
        cv=PrequentialSplit(20, 5, 5, 3, time=time),
        sizes=[{"num_leaves": 4}],
        max_trees=15,
    ).fit(X, labels, groups=card)
    np.testing.assert_array_equal(by_call.oof_log_odds_, model.oof_log_odds_)


def test_copies_split_alike():
    X, y, time, card = rows_of()
    cv = PrequentialSplit(9, 3, 4, time=time, groups=card, reported=time)
    copy = pickle.loads(pickle.dumps(cv))
    assert pairs(copy.split(X, y)) == pairs(cv.split(X, y))
    model = clone(tiny(calibration="platt", calibration_cv=cv))
    assert model.calibration_cv is not cv
    assert pairs(model.calibration_cv.split(X, y)) == pairs(cv.split(X, y))


def test_text_of_a_splitter():
    cv = PrequentialSplit(28, "7D", 7, time="time")
    assert repr(cv) == "PrequentialSplit(28, '7D', 7, time='time')"
    time = pd.Series(range(5))
    cv = PrequentialSplit(28, 7, 7, 3, time=time, groups="card", step=1)
    expected = "time=<Series of 5 values>, step=1, groups='card')"
    assert repr(cv) == f"PrequentialSplit(28, 7, 7, n_splits=3, {expected}"
    assert "PrequentialSplit(28, 7, 7" in repr(FocalClassifierCV(cv=cv))
    assert repr(PrequentialSplit(1, 0, 1, time=None)).endswith("1, time=None)")


# Errors.


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ((0, 1, 1), ValueError, "train must be a finite number of days > 0"),
        ((-1, 1, 1), ValueError, "train must"),
        ((1, -1, 1), ValueError, "delay must be a finite number of days >= 0"),
        ((1, 1, np.nan), ValueError, "test must"),
        ((np.inf, 1, 1), ValueError, "train must"),
        ((1, True, 1), TypeError, "delay must"),
        (([7], 1, 1), TypeError, "train must"),
        ((None, 1, 1), TypeError, "train must"),
        (("7", 1, 1), ValueError, "such as timedelta.* or '7D', got '7'"),
        (("seven", 1, 1), ValueError, "train must"),
        (("NaT", 1, 1), ValueError, "train must"),
        ((timedelta(0), 1, 1), ValueError, "train must"),
        ((timedelta(-1), 1, 1), ValueError, "train must"),
        ((1, np.timedelta64("NaT"), 1), ValueError, "delay must"),
        ((1, 1, 1, 0), ValueError, "n_splits must"),
        ((1, 1, 1, 1.5), ValueError, "n_splits must be a whole number"),
        ((1, 1, 1, "3"), TypeError, "n_splits must"),
    ],
)
def test_parameters_are_checked_at_once(arguments, error, match):
    with pytest.raises(error, match=match):
        PrequentialSplit(*arguments, time="day")


def test_step_is_checked_and_time_is_needed():
    with pytest.raises(ValueError, match="step must be a finite number of days > 0"):
        PrequentialSplit(1, 1, 1, time="day", step=0)
    with pytest.raises(TypeError, match="time"):
        PrequentialSplit(1, 1, 1)


MONDAY = datetime(2024, 1, 1)
TWO_ZONES = [
    MONDAY.replace(tzinfo=timezone(timedelta(hours=1))),
    MONDAY.replace(tzinfo=timezone(timedelta(hours=2))),
    MONDAY.replace(tzinfo=UTC),
]


@pytest.mark.parametrize(
    ("time", "match"),
    [
        ([0, np.nan, 1], "time must not be missing, as it is in row 1"),
        ([0, None, 1], "time must not be missing, as it is in row 1"),
        (pd.Series([0, pd.NA, 1], dtype="Int64"), "missing, as it is in row 1"),
        (pd.to_datetime(["2024", None, "2025"]), "missing, as it is in row 1"),
        (pl.Series([0, 1, None]), "missing, as it is in row 2"),
        ([0.0, 1.0, np.inf], "time must be finite, got inf in row 2"),
        (["2024-01-01"] * 3, "got '2024-01-01' in row 0 .*pandas.to_datetime"),
        ([True, False, True], "got True in row 0"),
        ([1j, 2j, 3j], "time must hold dates"),
        ([1, date(2024, 1, 1), 2], "time must hold dates"),
        (TWO_ZONES, "time must hold dates of one time zone"),
        (pd.period_range("2024-01-01", periods=3), "periods by to_timestamp"),
        (np.array(["2024-01"] * 3, "datetime64[M]"), "to the day or finer"),
        ([[0, 1], [1, 2], [3, 4]], "one-dimensional|dates of one time zone"),
        (np.zeros((3, 2)), "time must be one-dimensional"),
        ([0, 1], "time has 2 values and X has 3 rows.*calibration"),
        (lambda X: [0, 1], "time has 2 values and X has 3 rows"),
        ("when", "X has no column .*time='when'"),
        ("Day", "did you mean day"),
        (None, "holds numbers without a name"),
        (pd.Series([0, 1, 2], [5, 6, 7]), "does not have all labels of X"),
        (pd.Series([0, 1, 2], [0, 0, 1]), "has labels twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*mixed timezones:FutureWarning")
def test_times_that_cannot_be_used(time, match):
    X = pd.DataFrame({"day": [0, 1, 2]})
    with pytest.raises(ValueError, match=match):
        next(PrequentialSplit(1, 0, 1, time=time).split(X))


def test_times_that_have_no_place():
    cv = PrequentialSplit(1, 0, 1, time=None)
    with pytest.raises(ValueError, match="neither X nor y is of Pandas"):
        next(cv.split(np.zeros((3, 1)), [0, 1, 0]))
    levels = pd.MultiIndex.from_arrays([[0, 1], [2, 3]], names=["x", "z"])
    with pytest.raises(ValueError, match=r"2 levels; pass the name .*\['x', 'z'\]"):
        next(cv.split(pd.DataFrame({"a": [1, 2]}, levels)))
    named = PrequentialSplit(1, 0, 1, time="day")
    with pytest.raises(ValueError, match="X of type ndarray has no names"):
        next(named.split(np.zeros((3, 1))))
    with pytest.raises(ValueError, match=r"no column .*time=7"):
        next(PrequentialSplit(1, 0, 1, time=7).split(np.zeros((3, 1))))
    with pytest.raises(TypeError, match=r"time must be a column's name.*got 1\.5"):
        next(PrequentialSplit(1, 0, 1, time=1.5).split(np.zeros((3, 1))))
    with pytest.raises(ValueError, match="at least one row"):
        next(named.split(pd.DataFrame({"day": []})))


def test_too_little_data_names_the_days():
    time = pd.date_range("2024-01-01 10:00", periods=20)
    match = (
        "the rows cover 20 days, from 2024-01-01 .* to 2024-01-21 .*, and one split of "
        "train=14, delay=7, test='7D' and step=None need 28"
    )
    cv = PrequentialSplit(14, 7, "7D", time=time)
    with pytest.raises(ValueError, match=match):
        next(cv.split(time))
    with pytest.raises(ValueError, match=match):
        cv.get_n_splits(time)
    cv = PrequentialSplit(7, 0, 7, 3, step=3.5, time=np.arange(20))
    match = "cover 20 units of time, .* n_splits=3 of train=7, .* and step=3.5 need 21"
    with pytest.raises(ValueError, match=match):
        next(cv.split(time))


def test_seconds_are_no_days():
    seconds = np.arange(30) * 86400
    cv = PrequentialSplit(7, 7, 7, time=seconds)
    with pytest.raises(ValueError, match=r"windows of test=7 .* in 30 rows: lengths"):
        next(cv.split(seconds))
    cv = PrequentialSplit(7, 7, 7, 2, time=seconds)
    with pytest.raises(ValueError, match=r"0 of .* windows"):
        next(cv.split(seconds))
    cv = PrequentialSplit("7D", 7, 7, time=seconds)
    with pytest.raises(ValueError, match="train='7D' is a duration, and time holds"):
        next(cv.split(seconds))
    cv = PrequentialSplit(7, np.timedelta64(7, "D"), 7, time=seconds)
    with pytest.raises(ValueError, match="is a duration, and time holds numbers"):
        next(cv.split(seconds))


def test_splits_cannot_be_counted_without_rows():
    with pytest.raises(ValueError, match="X=None and n_splits=None"):
        PrequentialSplit(1, 0, 1, time="day").get_n_splits()


@pytest.mark.parametrize(
    ("y", "parameters", "match"),
    [
        (None, {"groups": [1, 2, 3]}, "groups and y=None"),
        ([0, 1, 0], {"groups": [1, None, 3]}, "groups must not be missing"),
        ([0, 1, 0], {"groups": [1, 2]}, "groups has 2 values and X has 3 rows"),
        ([0, 1, 2], {}, "y must hold two labels, got 3"),
        ([0, 1, 2], {"pos_label": 1}, "pos_label=1 and one other"),
        ([0, 1], {}, "y must have 3 labels"),
        ([0, np.nan, 1], {}, "y must not be missing, as it is in row 1"),
        (["fraud"] * 3, {}, "name the positive one with pos_label"),
        ([0, 1, 0], {"reported": [1, 2]}, "reported has 2 values"),
        (
            [0, 1, 0],
            {"reported": pd.to_datetime(["2024", None, "2025"])},
            "reported holds dates and time holds numbers",
        ),
        ([0, 1, 0], {"reported": ["a", "b", "c"]}, "reported must hold dates"),
    ],
)
def test_labels_cards_and_reports_that_cannot_be_used(y, parameters, match):
    cv = PrequentialSplit(1, 0, 1, time=[0, 1, 2], **parameters)
    with pytest.raises(ValueError, match=match):
        next(cv.windows(np.zeros(3), y))


def test_labels_that_nobody_needs_are_not_read():
    cv = PrequentialSplit(1, 0, 1, time=[0, 1, 2])
    for y in ([0, 1, 2], [0.5, np.nan, 1.5], ["fraud"] * 3):
        assert pairs(cv.split(np.zeros(3), y)) == [([0], [1]), ([1], [2])]


def test_zones_are_not_guessed():
    time = pd.date_range("2024-01-01", periods=3)
    cv = PrequentialSplit(1, 0, 1, time=time, reported=time.tz_localize("UTC"))
    with pytest.raises(ValueError, match="reported has a time zone and time has none"):
        next(cv.split(time, [0, 1, 0]))
    cv = PrequentialSplit(1, 0, 1, time=time.tz_localize("UTC"), reported=time)
    with pytest.raises(ValueError, match="time has a time zone and reported has none"):
        next(cv.split(time, [0, 1, 0]))
