"""Compare the default settings with those of the libraries and with neighbours.

    python -m benchmarks.parameters [lightgbm] [xgboost] [--data DIR] [--splits 2]
        [--quick] [--write]

trains the estimators at their default settings and at settings near them, and the
libraries' own classifiers. The command prints average precision and log-loss of the
default settings divided by those of the library (for LightGBM the better of
boost_from_average true and false), and the mean and the worst over data sets for each
setting. --write puts the tables into benchmarks/parameters/README.md and
benchmarks/parameters/results/by_set.csv. One split of all data sets took 6 minutes on
one core of an Intel Xeon; two take some 12.
"""

from __future__ import annotations

import platform
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from lightgbm import LGBMClassifier
from sklearn.metrics import average_precision_score, log_loss
from xgboost import XGBClassifier

import focal_gbm
from benchmarks.common.commands import command
from benchmarks.common.data import Split, data_folder, splits
from benchmarks.common.tables import write_csv
from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.metrics import recall_at_fpr

DEFAULT = "focal, default settings"
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
class Library:
    """Hold an estimator and settings of its parent, the baselines first."""

    name: str
    version: str
    estimator: type
    parent: type
    quiet: dict[str, Any]
    parents: dict[str, dict[str, Any]]
    n_baselines: int

    @property
    def baselines(self) -> list[str]:
        """Return the settings of the parent to compare the default settings with."""
        return list(self.parents)[: self.n_baselines]


LIBRARIES = {
    "lightgbm": Library(
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
    "xgboost": Library(
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
    """Fit on the training rows and measure on the test rows."""
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
    library: Library, folder: Path | None, n_splits: int, quick: bool
) -> pd.DataFrame:
    """Return one row for each data set, split and setting."""
    rows = []
    settings = {DEFAULT: {}} if quick else FOCAL
    for number, split in enumerate(splits(folder, n_splits)):
        models = {
            name: make(**library.quiet, **kwargs)
            for make, kind in (
                (library.parent, library.parents),
                (library.estimator, settings),
            )
            for name, kwargs in kind.items()
        }
        for name, model in models.items():
            rows.append({"set": split.name, "split": number, "model": name})
            rows[-1] |= measure(model, split)
        of_split = pd.DataFrame(rows[-len(models) :]).set_index("model")
        n, n_pos = len(split.y_train), split.y_train.sum()
        ap, baselines = of_split["AP"], of_split.loc[library.baselines]
        print(
            f"{split.name:16} {n:7} rows {n_pos:6} positive  AP "
            f"{ap[DEFAULT]:.3f} / {baselines['AP'].max():.3f}  log-loss "
            f"{of_split['log_loss'][DEFAULT]:.5f} / {baselines['log_loss'].min():.5f}",
            flush=True,
        )
    return pd.DataFrame(rows)


def by_set(library: Library, results: pd.DataFrame) -> pd.DataFrame:
    """Return the default settings against the better baseline, mean over splits."""
    means = results.groupby(["set", "model"], sort=False).mean(numeric_only=True)
    table = {}
    for name, group in means.groupby(level=0, sort=False):
        group = group.droplevel(0)
        ours, baselines = group.loc[DEFAULT], group.loc[library.baselines]
        table[name] = {
            "AP": ours["AP"],
            "AP / baseline": ours["AP"] / baselines["AP"].max(),
            "log-loss": ours["log_loss"],
            "log-loss / baseline": ours["log_loss"] / baselines["log_loss"].min(),
            "difference": ours["log_loss"] - baselines["log_loss"].min(),
        }
    return pd.DataFrame(table).T.round(4)


def ranges(table: pd.DataFrame) -> pd.DataFrame:
    """Return median and range of the ratios of ``by_set`` over data sets."""
    ratios = table[["AP / baseline", "log-loss / baseline"]]
    return ratios.agg(["min", "median", "max"]).round(4)


def by_setting(results: pd.DataFrame) -> pd.DataFrame:
    """Return each setting over data sets, divided by the best of the data set."""
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
    return table.round(4)


def section(library: Library, versions: str, tables: list[pd.DataFrame]) -> str:
    """Return the part of the page about one library."""
    by_set_table, by_setting_table = tables
    return "\n".join(
        [
            f"## {library.name}",
            "",
            versions,
            "",
            f"### Default settings against {' and '.join(library.baselines)}",
            "",
            ranges(by_set_table).to_markdown(),
            "",
            "### Each setting, divided by the best of its data set",
            "",
            by_setting_table.to_markdown(),
            "",
        ]
    )


def write(sections: list[str], tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write the page and the table by data set."""
    parts = [
        table.rename_axis("data set").reset_index().assign(library=name)
        for name, table in tables.items()
    ]
    frame = pd.concat(parts)
    order = ["library", *(name for name in frame if name != "library")]
    write_csv(frame[order], folder / "results" / "by_set.csv")
    (folder / "README.md").write_text(_PREFACE + "\n".join(sections))


def main() -> None:
    """Train, print the tables and write them with --write."""
    parser = command("parameters", __doc__, data=True)
    parser.add_argument("libraries", nargs="*", help=" or ".join(LIBRARIES))
    parser.add_argument("--splits", type=int, default=2, help="of each data set [2]")
    parser.add_argument("--quick", action="store_true", help="default settings alone")
    parser.add_argument("--write", action="store_true", help="write page and CSV")
    arguments = parser.parse_args()
    if unknown := set(arguments.libraries) - set(LIBRARIES):
        parser.error(f"unknown {sorted(unknown)}; choose from {sorted(LIBRARIES)}")
    warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
    folder, sections, tables = data_folder(arguments.data), [], {}
    for name in arguments.libraries or LIBRARIES:
        library = LIBRARIES[name]
        results = run(library, folder, arguments.splits, arguments.quick)
        versions = (
            f"focal_gbm {focal_gbm.__version__}, {library.name} {library.version}, "
            f"Python {platform.python_version()}, {platform.machine()}; "
            f"{arguments.splits} splits of each data set, everything at the library's "
            "default size unless named."
        )
        tables[library.name] = by_set(library, results)
        of_library = [tables[library.name], by_setting(results)]
        sections.append(section(library, versions, of_library))
        print(tables[library.name].to_markdown(), sections[-1], sep="\n\n")
    if arguments.write:
        write(sections, tables, Path(__file__).parent)


_PREFACE = """\
# Which default settings find rare classes best?

`python -m benchmarks.parameters --write` writes this page: the default settings of the
estimators and settings near them. The settings were not found by a search;
[../detection/study.md](../detection/study.md) has the effect of each. Two further pages
belong to the question:
[starting_point.md](starting_point.md) is the search behind `rare_event_params()`, and
[sampling.md](sampling.md) compares switches that train faster.

A baseline is the library at its default settings; for LightGBM, measure by measure, the
better one of boost_from_average true and false. The first table of a library has the
lowest, the median and the highest ratio over data sets.
[results/by_set.csv](results/by_set.csv) has the ratios and the measures by data set.
"cards n" and "blobs n" are simulated, with n positive training rows. AP is average
precision, and recall is that at 0.1 % false positives; 1 is the best setting of a data
set. "mean p off by" is the largest relative difference between mean probability and
base rate on the training rows.

"""
