"""Streams of transactions whose frauds are reported late, cut at a day of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.common.data import HANDBOOK, is_present, read
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions

SCENARIOS = ("nothing new", "a new kind", "a growing kind")
NEW_DAYS, GROWING_DAYS = 10, 40  # before the cut
TEST_DAYS = 7
# Midnights in August, so that all rows in use are from June to August.
HANDBOOK_CUTS = ("2018-07-25", "2018-08-08", "2018-08-22")
HANDBOOK_MEANS = (3.0, 10.0)
SIMULATED_MEANS = (3.0, 10.0, 30.0)
_CUT = 138  # day of a simulation
_COLUMNS = (
    "TX_DATETIME",
    "CUSTOMER_ID",
    "TERMINAL_ID",
    "TX_TIME_DAYS",  # grows with time, and would carry the age of a row
    "TX_FRAUD",
    "TX_FRAUD_SCENARIO",
)


@dataclass
class Stream:
    """Hold rows in time order: days from row to cut, true labels, delays of reports.

    ``age`` is negative for the test rows. ``delay`` is that of the report of each row,
    were it a fraud. ``known_by`` is the true curve: the probability that a fraud of an
    age is known, by age and by a factor on the mean delay.
    """

    name: str
    scenario: str
    mean: float
    repeat: int
    X: pd.DataFrame
    age: np.ndarray
    truth: np.ndarray
    delay: np.ndarray
    card: np.ndarray
    cards_a_day: int
    known_by: Callable[[np.ndarray, float], np.ndarray]

    @property
    def seen(self) -> np.ndarray:
        """Return the labels as they are known at the cut."""
        return self.truth * (self.delay <= self.age)

    @property
    def is_test(self) -> np.ndarray:
        """Return whether a row is one of the test rows, all labels of which count."""
        return self.age <= 0


def simulated(mean: float, scenario: str, repeat: int, n_customers: int) -> Stream:
    """Simulate transactions; delays have a gamma distribution of shape 2."""
    new: dict[str, Any] = {"new_fraud_rate": 0.004}
    if scenario == "a new kind":
        new["new_fraud_day"] = _CUT - NEW_DAYS
    elif scenario == "a growing kind":
        new["new_fraud_day"] = _CUT - GROWING_DAYS
        new["new_fraud_growth"] = float(GROWING_DAYS)
    else:
        new = {}
    frame = make_transactions(
        n_customers,
        2 * n_customers,
        _CUT + TEST_DAYS,
        random_state=200 + repeat,
        reporting_delay=mean,
        **new,
    )
    start = frame["time"].iloc[0].normalize()
    age = _CUT - (frame["time"] - start) / pd.Timedelta(days=1)
    delay = (frame["reported"] - frame["time"]) / pd.Timedelta(days=1)
    return Stream(
        "simulated",
        scenario,
        mean,
        repeat,
        frame[list(TRANSACTION_FEATURES)],
        age.to_numpy(),
        frame["is_fraud"].to_numpy(int),
        delay.fillna(np.inf).to_numpy(),
        frame["customer_id"].to_numpy(),
        20,
        lambda age, factor: stats.gamma.cdf(age, 2, scale=mean * factor / 2),
    )


def handbook(folder: Path, mean: float, scenario: str, repeat: int) -> Stream:
    """Take weeks of the Handbook; delays are exponential.

    The new kind is its third scenario, stolen card data, whose frauds of before are
    left out, all of them or a falling share.
    """
    cut = pd.Timestamp(HANDBOOK_CUTS[repeat])
    frame = read(folder, HANDBOOK)
    age = (cut - frame["TX_DATETIME"]) / pd.Timedelta(days=1)
    rows = (frame["TX_DATETIME"] >= "2018-06-01") & (age > -TEST_DAYS)
    frame, age = frame[rows], age[rows].to_numpy()
    rng = np.random.default_rng(repeat)
    is_kind = (frame["TX_FRAUD_SCENARIO"] == 3).to_numpy()
    share = np.ones(len(frame))  # of the frauds of the kind that happen
    if scenario == "a new kind":
        share = (age <= NEW_DAYS).astype(float)
    elif scenario == "a growing kind":
        share = np.clip(1 - age / GROWING_DAYS, 0, 1)
    kept = ~is_kind | (rng.random(len(frame)) < share)
    frame, age = frame[kept], age[kept]
    return Stream(
        "handbook",
        scenario,
        mean,
        repeat,
        frame.drop(columns=list(_COLUMNS)),
        age,
        frame["TX_FRAUD"].to_numpy(int),
        rng.exponential(mean, len(frame)),
        frame["CUSTOMER_ID"].to_numpy(),
        100,
        lambda age, factor: stats.expon.cdf(age, scale=mean * factor),
    )


def streams(folder: Path | None, repeats: int, n_customers: int) -> Iterator[Stream]:
    """Yield every stream of the comparison."""
    has_handbook = folder is not None and is_present(folder, HANDBOOK)
    for repeat in range(repeats):
        for scenario in SCENARIOS:
            for mean in SIMULATED_MEANS:
                yield simulated(mean, scenario, repeat, n_customers)
            if has_handbook:
                for mean in HANDBOOK_MEANS:
                    yield handbook(folder, mean, scenario, repeat)
