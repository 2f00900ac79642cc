"""Make RESULTS.md and its pictures of what detection.py wrote.

python benchmarks/report.py [FILE] [--to DIR]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import runner
from contestants import BY_NAME, LOG_LOSS, OURS
from detection import FILE, MOST_ROWS, TRIALS
from pictures import draw_differences, draw_probabilities, draw_shares
from scipy import stats
from scipy.special import entr
from starting_point import DEVELOPMENT

MEASURES = {
    "ap": "AP",
    "recall_01": "recall at 0.1 %",
    "recall_1": "recall at 1 %",
    "precision": "precision at budget",
    "auc": "ROC AUC",
}
FAILED = 0.9  # of the best default's average precision; below, a collapse
TUNED_PAIRS = (("FocalLGBM", "LightGBM"), ("FocalXGB", "XGBoost"))
DEFAULT_PAIRS = (
    *TUNED_PAIRS,
    ("FocalLGBM", "LightGBM, protected"),
    ("FocalXGB", "XGBoost, max_delta_step=1"),
    ("FocalLGBM, starting point", "FocalLGBM"),
    ("FocalXGB, starting point", "FocalXGB"),
    ("FocalLGBM, starting point", "LightGBM, protected, starting point"),
    ("FocalXGB, starting point", "XGBoost, starting point"),
    ("FocalLGBM, starting point", "CatBoost"),
    ("FocalXGB, starting point", "CatBoost"),
)


class Results:
    """The records of a run as frames: ``judged`` a row a fit, ``tuned`` a row a search.

    A fit that failed has the measures of a model that ranks at random: average
    precision of the base rate, recall of the false-positive rate, no skill.
    """

    def __init__(self, file: Path) -> None:
        records = runner.read(file)
        frame = pd.DataFrame([{**r["key"], **r} for r in records]).drop(columns="key")
        if "error" not in frame:
            frame["error"] = np.nan
        self.machines = runner.described(file)
        self.cost = frame["cpu_s"].sum() / 3600
        self.tuned = frame[frame["what"] == "tune"].dropna(axis=1, how="all")
        judged = frame[frame["what"] == "judge"].copy()
        judged["tuned"] = judged["tuned"].astype(bool)
        for name in ("rate", "n_train", "n_positive", "n_test", "overlap"):
            known = judged.groupby(["set", "repeat"])[name].transform("max")
            judged[name] = judged[name].fillna(known)
        judged["failed"] = judged["error"].notna() | judged["ap"].isna()
        rows = judged["failed"]
        rate = judged.loc[rows, "rate"]
        entropy = entr(rate) + entr(1 - rate)
        nothing = {"ap": rate, "precision": rate, "recall_01": 1e-3, "recall_1": 1e-2}
        nothing |= {"auc": 0.5, "log_loss": entropy, "brier_skill": 0.0}
        for name, value in nothing.items():
            judged.loc[rows, name] = value
        self.judged = judged
        self.sets = list(dict.fromkeys(judged["set"]))

    def means(self, measure: str, *, tuned: bool) -> pd.DataFrame:
        """Return contestants by sets, mean over repeats."""
        rows = self.judged[self.judged["tuned"] == tuned]
        table = rows.pivot_table(measure, "contestant", "set", "mean", sort=False)
        order = [name for name in BY_NAME if name in table.index]
        return table.reindex(index=order, columns=self.sets)

    def differences(
        self, ours: str, rival: str, measure: str = "ap", *, tuned: bool
    ) -> pd.DataFrame:
        """Return ours minus rival with its interval, a row a set.

        The variance of the mean of k repeats is s^2 (1/k + n_test/n_train) where
        repeats draw the same rows again (Nadeau and Bengio 2003, "Inference for the
        generalization error", eq. 9), s^2 / k where they share none.
        """
        rows = self.judged[self.judged["tuned"] == tuned].set_index("contestant")
        index = ["set", "repeat"]
        mine, theirs = (
            rows.loc[[name]].set_index(index)[measure] for name in (ours, rival)
        )
        difference = (mine - theirs).dropna()
        overlap = rows.groupby("set")["overlap"].first()
        table = {}
        for name, values in difference.groupby(level="set", sort=False):
            k = len(values)
            error = values.std(ddof=1) * np.sqrt(1 / k + overlap[name])
            half = stats.t.ppf(0.975, k - 1) * error
            table[name] = {
                "difference": values.mean(),
                "low": values.mean() - half,
                "high": values.mean() + half,
            }
        return pd.DataFrame(table).T


def over_sets(differences: pd.Series) -> tuple[float, float, float]:
    """Return the mean over sets and its interval of 95 % by Student's t."""
    n = len(differences)
    error = differences.std(ddof=1) / np.sqrt(n)
    half = stats.t.ppf(0.975, n - 1) * error
    mean = differences.mean()
    return mean, mean - half, mean + half


def summary(results: Results, *, tuned: bool) -> pd.DataFrame:
    """Return each contestant over all sets, relative to the best of each set."""
    table = {}
    for measure, label in MEASURES.items():
        means = results.means(measure, tuned=tuned)
        share = means / means.max()
        table[label] = share.mean(axis=1)
        if measure == "ap":
            table["worst AP"] = share.min(axis=1)
            table["collapses"] = (share < FAILED).sum(axis=1)
    loss = results.means("log_loss", tuned=tuned)
    table["log-loss"] = np.exp(np.log(loss / loss.min()).mean(axis=1))
    table["Brier skill"] = results.means("brier_skill", tuned=tuned).mean(axis=1)
    seconds = results.means("fit_s", tuned=tuned)
    relative = np.log(seconds / seconds.loc["LightGBM"])
    table["fit time"] = np.exp(relative.mean(axis=1))
    predict = results.means("predict_s", tuned=tuned)
    relative = np.log(predict / predict.loc["LightGBM"])
    table["predict time"] = np.exp(relative.mean(axis=1))
    memory = results.means("peak_mb", tuned=tuned).max(axis=1)
    table["MB"] = memory.round().astype(int)
    return pd.DataFrame(table).reindex(loss.index)


def failures(results: Results) -> pd.DataFrame:
    """Return what failed, with the number of fits and the message."""
    rows = results.judged[results.judged["failed"]].copy()
    rows["error"] = rows["error"].fillna("probabilities that are not a number")
    by = ["contestant", "error"]
    groups = rows.groupby(by, sort=False)["set"]
    table = groups.agg([("fits", "size"), ("sets", lambda s: ", ".join(s.unique()))])
    return table.reset_index()


def compared(
    results: Results, pairs: Iterable[tuple[str, str]], measure: str, *, tuned: bool
) -> pd.DataFrame:
    """Return ours against rivals: the mean difference over sets, its interval, and the
    sets won, tied and lost by their own intervals."""
    rows = []
    for ours, rival in pairs:
        table = results.differences(ours, rival, measure, tuned=tuned)
        mean, low, high = over_sets(table["difference"])
        won, lost = int((table["low"] > 0).sum()), int((table["high"] < 0).sum())
        rows.append(
            {
                "ours": ours,
                "rival": rival,
                "mean difference": f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]",
                "won": won,
                "tied": len(table) - won - lost,
                "lost": lost,
                "worst set": table["difference"].idxmin(),
                "there": table["difference"].min(),
            }
        )
    return pd.DataFrame(rows)


def known_pairs(results: Results) -> list[tuple[str, str]]:
    """Return the pairs of interest of which both were measured."""
    known = set(results.judged["contestant"])
    return [pair for pair in DEFAULT_PAIRS if set(pair) <= known]


def tuned_pairs(results: Results) -> list[tuple[str, str]]:
    """Return each of ours with each log-loss rival, where both were tuned."""
    tuned = results.judged.loc[results.judged["tuned"], "contestant"].unique()
    ours, rivals = (
        [name for name in tuned if BY_NAME[name].group == group]
        for group in (OURS, LOG_LOSS)
    )
    return list(product(ours, rivals))


def against_tuned(results: Results) -> pd.DataFrame:
    """Return each default's average precision over that of the best tuned contestant,
    mean over all sets and over those that no part of a starting point was chosen on."""
    best = results.means("ap", tuned=True).max()
    shares = results.means("ap", tuned=False) / best
    unseen = shares.drop(columns=[*DEVELOPMENT, "handbook"], errors="ignore")
    columns = {"all sets": shares, "unseen sets": unseen}
    return pd.DataFrame({name: table.mean(axis=1) for name, table in columns.items()})


def searches(results: Results) -> pd.DataFrame:
    """Return what tuning cost and gained on its folds, mean over sets and repeats."""
    columns = {"cpu_s": "seconds a search", "first": "first", "validation": "best"}
    table = results.tuned.groupby("contestant", sort=False)[list(columns)].mean()
    return table.rename(columns=columns)


def sizes(results: Results) -> pd.DataFrame:
    """Return rows and positives of each set."""
    columns = ["n_train", "n_positive", "n_test", "rate"]
    table = results.judged.groupby("set", sort=False)[columns].mean()
    counts = table[columns[:3]].round().astype(int)
    table = counts.assign(rate=100 * table["rate"])
    names = ["rows to train on", "positives there", "rows to judge by", "% positive"]
    return table.set_axis(names, axis=1)


def markdown(table: pd.DataFrame, digits: int = 3, **options: Any) -> str:
    """Return a table with numbers that can be read."""
    frame = table.copy()
    whole = frame.select_dtypes("integer").columns
    frame[whole] = frame[whole].astype(str)  # tabulate would make them floats
    text: str = frame.to_markdown(**{"floatfmt": f".{digits}f", **options})
    return text


def text(results: Results) -> str:
    """Return RESULTS.md."""
    parts = [
        _HEAD.format(
            cost=results.cost,
            fits=len(results.judged),
            sets=len(results.sets),
            rows=MOST_ROWS,
            repeats=results.judged["repeat"].nunique(),
            searched=results.tuned["repeat"].nunique() if len(results.tuned) else 0,
            trials=TRIALS,
            machines=results.machines,
        ),
        markdown(sizes(results)),
        _DEFAULTS,
        markdown(summary(results, tuned=False)),
        _PAIRS,
        *(
            f"\n{MEASURES[measure]}\n\n"
            + markdown(
                compared(results, known_pairs(results), measure, tuned=False),
                4,
                index=False,
            )
            for measure in ("ap", "recall_01")
        ),
        "\n### Average precision\n",
        markdown(results.means("ap", tuned=False)),
        "\n### Recall at 0.1 % false positives\n",
        markdown(results.means("recall_01", tuned=False)),
        "\n### Card precision (handbook: 100 cards a day; transactions: 20)\n",
        markdown(results.means("card_precision", tuned=False).dropna(axis=1)),
        "\n### Fits that failed\n",
        markdown(failures(results), index=False),
        _PROBABILITIES,
        markdown(results.means("in_the_large", tuned=False), 2),
        "\n### Log-loss\n",
        markdown(results.means("log_loss", tuned=False), 5),
    ]
    if len(results.tuned):
        parts += [
            _TUNED,
            markdown(
                compared(results, tuned_pairs(results), "ap", tuned=True),
                4,
                index=False,
            ),
            "\n![Differences](differences.png)\n",
            markdown(summary(results, tuned=True)),
            "\n### Average precision\n",
            markdown(results.means("ap", tuned=True)),
            "\n### Predicted over observed, tuned for average precision\n",
            markdown(results.means("in_the_large", tuned=True), 2),
            "\n### What tuning cost\n",
            markdown(searches(results)),
            _AGAINST,
            markdown(against_tuned(results).reindex(BY_NAME).dropna()),
        ]
    return "\n".join(parts) + "\n"


_HEAD = """\
# Results

Written by `python benchmarks/report.py` from `benchmarks/results/detection.jsonl`,
which `python benchmarks/detection.py` makes. {fits} fits and all searches on {sets}
sets took {cost:.1f} core-hours.

{machines}

What was capped: {rows:,} rows to train on, but for the weeks of transactions and for
sets with fewer than 500 positives, which are whole; {repeats} repeats, {searched} of
them with searches of {trials} trials; one thread a fit; times are of the processor.
Repeats of `transactions` and `handbook` are other weeks, in the order of time with a
week of labels missing, known compromised cards removed; they share no row. All other
sets are halved at random again and again.
"""
_DEFAULTS = """
## Everything at its defaults

Means over sets of each measure divided by the best contestant's of that set. Log-loss
is the geometric mean of its ratio to the best, fit and predict time that to LightGBM. A
collapse is a set with average precision below 0.9 of the best. A fit that failed counts
as a model that ranks at random. The budget is as many alerts as positives are expected.
MB is the largest memory that fitting, predicting and judging took beyond the data.

smtp has 15 positives in 47,578 rows to train on, and a histogram of 256 bins has 186 of
these rows in a bin: where they share one with others, no loss can tell them apart. YDF
takes exact thresholds, the starting points 1024 bins. The starting points were chosen
on rows of most of these sets; the end of the page has the others apart.

![Shares](shares.png)
"""
_PAIRS = """
### Ours minus rival, at defaults

The interval of the mean is Student's over sets; a set is won or lost where its own
interval, corrected for the overlap of repeats (Nadeau and Bengio 2003), leaves out 0.
"Protected" is `boost_from_average=False, min_child_weight=1`, "starting point" is
`rare_event_params()`: against a rival with the same, what is left is the loss.
"""
_PROBABILITIES = """
## Probabilities

Mean predicted over observed probability on rows to judge by, everything at its
defaults; 1 is right.

![Predicted over observed](probabilities.png)
"""
_TUNED = """
## Everything tuned

Every contestant is tuned anew in every repeat, on its training rows alone, for average
precision. Ours minus rival in average precision, intervals as above. Nothing is
corrected for the number of comparisons, which favours finding losses as well as gains.
"""
_AGAINST = """
## Defaults against the best tuned

Average precision of a contestant that nobody tuned over that of the best tuned one of
the set, mean over sets. The starting points were chosen on rows of sets that are judged
by here: "unseen" are transactions, vehicle_claims and donors alone.
"""


def main() -> None:
    """Write the page and its pictures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    results = Results(arguments.file)
    arguments.to.mkdir(exist_ok=True)
    draw_shares(results.means("ap", tuned=False), arguments.to / "shares.png")
    draw_probabilities(
        results.means("in_the_large", tuned=False), arguments.to / "probabilities.png"
    )
    if len(results.tuned):
        tables = {
            f"{ours} minus {rival}": results.differences(ours, rival, tuned=True)
            for ours, rival in TUNED_PAIRS
        }
        draw_differences(tables, arguments.to / "differences.png")
    target = arguments.to / "RESULTS.md"
    target.write_text(text(results))
    print(target)


if __name__ == "__main__":
    main()
