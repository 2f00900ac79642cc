"""Measure sampled rows, sampled columns and quantised gradients with both losses.

    python -m benchmarks.parameters.sampling [--data DIR] [--jobs N]

trains both libraries with log-loss and with focal loss, each with the same switches:
LightGBM's gradient-based one-side sampling (goss), its quantised gradients, both
libraries' random subsamples, and half the columns. The data sets are those of
``python -m benchmarks.detection``, three repeats each, and a large and a wide one for
the times. The command appends to benchmarks/parameters/results/sampling.jsonl, skips
jobs that have a line there, and writes benchmarks/parameters/sampling.md. The 66 jobs
took 27 core-minutes on an AMD EPYC; without a missing job the command takes some
seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from sklearn.datasets import make_classification
from xgboost import XGBClassifier

from benchmarks.common import data, runner
from benchmarks.common.commands import command
from benchmarks.common.data import MOST_ROWS, Split
from benchmarks.common.intervals import over_sets
from benchmarks.common.measures import measures, warm_up
from benchmarks.common.tables import markdown
from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions

FILE = Path(__file__).with_name("results") / "sampling.jsonl"
REPEATS = 3
LARGE, WIDE = "large", "wide"
NONE = "all rows"
_LGBM = {"n_jobs": 1, "verbose": -1}
_PROTECTED = {"boost_from_average": False, "min_child_weight": 1.0, **_LGBM}
_XGB = {"n_jobs": 1, "enable_categorical": True}
LOSSES: dict[str, dict[str, tuple[Any, dict[str, Any]]]] = {
    "LightGBM": {
        "log-loss": (LGBMClassifier, _PROTECTED),
        "focal": (FocalLGBMClassifier, _LGBM),
    },
    "XGBoost": {
        "log-loss": (XGBClassifier, _XGB),
        "focal": (FocalXGBClassifier, _XGB),
    },
}
_QUANTISED = {"use_quantized_grad": True, "quant_train_renew_leaf": True}


def _goss(top: float, other: float) -> dict[str, Any]:
    return {"data_sample_strategy": "goss", "top_rate": top, "other_rate": other}


SWITCHES: dict[str, dict[str, dict[str, Any]]] = {
    "LightGBM": {
        NONE: {},
        "goss 0.2 + 0.1": _goss(0.2, 0.1),
        "goss 0.1 + 0.1": _goss(0.1, 0.1),
        "goss 0.05 + 0.05": _goss(0.05, 0.05),
        "quantised, 4 bins": {**_QUANTISED, "num_grad_quant_bins": 4},
        "quantised, 16 bins": {**_QUANTISED, "num_grad_quant_bins": 16},
        "random 0.3 of rows": {"subsample": 0.3, "subsample_freq": 1},
        "random 0.5 of columns": {"colsample_bytree": 0.5},
    },
    "XGBoost": {
        NONE: {},
        "gradient_based 0.3": {"subsample": 0.3, "sampling_method": "gradient_based"},
        "gradient_based 0.1": {"subsample": 0.1, "sampling_method": "gradient_based"},
        "random 0.3 of rows": {"subsample": 0.3},
        "random 0.1 of rows": {"subsample": 0.1},
        "random 0.5 of columns": {"colsample_bytree": 0.5},
    },
}


@lru_cache(maxsize=1)
def large(repeat: int) -> Split:
    """Simulate a million payments, two thirds of them training rows."""
    frame = make_transactions(4500, 9000, 145, random_state=repeat)
    X, y = frame[list(TRANSACTION_FEATURES)], frame["is_fraud"].to_numpy(int)
    n = len(X) * 2 // 3
    return Split(LARGE, X[:n], y[:n], X[n:], y[n:], ordered=True, overlap=0.0)


@lru_cache(maxsize=1)
def wide(repeat: int) -> Split:
    """Draw clusters in 200 columns, with 100,000 training rows."""
    X, y = make_classification(
        150_000,
        n_features=200,
        n_informative=20,
        n_redundant=20,
        n_clusters_per_class=4,
        weights=[0.99],
        flip_y=0.0,
        random_state=repeat,
    )
    frame, n = pd.DataFrame(X.astype(np.float32)), 100_000
    return Split(WIDE, frame[:n], y[:n], frame[n:], y[n:], overlap=0.0)


def measure(library: str, repeat: int, split: Split) -> runner.Record:
    """Return measures and processor seconds of every loss with every switch, or the
    error of the library."""
    results = []
    for switch, loss in product(SWITCHES[library], LOSSES[library]):
        kind, parameters = LOSSES[library][loss]
        switches = SWITCHES[library][switch]
        model = kind(random_state=repeat, **parameters, **switches)
        began = time.process_time()
        try:
            model.fit(split.X_train, split.y_train)
        except Exception as error:
            reason = str(error).splitlines()[-1][:200]
            results.append({"switch": switch, "loss": loss, "error": reason})
            continue
        seconds = time.process_time() - began
        values = measures(split, model.predict_proba(split.X_test)[:, 1])
        record = {name: float(f"{value:.5g}") for name, value in values.items()}
        results.append({"switch": switch, "loss": loss, "seconds": seconds, **record})
    return {"results": results}


def jobs(folder: Path | None) -> Iterator[runner.Job]:
    """Yield a job for each data set, repeat and library."""
    loads: dict[str, data.Load] = {
        name: partial(_capped, load) for name, load in data.data_sets(folder).items()
    }
    for name, load in {LARGE: large, WIDE: wide, **loads}.items():
        for repeat in range(REPEATS):
            for library in LOSSES:
                key = {"set": name, "repeat": repeat, "library": library}
                work = partial(measure, library, repeat)
                yield runner.Job(key, partial(load, repeat), work)


def _capped(load: data.Load, repeat: int) -> Split:
    return data.capped(load, repeat, MOST_ROWS)


def read(library: str) -> pd.DataFrame:
    """Return one row for each data set, repeat, switch and loss."""
    rows = [
        {**record["key"], **result}
        for record in runner.read(FILE)
        if record["key"]["library"] == library
        for result in record["results"]
    ]
    return pd.DataFrame(rows)


def table(library: str) -> pd.DataFrame:
    """Return the effect of each switch on each loss: the ratio of the seconds to
    log-loss, and differences to the same loss on all rows, over data sets."""
    rows = read(library)
    if "error" in rows:
        rows = rows[rows["error"].isna()]
    index = ["loss", "switch", "set"]
    means = rows.groupby(index)[["ap", "recall_01", "log_loss", "seconds"]].mean()
    lines = []
    for loss, switch in product(LOSSES[library], SWITCHES[library]):
        if (loss, switch) not in means.index.droplevel("set"):
            continue
        switched, base = means.loc[(loss, switch)], means.loc[(loss, NONE)]
        plain = means.loc[("log-loss", NONE)]
        mean, low, high = over_sets(switched["ap"] - base["ap"])
        lines.append(
            {
                "loss": loss,
                "switch": switch,
                **{
                    f"seconds, {name}": switched["seconds"][name]
                    / plain["seconds"][name]
                    for name in (LARGE, WIDE)
                },
                "AP": switched["ap"].mean(),
                "difference": mean,
                "low": low,
                "high": high,
                "worst": (switched["ap"] - base["ap"]).min(),
                "recall": (switched["recall_01"] - base["recall_01"]).mean(),
                "log-loss": np.exp(
                    np.log(switched["log_loss"] / base["log_loss"]).mean()
                ),
            }
        )
    return pd.DataFrame(lines)


def refused(library: str) -> str:
    """Return the switches that the library refuses, with its errors, as a list."""
    rows = read(library)
    if "error" not in rows:
        return ""
    rows = rows.dropna(subset=["error"]).drop_duplicates(["switch", "loss"])
    lines = [f"- {r.switch}, {r.loss}: {r.error}" for r in rows.itertuples()]
    return "\n".join(lines)


def text() -> str:
    """Return the page."""
    parts = [_HEAD.format(machines=runner.described(FILE))]
    for library in LOSSES:
        parts.append(f"\n## {library}\n")
        parts.append(markdown(table(library), index=False))
        if reasons := refused(library):
            parts.append(f"\nSwitches that the library refuses:\n\n{reasons}\n")
    return "\n".join(parts) + "\n"


_HEAD = """\
# Which switches train faster, and what precision do they cost?

`python -m benchmarks.parameters.sampling` writes this page. Both losses train with the
same switches on the data sets of [../detection/README.md](../detection/README.md), on a
large data set (simulated payments, 870,000 rows of 18 columns) and on a wide one
(clusters, 100,000 rows of 200 columns), three repeats each, one thread, 100 trees.
Seconds are those of a fit relative to log-loss on all rows. AP is the mean average
precision over data sets. The columns after AP compare with the same loss on all rows:
the mean difference in average precision, its interval of 95 % over data sets, the worst
difference, the mean difference in recall at 0.1 % false positives, and the geometric
mean of the ratio of log-loss, where above 1 is worse. In LightGBM log-loss is
protected: `boost_from_average=False, min_child_weight=1`.

{machines}
"""


def main() -> None:
    """Run the jobs that have no line in the file, and write the page."""
    arguments = command(
        "parameters.sampling", __doc__, data=True, jobs=True
    ).parse_args()
    warm_up()
    work = list(jobs(data.data_folder(arguments.data)))
    options = {"n_jobs": arguments.jobs, "packages": runner.PACKAGES}
    runner.run(work, FILE, limit=3600, **options)
    page = Path(__file__).with_suffix(".md")
    page.write_text(text())
    print(page)


if __name__ == "__main__":
    main()
