"""
Detect fraud
============

Find the frauds among card transactions with four models of default settings: plain
LightGBM, LightGBM with two settings that protect it on rare classes,
:class:`~focal_gbm.FocalLGBMClassifier` and :class:`~focal_gbm.FocalXGBClassifier`.
Compare how many frauds they catch, how many of their alerts are right, and whether
their probabilities are the rates of later rows.

``examples/detect_fraud.py`` in the repository compares models on a file of your own.
"""

# %%
# Transactions
# ------------
# :func:`~focal_gbm.datasets.make_transactions` simulates payments with three kinds of
# fraud. Each row has 18 features, which use the past alone. About three payments in a
# thousand are frauds.
import matplotlib.pyplot as plt
import pandas as pd
from lightgbm import LGBMClassifier
from sklearn.metrics import average_precision_score

from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
from focal_gbm.metrics import (
    bootstrap_interval,
    calibration_in_the_large,
    precision_at_alert_rate,
    recall_at_fpr,
)
from focal_gbm.plotting import AlertCurveDisplay, ReliabilityDisplay

data = make_transactions(1200, 2400, n_days=85, fraud_rate=0.003, random_state=2)
data[["time", "amount", "distance", "terminal_risk_7d", "is_fraud"]].tail()

# %%
# Split by time
# -------------
# A model that is trained today sees no label of last week: frauds are reported days
# after they happen. So the test rows are the last 14 days, and the seven days before
# them are left out. A random split would train on payments of the stolen cards that it
# tests on, and its figures would be too good. The first 30 days are left out too: some
# features count over 30 days and are not full before.
day = (data["time"] - data["time"].iloc[0].normalize()).dt.days
is_train = (day >= 30) & (day < 85 - 14 - 7)
is_test = day >= 85 - 14
X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"]
X_train, y_train = X[is_train], y[is_train]
X_test, y_test, test_day = X[is_test], y[is_test], day[is_test]
pd.DataFrame(
    {
        "rows": [len(y_train), len(y_test)],
        "frauds": [y_train.sum(), y_test.sum()],
        "fraud rate": [y_train.mean(), y_test.mean()],
    },
    index=["training", "test"],
).round(4)

# %%
# Four models
# -----------
# LightGBM begins at the base rate, where a leaf that holds frauds alone takes a step of
# one over the fraud rate. Such steps can make training collapse; the settings
# ``boost_from_average=False`` and ``min_child_weight=1`` prevent that. In the
# focal classifiers the default settings bound the step and begin nearer to even odds.
models = {
    "LightGBM": LGBMClassifier(random_state=0, verbose=-1),
    "LightGBM, protected": LGBMClassifier(
        boost_from_average=False, min_child_weight=1.0, random_state=0, verbose=-1
    ),
    "FocalLGBMClassifier": FocalLGBMClassifier(random_state=0, verbose=-1),
    "FocalXGBClassifier": FocalXGBClassifier(random_state=0),
}
scores = {
    name: model.fit(X_train, y_train).predict_proba(X_test)[:, 1]
    for name, model in models.items()
}

# %%
# Results
# -------
# The team can review 15 alerts a day. The columns are the share of the frauds caught if
# one genuine payment in a thousand is stopped, the share of the 15 alerts that are
# frauds, the quality of the whole ranking, and the frauds predicted for each one
# observed.
budget, n_days = 15, 14
rate = budget * n_days / len(y_test)
pd.DataFrame(
    {
        name: {
            "recall at 0.1 % false positives": recall_at_fpr(y_test, p, fpr=0.001),
            f"precision at {budget} alerts a day": precision_at_alert_rate(
                y_test, p, rate=rate
            ),
            "average precision": average_precision_score(y_test, p),
            "predicted / observed": calibration_in_the_large(y_test, p),
        }
        for name, p in scores.items()
    }
).T.round(3)


# %%
# Is a difference more than noise?
# --------------------------------
# :func:`~focal_gbm.metrics.bootstrap_interval` draws the test days anew, as wholes,
# because frauds of one day resemble each other. The measure here is the average
# precision of FocalLGBMClassifier minus that of the other model, on the same days.
def gain(y_true, y_score, other):
    """Return the difference of two average precisions."""
    return average_precision_score(y_true, y_score) - average_precision_score(
        y_true, other
    )


ours = scores["FocalLGBMClassifier"]
rows = {}
for name in ("LightGBM", "LightGBM, protected"):
    other = scores[name]
    low, high = bootstrap_interval(
        gain,
        y_test,
        ours,
        other=other,
        groups=test_day,
        n_resamples=60,
        random_state=0,
    )
    rows[name] = {"gain": gain(y_test, ours, other), "from": low, "to": high}
pd.DataFrame(rows).T.round(3)

# %%
# The gain over LightGBM's default settings is large. The gain over the protected
# log-loss is nil within noise, here as on the nine data sets of
# :doc:`the benchmark </benchmarks/detection/README>`. Focal loss on the log-odds is
# log-loss with less weight on uncertain rows, and few rows of a rare class are
# uncertain. Use the focal classifiers for their default settings; the loss itself does
# not rank better.

# %%
# Alerts, and probabilities
# -------------------------
# Left: recall and precision for every number of alerts a day. Right: observed against
# predicted rates, in bins that hold equally many frauds; probabilities that are right
# lie on the diagonal.
figure, (of_alerts, of_rates) = plt.subplots(
    1, 2, figsize=(11, 4.6), layout="constrained"
)
figure.suptitle(f"{len(y_test):,} test transactions, {y_test.mean():.2%} fraud")
for name in ("LightGBM", "FocalLGBMClassifier", "FocalXGBClassifier"):
    AlertCurveDisplay.from_predictions(
        y_test, scores[name], n_days=n_days, budget=budget, name=name, ax=of_alerts
    )
    ReliabilityDisplay.from_predictions(y_test, scores[name], name=name, ax=of_rates)

# %%
# The mean probability of plain LightGBM is near the observed rate here, and its
# probabilities are wrong all the same: of the rows at a probability near 1, fewer than
# half are frauds. The focal classifiers are near the diagonal where they are sure, and
# predict too few frauds among the rows of low probability. That is over-fitting, which
# no loss prevents: 100 trees of default size are many for so few frauds.
#
# :doc:`/doc/gallery/calibration` corrects the probabilities,
# :doc:`/doc/gallery/thresholds` chooses the threshold, and
# :doc:`/doc/gallery/search_to_service` leads from a search to a model in service.

# sphinx_gallery_thumbnail_number = 1
