"""Search for one set of parameters that serves rare classes best when nothing is tuned.

    python benchmarks/starting_point.py [--data DIR] [--settings 60] [--jobs N]

Random settings of both libraries, trained on the same splits of development sets:
rare classes, simulated ones with 15 to 100 positives, sales reports and three weeks of
the Handbook. The first round judges all on one split a set, the second the best of
them on three. Of each setting the table holds average precision, recall at 0.1 % false
positives and log-loss, each relative to the best of its set; "left out" is what the
choice made on all other sets reaches on the set that it has not seen.

Vehicle claims, donors and simulated transactions with all of their frauds take no part.
The other sets of the main benchmark do, with their rows: its splits of them are these
or overlap with these, and so do days of its weeks.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import data
import numpy as np
import pandas as pd
import runner
from data import Load, Split
from lightgbm import LGBMClassifier
from sklearn.metrics import average_precision_score, log_loss
from xgboost import XGBClassifier

from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.metrics import recall_at_fpr

PACKAGES = ("focal_gbm", "lightgbm", "xgboost", "scikit-learn", "numpy")
FILE = runner.RESULTS / "starting_point.jsonl"
WEEKS = ("2018-06-18", "2018-07-30", "2018-08-20")
DEVELOPMENT = ("sales_reports", "cover", "smtp", "mammography", "satimage2")
N_KNOWN, N_SECOND, _AROUND = 3, 15, 1000

# What the two rounds chose for both libraries, and one step away from it.
CHOSEN = 45
AROUND: list[dict[str, Any]] = [
    {},
    {"colsample_bytree": 1.0},
    {"reg_lambda": 0.0},
    {"reg_lambda": 5.0},
    {"min_child_weight": 0.2},
    {"min_child_weight": 1.0},
    {"learning_rate": 0.05, "n_estimators": 300},
    {"n_estimators": 250},
    {"num_leaves": 8, "max_depth": 4},
    {"num_leaves": 20, "max_depth": 6},
    {"focal_gamma": 0.0},
    {"focal_gamma": 1.0},
    {"start": 0.5},
    {"start": 1.0},
    {"max_step": None},
    {"max_bin": 512},
    {"max_bin": 1024},
    {"max_bin": 4096},
]
MOST_ROWS = 50_000

# What each library offers at first: its own estimator and ours.
KNOWN: dict[str, list[tuple[type, dict[str, Any]]]] = {
    "lightgbm": [
        (LGBMClassifier, {}),
        (LGBMClassifier, {"boost_from_average": False, "min_child_weight": 1.0}),
        (FocalLGBMClassifier, {}),
    ],
    "xgboost": [
        (XGBClassifier, {}),
        (XGBClassifier, {"max_delta_step": 4.0}),
        (FocalXGBClassifier, {}),
    ],
}
QUIET = {
    "lightgbm": {"n_jobs": 1, "verbose": -1, "random_state": 0},
    "xgboost": {"n_jobs": 1, "enable_categorical": True, "random_state": 0},
}


def sample(library: str, seed: int) -> dict[str, Any]:
    """Draw a setting; the same seed draws the same for both libraries."""
    rng = np.random.default_rng(seed)

    def one_of(*values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    rate = one_of(0.02, 0.03, 0.05, 0.08, 0.1)
    n_trees = int(round(one_of(6, 10, 15, 25) / rate, -1))
    own = {
        "focal_gamma": one_of(0.0, 0.5, 1.0, 2.0, 2.0, 3.0),
        "max_step": one_of(1.0, 2.0, 4.0, 8.0),
        "start": one_of(0.25, 0.5, 0.75, 1.0),
    }
    common = {
        "learning_rate": rate,
        "n_estimators": min(n_trees, 500),
        "min_child_weight": one_of(0.01, 0.1, 0.2, 0.3, 0.5, 1.0),
        "reg_lambda": one_of(0.0, 0.1, 1.0, 5.0),
        "colsample_bytree": one_of(1.0, 1.0, 0.7),
    }
    size = one_of(0, 1, 2, 3, 4)
    if library == "lightgbm":
        shape = {
            "num_leaves": (6, 8, 12, 16, 24)[size],
            "min_child_samples": one_of(2, 5, 10, 20),
        }
    else:
        shape = {"max_depth": (3, 4, 5, 6, 7)[size]}
    return {**own, **common, **shape}


def setting(library: str, number: int) -> tuple[type, dict[str, Any]]:
    """Return the random setting of that number, a known one for -1, -2, -3, or from
    1000 on one near the choice."""
    if number < 0:
        return KNOWN[library][number]
    ours = KNOWN[library][-1][0]
    if number < _AROUND:
        return ours, sample(library, number)
    other = "max_depth" if library == "lightgbm" else "num_leaves"
    change = {k: v for k, v in AROUND[number - _AROUND].items() if k != other}
    return ours, sample(library, CHOSEN) | change


def development(folder: Path | None) -> dict[str, Load]:
    """Return the sets that the search may look at."""
    sets = {n: load for n, load in data.files(folder).items() if n in DEVELOPMENT}
    if data.is_there(folder, data.HANDBOOK):
        sets["handbook"] = lambda i: data.handbook_week(folder, WEEKS[i])
    for n in data.RARE:
        sets[f"blobs {n}"] = partial(data.rare_blobs, n)
        sets[f"cards {n}"] = partial(data.rare_transactions, n)
    return sets


def measure(split: Split, model: Any) -> list[float]:
    """Return average precision, recall at 0.1 % false positives and log-loss."""
    model.fit(split.X_train, split.y_train)
    p = model.predict_proba(split.X_test)[:, 1]
    return [
        round(average_precision_score(split.y_test, p), 5),
        round(recall_at_fpr(split.y_test, p, fpr=1e-3), 5),
        round(log_loss(split.y_test, p, sample_weight=split.test_weight), 7),
    ]


def jobs(
    folder: Path | None, seeds: range, chosen: dict[str, list[int]], stage: str
) -> Iterator[runner.Job]:
    """Yield a job for each set, split and library: all settings, one by one."""
    for name, load in development(folder).items():
        for seed in seeds:
            get = partial(data.capped, load, seed, MOST_ROWS)
            for library, numbers in chosen.items():
                key = {"stage": stage, "set": name, "split": seed, "library": library}
                yield runner.Job(key, get, partial(_all, library, numbers))


def _all(library: str, numbers: list[int], split: Split) -> dict[str, Any]:
    results = {}
    for number in numbers:
        make, parameters = setting(library, number)
        results[number] = measure(split, make(**QUIET[library], **parameters))
    return {"results": results}


def table(library: str, stage: str) -> pd.DataFrame:
    """Return each setting's share of the best, a column a set, mean over splits.

    The share is the mean of three: average precision, recall, and the inverse of
    log-loss, each relative to the best setting.
    """
    measures: dict[str, list[np.ndarray]] = {}
    numbers: list[int] = []
    for record in runner.read(FILE):
        key = record["key"]
        if (key["stage"], key["library"]) == (stage, library):
            numbers = [int(number) for number in record["results"]]
            values = np.array(list(record["results"].values()))
            measures.setdefault(key["set"], []).append(values)
    shares = {}
    for name, values in measures.items():
        ap, recall, loss = np.mean(values, axis=0).T
        shares[name] = (ap / ap.max() + recall / recall.max() + loss.min() / loss) / 3
    return pd.DataFrame(shares, index=numbers)


def left_out(shares: pd.DataFrame) -> pd.Series:
    """Return, for each set, the share there of the setting best on the others."""
    return pd.Series(
        {
            name: shares[name][shares.drop(columns=name).mean(axis=1).idxmax()]
            for name in shares
        }
    )


def text(n_random: int) -> str:
    """Return STARTING_POINT.md."""
    parts = [_HEAD.format(n=n_random, second=N_SECOND, machines=runner.described(FILE))]
    for library in KNOWN:
        second, around = (table(library, stage) for stage in ("second", "around"))
        loo = left_out(second)
        parts += [
            f"\n# {library}\n\n## Round two\n",
            _described(library, second),
            "\nChosen without the set, judged on it: "
            f"mean {loo.mean():.3f}, {second.loc[-1].mean():.3f} at our defaults.\n",
            pd.DataFrame({"left out": loo, "defaults": second.loc[-1]}).T.to_markdown(
                floatfmt=".3f"
            ),
            "\n## Around the choice\n",
            _described(library, around),
        ]
    return "\n".join(parts) + "\n"


def _described(library: str, shares: pd.DataFrame) -> str:
    rows = []
    for number in shares.mean(axis=1).sort_values(ascending=False).index:
        make, parameters = setting(library, number)
        if number > _AROUND:
            parameters = AROUND[number - _AROUND]
        name = make.__name__ + (", the choice" if number in (CHOSEN, _AROUND) else "")
        values = ", ".join(f"{k}={v}" for k, v in parameters.items())
        share = shares.loc[number]
        row = {"mean": share.mean(), "worst": share.min(), "on": share.idxmin()}
        rows.append({"estimator": name, "parameters": values, **row})
    return pd.DataFrame(rows).to_markdown(index=False, floatfmt=".3f")


_HEAD = """\
Parameters to start from where positives are few, written by
`python benchmarks/starting_point.py`. The mean and the worst are over development sets:
of a setting's average precision, recall at 0.1 % false positives and inverse log-loss,
each relative to the best setting of the table on that set, the mean of the three.

Round one judged {n} random settings a library on one split of each set; the table holds
the best {second} of them, and what the libraries and our estimators have by default, on
three splits. "cards n" and "blobs n" are simulated with n positives to train on. The
choice has to serve both libraries; "around" says what one change to it does.

`rare_event_params()` is that choice without the parameters of the loss, whose changes
make hardly a difference here, and with 1024 bins, which do: where positives share one
of 256 bins of as many rows each with others (smtp: 15 positives in 47,578 rows), no
split can tell them apart. The libraries' own losses gain as much by these parameters
([RESULTS.md](RESULTS.md), "LightGBM, protected, starting point").

Rows of sales_reports, cover, smtp, mammography, satimage2 and days of the Handbook
serve here and in RESULTS.md; vehicle claims, donors and transactions are there alone.

{machines}
"""


def main() -> None:
    """Run both rounds and print what they found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", help="folder of the data sets")
    parser.add_argument("--settings", type=int, default=60, help="random settings")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="at a time")
    arguments = parser.parse_args()
    folder = data.data_folder(arguments.data)
    everything = [*range(-N_KNOWN, 0), *range(arguments.settings)]
    chosen = dict.fromkeys(KNOWN, everything)
    stages = {"first": range(1), "second": range(3), "around": range(3)}
    for stage, seeds in stages.items():
        work = list(jobs(folder, seeds, chosen, stage))
        runner.run(work, FILE, n_jobs=arguments.jobs, limit=3600, packages=PACKAGES)
        for library in KNOWN:
            means = table(library, stage).mean(axis=1).sort_values(ascending=False)
            best = [number for number in means.index if number >= 0][:N_SECOND]
            chosen[library] = [*range(-N_KNOWN, 0), *best]
            if stage == "second":
                chosen[library] = [_AROUND + i for i in range(len(AROUND))]
    target = Path(__file__).with_name("STARTING_POINT.md")
    target.write_text(text(arguments.settings))
    print(target)


if __name__ == "__main__":
    main()
