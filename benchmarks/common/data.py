"""Load the data sets of the benchmarks and split them.

The folder comes from ``--data`` or the variable FOCAL_GBM_DATA and holds parquet
files: real fraud (vehicle_claims, sales_reports), rare classes that are not fraud
(donors, cover, smtp, mammography, satimage2 of the ADBench collection) and the
transformed transactions of the Fraud Detection Handbook. A data set whose file is
missing is left out with a message; the simulated data sets need no files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split

from focal_gbm.datasets import (
    TRANSACTION_FEATURES,
    fetch_credit_card_fraud,
    make_transactions,
)

FILES = (
    "vehicle_claims",
    "sales_reports",
    "donors",
    "cover",
    "smtp",
    "mammography",
    "satimage2",
)
# Rows of these and of the Handbook chose rare_event_params().
DEVELOPMENT = ("sales_reports", "cover", "smtp", "mammography", "satimage2")
# Rows of these chose the sizes and the race of FocalClassifierCV, beside others.
CROSS_FIT_DEVELOPMENT = (*DEVELOPMENT, "vehicle_claims")
HANDBOOK, HANDBOOK_SET = "handbook_transactions", "handbook"
HANDBOOK_WEEKS = ("2018-06-04", "2018-07-02", "2018-07-30")
# Three weeks apart, so that repeats share no row.
HANDBOOK_REPEATS = (
    "2018-06-04",
    "2018-06-25",
    "2018-07-16",
    "2018-08-06",
    "2018-08-27",
)
RARE = (15, 30, 100)
MOST_ROWS = 50_000  # of a data set with many positives, to train on
_MOST_ROWS_OF_HALVES = 100_000


@dataclass
class Split:
    """Hold the training rows and the test rows of a data set.

    ``day`` and ``card`` of the test rows give card precision of ``cards_a_day`` cards;
    both are None where the data set has no cards. ``ordered`` tells whether the rows
    are in the order of time. ``overlap`` is n_test / n_train for splits that draw the
    same rows again, and 0 for splits that share no row.
    """

    name: str
    X_train: pd.DataFrame
    y_train: np.ndarray
    X_test: pd.DataFrame
    y_test: np.ndarray
    test_weight: np.ndarray | None = None
    ordered: bool = False
    overlap: float = 1.0
    day: np.ndarray | None = None
    card: np.ndarray | None = None
    cards_a_day: int = 0


Load = Callable[[int], Split]


def data_folder(argument: str | None) -> Path | None:
    """Return the folder of the data sets, or None where no folder is named."""
    folder = argument or os.environ.get("FOCAL_GBM_DATA")
    return Path(folder) if folder else None


def splits(folder: Path | None, n_splits: int) -> Iterator[Split]:
    """Yield every split of every data set that is present, and print the missing."""
    for load in files(folder).values():
        for seed in range(n_splits):
            yield load(seed)
    if is_present(folder, HANDBOOK):
        for week in HANDBOOK_WEEKS:
            yield handbook_week(folder, week)
    for n_positive in RARE:
        for seed in range(n_splits):
            yield rare_blobs(n_positive, seed)
            yield rare_transactions(n_positive, seed)


def data_sets(folder: Path | None) -> dict[str, Load]:
    """Return a function for each data set that is present; it loads one repeat."""
    loads: dict[str, Load] = {"transactions": transactions}
    if is_present(folder, HANDBOOK):
        loads[HANDBOOK_SET] = lambda i: handbook_week(folder, HANDBOOK_REPEATS[i])
    loads |= files(folder)
    try:
        X, y = fetch_credit_card_fraud(return_X_y=True)
    except OSError as error:
        print(f"missing: ULB credit cards from OpenML ({error})")
    else:
        loads["creditcard"] = partial(halves, "creditcard", X, y.to_numpy())
    return loads


def files(folder: Path | None) -> dict[str, Load]:
    """Return a function for each file that is present; it halves the rows."""

    def load(name: str, seed: int) -> Split:
        X, y = _SHAPES.get(name, _last_column)(read(folder, name))
        return halves(name, X, y, seed)

    return {name: partial(load, name) for name in FILES if is_present(folder, name)}


def is_present(folder: Path | None, name: str) -> bool:
    """Return whether the file of a data set exists, and print its name if not."""
    present = folder is not None and (folder / f"{name}.parquet").exists()
    if not present:
        print(
            f"missing: {name}.parquet in the folder {folder or '(not given)'}; pass "
            "the folder as --data or as the variable FOCAL_GBM_DATA"
        )
    return present


@lru_cache(maxsize=1)
def read(folder: Path, name: str) -> pd.DataFrame:
    """Return a file of the folder; the last one stays in memory."""
    return pd.read_parquet(folder / f"{name}.parquet")


def _last_column(frame: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    return frame.iloc[:, :-1], frame.iloc[:, -1].to_numpy(int)


def _sales(frame: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the inspected reports, with features from all reports."""
    price = frame["value"] / frame["quantity"]
    by_product = price.groupby(frame["product"], observed=True)
    X = pd.DataFrame(
        {
            "quantity": frame["quantity"],
            "value": frame["value"],
            "unit_price": price,
            "relative_price": price / by_product.transform("median"),
            "n_product": frame.groupby("product", observed=True)["fraud"].transform(
                "size"
            ),
            "n_person": frame.groupby("salesperson", observed=True)["fraud"].transform(
                "size"
            ),
        }
    )
    inspected = (frame["inspection"] != "unkn").to_numpy()
    return X[inspected], frame["fraud"].to_numpy(int)[inspected]


_SHAPES: dict[str, Callable[[pd.DataFrame], tuple[pd.DataFrame, np.ndarray]]] = {
    "sales_reports": _sales
}


def halves(name: str, X: pd.DataFrame, y: np.ndarray, seed: int) -> Split:
    """Halve a data set at random, with as many positives in both halves."""
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.5, stratify=y, random_state=seed
    )
    if y_train.sum() > 1000:  # so that rare classes keep every row
        X_train, y_train = (
            X_train[:_MOST_ROWS_OF_HALVES],
            y_train[:_MOST_ROWS_OF_HALVES],
        )
    return Split(name, X_train, y_train, X_test, y_test)


@lru_cache(maxsize=1)
def capped(load: Load, repeat: int, most_rows: int) -> Split:
    """Load a split and keep its first training rows.

    Splits in the order of time and splits with at most 500 positives keep all
    training rows. The last split stays in memory.
    """
    split = load(repeat)
    if not split.ordered and split.y_train.sum() > 500:
        split.X_train, split.y_train = (
            split.X_train[:most_rows],
            split.y_train[:most_rows],
        )
    return split


def handbook_week(folder: Path, first_day: str) -> Split:
    """Train on 7 days, leave out 7 (labels arrive late) and test on 7.

    The test rows leave out cards with a fraud among the training rows, as in the
    Handbook.
    """
    frame = read(folder, HANDBOOK)
    day = (frame["TX_DATETIME"] - pd.Timestamp(first_day)).dt.days
    features = frame.columns.drop(
        [
            "TX_DATETIME",
            "CUSTOMER_ID",
            "TERMINAL_ID",
            "TX_TIME_DAYS",
            "TX_FRAUD",
            "TX_FRAUD_SCENARIO",
        ]
    )
    columns = {"label": "TX_FRAUD", "card": "CUSTOMER_ID", "cards_a_day": 100}
    return _in_time(HANDBOOK_SET, frame, day, (7, 7, 7), features, **columns)


def transactions(seed: int) -> Split:
    """Simulate card transactions: train on 14 days, leave out 7, test on 14."""
    frame = make_transactions(
        n_customers=1800, n_terminals=3600, n_days=65, random_state=seed
    )
    day = (frame["time"] - frame["time"].min()).dt.days - 30
    columns = {"label": "is_fraud", "card": "customer_id", "cards_a_day": 20}
    features = pd.Index(TRANSACTION_FEATURES)
    return _in_time("transactions", frame, day, (14, 7, 14), features, **columns)


def _in_time(
    name: str,
    frame: pd.DataFrame,
    day: pd.Series,
    lengths: tuple[int, int, int],
    features: pd.Index,
    *,
    label: str,
    card: str,
    cards_a_day: int,
) -> Split:
    n_train, n_delay, n_test = lengths
    first = n_train + n_delay
    train = frame[day.between(0, n_train - 1)]
    test = frame[day.between(first, first + n_test - 1)]
    known = train.loc[train[label] == 1, card].unique()
    test = test[~test[card].isin(known)]
    return Split(
        name,
        train[features],
        train[label].to_numpy(int),
        test[features],
        test[label].to_numpy(int),
        ordered=True,
        overlap=0.0,
        day=day[test.index].to_numpy(),
        card=test[card].to_numpy(),
        cards_a_day=cards_a_day,
    )


def rare_blobs(n_positive: int, seed: int) -> Split:
    """Draw clusters in 20 dimensions, with ``n_positive`` positive training rows."""
    X, y = make_classification(
        130_000,
        n_features=20,
        n_informative=8,
        n_clusters_per_class=3,
        weights=[0.98],
        class_sep=1.2,
        flip_y=0.0,
        random_state=seed,
    )
    return _thinned(f"blobs {n_positive}", pd.DataFrame(X), y, n_positive, seed)


def rare_transactions(n_positive: int, seed: int) -> Split:
    """Simulate card transactions, with ``n_positive`` frauds among training rows."""
    frame = make_transactions(
        n_customers=1500, n_terminals=3000, n_days=60, random_state=seed
    )
    X = frame[list(TRANSACTION_FEATURES)]
    y = frame["is_fraud"].to_numpy(int)
    return _thinned(f"cards {n_positive}", X, y, n_positive, seed)


def _thinned(
    name: str, X: pd.DataFrame, y: np.ndarray, n_positive: int, seed: int
) -> Split:
    """Drop all but ``n_positive`` positive training rows.

    The test rows keep all positives, with a weight that gives the test rows the
    positive rate of the training rows.
    """
    split = halves(name, X, y, seed)
    positives = np.flatnonzero(split.y_train == 1)
    keep = np.ones(len(split.y_train), bool)
    keep[positives[n_positive:]] = False
    split.test_weight = np.where(split.y_test == 1, n_positive / len(positives), 1.0)
    split.X_train, split.y_train = split.X_train[keep], split.y_train[keep]
    return split
