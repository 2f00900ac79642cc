"""
Calibration and prior shift
===========================

A model that over-fits ranks well and still predicts wrong rates on later rows. This
story measures that, and corrects it by folds of the training rows or by the labels of
later weeks. It shows which calibrator was chosen and why, and corrects a model that was
trained without most of the negatives.
"""

# %%
# A model that over-fits
# ----------------------
#
# XGBoost's learning rate of 0.3 over-fits where frauds are few. The model trains on the
# rows of days 30 to 74. Two later weeks have labels too, and six weeks are test rows.
# (The first 30 days have no full history for the features.)
import copy
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from focal_gbm import FocalXGBClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
from focal_gbm.metrics import calibration_in_the_large

data = make_transactions(n_customers=600, n_days=130, fraud_rate=0.01, random_state=3)
day = (data["time"] - data["time"].min().normalize()).dt.days
X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"]
is_training, is_later, is_test = day.between(30, 74), day.between(75, 88), day >= 89

size = {"n_estimators": 60, "random_state": 0}
model = FocalXGBClassifier(**size).fit(X[is_training], y[is_training])

rows = {"training": is_training, "later": is_later, "test": is_test}
table = {
    name: {
        "rows": of.sum(),
        "frauds": y[of].sum(),
        "predicted / observed": calibration_in_the_large(
            y[of], model.predict_proba(X[of])[:, 1]
        ),
    }
    for name, of in rows.items()
}
pd.DataFrame.from_dict(table, orient="index").round(2)

# %%
# The mean probability of the training rows is the observed rate, by construction. Later
# frauds have lower scores than known ones, so that too few are predicted.
#
# Two calibrators
# ---------------
#
# ``calibration="auto"`` fits a calibrator to rows that were left out of training in
# turn, here in the order of time; the model itself trains on all rows. ``calibrate``
# takes rows that came later and changes no tree. Both are monotone maps of the
# log-odds, so that the ranking stays.
from sklearn.metrics import average_precision_score, log_loss
from sklearn.model_selection import TimeSeriesSplit

from focal_gbm.metrics import calibration_slope

by_folds = FocalXGBClassifier(
    **size, calibration="auto", calibration_cv=TimeSeriesSplit(3)
).fit(X[is_training], y[is_training])
by_weeks = copy.deepcopy(model).calibrate(X[is_later], y[is_later])


def measures(p):
    """Return measures of probabilities of the test rows."""
    return {
        "log-loss": log_loss(y[is_test], p),
        "predicted / observed": calibration_in_the_large(y[is_test], p),
        "slope": calibration_slope(y[is_test], p),
        "average precision": average_precision_score(y[is_test], p),
    }


models = {
    "no calibrator": model,
    'calibration="auto"': by_folds,
    "calibrate on two weeks": by_weeks,
}
p_of = {name: m.predict_proba(X[is_test])[:, 1] for name, m in models.items()}
table = {name: measures(p) for name, p in p_of.items()}
pd.DataFrame.from_dict(table, orient="index").round(4)

# %%
# A slope below 1 is the sign of over-fitting: high probabilities are too high and low
# ones too low. :class:`~focal_gbm.plotting.ReliabilityDisplay` has as many frauds in
# each bin, because bins of equally many rows would put all frauds into the last one.
from focal_gbm.plotting import ReliabilityDisplay

figure, ax = plt.subplots(figsize=(6, 5))
for name, p in p_of.items():
    ReliabilityDisplay.from_predictions(y[is_test], p, n_bins=8, name=name, ax=ax)
_ = ax.set_title("Observed against predicted rates, test rows")

# %%
# Which method, and why
# ---------------------
#
# :class:`~focal_gbm.LogOddsCalibrator` chooses among five maps and the identity. It
# begins with the identity and moves to a more flexible map only if that has a lower
# log-loss on held-out rows by more than one standard error. The fitted calibrator names
# its choice.
calibrator = by_weeks.calibrator_
print(calibrator.method_, calibrator.coef_.round(3))

# %%
# The table repeats the choice for the two later weeks, in the folds that the calibrator
# uses. The last column is what nobody knows when the choice is made.
from scipy.special import expit
from sklearn.model_selection import StratifiedKFold

from focal_gbm import FocalLoss, LogOddsCalibrator

log_odds, y_later = model.decision_function(X[is_later]), y[is_later].to_numpy()
log_odds_test = model.decision_function(X[is_test])
row_losses = FocalLoss(gamma=0.0).loss  # gamma 0 is log-loss

held_out = {"identity": row_losses(y_later, log_odds)}
on_test = {"identity": log_loss(y[is_test], expit(log_odds_test))}
for method in ("intercept", "platt", "beta", "quadratic", "isotonic"):
    calibrator = LogOddsCalibrator(method)
    held_out[method] = np.empty(len(y_later))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    for fitted, left_out in folds.split(log_odds, y_later):
        calibrator.fit(log_odds[fitted], y_later[fitted])
        calibrated = calibrator.predict(log_odds[left_out])
        held_out[method][left_out] = row_losses(y_later[left_out], calibrated)
    calibrator.fit(log_odds, y_later)
    on_test[method] = log_loss(y[is_test], expit(calibrator.predict(log_odds_test)))

chosen, table = "identity", {}
for method, losses in held_out.items():
    gain = held_out[chosen] - losses
    error = gain.std() / np.sqrt(len(gain))
    table[method] = {
        "held-out log-loss": losses.mean(),
        "compared with": "" if method == chosen else chosen,
        "gain": gain.mean(),
        "standard error": error,
        "test log-loss": on_test[method],
    }
    chosen = method if gain.mean() > error else chosen
print(f"chosen: {chosen}")
pd.DataFrame.from_dict(table, orient="index").round(5)

# %%
# How many frauds a calibrator needs
# ----------------------------------
#
# On simulated rows (:doc:`/benchmarks/calibration/README`) a slope takes almost a third
# of the excess log-loss of an over-fitted model from 200 frauds on. With 50 frauds most
# calibrators make a model that hardly over-fits worse, and isotonic steps need more.
# Below 50, "auto" fits no slope, and a warning names the choice.
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    is_short = day.between(75, 77)
    few = LogOddsCalibrator().fit(model.decision_function(X[is_short]), y[is_short])
print(caught[-1].message)

# %%
# Dropped negatives
# -----------------
#
# Many teams train on all frauds and a tenth of the other rows. The probabilities are
# then those of the sample. :class:`~focal_gbm.PriorShift` corrects them by a constant
# that follows from the share that was kept; it needs no labels.
from focal_gbm import PriorShift

rng = np.random.default_rng(0)
is_kept = is_training & ((y == 1) | (rng.random(len(y)) < 0.1))
sampled = FocalXGBClassifier(**size).fit(X[is_kept], y[is_kept])
shifted = FocalXGBClassifier(**size, calibration=PriorShift(kept_negatives=0.1))
shifted.fit(X[is_kept], y[is_kept])
print(f"constant: {shifted.calibrator_.constant_:.3f}")

# %%
# The constant corrects the level and leaves the slope. Labels of later rows correct the
# slope too, and need no PriorShift. A third way is a weight of 10 for each negative
# that was kept; in this run it over-fits most, as its slope and log-loss show.
weight = np.where(y[is_kept] == 1, 1.0, 10.0)
weighted = FocalXGBClassifier(**size).fit(X[is_kept], y[is_kept], weight)
models = {
    "all rows": model,
    "a tenth of the negatives": sampled,
    "the same, PriorShift": shifted,
    "the same, weights of 10": weighted,
    "the same, calibrate on two weeks": copy.deepcopy(sampled).calibrate(
        X[is_later], y[is_later]
    ),
}
p_of = {name: m.predict_proba(X[is_test])[:, 1] for name, m in models.items()}
table = {name: measures(p) for name, p in p_of.items()}
pd.DataFrame.from_dict(table, orient="index").round(4)

# %%
figure, ax = plt.subplots(figsize=(6, 5))
for name in ("a tenth of the negatives", "the same, PriorShift"):
    ReliabilityDisplay.from_predictions(
        y[is_test], p_of[name], n_bins=8, name=name, ax=ax
    )
_ = ax.set_title("A tenth of the negatives, test rows")

# %%
# A fraud rate that changes
# -------------------------
#
# If frauds look as before and only their rate has changed, the same class takes both
# rates: here from 1 % in training to 2 % in another country. A fitted model is
# corrected without its training rows.
moved = copy.deepcopy(model).set_params(calibration=PriorShift(rates=(0.01, 0.02)))
moved.calibrate(X[is_later], y[is_later])  # reads the parameters alone
change = moved.decision_function(X[:1]) - model.decision_function(X[:1])
print(f"log-odds change by {change[0]:.3f}")

# %%
# :doc:`/doc/guide/probabilities` has the decisions in short, and :doc:`thresholds` uses
# the probabilities. How long predicted rates hold:
# :doc:`/benchmarks/calibration/later_weeks`.

# sphinx_gallery_thumbnail_number = 1
