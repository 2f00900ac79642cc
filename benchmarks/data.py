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
HANDBOOK_WEEKS = ("2018-06-04", "2018-07-02", "2018-07-30")
RARE = (15, 30, 100)
_MOST_ROWS = 100_000


@dataclass
class Split:
    """Rows to train on and rows to judge by."""

    name: str
    X_train: pd.DataFrame
    y_train: np.ndarray
    X_test: pd.DataFrame
    y_test: np.ndarray
    test_weight: np.ndarray | None = None


def data_folder(argument: str | None) -> Path | None:
    """Return the folder of the data sets, if there is one."""
    folder = argument or os.environ.get("FOCAL_GBM_DATA")
    return Path(folder) if folder else None


def splits(folder: Path | None, n_splits: int) -> Iterator[Split]:
    """Yield every split of every set, and say which sets are missing."""
    for name in FILES:
        if not (frame := _read(folder, name)).empty:
            X, y = _SHAPES.get(name, _last_column)(frame)
            for seed in range(n_splits):
                yield _halves(name, X, y, seed)
    frame = _read(folder, "handbook_transactions")
    if not frame.empty:
        for week in HANDBOOK_WEEKS:
            yield handbook_week(frame, week)
    for n_positive in RARE:
        for seed in range(n_splits):
            yield rare_blobs(n_positive, seed)
            yield rare_transactions(n_positive, seed)


def _read(folder: Path | None, name: str) -> pd.DataFrame:
    path = None if folder is None else folder / f"{name}.parquet"
    if path is None or not path.exists():
        print(f"missing: {name}.parquet (--data or FOCAL_GBM_DATA says where)")
        return pd.DataFrame()
    return pd.read_parquet(path)


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


def _halves(name: str, X: pd.DataFrame, y: np.ndarray, seed: int) -> Split:
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.5, stratify=y, random_state=seed
    )
    if y_train.sum() > 1000:  # rare classes keep every row
        X_train, y_train = X_train[:_MOST_ROWS], y_train[:_MOST_ROWS]
    return Split(name, X_train, y_train, X_test, y_test)


def handbook_week(frame: pd.DataFrame, first_day: str) -> Split:
    """Train on 7 days, leave out 7 (labels arrive late), test on 7; cards known to
    be compromised are removed from the test days, as the Handbook does."""
    day = (frame["TX_DATETIME"] - pd.Timestamp(first_day)).dt.days
    train, test = frame[day.between(0, 6)], frame[day.between(14, 20)]
    known = train.loc[train["TX_FRAUD"] == 1, "CUSTOMER_ID"].unique()
    test = test[~test["CUSTOMER_ID"].isin(known)]
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
    return Split(
        "handbook",
        train[features],
        train["TX_FRAUD"].to_numpy(int),
        test[features],
        test["TX_FRAUD"].to_numpy(int),
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
    split = _halves(name, X, y, seed)
    positives = np.flatnonzero(split.y_train == 1)
    keep = np.ones(len(split.y_train), bool)
    keep[positives[n_positive:]] = False
    split.test_weight = np.where(split.y_test == 1, n_positive / len(positives), 1.0)
    split.X_train, split.y_train = split.X_train[keep], split.y_train[keep]
    return split
