"""Train every model on every data set, at default settings and tuned.

    pip install -e '.[benchmark,peers]'
    python -m benchmarks.detection [--data DIR] [--jobs N] [--again] [--models NAME ...]
    python -m benchmarks.detection.report

The first command appends results as JSON lines to
benchmarks/detection/results/detection.jsonl and skips jobs that have a line there. The
searches took two core-hours on an AMD EPYC, the fits at default settings two on an
Intel Xeon. The second command makes the page of the results.

- Tuning: Optuna tunes every model in every repeat, on the training rows alone, for
  average precision, with the same number of trials and the same three folds. Where rows
  are in the order of time, a fold trains on earlier rows than it validates.
- Evaluation: five repeats a data set. Repeats of transactions are other weeks and share
  no row; other data sets are halved at random, so that their repeats overlap.
- Training rows are capped at 50,000. Weeks of transactions and data sets with at most
  500 positive training rows are not capped.

- Times: a fit counts in multiples of LightGBM's on the same processor. --again fits
  anew what another processor has fitted.
- AutoGluon gets the fit time of FocalClassifierCV, of the same split, as its limit.

--smoke trains a few models on simulated transactions in less than a minute.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold, TimeSeriesSplit

from benchmarks.common import data, runner
from benchmarks.common.commands import command
from benchmarks.common.data import MOST_ROWS, Load, Split
from benchmarks.common.measures import measures, warm_up
from benchmarks.detection.models import BY_NAME, MODELS, Model
from benchmarks.detection.spaces import Parameters
from focal_gbm._estimators.ranges import draw

FILE = Path(__file__).with_name("results") / "detection.jsonl"
REPEATS, TRIALS = 5, 25
LIMIT = 3600.0  # seconds a job
FIT_LIMIT = 600.0  # seconds a fit without a search
SMOKE = (  # imbalance-xgboost fails: a run must go on after a failure
    "LightGBM",
    "LightGBM, protected",
    "XGBoost",
    "FocalLGBM",
    "FocalXGB",
    "imbalance-xgboost",
)


def small(repeat: int) -> Split:
    """Return a few simulated transactions."""
    split = data.transactions(repeat)
    rows = slice(20_000)
    split.X_train, split.y_train = split.X_train[rows], split.y_train[rows]
    return split


def folds(split: Split) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the training and the validation rows of each fold."""
    if split.ordered:
        cv: Any = TimeSeriesSplit(3)
    else:
        cv = StratifiedKFold(3, shuffle=True, random_state=0)
    return list(cv.split(split.X_train, split.y_train))


def tune(model: Model, n_trials: int, seed: int, split: Split) -> Parameters:
    """Search for the parameters of the highest average precision."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    X, y = split.X_train, split.y_train
    parts = folds(split)

    def score(trial: Any) -> float:
        parameters = draw(trial, model.space or {})
        values = []
        for train, valid in parts:
            estimator = model.build(y[train], seed, **parameters)
            estimator.fit(X.iloc[train], y[train])
            p = estimator.predict_proba(X.iloc[valid])[:, 1]
            values.append(average_precision_score(y[valid], p))
        return float(np.mean(values))

    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed)
    )
    study.enqueue_trial(model.first)
    study.optimize(score, n_trials=n_trials)
    return {
        "parameters": study.best_params,
        "validation": round(study.best_value, 5),
        "first": round(study.trials[0].value or math.nan, 5),
        "trials": n_trials,
    }


def evaluate(
    model: Model, seed: int, tuned: Parameters, split: Split
) -> dict[str, float]:
    """Fit on the training rows and measure on the test rows."""
    estimator = model.build(split.y_train, seed, **tuned)
    start = time.process_time()
    estimator.fit(split.X_train, split.y_train)
    fitted = time.process_time()
    p = np.asarray(estimator.predict_proba(split.X_test), float)[:, 1]
    predicted = time.process_time()
    record = measures(split, p)
    record["fit_s"] = fitted - start
    record["predict_s"] = predicted - fitted
    return {name: float(f"{value:.6g}") for name, value in record.items()}


def tuning_jobs(
    loads: dict[str, Load], names: Iterable[str], n_repeats: int, n_trials: int
) -> Iterator[runner.Job]:
    """Yield the search of each tuned model on each data set and repeat."""
    for repeat, (set_name, load) in product(range(n_repeats), loads.items()):
        get = partial(data.capped, load, repeat, MOST_ROWS)
        for name in names:
            if (model := BY_NAME[name]).space:
                key = {"what": "tune", "set": set_name, "model": name}
                work = partial(tune, model, n_trials, repeat)
                yield runner.Job({**key, "repeat": repeat}, get, work)


def evaluation_jobs(
    loads: dict[str, Load], names: Iterable[str], n_repeats: int, file: Path
) -> Iterator[runner.Job]:
    """Yield the fits at default settings and, after a search, at tuned settings."""
    searches = [r for r in runner.read(file) if r["key"]["what"] == "tune"]
    found = {
        (key["set"], key["model"], key["repeat"]): record["parameters"]
        for record in searches
        if "parameters" in record and (key := record["key"])
    }
    took = _fit_times(file)
    for repeat, (set_name, load) in product(range(n_repeats), loads.items()):
        get = partial(data.capped, load, repeat, MOST_ROWS)
        for name in names:
            key = {"what": "evaluate", "set": set_name, "model": name}
            work = partial(evaluate, BY_NAME[name], repeat)
            default = {**key, "tuned": False, "repeat": repeat}
            limits: Parameters = {}
            if other := BY_NAME[name].as_long_as:
                if (set_name, other, repeat) not in took:
                    continue
                limits = {"time_limit": took[set_name, other, repeat]}
            yield runner.Job(default, get, partial(work, limits))
            if tuned := found.get((set_name, name, repeat)):
                best = {**key, "tuned": True, "repeat": repeat}
                yield runner.Job(best, get, partial(work, tuned))


def _fit_times(file: Path) -> dict[tuple[str, str, int], float]:
    """Return the time of each fit at default settings."""
    return {
        (key["set"], key["model"], key["repeat"]): record["fit_s"]
        for record in runner.read(file)
        if "fit_s" in record and not (key := record["key"])["tuned"]
    }


def main() -> None:
    """Run the jobs that have no line in the file."""
    parser = command("detection", __doc__, data=True, jobs=True)
    parser.add_argument("--smoke", action="store_true", help="a few models, in small")
    parser.add_argument("--to", type=Path, metavar="DIR", help="folder of the results")
    parser.add_argument(
        "--models", nargs="+", metavar="NAME", help="only these, at default settings"
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="fit again at default settings what another processor has fitted",
    )
    parser.add_argument("--repeats", type=int, default=REPEATS, help="at most 5 [5]")
    arguments = parser.parse_args()
    names: Iterable[str] = [model.name for model in MODELS]
    repeats, trials, to = arguments.repeats, TRIALS, arguments.to or FILE.parent
    if arguments.smoke:
        loads: dict[str, Load] = {"small": small}
        names, repeats, trials = SMOKE, min(repeats, 2), 2
        to = arguments.to or Path(tempfile.mkdtemp())
    else:
        loads = data.data_sets(data.data_folder(arguments.data))
    file = to / FILE.name
    warm_up()
    options = {"n_jobs": arguments.jobs, "packages": runner.PACKAGES}
    if not arguments.models and not arguments.again:
        jobs = tuning_jobs(loads, names, repeats, trials)
        runner.run(list(jobs), file, limit=LIMIT, **options)
    names = arguments.models or names
    options |= {"limit": FIT_LIMIT, "again": arguments.again}
    # the second round has the models that wait for the fit time of another
    for _ in range(2):
        jobs = evaluation_jobs(loads, names, repeats, file)
        if arguments.again or arguments.models:
            jobs = (job for job in jobs if not job.key["tuned"])
        runner.run(list(jobs), file, **options)
    print(f"now: python -m benchmarks.detection.report {file}")
