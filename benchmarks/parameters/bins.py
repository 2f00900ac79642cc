"""Compare 256 bins with 1024 at default settings, and rules for the refit.

    python -m benchmarks.parameters.bins [--data DIR] [--repeats 2] [--write]

answers two questions on all data sets, development sets and others apart:

- should the classifiers take more bins than their libraries by default? Both train with
  255 or 256 bins and with four times as many.
- how should the number of trees of FocalClassifierCV(ensemble=False) grow from the rows
  of a fold to all rows? One set of folds gives the number; models with this number, and
  with it times the square root and times the ratio of the rows, are fitted to all rows.

--write writes benchmarks/parameters/bins.md. Two repeats took ten minutes on one core
of an Intel Xeon.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.metrics import average_precision_score, log_loss

from benchmarks.common.commands import command
from benchmarks.common.data import (
    CROSS_FIT_DEVELOPMENT,
    MOST_ROWS,
    RARE,
    Split,
    capped,
    data_folder,
    files,
    rare_blobs,
    rare_transactions,
    transactions,
)
from benchmarks.common.measures import warm_up
from benchmarks.common.runner import machine
from benchmarks.common.tables import markdown
from focal_gbm import FocalClassifierCV, FocalLGBMClassifier, FocalXGBClassifier

LIBRARIES: dict[str, Any] = {
    "LightGBM": lambda **more: FocalLGBMClassifier(n_jobs=1, verbose=-1, **more),
    "XGBoost": lambda **more: FocalXGBClassifier(
        n_jobs=1, enable_categorical=True, **more
    ),
}
BINS = {"as the library": {}, "four times": {"max_bin": 1023}}
RULES = {"as in a fold": 0.0, "square root": 0.5, "in proportion": 1.0}


def splits(folder: Path | None, repeats: int) -> Iterator[Split]:
    """Yield the splits of all data sets."""
    for repeat in range(repeats):
        for load in files(folder).values():
            yield capped(load, repeat, MOST_ROWS)
        yield transactions(300 + repeat)
        for n_positive in RARE:
            yield rare_transactions(n_positive, 300 + repeat)
            yield rare_blobs(n_positive, 300 + repeat)


def measured(split: Split, model: Any) -> dict[str, float]:
    """Fit a model and return its measures and its time."""
    began = time.process_time()
    model.fit(split.X_train, split.y_train)
    took = time.process_time() - began
    p = model.predict_proba(split.X_test)[:, 1]
    loss = log_loss(split.y_test, p, sample_weight=split.test_weight)
    precision = average_precision_score(split.y_test, p)
    return {"average precision": precision, "log-loss": loss, "time": took}


def rows_of(split: Split) -> Iterator[dict[str, Any]]:
    """Yield the measures of each choice, by question and library."""
    for library, make in LIBRARIES.items():
        for name, bins in BINS.items():
            found = measured(split, make(**bins))
            yield {"question": "bins", "library": library, "choice": name, **found}
    folds = FocalClassifierCV(LIBRARIES["LightGBM"](), ensemble=False, calibration=None)
    folds.fit(split.X_train, split.y_train)
    for name, exponent in RULES.items():
        n_trees = max(round(folds.n_trees_ * 1.25**exponent), 1)  # of five folds
        model = LIBRARIES["LightGBM"](**folds.best_params_, n_estimators=n_trees)
        found = measured(split, model)
        yield {"question": "refit", "library": "LightGBM", "choice": name, **found}


def table_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return each choice over the first one, over data sets."""
    keys = ["question", "library", "set"]
    means = rows.groupby([*keys, "choice"], sort=False).mean(numeric_only=True)
    first = means.groupby(level=keys, sort=False).transform("first")
    ratio = (means / first).drop(columns="repeat", errors="ignore")
    groups = ratio.groupby(level=["question", "library", "choice"], sort=False)
    return pd.DataFrame(
        {
            "average precision": groups["average precision"].mean(),
            "worst": groups["average precision"].min(),
            "best": groups["average precision"].max(),
            "log-loss": groups["log-loss"].median(),
            "time": groups["time"].median(),
        }
    ).reset_index()


def main() -> None:
    """Train, print the tables and write them with --write."""
    parser = command("parameters.bins", __doc__, data=True)
    parser.add_argument("--repeats", type=int, default=2, help="[2]")
    parser.add_argument("--write", action="store_true", help="write the page")
    arguments = parser.parse_args()
    warm_up()
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for split in splits(data_folder(arguments.data), arguments.repeats):
            rows += [{"set": split.name, **row} for row in rows_of(split)]
            print(split.name, flush=True)
    table = pd.DataFrame(rows)
    is_seen = table["set"].isin(CROSS_FIT_DEVELOPMENT)
    parts = [_HEAD.format(machine=machine(())["machine"], repeats=arguments.repeats)]
    for name, part in (("Development sets", is_seen), ("Other sets", ~is_seen)):
        if part.any():
            parts += [f"\n## {name}\n", markdown(table_of(table[part]), index=False)]
    text = "\n".join(parts) + "\n"
    print(text)
    if arguments.write:
        Path(__file__).with_suffix(".md").write_text(text)


_HEAD = """\
# How many bins by default, and how many trees for a refit?

`python -m benchmarks.parameters.bins --write` writes this page; {repeats} repeats, one
thread of {machine}. Values are ratios to the first choice: average precision and its
extremes over data sets, median log-loss and time. Refit: the number of trees of
FocalClassifierCV as in a fold, times the square root of the ratio of the rows (5/4), or
times the ratio.
"""

if __name__ == "__main__":
    main()
