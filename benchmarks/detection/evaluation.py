"""Fraud and rare classes: who finds more, at its defaults and tuned.

    pip install '.[benchmark,peers]'
    python benchmarks/detection.py [--data DIR] [--jobs N]
    python benchmarks/report.py

The first command trains every contestant on every set and writes results as JSON lines
to benchmarks/results/detection.jsonl; stopped and started again it goes on where it
was. The second makes benchmarks/RESULTS.md of them, with pictures.

- Tuning: in every repeat, on its training rows alone, by Optuna: the same number of
  trials, the same three folds, average precision. Where rows are in the order of time a
  fold trains on what came before.
- Judging: five repeats a set. Weeks of transactions keep their order and share no row;
  other sets are halved at random, so their repeats overlap.
- Training rows are capped at 50,000 a set, but for weeks and for sets with fewer than
  500 positives, which stay whole.

--smoke runs a few contestants on a small embedded set and writes to a temporary folder;
--to names another.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import data
import numpy as np
import runner
from contestants import BY_NAME, CONTESTANTS, Contestant
from data import Load, Split
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
)
from sklearn.model_selection import StratifiedKFold, TimeSeriesSplit
from spaces import Parameters, draw

from focal_gbm.datasets import fetch_credit_card_fraud
from focal_gbm.metrics import (
    calibration_in_the_large,
    card_precision_at_k,
    precision_at_alert_rate,
    recall_at_fpr,
)

PACKAGES = (
    "focal_gbm",
    "lightgbm",
    "xgboost",
    "catboost",
    "scikit-learn",
    "numba",
    "numpy",
    "pandas",
    "optuna",
    "ydf",
    "imlightgbm",
    "bokbokbok",
    "gbdtCBL",
    "imbalance-xgboost",
)
FILE = runner.RESULTS / "detection.jsonl"
REPEATS, TRIALS = 5, 25
MOST_ROWS = 50_000
LIMIT = 3600.0  # seconds a job
SMOKE = (  # the last one fails, and that is a result too
    "LightGBM",
    "LightGBM, protected",
    "XGBoost",
    "FocalLGBM",
    "FocalXGB",
    "imbalance-xgboost",
)


def sets(folder: Path | None) -> dict[str, Load]:
    """Return how to get the repeats of each set that is there."""
    loads: dict[str, Load] = {"transactions": data.transactions}
    if data.is_there(folder, data.HANDBOOK):
        weeks = data.HANDBOOK_REPEATS
        loads["handbook"] = lambda repeat: data.handbook_week(folder, weeks[repeat])
    loads |= data.files(folder)
    try:
        X, y = fetch_credit_card_fraud(return_X_y=True)
    except OSError as error:
        print(f"missing: ULB credit cards from OpenML ({error})")
    else:
        loads["creditcard"] = partial(data.halves, "creditcard", X, y.to_numpy())
    return loads


def small(repeat: int) -> Split:
    """Return embedded transactions for a quick run."""
    split = data.transactions(repeat)
    rows = slice(20_000)
    split.X_train, split.y_train = split.X_train[rows], split.y_train[rows]
    return split


def folds(split: Split) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what tuning trains on and validates by."""
    if split.ordered:
        cv: Any = TimeSeriesSplit(3)
    else:
        cv = StratifiedKFold(3, shuffle=True, random_state=0)
    return list(cv.split(split.X_train, split.y_train))


def tune(contestant: Contestant, n_trials: int, seed: int, split: Split) -> Parameters:
    """Search for the parameters of highest average precision."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    X, y = split.X_train, split.y_train
    parts = folds(split)

    def score(trial: Any) -> float:
        parameters = draw(contestant.space or {}, trial)
        values = []
        for train, valid in parts:
            model = contestant.model(y[train], seed, **parameters)
            model.fit(X.iloc[train], y[train])
            p = model.predict_proba(X.iloc[valid])[:, 1]
            values.append(average_precision_score(y[valid], p))
        return float(np.mean(values))

    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed)
    )
    study.enqueue_trial(contestant.first)
    study.optimize(score, n_trials=n_trials)
    return {
        "parameters": study.best_params,
        "validation": round(study.best_value, 5),
        "first": round(study.trials[0].value or math.nan, 5),
        "trials": n_trials,
    }


def judge(
    contestant: Contestant, seed: int, tuned: Parameters, split: Split
) -> dict[str, float]:
    """Fit, predict and measure."""
    model = contestant.model(split.y_train, seed, **tuned)
    start = time.process_time()
    model.fit(split.X_train, split.y_train)
    fitted = time.process_time()
    p = np.asarray(model.predict_proba(split.X_test), float)[:, 1]
    predicted = time.process_time()
    record = measures(split, p)
    record["fit_s"] = fitted - start
    record["predict_s"] = predicted - fitted
    return {name: float(f"{value:.6g}") for name, value in record.items()}


def measures(split: Split, p: np.ndarray) -> dict[str, float]:
    """Return every measure of probabilities for the rows to judge by."""
    y, rate = split.y_test, float(split.y_train.mean())
    brier = brier_score_loss(y, p)
    record = {
        "ap": average_precision_score(y, p),
        "recall_01": recall_at_fpr(y, p, fpr=1e-3),
        "recall_1": recall_at_fpr(y, p, fpr=1e-2),
        "precision": precision_at_alert_rate(y, p, rate=rate),
        "auc": roc_auc_score(y, p),
        "log_loss": log_loss(y, p),
        "brier_skill": 1 - brier / (y.mean() * (1 - y.mean())),
        "in_the_large": calibration_in_the_large(y, p),
        "rate": y.mean(),
        "n_train": len(split.y_train),
        "n_positive": int(split.y_train.sum()),
        "n_test": len(y),
        "overlap": split.overlap,
    }
    if split.card is not None:
        record["card_precision"] = card_precision_at_k(
            y, p, split.card, split.day, k=split.cards_a_day
        )
    return record


def tuning_jobs(
    loads: dict[str, Load], names: Iterable[str], n_repeats: int, n_trials: int
) -> Iterator[runner.Job]:
    """Yield the search of each tuned contestant on each set and repeat."""
    for repeat, (set_name, load) in product(range(n_repeats), loads.items()):
        get = partial(data.capped, load, repeat, MOST_ROWS)
        for name in names:
            if (contestant := BY_NAME[name]).space:
                key = {"what": "tune", "set": set_name, "contestant": name}
                work = partial(tune, contestant, n_trials, repeat)
                yield runner.Job({**key, "repeat": repeat}, get, work)


def judging_jobs(
    loads: dict[str, Load], names: Iterable[str], n_repeats: int, file: Path
) -> Iterator[runner.Job]:
    """Yield the fits at defaults and, where a search ended well, the tuned ones."""
    searches = [r for r in runner.read(file) if r["key"]["what"] == "tune"]
    found = {
        (key["set"], key["contestant"], key["repeat"]): record["parameters"]
        for record in searches
        if "parameters" in record and (key := record["key"])
    }
    for repeat, (set_name, load) in product(range(n_repeats), loads.items()):
        get = partial(data.capped, load, repeat, MOST_ROWS)
        for name in names:
            key = {"what": "judge", "set": set_name, "contestant": name}
            work = partial(judge, BY_NAME[name], repeat)
            default = {**key, "tuned": False, "repeat": repeat}
            yield runner.Job(default, get, partial(work, {}))
            if tuned := found.get((set_name, name, repeat)):
                best = {**key, "tuned": True, "repeat": repeat}
                yield runner.Job(best, get, partial(work, tuned))


def warm_up() -> None:
    """Load the kernels before the jobs fork: what a process pays once is no part of a
    fit's time and memory (benchmarks/speed.py has it)."""
    X, y = np.arange(200.0)[:, None], np.arange(200) % 2
    for name in ("FocalLGBM", "FocalXGB"):
        BY_NAME[name].model(y, 0, n_estimators=1).fit(X, y)


def main() -> None:
    """Run what is not in the file yet."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder of the data sets")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at a time")
    parser.add_argument("--smoke", action="store_true", help="a small embedded run")
    parser.add_argument("--to", type=Path, help="folder to write to")
    arguments = parser.parse_args()
    names: Iterable[str] = [contestant.name for contestant in CONTESTANTS]
    repeats, trials, to = REPEATS, TRIALS, arguments.to or FILE.parent
    if arguments.smoke:
        loads: dict[str, Load] = {"small": small}
        names, repeats, trials = SMOKE, 2, 2
        to = arguments.to or Path(tempfile.mkdtemp())
    else:
        loads = sets(data.data_folder(arguments.data))
    file = to / FILE.name
    warm_up()
    options = {"n_jobs": arguments.jobs, "limit": LIMIT, "packages": PACKAGES}
    for jobs in (
        tuning_jobs(loads, names, repeats, trials),
        judging_jobs(loads, names, repeats, file),
    ):
        runner.run(list(jobs), file, **options)
    print(f"now: python benchmarks/report.py {file}")


if __name__ == "__main__":
    main()
