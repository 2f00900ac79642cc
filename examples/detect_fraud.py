"""Detect card fraud: from transactions to a table, a picture and probabilities.

    python examples/detect_fraud.py                     simulated transactions
    python examples/detect_fraud.py FILE --time T --label Y [--drop ID ...]

A file is parquet or CSV with one row a transaction. Rows are split by time: train,
a gap in which labels are not known yet, test. LightGBM, XGBoost and the focal
classifiers on top of them are fitted at their defaults, and LightGBM once more with
the two settings that protect it on rare classes. The picture shows recall and
precision against alerts a day, and predicted against observed fraud rates.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from sklearn.metrics import average_precision_score, log_loss
from xgboost import XGBClassifier

from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
from focal_gbm.metrics import (
    precision_at_alert_rate,
    recall_at_fpr,
)
from focal_gbm.plotting import AlertCurveDisplay, ReliabilityDisplay


def read(arguments: argparse.Namespace) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """Return features, labels and times, in the order of time."""
    if arguments.file is None:
        print("Simulating card transactions ...", flush=True)
        data = make_transactions(n_customers=4000, n_terminals=8000, n_days=90)
        warm = data["time"] >= data["time"].iloc[0] + pd.Timedelta(days=30)
        data = data[warm]  # the 30-day windows are full from there on
        return data[list(TRANSACTION_FEATURES)], data["is_fraud"], data["time"]
    path = Path(arguments.file)
    data = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    data[arguments.time] = pd.to_datetime(data[arguments.time])
    data = data.sort_values(arguments.time, kind="stable")
    X = data.drop(columns=[arguments.time, arguments.label, *arguments.drop])
    words = X.select_dtypes(exclude=["number", "bool", "category"]).columns
    return (
        X.astype(dict.fromkeys(words, "category")),
        data[arguments.label],
        data[arguments.time],
    )


def split(
    times: pd.Series, label_delay: float, test_days: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return masks of the rows to train on and of the rows to test on."""
    test_start = times.iloc[-1] - pd.Timedelta(days=test_days)
    train_end = test_start - pd.Timedelta(days=label_delay)
    is_train, is_test = (times < train_end).to_numpy(), (times >= test_start).to_numpy()
    if not is_train.any():
        msg = f"no row is {label_delay + test_days:g} days older than the last one"
        raise SystemExit(msg)
    return is_train, is_test


def measure(y: np.ndarray, p: np.ndarray, alert_rate: float) -> dict[str, float]:
    """Return what a fraud team asks of a model."""
    return {
        "recall at 0.1 % FPR": recall_at_fpr(y, p, fpr=1e-3),
        "precision at budget": precision_at_alert_rate(y, p, rate=alert_rate),
        "average precision": average_precision_score(y, p),
        "log-loss": log_loss(y, p),
        "predicted / observed": p.mean() / y.mean(),
    }


def main() -> None:
    """Run the example."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="?", help="parquet or CSV; default: simulate")
    parser.add_argument("--time", default="time", help="column of the time")
    parser.add_argument("--label", default="is_fraud", help="column of the label, 0/1")
    parser.add_argument("--drop", nargs="*", default=[], help="columns to leave out")
    parser.add_argument("--label-delay", type=float, default=7, help="days")
    parser.add_argument("--test-days", type=float, default=14)
    parser.add_argument("--budget", type=float, default=50, help="alerts a day")
    parser.add_argument("--picture", default="detect_fraud.png")
    arguments = parser.parse_args()

    X, labels, times = read(arguments)
    y = labels.to_numpy()
    is_train, is_test = split(times, arguments.label_delay, arguments.test_days)
    X_train, y_train, X_test, y_test = X[is_train], y[is_train], X[is_test], y[is_test]
    for name, part in (("train", y_train), ("test", y_test)):
        print(f"{name:6}{len(part):9,} transactions, {part.mean():.3%} fraud")

    models = {
        "LightGBM": LGBMClassifier(verbose=-1),
        "LightGBM, protected": LGBMClassifier(
            boost_from_average=False, min_child_weight=1.0, verbose=-1
        ),
        "FocalLGBMClassifier": FocalLGBMClassifier(verbose=-1),
        "XGBoost": XGBClassifier(enable_categorical=True),
        "FocalXGBClassifier": FocalXGBClassifier(enable_categorical=True),
    }
    alert_rate = arguments.budget * arguments.test_days / len(y_test)
    rows, scores = {}, {}
    for name, model in models.items():
        began = time.perf_counter()
        model.fit(X_train, y_train)
        seconds = time.perf_counter() - began
        scores[name] = model.predict_proba(X_test)[:, 1]
        rows[name] = measure(y_test, scores[name], alert_rate) | {"fit, s": seconds}
    print(f"\nThe last {arguments.test_days:g} days, {arguments.budget:g} alerts a day")
    print(pd.DataFrame(rows).T.round(4).to_string())
    print("(the first focal fit of an installation also compiles its loops, about 2 s)")

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    drawn = ("LightGBM", "FocalLGBMClassifier", "FocalXGBClassifier")
    for name in drawn:
        AlertCurveDisplay.from_predictions(
            y_test,
            scores[name],
            n_days=arguments.test_days,
            budget=arguments.budget,
            name=name,
            ax=axes[0],
        )
        ReliabilityDisplay.from_predictions(y_test, scores[name], name=name, ax=axes[1])
    figure.suptitle(f"{len(y_test):,} transactions, {y_test.mean():.2%} fraud")
    figure.savefig(arguments.picture, dpi=120)
    print(f"\nPicture: {arguments.picture}")


if __name__ == "__main__":
    main()
