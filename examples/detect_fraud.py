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
import difflib
import re
import time
from collections.abc import Iterable
from numbers import Number
from pathlib import Path
from typing import Any, NoReturn

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
    bootstrap_interval,
    precision_at_alert_rate,
    recall_at_alert_rate,
    recall_at_fpr,
)
from focal_gbm.plotting import AlertCurveDisplay, ReliabilityDisplay

MOST_CATEGORIES = 300
LABELS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}
N_RESAMPLES = 200
FEWEST_DAYS = 5  # for an interval over days


def stop(message: str) -> NoReturn:
    """End the program with a message instead of a traceback."""
    raise SystemExit(message)


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
    check_columns(data, arguments)
    times = read_times(data[arguments.time])
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


def read_file(path: Path) -> pd.DataFrame:
    """Return the rows of a CSV or parquet file."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        stop(f"{path} {what}; pass a parquet or CSV file.")
    is_csv = ".csv" in path.suffixes  # .csv.gz too
    if not is_csv and path.suffix not in (".parquet", ".pq"):
        stop(
            f"{path} ends in {path.suffix or 'nothing'!r}; this example reads only "
            ".csv and .parquet. Convert the file, for example with pandas."
        )
    try:
        if is_csv:
            # read_csv renames a second column of the same name without a warning
            names = pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0].tolist()
            data = pd.read_csv(path, low_memory=False)
        else:
            data = pd.read_parquet(path)
            names = list(data.columns)
    except (ValueError, OSError, ImportError) as error:  # includes pandas' and Arrow's
        kind = "CSV" if is_csv else "parquet"
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        stop(f"{path} cannot be read as {kind}: {first_line}")
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        stop(
            f"{path} has more than one column named {listed(twice)}; rename one of "
            "them."
        )
    if data.empty:
        stop(f"{path} holds no rows.")
    return data.set_axis([str(name) for name in data.columns], axis=1)


def check_columns(data: pd.DataFrame, arguments: argparse.Namespace) -> None:
    """Stop if an option names a column that the file does not have."""
    wanted = [("--time", arguments.time), ("--label", arguments.label)]
    for option, name in [*wanted, *(("--drop", name) for name in arguments.drop)]:
        if name not in data:
            near = difflib.get_close_matches(name, data.columns, n=3, cutoff=0.4)
            hint = f"is it {' or '.join(map(repr, near))}? " if near else ""
            if len(data.columns) == 1:
                hint = "are values separated by commas? "
            stop(
                f"{option} {name}: the file has no such column; {hint}The columns are: "
                f"{listed(data.columns, 30)}."
            )
    if arguments.time == arguments.label:
        stop(f"--time and --label both name {arguments.time!r}; name two columns.")


def read_times(column: pd.Series) -> pd.Series:
    """Convert dates, text or numbers to times.

    Numbers are days such as 20240131, or seconds, or a smaller unit if seconds would
    reach beyond the year 5000.
    """
    name, how = column.name, {}
    if column.isna().all():
        stop(f"--time {name}: {name!r} is blank in every row; name another column.")
    if pd.api.types.is_numeric_dtype(column):
        if column.dropna().between(19000101, 21001231).all():
            column, how = column.astype("Int64").astype("string"), {"format": "%Y%m%d"}
            meaning = "days such as 20240131"
        else:
            column = column.astype("float64")
            size = np.digitize(column.abs().max(), [1e11, 1e14, 1e17])
            meaning = ("s", "ms", "us", "ns")[int(size)]
            how = {"unit": meaning}
        print(f"Numbers in {name!r} are read as {meaning}.")
    try:
        return pd.to_datetime(column, utc=True, **how).dt.tz_convert(None)
    except (ValueError, TypeError, OverflowError):
        stop(
            f"--time {name}: the column cannot be read as times; the first value is "
            f"{column.dropna().iloc[0]!r}. Write times as 2024-01-31 23:59:59, or name "
            "another column."
        )


def word(label: Any) -> str | None:
    """Return a label as text, or None for a blank; 1, 1.0 and True give the same."""
    if pd.isna(label) or not str(label).strip():
        return None
    if isinstance(label, (bool, np.bool_)) or (
        isinstance(label, (float, np.floating)) and label.is_integer()
    ):
        return str(int(label))
    return str(label).strip()


def read_labels(column: pd.Series, positive: str | None) -> np.ndarray:
    """Return 1 for fraud, 0 for other labels and NaN for rows without a label."""
    codes, values = pd.factorize(column)
    words = [word(value) for value in values]
    counts: dict[str, int] = {}
    for text, n in zip(words, np.bincount(codes[codes >= 0]), strict=True):
        if text is not None:
            counts[text] = counts.get(text, 0) + int(n)
    found = [f"{text!r} ({n:,})" for text, n in counts.items()]
    if positive is None:
        coded = {text: LABELS.get(text.casefold(), np.nan) for text in counts}
        if np.isnan(list(coded.values())).any():
            rarest = min(counts, key=lambda text: counts[text])
            stop(
                f"--label {column.name}: the column holds {listed(found)}, not 0 and "
                f"1; name the label of fraud, for example --positive {rarest!r}."
            )
    else:
        coded = {text: float(text == positive) for text in counts}
        if positive not in counts:
            stop(
                f"--positive {positive}: {column.name!r} holds no such label; pass one "
                f"of {listed(found)}."
            )
        others = [text for text in counts if text != positive]
        print(f"{positive!r} is fraud; the other labels are not: {listed(others)}.")
    by_code = [np.nan if text is None else coded[text] for text in words]
    return np.array([*by_code, np.nan])[codes]  # the code of a missing value is -1


def read_features(X: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that the models can use; print the others with the reason."""
    used, left_out = {}, []
    for name, column in X.items():
        feature = read_feature(column)
        if isinstance(feature, str):
            left_out.append(f"{name!r} ({feature})")
        else:
            used[name] = feature
    if left_out:
        print(f"Columns left out: {', '.join(left_out)}.")
    if not used:
        stop("No column is left to learn from; add columns of numbers or categories.")
    # LightGBM or XGBoost refuses each of these characters in column names
    names = [re.sub(r'[\[\]{}<>",:]', "_", str(name)) for name in used]
    if len(set(names)) < len(names):
        names = [f"{name}_{i}" for i, name in enumerate(names)]
    return pd.DataFrame(dict(zip(names, used.values(), strict=True)), index=X.index)


def read_feature(column: pd.Series) -> pd.Series | str:
    """Return a column as numbers or categories, or the reason to leave it out."""
    values = column.dropna()
    if values.empty:
        return "blanks only"
    kinds = pd.api.types
    if kinds.is_datetime64_any_dtype(column):
        return "dates; convert dates to numbers, such as an age"
    if kinds.is_timedelta64_dtype(column):
        return column.dt.total_seconds()
    if kinds.is_object_dtype(column) and all(
        issubclass(kind, (Number, np.bool_)) for kind in set(map(type, values))
    ):  # for example booleans with blanks, or decimals
        column = values.astype("float64").reindex(column.index)
    if kinds.is_numeric_dtype(column):
        numbers = column if column.dtype == np.float32 else column.astype("float64")
        return numbers.replace([np.inf, -np.inf], np.nan)  # XGBoost refuses them
    if not isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype("string").astype("object").astype("category")
    column = column.cat.remove_unused_categories()
    n = len(column.cat.categories)
    if n > MOST_CATEGORIES or n > 0.5 * len(values) > 10:
        return f"text of {n:,} different values, like names or identifiers"
    return column


def listed(names: Iterable[Any], most: int = 10) -> str:
    """Join the first names with commas and count the others."""
    names = [str(name) for name in names]
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


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
    for name, part in (("training", y[is_train]), ("test", y[is_test])):
        print(f"{name:8}{len(part):10,} transactions, {part.mean():.3%} fraud")
        if part.min() == part.max():
            stop(
                f"The {len(part):,} {name} rows are all labelled {int(part[0])}, but "
                "the models need both labels; use more days of data, or change "
                "--test-days."
            )
    return is_train, is_test


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
        between = interval(recall_at_fpr, rows[name], fpr=1e-3)
        table[name] = {
            "recall at 0.1 % FPR": recall_at_fpr(y_test, p, fpr=1e-3),
            "95 % interval": "[{:.2f}, {:.2f}]".format(*between) if between else "-",
            "precision at budget": precision_at_alert_rate(y_test, p, rate=alert_rate),
            "average precision": average_precision_score(y_test, p),
            "log-loss": log_loss(y_test, p),
            "predicted / observed": p.mean() / y_test.mean(),
            "fit, s": seconds,
        }
    print(f"\nTest rows: the last {test_days:g} days, with {budget:g} alerts a day")
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
    recall = recall_at_alert_rate(y_test, scores[ours], rate=alert_rate)
    between = interval(recall_at_alert_rate, rows[ours], rate=alert_rate)
    ends = f" [{100 * between[0]:.0f}, {100 * between[1]:.0f}]" if between else ""
    precision, ratio = frame.loc[ours, ["precision at budget", "predicted / observed"]]
    pure = (
        "The budget allows no alert."
        if np.isnan(precision)
        else f"Of the alerts, {100 * precision:.0f} % are fraud."
    )
    print(
        f"\n{ours} finds {100 * recall:.0f} %{ends} of the frauds in {budget:g} alerts "
        f"a day. {pure} For 100 observed frauds, the model predicts {100 * ratio:.0f}."
        f'\nNext: use {ours}(calibration="auto") to correct the probabilities; '
        "examples/gallery/search_to_service.py shows how to choose a threshold and how "
        "to save a model for a service."
    )


if __name__ == "__main__":
    main()
