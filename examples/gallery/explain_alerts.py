"""
Explain an alert
================

A reviewer wants to know why a payment was alerted. SHAP values split the log-odds of a
row among its columns. This story computes them by LightGBM, by XGBoost and by the
package shap, checks that they sum to the log-odds, writes reasons in words, and shows
what a calibrator does to the sum.
"""

# %%
# Two models
# ----------
from importlib.util import find_spec

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
from focal_gbm.metrics import alert_threshold

columns = list(TRANSACTION_FEATURES)
data = make_transactions(n_customers=600, n_days=90, random_state=0)
day = (data["time"] - data["time"].min().normalize()).dt.days
X, y = data[columns], data["is_fraud"]
is_training, is_new = day.between(20, 69), day >= 70

model = FocalLGBMClassifier(n_estimators=60, verbose=-1)
model.fit(X[is_training], y[is_training])
xgb_model = FocalXGBClassifier(n_estimators=60, learning_rate=0.1)
xgb_model.fit(X[is_training], y[is_training])

log_odds = pd.Series(model.decision_function(X[is_new]), X[is_new].index)
threshold = alert_threshold(log_odds, budget=10, day=day[is_new])
alerts = X.loc[log_odds[log_odds >= threshold].sort_values(ascending=False).index]
print(f"{len(alerts)} alerts in {day[is_new].nunique()} days")

# %%
# SHAP values of the booster
# --------------------------
#
# Both libraries compute SHAP values of their trees: one for each column, and a last one
# for the constant, in which the start and the closing constant of the focal model lie.
# The raw score of the default link is the log-odds, so that a value of 0.7 doubles the
# odds of fraud.
import xgboost as xgb

contributions = model.predict(alerts, pred_contrib=True)
of_columns, constant = contributions[:, :-1], contributions[0, -1]

xgb_contributions = xgb_model.get_booster().predict(
    xgb.DMatrix(alerts), pred_contribs=True
)

# %%
# They sum to ``decision_function``, up to rounding: LightGBM computes in float64,
# XGBoost in float32.
for name, fitted, values in (
    ("LightGBM", model, contributions),
    ("XGBoost", xgb_model, xgb_contributions),
):
    difference = values.sum(axis=1) - fitted.decision_function(alerts)
    print(f"{name}: largest difference {np.abs(difference).max():.0e}")

# %%
# The package shap reads the fitted estimators and returns the same values; its pictures
# then show log-odds.
if find_spec("shap"):
    import shap

    explanation = shap.TreeExplainer(model)(alerts)
    print(explanation.shape, np.allclose(explanation.values, of_columns))

# %%
# Reasons in words
# ----------------
#
# Columns that measure the same thing share its effect: the risk of a terminal is in
# three windows, and each alone looks weak. SHAP values may be added, so that a reason
# is a group of columns, with one sentence for a reviewer.
groups = {
    "amount": ["amount", "amount_ratio", *(c for c in columns if "mean_amount" in c)],
    "terminal": [c for c in columns if c.startswith("terminal")],
    "distance": ["distance"],
    "time of day": ["hour", "is_weekend"],
    "payments before": [
        "seconds_since_last",
        *(c for c in columns if c.startswith("customer_n")),
    ],
}
assert {c for members in groups.values() for c in members} == {*columns}
of_groups = pd.DataFrame(
    {
        name: of_columns[:, [columns.index(c) for c in members]].sum(axis=1)
        for name, members in groups.items()
    },
    index=alerts.index,
)


def sentence(group, row):
    """Return the sentence of a reason, with the values of the row."""
    if group == "amount":
        return f"amount {row.amount:.0f}, {row.amount_ratio:.1f} times the mean"
    if group == "terminal":
        if not row.terminal_n_30d:
            return "terminal without known payments"
        return f"{row.terminal_risk_30d:.0%} fraud at the terminal in 30 days"
    if group == "distance":
        return f"distance {row.distance:.0f} from home"
    if group == "time of day":
        return f"at {int(row.hour)}:{int(row.hour % 1 * 60):02}"
    return f"{row.customer_n_1d:.0f} payments of the card in a day"


def reasons(index, most=3, least=0.5):
    """Return the reasons that raised the log-odds of an alert, largest first."""
    found = of_groups.loc[index].sort_values(ascending=False)[:most]
    return [
        f"{sentence(group, alerts.loc[index])} (+{value:.1f})"
        for group, value in found.items()
        if value > least
    ]


# %%
# The simulator has three kinds of fraud, which the model does not see. These are the
# two highest alerts of each kind, and the two highest false alarms.
kind = data.loc[alerts.index, "scenario"].astype(str)
shown = kind.groupby(kind).head(2).sort_values(kind="stable")
probability = pd.Series(model.predict_proba(alerts)[:, 1], alerts.index)
for index, name in shown.items():
    print(f"{name}, {probability[index]:.0%}: {'; '.join(reasons(index))}")

# %%
# Columns that lowered the log-odds are no reasons for an alert, but help a reviewer who
# doubts it.
#
# Two alerts as a picture
# -----------------------
from scipy.special import expit, logit


def draw(index, ax):
    """Draw the way from the constant to the log-odds of an alert, group by group."""
    values = of_groups.loc[index].sort_values(key=np.abs, ascending=False)
    ends = constant + values.cumsum()
    colours = ["C3" if value > 0 else "C0" for value in values]
    ax.barh(values.index, values, left=ends - values, color=colours)
    for place, (value, end) in enumerate(zip(values, ends, strict=True)):
        at = max(end, end - value) + 0.1
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        ax.text(at, place, f"{value:+.1f}", va="center", fontsize="small", bbox=box)
    ax.axvline(constant, color="0.6", linestyle=":", zorder=0)
    ax.axvline(ends.iloc[-1], color="0.3", zorder=0)
    ax.invert_yaxis()
    ax.use_sticky_edges = False
    ax.margins(x=0.1)
    ax.set_xlabel("Log-odds, from the constant (dotted) to the score (solid)")
    above = ax.secondary_xaxis("top", functions=(expit, logit))
    above.set_xticks(ticks := [0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99])
    above.set_xticklabels([f"{tick:g}" for tick in ticks])
    above.set_xlabel("Probability")


figure, axes = plt.subplots(2, figsize=(7, 7), layout="constrained")
for ax, name in zip(axes, ("skimmed terminal", "genuine"), strict=True):
    index = shown[shown == name].index[-1]
    draw(index, ax)
    ax.set_title(f"Alert of probability {probability[index]:.2f}: {name}")

# %%
# What a calibrator does to the sum
# ---------------------------------
#
# The values explain the trees. A calibrator comes after them: ``decision_function`` is
# then its map of the sum. With labels of the first two weeks, a map with a slope:
is_calibrating = day.between(70, 83)
model.set_params(calibration="platt")
model.calibrate(X[is_calibrating], y[is_calibrating])

before, after = contributions.sum(axis=1), model.decision_function(alerts)
print(np.allclose(model.calibrator_.predict(before), after))

# %%
# A map with a slope, as here, multiplies every value by the slope; the order of the
# reasons stays. :class:`~focal_gbm.PriorShift` and an intercept change the constant
# alone. "beta", "quadratic" and "isotonic" have another slope for each score: show
# their reasons before the calibrator, and only the probability after it.
slope = np.diff(model.calibrator_.predict([0.0, 1.0]))[0]
new_constant = model.calibrator_.predict([constant])[0]
print(f"slope {slope:.2f}, constant {constant:.2f} becomes {new_constant:.2f}")
difference = new_constant + slope * of_columns.sum(axis=1) - after
print(f"largest difference {np.abs(difference).max():.0e}")

# %%
# Values of SHAP describe the model and not the world: a reason shows what raised this
# score, and no cause of fraud. ``examples/serve.py`` returns such reasons with each
# alert over HTTP (:doc:`/doc/guide/in_production`). With ``link="logit"`` the values
# sum to the raw score, which is not the log-odds; linear trees have no such values.

# sphinx_gallery_thumbnail_number = 1
