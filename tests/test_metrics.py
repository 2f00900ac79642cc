"""Fraud measures against naive loops, with ties and weights; labels, scores and days
of every kind."""

from __future__ import annotations

import datetime
import pydoc
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_score, recall_score

from focal_gbm import metrics
from focal_gbm.metrics import (
    alert_threshold,
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

LIMITS = st.sampled_from([0.0, 0.001, 0.05, 0.1, 0.3, 0.5, 1.0])


@st.composite
def problems(draw):
    """Labels, scores with ties, and integer weights or none."""
    n = draw(st.integers(2, 60))
    y = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    score = draw(st.lists(st.integers(-4, 4), min_size=n, max_size=n))
    weight = st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any)
    return np.array(y), np.array(score, float), draw(st.none() | weight)


def every_threshold(y, score, weight):
    """Yield threshold, alerted positives and negatives, from none alerted on."""
    w = np.ones(len(y)) if weight is None else np.array(weight, float)
    yield np.inf, 0.0, 0.0, w
    for threshold in sorted(set(score), reverse=True):
        alert = score >= threshold
        yield threshold, (w * y)[alert].sum(), (w * (1 - y))[alert].sum(), w


def same(value, expected):
    """Compare floats, NaN being equal to NaN."""
    assert value == pytest.approx(expected, nan_ok=True)


@given(problem=problems(), fpr=LIMITS)
def test_recall_at_fpr(problem, fpr):
    y, score, weight = problem
    best = 0.0
    for _, caught, false, w in every_threshold(y, score, weight):
        if false <= fpr * (w * (1 - y)).sum() + 1e-9:
            best = max(best, caught)
    frauds = (w * y).sum()
    expected = best / frauds if frauds else np.nan
    same(recall_at_fpr(y, score, fpr=fpr, sample_weight=weight), expected)


@given(problem=problems(), rate=LIMITS)
def test_alert_rates(problem, rate):
    y, score, weight = problem
    chosen = (np.inf, 0.0, 0.0)
    for threshold, caught, false, w in every_threshold(y, score, weight):
        if caught + false <= rate * w.sum() + 1e-9:
            chosen = (threshold, caught, false)
    threshold, caught, false = chosen
    frauds = (w * y).sum()
    recall = caught / frauds if frauds else np.nan
    precision = caught / (caught + false) if caught + false else np.nan
    same(recall_at_alert_rate(y, score, rate=rate, sample_weight=weight), recall)
    same(precision_at_alert_rate(y, score, rate=rate, sample_weight=weight), precision)
    same(alert_threshold(score, rate=rate, sample_weight=weight), threshold)
    budget = rate * w.sum()
    kwargs = {"budget": budget, "n_days": 1, "sample_weight": weight}
    same(alert_threshold(score, **kwargs), threshold)


@given(
    problem=problems(),
    budget=st.sampled_from([0.0, 0.5, 1.0, 2.5, 10.0]),
    seed=st.integers(0, 9),
)
def test_threshold_of_a_daily_budget(problem, budget, seed):
    """A budget is a day's: the days are counted, and may be fractions when given."""
    _, score, weight = problem
    day = np.random.default_rng(seed).integers(0, 4, len(score))
    w = np.ones(len(score)) if weight is None else np.array(weight, float)
    for n_days, days in (
        (len(set(day.tolist())), {"day": day}),
        (3, {"n_days": 3}),
        (0.5, {"n_days": 0.5}),
    ):
        expected = np.inf
        for threshold in sorted(set(score), reverse=True):
            if w[score >= threshold].sum() / n_days <= budget + 1e-9:
                expected = threshold
        said = alert_threshold(score, budget=budget, sample_weight=weight, **days)
        same(said, expected)


@given(problem=problems(), fpr=LIMITS)
def test_infinite_scores_rank_and_tie(problem, fpr):
    """The difference of two infinite scores is NaN: they are equal all the same."""
    y, score, weight = problem
    far = np.where(score == 4, np.inf, np.where(score == -4, -np.inf, score))
    day = np.arange(len(y)) % 3
    for measure, kwargs in (
        (recall_at_fpr, {"fpr": fpr}),
        (recall_at_alert_rate, {"rate": fpr}),
        (precision_at_alert_rate, {"rate": fpr}),
        (recall_at_daily_budget, {"day": day, "budget": 5 * fpr}),
    ):
        said = measure(y, far, sample_weight=weight, **kwargs)
        same(said, measure(y, score, sample_weight=weight, **kwargs))
    said = card_precision_at_k(y, far, card=np.arange(len(y)) % 7, day=day, k=2)
    same(said, card_precision_at_k(y, score, np.arange(len(y)) % 7, day, k=2))


def test_no_threshold_leaves_out_infinite_scores():
    assert alert_threshold([np.inf, 1.0], budget=1, n_days=1) == np.inf
    assert alert_threshold([1.0, 1.0], budget=1, n_days=1) == np.inf
    with pytest.raises(ValueError, match="got inf in row 1: no threshold excludes it"):
        alert_threshold([1.0, np.inf, np.inf], budget=1, n_days=1)


N = 40
RNG = np.random.default_rng(0)
Y = (RNG.random(N) < 0.4).astype(int)
P = np.round(0.05 + 0.9 * RNG.random(N), 1)
DAY, CARD = np.arange(N) // 10, np.arange(N) % 7
ALL = {
    recall_at_fpr: {"fpr": 0.3},
    recall_at_alert_rate: {"rate": 0.3},
    precision_at_alert_rate: {"rate": 0.3},
    recall_at_daily_budget: {"day": DAY, "budget": 3},
    precision_at_daily_budget: {"day": DAY, "budget": 3},
    card_precision_at_k: {"card": CARD, "day": DAY, "k": 2},
    expected_cost: {"fraud_cost": 10.0, "alert_cost": 3.0},
    calibration_in_the_large: {},
    calibration_slope: {},
}
each_measure = pytest.mark.parametrize("measure", ALL, ids=lambda m: m.__name__)

KINDS = {
    "list": list,
    "tuple": tuple,
    "big-endian": lambda v: np.asarray(v).astype(np.asarray(v).dtype.newbyteorder(">")),
    "float16": lambda v: np.asarray(v, np.float16),
    "float32": lambda v: np.asarray(v, np.float32),
    "objects": lambda v: np.asarray(v, object),
    "decimals": lambda v: [Decimal(str(value)) for value in np.asarray(v).tolist()],
    "series": lambda v: pd.Series(v, index=np.arange(N)[::-1]),
    "nullable": lambda v: pd.Series(v).convert_dtypes(),
    "arrow": lambda v: pd.Series(v).convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda v: pl.Series(np.asarray(v)),
    "strided": lambda v: np.repeat(np.asarray(v), 2)[::2],
}


@each_measure
@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_every_kind(measure, kind):
    """The position of a row counts, not its index, dtype or byte order."""
    convert = KINDS[kind]
    p = np.float16(P).astype(float)  # the same number in every dtype
    p = p if kind != "decimals" else P
    expected = measure(Y, p, **ALL[measure])
    weighed = measure is not card_precision_at_k
    rows = {"sample_weight": convert(np.ones(N))} if weighed else {}
    rows |= {name: convert(v) for name, v in ALL[measure].items() if np.ndim(v)}
    labels = Y if kind in ("float16", "decimals") else convert(Y)
    said = measure(labels, convert(p), **{**ALL[measure], **rows})
    same(said, expected)
    same(measure(Y.astype(bool), p, **ALL[measure]), expected)
    if "fraud_cost" in ALL[measure]:
        costs = {"fraud_cost": convert(np.full(N, 10.0)), "alert_cost": 3}
        same(measure(Y, p, **costs), expected)


LABELS = {
    "words": np.where(Y == 1, "fraud", "legit"),
    "objects": np.where(Y == 1, "fraud", "legit").astype(object),
    "categories": pd.Categorical(np.where(Y == 1, "fraud", "legit")),
    "signs": 2 * Y - 1,
    "zeros": 1 - Y,
    "booleans": Y == 0,
    "texts of numbers": np.where(Y == 1, "1", "0"),
}
POSITIVE = dict(zip(LABELS, ["fraud"] * 3 + [1, 0, False, "1"], strict=True))


@each_measure
@pytest.mark.parametrize("kind", LABELS)
def test_pos_label(measure, kind):
    said = measure(LABELS[kind], P, pos_label=POSITIVE[kind], **ALL[measure])
    same(said, measure(Y, P, **ALL[measure]))


@each_measure
def test_bad_rows(measure):
    """Every measure refuses what it cannot rank or weigh, and says which row."""
    kwargs = ALL[measure]
    name = "y_prob" if measure.__name__.startswith("calibration") else "y_score"
    bad = P.copy()
    bad[7] = np.nan
    with pytest.raises(ValueError, match=f"{name} must not be NaN, got NaN in row 7"):
        measure(Y, bad, **kwargs)
    with pytest.raises(ValueError, match=f"{name} must hold numbers, got 'a' in row 1"):
        measure(Y, [0.5, "a", *P[2:]], **kwargs)
    with pytest.raises(ValueError, match=f"{name} must hold numbers, got .*2025"):
        measure(Y, pd.date_range("2025", periods=N), **kwargs)
    with pytest.raises(
        ValueError, match=f"{name} must hold numbers, got .*1.*in row 0"
    ):
        measure(Y, [[1.0], [1.0, 2.0]], **kwargs)
    with pytest.raises(ValueError, match=f"{name} must be one-dimensional"):
        measure(Y, P[:, None], **kwargs)
    with pytest.raises(ValueError, match=f"{name} must hold at least one row, got no"):
        measure([], [], **kwargs)
    with pytest.raises(ValueError, match="y_true must have 40 values, one a row"):
        measure(Y[:-1], P, **kwargs)
    with pytest.raises(ValueError, match="y_true must hold pos_label='frud' and one"):
        measure(LABELS["words"], P, pos_label="frud", **kwargs)
    with pytest.raises(ValueError, match="pos_label"):
        measure(LABELS["words"], P, **kwargs)
    if measure is not card_precision_at_k:
        for weight, message in (
            (np.zeros(N), "sample_weight must hold a positive value, got zeros only"),
            (["a"] * N, "sample_weight must hold numbers, got 'a' in row 0"),
            (np.ones(3), "sample_weight must have 40 values"),
        ):
            with pytest.raises(ValueError, match=message):
                measure(Y, P, sample_weight=weight, **kwargs)


DATES = np.datetime64("2025-03-28") + DAY
STAMPS = pd.Series(pd.DatetimeIndex(DATES))
DAYS = {
    "whole floats": DAY.astype(float),
    "float16": DAY.astype(np.float16),
    "big-endian": DAY.astype(">i4"),
    "numpy dates": DATES,
    "numpy midnights": DATES.astype("datetime64[ns]"),
    "list of numpy dates": list(DATES),
    "dates": STAMPS.dt.date,
    "list of dates": STAMPS.dt.date.tolist(),
    "midnights": STAMPS,
    "midnights with a zone": STAMPS.dt.tz_localize("Europe/Rome"),  # 23 hours for one
    "list of midnights": STAMPS.dt.tz_localize("Europe/Rome").tolist(),
    "index": pd.DatetimeIndex(DATES),
    "periods": STAMPS.dt.to_period("D"),
    "list of periods": STAMPS.dt.to_period("D").tolist(),
    "days since": pd.to_timedelta(DAY, unit="D"),
    "text": STAMPS.dt.strftime("%Y-%m-%d"),
    "text of midnights": STAMPS.dt.strftime("%Y-%m-%d 00:00:00"),
    "categories": pd.Categorical(np.array(["Mo", "Tu", "We", "Th"])[DAY]),
    "ordered": pd.Categorical(
        np.array(["Mo", "Tu", "We", "Th"])[DAY], ["Mo", "Tu", "We", "Th"], ordered=True
    ),
    "nullable": pd.Series(DAY, dtype="Int64"),
    "arrow dates": STAMPS.dt.date.astype("date32[pyarrow]"),
    "arrow midnights": STAMPS.astype("timestamp[ns][pyarrow]"),
    "polars dates": pl.Series(DATES),
    "polars midnights": pl.Series(DATES).cast(pl.Datetime("us")),
    "polars zone": pl.Series(DATES)
    .cast(pl.Datetime("us"))
    .dt.replace_time_zone("Europe/Rome"),
    "polars text": pl.Series(STAMPS.dt.strftime("%Y-%m-%d").tolist()),
}


@pytest.mark.parametrize("kind", DAYS)
def test_days_of_every_kind(kind):
    day = DAYS[kind]
    for measure in (recall_at_daily_budget, precision_at_daily_budget):
        same(measure(Y, P, day, budget=2), measure(Y, P, DAY, budget=2))
    said = alert_threshold(P, budget=3, day=day)
    assert said == alert_threshold(P, budget=3, n_days=4)
    if kind != "categories":  # these sort by the alphabet
        said = card_precision_at_k(Y, P, CARD, day, k=2)
        same(said, card_precision_at_k(Y, P, CARD, DAY, k=2))


LATER = STAMPS + pd.to_timedelta(np.arange(N) % 24, unit="h")
NO_DAYS = {
    "stamps": LATER,
    "stamps with a zone": LATER.dt.tz_localize("UTC"),
    "a nanosecond": STAMPS.astype("datetime64[ns]") + pd.Timedelta(1, "ns"),
    "numpy stamps": LATER.to_numpy(),
    "list of numpy stamps": list(LATER.to_numpy()),
    "list of datetimes": [stamp.to_pydatetime() for stamp in LATER],
    "polars stamps": pl.Series(LATER.to_numpy()),
    "arrow stamps": LATER.astype("timestamp[us][pyarrow]"),
    "text": LATER.dt.strftime("%Y-%m-%d %H:%M"),
    "iso text": LATER.map(pd.Timestamp.isoformat),
    "categories of stamps": LATER.astype("category"),
    "hours": LATER.dt.to_period("h"),
    "months": STAMPS.dt.to_period("M"),
    "numpy months": DATES.astype("datetime64[M]"),
    "numpy weeks": DATES.astype("datetime64[W]"),
    "hours since": pd.to_timedelta(np.arange(N), unit="h"),
    "fractions": np.arange(N) / 10,
    "fractions as objects": (np.arange(N) / 10).astype(object),
    "infinite": np.where(DAY == 0, np.inf, DAY),
    "intervals": pd.cut(DAY, 3),
    "mixed": [datetime.date(2025, 1, 1), *["2025-01-02"] * (N - 1)],
    "lists": [[1], *[[1, 2]] * (N - 1)],
}


@pytest.mark.parametrize("kind", NO_DAYS)
def test_what_is_no_day(kind):
    """A time stamp would make each row a day of its own, with a budget of its own."""
    day = NO_DAYS[kind]
    for call in (
        lambda: recall_at_daily_budget(Y, P, day),
        lambda: precision_at_daily_budget(Y, P, day=day),
        lambda: card_precision_at_k(Y, P, CARD, day),
        lambda: alert_threshold(P, budget=3, day=day),
    ):
        with pytest.raises(ValueError, match="day must hold") as caught:
            call()
        if "stamps" in kind or "text" in kind:
            for word in ("in row 1:", "dt.normalize()", "dt.date", "datetime64[D]"):
                assert word in str(caught.value)


@pytest.mark.parametrize(
    "missing",
    [
        [None, *CARD[1:]],
        ["a", float("nan"), *["b"] * (N - 2)],
        np.where(CARD == 3, np.nan, CARD),
        pd.Series(CARD, dtype="Int64").replace(3, pd.NA),
        pl.Series([None, *CARD[1:].tolist()]),
        np.where(CARD == 3, np.datetime64("NaT"), np.datetime64("2025-01-01")),
        pd.Categorical.from_codes(np.where(CARD == 3, -1, 0), ["a"]),
    ],
)
def test_missing_cards_and_days(missing):
    """A row without a card is not one of the last card in order."""
    row = int(np.argmax(pd.isna(np.asarray(pd.Series(list(missing))))))
    for name, call in (
        ("card", lambda: card_precision_at_k(Y, P, missing, DAY)),
        ("day", lambda: card_precision_at_k(Y, P, CARD, missing)),
        ("day", lambda: recall_at_daily_budget(Y, P, missing)),
    ):
        with pytest.raises(
            ValueError, match=f"{name} must not be missing, as it is in row {row}"
        ):
            call()


def test_help_lists_the_measures():
    text = pydoc.plain(pydoc.render_doc(metrics))
    for name in metrics.__all__:
        assert f"\n    {name}(" in text
        assert getattr(metrics, name).__doc__


@given(problem=problems(), rate=LIMITS)
def test_threshold_reproduces_the_measures(problem, rate):
    y, score, weight = problem
    alert = score >= alert_threshold(score, rate=rate, sample_weight=weight)
    w = np.ones(len(y)) if weight is None else np.array(weight)
    if (w * y)[alert].sum() > 0:
        same(
            recall_at_alert_rate(y, score, rate=rate, sample_weight=weight),
            recall_score(y, alert, sample_weight=weight),
        )
        same(
            precision_at_alert_rate(y, score, rate=rate, sample_weight=weight),
            precision_score(y, alert, sample_weight=weight),
        )


@given(problem=problems(), fpr=LIMITS)
def test_only_the_ranking_matters(problem, fpr):
    y, score, weight = problem
    a = recall_at_fpr(y, score, fpr=fpr, sample_weight=weight)
    same(recall_at_fpr(y, np.exp(score) - 7, fpr=fpr, sample_weight=weight), a)


def test_a_thousandth_of_a_thousand_is_one():
    y = np.r_[0, np.ones(10), np.zeros(999)]
    score = np.arange(1010)[::-1].astype(float)
    assert recall_at_fpr(y, score, fpr=1e-3) == 1.0
    assert recall_at_fpr(y, score, fpr=0.9e-3) == 0.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: recall_at_fpr([0, 1], [0, 1], fpr=1.5), ValueError, "fpr must be"),
        (lambda: recall_at_fpr([0, 1], [0, 1], fpr="x"), TypeError, "fpr must be"),
        (lambda: recall_at_fpr([0, 2], [0, 1]), ValueError, "y_true must hold 0 and 1"),
        (lambda: recall_at_fpr([0, 1], [0]), ValueError, "y_true must have 1 values"),
        (lambda: recall_at_fpr([0], [np.nan]), ValueError, "y_score must not be NaN"),
        (lambda: recall_at_fpr([], []), ValueError, "y_score must hold at least one"),
        (
            lambda: recall_at_fpr([0, 1], [0, 1], sample_weight=[1, -1]),
            ValueError,
            "sample_weight must be finite",
        ),
        (lambda: alert_threshold([1.0]), ValueError, "give either rate or budget"),
        (
            lambda: alert_threshold([1.0], rate=0.1, budget=3),
            ValueError,
            "give either rate or budget",
        ),
        (lambda: alert_threshold([1.0], budget=-1), ValueError, "budget must be"),
        (
            lambda: alert_threshold([1.0], budget=1),
            ValueError,
            "budget is a number of alerts a day: give either n_days, .* got neither",
        ),
        (
            lambda: alert_threshold([1.0], budget=1, n_days=1, day=[1]),
            ValueError,
            "give either n_days, .* got both",
        ),
        (
            lambda: alert_threshold([1.0], rate=0.5, n_days=1),
            ValueError,
            "n_days or day was passed with rate",
        ),
        (
            lambda: alert_threshold([1.0], budget=1, n_days=0),
            ValueError,
            "n_days must be .* got 0",
        ),
        (
            lambda: alert_threshold([1.0], budget=1, n_days="7"),
            TypeError,
            "n_days must be .* got '7'",
        ),
        (
            lambda: alert_threshold([1.0, 2.0], budget=1, day=[[1, 2]]),
            ValueError,
            r"day must be one-dimensional, got shape \(1, 2\)",
        ),
        (lambda: alert_threshold([np.nan], rate=1), ValueError, "y_score must not be"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
