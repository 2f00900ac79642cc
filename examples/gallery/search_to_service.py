"""
From a search to a service
==========================

Search parameters, calibrate on later weeks, choose the threshold for the alerts that a
team can review, save all of it in one file, and score payments in a fresh process. Each
step uses labels that no earlier step has seen.
"""

# %%
# Four stretches of time
# ----------------------
# Labels arrive a week late. The first stretch is for the search and the training, then
# come two weeks to calibrate, a week to choose the threshold and a week to see how the
# model does in service.
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV

from focal_gbm import FocalLGBMClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
from focal_gbm.export import save
from focal_gbm.metrics import (
    alert_threshold,
    bootstrap_interval,
    calibration_in_the_large,
    precision_at_alert_rate,
    recall_at_alert_rate,
    scorer,
)
from focal_gbm.model_selection import PrequentialSplit
from focal_gbm.plotting import AlertCurveDisplay

data = make_transactions(n_customers=900, n_terminals=1800, n_days=100, random_state=3)
day = (data["time"] - data["time"].iloc[0].normalize()).dt.days.to_numpy()
X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"].to_numpy()
fit = (day >= 30) & (day < 65)
calibrate, choose, serve = (day >= 72) & (day < 86), (day >= 86) & (day < 93), day >= 93

# %%
# Search
# ------
# :class:`~focal_gbm.model_selection.PrequentialSplit` makes folds as the model will be
# used: 14 training days, a week whose labels are not known yet, a week to test. The
# score is the recall if one payment in two hundred is alerted.
folds = PrequentialSplit(14, 7, 7, n_splits=2, time=data["time"][fit])
search = GridSearchCV(
    FocalLGBMClassifier(n_estimators=60, random_state=0, verbose=-1),
    {"focal_gamma": [0.0, 2.0], "num_leaves": [8, 31]},
    scoring=scorer("recall_at_alert_rate", rate=0.005),
    cv=folds,
).fit(X[fit], y[fit])
names = {"param_focal_gamma": "focal_gamma", "param_num_leaves": "num_leaves"}
names |= {"mean_test_score": "recall", "std_test_score": "deviation of the folds"}
pd.DataFrame(search.cv_results_)[list(names)].rename(columns=names).round(3)

# %%
# Two folds show little: a difference below their deviation may be chance.
# :doc:`/doc/guide/tuning` has the ranges that are worth a larger search.
#
# Calibrate
# ---------
# The best model was fitted to all rows of the first stretch. ``calibrate`` fits a
# monotone map of its log-odds to later labels, and leaves the trees as they are. Two
# weeks have few frauds, enough for a constant: hence ``calibration="intercept"``.
model = search.best_estimator_
before = model.predict_proba(X[choose])[:, 1]
model.set_params(calibration="intercept").calibrate(X[calibrate], y[calibrate])
p = model.predict_proba(X[choose])[:, 1]
n_frauds, n_next = y[calibrate].sum(), y[choose].sum()
print(f"{n_frauds} frauds to calibrate on, {n_next} in the next week")
for name, probability in (("before", before), ("after", p)):
    ratio = calibration_in_the_large(y[choose], probability)
    print(f"predicted / observed frauds of the next week, {name}: {ratio:.2f}")

# %%
# Small trees over-fit little: both ratios are within the noise of a week's frauds.
# :doc:`/benchmarks/calibration/later_weeks` has this ratio over more and larger weeks
# for trees of default size, where calibration gains.
#
# Choose the threshold
# --------------------
# The team reviews ten alerts a day. :func:`~focal_gbm.metrics.alert_threshold` reads
# the scores alone, so that the newest week will do; the labels only show what to expect
# of the alerts. The interval draws days anew.
budget = 10
threshold = alert_threshold(p, budget=budget, day=day[choose])
rate = (p >= threshold).mean()
print(f"{budget} alerts a day: alert a payment with a probability >= {threshold:.3f}")
expected = {}
for measure in (precision_at_alert_rate, recall_at_alert_rate):
    low, high = bootstrap_interval(
        measure,
        y[choose],
        p,
        groups=day[choose],
        rate=rate,
        n_resamples=200,
        random_state=0,
    )
    expected[measure.__name__.partition("_")[0]] = {
        "of the week": measure(y[choose], p, rate=rate),
        "from": low,
        "to": high,
    }
pd.DataFrame(expected).T.round(2)

# %%
# Save
# ----
# :func:`~focal_gbm.export.save` writes one file with trees, calibrator and class names.
# ``FixedThresholdClassifier`` of scikit-learn adds the threshold: its ``predict``
# returns 1 for an alert. ``FrozenEstimator`` prevents that its ``fit`` trains the model
# anew. The file has no code, so that loading it runs none.
decider = FixedThresholdClassifier(
    FrozenEstimator(model), threshold=threshold, response_method="predict_proba"
).fit(X[choose], y[choose])
temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
save(decider, folder / "fraud.model")
print(f"fraud.model has {(folder / 'fraud.model').stat().st_size / 1024:.0f} KiB")

# %%
# Score in a fresh process
# ------------------------
# The service has the file and the payments, here those of the last week.
SERVICE = """
import sys
import pandas as pd
from focal_gbm.export import load

decider = load(sys.argv[1])
payments = pd.read_parquet(sys.argv[2])
pd.DataFrame({
    "probability": decider.predict_proba(payments)[:, 1],
    "alert": decider.predict(payments),
}).to_parquet(sys.argv[3])
print(f"scored {len(payments):,} payments")
"""
paths = [folder / name for name in ("fraud.model", "payments.pq", "scores.pq")]
X[serve].to_parquet(paths[1])
done = subprocess.run(
    [sys.executable, "-c", SERVICE, *paths], check=True, capture_output=True, text=True
)
print(done.stdout.strip())

# %%
# What the week shows
# -------------------
# Weeks later the labels are known. The probabilities of the service are those of the
# model here, to the last digit.
scores = pd.read_parquet(paths[2])
is_alert, is_fraud = scores["alert"].to_numpy() == 1, y[serve]
is_same = scores["probability"].to_numpy() == model.predict_proba(X[serve])[:, 1]
pd.Series(
    {
        "probabilities equal to the model's": is_same.mean(),
        "alerts a day": is_alert.sum() / 7,
        "precision": is_fraud[is_alert].mean(),
        "recall": is_fraud[is_alert].sum() / is_fraud.sum(),
        "predicted / observed": scores["probability"].sum() / is_fraud.sum(),
    },
    name="the week in service",
).round(2).to_frame()

# %%
# One threshold for all weeks meets the budget on average; the number of alerts of a
# week differs, because payments do.
figure, ax = plt.subplots(figsize=(7.5, 4.8), layout="constrained")
figure.suptitle("Alerts of the week of the choice and of the week in service")
for name, week in (("week of the choice", choose), ("week in service", serve)):
    AlertCurveDisplay.from_estimator(
        model, X[week], y[week], n_days=7, budget=budget, name=name, ax=ax
    )

# %%
# ``examples/serve.py`` of the repository serves such a file over HTTP, with reasons for
# each alert: :doc:`/doc/guide/in_production`.

# sphinx_gallery_thumbnail_number = 1
