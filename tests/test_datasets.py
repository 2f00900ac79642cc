"""The simulator: deterministic, in time order, causal, and not trivial."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets
from libraries import slow
from lightgbm import LGBMClassifier
from sklearn.metrics import roc_auc_score
from sklearn.utils import Bunch

from focal_gbm.datasets import (
    DAY,
    NEW_SCENARIO,
    SCENARIOS,
    TRANSACTION_FEATURES,
    WINDOWS,
    _History,
    fetch_credit_card_fraud,
    make_transactions,
)

# Sums over the default frame, cut to whole numbers.
SUMS = {
    "time": 317_598_563_983_930,
    "customer_id": 92_784_222,
    "terminal_id": 187_334_551,
    "amount": 8_026_058,
    "hour": 2_539_426,
    "is_weekend": 51_638,
    "distance": 907_992,
    "seconds_since_last": 7_591_941_602,
    "amount_ratio": 185_717,
    "customer_n_1d": 744_642,
    "customer_mean_amount_1d": 8_025_146,
    "customer_n_7d": 3_954_585,
    "customer_mean_amount_7d": 8_028_488,
    "customer_n_30d": 14_190_672,
    "customer_mean_amount_30d": 8_042_266,
    "terminal_n_1d": 242_652,
    "terminal_risk_1d": 442,
    "terminal_n_7d": 1_637_620,
    "terminal_risk_7d": 637,
    "terminal_n_30d": 6_005_584,
    "terminal_risk_30d": 667,
    "is_fraud": 749,
}

START = np.datetime64("2024-01-01")
SMALL = {"n_customers": 60, "n_terminals": 12, "n_days": 60, "fraud_rate": 0.05}
PAYMENT = ["time", "customer_id", "terminal_id", "amount", "is_fraud"]


def days_of(times):
    """Days since the start, NaN for NaT."""
    return ((times - START) / pd.Timedelta(days=1)).to_numpy()


def fingerprint(frame):
    """Hash of values, names and dtypes, with one number for each NaN, whose bits depend
    on the processor."""
    digest = hashlib.sha256()
    for name, column in frame.items():
        if name == "scenario":
            values, text = column.cat.codes.to_numpy(), list(column.cat.categories)
        else:
            values, text = column.to_numpy(), str(column.dtype)
        if values.dtype == np.float32:
            values = np.where(np.isnan(values), np.float32(-1), values)
        digest.update(f"{name} {text}".encode() + values.tobytes())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="module")
def data():
    return make_transactions(n_customers=500, n_terminals=800, n_days=90)


@pytest.mark.slow
def test_same_seed_same_frame(data):
    again = make_transactions(n_customers=500, n_terminals=800, n_days=90)
    pd.testing.assert_frame_equal(again, data)
    rng = np.random.default_rng(0)
    drawn = make_transactions(500, 800, 90, random_state=rng)
    pd.testing.assert_frame_equal(drawn, data)
    other = make_transactions(500, 800, 90, random_state=1)
    assert len(other) != len(data)


def test_shape_of_the_frame(data):
    ends = ["scenario", "is_fraud"]
    expected = ["time", "customer_id", "terminal_id", *TRANSACTION_FEATURES, *ends]
    assert list(data.columns) == expected
    assert (data.dtypes[list(TRANSACTION_FEATURES)] == np.float32).all()
    assert data["time"].is_monotonic_increasing
    assert data["time"].iloc[-1] - data["time"].iloc[0] <= pd.Timedelta(days=90)
    assert (data["amount"] > 0).all()


@pytest.mark.parametrize("rate", [0.001, *slow(0.005, 0.01)])
def test_fraud_rate_and_scenarios(rate):
    data = make_transactions(3000, 4000, 60, fraud_rate=rate)
    assert data["is_fraud"].mean() == pytest.approx(rate, rel=0.25)
    shares = data.loc[data["is_fraud"] == 1, "scenario"].value_counts(normalize=True)
    assert (shares[list(SCENARIOS[1:])] > 0.2).all()
    assert ((data["scenario"] == "genuine") == (data["is_fraud"] == 0)).all()


def test_aggregates_look_at_the_past_alone(data):
    seconds = (data["time"] - data["time"].iloc[0]).dt.total_seconds().to_numpy()
    rng = np.random.default_rng(0)
    compared = Counter()
    for row in rng.integers(0, len(data), 40):
        now = data.iloc[row]
        for days in WINDOWS:
            # windows are half open and times are cut to seconds: leave the edges out
            age = seconds[row] - seconds
            mine = (data["customer_id"] == now["customer_id"]).to_numpy()
            inside = mine & (age >= 0) & (age < days * DAY - 2)
            edge = mine & (np.abs(age - days * DAY) <= 2) | (mine & (age == 0))
            n = now[f"customer_n_{days}d"]
            assert inside.sum() - edge.sum() <= n <= inside.sum() + edge.sum()
            if n == inside.sum():
                compared["mean"] += 1
                mean = data["amount"].to_numpy()[inside].mean()
                assert now[f"customer_mean_amount_{days}d"] == pytest.approx(
                    mean, rel=1e-4
                )
            age = age - 7 * DAY
            there = (data["terminal_id"] == now["terminal_id"]).to_numpy()
            known = there & (age > 2) & (age < days * DAY - 2)
            if now[f"terminal_n_{days}d"] == known.sum() > 0:
                compared["risk"] += 1
                risk = data["is_fraud"].to_numpy()[known].mean()
                assert now[f"terminal_risk_{days}d"] == pytest.approx(risk, rel=1e-4)
    assert min(compared["mean"], compared["risk"]) > 60


def test_labels_of_the_last_week_do_not_leak(data):
    """Dropping the labels of the last days changes no feature before they are known."""
    short = make_transactions(500, 800, 90, label_delay=7.0)
    longer = make_transactions(500, 800, 90, label_delay=30.0)
    customer = [f for f in TRANSACTION_FEATURES if not f.startswith("terminal_risk")]
    no_terminal = [f for f in customer if not f.startswith("terminal_n")]
    pd.testing.assert_frame_equal(short[no_terminal], longer[no_terminal])
    first = short["time"] < short["time"].iloc[0] + pd.Timedelta(days=6)
    assert short.loc[first, "terminal_n_30d"].max() == 0
    assert short.loc[first, "terminal_risk_30d"].isna().all()


def test_the_default_frame_stays_as_it_was():
    """Figures of the README and of the benchmarks are of this frame."""
    frame = make_transactions().drop(columns="scenario")
    assert len(frame) == 185_952
    frame["time"] = frame["time"].astype("datetime64[s]").astype(np.int64)
    sums = {name: int(frame[name].fillna(0).to_numpy("f8").sum()) for name in frame}
    assert sums == SUMS


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({}, "66502f61a50b9d36"),
        ({**SMALL, "label_delay": 0}, "3860734a3f4ac6fd"),
        ({**SMALL, "label_delay": 2.5, "random_state": 7}, "2f0e78cab4972a4e"),
        ({"n_customers": 1, "n_terminals": 1, "n_days": 1}, "aa32b2cdf35c2c29"),
        (
            {
                "n_customers": 200,
                "n_terminals": 400,
                "n_days": 60,
                "label_delay": 1e300,
                "random_state": 3,
            },
            "3cb0fd81b2a5dafd",
        ),
    ],
)
def test_frames_without_options_stay_as_they_were(kwargs, expected):
    """Reports and new kinds of fraud came later; no bit changes without them."""
    assert fingerprint(make_transactions(**kwargs)) == expected


@pytest.mark.parametrize("delay", [0, 5e-324, 1e-9, 0.5, 7.0, 59.5, 2000.0, 1e300])
def test_no_row_knows_its_own_label(delay):
    """The risk of a terminal is that of payments before the second of the payment, of
    that terminal alone, and no younger than the delay."""
    frame = make_transactions(60, 12, 60, fraud_rate=0.05, label_delay=delay)
    start = frame["time"].iloc[0].normalize()
    seconds = (frame["time"] - start).dt.total_seconds().to_numpy()
    terminal = frame["terminal_id"].to_numpy()
    y = frame["is_fraud"].to_numpy()
    compared = 0
    for row in np.random.default_rng(0).integers(0, len(frame), 60):
        past = (terminal == terminal[row]) & (seconds < seconds[row])
        age = seconds[row] - seconds - delay * DAY
        for days in WINDOWS:
            # times are cut to seconds, and so windows are known to a second
            low, high = (
                past & (age >= margin) & (age < days * DAY - margin)
                for margin in (1, -1)
            )
            n = frame[f"terminal_n_{days}d"].iloc[row]
            assert low.sum() <= n <= high.sum()
            risk = frame[f"terminal_risk_{days}d"].iloc[row]
            if n == 0:
                assert np.isnan(risk)
            elif low.sum() == high.sum():
                compared += 1
                assert risk == pytest.approx(y[low].mean(), rel=1e-6)
    assert (compared > 90) == (delay < 30)


def test_payments_of_the_same_second_tell_nothing():
    """Labels of two payments at one terminal in the same second arrive together."""
    seconds = np.array([10.2, 10.7, 10.9, 11.0, 11.0])
    history = _History(np.zeros(5, np.int64), seconds)
    n, frauds = history.sums(np.ones(5), DAY, 0.0)
    assert n.tolist() == frauds.tolist() == [0, 0, 0, 3, 3]


def test_reports_of_the_same_second_are_not_known():
    """A report counts from the next second on, at its terminal alone."""
    seconds = np.array([10.2, 10.7, 12.1, 12.9, 13.0, 14.0])
    reported = np.array([12.0, np.inf, 13.0, np.inf, np.inf, np.inf])
    history = _History(np.array([0, 0, 0, 0, 0, 1]), seconds)
    n = history.n_reported(reported, DAY, 0.0)
    assert n.tolist() == [0, 0, 0, 0, 1, 0]


@pytest.mark.slow
def test_fraud_can_be_found_and_not_too_well(data):
    is_late = data["time"] > data["time"].iloc[0] + pd.Timedelta(days=60)
    X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"]
    model = LGBMClassifier(
        n_estimators=30, min_child_weight=1.0, boost_from_average=False, verbose=-1
    ).fit(X[~is_late], y[~is_late])
    p = model.predict_proba(X[is_late])[:, 1]
    assert 0.75 < roc_auc_score(y[is_late], p) < 0.99


@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "reporting_delay": 3.0,
            "never_reported": 0.9,
            "new_fraud_day": 0,
            "new_fraud_rate": 0.4,
            "new_fraud_growth": 50.0,
        },
    ],
)
def test_smallest_worlds(options):
    frame = make_transactions(n_customers=1, n_terminals=1, n_days=1, **options)
    assert len(frame) >= 1


def test_options_leave_the_payments_and_the_generator_alone():
    """Random numbers of an option come from a stream of its own."""
    plain = make_transactions(**SMALL)
    reports = make_transactions(**SMALL, reporting_delay=9.0, never_reported=0.3)
    assert list(reports.columns) == [*plain.columns, "reported"]
    risks = [f"terminal_risk_{days}d" for days in WINDOWS]
    pd.testing.assert_frame_equal(
        reports.drop(columns=["reported", *risks]), plain.drop(columns=risks)
    )
    assert (reports[risks].fillna(0) < plain[risks].fillna(0)).any().all()

    both = make_transactions(
        **SMALL, reporting_delay=9.0, never_reported=0.3, new_fraud_day=40
    )
    older = both[both["scenario"] != NEW_SCENARIO].reset_index(drop=True)
    assert len(older) < len(both)
    columns = [*PAYMENT, "reported"]
    pd.testing.assert_frame_equal(older[columns], reports[columns])
    before = days_of(plain["time"]) < 40
    pd.testing.assert_frame_equal(
        both[: before.sum()].drop(columns="scenario"),
        reports[before].drop(columns="scenario"),
    )

    used, unused = np.random.default_rng(4), np.random.default_rng(4)
    make_transactions(**SMALL, random_state=used, reporting_delay=1, new_fraud_day=0)
    make_transactions(**SMALL, random_state=unused)
    assert used.random() == unused.random()


@pytest.mark.parametrize(
    "random_state",
    [
        lambda: 5,
        lambda: np.random.default_rng(5),
        # numpy gives a jumped generator a seed sequence of another, random seed
        lambda: np.random.Generator(np.random.PCG64(5).jumped()),
    ],
)
def test_same_state_same_reports_and_takeovers(random_state):
    options = {"reporting_delay": 5.0, "never_reported": 0.5, "new_fraud_day": 20}
    first, second, other = (
        make_transactions(**SMALL, **options, random_state=state)
        for state in (random_state(), random_state(), 6)
    )
    pd.testing.assert_frame_equal(first, second)
    assert fingerprint(first) != fingerprint(other)


def test_delays_and_share_of_reports():
    """The mean is in days, the shape is 2, and genuine payments have no report."""
    frame = make_transactions(
        1000, 500, 40, fraud_rate=0.1, reporting_delay=12.0, never_reported=0.25
    )
    is_fraud = frame["is_fraud"] == 1
    assert frame["reported"].dtype == frame["time"].dtype == "datetime64[s]"
    assert frame.loc[~is_fraud, "reported"].isna().all()
    reported = frame["reported"].notna()
    assert is_fraud.sum() > 5000
    assert 1 - reported[is_fraud].mean() == pytest.approx(0.25, abs=0.02)
    delays = days_of(frame["reported"])[reported] - days_of(frame["time"])[reported]
    assert delays.min() >= 0
    assert delays.mean() == pytest.approx(12.0, rel=0.04)
    assert delays.var() == pytest.approx(12.0**2 / 2, rel=0.1)
    assert (delays > 24).mean() == pytest.approx(5 * np.exp(-4), abs=0.012)


def test_delays_of_a_function():
    seen = []

    def fixed(rng, n):
        seen.append((rng, n))
        return [1.5] * n

    frame = make_transactions(**SMALL, reporting_delay=fixed)
    reported = frame["reported"].notna()
    assert seen[0][1] == frame["is_fraud"].sum() == reported.sum() > 100
    assert isinstance(seen[0][0], np.random.Generator)
    delay = (frame["reported"] - frame["time"])[reported]
    assert (delay == pd.Timedelta(days=1.5)).all()


@pytest.mark.parametrize("delay", [0, 0.5, 7.0, 1e300])
def test_risk_counts_reported_frauds_alone(delay):
    """A fraud counts from the second after its report on, and only in the window."""
    frame = make_transactions(
        **SMALL,
        label_delay=delay,
        reporting_delay=10.0,
        never_reported=0.2,
        new_fraud_day=30,
        new_fraud_rate=0.05,
    )
    seconds = days_of(frame["time"]) * DAY
    reported = np.nan_to_num(days_of(frame["reported"]) * DAY, nan=np.inf)
    terminal = frame["terminal_id"].to_numpy()
    y = frame["is_fraud"].to_numpy()
    compared = unknown = 0
    for row in np.random.default_rng(0).integers(0, len(frame), 200):
        now = seconds[row]
        past = (terminal == terminal[row]) & (seconds < now)
        age = now - seconds - delay * DAY
        for days in WINDOWS:
            # times are cut to seconds, and so windows are known to a second
            low, high = (
                past & (age >= margin) & (age < days * DAY - margin)
                for margin in (1, -1)
            )
            n = frame[f"terminal_n_{days}d"].iloc[row]
            risk = frame[f"terminal_risk_{days}d"].iloc[row]
            if n == 0:
                assert np.isnan(risk)
            elif low.sum() == high.sum():
                compared += 1
                frauds = (low & (reported < now)).sum()
                assert risk == pytest.approx(frauds / low.sum(), rel=1e-6)
                unknown += y[low].sum() > frauds
    assert (compared > 300 and unknown > 100) == (delay < 30)


def test_reports_at_once_are_labels():
    """Without a wait for reports the risk is that of a frame without reports."""
    options = {**SMALL, "n_terminals": 300, "label_delay": 0.0}
    plain = make_transactions(**options)
    at_once = make_transactions(**options, reporting_delay=lambda rng, n: np.zeros(n))
    pd.testing.assert_frame_equal(at_once.drop(columns="reported"), plain)


def test_takeovers_begin_on_their_day():
    """They are as frequent as the rate, and their rhythm, hour and place are theirs."""
    frame = make_transactions(
        1000, 2000, 60, fraud_rate=0.006, new_fraud_day=20, label_delay=0
    )
    assert list(frame["scenario"].cat.categories) == [*SCENARIOS, NEW_SCENARIO]
    is_new = frame["scenario"] == NEW_SCENARIO
    new, day = frame[is_new], days_of(frame["time"])
    assert (new["is_fraud"] == 1).all()
    assert 20 <= day[is_new].min() < 24
    assert 56 < day[is_new].max() < 60
    assert is_new[day >= 20].mean() == pytest.approx(0.002, rel=0.25)
    assert new["hour"].between(3.5, 6.25).all()
    genuine = frame[frame["is_fraud"] == 0]
    assert new["seconds_since_last"].median() < 300
    assert new["distance"].median() < 2 * genuine["distance"].median()
    ratio = new["amount"].median() / genuine["amount"].median()
    assert 0.7 < ratio < 1.4

    often = make_transactions(
        1000, 2000, 60, new_fraud_day=20, new_fraud_rate=0.03, label_delay=0
    )
    is_new = often["scenario"] == NEW_SCENARIO
    assert is_new[days_of(often["time"]) >= 20].mean() == pytest.approx(0.03, rel=0.1)


@pytest.mark.parametrize("growth", [20.0, 80.0])
def test_takeovers_grow(growth):
    """The rate of each ten days is the mean of the line over them."""
    frame = make_transactions(
        1000, 2000, 60, new_fraud_day=20, new_fraud_rate=0.4, new_fraud_growth=growth
    )
    day = days_of(frame["time"])
    is_new = (frame["scenario"] == NEW_SCENARIO).to_numpy()
    assert not is_new[day < 20].any()
    for begin in (20, 30, 40, 50):
        inside = (day >= begin) & (day < begin + 10)
        wanted = np.minimum((np.linspace(begin, begin + 10, 101) - 20) / growth, 1)
        odds = is_new[inside].sum() / (~is_new[inside]).sum()
        assert odds == pytest.approx(wanted.mean() * 0.4 / 0.6, rel=0.1)


@pytest.mark.slow
def test_only_later_models_find_takeovers():
    frame = make_transactions(700, 1400, 52, new_fraud_day=35, new_fraud_rate=0.005)
    X, y = frame[list(TRANSACTION_FEATURES)], frame["is_fraud"]
    is_new = frame["scenario"] == NEW_SCENARIO
    day = days_of(frame["time"])
    week = (day >= 45) & (day < 52) & ((y == 0) | is_new)
    model = LGBMClassifier(
        n_estimators=60, min_child_weight=1.0, boost_from_average=False, verbose=-1
    )
    before, after = (
        roc_auc_score(
            is_new[week],
            model.fit(X[day < end], y[day < end]).predict_proba(X[week])[:, 1],
        )
        for end in (35, 45)
    )
    assert before < 0.8
    assert after > 0.9


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"n_customers": 0}, ValueError, "n_customers must be .* got 0"),
        ({"n_terminals": 2.5}, ValueError, "n_terminals must be a whole number"),
        ({"n_days": "9"}, TypeError, "n_days must be .* got '9'"),
        ({"fraud_rate": 0.0}, ValueError, "fraud_rate must be .* got 0.0"),
        ({"label_delay": -1}, ValueError, "label_delay must be .* got -1"),
        ({"reporting_delay": 0}, ValueError, "reporting_delay .* got 0; for other"),
        ({"reporting_delay": 1000.0}, ValueError, "reporting_delay .* got 1000.0"),
        ({"reporting_delay": np.nan}, ValueError, "reporting_delay .* got nan"),
        ({"reporting_delay": "7"}, TypeError, "reporting_delay .* got '7'; for other"),
        ({"reporting_delay": True}, TypeError, "reporting_delay .* got True"),
        (
            {"reporting_delay": lambda rng, n: np.ones(n + 1)},
            ValueError,
            "the result of reporting_delay must have .* one a fraud",
        ),
        (
            {"reporting_delay": lambda rng, n: np.full(n, -1.0)},
            ValueError,
            "the result of reporting_delay must be days in .* got -1.0",
        ),
        (
            {"reporting_delay": lambda rng, n: np.full(n, 1e9)},
            ValueError,
            "the result of reporting_delay must be days in .* got 1000000000.0",
        ),
        (
            {"reporting_delay": lambda rng, n: np.full(n, np.nan)},
            ValueError,
            "the result of reporting_delay must be finite, got nan in row 0",
        ),
        (
            {"reporting_delay": 7, "never_reported": 1},
            ValueError,
            "never_reported must be below 1, got 1: without any report",
        ),
        (
            {"reporting_delay": 7, "never_reported": -0.1},
            ValueError,
            "never_reported must be .* got -0.1",
        ),
        (
            {"never_reported": 0.2},
            ValueError,
            "never_reported=0.2 was passed without reporting_delay.*pass both",
        ),
        ({"new_fraud_day": 90}, ValueError, "must be below n_days=90, got 90"),
        ({"new_fraud_day": -1}, ValueError, "new_fraud_day must be .* got -1"),
        ({"new_fraud_day": 1.5}, ValueError, "new_fraud_day must be a whole number"),
        (
            {"new_fraud_day": 1, "new_fraud_rate": 0.5},
            ValueError,
            "new_fraud_rate must be .* got 0.5",
        ),
        (
            {"new_fraud_day": 1, "new_fraud_growth": -2},
            ValueError,
            "new_fraud_growth must be .* got -2",
        ),
        (
            {"new_fraud_rate": 0.01},
            ValueError,
            "new_fraud_rate=0.01 was passed without new_fraud_day.*pass both",
        ),
        (
            {"new_fraud_growth": 5.0},
            ValueError,
            "new_fraud_growth=5.0 was passed without new_fraud_day",
        ),
        ({"random_state": -1}, ValueError, "random_state must be a whole .* got -1"),
        ({"random_state": 1.5}, TypeError, "random_state must be a whole .* got 1.5"),
        ({"random_state": "x"}, TypeError, "a numpy Generator or None, got 'x'"),
    ],
)
def test_bad_parameters(kwargs, error, message):
    with pytest.raises(error, match=message):
        make_transactions(**kwargs)


@pytest.fixture
def openml(monkeypatch):
    """OpenML as it answers: labels are categories of strings."""
    asked = {}

    def fetch_openml(**kwargs):
        asked.update(kwargs)
        X = pd.DataFrame({"V1": [0.5, -1.0, 2.0], "Amount": [10, 20, 30]})
        y = pd.Series(pd.Categorical(["0", "1", "0"]), name="Class")
        return Bunch(data=X, target=y, feature_names=list(X), DESCR="cards")

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch_openml)
    return asked


def test_fetched_labels_are_numbers(openml, tmp_path):
    bunch = fetch_credit_card_fraud(data_home=tmp_path)
    assert openml["data_id"] == 1597
    assert openml["data_home"] == tmp_path
    assert list(bunch.target) == [0, 1, 0]
    assert list(bunch.data) == bunch.feature_names == ["V1", "Amount"]
    assert (bunch.data.dtypes == np.float64).all()
    X, y = fetch_credit_card_fraud(return_X_y=True, as_frame=False)
    assert isinstance(X, np.ndarray)
    assert X.shape == (3, 2)
    assert y.dtype == np.int8
