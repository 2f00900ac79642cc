"""Compare FocalClassifierCV with one model, on data that had no part in its design.

    python -m benchmarks.parameters.cross_fit [--repeats 1] [--data DIR] [--small]
        [--rivals] [--write]

trains four models on one thread: FocalLGBMClassifier with default settings and with
``rare_event_params()``, and FocalClassifierCV with the mean of the folds and with one
model refitted to all rows. The sizes and the race of FocalClassifierCV were chosen on
other data sets, so these are a fair comparison: simulated card transactions, weeks of
the Fraud Detection Handbook, donors, and simulated rare classes. --rivals trains models
of ``python -m benchmarks.detection`` beside them. --write puts the table
into benchmarks/parameters/cross_fit.md and the measures into results/cross_fit.csv.
One repeat took four minutes on one core of an Intel Xeon, with rivals twenty.
"""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, log_loss

import focal_gbm
from benchmarks.common.commands import command
from benchmarks.common.data import (
    HANDBOOK,
    HANDBOOK_WEEKS,
    RARE,
    Split,
    data_folder,
    files,
    handbook_week,
    is_present,
    rare_blobs,
    rare_transactions,
    transactions,
)
from benchmarks.common.measures import warm_up
from benchmarks.common.runner import machine
from benchmarks.common.tables import markdown, write_csv
from benchmarks.detection.models import BY_NAME, CROSS_FIT
from focal_gbm import FocalClassifierCV, FocalLGBMClassifier
from focal_gbm.metrics import calibration_in_the_large, recall_at_fpr

# Trained by `python -m benchmarks.detection` too; AutoGluon comes last, as it gets the
# time of FocalClassifierCV.
RIVALS = (
    "FocalClassifierCV, XGBoost",
    "CatBoost",
    "FLAML zero-shot, LightGBM",
    "tuned defaults, LightGBM",
    "tuned defaults, FocalLGBM gamma 0",
    "tuned defaults, FocalXGB gamma 0",
    "AutoGluon",
)
QUIET: dict[str, Any] = {"verbose": -1, "n_jobs": 1, "random_state": 0}
MODELS: dict[str, Callable[[], Any]] = {
    "FocalLGBMClassifier": lambda: FocalLGBMClassifier(**QUIET),
    "rare_event_params()": lambda: FocalLGBMClassifier(
        **FocalLGBMClassifier.rare_event_params(), **QUIET
    ),
    "FocalClassifierCV, mean of the folds": lambda: FocalClassifierCV(
        FocalLGBMClassifier(**QUIET)
    ),
    "FocalClassifierCV, refitted": lambda: FocalClassifierCV(
        FocalLGBMClassifier(**QUIET), ensemble=False
    ),
}


def splits(folder: Path | None, repeats: int) -> Iterator[Split]:
    """Yield splits of data sets that chose nothing."""
    real = files(folder)
    for repeat in range(repeats):
        yield transactions(100 + repeat)
        if is_present(folder, HANDBOOK):
            yield handbook_week(folder, HANDBOOK_WEEKS[repeat])
        if "donors" in real:
            yield real["donors"](repeat)
        for n_positive in RARE:
            yield rare_transactions(n_positive, 100 + repeat)
            yield rare_blobs(n_positive, 100 + repeat)


def few_rows() -> Split:
    """Return a simulated split with few negatives to train on."""
    split = rare_blobs(30, 100)
    kept = (split.y_train == 1) | (np.arange(len(split.y_train)) < 1000)
    return replace(split, X_train=split.X_train[kept], y_train=split.y_train[kept])


def every_measure(split: Split, *, rivals: bool) -> Iterator[dict[str, Any]]:
    """Yield the measures of each model on a split."""
    took = {}
    for name, make in MODELS.items():
        record = measured(split, name, make())
        took[name] = record["fit time"]
        yield record
    for name in RIVALS if rivals else ():
        rival = BY_NAME[name]
        limit = {}
        if rival.as_long_as == CROSS_FIT:
            limit = {"time_limit": took["FocalClassifierCV, mean of the folds"]}
        yield measured(split, name, rival.build(split.y_train, 0, **limit))


def measured(split: Split, name: str, model: Any) -> dict[str, Any]:
    """Return the measures and times of one model on one split."""
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(split.X_train, split.y_train)
    fit_time = time.perf_counter() - begun
    begun = time.perf_counter()
    p = model.predict_proba(split.X_test)[:, 1]
    predict_time = time.perf_counter() - begun
    y, weight = split.y_test, split.test_weight  # weights restore a thinned rate
    chosen = getattr(model, "best_params_", {}).get("num_leaves")
    return {
        "data set": split.name,
        "model": name,
        "positives": int(split.y_train.sum()),
        "leaves": chosen,
        "trees": getattr(model, "n_trees_", None),
        "average precision": average_precision_score(y, p),
        "recall": recall_at_fpr(y, p, fpr=1e-3),
        "log-loss": log_loss(y, p, sample_weight=weight),
        "predicted / observed": calibration_in_the_large(y, p, sample_weight=weight),
        "fit time": fit_time,
        "predict time": predict_time,
    }


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return the models over data sets, relative to the best of each data set."""
    means = table.groupby(["data set", "model"], sort=False).mean(numeric_only=True)
    best = means.groupby(level=0)
    first = means.xs("FocalLGBMClassifier", level="model")
    share = means["average precision"] / best["average precision"].transform("max")
    recall = means["recall"] / best["recall"].transform("max")
    excess = means["log-loss"] / best["log-loss"].transform("min")
    fit = means["fit time"] / first["fit time"].reindex(means.index, level=0)
    predict = means["predict time"] / first["predict time"].reindex(
        means.index, level=0
    )
    ratio = means["predicted / observed"]

    def by_model(values: pd.Series) -> Any:
        return values.groupby(level="model", sort=False)

    return pd.DataFrame(
        {
            "average precision": by_model(share).mean(),
            "on the worst set": by_model(share).min(),
            "recall": by_model(recall).mean(),
            "log-loss": by_model(excess).median(),
            "predicted / observed, least": by_model(ratio).min(),
            "most": by_model(ratio).max(),
            "fit time": by_model(fit).median(),
            "predict time": by_model(predict).median(),
        }
    )


def main() -> None:
    """Train, print the table and write it with --write."""
    parser = command("parameters.cross_fit", __doc__, data=True)
    parser.add_argument("--repeats", type=int, default=1, help="at most 3 [1]")
    parser.add_argument(
        "--small", action="store_true", help="few rows of one simulated set"
    )
    parser.add_argument(
        "--rivals", action="store_true", help="other libraries too: '[peers]'"
    )
    parser.add_argument("--write", action="store_true", help="write page and CSV")
    arguments = parser.parse_args()
    warm_up()
    rows = []
    folder = data_folder(arguments.data)
    found = splits(folder, arguments.repeats)
    for split in [few_rows()] if arguments.small else found:
        for record in every_measure(split, rivals=arguments.rivals):
            rows.append(record)
            print({k: v for k, v in record.items() if v is not None}, flush=True)
    table = pd.DataFrame(rows)
    text = (
        f"{table['data set'].nunique()} data sets, repeats: {arguments.repeats}; "
        f"focal_gbm {focal_gbm.__version__}, LightGBM {lightgbm.__version__}, Python "
        f"{platform.python_version()}, one thread of {machine(())['machine']}.\n\n"
        f"{markdown(summary(table).reset_index(), digits=2, index=False)}\n"
    )
    print(text)
    if arguments.write:
        folder = Path(__file__).parent
        write_csv(table, folder / "results" / "cross_fit.csv")
        Path(__file__).with_suffix(".md").write_text(_PREFACE + text)


_PREFACE = """\
# What does FocalClassifierCV gain over one model?

`python -m benchmarks.parameters.cross_fit --rivals --write` writes this page. The data
sets had no part in the design of FocalClassifierCV: simulated card transactions, weeks
of the Fraud Detection Handbook, donors, and simulated rare classes with 15, 30 and 100
positives. The sizes and the race were chosen on other data sets. Average precision and
recall (at 0.1 % false positives) are shares of the best model of a data set; log-loss
is a multiple of the lowest, the median over data sets (on donors, where nearly all rows
are separable, it is 1e-11 to 1e-2, and ratios say little). Times are multiples of those
of FocalLGBMClassifier with default settings, the median over data sets. The tuned
defaults are those of Holzmüller et al. 2024
([arXiv 2407.04491](https://arxiv.org/abs/2407.04491)), also with our start and bound on
the step; AutoGluon has LightGBM, XGBoost, CatBoost, five folds and the time of
FocalClassifierCV.
[results/cross_fit.csv](results/cross_fit.csv) has all measures.

"""

if __name__ == "__main__":
    main()
