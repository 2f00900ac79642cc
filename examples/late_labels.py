"""Train to yesterday with labels that arrive late: a Monday morning.

    python examples/late_labels.py [--budget 40] [--picture late_labels.png]

The example simulates card transactions. Frauds are reported ten days after they
happened in the mean, and a new kind of fraud began ten days ago, of which most frauds
are not reported yet. The example estimates from the reports so far how likely a fraud
of a given age is to be known, trains on the last four weeks with these maturities, and
compares the model with one that drops the last five weeks, as teams do that wait for
complete labels, and with one that takes the labels as they are. The threshold for the
alerts of the coming week comes from the scores of the last one, which needs no labels.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from focal_gbm import FocalLGBMClassifier
from focal_gbm.datasets import NEW_SCENARIO, TRANSACTION_FEATURES, make_transactions
from focal_gbm.delays import ReportingDelay
from focal_gbm.metrics import alert_threshold, calibration_in_the_large

TODAY, WINDOW, DROPPED = 112, 28, 35  # in days


def main() -> None:
    """Estimate the delays, train the three models and compare them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--budget", type=float, default=40, help="alerts a day (default: %(default)s)"
    )
    parser.add_argument(
        "--picture", default="late_labels.png", help="file of the pictures"
    )
    parser.add_argument(
        "--customers", type=int, default=2500, help="(default: %(default)s)"
    )
    arguments = parser.parse_args()
    data = make_transactions(
        arguments.customers,
        2 * arguments.customers,
        TODAY + 7,
        reporting_delay=10.0,
        new_fraud_day=TODAY - 10,
        new_fraud_rate=0.004,
    )
    now = data["time"].iloc[0].normalize() + pd.Timedelta(days=TODAY)
    age = ((now - data["time"]) / pd.Timedelta(days=1)).to_numpy()
    known = (data["reported"] <= now).to_numpy()
    past = age > 0
    print(
        f"Monday. {known.sum()} frauds are reported; of the last ten days, "
        f"{known[past & (age <= 10)].mean():.2%} of the payments."
    )

    delay = ((data["reported"] - data["time"]) / pd.Timedelta(days=1)).to_numpy()
    reporting = ReportingDelay().fit(delay[known], age[known])
    for days in (3, 10, 21, 35):
        (maturity,), plain = reporting.maturity([days]), (delay[known] <= days).mean()
        print(
            f"  A fraud of {days:2} days ago is known with probability {maturity:.2f} "
            f"({plain:.2f} of the known delays are that short)."
        )

    X, y = data[list(TRANSACTION_FEATURES)], known.astype(int)
    last_weeks = past & (age <= WINDOW)
    old_weeks = (age > DROPPED) & (age <= DROPPED + WINDOW)
    maturity = reporting.maturity(np.maximum(age, 0))
    ways = {
        f"without the last {DROPPED} days": (old_weeks, {}),
        "labels as they are": (last_weeks, {}),
        "label_maturity": (last_weeks, {"label_maturity": maturity[last_weeks]}),
    }
    coming, last_week = ~past, past & (age <= 7)
    is_new = (data["scenario"] == NEW_SCENARIO).to_numpy()
    truth = data["is_fraud"].to_numpy()  # known weeks later
    table, scores = [], {}
    for name, (rows, arguments_of_fit) in ways.items():
        model = FocalLGBMClassifier(
            **FocalLGBMClassifier.rare_event_params(), verbose=-1
        ).fit(X[rows], y[rows], **arguments_of_fit)
        p = model.predict_proba(X)[:, 1]
        threshold = alert_threshold(p[last_week], budget=arguments.budget, n_days=7)
        alerted = coming & (p >= threshold)
        scores[name] = p[coming]
        table.append(
            {
                "trained": name,
                "alerts a day": alerted.sum() / 7,
                "frauds caught": truth[alerted].sum() / max(truth[coming].sum(), 1),
                "of the new kind": is_new[alerted].sum() / max(is_new[coming].sum(), 1),
                "predicted / observed": calibration_in_the_large(
                    truth[coming], p[coming]
                ),
            }
        )
    print("\nThe coming week, once all its labels are known:")
    print(pd.DataFrame(table).round(2).to_string(index=False))
    draw(reporting, truth[coming], scores, arguments)


def draw(
    reporting: ReportingDelay,
    y: np.ndarray,
    scores: dict[str, np.ndarray],
    arguments: argparse.Namespace,
) -> None:
    """Draw the curve of the reports, and the alerts of each model."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("\nFor pictures: pip install 'focal_gbm[plot]'")
        return
    from focal_gbm.plotting import AlertCurveDisplay, ReportingDelayDisplay

    figure = Figure(figsize=(13, 4.5), layout="constrained")
    of_reports, of_alerts = figure.subplots(1, 2)
    ReportingDelayDisplay.from_estimator(reporting, max_age=60, ax=of_reports)
    for name, p in scores.items():
        AlertCurveDisplay.from_predictions(
            y, p, n_days=7, budget=arguments.budget, name=name, ax=of_alerts
        )
    figure.savefig(arguments.picture, dpi=120)
    print(f"\nPictures: {arguments.picture}")


if __name__ == "__main__":
    main()
