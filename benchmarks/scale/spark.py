"""Compare models of Spark with the estimators on one machine.

    python -m benchmarks.scale.spark [--customers 1700] [--repeats 3] [--small]
        [--write]

simulates card transactions of 90 days with several seeds and trains on the first 66:
FocalXGBClassifier in this process with two threads, and xgboost.spark's
SparkXGBClassifier on two workers of local[2], without and with the parameters of
focal_gbm.spark.spark_params; all at default settings, with rare_event_params, and with
a class weight. The models of spark_params are then completed by
focal_gbm.native.complete, from all training rows or from a sample. The measures are on
the last 17 days, after a week for the labels. --write writes benchmarks/scale/spark.md.
It takes three minutes on two cores of an Intel Xeon.

It needs XGBoost 3, pyspark and Java: pip install pyspark pyarrow
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost
from sklearn.metrics import average_precision_score

from benchmarks.common.commands import command
from benchmarks.common.measures import warm_up
from benchmarks.common.runner import machine
from benchmarks.common.tables import markdown
from focal_gbm import FocalObjective, FocalXGBClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
from focal_gbm.metrics import calibration_in_the_large
from focal_gbm.native import complete
from focal_gbm.spark import spark_params

FEATURES, LABEL = list(TRANSACTION_FEATURES), "is_fraud"
DAYS, TRAIN, WAIT = 90, 66, 7
SHARE = 0.05  # of the negatives in a sample
SETTINGS: dict[str, dict[str, Any]] = {
    "default settings": {},
    "rare_event_params": FocalXGBClassifier.rare_event_params(),
    "scale_pos_weight=20": {"scale_pos_weight": 20.0},
}
PLAIN, OURS = "SparkXGBClassifier", "SparkXGBClassifier, spark_params"
FROM_ALL, FROM_SAMPLE = "complete, all rows", "complete, a sample"
PRECISION, IN_TRAINING, LATER = (
    "average precision",
    "predicted / observed, training rows",
    "predicted / observed, later rows",
)


def main() -> None:
    """Train, print the table and write the page with --write."""
    parser = command("scale.spark", __doc__)
    parser.add_argument("--customers", type=int, default=1700, help="[1700]")
    parser.add_argument("--repeats", type=int, default=3, help="simulations [3]")
    parser.add_argument("--small", action="store_true", help="few rows, one simulation")
    parser.add_argument("--write", action="store_true", help="write the page")
    arguments = parser.parse_args()
    if arguments.small:
        arguments.customers, arguments.repeats = 200, 1
    session = start_spark()
    warm_up()
    rows: list[dict[str, Any]] = []
    facts: list[tuple[int, int]] = []
    for seed in range(arguments.repeats):
        train, later = simulated(seed, arguments.customers)
        facts.append((len(train), int(train[LABEL].sum())))
        rows += models_of(session, train, later, seed)
        print(f"simulation {seed + 1} of {arguments.repeats}", flush=True)
    session.stop()
    text = page(arguments, facts, pd.DataFrame(rows))
    print(text)
    if arguments.write:
        Path(__file__).with_suffix(".md").write_text(text)


def start_spark() -> Any:
    """Return a session of two local workers, after a first job."""
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        sys.exit("The command needs pyspark and Java: pip install pyspark pyarrow")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # of the workers
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    builder = SparkSession.builder.master("local[2]").appName("benchmarks.scale.spark")
    builder = builder.config("spark.ui.enabled", "false")
    session = builder.config("spark.log.level", "ERROR").getOrCreate()
    # the first fit starts the processes of the workers
    few = pd.DataFrame({"a": np.arange(40.0), LABEL: np.arange(40) % 2})
    spark_fit(session.createDataFrame(few), ["a"], {"n_estimators": 1})
    return session


def simulated(seed: int, customers: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the training rows and the later rows of a simulation."""
    data = make_transactions(customers, 2 * customers, DAYS, random_state=seed)
    day = (data["time"] - data["time"].iloc[0]).dt.days
    rows = data[[*FEATURES, LABEL]].astype({LABEL: int})
    return rows[day < TRAIN], rows[day >= TRAIN + WAIT]


def models_of(
    session: Any, train: pd.DataFrame, later: pd.DataFrame, seed: int
) -> list[dict[str, Any]]:
    """Return the measures of every model of one simulation."""
    frame = session.createDataFrame(train).repartition(2).cache()
    frame.count()
    rate = frame.agg({LABEL: "avg"}).first()[0]
    batches = {FROM_ALL: with_weight(train), FROM_SAMPLE: sampled(train, seed)}
    rows = []
    for setting, parameters in SETTINGS.items():
        base = {"settings": setting}
        for gamma in (2.0, 0.0):
            model = FocalXGBClassifier(focal_gamma=gamma, n_jobs=2, **parameters)
            began = time.perf_counter()
            model.fit(train[FEATURES], train[LABEL])
            took = time.perf_counter() - began
            found = measured(model.get_booster(), train, later)
            name = f"FocalXGBClassifier, gamma {gamma:g}"
            rows.append({**base, "model": name, "closed by": "fit", **found, "s": took})
        for name, params in (
            (PLAIN, parameters),
            (OURS, spark_params(rate, **parameters)),
        ):
            began = time.perf_counter()
            booster = spark_fit(frame, FEATURES, params).get_booster()
            took = time.perf_counter() - began
            row = {**base, "model": name}
            found = measured(booster, train, later)
            rows.append({**row, "closed by": "", **found, "s": took})
            for way in batches if name == OURS else ():
                began = time.perf_counter()
                finished = complete(
                    booster, [batches[way]], objective=FocalObjective(gamma=0.0)
                )
                more = time.perf_counter() - began
                found = measured(finished, train, later)
                rows.append({**row, "closed by": way, **found, "s": took + more})
    frame.unpersist()
    return rows


def spark_fit(frame: Any, names: list[str], params: dict[str, Any]) -> Any:
    """Return the model of SparkXGBClassifier."""
    from xgboost.spark import SparkXGBClassifier

    columns = {"features_col": names, "label_col": LABEL}
    return SparkXGBClassifier(**params, **columns, num_workers=2, verbose=False).fit(
        frame
    )


def with_weight(rows: pd.DataFrame) -> dict[str, Any]:
    """Return rows as a batch of all."""
    return {"X": rows[FEATURES], "y": rows[LABEL]}


def sampled(rows: pd.DataFrame, seed: int) -> dict[str, Any]:
    """Return all positives and a share of the negatives as a batch, with weights."""
    is_in = np.random.default_rng(seed).random(len(rows)) < SHARE
    rows = rows[is_in | (rows[LABEL] == 1)]
    weight = np.where(rows[LABEL] == 1, 1.0, 1.0 / SHARE)
    return {**with_weight(rows), "sample_weight": weight}


def measured(
    booster: Any, train: pd.DataFrame, later: pd.DataFrame
) -> dict[str, float]:
    """Return the measures of a booster by its own probabilities."""
    p, q = (booster.predict(xgboost.DMatrix(rows[FEATURES])) for rows in (train, later))
    return {
        PRECISION: average_precision_score(later[LABEL], q),
        IN_TRAINING: calibration_in_the_large(train[LABEL], p),
        LATER: calibration_in_the_large(later[LABEL], q),
    }


def page(arguments: Any, facts: list[tuple[int, int]], rows: pd.DataFrame) -> str:
    """Return the text of the page."""
    keys = ["settings", "model", "closed by"]
    table = rows.groupby(keys, sort=False).mean(numeric_only=True).reset_index()
    by_model = rows.pivot_table(
        PRECISION, rows.groupby(keys, sort=False).cumcount(), keys
    )
    found = machine(("xgboost", "pyspark", "pyarrow", "pandas"))
    versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
    answers = "\n".join(answer(table, by_model, name) for name in SETTINGS)
    n_rows, n_frauds = np.mean(facts, axis=0)
    return f"""\
# What carries over to Spark?

    python -m benchmarks.scale.spark --customers {arguments.customers} --repeats \
{arguments.repeats} --write

writes this page: means of {arguments.repeats} simulations of card transactions, with
{n_rows:,.0f} training rows and {n_frauds:,.0f} frauds in the mean.

{answers}

`xgboost.spark` takes no objective in Python:
`SparkXGBClassifier(objective=FocalObjective())` ends with "Only string type 'objective'
param is allowed." Focal loss itself does not train there. What carries over is the
start, the bound on the step and all other settings, by `focal_gbm.spark.spark_params`,
and the closing constant, by `focal_gbm.native.complete`.

{markdown(table, index=False, floatfmt=("", "", "", ".4f", ".3f", ".3f", ".1f"))}

A model in Spark has two workers of one thread each, the others two threads. "s" are the
seconds of a fit, with those of `complete` where it closes; the rows are in memory, the
workers have started, and on one machine Spark can only add to the time. "A sample" is
all frauds and {SHARE:.0%} of the other rows, each with the weight {1 / SHARE:.0f}.
The later rows are those of the last {DAYS - TRAIN - WAIT} days. On them a model that
over-fits predicts too few frauds, which `FocalXGBClassifier.calibrate` corrects.

{found["machine"]}, {found["cores"]} cores, Python {found["python"]}; {versions}.
"""


def answer(table: pd.DataFrame, by_model: pd.DataFrame, setting: str) -> str:
    """Return the answer for one of the settings, in a few sentences."""
    rows = table[table["settings"] == setting].set_index(["model", "closed by"])

    def precision(model: str, way: str) -> float:
        return float(rows.loc[(model, way), PRECISION])

    ours = by_model[(setting, OURS, FROM_ALL)]
    spread = (
        (ours - by_model[(setting, "FocalXGBClassifier, gamma 2", "fit")]).abs().max()
    )
    before, after, sample = (
        float(rows.loc[(OURS, way), IN_TRAINING]) for way in ("", FROM_ALL, FROM_SAMPLE)
    )
    return (
        f"- {setting}: average precision is "
        f"{precision(PLAIN, ''):.3f} in plain SparkXGBClassifier and "
        f"{precision(OURS, FROM_ALL):.3f} with `spark_params`; FocalXGBClassifier has "
        f"{precision('FocalXGBClassifier, gamma 2', 'fit'):.3f} at gamma 2 and "
        f"{precision('FocalXGBClassifier, gamma 0', 'fit'):.3f} at gamma 0. No "
        f"simulation differs by more than {spread:.3f} between `spark_params` and "
        f"gamma 2. Predicted over observed frauds of the training rows are "
        f"{before:.3f} before `complete`, {after:.3f} after, and {sample:.3f} after "
        "`complete` with a sample."
    )


if __name__ == "__main__":
    main()
