"""How many frauds does a calibrator need before it helps?

    python benchmarks/calibration.py [--repeats 20] [--write]

simulates rows whose probabilities are known (0.5 % of them positive), trains the
estimators on some and calibrates them on later windows with 50, 200 and 700 positives.
What is measured is the excess of the expected log-loss over that of the true
probabilities, on fresh rows, for every method; the first row uses no window at all,
the last is what a recipe gets that takes expit of the classic focal score for a
probability. The tables go to benchmarks/CALIBRATION.md with --write.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from scipy.special import expit

import focal_gbm
from focal_gbm import (
    FocalLGBMClassifier,
    FocalLoss,
    FocalXGBClassifier,
    LogOddsCalibrator,
)
from focal_gbm.calibration import METHODS

RATE = 0.005
WINDOWS = (50, 200, 700)
NONE = "no calibrator"
MISUSE = "expit of the focal score"


def make_rows(n_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features, true log-odds and labels."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, 8)).astype(np.float32)
    truth = 1.3 * X[:, 0] + np.maximum(X[:, 1], 0) * X[:, 2] + 0.8 * X[:, 3] - 6.95
    return X, truth, (rng.random(n_rows) < expit(truth)).astype(int)


def excess(log_odds: np.ndarray, truth: np.ndarray) -> float:
    """Return the expected log-loss beyond that of the truth."""
    p = expit(truth)

    def loss(f: np.ndarray) -> np.ndarray:
        return p * np.logaddexp(0, -f) + (1 - p) * np.logaddexp(0, f)

    return float((loss(log_odds) - loss(truth)).mean())


MODELS: dict[str, Callable[[], object]] = {
    "FocalLGBMClassifier, defaults": lambda: FocalLGBMClassifier(verbose=-1),
    "FocalXGBClassifier, defaults (over-fits)": FocalXGBClassifier,
    "FocalXGBClassifier, learning rate 0.05": lambda: FocalXGBClassifier(
        learning_rate=0.05, max_depth=4
    ),
}


def run(make: Callable[[], object], repeats: int) -> pd.DataFrame:
    """Return the excess of every method and window, mean over the repeats."""
    X, _, y = make_rows(300_000, seed=0)
    model = make().fit(X, y)
    X, _, y = make_rows(1_000_000, seed=1)
    scores, classes = model.decision_function(X), y
    X, fresh_truth, _ = make_rows(500_000, seed=2)
    fresh = model.decision_function(X)
    rng = np.random.default_rng(3)
    rows = []
    for window in WINDOWS:
        for _ in range(repeats):
            at = rng.choice(len(scores), int(window / RATE), replace=False)
            for method in METHODS:
                calibrator = LogOddsCalibrator(method).fit(scores[at], classes[at])
                moved = calibrator.predict(fresh)
                rows.append((method, window, excess(moved, fresh_truth)))
    table = pd.DataFrame(rows, columns=["method", "positives", "excess"])
    means = table.pivot_table(
        "excess", "method", "positives", aggfunc="mean", sort=False
    )
    alone = pd.DataFrame({w: excess(fresh, fresh_truth) for w in WINDOWS}, index=[NONE])
    focal_score = FocalLoss(link="logit").raw_prediction(fresh)
    misused = pd.DataFrame(
        {w: excess(focal_score, fresh_truth) for w in WINDOWS}, index=[MISUSE]
    )
    return pd.concat([alone, means, misused])


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="write CALIBRATION.md")
    arguments = parser.parse_args()
    text = [
        f"focal_gbm {focal_gbm.__version__}, LightGBM {lightgbm.__version__}, XGBoost "
        f"{xgboost.__version__}, Python {platform.python_version()}; mean of "
        f"{arguments.repeats} windows.",
        "",
    ]
    for name, make in MODELS.items():
        table = run(make, arguments.repeats) * 1e5
        table.columns = [f"{window} positives" for window in table.columns]
        text += [f"## {name}", "", table.round(2).to_markdown(), ""]
        print("\n".join(text[-4:]), flush=True)
    if arguments.write:
        target = Path(__file__).with_name("CALIBRATION.md")
        target.write_text(_PREFACE + "\n".join(text))


_PREFACE = """\
# How many frauds a calibrator needs

Written by `python benchmarks/calibration.py --write`. Excess of the expected log-loss
over that of the true probabilities, in units of 1e-5, at 0.5 % positives, after
calibration on a later window.

"""

if __name__ == "__main__":
    main()
