"""Search for one setting that finds rare classes best without tuning.

    python -m benchmarks.parameters.starting_point [--data DIR] [--settings 60]
        [--jobs N]

draws random settings of both libraries and trains them on the same splits of
development sets: rare classes, simulated ones with 15 to 100 positives, sales reports
and three weeks of the Handbook. The first round evaluates all settings on one split of
each data set; the second round evaluates the best of them on three. A third round
changes the choice one parameter at a time. Vehicle claims, donors and simulated
transactions with all of their frauds take no part.

The command appends to benchmarks/parameters/results/starting_point.jsonl, skips jobs
that have a line there, and writes benchmarks/parameters/starting_point.md and its CSV.
The 168 jobs took 13 core-minutes on an AMD EPYC; without a missing job the command
takes some seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from sklearn.metrics import average_precision_score, log_loss
from xgboost import XGBClassifier

from benchmarks.common import data, runner
from benchmarks.common.commands import command
from benchmarks.common.data import DEVELOPMENT, HANDBOOK_SET, MOST_ROWS, Load, Split
from benchmarks.common.tables import markdown, write_csv
from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.metrics import recall_at_fpr

PACKAGES = ("focal_gbm", "lightgbm", "xgboost", "scikit-learn", "numpy")
RESULTS = Path(__file__).with_name("results")
FILE = RESULTS / "starting_point.jsonl"
WEEKS = ("2018-06-18", "2018-07-30", "2018-08-20")
N_KNOWN, N_SECOND, N_ON_PAGE, _AROUND = 3, 15, 5, 1000

# The two rounds chose this setting for both libraries; AROUND changes it.
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

# Default settings, and settings that protect a rare class, as baselines.
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
    """Draw a setting; both libraries draw the same for the same seed."""
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
    """Return the random setting ``number``, a baseline for -1, -2 and -3, or a setting
    near the choice from 1000 on."""
    if number < 0:
        return KNOWN[library][number]
    ours = KNOWN[library][-1][0]
    if number < _AROUND:
        return ours, sample(library, number)
    other = "max_depth" if library == "lightgbm" else "num_leaves"
    change = {k: v for k, v in AROUND[number - _AROUND].items() if k != other}
    return ours, sample(library, CHOSEN) | change


def development(folder: Path | None) -> dict[str, Load]:
    """Return a function for each development set; it loads one split."""
    sets = {n: load for n, load in data.files(folder).items() if n in DEVELOPMENT}
    if data.is_present(folder, data.HANDBOOK):
        sets[HANDBOOK_SET] = lambda i: data.handbook_week(folder, WEEKS[i])
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
    """Yield a job for each data set, split and library; it trains all settings."""
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
    """Return each setting's share of the best, a column a data set, mean over splits.

    The share is a mean of three measures, each relative to the best setting: average
    precision, recall, and the inverse of log-loss.
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
    """Return, for each data set, the share of the setting best on the other sets."""
    return pd.Series(
        {
            name: shares[name][shares.drop(columns=name).mean(axis=1).idxmax()]
            for name in shares
        }
    )


def described(library: str, shares: pd.DataFrame) -> pd.DataFrame:
    """Return the settings, best first, with their shares."""
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
    return pd.DataFrame(rows)


def every_setting() -> pd.DataFrame:
    """Return the settings of round two and around the choice, with all shares."""
    parts = []
    for library in KNOWN:
        for stage in ("second", "around"):
            shares = table(library, stage)
            order = shares.mean(axis=1).sort_values(ascending=False).index
            frame = described(library, shares)
            frame.insert(0, "library", library)
            frame.insert(1, "round", stage)
            wide = shares.loc[order].reset_index(drop=True)
            parts.append(pd.concat([frame, wide], axis=1))
    return pd.concat(parts)


def left_out_by_set() -> pd.DataFrame:
    """Return the shares of left-out choices and of our default settings."""
    parts = []
    for library in KNOWN:
        second = table(library, "second")
        rows = {"left out": left_out(second), "default settings": second.loc[-1]}
        frame = pd.DataFrame(rows).T.rename_axis("setting").reset_index()
        frame.insert(0, "library", library)
        parts.append(frame)
    return pd.concat(parts)


def text(n_random: int) -> str:
    """Return the page."""
    parts = [_HEAD.format(n=n_random, second=N_SECOND, machines=runner.described(FILE))]
    for library in KNOWN:
        second, around = (table(library, stage) for stage in ("second", "around"))
        rows = described(library, second)
        is_shown = (rows.index < N_ON_PAGE) | ~rows["parameters"].str.contains("focal_")
        loo = left_out(second)
        parts += [
            f"\n## {library}: best settings of round two, and baselines\n",
            markdown(rows[is_shown], index=False),
            "\nThe setting that is best on all other data sets has a mean share of "
            f"{loo.mean():.3f} on the data set left out; our default settings have "
            f"{second.loc[-1].mean():.3f}.\n",
            f"\n## {library}: around the choice\n",
            markdown(described(library, around), index=False),
        ]
    return "\n".join(parts) + "\n"


_HEAD = """\
# Which parameters are a good start for rare classes?

`python -m benchmarks.parameters.starting_point` writes this page. The share of a
setting on a data set is the mean of three measures, each relative to the best setting
of the table: average precision, recall at 0.1 % false positives and inverse log-loss.
The tables have the mean and the worst share over development sets.

Round one evaluated {n} random settings of each library on one split of each data set.
Round two evaluated the best {second} of them and the default settings of libraries and
estimators on three splits. "cards n" and "blobs n" are simulated, with n positive
training rows. One choice serves both libraries; "around the choice" changes one
parameter of it.
[results/starting_point.csv](results/starting_point.csv) has all settings of round two
and around the choice, with the share on every data set;
[results/left_out.csv](results/left_out.csv) has the share of the setting that is best
on all other data sets.

`rare_event_params()` is the choice without the parameters of the loss, which make
hardly a difference here, and with 1024 bins, which make one: smtp has 15 positives in
47,578 training rows, and no split can separate positives from other rows of one of 256
bins. The libraries' own losses gain as much by these parameters
([../detection/README.md](../detection/README.md), "LightGBM, protected, starting
point").

Rows of sales_reports, cover, smtp, mammography and satimage2 and days of the Handbook
serve here and in ../detection; vehicle claims, donors and transactions serve only
there.

{machines}
"""


def main() -> None:
    """Run the jobs that have no line in the file, and write the page."""
    parser = command("parameters.starting_point", __doc__, data=True, jobs=True)
    parser.add_argument("--settings", type=int, default=60, help="random settings [60]")
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
    write_csv(every_setting(), RESULTS / "starting_point.csv")
    write_csv(left_out_by_set(), RESULTS / "left_out.csv")
    page = Path(__file__).with_suffix(".md")
    page.write_text(text(arguments.settings))
    print(page)


if __name__ == "__main__":
    main()
