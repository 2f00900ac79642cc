"""The simulator: deterministic, in time order, causal, and not trivial."""

from __future__ import annotations

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


@pytest.mark.slow
def test_fraud_can_be_found_and_not_too_well(data):
    is_late = data["time"] > data["time"].iloc[0] + pd.Timedelta(days=60)
    X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"]
    model = LGBMClassifier(
        n_estimators=30, min_child_weight=1.0, boost_from_average=False, verbose=-1
    ).fit(X[~is_late], y[~is_late])
    p = model.predict_proba(X[is_late])[:, 1]
    assert 0.75 < roc_auc_score(y[is_late], p) < 0.99


def test_smallest_worlds():
    frame = make_transactions(n_customers=1, n_terminals=1, n_days=1)
    assert len(frame) >= 1


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"n_customers": 0}, ValueError, "n_customers must be .* got 0"),
        ({"n_terminals": 2.5}, ValueError, "n_terminals must be a whole number"),
        ({"n_days": "9"}, TypeError, "n_days must be .* got '9'"),
        ({"fraud_rate": 0.0}, ValueError, "fraud_rate must be .* got 0.0"),
        ({"label_delay": -1}, ValueError, "label_delay must be .* got -1"),
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
