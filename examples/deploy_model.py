"""Tune a model, calibrate it, choose a threshold, save all, load all and score.

    python examples/deploy_model.py

The example splits simulated card transactions by time into four parts. The first part
serves to search focal_gamma and the learning rate, with folds in the order of time. The
second part, a week, serves to calibrate. The third part, a week, serves to choose the
threshold for the alerts that a team can review. The last part is held out. The example
saves model, calibrator and threshold together. A fresh process loads all three and
scores the held-out rows.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TimeSeriesSplit,
)

from focal_gbm import FocalLGBMClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
from focal_gbm.metrics import (
    alert_threshold,
    bootstrap_interval,
    calibration_in_the_large,
    recall_at_alert_rate,
    scorer,
)

GRID = {"focal_gamma": [0.0, 1.0, 2.0], "learning_rate": [0.05, 0.1]}


def main() -> None:
    """Train, or score if --score is passed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--budget",
        type=float,
        default=100,
        help="alerts a day (default: %(default)s)",
    )
    parser.add_argument(
        "--score",
        nargs=2,
        metavar=("MODEL", "ROWS"),
        help="only score the saved rows ROWS with the saved model MODEL",
    )
    arguments = parser.parse_args()
    if arguments.score:
        score(*map(Path, arguments.score))
    else:
        train(arguments.budget)


def train(budget: float) -> None:
    """Train and save a model, then score held-out rows in a fresh process."""
    data = make_transactions(n_customers=3000, n_terminals=6000, n_days=90)
    day = (data["time"] - data["time"].iloc[0]).dt.days.to_numpy()
    X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"].to_numpy()
    fit, calibrate, choose, last = (
        (day >= 30) & (day < 62),  # the 30-day windows are full from day 30
        (day >= 69) & (day < 76),  # labels arrive a week late
        (day >= 76) & (day < 83),
        day >= 83,
    )
    print("Searching", GRID, "with folds in the order of time ...", flush=True)
    search = GridSearchCV(
        FocalLGBMClassifier(verbose=-1),
        GRID,
        scoring=scorer("recall_at_alert_rate", rate=0.01),
        cv=TimeSeriesSplit(3),
    ).fit(X[fit], y[fit])
    print("Best parameters:", search.best_params_)

    model = search.best_estimator_
    before = model.predict_proba(X[choose])[:, 1]
    model.calibrate(X[calibrate], y[calibrate])
    p = model.predict_proba(X[choose])[:, 1]
    level = [calibration_in_the_large(y[choose], q) for q in (before, p)]
    print(
        f"Calibrated on a later week: {model.calibrator_.method_}; predicted / "
        f"observed frauds {level[0]:.2f} before, {level[1]:.2f} after"
    )

    threshold = alert_threshold(p, budget=budget, day=day[choose])
    rate = float((p >= threshold).mean())
    recall = recall_at_alert_rate(y[choose], p, rate=rate)
    low, high = bootstrap_interval(
        recall_at_alert_rate,
        y[choose],
        p,
        groups=day[choose],
        rate=rate,
        n_resamples=200,
        random_state=0,
    )
    print(
        f"Threshold for {budget:g} alerts a day: {threshold:.4f}. It catches "
        f"{recall:.0%} of the frauds (95 % interval over days: {low:.0%} to {high:.0%})"
    )

    decider = FixedThresholdClassifier(
        FrozenEstimator(model), threshold=threshold, response_method="predict_proba"
    ).fit(X[choose], y[choose])
    with tempfile.TemporaryDirectory() as folder:
        saved, rows = Path(folder) / "model.joblib", Path(folder) / "rows.pkl"
        joblib.dump(decider, saved)
        X[last].assign(is_fraud=y[last], day=day[last]).to_pickle(rows)
        size = saved.stat().st_size / 1024
        print(f"Saved a file of {size:.0f} KiB. In a fresh process:")
        command = [sys.executable, __file__, "--score", str(saved), str(rows)]
        subprocess.run(command, check=True)


def score(saved: Path, rows: Path) -> None:
    """Load a saved model, score saved rows and print the result."""
    decider = joblib.load(saved)
    data = pd.read_pickle(rows)
    X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"].to_numpy()
    alerted = decider.predict(X) == 1
    p = decider.predict_proba(X)[:, 1]
    n_days, caught = data["day"].nunique(), y[alerted].sum() / y.sum()
    print(
        f"  {len(X):,} transactions, {alerted.sum() / n_days:.0f} alerts a day, "
        f"{y[alerted].mean():.0%} of the alerts are fraud, {caught:.0%} of the frauds "
        f"are caught; predicted / observed frauds {p.sum() / np.sum(y):.2f}"
    )


if __name__ == "__main__":
    main()
