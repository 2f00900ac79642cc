"""Data sets for the benchmarks: frames of features, labels, and splits of them.

The folder comes from ``--data`` or the variable FOCAL_GBM_DATA and holds parquet
files: real fraud (vehicle_claims, sales_reports), rare classes that are not fraud
(donors, cover, smtp, mammography, satimage2 of the ADBench collection) and the
transformed transactions of the Fraud Detection Handbook. Where a file is missing,
the set is reported as missing; the embedded sets need no files.
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

from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions

FILES = (
    "vehicle_claims",
    "sales_reports",
    "donors",
    "cover",
    "smtp",
    "mammography",
    "satimage2",
)
HANDBOOK = "handbook_transactions"
HANDBOOK_WEEKS = ("2018-06-04", "2018-07-02", "2018-07-30")
# Three weeks apart, so that no row serves twice.
HANDBOOK_REPEATS = (
    "2018-06-04",
    "2018-06-25",
    "2018-07-16",
    "2018-08-06",
    "2018-08-27",
)
RARE = (15, 30, 100)
_MOST_ROWS = 100_000


@dataclass
class Split:
    """Rows to train on and rows to judge by.

    ``day`` and ``card`` of the rows to judge by, where they are known, make card
    precision of the ``cards_a_day`` cards. Rows are in the order of time where
    ``ordered``. ``overlap`` is n_test / n_train for splits of the same rows drawn
    again, 0 for splits that share none.
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
    """Return the folder of the data sets, if there is one."""
    folder = argument or os.environ.get("FOCAL_GBM_DATA")
    return Path(folder) if folder else None


def splits(folder: Path | None, n_splits: int) -> Iterator[Split]:
    """Yield every split of every set, and say which sets are missing."""
    for load in files(folder).values():
        for seed in range(n_splits):
            yield load(seed)
    if is_there(folder, HANDBOOK):
        for week in HANDBOOK_WEEKS:
            yield handbook_week(folder, week)
    for n_positive in RARE:
        for seed in range(n_splits):
            yield rare_blobs(n_positive, seed)
            yield rare_transactions(n_positive, seed)


def files(folder: Path | None) -> dict[str, Load]:
    """Return how to split each set that is there into halves."""

    def load(name: str, seed: int) -> Split:
        X, y = _SHAPES.get(name, _last_column)(_read(folder, name))
        return halves(name, X, y, seed)

    return {name: partial(load, name) for name in FILES if is_there(folder, name)}


def is_there(folder: Path | None, name: str) -> bool:
    """Tell whether a set can be read, and say so where it cannot."""
    there = folder is not None and (folder / f"{name}.parquet").exists()
    if not there:
        print(f"missing: {name}.parquet (--data or FOCAL_GBM_DATA says where)")
    return there


@lru_cache(maxsize=1)
def _read(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / f"{name}.parquet")


def _last_column(frame: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    return frame.iloc[:, :-1], frame.iloc[:, -1].to_numpy(int)


def _sales(frame: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Inspected reports; features from all, inspected or not."""
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
    """Halve a set at random, as many positives in both."""
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.5, stratify=y, random_state=seed
    )
    if y_train.sum() > 1000:  # rare classes keep every row
        X_train, y_train = X_train[:_MOST_ROWS], y_train[:_MOST_ROWS]
    return Split(name, X_train, y_train, X_test, y_test)


@lru_cache(maxsize=1)
def capped(load: Load, repeat: int, most_rows: int) -> Split:
    """Load a split and keep the first rows to train on, all of them where positives are
    few or days whole. The last one asked for is kept."""
    split = load(repeat)
    if not split.ordered and split.y_train.sum() > 500:
        split.X_train, split.y_train = (
            split.X_train[:most_rows],
            split.y_train[:most_rows],
        )
    return split


def handbook_week(folder: Path, first_day: str) -> Split:
    """Train on 7 days, leave out 7 (labels arrive late), test on 7; cards known to
    be compromised are removed from the test days, as the Handbook does."""
    frame = _read(folder, HANDBOOK)
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
    return _in_time("handbook", frame, day, (7, 7, 7), features, **columns)


def transactions(seed: int) -> Split:
    """Simulated card transactions: train on 14 days, leave out 7, test on 14."""
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
    """Clusters in 20 dimensions, 60,000 rows a half of which ``n_positive`` are 1."""
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
    """Simulated card transactions, all but ``n_positive`` frauds of a half dropped."""
    frame = make_transactions(
        n_customers=1500, n_terminals=3000, n_days=60, random_state=seed
    )
    X = frame[list(TRANSACTION_FEATURES)]
    y = frame["is_fraud"].to_numpy(int)
    return _thinned(f"cards {n_positive}", X, y, n_positive, seed)


def _thinned(
    name: str, X: pd.DataFrame, y: np.ndarray, n_positive: int, seed: int
) -> Split:
    """Keep ``n_positive`` positives to train on; the test keeps all of its own, with
    the weight that gives them the rate of the training rows."""
    split = halves(name, X, y, seed)
    positives = np.flatnonzero(split.y_train == 1)
    keep = np.ones(len(split.y_train), bool)
    keep[positives[n_positive:]] = False
    split.test_weight = np.where(split.y_test == 1, n_positive / len(positives), 1.0)
    split.X_train, split.y_train = split.X_train[keep], split.y_train[keep]
    return split
