"""Do the defaults earn their place? FocalLGBMClassifier at its defaults and around
them, against LightGBM at its defaults with boost_from_average true and false.

    python benchmarks/defaults.py [--data DIR] [--splits 2] [--quick]

prints, for each set, average precision and log-loss of the defaults divided by
the better of the two LightGBMs, and for each setting tried the mean and the worst
over sets. The table goes to benchmarks/DEFAULTS.md with --write.
"""

from __future__ import annotations

import argparse
import platform
import warnings
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
from data import Split, data_folder, splits
from lightgbm import LGBMClassifier
from sklearn.metrics import average_precision_score, log_loss

import focal_gbm
from focal_gbm import FocalLGBMClassifier
from focal_gbm.metrics import recall_at_fpr

LIGHTGBM = {
    "LightGBM": {},
    "LightGBM, boost_from_average=False": {"boost_from_average": False},
    "LightGBM, min_child_weight=1": {"min_child_weight": 1.0},
    "LightGBM, both": {"boost_from_average": False, "min_child_weight": 1.0},
}
PEERS = tuple(LIGHTGBM)[:2]  # what the defaults are held against
DEFAULT = "focal, defaults"
FOCAL = {
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


def measure(model: LGBMClassifier, split: Split) -> dict[str, float]:
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


def run(folder: Path | None, n_splits: int, quick: bool) -> pd.DataFrame:
    """Return one row for each set, split and setting."""
    rows = []
    settings = {DEFAULT: {}} if quick else FOCAL
    for number, split in enumerate(splits(folder, n_splits)):
        models = {k: LGBMClassifier(verbose=-1, **v) for k, v in LIGHTGBM.items()}
        models |= {k: FocalLGBMClassifier(verbose=-1, **v) for k, v in settings.items()}
        for name, model in models.items():
            rows.append({"set": split.name, "split": number, "model": name})
            rows[-1] |= measure(model, split)
        done = pd.DataFrame(rows[-len(models) :]).set_index("model")
        n, n_pos = len(split.y_train), split.y_train.sum()
        ap, peers = done["AP"], done.loc[list(PEERS)]
        print(
            f"{split.name:16} {n:7} rows {n_pos:6} positive  AP "
            f"{ap[DEFAULT]:.3f} / {peers['AP'].max():.3f}  log-loss "
            f"{done['log_loss'][DEFAULT]:.5f} / {peers['log_loss'].min():.5f}",
            flush=True,
        )
    return pd.DataFrame(rows)


def by_set(results: pd.DataFrame) -> pd.DataFrame:
    """Return the defaults against the better LightGBM, mean over splits."""
    means = results.groupby(["set", "model"], sort=False).mean(numeric_only=True)
    table = {}
    for name, group in means.groupby(level=0, sort=False):
        group = group.droplevel(0)
        ours, peers = group.loc[DEFAULT], group.loc[list(PEERS)]
        table[name] = {
            "AP": ours["AP"],
            "AP / better": ours["AP"] / peers["AP"].max(),
            "log-loss": ours["log_loss"],
            "log-loss / better": ours["log_loss"] / peers["log_loss"].min(),
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
    parser.add_argument("--data", help="folder of the data sets")
    parser.add_argument("--splits", type=int, default=2, help="splits of each set")
    parser.add_argument("--quick", action="store_true", help="the defaults alone")
    parser.add_argument("--write", action="store_true", help="write DEFAULTS.md")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
    results = run(data_folder(arguments.data), arguments.splits, arguments.quick)
    tables = {
        "The defaults against the better of two LightGBMs": by_set(results),
        "Each setting, divided by the best of its set": by_setting(results),
    }
    text = [
        f"focal_gbm {focal_gbm.__version__}, LightGBM {lightgbm.__version__}, Python "
        f"{platform.python_version()}, {platform.machine()}; {arguments.splits} splits "
        "a set, everything at the library's default size unless named."
    ]
    for title, table in tables.items():
        text += ["", f"## {title}", "", table.round(4).to_markdown()]
    print("\n".join(text))
    if arguments.write:
        target = Path(__file__).with_name("DEFAULTS.md")
        target.write_text(
            "# What was tried for the defaults\n\n" + _PREFACE + "\n".join(text) + "\n"
        )


_PREFACE = """\
Written by `python benchmarks/defaults.py --write`. The better LightGBM is, measure by
measure, the better one of boost_from_average true and false. "cards n" and "blobs n"
are simulated, with n positives to train on. AP is average precision, recall that at
0.1 % false positives; 1 is the best setting of a set. "mean p off by" is the largest
relative difference between mean probability and base rate on the training rows.

"""

if __name__ == "__main__":
    main()
