"""Compare the ways to train on labels that arrive late.

    python -m benchmarks.delays [--repeats 3] [--customers 1500] [--data DIR]
        [--small] [--write]

trains both libraries, with ``rare_event_params()``, on a cut of a stream of
transactions, and measures them on the week after the cut, all labels of which count:

- rows whose labels have matured (90 % of the reports are in), the custom
- the last 28 days, labels as they are
- the same with the maturity as a weight of the rows
- the same with ``label_maturity``: by the true curve, by the curve that
  ``ReportingDelay`` estimates from the reports so far, on these rows and on the mature
  rows too, and by curves whose mean delay is half and twice the true one
- the same with all labels known, which nobody has

Streams are simulated, with delays of mean 3, 10 and 30 days, and weeks of the Fraud
Detection Handbook, with 3 and 10 days. --write writes benchmarks/delays/README.md and
the measures of every model. Three repeats took 25 minutes on one core of an Intel
Xeon.
"""

from __future__ import annotations

import platform
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import xgboost
from sklearn.metrics import average_precision_score, log_loss

import focal_gbm
from benchmarks.common.commands import command
from benchmarks.common.data import data_folder
from benchmarks.common.intervals import over_repeats
from benchmarks.common.measures import warm_up
from benchmarks.common.runner import machine
from benchmarks.common.tables import markdown, write_csv
from benchmarks.delays.streams import SCENARIOS, Stream, simulated, streams
from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.delays import ReportingDelay
from focal_gbm.metrics import (
    calibration_in_the_large,
    card_precision_at_k,
    recall_at_fpr,
)

WINDOW = 28  # days of training rows
MATURE = 0.9  # of the reports, after which the custom takes a label for final
ALERTS = 50  # a day that a team has investigated
LIBRARIES: dict[str, Any] = {
    "LightGBM": lambda: FocalLGBMClassifier(
        **FocalLGBMClassifier.rare_event_params(), verbose=-1, n_jobs=1
    ),
    "XGBoost": lambda: FocalXGBClassifier(
        **FocalXGBClassifier.rare_event_params(), n_jobs=1
    ),
}
DROPPED, AS_THEY_ARE, TRUE, KNOWN = (
    "mature rows alone",
    "labels as they are",
    "label_maturity, true curve",
    "all labels known",
)
ESTIMATED = "label_maturity, estimated curve"
BOTH = "the same, and the mature rows too"
MEASURES = {
    "ap": "average precision",
    "recall": "recall",
    "cards": "card precision",
    "log_loss": "log-loss",
    "ratio": "predicted / observed",
}


def estimated(stream: Stream) -> np.ndarray:
    """Return the maturity of each row by the reports known at the cut."""
    known = stream.seen > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about few reports
        curve = ReportingDelay().fit(stream.delay[known], stream.age[known])
    return curve.maturity(np.maximum(stream.age, 0))


def ways(stream: Stream) -> Iterator[tuple[str, np.ndarray, np.ndarray, dict]]:
    """Yield name, training rows, labels and arguments of fit of each way."""
    age = stream.age
    window = (age > 0) & (age <= WINDOW)
    curve = np.clip(stream.known_by(np.maximum(age, 0), 1.0), 1e-4, 1)
    ages = np.linspace(0, 200, 20_001)
    mature = ages[np.searchsorted(stream.known_by(ages, 1.0), MATURE)]
    yield DROPPED, (age > mature) & (age <= mature + WINDOW), stream.seen, {}
    yield AS_THEY_ARE, window, stream.seen, {}
    yield "maturity as a weight", window, stream.seen, {"sample_weight": curve}
    yield TRUE, window, stream.seen, {"label_maturity": curve}
    maturity = {"label_maturity": estimated(stream)}
    yield ESTIMATED, window, stream.seen, maturity
    yield BOTH, (age > 0) & (age <= mature + WINDOW), stream.seen, maturity
    for factor, word in ((0.5, "half"), (2.0, "twice")):
        wrong = np.clip(stream.known_by(np.maximum(age, 0), factor), 1e-4, 1)
        name = f"label_maturity, mean delay taken for {word} of it"
        yield name, window, stream.seen, {"label_maturity": wrong}
    yield KNOWN, window, stream.truth, {}


def investigated(stream: Stream) -> Iterator[tuple[str, np.ndarray, np.ndarray, dict]]:
    """Yield the ways where a team has looked at the alerts of each of the last days.

    The model of before, trained on mature rows, raises the alerts; the labels of those
    rows are final.
    """
    _, rows, labels, _ = next(ways(stream))
    before = LIBRARIES["LightGBM"]().fit(stream.X[rows], labels[rows])
    age = stream.age
    window = (age > 0) & (age <= WINDOW)
    score = pd.Series(before.decision_function(stream.X))
    rank = score.groupby(np.floor(age)).rank(ascending=False)
    looked_at = window & (rank <= ALERTS).to_numpy()
    seen = np.where(looked_at, stream.truth, stream.seen)
    curve = np.clip(stream.known_by(np.maximum(age, 0), 1.0), 1e-4, 1)
    yield AS_THEY_ARE, window, seen, {}
    yield "the curve for every row", window, seen, {"label_maturity": curve}
    final = np.where(looked_at, 1.0, curve)
    yield "1 for investigated rows", window, seen, {"label_maturity": final}
    yield KNOWN, window, stream.truth, {}


def measured(stream: Stream, question: str) -> Iterator[dict[str, Any]]:
    """Yield the measures of each way and library."""
    test = stream.is_test
    X, y = stream.X[test], stream.truth[test]
    day = np.floor(-stream.age[test])
    found = ways(stream) if question == "delays" else investigated(stream)
    for way, rows, labels, arguments in found:
        given = {name: values[rows] for name, values in arguments.items()}
        for library, make in LIBRARIES.items():
            model = make().fit(stream.X[rows], labels[rows], **given)
            p = model.predict_proba(X)[:, 1].astype(float)
            yield {
                "question": question,
                "stream": stream.name,
                "scenario": stream.scenario,
                "mean delay": stream.mean,
                "repeat": stream.repeat,
                "library": library,
                "way": way,
                "rows": int(rows.sum()),
                "positives": int(labels[rows].sum()),
                "ap": average_precision_score(y, p),
                "recall": recall_at_fpr(y, p, fpr=1e-3),
                "cards": card_precision_at_k(
                    y, p, stream.card[test], day, k=stream.cards_a_day
                ),
                "log_loss": log_loss(y, p),
                "ratio": calibration_in_the_large(y, p),
            }


def table_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the measures of each way, mean over streams, repeats and libraries, and
    the share of the way from labels as they are to all labels known, in log-loss."""
    means = rows.groupby("way", sort=False)[list(MEASURES)].mean()
    keys = ["stream", "mean delay", "repeat", "library", "scenario"]
    loss = rows.pivot_table("log_loss", keys, "way", sort=False)
    gained = loss.rsub(loss[AS_THEY_ARE], axis=0).mean()
    means["share of the way"] = gained / gained[KNOWN]
    return means.rename(columns=MEASURES).reset_index()


def against_dropping(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the difference to the custom in average precision and log-loss, mean over
    streams and libraries, with its interval over repeats."""
    parts = []
    for scenario, of_scenario in rows.groupby("scenario", sort=False):
        for measure in ("ap", "log_loss"):
            means = of_scenario.pivot_table(measure, "repeat", "way", sort=False)
            for way in (ESTIMATED, BOTH):
                mean, low, high = over_repeats(means[way] - means[DROPPED], 0.0)
                parts.append(
                    {
                        "scenario": scenario,
                        "way": way,
                        "measure": MEASURES[measure],
                        "difference": f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]",
                    }
                )
    return pd.DataFrame(parts)


def text(table: pd.DataFrame) -> str:
    """Return the page."""
    versions = (
        f"focal_gbm {focal_gbm.__version__}, LightGBM {lightgbm.__version__}, XGBoost "
        f"{xgboost.__version__}, Python {platform.python_version()}, one thread of "
        f"{machine(())['machine']}"
    )
    parts = [_HEAD.format(versions=versions, repeats=table["repeat"].nunique())]
    rows = table[table["question"] == "delays"]
    for scenario in SCENARIOS:
        part = rows[rows["scenario"] == scenario]
        parts += [f"\n## {scenario.capitalize()}\n"]
        parts += [markdown(table_of(part), index=False)]
    for name in ("mean delay", "stream", "library"):
        parts += [f"\n### Log-loss by {name}\n"]
        wide = rows.pivot_table("log_loss", "way", ["scenario", name], sort=False)
        wide.columns = [f"{scenario}, {value}" for scenario, value in wide.columns]
        parts += [markdown(wide, 4)]
    if rows["repeat"].max() > 0:
        parts += ["\n## Against mature rows alone\n", _AGAINST]
        parts += [markdown(against_dropping(rows), index=False)]
    looked = table[table["question"] == "investigated"]
    parts += [_INVESTIGATED.format(alerts=ALERTS)]
    parts += [markdown(table_of(looked), index=False)]
    return "\n".join(parts) + "\n"


_HEAD = """\
# How should a model be trained on labels that arrive late?

`python -m benchmarks.delays --write` writes this page: {versions}; {repeats} cuts of
each stream. [results/late_labels.csv](results/late_labels.csv) has every measure. The
ways are those that `--help` lists; the tables have means over streams, delays, cuts and
libraries, on the week after the cut, all labels of which count. The share of the way is
that from labels as they are (0) to all labels known (1), in log-loss.

The new kind of fraud began ten days before the cut; the growing kind began 40 days
before it. Features that grow with time are left out: they carry the age of a row, and a
model that takes labels as they are then learns that later rows are genuine. The
Handbook's features hold the risk of a terminal by labels that are final after a week,
whatever the delays here; those of the simulation count reported frauds alone.
"""
_AGAINST = """\
Mean over streams, delays and libraries, with the interval (95 %, Student's t) over
cuts.
"""
_INVESTIGATED = """
## Investigated alerts

A team has looked at the {alerts} rows of the highest score of each of the last 28 days,
and knows their labels whatever their age. Simulated transactions, mean delay of 10 and
30 days, nothing new and a new kind.
"""


def main() -> None:
    """Train, print the page and write it with --write."""
    parser = command("delays", __doc__, data=True)
    parser.add_argument("--repeats", type=int, default=3, help="at most 3 [3]")
    parser.add_argument("--customers", type=int, default=1500, help="[1500]")
    parser.add_argument("--small", action="store_true", help="one small simulation")
    parser.add_argument("--write", action="store_true", help="write page and CSV")
    arguments = parser.parse_args()
    warm_up()
    rows: list[dict[str, Any]] = []

    def run(stream: Stream, question: str) -> None:
        rows.extend(measured(stream, question))
        print(question, stream.name, stream.scenario, stream.mean, flush=True)

    if arguments.small:
        for question in ("delays", "investigated"):
            for scenario in SCENARIOS:
                run(simulated(10.0, scenario, 0, 150), question)
    else:
        folder = data_folder(arguments.data)
        for stream in streams(folder, arguments.repeats, arguments.customers):
            run(stream, "delays")
            is_asked = stream.name == "simulated" and stream.mean > 3
            if is_asked and stream.scenario != "a growing kind":
                run(stream, "investigated")
    table = pd.DataFrame(rows)
    page = text(table)
    print(page)
    if arguments.write:
        folder = Path(__file__).parent
        write_csv(table, folder / "results" / "late_labels.csv")
        (folder / "README.md").write_text(page)


if __name__ == "__main__":
    main()
