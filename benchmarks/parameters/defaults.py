"""Do the defaults earn their place? The estimators at their defaults and around
them, against their libraries at their own.

    python benchmarks/defaults.py [lightgbm] [xgboost] [--data DIR] [--splits 2]
        [--quick]

prints, for each set, average precision and log-loss of the defaults divided by
those of the library (for LightGBM the better of boost_from_average true and false),
and for each setting tried the mean and the worst over sets. The tables go to
benchmarks/DEFAULTS.md with --write.
"""

from __future__ import annotations

import argparse
import platform
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from data import Split, data_folder, splits
from lightgbm import LGBMClassifier
from sklearn.metrics import average_precision_score, log_loss
from xgboost import XGBClassifier

import focal_gbm
from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.metrics import recall_at_fpr

DEFAULT = "focal, defaults"
FOCAL: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    **{f"gamma {g:g}": {"focal_gamma": g} for g in (0.0, 0.5, 1.0, 3.0, 5.0)},
    **{f"max_step {m}": {"max_step": m} for m in (1.0, 2.0, 8.0, None)},
    **{f"start {s:g}": {"start": s} for s in (0.0, 0.25, 0.75, 1.0)},
    **{
        f"min_child_weight {w:g}": {"min_child_weight": w}
        for w in (1e-3, 0.3, 0.5, 2.0, 5.0)
    },
    "20 trees": {"n_estimators": 20},
    "40 trees": {"n_estimators": 40},
}


@dataclass(frozen=True)
class Contest:
    """An estimator, and settings of its parent of which the first are its peers."""

    name: str
    version: str
    estimator: type
    parent: type
    quiet: dict[str, Any]
    parents: dict[str, dict[str, Any]]
    n_peers: int

    @property
    def peers(self) -> list[str]:
        """Settings of the parent that the defaults are held against."""
        return list(self.parents)[: self.n_peers]


CONTESTS = {
    "lightgbm": Contest(
        "LightGBM",
        lightgbm.__version__,
        FocalLGBMClassifier,
        LGBMClassifier,
        {"verbose": -1},
        {
            "LightGBM": {},
            "LightGBM, boost_from_average=False": {"boost_from_average": False},
            "LightGBM, min_child_weight=1": {"min_child_weight": 1.0},
            "LightGBM, both": {"boost_from_average": False, "min_child_weight": 1.0},
        },
        2,
    ),
    "xgboost": Contest(
        "XGBoost",
        xgboost.__version__,
        FocalXGBClassifier,
        XGBClassifier,
        {"enable_categorical": True},
        {"XGBoost": {}, "XGBoost, max_delta_step=4": {"max_delta_step": 4.0}},
        1,
    ),
}


def measure(model: Any, split: Split) -> dict[str, float]:
    """Fit and judge one model."""
    model.fit(split.X_train, split.y_train)
    p = model.predict_proba(split.X_test)[:, 1]
    p_train = model.predict_proba(split.X_train)[:, 1]
    return {
        "AP": average_precision_score(split.y_test, p),
        "recall": recall_at_fpr(split.y_test, p, fpr=1e-3),
        "log_loss": log_loss(split.y_test, p, sample_weight=split.test_weight),
        "mean_ratio": p_train.mean() / split.y_train.mean(),
    }


def run(
    contest: Contest, folder: Path | None, n_splits: int, quick: bool
) -> pd.DataFrame:
    """Return one row for each set, split and setting."""
    rows = []
    settings = {DEFAULT: {}} if quick else FOCAL
    for number, split in enumerate(splits(folder, n_splits)):
        models = {
            name: make(**contest.quiet, **kwargs)
            for make, kind in (
                (contest.parent, contest.parents),
                (contest.estimator, settings),
            )
            for name, kwargs in kind.items()
        }
        for name, model in models.items():
            rows.append({"set": split.name, "split": number, "model": name})
            rows[-1] |= measure(model, split)
        done = pd.DataFrame(rows[-len(models) :]).set_index("model")
        n, n_pos = len(split.y_train), split.y_train.sum()
        ap, peers = done["AP"], done.loc[contest.peers]
        print(
            f"{split.name:16} {n:7} rows {n_pos:6} positive  AP "
            f"{ap[DEFAULT]:.3f} / {peers['AP'].max():.3f}  log-loss "
            f"{done['log_loss'][DEFAULT]:.5f} / {peers['log_loss'].min():.5f}",
            flush=True,
        )
    return pd.DataFrame(rows)


def by_set(contest: Contest, results: pd.DataFrame) -> pd.DataFrame:
    """Return the defaults against the better peer, mean over splits."""
    means = results.groupby(["set", "model"], sort=False).mean(numeric_only=True)
    table = {}
    for name, group in means.groupby(level=0, sort=False):
        group = group.droplevel(0)
        ours, peers = group.loc[DEFAULT], group.loc[contest.peers]
        table[name] = {
            "AP": ours["AP"],
            "AP / peer": ours["AP"] / peers["AP"].max(),
            "log-loss": ours["log_loss"],
            "log-loss / peer": ours["log_loss"] / peers["log_loss"].min(),
            "difference": ours["log_loss"] - peers["log_loss"].min(),
        }
    return pd.DataFrame(table).T


def by_setting(results: pd.DataFrame) -> pd.DataFrame:
    """Return each setting, normalised by the best of its set."""
    means = results.groupby(["set", "model"], sort=False).mean(numeric_only=True)
    best = means.groupby(level=0)
    share = means[["AP", "recall"]] / best[["AP", "recall"]].transform("max")
    excess = means["log_loss"] / best["log_loss"].transform("min")
    models = share.index.get_level_values("model")
    table = pd.DataFrame(
        {
            "AP": share["AP"].groupby(models, sort=False).mean(),
            "worst AP": share["AP"].groupby(models, sort=False).min(),
            "recall": share["recall"].groupby(models, sort=False).mean(),
            "log-loss": np.exp(np.log(excess).groupby(models, sort=False).mean()),
            "worst log-loss": excess.groupby(models, sort=False).max(),
        }
    )
    off = (means["mean_ratio"] - 1).abs()
    table["mean p off by"] = off.groupby(models, sort=False).max()
    return table


def main() -> None:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("libraries", nargs="*", help=" or ".join(CONTESTS))
    parser.add_argument("--data", help="folder of the data sets")
    parser.add_argument("--splits", type=int, default=2, help="splits of each set")
    parser.add_argument("--quick", action="store_true", help="the defaults alone")
    parser.add_argument("--write", action="store_true", help="write DEFAULTS.md")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
    folder, text = data_folder(arguments.data), []
    for library in arguments.libraries or CONTESTS:
        contest = CONTESTS[library]
        results = run(contest, folder, arguments.splits, arguments.quick)
        text += [
            f"# {contest.name}",
            "",
            f"focal_gbm {focal_gbm.__version__}, {contest.name} {contest.version}, "
            f"Python {platform.python_version()}, {platform.machine()}; "
            f"{arguments.splits} splits a set, everything at the library's default "
            "size unless named.",
            "",
            f"## The defaults against {' and '.join(contest.peers)}",
            "",
            by_set(contest, results).round(4).to_markdown(),
            "",
            "## Each setting, divided by the best of its set",
            "",
            by_setting(results).round(4).to_markdown(),
            "",
        ]
    print("\n".join(text))
    if arguments.write:
        target = Path(__file__).with_name("DEFAULTS.md")
        target.write_text(_PREFACE + "\n".join(text))


_PREFACE = """\
What was tried for the defaults, written by `python benchmarks/defaults.py --write`.
"peer" is the library at its defaults; for LightGBM, measure by measure, the better one
of boost_from_average true and false. "cards n" and "blobs n" are simulated, with n
positives to train on. AP is average precision, recall that at 0.1 % false positives; 1
is the best setting of a set. "mean p off by" is the largest relative difference between
mean probability and base rate on the training rows.

"""

if __name__ == "__main__":
    main()
