"""Compare models that detect card fraud, in a table and a picture.

    python examples/detect_fraud.py                     simulated transactions
    python examples/detect_fraud.py FILE --time T --label Y [--drop ID ...]

FILE is a parquet or CSV file with one transaction a row. The example splits the rows
by time: training rows, a gap whose labels are not known yet, test rows. It fits
LightGBM, XGBoost and the two focal classifiers with default settings, and LightGBM once
more with the two settings that protect LightGBM on rare classes. The picture shows
recall and precision against alerts a day, and predicted against observed fraud rates.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from read_table import (
    check_columns,
    listed,
    read_features,
    read_file,
    read_labels,
    read_times,
    stop,
)
from sklearn.metrics import average_precision_score, log_loss
from xgboost import XGBClassifier

from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
from focal_gbm.metrics import (
    alert_threshold,
    bootstrap_interval,
    precision_at_alert_rate,
    recall_at_alert_rate,
    recall_at_fpr,
)
from focal_gbm.plotting import AlertCurveDisplay, ReliabilityDisplay

N_RESAMPLES = 200
FEWEST_DAYS = 5  # for an interval over days
TOO_GOOD = 0.9  # average precision of a single column


def read(arguments: argparse.Namespace) -> tuple[pd.DataFrame, np.ndarray, pd.Series]:
    """Return features, labels and times of the labelled rows, in the order of time."""
    if arguments.file is None:
        print("Simulating card transactions ...", flush=True)
        data = make_transactions(n_customers=4000, n_terminals=8000, n_days=90)
        warm = data["time"] >= data["time"].iloc[0] + pd.Timedelta(days=30)
        data = data[warm]  # the 30-day windows of the features are full from day 30
        y = data["is_fraud"].to_numpy()
        return data[list(TRANSACTION_FEATURES)], y, data["time"]
    data = read_file(Path(arguments.file))
    check_columns(data, arguments.time, arguments.label, arguments.drop)
    times = read_times(data[arguments.time], arguments.dayfirst)
    order = np.argsort(times.to_numpy(), kind="stable")[: times.notna().sum()]
    if len(order) < len(data):
        print(f"{len(data) - len(order):,} rows without a time are left out.")
    data, times = data.iloc[order], times.iloc[order]
    y = read_labels(data[arguments.label], arguments.positive)
    is_known = ~np.isnan(y)
    if not is_known.any():
        stop(
            f"--label {arguments.label}: {arguments.label!r} holds no label in any "
            "row; name another column."
        )
    n_late = len(y) - 1 - int(np.flatnonzero(is_known)[-1])
    if not is_known.all():
        print(
            f"{(~is_known).sum():,} rows without a label are left out; {n_late:,} of "
            "them are newer than every labelled row, so labels may still arrive."
        )
    X = data.drop(columns=[arguments.time, arguments.label, *arguments.drop])
    return read_features(X[is_known]), y[is_known].astype(np.int8), times[is_known]


def split(
    times: pd.Series, y: np.ndarray, label_delay: float, test_days: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the masks of the training rows and of the test rows."""
    test_start = times.iloc[-1] - pd.Timedelta(days=test_days)
    train_end = test_start - pd.Timedelta(days=label_delay)
    is_train, is_test = (times < train_end).to_numpy(), (times >= test_start).to_numpy()
    if not is_train.any():
        span = (times.iloc[-1] - times.iloc[0]) / pd.Timedelta(days=1)
        stop(
            f"The labelled rows span {span:.3g} days; {test_days:g} test days and "
            f"{label_delay:g} days of label delay leave no training rows. Lower "
            "--test-days or --label-delay."
        )
    n_between = len(y) - is_train.sum() - is_test.sum()
    if n_between:
        print(
            f"{n_between:,} transactions of {label_delay:g} days before the test rows "
            "are left out: their labels would not be known."
        )
    for name, part in (("training", y[is_train]), ("test", y[is_test])):
        print(f"{name:8}{len(part):10,} transactions, {part.mean():.3%} fraud")
        if part.min() == part.max():
            stop(
                f"The {len(part):,} {name} rows are all labelled {int(part[0])}, but "
                "the models need both labels; use more days of data, or change "
                "--test-days."
            )
    return is_train, is_test


def suspects(
    X_train: pd.DataFrame, y_train: np.ndarray, X: pd.DataFrame, y: np.ndarray
) -> list[str]:
    """Return columns that find nearly all frauds alone, as what follows a fraud does.

    A column of numbers is tried with high, low and missing values as a sign of fraud; a
    category has its fraud rate in the training rows.
    """
    found = []
    for name, column in X.items():
        tries = [column.isna().to_numpy(float)]
        if isinstance(column.dtype, pd.CategoricalDtype):
            rates = pd.Series(y_train).groupby(X_train[name].to_numpy()).mean()
            tries.append(column.astype(object).map(rates).fillna(0.0).to_numpy(float))
        else:
            numbers = column.to_numpy(float)
            tries += [np.nan_to_num(sign * numbers, nan=-1e308) for sign in (1, -1)]
        best = max(average_precision_score(y, score) for score in tries)
        if best > TOO_GOOD:
            found.append(f"{name!r} ({best:.2f})")
    return found


def without_low_negatives(
    y: np.ndarray, p: np.ndarray, day: np.ndarray, share: float
) -> dict[str, np.ndarray]:
    """Return fewer rows with the same recall, to draw an interval faster.

    No budget reaches the negatives below the highest ``share`` of all scores, so one
    row a day replaces these negatives, with their number as its weight.
    """
    is_kept = (y == 1) | (p >= np.quantile(p, max(1 - share, 0)))
    days, n = np.unique(day[~is_kept], return_counts=True)
    return {
        "y_true": np.append(y[is_kept], np.zeros(len(days), y.dtype)),
        "y_score": np.append(p[is_kept], np.full(len(days), p.min())),
        "groups": np.append(day[is_kept], days),
        "sample_weight": np.append(np.ones(is_kept.sum()), n),
    }


def interval(measure: Any, rows: dict[str, np.ndarray], **parameters: float) -> Any:
    """Return the 95 % interval over days; None with too few days or frauds."""
    if len(np.unique(rows["groups"])) < FEWEST_DAYS:
        return None
    try:
        return bootstrap_interval(
            measure, **rows, n_resamples=N_RESAMPLES, random_state=0, **parameters
        )
    except ValueError:  # too few frauds for an interval
        return None


def compile_loops() -> None:
    """Compile the loops of the focal loss before the fits are timed.

    The first fit of an installation compiles these loops and would take longer.
    """
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 2)), rng.random(200) < 0.5
    FocalLGBMClassifier(n_estimators=1, verbose=-1).fit(X, y)
    FocalXGBClassifier(n_estimators=1).fit(X, y)


def number(text: str) -> float:
    """Convert an argument to a number from 0 to 100000."""
    value = float(text)
    if not 0 <= value <= 1e5:
        msg = f"must be a number from 0 to 100000, got {text}"
        raise argparse.ArgumentTypeError(msg)
    return value


def positive_number(text: str) -> float:
    """Convert an argument to a number above 0."""
    if number(text) == 0:
        msg = "must be above 0, got 0"
        raise argparse.ArgumentTypeError(msg)
    return number(text)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line and check the picture's name."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "file", nargs="?", help="parquet or CSV file; default: simulated data"
    )
    parser.add_argument("--time", default="time", help="name of the time column")
    parser.add_argument("--label", default="is_fraud", help="name of the label column")
    parser.add_argument(
        "--positive", metavar="LABEL", help="label of fraud, if labels are not 0 and 1"
    )
    parser.add_argument(
        "--dayfirst",
        action=argparse.BooleanOptionalAction,
        help="times such as 03/04/2024 begin with the day; needed if no row shows it",
    )
    parser.add_argument("--drop", nargs="*", default=[], help="columns to leave out")
    parser.add_argument(
        "--label-delay",
        type=number,
        default=7,
        help="days until a label is known (default: %(default)s)",
    )
    parser.add_argument(
        "--test-days",
        type=positive_number,
        default=14,
        help="last days, used as test rows (default: %(default)s)",
    )
    parser.add_argument(
        "--budget",
        type=positive_number,
        default=50,
        help="alerts a day (default: %(default)s)",
    )
    parser.add_argument(
        "--picture",
        default="detect_fraud.png",
        help="file to draw to: .png, .pdf or .svg (default: %(default)s)",
    )
    arguments = parser.parse_args()
    of_a_file = ("time", "label", "positive", "dayfirst", "drop")
    changed = [
        f"--{x}" for x in of_a_file if getattr(arguments, x) != parser.get_default(x)
    ]
    if arguments.file is None and changed:
        parser.error(
            f"{listed(changed)} without a FILE; put FILE first, because --drop takes "
            "every name that follows"
        )
    picture = Path(arguments.picture)
    kinds = plt.figure().canvas.get_supported_filetypes()
    plt.close()
    if picture.suffix[1:].lower() not in kinds:
        parser.error(f"--picture {picture}: the name must end in .png, .pdf or .svg")
    if not picture.absolute().parent.is_dir():
        parser.error(f"--picture {picture}: the folder does not exist; create it first")
    return arguments


def main() -> None:
    """Fit the models, print the table and draw the picture."""
    arguments = parse_arguments()
    X, y, times = read(arguments)
    test_days, budget = arguments.test_days, arguments.budget
    is_train, is_test = split(times, y, arguments.label_delay, test_days)
    X_train, y_train, X_test, y_test = X[is_train], y[is_train], X[is_test], y[is_test]
    times = times[is_test]
    day = ((times - times.iloc[-1]) // pd.Timedelta(days=1)).to_numpy()

    models = {
        "LightGBM": LGBMClassifier(verbose=-1),
        "LightGBM, protected": LGBMClassifier(
            boost_from_average=False, min_child_weight=1.0, verbose=-1
        ),
        "FocalLGBMClassifier": FocalLGBMClassifier(verbose=-1),
        "XGBoost": XGBClassifier(enable_categorical=True),
        "FocalXGBClassifier": FocalXGBClassifier(enable_categorical=True),
    }
    if known := suspects(X_train, y_train, X_test, y_test):
        print(
            f"\nNearly all frauds of the test rows are found by {listed(known)} alone "
            "(average precision). Is it known at the time of the payment? If not, "
            "--drop it: a score would not have it."
        )
    compile_loops()
    alert_rate = min(budget * test_days / len(y_test), 1.0)
    table: dict[str, dict[str, Any]] = {}
    scores, rows = {}, {}
    for name, model in models.items():
        began = time.perf_counter()
        model.fit(X_train, y_train)
        seconds = time.perf_counter() - began
        p = scores[name] = model.predict_proba(X_test)[:, 1]
        rows[name] = without_low_negatives(y_test, p, day, 0.03 + 3 * alert_rate)
        between = interval(recall_at_alert_rate, rows[name], rate=alert_rate)
        table[name] = {
            "recall at budget": recall_at_alert_rate(y_test, p, rate=alert_rate),
            "95 % interval": "[{:.2f}, {:.2f}]".format(*between) if between else "-",
            "precision": precision_at_alert_rate(y_test, p, rate=alert_rate),
            "recall at 0.1 % FPR": recall_at_fpr(y_test, p, fpr=1e-3),
            "average precision": average_precision_score(y_test, p),
            "log-loss": log_loss(y_test, p),
            "predicted / observed": p.mean() / y_test.mean(),
            "fit, s": seconds,
        }
    source = arguments.file or "simulated transactions"
    print(
        f"\n{source}: the last {test_days:g} days, with {budget:g} alerts a day in the "
        "mean.\nProtected: boost_from_average=False, min_child_weight=1."
    )
    frame = pd.DataFrame.from_dict(table, orient="index")
    print(frame.round(4).to_string())

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    drawn = ("LightGBM", "FocalLGBMClassifier", "FocalXGBClassifier")
    for name in drawn:
        AlertCurveDisplay.from_predictions(
            y_test, scores[name], n_days=test_days, budget=budget, name=name, ax=axes[0]
        )
        ReliabilityDisplay.from_predictions(y_test, scores[name], name=name, ax=axes[1])
    figure.suptitle(f"{len(y_test):,} transactions, {y_test.mean():.2%} fraud")
    figure.savefig(arguments.picture, dpi=120)
    print(f"\nPicture: {arguments.picture}")

    ours = "FocalLGBMClassifier"
    recall, between = frame.loc[ours, ["recall at budget", "95 % interval"]]
    precision, ratio = frame.loc[ours, ["precision", "predicted / observed"]]
    found = f"{ours} finds {recall:.0%} of the frauds"
    if between != "-":
        found += f", with a 95 % interval over days of {between}"
    if np.isnan(precision):
        print(f"\n{found}. The budget allows no alert.")
    else:
        threshold = alert_threshold(scores[ours], budget=budget, n_days=test_days)
        print(
            f"\n{found}, in {budget:g} alerts a day: those from a probability of "
            f"{threshold:.4f} on, of which {precision:.0%} are fraud."
        )
    print(f"For 100 observed frauds, the model predicts {100 * ratio:.0f}.")
    print(
        "\nNext: doc/ten_minutes.md has these steps in Python, with a calibration on a "
        "later week,\nthe list of alerts and a saved model."
    )


if __name__ == "__main__":
    main()
