"""Compare predicted with observed fraud rates on later weeks.

    python -m benchmarks.calibration.later_weeks [--repeats 6] [--customers 4000]
        [--write]

simulates card transactions with several seeds, trains both estimators at default
settings on 39 days, waits a week for the labels, and compares predicted with observed
frauds on each of the next two weeks; then again on the second week, after ``calibrate``
on the first. An honest model that does not over-fit has a ratio of 1, but for the noise
of the frauds of a week. --write puts the table into
benchmarks/calibration/later_weeks.md. Six simulations took two
minutes on one core of an Intel Xeon.
"""

from __future__ import annotations

import platform
import warnings
from pathlib import Path

import lightgbm
import pandas as pd
import xgboost

import focal_gbm
from benchmarks.common.commands import command
from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
from focal_gbm.metrics import calibration_in_the_large

# In days. Features look back 30 days; labels arrive after a week.
TRAIN, WAIT, WEEK = (30, 69), 7, 7
MODELS = {
    "FocalLGBMClassifier": lambda: FocalLGBMClassifier(verbose=-1),
    "FocalXGBClassifier": FocalXGBClassifier,
}


def ratios(seed: int, n_customers: int) -> list[dict[str, object]]:
    """Return predicted over observed frauds of one simulation, by model and week."""
    data = make_transactions(n_customers, 2 * n_customers, 90, random_state=seed)
    day = (data["time"] - data["time"].iloc[0]).dt.days
    X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"].to_numpy()
    fit = (day >= TRAIN[0]) & (day < TRAIN[1])
    first = TRAIN[1] + WAIT
    weeks = [(day >= a) & (day < a + WEEK) for a in (first, first + WEEK)]
    rows = []
    for name, make in MODELS.items():
        model = make().fit(X[fit], y[fit])
        for number, week in enumerate(weeks, 1):
            p = model.predict_proba(X[week])[:, 1]
            ratio = calibration_in_the_large(y[week], p)
            rows.append({"model": name, "week": f"week {number}", "ratio": ratio})
        model.calibrate(X[weeks[0]], y[weeks[0]])
        p = model.predict_proba(X[weeks[1]])[:, 1]
        ratio = calibration_in_the_large(y[weeks[1]], p)
        label = "week 2, calibrated on week 1"
        rows.append({"model": name, "week": label, "ratio": ratio})
        rows[-1]["frauds"] = int(y[weeks[1]].sum())
    return rows


def main() -> None:
    """Simulate, print the table and write it with --write."""
    parser = command("calibration.later_weeks", __doc__)
    parser.add_argument("--repeats", type=int, default=6, help="simulations [6]")
    parser.add_argument("--customers", type=int, default=4000, help="[4000]")
    parser.add_argument("--write", action="store_true", help="write the page")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", "method='auto' saw")
    rows: list[dict[str, object]] = []
    for seed in range(arguments.repeats):
        rows += ratios(seed, arguments.customers)
        print(f"simulation {seed + 1} of {arguments.repeats}", flush=True)
    table = pd.DataFrame(rows)
    frauds = table["frauds"].dropna()
    summary = table.groupby(["model", "week"], sort=False)["ratio"]
    summary = summary.agg(["min", "median", "max"]).round(2).reset_index()
    text = (
        f"{arguments.repeats} simulations, {frauds.min():.0f} to {frauds.max():.0f} "
        f"frauds a week; focal_gbm {focal_gbm.__version__}, LightGBM "
        f"{lightgbm.__version__}, XGBoost {xgboost.__version__}, Python "
        f"{platform.python_version()}.\n\n{summary.to_markdown(index=False)}\n"
    )
    print(text)
    if arguments.write:
        Path(__file__).with_suffix(".md").write_text(_PREFACE + text)


_PREFACE = """\
# How long do predicted fraud rates hold?

`python -m benchmarks.calibration.later_weeks --write` writes this page. It simulates
card transactions: 39 days of training rows, a week until labels are known, two weeks of
test rows; then the second week again, after `calibrate` on the first. The table has
predicted over observed frauds. The mean probability of the training rows is their rate
by construction. On later rows the mean probability is lower than the rate: trees that
fit the noise of known frauds recognise known frauds, and later frauds less. `calibrate`
corrects the level, up to the noise of a week's frauds.

"""

if __name__ == "__main__":
    main()
