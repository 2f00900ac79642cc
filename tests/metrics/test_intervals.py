"""Intervals of measures, against drawing the rows of each group one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from libraries import slow
from scipy.special import expit
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    roc_auc_score,
)

from focal_gbm.metrics import (
    bootstrap_interval,
    calibration_in_the_large,
    calibration_slope,
    card_precision_at_k,
    expected_cost,
    precision_at_alert_rate,
    precision_at_daily_budget,
    recall_at_alert_rate,
    recall_at_daily_budget,
    recall_at_fpr,
)


@pytest.mark.slow
def test_intervals_cover_and_groups_widen_them():
    rng = np.random.default_rng(2)
    day = np.repeat(np.arange(50), 100)
    bad_day = rng.random(50) < 0.2
    y = rng.random(5000) < np.where(bad_day[day], 0.3, 0.01)
    score = rng.normal(size=5000) + 2.0 * y
    kwargs = {"rate": 0.1, "random_state": 0}
    value = precision_at_alert_rate(y, score, rate=0.1)
    rows = bootstrap_interval(precision_at_alert_rate, y, score, **kwargs)
    days = bootstrap_interval(precision_at_alert_rate, y, score, groups=day, **kwargs)
    assert rows[0] < value < rows[1]
    assert days[0] < value < days[1]
    assert days[1] - days[0] > 1.5 * (rows[1] - rows[0])
    again = bootstrap_interval(precision_at_alert_rate, y, score, groups=day, **kwargs)
    assert again == days
    narrow = bootstrap_interval(
        precision_at_alert_rate, y, score, groups=day, confidence=0.5, **kwargs
    )
    assert narrow[1] - narrow[0] < days[1] - days[0]
    auc = bootstrap_interval(roc_auc_score, y, score, n_resamples=50, random_state=0)
    assert auc[0] < roc_auc_score(y, score) < auc[1]


def naive_interval(metric, y, score, groups, columns, seed, n_resamples=20, **kwargs):
    """Copy the rows of groups drawn one by one, each copy with names of its own:
    ``names`` says how they are made of the label and the number of the copy."""
    rng = np.random.default_rng(seed)
    labels = sorted(set(groups))
    values = [metric(y, score, **{k: v for k, (v, _) in columns.items()}, **kwargs)]
    while len(values) <= n_resamples:
        drawn = np.sort(rng.integers(0, len(labels), len(labels)))
        rows, named = [], {name: [] for name in columns}
        for at, number in enumerate(drawn):
            copy = sum(drawn[:at] == number)
            for row in range(len(y)):
                if groups[row] == labels[number]:
                    rows.append(row)
                    for name, (value, is_named) in columns.items():
                        one = value[row]
                        named[name].append(100 * one + copy if is_named else one)
        values.append(metric(y[rows], score[rows], **named, **kwargs))
    low, high = np.quantile(values[1:], [0.05, 0.95])
    return min(low, values[0]), max(high, values[0])


@pytest.mark.parametrize("seed", [0, *slow(1, 2, 3, 4)])
def test_a_group_drawn_twice_is_two_groups(seed):
    rng = np.random.default_rng(seed)
    n = 120
    day, card = np.sort(rng.integers(0, 12, n)), rng.integers(0, 15, n)
    y, score = (rng.random(n) < 0.3).astype(int), rng.integers(0, 9, n).astype(float)
    week = day // 3
    kwargs = {"n_resamples": 20, "confidence": 0.9, "random_state": seed}
    for groups, is_day in ((day, True), (week, True), (card, False)):
        for metric in (recall_at_daily_budget, precision_at_daily_budget):
            said = bootstrap_interval(
                metric, y, score, groups=groups, day=day, budget=3, **kwargs
            )
            expected = naive_interval(
                metric, y, score, groups, {"day": (day, is_day)}, seed, budget=3
            )
            assert said == pytest.approx(expected)
        said = bootstrap_interval(
            card_precision_at_k, y, score, groups=groups, card=card, day=day, k=2,
            **kwargs
        )  # fmt: skip
        columns = {"card": (card, True), "day": (day, is_day)}
        expected = naive_interval(
            card_precision_at_k, y, score, groups, columns, seed, k=2
        )
        assert said == pytest.approx(expected)
        amount = rng.gamma(1.0, 50.0, n)
        said = bootstrap_interval(
            expected_cost, y, expit(score - 5), groups=groups, fraud_cost=amount,
            alert_cost=9.0, **kwargs
        )  # fmt: skip
        columns = {"fraud_cost": (amount, False)}
        expected = naive_interval(
            expected_cost, y, expit(score - 5), groups, columns, seed, alert_cost=9.0
        )
        assert said == pytest.approx(expected)


@pytest.mark.slow
def test_days_that_are_perfect_stay_perfect():
    """Where each day's alerts and cards find all there is, so do days drawn twice."""
    day = np.repeat(np.arange(30), 20)
    rng = np.random.default_rng(0)
    score = rng.random(600)
    y = np.zeros(600, int)
    for one in range(30):
        y[20 * one + score[day == one].argmax()] = 1
    card = np.arange(600)
    dates = np.datetime64("2025-01-01") + day
    kwargs = {"n_resamples": 50, "random_state": 0}
    for days in (day, dates, pd.Series(dates), pl.Series(dates), dates.tolist()):
        for groups in (days, day // 7):
            for metric in (recall_at_daily_budget, precision_at_daily_budget):
                said = bootstrap_interval(
                    metric, y, score, groups=groups, day=days, budget=1, **kwargs
                )
                assert said == (1.0, 1.0)
            said = bootstrap_interval(
                card_precision_at_k, y, score, groups=groups, card=card, day=days, k=1,
                **kwargs
            )  # fmt: skip
            assert said == (1.0, 1.0)


def test_weights_are_drawn_with_their_rows():
    rng = np.random.default_rng(0)
    y, p, group = rng.random(200) < 0.3, rng.random(200), np.arange(200) // 10
    weight = rng.integers(0, 4, 200).astype(float)

    def checked(y_true, y_prob, sample_weight=None, *, row):
        np.testing.assert_array_equal(sample_weight, weight[row])
        np.testing.assert_array_equal(y_prob, p[row])
        sizes = np.bincount(row // 10, minlength=20)
        assert (sizes % 10 == 0).all()
        return calibration_in_the_large(y_true, y_prob, sample_weight=sample_weight)

    kwargs = {"sample_weight": weight, "groups": group, "random_state": 1}
    said = bootstrap_interval(checked, y, p, row=np.arange(200), **kwargs)
    assert said == bootstrap_interval(calibration_in_the_large, y, p, **kwargs)


def test_metrics_of_others_in_intervals():
    rng = np.random.default_rng(0)
    y, score = rng.random(300) < 0.3, rng.random(300)
    kwargs = {"n_resamples": 40, "random_state": 0}

    def unweighted(y_true, y_score):
        return float(y_score[y_true > 0].mean())

    def needs_weights(y_true, y_score, sample_weight):
        assert len(sample_weight) == len(y_true)
        return float(np.average(y_score, weights=sample_weight))

    def of_customers(y_true, y_score, *, customer):
        return float(len(set(customer)))

    def of_text(y_true, y_score, *, country):
        return float(np.mean(np.asarray(country) == "IT"))

    for metric in (
        roc_auc_score,
        average_precision_score,
        brier_score_loss,
        unweighted,
        needs_weights,
    ):
        low, high = bootstrap_interval(metric, y, score, **kwargs)
        assert low < high
    customer = np.arange(300) // 3
    said = bootstrap_interval(
        of_customers, y, score, groups=customer, customer=customer, **kwargs
    )
    assert said == (100.0, 100.0)  # a hundred customers, whichever are drawn
    country = ["IT", "FR", None] * 100
    low, high = bootstrap_interval(of_text, y, score, country=country, **kwargs)
    assert low < 1 / 3 < high
    words = np.where(y, "fraud", "legit")
    said = bootstrap_interval(roc_auc_score, words, score, pos_label="fraud", **kwargs)
    assert said == bootstrap_interval(roc_auc_score, y, score, **kwargs)


def test_the_interval_holds_the_measure_of_all_rows():
    """The number of different rows is always less in a resample."""

    def different(y_true, y_score):
        return float(len(set(y_score)))

    rng = np.random.default_rng(0)
    low, high = bootstrap_interval(
        different, rng.random(50) < 0.5, rng.random(50), random_state=0
    )
    assert low < 40 < high == 50


def test_undefined_on_some_resamples():
    rng = np.random.default_rng(0)
    p = expit(rng.normal(-4, 2, 3000))
    few = np.zeros(3000, int)
    few[rng.choice(3000, 3, replace=False)] = 1
    for metric in (calibration_in_the_large, calibration_slope, roc_auc_score):
        low, high = bootstrap_interval(metric, few, p, n_resamples=60, random_state=0)
        assert np.isfinite([low, high]).all()
        assert low <= metric(few, p) <= high
    for metric in (recall_at_fpr, recall_at_alert_rate):
        low, high = bootstrap_interval(metric, few, p, n_resamples=60, random_state=0)
        assert 0 <= low <= metric(few, p) <= high <= 1

    without = []

    def seldom(y_true, y_score):
        """Undefined where a row is drawn twice, as nearly always."""
        if len(set(y_score)) < len(y_score):
            without.append(not np.any(y_true))
            raise ValueError("rows are not distinct")
        return 1.0

    few = few & (np.arange(3000) == np.flatnonzero(few)[0])  # one, often not drawn
    with pytest.raises(
        ValueError, match="seldom is undefined on 21 of 21 resamples"
    ) as caught:
        bootstrap_interval(seldom, few, p, n_resamples=20, random_state=0)
    assert 0 < sum(without) < 21
    assert f"{sum(without)} of which hold no positive" in str(caught.value)


def test_sources_of_drawings():
    y, score = np.arange(60) % 3 == 0, np.arange(60) % 7
    kwargs = {"n_resamples": 30, "rate": 0.2}
    first, second = (
        bootstrap_interval(
            recall_at_alert_rate, y, score, random_state=source, **kwargs
        )
        for source in (3, np.random.default_rng(3))
    )
    assert first == second
    rng = np.random.default_rng(3)
    once = [
        bootstrap_interval(recall_at_alert_rate, y, score, random_state=rng, **kwargs)
        for _ in range(2)
    ]
    assert once[0] == first != once[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: bootstrap_interval(
                recall_at_alert_rate, [0, 1], [0, 1], confidence=1.0
            ),
            "confidence must be .* got 1.0",
        ),
        (
            lambda: bootstrap_interval(
                recall_at_alert_rate, [0, 1], [0, 1], n_resamples=2.5
            ),
            "n_resamples must be a whole number >= 1, got 2.5",
        ),
        (
            lambda: bootstrap_interval(
                recall_at_alert_rate, [0, 1], [0, 1], n_resamples=0
            ),
            "n_resamples must be .* got 0",
        ),
        (
            lambda: bootstrap_interval(
                recall_at_alert_rate, [0, 1], [0, 1], groups=[1, 1]
            ),
            "an interval needs at least two groups to draw from, got one",
        ),
        (
            lambda: bootstrap_interval(
                recall_at_alert_rate, [0, 1], [0, 1], groups=[[1, 1]]
            ),
            r"groups must be one-dimensional, got shape \(1, 2\)",
        ),
        (
            lambda: bootstrap_interval(
                recall_at_alert_rate, [0, 1], [0, 1], groups=[1, None]
            ),
            "groups must not be missing, as it is in row 1",
        ),
        (
            lambda: bootstrap_interval(
                recall_at_alert_rate,
                [0, 1],
                [0, 1],
                groups=pd.to_datetime(["2025-01-01 09:00", "2025-01-01 10:00"]),
            ),
            "groups must hold whole days, got .* in row 0: a time stamp",
        ),
        (
            lambda: bootstrap_interval(recall_at_alert_rate, [0, 0], [0, 1]),
            "recall_at_alert_rate is nan on all rows",
        ),
        (
            lambda: bootstrap_interval(roc_auc_score, [0, 1, 1], [0, np.nan, 1]),
            "y_score must not be NaN",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
