"""Count right and wrong advice to models in service, by labels that arrive late.

    python -m benchmarks.production.monitoring [--repeats 6] [--small] [--write]

simulates card transactions with several seeds, trains at default settings on 39 days,
and scores the eight weeks from day 84 on. On day 140, with the frauds reported by then
(ten days after the payment in the mean), ``calibration_by_period`` gives the advice for
each week: in a stream where nothing changes, in one where a new kind of fraud begins on
day 98, and in the first stream with probabilities of half the size from day 98 on.
--write writes benchmarks/production/monitoring.md. Six simulations took two minutes
on one core of an Intel Xeon.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from benchmarks.common.commands import command
from benchmarks.common.runner import machine
from benchmarks.common.tables import markdown
from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
from focal_gbm.delays import ReportingDelay
from focal_gbm.metrics import bootstrap_interval, calibration_by_period

# In days. Features look back 30 days; the week of the reference has final labels.
TRAIN, REFERENCE, SERVICE, CHANGE, NOW = (30, 69), (76, 83), 84, 98, 140
MODELS = {
    "FocalLGBMClassifier": lambda: FocalLGBMClassifier(verbose=-1, n_jobs=1),
    "FocalXGBClassifier": lambda: FocalXGBClassifier(n_jobs=1),
}
NOTHING, NEW_FRAUD, HALVED = "nothing", "new kind of fraud", "probabilities halved"


def weeks(seed: int, n_customers: int) -> list[dict[str, Any]]:
    """Return the advice for each week of one simulation, by model and change."""
    rows = []
    begins = {"new_fraud_day": CHANGE, "new_fraud_rate": 0.004}
    for change, arguments in ((NOTHING, {}), (NEW_FRAUD, begins)):
        data = make_transactions(
            n_customers,
            2 * n_customers,
            NOW,
            reporting_delay=10.0,
            random_state=seed,
            **arguments,
        )
        for name, make in MODELS.items():
            found = watched(data, make())
            for of in (change, HALVED) if change == NOTHING else (change,):
                table = found[of == HALVED]
                rows += [
                    {"model": name, "change": of, "week": i, "advice": advice}
                    for i, advice in enumerate(table["advice"])
                ]
    return rows


def watched(data: pd.DataFrame, model: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of the weeks in service, and that with halved probabilities."""
    start = data["time"].iloc[0].normalize()
    day = ((data["time"] - start) / pd.Timedelta(days=1)).to_numpy()
    delay = ((data["reported"] - data["time"]) / pd.Timedelta(days=1)).to_numpy()
    X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"].to_numpy()
    fit, held_out = ((day >= a) & (day < b) for a, b in (TRAIN, REFERENCE))
    p = model.fit(X[fit], y[fit]).predict_proba(X)[:, 1]
    reference = bootstrap_interval(
        average_precision_score, y[held_out], p[held_out], random_state=0
    )
    known = day + delay <= NOW
    reporting = ReportingDelay().fit(delay[known], (NOW - day)[known])
    # of the last day, hardly a fraud can be known
    kept = (day >= SERVICE) & (day < NOW - 1)
    halved = np.where(day >= CHANGE, 0.5, 1.0)
    first, second = (
        calibration_by_period(
            known[kept],
            (p * factor)[kept],
            day[kept],
            origin=SERVICE,
            label_maturity=reporting.maturity((NOW - day)[kept]),
            groups=data["customer_id"][kept],
            reference=reference,
        )
        for factor in (np.ones(len(p)), halved)
    )
    return first, second


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Return the shares of weeks with an advice before and after the change, and the
    median of the weeks from the change to the first advice."""
    change = (CHANGE - SERVICE) // 7
    rows = []
    for (model, what), part in table.groupby(["model", "change"], sort=False):
        is_advised = part["advice"] != "none"
        before = part["week"] < change
        if what == NOTHING:
            before = pd.Series(True, part.index)
        # the weeks of a simulation follow one another
        first = part[is_advised & ~before].groupby("repeat")["week"].min()
        delays = first.reindex(part["repeat"].unique()) - change + 1
        after = part[~before]["advice"]
        rows.append(
            {
                "model": model,
                "change": what,
                "weeks without change": int(before.sum()),
                "advised": int((is_advised & before).sum()),
                "weeks after it": len(after),
                "calibrate": int((after == "calibrate").sum()),
                "retrain": int((after == "retrain").sum()),
                "first advice, week": np.nan
                if what == NOTHING
                else float(delays.fillna(np.inf).median()),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    """Simulate, print the table and write it with --write."""
    parser = command("production.monitoring", __doc__)
    parser.add_argument("--repeats", type=int, default=6, help="simulations [6]")
    parser.add_argument("--small", action="store_true", help="one, of few customers")
    parser.add_argument("--write", action="store_true", help="write the page")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", "no tree could split")
    repeats, customers = (1, 250) if arguments.small else (arguments.repeats, 2000)
    rows: list[dict[str, Any]] = []
    for seed in range(repeats):
        rows += [{"repeat": seed, **row} for row in weeks(seed, customers)]
        print(f"simulation {seed + 1} of {repeats}", flush=True)
    table = summary(pd.DataFrame(rows))
    versions = machine(("focal_gbm", "lightgbm", "xgboost"))["versions"]
    text = (
        f"{repeats} simulations; "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + f".\n\n{markdown(table, 1, index=False)}\n"
    )
    print(text)
    if arguments.write:
        Path(__file__).with_suffix(".md").write_text(_PREFACE + text)


_PREFACE = """\
# Does the advice of calibration_by_period come when it should?

`python -m benchmarks.production.monitoring --write` writes this page. Models with
default settings are trained on 39 days of simulated card transactions and score eight
weeks. Frauds are reported ten days later in the mean; the table has the advice on the
last day, with the labels known by then and their `label_maturity`, by the rule of two
weeks in a row, so that the second week after a change is the first that can have one.
"Advised" counts weeks of "calibrate" or "retrain" before any change. Not each of them
is wrong: models that over-fit predict too few frauds from their first week on
([later weeks](../calibration/later_weeks.md)).

"""

if __name__ == "__main__":
    main()
