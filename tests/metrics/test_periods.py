"""Calibration and ranking by period."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from focal_gbm.metrics import (
    bootstrap_interval,
    calibration_by_period,
    calibration_in_the_large,
)
from focal_gbm.metrics._periods import poisson_interval


def rows_of(seed, n_rows=6000, n_days=30, factor=1.0):
    """Return labels, probabilities and days; ``factor`` times too many predicted."""
    rng = np.random.default_rng(seed)
    truth = rng.beta(1, 30, n_rows)
    y = (rng.random(n_rows) < truth).astype(int)
    return y, np.clip(factor * truth, 0, 1), rng.integers(0, n_days, n_rows)


@pytest.mark.parametrize(("n", "level"), [(0, 0.95), (1, 0.9), (7, 0.95), (400, 0.99)])
def test_interval_is_exact(n, level):
    """The tails of the Poisson distribution at the ends are those of the level."""
    low, high = poisson_interval(n, level)
    tail = (1 - level) / 2
    assert stats.poisson.cdf(n, high) == pytest.approx(tail, rel=1e-9)
    if n:
        assert stats.poisson.sf(n - 1, low) == pytest.approx(tail, rel=1e-9)
    if n == 0:
        assert (low, high) == (0.0, pytest.approx(-np.log(tail)))


def test_columns_are_those_of_each_period():
    y, p, day = rows_of(0)
    table = calibration_by_period(y, p, day, period=10)
    assert table["period"].tolist() == [0.0, 10.0, 20.0]
    assert table["n"].sum() == len(y)
    assert table["n"].dtype == table["n_positive"].dtype == np.int64
    for i, row in table.iterrows():
        kept = day // 10 == i
        k = y[kept].sum()
        assert row["n"] == kept.sum()
        assert row["n_positive"] == k
        assert row["expected"] == pytest.approx(p[kept].sum())
        ratio = calibration_in_the_large(y[kept], p[kept])
        assert row["ratio"] == pytest.approx(ratio)
        low, high = stats.chi2.ppf([0.025, 0.975], [2 * k, 2 * k + 2]) / 2
        ends = [p[kept].sum() / high, p[kept].sum() / low]
        np.testing.assert_allclose(row[["low", "high"]].to_list(), ends)
        precision = average_precision_score(y[kept], p[kept])
        assert row["average_precision"] == pytest.approx(precision)
        assert row["advice"] == "none"


def test_order_of_rows_does_not_matter():
    y, p, day = rows_of(1)
    order = np.random.default_rng(0).permutation(len(y))
    first = calibration_by_period(y, p, day, groups=day % 7)
    second = calibration_by_period(
        y[order], p[order], day[order], groups=(day % 7)[order]
    )
    pd.testing.assert_frame_equal(first, second)


def test_advice_on_the_level():
    for factor, n_periods, advice in (
        (2.0, 2, ["none", "calibrate", "calibrate"]),
        (0.5, 3, ["none", "none", "calibrate"]),
        (2.0, 1, ["calibrate"] * 3),
        (1.0, 1, ["none"] * 3),
    ):
        y, p, day = rows_of(2, factor=factor)
        table = calibration_by_period(y, p, day, period=10, n_periods=n_periods)
        assert table["advice"].tolist() == advice


def test_too_high_after_too_low_is_no_run():
    """Only periods on the same side of 1 follow each other."""
    y, p, day = rows_of(3, n_days=40)
    p = np.where(day // 10 % 2, p * 2, p / 2)
    table = calibration_by_period(y, p, day, period=10)
    assert (table["high"] < 1).tolist() == [True, False, True, False]
    assert (table["low"] > 1).tolist() == [False, True, False, True]
    assert table["advice"].tolist() == ["none"] * 4


def test_advice_on_the_ranking():
    """A ranking that is lost calls for training, and not for a calibrator."""
    y, p, day = rows_of(4, n_rows=20_000, n_days=40)
    at_training = day < 10
    reference = bootstrap_interval(
        average_precision_score, y[at_training], p[at_training], random_state=0
    )
    rng = np.random.default_rng(0)
    lost = np.where(day >= 20, rng.permutation(p), p) * np.where(day >= 20, 2, 1)
    table = calibration_by_period(y, lost, day, period=10, reference=reference)
    assert (table["average_precision"] < reference[0]).tolist() == [
        False,
        False,
        True,
        True,
    ]
    assert (table["low"] > 1).tolist() == [False, False, True, True]
    assert table["advice"].tolist() == ["none", "none", "none", "retrain"]
    table = calibration_by_period(y, lost, day, period=10)
    assert table["advice"].tolist() == ["none", "none", "none", "calibrate"]


@pytest.mark.parametrize("cards", [False, True])
def test_an_honest_model_is_rarely_corrected(cards):
    """The interval contains 1 as often as promised, also if frauds come by card."""
    rng = np.random.default_rng(5)
    size = 4 if cards else 1
    n, n_periods, p = 100, 400, 0.05
    y = np.repeat(rng.random(n * n_periods) < p, size)
    time = np.repeat(np.arange(n * n_periods) // n, size)
    card = np.arange(n * n_periods * size) // size
    arguments = {"groups": card} if cards else {}
    table = calibration_by_period(
        y, np.full(len(y), p), time, period=1, confidence=0.9, **arguments
    )
    outside = ((table["low"] > 1) | (table["high"] < 1)).mean()
    assert 0.01 < outside <= 0.1
    if cards:  # one by one, the frauds of a card would make intervals half as long
        table = calibration_by_period(
            y, np.full(len(y), p), time, period=1, confidence=0.9
        )
        assert ((table["low"] > 1) | (table["high"] < 1)).mean() > 0.3


def test_late_labels():
    """Positives that are not known yet change neither ratio nor precision in the
    mean."""
    y, p, day = rows_of(6, n_rows=200_000)
    final = calibration_by_period(y, p, day, period=10)
    maturity = np.where(day < 20, 0.8, 0.5)
    known = y * (np.random.default_rng(0).random(len(y)) < maturity)
    table = calibration_by_period(known, p, day, period=10, label_maturity=maturity)
    for i, row in table.iterrows():
        kept = day // 10 == i
        assert row["expected"] == pytest.approx((p * maturity)[kept].sum())
        assert row["n_positive"] == known[kept].sum()
    np.testing.assert_allclose(table["ratio"], final["ratio"], rtol=0.08)
    precision = table["average_precision"].to_numpy()
    np.testing.assert_allclose(precision, final["average_precision"], rtol=0.1)
    naive = calibration_by_period(known, p, day, period=10)
    assert (naive["ratio"] > 1.2).all()
    assert (naive["average_precision"] < 0.85 * precision).all()
    assert table["advice"].tolist() == ["none"] * 3
    assert naive["advice"].tolist() == ["none", "calibrate", "calibrate"]
    ones = calibration_by_period(y, p, day, period=10, label_maturity=np.ones(len(y)))
    pd.testing.assert_frame_equal(ones, final)


def test_average_precision_of_late_labels_by_hand():
    y, p, c = [1, 0, 1], [0.9, 0.8, 0.7], [0.5, 1.0, 1.0]
    (row,) = calibration_by_period(y, p, [0] * 3, label_maturity=c).to_dict("records")
    # the first row counts as two positives: precisions 2 and 3/3, recalls 2/3 and 1
    assert row["average_precision"] == pytest.approx(2 / 3 * 2 + 1 / 3 * 1)
    assert row["expected"] == pytest.approx(0.45 + 0.8 + 0.7)


def test_weights():
    y, p, day = rows_of(7)
    plain = calibration_by_period(y, p, day, period=10)
    table = calibration_by_period(
        y, p, day, period=10, sample_weight=np.full(len(y), 5.0)
    )
    for name in ("ratio", "low", "high", "average_precision"):
        np.testing.assert_allclose(table[name], plain[name])
    for name in ("n", "n_positive", "expected"):
        np.testing.assert_allclose(table[name], 5 * plain[name])
    # one negative in four is kept, with the weight of four
    kept = (y == 1) | (np.arange(len(y)) % 4 == 0)
    weight = np.where(y == 1, 1.0, 4.0)
    thinned = calibration_by_period(
        y[kept], p[kept], day[kept], period=10, sample_weight=weight[kept]
    )
    np.testing.assert_array_equal(thinned["n_positive"], plain["n_positive"])
    np.testing.assert_allclose(thinned["ratio"], plain["ratio"], rtol=0.15)
    widths = [np.log(t["high"] / t["low"]) for t in (thinned, plain)]
    np.testing.assert_allclose(*widths)
    # a row of weight 0 is no row
    zeros = (day < 25).astype(float)
    table = calibration_by_period(y, p, day, period=5, sample_weight=zeros)
    assert table["period"].tolist() == [0, 5, 10, 15, 20]


def test_events_of_unequal_weight():
    """Weights 1, 1 and 2 are 16 / 6 events of weight 6 / 4."""
    weight = [1.0, 1.0, 2.0, 3.0]
    (row,) = calibration_by_period(
        [1, 1, 1, 0], [0.5] * 4, [0] * 4, sample_weight=weight
    ).to_dict("records")
    low, high = poisson_interval(16 / 6, 0.95)
    assert row["low"] == pytest.approx(3.5 / (1.5 * high))
    assert row["high"] == pytest.approx(3.5 / (1.5 * low))
    by_card = calibration_by_period(
        [1, 1, 1, 0], [0.5] * 4, [0] * 4, groups=list("aabc")
    )
    low, high = poisson_interval(9 / 5, 0.95)
    assert by_card["low"][0] == pytest.approx(2 / (5 / 3 * high))


def test_a_period_without_positives():
    p = np.full(100, 0.01)
    table = calibration_by_period(np.zeros(100), p, np.zeros(100), reference=(0.5, 0.9))
    (row,) = table.to_dict("records")
    assert row["ratio"] == row["high"] == np.inf
    assert row["low"] == pytest.approx(1 / -np.log(0.025))
    assert np.isnan(row["average_precision"])
    assert row["advice"] == "none"
    # ten expected and none found is too many
    table = calibration_by_period(np.zeros(100), 10 * p, np.zeros(100), n_periods=1)
    assert table["advice"].tolist() == ["calibrate"]
    heavy = np.r_[np.ones(99), 50.0]
    table = calibration_by_period(
        np.zeros(100), 10 * p, np.zeros(100), sample_weight=heavy
    )
    assert table["low"][0] == pytest.approx(14.9 / (50 * -np.log(0.025)))


def test_probabilities_of_zero_and_of_one():
    table = calibration_by_period([0, 1], [0.0, 0.0], [0, 0], n_periods=1)
    assert table[["expected", "ratio", "low", "high"]].to_numpy().tolist() == [
        [0.0] * 4
    ]
    assert table["advice"].tolist() == ["calibrate"]
    table = calibration_by_period([0, 0], [0.0, 0.0], [0, 0], n_periods=1)
    assert table[["ratio", "low", "high"]].to_numpy().tolist() == [[np.inf, 0, np.inf]]
    assert table["advice"].tolist() == ["none"]
    table = calibration_by_period([1, 1], [1.0, 1.0], [0, 0])
    assert table["ratio"].tolist() == table["average_precision"].tolist() == [1.0]


def test_one_row():
    for y in (0, 1):
        table = calibration_by_period([y], [0.25], [datetime(2024, 5, 3, 12)])
        assert table["period"].tolist() == [pd.Timestamp("2024-05-03")]
        assert table["n_positive"].tolist() == [y]
        assert table["advice"].tolist() == ["none"]


def test_labels_of_any_kind():
    y, p, day = rows_of(8)
    words = np.where(y == 1, "fraud", "none")
    pd.testing.assert_frame_equal(
        calibration_by_period(words, p, day, pos_label="fraud"),
        calibration_by_period(y, p, day),
    )


def test_weeks_in_a_time_zone():
    """Days are those of the clock on the wall, also where it is changed."""
    zone = "Europe/Berlin"  # summer time from 31 March 2024 on
    moments = pd.to_datetime(
        ["2024-03-25 00:00", "2024-03-31 23:59", "2024-04-01 00:00", "2024-04-08 00:00"]
    )
    local = moments.tz_localize(zone)
    table = calibration_by_period([0] * 4, [0.1] * 4, local, period="7D")
    assert table["period"].tolist() == [
        pd.Timestamp(day, tz=zone) for day in ("2024-03-25", "2024-04-01", "2024-04-08")
    ]
    assert table["n"].tolist() == [2, 1, 1]
    # in UTC two of the rows belong to the day before
    table = calibration_by_period([0] * 4, [0.1] * 4, local.tz_convert("UTC"))
    assert table["period"][0] == pd.Timestamp("2024-03-24", tz="UTC")
    assert table["n"].tolist() == [1, 2, 1]
    # an origin of another zone is the same moment
    begin = pd.Timestamp("2024-03-23 23:00", tz="UTC")
    table = calibration_by_period([0] * 4, [0.1] * 4, local, origin=begin)
    assert table["period"][0] == pd.Timestamp("2024-03-24", tz=zone)


@pytest.mark.parametrize(
    "convert",
    [
        lambda days: [date(2024, 1, 1) + timedelta(days=int(d)) for d in days],
        lambda days: np.datetime64("2024-01-01") + days,
        lambda days: pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(days, "D")),
        lambda days: pd.to_timedelta(days, "D"),
        lambda days: days.tolist(),
    ],
)
def test_times_of_every_kind(convert):
    y, p, day = rows_of(9)
    table = calibration_by_period(y, p, convert(day), period=7)
    assert table["n"].tolist() == np.bincount(day // 7).tolist()
    length = table["period"][1] - table["period"][0]
    assert length in (7.0, pd.Timedelta(days=7))


def test_origin_and_fractions():
    time = np.arange(30) / 10
    table = calibration_by_period([0] * 30, [0.1] * 30, time, period=0.3, origin=-0.1)
    # 0.2 and 0.5 are edges, although neither is a sum of floats
    edges = [-0.1 + 0.3 * i for i in range(11)]
    np.testing.assert_allclose(table["period"], edges, atol=1e-12)
    assert table["n"].tolist() == [2, *[3] * 9, 1]
    table = calibration_by_period([0] * 30, [0.1] * 30, time, period=1, origin=100)
    assert table["period"].tolist() == [0.0, 1.0, 2.0]
    stamps = pd.Timestamp("2024-01-01 06:00") + pd.to_timedelta(np.arange(4) * 6, "h")
    table = calibration_by_period([0] * 4, [0.1] * 4, stamps, period=0.5)
    assert table["period"].dt.hour.tolist() == [0, 12, 0]
    assert table["n"].tolist() == [1, 2, 1]


def test_gaps_are_left_out():
    """A period without rows has no line, however many there are."""
    y, p = [0, 1, 0], [0.5] * 3
    table = calibration_by_period(y, p, [0.0, 1e12, 1e12 + 7], period=7)
    assert table["n"].tolist() == [1, 1, 1]


DAYS = pd.date_range("2024-01-01", periods=2)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"y_prob": [0.1, 1.5]}, r"y_prob must lie in \[0, 1\], got 1.5 in row 1"),
        ({"y_prob": [0.1, np.nan]}, "y_prob must not be NaN"),
        ({"y_true": [0, 2]}, "y_true must hold 0 and 1 only, got 2"),
        ({"y_true": [0]}, "y_true must have 2 values"),
        ({"y_true": [], "y_prob": [], "time": []}, "y_prob must hold at least one row"),
        ({"time": DAYS[:1]}, "time must have 2 values"),
        ({"time": ["2024-01-01", "2024-01-02"]}, "time must hold dates"),
        ({"time": [DAYS[0], None]}, "time must not be missing, as it is in row 1"),
        ({"time": [0.0, np.inf]}, "time must be finite"),
        ({"period": 0}, "period must be a finite number of days > 0"),
        ({"period": True}, "period must be a finite number of days > 0"),
        ({"period": 1e-12}, "period must last at least a microsecond"),
        ({"period": "7D", "time": [0, 1]}, "period='7D' is a duration, and time holds"),
        ({"period": 1e-9, "time": [0, 1e9]}, "pass a longer period"),
        ({"origin": 3}, "origin holds numbers and time holds dates"),
        ({"origin": DAYS[0].tz_localize("UTC")}, "origin has a time zone and time has"),
        ({"label_maturity": [0.5, 0.0]}, r"label_maturity must be in \(0, 1\]"),
        ({"groups": ["a"]}, "groups must have 2 values"),
        ({"sample_weight": [1, -1]}, "sample_weight must be finite and >= 0"),
        ({"sample_weight": [0, 0]}, "sample_weight must hold a positive value"),
        ({"confidence": 1.0}, r"confidence must be .* in \(0.0, 1.0\), got 1.0"),
        ({"n_periods": 0}, "n_periods must be .*, got 0"),
        ({"reference": 0.5}, "reference must be the two ends of an interval"),
        ({"reference": (0.5, 0.4)}, "the high end of reference must be .* got 0.4"),
        ({"reference": (-0.5, 0.4)}, "the low end of reference must be .* got -0.5"),
    ],
)
def test_bad_input(kwargs, match):
    arguments = {"y_true": [0, 1], "y_prob": [0.1, 0.9], "time": DAYS, **kwargs}
    with pytest.raises((ValueError, TypeError), match=match):
        calibration_by_period(**arguments)
