"""
Labels that arrive late
=======================

Train to yesterday although most frauds of the last days are not reported yet. It is
Monday morning; a new kind of fraud began ten days ago. The story estimates from the
reports so far how likely a fraud of a given age is to be known, and trains with these
probabilities as ``label_maturity``.
"""

# %%
# Monday morning
# --------------
# Frauds are reported ten days after they happened, on average. ``reported`` has the
# time of the report; reports of the future are not known yet, so that a label is 1 if
# its report has come. The payments of the coming week serve to compare at the end.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from focal_gbm import FocalLGBMClassifier
from focal_gbm.datasets import NEW_SCENARIO, TRANSACTION_FEATURES, make_transactions
from focal_gbm.delays import ReportingDelay
from focal_gbm.metrics import alert_threshold, calibration_in_the_large
from focal_gbm.plotting import AlertCurveDisplay, ReportingDelayDisplay

TODAY = 112  # days since the first
data = make_transactions(
    n_customers=1200,
    n_terminals=2400,
    n_days=TODAY + 7,
    reporting_delay=10.0,
    new_fraud_day=TODAY - 10,
    new_fraud_rate=0.004,
    random_state=0,
)
monday = data["time"].iloc[0].normalize() + pd.Timedelta(days=TODAY)
age = ((monday - data["time"]) / pd.Timedelta(days=1)).to_numpy()
known = (data["reported"] <= monday).to_numpy()
truth = data["is_fraud"].to_numpy()  # complete only in a simulation
pd.DataFrame(
    {
        f"{low} to {high} days ago": {
            "frauds": truth[rows].sum(),
            "reported by today": known[rows].sum(),
        }
        for low, high in ((0, 3), (3, 10), (10, 21), (21, 35), (35, 63))
        for rows in [(age > low) & (age <= high)]
    }
).T

# %%
# How long until a fraud is known?
# --------------------------------
# The delays of the known reports are too short: of the frauds of yesterday only the
# quickest reports have come. :class:`~focal_gbm.delays.ReportingDelay` corrects for
# that truncation; it reads the delay of each report and the age of its payment.
delay = ((data["reported"] - data["time"]) / pd.Timedelta(days=1)).to_numpy()
reporting = ReportingDelay().fit(delay[known], age[known])
days = np.array([3, 10, 21, 35])
pd.DataFrame(
    {
        "probability that it is known": reporting.maturity(days),
        "share of the known delays": [(delay[known] <= d).mean() for d in days],
        "true": [np.mean(delay[truth == 1] <= d) for d in days],
    },
    index=[f"fraud of {d} days ago" for d in days],
).round(2)

# %%
# Five ways to train
# ------------------
# Teams that wait for complete labels drop the last weeks. Others take labels as they
# are, and teach the model that frauds not reported yet are genuine. With
# ``label_maturity`` a row labelled 0 counts as one that may be a fraud, and
# ``predict_proba`` returns the probability of fraud, not of a report by today. The last
# way is out of reach: it knows all labels.
past = age > 0
young, old = past & (age <= 28), (age > 35) & (age <= 63)
every = past & (age <= 63)
y, maturity = known.astype(int), reporting.maturity(np.maximum(age, 0))
ways = {
    "without the last 35 days": (old, y, None),
    "last 28 days, labels as they are": (young, y, None),
    "last 28 days, label_maturity": (young, y, maturity),
    "last 63 days, label_maturity": (every, y, maturity),
    "last 63 days, all labels known": (every, truth, None),
}
X = data[list(TRANSACTION_FEATURES)]
coming, last_week = age <= 0, past & (age <= 7)
scores, of_last_week = {}, {}
for name, (rows, labels, c) in ways.items():
    model = FocalLGBMClassifier(
        n_estimators=60, num_leaves=15, random_state=0, verbose=-1
    ).fit(X[rows], labels[rows], label_maturity=None if c is None else c[rows])
    scores[name] = model.predict_proba(X[coming])[:, 1]
    of_last_week[name] = model.predict_proba(X[last_week])[:, 1]

# %%
# The coming week
# ---------------
# The team reviews 20 alerts a day. The threshold comes from the scores of the last
# week, which needs no labels. Weeks later all labels of the coming week are known.
budget = 20
is_fraud = truth[coming] == 1
is_new = (data["scenario"] == NEW_SCENARIO).to_numpy()[coming]
table = {}
for name, p in scores.items():
    alerted = p >= alert_threshold(of_last_week[name], budget=budget, n_days=7)
    table[name] = {
        "alerts a day": alerted.sum() / 7,
        "frauds caught": alerted[is_fraud].mean(),
        "of the new kind": alerted[is_new].mean(),
        "average precision": average_precision_score(is_fraud, p),
        "predicted / observed": calibration_in_the_large(is_fraud, p),
    }
pd.DataFrame(table).T.round(2)

# %%
# The model without the last weeks has never seen the new kind of fraud. Labels as they
# are rank nearly as well as ``label_maturity`` in this simulation, and predict less
# than half of the frauds. With ``label_maturity`` the probabilities are those of all
# frauds, known or not, apart from over-fitting. The old rows gain nothing here, where
# most of the frauds are new. Keep them all the same: where nothing is new, old and
# young rows together rank better than young rows alone.
# :doc:`/benchmarks/delays/README` compares three mean delays, two kinds of change and
# none, and two streams of payments.
figure, (of_reports, of_alerts) = plt.subplots(
    1, 2, figsize=(11, 4.8), layout="constrained"
)
figure.suptitle("Reports by age, and the alerts of the coming week")
ReportingDelayDisplay.from_estimator(reporting, max_age=60, ax=of_reports)
for name in (
    "without the last 35 days",
    "last 28 days, labels as they are",
    "last 28 days, label_maturity",
):
    AlertCurveDisplay.from_predictions(
        is_fraud, scores[name], n_days=7, budget=budget, name=name, ax=of_alerts
    )

# %%
# Rows that somebody investigated are known whatever their age: give them maturity 1.
# :doc:`/doc/guide/late_labels` has more of such rules, and
# :class:`~focal_gbm.model_selection.PrequentialSplit` makes folds with labels as they
# were known on each day.

# sphinx_gallery_thumbnail_number = 1
