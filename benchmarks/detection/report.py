"""Write the page, its pictures and its table by data set from detection.jsonl.

    python -m benchmarks.detection.report [FILE] [--to DIR]

takes some seconds. It writes DIR/README.md, and pictures and CSV to DIR/results.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import entr

from benchmarks.common import runner
from benchmarks.common.commands import command
from benchmarks.common.data import (
    CROSS_FIT_DEVELOPMENT,
    DEVELOPMENT,
    HANDBOOK_SET,
    MOST_ROWS,
)
from benchmarks.common.intervals import over_repeats, over_sets
from benchmarks.common.tables import markdown, write_csv
from benchmarks.detection.evaluation import FILE, TRIALS
from benchmarks.detection.models import BY_NAME, CROSS_FIT, LOG_LOSS, OURS
from benchmarks.detection.pictures import (
    draw_differences,
    draw_probabilities,
    draw_shares,
)

MEASURES = {
    "ap": "AP",
    "recall_01": "recall at 0.1 %",
    "recall_1": "recall at 1 %",
    "precision": "precision at budget",
    "auc": "ROC AUC",
}
COLUMNS = {  # of the table by data set
    **MEASURES,
    "log_loss": "log-loss",
    "brier_skill": "Brier skill",
    "in_the_large": "predicted / observed",
    "card_precision": "card precision",
    "fit_s": "fit seconds",
    "predict_s": "predict seconds",
}
FAILED = 0.9  # of the best average precision at default settings; below, a collapse
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
    (CROSS_FIT, "FocalLGBM, starting point"),
    (CROSS_FIT, "CatBoost"),
    (CROSS_FIT, "AutoGluon"),
    ("FocalClassifierCV, XGBoost", "CatBoost"),
)
ENOUGH = 100  # positive training rows from which probabilities are compared


class Results:
    """Hold the records of a run: ``fits`` has a row a fit, ``searches`` a row a search.

    A fit that two processors have run counts once, by the later record.

    A fit that failed gets the measures of a model that ranks at random: average
    precision of the base rate, recall of the false-positive rate, no skill.
    """

    def __init__(self, file: Path) -> None:
        records = runner.read(file)
        if not records:
            message = (
                f"{file} holds no results: run `python -m benchmarks.detection` first, "
                "or pass the file that the command wrote"
            )
            raise SystemExit(message)
        frame = pd.DataFrame([{**r["key"], **r} for r in records]).drop(columns="key")
        if "error" not in frame:
            frame["error"] = np.nan
        self.machines = runner.described(file)
        self.cost = frame["cpu_s"].sum() / 3600
        fits = frame[frame["what"] == "evaluate"].copy()
        fits["tuned"] = fits["tuned"].astype(bool)
        plain = fits[(fits["model"] == "LightGBM") & ~fits["tuned"]]
        unit = plain.groupby(["processor", "set"])["fit_s"].mean().rename("unit_s")
        searches = frame[frame["what"] == "tune"].join(unit, on=["processor", "set"])
        self.searches = searches.dropna(axis=1, how="all")
        keys = ["set", "model", "tuned", "repeat"]
        fits = fits.drop_duplicates(keys, keep="last")
        for name in ("rate", "n_train", "n_positive", "n_test", "overlap"):
            known = fits.groupby(["set", "repeat"])[name].transform("max")
            fits[name] = fits[name].fillna(known)
        fits["failed"] = fits["error"].notna() | fits["ap"].isna()
        rows = fits["failed"]
        rate = fits.loc[rows, "rate"]
        entropy = entr(rate) + entr(1 - rate)
        nothing = {"ap": rate, "precision": rate, "recall_01": 1e-3, "recall_1": 1e-2}
        nothing |= {"auc": 0.5, "log_loss": entropy, "brier_skill": 0.0}
        for name, value in nothing.items():
            fits.loc[rows, name] = value
        self.fits = fits
        self.sets = list(dict.fromkeys(fits["set"]))

    def means(self, measure: str, *, tuned: bool) -> pd.DataFrame:
        """Return models by data sets, mean over repeats."""
        rows = self.fits[self.fits["tuned"] == tuned]
        table = rows.pivot_table(measure, "model", "set", "mean", sort=False)
        order = [name for name in BY_NAME if name in table.index]
        return table.reindex(index=order, columns=self.sets)

    def differences(
        self, model: str, baseline: str, measure: str = "ap", *, tuned: bool
    ) -> pd.DataFrame:
        """Return model minus baseline with its interval, a row a data set."""
        rows = self.fits[self.fits["tuned"] == tuned].set_index("model")
        index = ["set", "repeat"]
        minuend, subtrahend = (
            rows.loc[[name]].set_index(index)[measure] for name in (model, baseline)
        )
        difference = (minuend - subtrahend).dropna()
        overlap = rows.groupby("set")["overlap"].first()
        table = {}
        for name, values in difference.groupby(level="set", sort=False):
            mean, low, high = over_repeats(values, overlap[name])
            table[name] = {"difference": mean, "low": low, "high": high}
        return pd.DataFrame(table).T


def by_set(results: Results) -> pd.DataFrame:
    """Return every measure of each model on each data set, mean over repeats."""
    columns = {name: of for name, of in COLUMNS.items() if name in results.fits}
    names = {"tuned": "settings", "model": "model", "set": "data set"}
    means = results.fits.groupby(list(names))[list(columns)].mean()
    order = [
        (tuned, model, data_set)
        for tuned, model, data_set in product((False, True), BY_NAME, results.sets)
        if (tuned, model, data_set) in means.index
    ]
    table = means.reindex(order).reset_index()
    table["tuned"] = np.where(table["tuned"], "tuned", "default")
    return table.rename(columns=names | columns)


def summary(results: Results, *, tuned: bool) -> pd.DataFrame:
    """Return each model over all data sets, relative to the best of each data set."""
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
    """Return the errors, with the number of fits and the data sets."""
    rows = results.fits[results.fits["failed"]].copy()
    rows["error"] = rows["error"].fillna("probabilities that are not a number")
    groups = rows.groupby(["model", "error"], sort=False)["set"]
    table = groups.agg([("fits", "size"), ("sets", lambda s: ", ".join(s.unique()))])
    return table.reset_index().rename(columns={"sets": "data sets"})


def compared(
    results: Results, pairs: Iterable[tuple[str, str]], measure: str, *, tuned: bool
) -> pd.DataFrame:
    """Compare models with baselines: mean difference over data sets, its interval, and
    the data sets won, tied and lost by their own intervals."""
    rows = []
    for model, baseline in pairs:
        table = results.differences(model, baseline, measure, tuned=tuned)
        mean, low, high = over_sets(table["difference"])
        won, lost = int((table["low"] > 0).sum()), int((table["high"] < 0).sum())
        rows.append(
            {
                "model": model,
                "baseline": baseline,
                "mean difference": f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]",
                "won": won,
                "tied": len(table) - won - lost,
                "lost": lost,
                "lowest on": table["difference"].idxmin(),
                "lowest difference": table["difference"].min(),
            }
        )
    return pd.DataFrame(rows)


def known_pairs(results: Results) -> list[tuple[str, str]]:
    """Return the pairs to compare at default settings whose models both have fits."""
    known = set(results.fits["model"])
    return [pair for pair in DEFAULT_PAIRS if set(pair) <= known]


def tuned_pairs(results: Results) -> list[tuple[str, str]]:
    """Return each tuned model of focal_gbm with each tuned model of log-loss."""
    tuned = results.fits.loc[results.fits["tuned"], "model"].unique()
    ours, log_loss = (
        [name for name in tuned if BY_NAME[name].group == group]
        for group in (OURS, LOG_LOSS)
    )
    return list(product(ours, log_loss))


def against_tuned(results: Results) -> pd.DataFrame:
    """Compare models at default settings with the best model tuned or not, and with
    the probabilities and the time of CatBoost."""
    best = results.means("ap", tuned=True).max()
    shares = results.means("ap", tuned=False) / best
    seen = {*DEVELOPMENT, *CROSS_FIT_DEVELOPMENT, HANDBOOK_SET}
    recall = results.means("recall_01", tuned=False)
    loss = results.means("log_loss", tuned=False)
    positives = results.fits.groupby("set")["n_positive"].mean()
    enough = [name for name in results.sets if positives[name] >= ENOUGH]
    ratio = results.means("in_the_large", tuned=False)[enough]
    seconds = results.means("fit_s", tuned=False)
    table = {
        "AP": shares.mean(axis=1),
        "worst AP": shares.min(axis=1),
        "AP, unseen": shares.drop(columns=seen, errors="ignore").mean(axis=1),
        "log-loss": (loss / loss.min()).median(axis=1),
        "predicted / observed, least": ratio.min(axis=1),
        "most": ratio.max(axis=1),
    }
    if "CatBoost" in seconds.index:
        table["recall, of CatBoost's"] = (recall / recall.loc["CatBoost"]).mean(axis=1)
        relative = np.log(seconds / seconds.loc["CatBoost"])
        table["fit time, of CatBoost's"] = np.exp(relative.mean(axis=1))
    return pd.DataFrame(table)


def tuning_cost(results: Results) -> pd.DataFrame:
    """Return the time of a search and its validation scores, mean over searches."""
    searches = results.searches
    ratio = searches["cpu_s"] / searches["unit_s"]
    columns = {
        "cpu_s": "seconds a search",
        "fits": "in default fits of LightGBM",
        "first": "first trial",
        "validation": "best trial",
    }
    groups = searches.assign(fits=ratio).groupby("model", sort=False)
    return groups[list(columns)].mean().rename(columns=columns)


def sizes(results: Results) -> pd.DataFrame:
    """Return rows and positives of each data set."""
    columns = ["n_train", "n_positive", "n_test", "rate"]
    table = results.fits.groupby("set", sort=False)[columns].mean()
    counts = table[columns[:3]].round().astype(int)
    table = counts.assign(rate=100 * table["rate"])
    names = ["training rows", "of them positive", "test rows", "% positive"]
    return table.set_axis(names, axis=1).rename_axis("data set")


def text(results: Results) -> str:
    """Return the page."""
    parts = [
        _HEAD.format(
            cost=results.cost,
            fits=len(results.fits),
            sets=len(results.sets),
            rows=MOST_ROWS,
            repeats=results.fits["repeat"].nunique(),
            searched=results.searches["repeat"].nunique()
            if len(results.searches)
            else 0,
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
        "\n### Fits that failed\n",
        markdown(failures(results), index=False),
        _PROBABILITIES,
    ]
    if len(results.searches):
        parts += [
            _TUNED,
            markdown(
                compared(results, tuned_pairs(results), "ap", tuned=True),
                4,
                index=False,
            ),
            "\n![Differences](results/differences.png)\n",
            markdown(summary(results, tuned=True)),
            "\n### Cost of tuning\n",
            markdown(tuning_cost(results)),
            _AGAINST.format(enough=ENOUGH),
            markdown(against_tuned(results).reindex(BY_NAME).dropna()),
        ]
    return "\n".join(parts) + "\n"


_HEAD = """\
# How well do the models find rare classes?

`python -m benchmarks.detection` trains and evaluates the models, and
`python -m benchmarks.detection.report` writes this page from
[results/detection.jsonl](results/detection.jsonl). {fits} fits and all searches on
{sets} data sets took {cost:.1f} core-hours. [results/by_set.csv](results/by_set.csv)
has every measure of every model on every data set. [study.md](study.md) explains the
result by the parameters of the loss.

{machines}

Training rows are capped at {rows:,}. Weeks of transactions and data sets with at most
500 positive training rows are not capped. There are {repeats} repeats, {searched} of
them with searches of {trials} trials. A fit runs on one thread; times are processor
times. Repeats of `transactions` and `handbook` are other weeks in the order of time,
with a gap of a week for late labels, without cards known to be compromised; these
repeats share no row. Repeats of all other data sets halve the same rows at random.
"""
_DEFAULTS = """
## Default settings

Each measure is divided by that of the best model on the data set; the table has the
mean over data sets. Log-loss is the geometric mean of its ratio to the best; fit time
and predict time are geometric means of the ratio to LightGBM. A collapse is a data set
with an average precision below 0.9 of the best. A fit that failed counts as a model
that ranks at random. The budget is as many alerts as expected positives. MB is the
largest memory of fit, prediction and evaluation beyond the data.

smtp has 15 positives in 47,578 training rows, and a bin of a histogram of 256 bins
holds 186 of these rows: no loss can separate positives from other rows of their bin.
YDF takes exact thresholds, and the starting points take 1024 bins. Rows of most of
these data sets chose the starting points; the last table of the page separates the
data sets that did not.

![Shares](results/shares.png)
"""
_PAIRS = """
### Model minus baseline, default settings

The interval of the mean is Student's over data sets. A model wins or loses a data set
if the interval of the data set, corrected for the overlap of repeats (Nadeau and Bengio
2003), leaves out 0. "Protected" is `boost_from_average=False, min_child_weight=1`;
"starting point" is `rare_event_params()`. Between two models with the same starting
point, only the loss differs.
"""
_PROBABILITIES = """
## Probabilities

Mean predicted over observed probability on the test rows at default settings; 1 is
right.

![Predicted over observed](results/probabilities.png)
"""
_TUNED = """
## Tuned

Every model is tuned in every repeat, on the training rows alone, for average precision.
The table compares average precision, with intervals as above. No correction for the
number of comparisons is made, which favours finding losses as well as gains.
"""
_AGAINST = """
## Default settings against the best tuned model

AP is the average precision of a model at default settings over that of the best tuned
model on the data set, mean over data sets. Rows of most data sets chose the starting
points and the sizes of FocalClassifierCV: "unseen" are transactions and donors, whose
rows chose nothing; [cross_fit.md](../parameters/cross_fit.md) has nine such data sets.
Log-loss is the median of its ratio to the lowest of a data set at default settings.
Predicted over observed is that of data sets with {enough} positive training
rows. Recall at 0.1 % is the mean ratio to CatBoost's. AutoGluon gets LightGBM, XGBoost,
CatBoost, five folds and the time of FocalClassifierCV with LightGBM. FLAML's XGBoost
has two repeats, as a fit takes up to a minute.
"""


def main() -> None:
    """Write the page, its pictures and its table."""
    parser = command("detection.report", __doc__)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent, metavar="DIR")
    arguments = parser.parse_args()
    results = Results(arguments.file)
    folder = arguments.to / "results"
    folder.mkdir(parents=True, exist_ok=True)
    draw_shares(results.means("ap", tuned=False), folder / "shares.png")
    draw_probabilities(
        results.means("in_the_large", tuned=False), folder / "probabilities.png"
    )
    if len(results.searches):
        tables = {
            f"{model} minus {baseline}": results.differences(
                model, baseline, tuned=True
            )
            for model, baseline in TUNED_PAIRS
        }
        draw_differences(tables, folder / "differences.png")
    write_csv(by_set(results), folder / "by_set.csv")
    page = arguments.to / "README.md"
    page.write_text(text(results))
    print(page)


if __name__ == "__main__":
    main()
