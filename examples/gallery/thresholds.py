"""
Thresholds and their uncertainty
================================

A team can review 15 alerts a day. This story finds the threshold for that budget from
scores without labels, and measures weeks later, with the labels, which share of the
frauds it caught. Measures have intervals, because eight weeks hold few frauds. The last
parts set thresholds by cost and count cards in place of transactions.
"""

# %%
# A model and three periods
# -------------------------
#
# Labels take a week. On the morning of day 47 the model trains on the labelled rows of
# days 0 to 39. The rows of the last week have scores, and no labels yet. The next 56
# days are the time in service.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from focal_gbm import FocalLGBMClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions

data = make_transactions(n_customers=500, n_days=103, fraud_rate=0.008, random_state=1)
day = (data["time"] - data["time"].min().normalize()).dt.days
X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"]
is_training, is_last_week, is_service = day < 40, day.between(40, 46), day >= 47

model = FocalLGBMClassifier(n_estimators=60, num_leaves=8, verbose=-1)
model.fit(X[is_training], y[is_training])
p_last_week = model.predict_proba(X[is_last_week])[:, 1]

rows = {"training": is_training, "last week": is_last_week, "service": is_service}
table = {
    name: {"days": day[of].nunique(), "rows": of.sum(), "frauds": y[of].sum()}
    for name, of in rows.items()
}
pd.DataFrame.from_dict(table, orient="index")

# %%
# A threshold from scores without labels
# --------------------------------------
#
# The number of alerts depends on the scores alone.
# :func:`~focal_gbm.metrics.alert_threshold` returns the lowest threshold whose alerts,
# on the days passed, do not exceed the budget. Do not take the scores of the training
# rows: the model was fitted to their labels, and gives known frauds higher scores than
# new ones.
from focal_gbm.metrics import alert_threshold

BUDGET = 15  # alerts a day

threshold = alert_threshold(p_last_week, budget=BUDGET, day=day[is_last_week])
print(f"alert from a probability of {threshold:.4f} on")

# %%
# One threshold for all days gives more alerts on some days than on others. The budget
# holds in the mean, as long as the scores of later weeks are like those of last week.
p = model.predict_proba(X[is_service])[:, 1]
y_service, day_service = y[is_service], day[is_service]
card = data.loc[is_service, "customer_id"]

alerts = pd.Series(p >= threshold).groupby(day_service.to_numpy()).sum()
alerts.describe()[["mean", "min", "max"]].round(1).to_frame("alerts a day")

# %%
# Recall and precision, with intervals
# ------------------------------------
#
# :func:`~focal_gbm.metrics.bootstrap_interval` takes any function of labels and scores.
# It draws days, or cards, as wholes: the frauds of one stolen card resemble each other,
# and so do those of one day. An interval from rows drawn one by one ignores that, and
# is often too short. Report the longest. (100 resamples keep this page quick; the
# default is 500.)
from focal_gbm.metrics import bootstrap_interval


def recall(y_true, y_score):
    """Share of the frauds that the threshold alerts."""
    return np.mean(y_score[y_true == 1] >= threshold)


def precision(y_true, y_score):
    """Share of the alerts that are frauds."""
    return np.mean(y_true[y_score >= threshold])


def interval(measure, groups, **kwargs):
    """Ends of an interval, as text."""
    low, high = bootstrap_interval(
        measure,
        y_service,
        p,
        groups=groups,
        n_resamples=100,
        random_state=0,
        **kwargs,
    )
    return f"{low:.2f} to {high:.2f}"


table = {
    measure.__name__: {
        "value": f"{measure(y_service, p):.2f}",
        "rows drawn": interval(measure, None),
        "days drawn": interval(measure, day_service),
        "cards drawn": interval(measure, card),
    }
    for measure in (recall, precision)
}
pd.DataFrame.from_dict(table, orient="index")

# %%
# If no day may exceed the budget, review the highest scores of each day in place of all
# rows above a threshold. :func:`~focal_gbm.metrics.recall_at_daily_budget` and
# :func:`~focal_gbm.metrics.precision_at_daily_budget` measure that way of working. Each
# day has a budget of its own, so that days are drawn.
from focal_gbm.metrics import precision_at_daily_budget, recall_at_daily_budget

daily = {"day": day_service, "budget": BUDGET}
table = {
    measure.__name__: {
        "value": f"{measure(y_service, p, **daily):.2f}",
        "days drawn": interval(measure, day_service, **daily),
    }
    for measure in (recall_at_daily_budget, precision_at_daily_budget)
}
pd.DataFrame.from_dict(table, orient="index")

# %%
# The curve over budgets
# ----------------------
#
# :class:`~focal_gbm.plotting.AlertCurveDisplay` draws recall and precision for every
# threshold. Bars show the intervals at four budgets, from cards drawn as wholes. They
# are those of the measures at a rate of alerts, since a budget for the mean day is a
# share of all rows.
from focal_gbm.metrics import precision_at_alert_rate, recall_at_alert_rate
from focal_gbm.plotting import AlertCurveDisplay

display = AlertCurveDisplay.from_predictions(
    y_service, p, day=day_service, budget=BUDGET, name="FocalLGBMClassifier"
)
rows_a_day = len(p) / day_service.nunique()
for budget in (5, BUDGET, 40, 120):
    for measure in (recall_at_alert_rate, precision_at_alert_rate):
        rate = budget / rows_a_day
        ends = bootstrap_interval(
            measure,
            y_service,
            p,
            groups=card,
            n_resamples=50,
            random_state=0,
            rate=rate,
        )
        display.ax_.plot([budget, budget], ends, color="0.2", linewidth=3, alpha=0.5)
_ = display.ax_.set_title("Recall and precision by budget, with 95 % intervals", pad=28)


# %%
# How long to wait for a figure
# -----------------------------
#
# The width of an interval falls about as the square root of the number of frauds: four
# times the days, half the width. The table has the mean width over all windows of so
# many days in the eight weeks.
def width(n_days, first_day):
    """Width of the interval of recall in a window of days."""
    of = day_service.between(first_day, first_day + n_days - 1).to_numpy()
    low, high = bootstrap_interval(
        recall,
        y_service[of],
        p[of],
        groups=card[of],
        n_resamples=100,
        random_state=0,
    )
    return high - low


first, last = day_service.min(), day_service.max()
widths = pd.Series(
    {
        n_days: np.mean([width(n_days, d) for d in range(first, last, n_days)])
        for n_days in (7, 14, 28, 56)
    },
    name="width of the interval of recall",
).rename_axis("days")
widths.round(2).to_frame()

# %%
# A week of this portfolio cannot show whether another model finds 5 % more.
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(widths, "o-", label="measured")
ax.plot(
    widths.index,
    widths[56] * np.sqrt(56 / widths.index.to_numpy()),
    "--",
    color="0.5",
    label="1 / square root of the days",
)
ax.set(
    xscale="log",
    yscale="log",
    xticks=widths.index,
    xticklabels=widths.index,
    yticks=[0.1, 0.2, 0.4],
    yticklabels=["0.1", "0.2", "0.4"],
    xlabel="Days of labelled rows",
    ylabel="Width",
    title="The interval of recall by the number of days",
)
ax.minorticks_off()
_ = ax.legend()

# %%
# Thresholds by cost
# ------------------
#
# A fraud that passes costs its amount, and an alert costs the time of a reviewer, here
# 5. If labels of later rows are known, here of the first two weeks in service,
# ``TunedThresholdClassifierCV`` of scikit-learn searches the threshold of lowest cost.
# The cost of a fraud is one number here, the mean amount; the search needs metadata
# routing for a cost in each row (:func:`~focal_gbm.metrics.scorer`).
import copy

from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import TunedThresholdClassifierCV

from focal_gbm.metrics import scorer

is_labelled, is_later = is_service & (day < 61), day >= 61
mean_amount = data.loc[is_labelled & (y == 1), "amount"].mean()
tuned = TunedThresholdClassifierCV(
    FrozenEstimator(model),
    scoring=scorer("expected_cost", fraud_cost=mean_amount, alert_cost=5.0),
    cv="prefit",
    refit=False,
    thresholds=200,
).fit(X[is_labelled], y[is_labelled])
print(f"alert_threshold, {BUDGET} a day:      {threshold:.4f}")
print(f"TunedThresholdClassifierCV:      {tuned.best_threshold_:.4f}")

# %%
# With probabilities no search is needed: an alert pays if probability times amount
# exceeds its cost. :func:`~focal_gbm.metrics.expected_cost` without a threshold applies
# this rule. The rule is only as good as the probabilities, and on later rows those of
# boosted trees are often too low (:doc:`calibration`). ``calibrate`` takes the labels
# that the search took.
from focal_gbm.metrics import expected_cost

calibrated = copy.deepcopy(model).calibrate(X[is_labelled], y[is_labelled])
y_later, amount = y[is_later], data.loc[is_later, "amount"]
p_later = model.predict_proba(X[is_later])[:, 1]
p_calibrated = calibrated.predict_proba(X[is_later])[:, 1]
costs = {"fraud_cost": amount, "alert_cost": 5.0}


def cost_of_1000(score, limit):
    """Return the cost of 1000 rows."""
    return 1000 * expected_cost(y_later, score, threshold=limit, **costs)


rules = {  # scores, threshold
    "no alerts": (p_later, np.inf),
    f"threshold of {BUDGET} alerts a day": (p_later, threshold),
    "TunedThresholdClassifierCV": (p_later, tuned.best_threshold_),
    "probability times amount > 5": (p_later, None),
    "the same, calibrated": (p_calibrated, None),
}
alerted = {
    name: score * amount > 5 if limit is None else score >= limit
    for name, (score, limit) in rules.items()
}
table = {
    name: {
        "cost of 1000 rows": cost_of_1000(score, limit),
        "alerts a day": alerted[name].sum() / day[is_later].nunique(),
        "recall": np.mean(alerted[name][y_later == 1]),
    }
    for name, (score, limit) in rules.items()
}
pd.DataFrame.from_dict(table, orient="index").round(2)

# %%
# The calibrated rule catches fewer frauds at a lower cost: it lets small amounts pass
# and alerts large ones from a lower probability on. The next picture has the cost of
# every threshold. A search finds the lowest point of the curve at best, and in this run
# the rule is a little below it.
grid = np.geomspace(0.005, 0.9, 40)

figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.plot(
    grid,
    [cost_of_1000(p_later, limit) for limit in grid],
    label="one threshold for all amounts",
)
for limit, name in (
    (threshold, f"{BUDGET} alerts a day"),
    (tuned.best_threshold_, "TunedThresholdClassifierCV"),
):
    ax.plot(limit, cost_of_1000(p_later, limit), "o", label=name)
ax.axhline(
    cost_of_1000(p_calibrated, None),
    color="0.3",
    linestyle="--",
    label="calibrated probability times amount > 5",
)
ax.set(
    xscale="log",
    ylim=(0, None),
    xlabel="Threshold",
    ylabel="Cost of 1000 rows",
    title="Expected cost by threshold",
)
_ = ax.legend(fontsize="small")


# %%
# The difference of two rules has an interval too. Both meet the same frauds, so that it
# is shorter than the intervals of the two costs suggest.
def saved(y_true, y_score, *, calibrated_score, fraud_cost):
    """Cost of 1000 rows that the rule saves against the tuned threshold."""
    costs = {"fraud_cost": fraud_cost, "alert_cost": 5.0}
    by_search = expected_cost(y_true, y_score, threshold=tuned.best_threshold_, **costs)
    return 1000 * (by_search - expected_cost(y_true, calibrated_score, **costs))


low, high = bootstrap_interval(
    saved,
    y_later,
    p_later,
    groups=card[is_later],
    n_resamples=200,
    random_state=0,
    calibrated_score=p_calibrated,
    fraud_cost=amount,
)
value = saved(y_later, p_later, calibrated_score=p_calibrated, fraud_cost=amount)
print(f"saved on 1000 rows: {value:.0f} ({low:.0f} to {high:.0f})")

# %%
# To use a threshold in ``predict``, wrap the fitted model.
from sklearn.model_selection import FixedThresholdClassifier

fixed = FixedThresholdClassifier(FrozenEstimator(model), threshold=threshold)
fixed.fit(X[is_training], y[is_training])  # trains nothing: the model is frozen
print(f"{fixed.predict(X[is_later]).sum()} alerts in six weeks")

# %%
# Cards in place of transactions
# ------------------------------
#
# A team that calls card holders counts cards. The score of a card on a day is its
# highest score, and a card that was found is blocked: it takes no place on later days.
from focal_gbm.metrics import card_precision_at_k

low, high = bootstrap_interval(
    card_precision_at_k,
    y_service,
    p,
    groups=card,
    n_resamples=50,
    random_state=0,
    card=card,
    day=day_service,
    k=BUDGET,
)
value = card_precision_at_k(y_service, p, card, day_service, k=BUDGET)
print(f"of {BUDGET} cards a day {value:.1%} are compromised ({low:.1%} to {high:.1%})")

# %%
# Most days have fewer compromised cards than the budget, so that no model reaches
# 100 %. Perfect scores give the bound.
bound = card_precision_at_k(y_service, y_service, card, day_service, k=BUDGET)
print(f"perfect scores: {bound:.1%}")

# %%
# :doc:`/doc/guide/alerts` has the decisions in short, and
# :doc:`/doc/gallery/search_to_service` saves a model together with its threshold.

# sphinx_gallery_thumbnail_number = 1
