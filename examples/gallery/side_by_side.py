"""
LightGBM and XGBoost, side by side
==================================

Train :class:`~focal_gbm.FocalLGBMClassifier` and :class:`~focal_gbm.FocalXGBClassifier`
on the same rows, give them parameters of the same meaning, and see how far their
probabilities agree. Both have the parameters, the methods and the saved model of their
own library; what this library adds has the same names in both.
"""

# %%
# The same rows
# -------------
import tempfile
from pathlib import Path

import lightgbm as lgb
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xgboost as xgb
from scipy.special import expit
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, log_loss

from focal_gbm import FocalLGBMClassifier, FocalObjective, FocalXGBClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
from focal_gbm.metrics import calibration_in_the_large, recall_at_fpr
from focal_gbm.native import complete, starting_point

data = make_transactions(n_customers=500, n_terminals=1000, n_days=85, random_state=0)
day = (data["time"] - data["time"].iloc[0].normalize()).dt.days
X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"]
train, test = (day >= 30) & (day < 64), day >= 71  # labels are a week late
X_train, y_train, X_test, y_test = X[train], y[train], X[test], y[test]

# %%
# Parameters of the same meaning
# ------------------------------
#
# .. list-table::
#    :header-rows: 1
#
#    * - meaning
#      - FocalLGBMClassifier
#      - FocalXGBClassifier
#    * - focal loss, start, bound of a step, calibrator
#      - ``focal_gamma``, ``focal_alpha``, ``link``, ``start``, ``max_step``,
#        ``calibration``
#      - the same
#    * - number of trees
#      - ``n_estimators=100``
#      - ``n_estimators=100``
#    * - share of each tree's step
#      - ``learning_rate=0.1``
#      - ``learning_rate=0.3``
#    * - size of a tree
#      - ``num_leaves=31``, best leaf first
#      - ``max_depth=6``, level by level; best leaf first with
#        ``grow_policy="lossguide", max_leaves=31, max_depth=0``
#    * - least rows in a leaf
#      - ``min_child_samples=20``
#      - none
#    * - least sum of Hessians in a leaf
#      - ``min_child_weight=1``
#      - ``min_child_weight=1``
#    * - least gain of a split
#      - ``min_split_gain=0``
#      - ``gamma=0``, not ``focal_gamma``
#    * - penalties of leaves
#      - ``reg_lambda=0``, ``reg_alpha=0``
#      - ``reg_lambda=1``, ``reg_alpha=0``
#    * - bins of a feature
#      - ``max_bin=255``
#      - ``max_bin=256``
#    * - share of rows
#      - ``subsample=1`` with ``subsample_freq=1``
#      - ``subsample=1``
#    * - share of columns of a tree
#      - ``colsample_bytree=1``
#      - ``colsample_bytree=1``
#    * - class weights, which do not shift the probabilities
#      - ``scale_pos_weight``, ``class_weight``
#      - ``scale_pos_weight``
#    * - early stopping
#      - callback ``lightgbm.early_stopping(20)`` in ``fit``
#      - ``early_stopping_rounds=20`` in the constructor
#    * - evaluation set
#      - ``fit(X, y, eval_X=..., eval_y=...)``
#      - ``fit(X, y, eval_set=[(..., ...)])``
#    * - a model to continue
#      - ``fit(X, y, init_model=...)``
#      - ``fit(X, y, xgb_model=...)``
#    * - categories of pandas
#      - read by default
#      - ``enable_categorical=True``; see :doc:`/doc/gallery/categories_and_missing`
#
# The numbers are defaults. Both have ``rare_event_params()``, which returns parameters
# of the same meaning for few frauds.
alike = {"learning_rate": 0.1, "grow_policy": "lossguide", "max_depth": 0}
alike |= {"max_leaves": 31, "reg_lambda": 0, "max_bin": 255}
models = {
    "LightGBM": FocalLGBMClassifier(random_state=0, verbose=-1),
    "XGBoost": FocalXGBClassifier(random_state=0),
    "XGBoost, set alike": FocalXGBClassifier(**alike, random_state=0),
}
for model in models.values():
    model.fit(X_train, y_train)

# %%
# Results
# -------
scores = {name: m.predict_proba(X_test)[:, 1] for name, m in models.items()}
pd.DataFrame(
    {
        name: {
            "recall at 0.1 % false positives": recall_at_fpr(y_test, p, fpr=0.001),
            "average precision": average_precision_score(y_test, p),
            "log-loss": log_loss(y_test, p),
            "predicted / observed": calibration_in_the_large(y_test, p),
        }
        for name, p in scores.items()
    }
).T.round(3)

# %%
# Do the probabilities agree?
# ---------------------------
# ``decision_function`` returns log-odds in both. With default settings XGBoost's trees
# differ from LightGBM's in size and in step. Set alike, most log-odds come close, and
# most alerts are the same; what is left are other edges of the bins, the least rows of
# a leaf, and float32 in XGBoost.
log_odds = {name: m.decision_function(X_test) for name, m in models.items()}
n_alerts = 15 * 14  # 15 alerts a day
figure, axes = plt.subplots(
    1, 2, figsize=(10, 4.8), sharex=True, sharey=True, layout="constrained"
)
figure.suptitle("Log-odds of the test transactions, XGBoost against LightGBM")
agreement = {}
of_lgbm = log_odds["LightGBM"]
alerted = set(np.argsort(-of_lgbm)[:n_alerts])
for ax, name in zip(axes, ("XGBoost", "XGBoost, set alike"), strict=True):
    of_xgb = log_odds[name]
    for label, colour in ((0, "tab:blue"), (1, "tab:orange")):
        rows = (y_test == label).to_numpy()
        ax.plot(
            of_lgbm[rows],
            of_xgb[rows],
            ".",
            ms=3,
            alpha=0.3 if label == 0 else 1,
            color=colour,
            label=["genuine", "fraud"][label],
        )
    ax.axline((0, 0), slope=1, color="0.3", lw=0.8)
    ax.set(xlabel="FocalLGBMClassifier", ylabel="FocalXGBClassifier", title=name)
    agreement[name] = {
        "rank correlation": spearmanr(of_lgbm, of_xgb).statistic,
        "median difference of log-odds": np.median(np.abs(of_lgbm - of_xgb)),
        f"share of {n_alerts} alerts in common": len(
            alerted & set(np.argsort(-of_xgb)[:n_alerts])
        )
        / n_alerts,
    }
axes[0].legend(loc="upper left", markerscale=3)
pd.DataFrame(agreement).T.round(2)

# %%
# Early stopping
# --------------
# Both stop by the log-loss of the *probabilities* on later rows, here the last week of
# the training rows. FocalXGBClassifier cuts its booster after the best tree, so that
# every reader of the saved model predicts alike; LightGBM writes the best iteration
# into its saved model.
fit, later = day[train] < 57, day[train] >= 57
stopped_lgbm = FocalLGBMClassifier(n_estimators=400, random_state=0, verbose=-1).fit(
    X_train[fit],
    y_train[fit],
    eval_X=X_train[later],
    eval_y=y_train[later],
    callbacks=[lgb.early_stopping(20, verbose=False)],
)
stopped_xgb = FocalXGBClassifier(
    n_estimators=400, early_stopping_rounds=20, learning_rate=0.1, random_state=0
).fit(
    X_train[fit],
    y_train[fit],
    eval_set=[(X_train[later], y_train[later])],
    verbose=False,
)
pd.DataFrame(
    {
        "trees": [stopped_lgbm.best_iteration_, stopped_xgb.best_iteration + 1],
        "log-loss": [
            log_loss(y_test, m.predict_proba(X_test)[:, 1])
            for m in (stopped_lgbm, stopped_xgb)
        ],
    },
    index=["FocalLGBMClassifier", "FocalXGBClassifier"],
).round(4)

# %%
# The plain libraries read the models
# -----------------------------------
# The raw score is the log-odds, and the saved model has the library's own objective
# "binary" or "binary:logistic". A plain booster that reads the file returns the same
# probabilities without this package, also in another language. XGBoost computes in
# float32, so that its last digits may differ.
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder)
    stopped_lgbm.booster_.save_model(path / "lightgbm.txt")
    stopped_xgb.save_model(path / "xgboost.ubj")
    plain_lgbm = lgb.Booster(model_file=path / "lightgbm.txt")
    plain_xgb = xgb.Booster(model_file=path / "xgboost.ubj")
p_lgbm = stopped_lgbm.predict_proba(X_test)[:, 1]
p_xgb = stopped_xgb.predict_proba(X_test)[:, 1]
differences = {
    "LightGBM": np.abs(plain_lgbm.predict(X_test) - p_lgbm).max(),
    "XGBoost": np.abs(plain_xgb.predict(xgb.DMatrix(X_test)) - p_xgb).max(),
}
for name, difference in differences.items():
    print(f"{name}: probabilities differ by at most {difference:.1g}")

# %%
# The loss alone, in native training
# ----------------------------------
# :class:`~focal_gbm.FocalObjective` is one callable for ``lightgbm.train`` and for
# ``xgboost.train``. A callable cannot set the start or the closing constant:
# :func:`~focal_gbm.native.starting_point` computes the first,
# :func:`~focal_gbm.native.complete` puts both into the booster. The result is the
# classifier's model.
start = starting_point(y_train)
objective = FocalObjective(gamma=2.0, offset=start)
common = {"max_delta_step": 4, "min_child_weight": 1, "seed": 0}

booster = lgb.train(
    {"objective": objective, "metric": "None", "verbosity": -1, **common},
    lgb.Dataset(X_train, y_train),
)
native_lgbm = complete(booster, [(X_train, y_train)], objective=objective)

booster = xgb.train(
    {"objective": "binary:logistic", "disable_default_eval_metric": True, **common},
    xgb.DMatrix(X_train, y_train),
    num_boost_round=100,
    obj=objective,
)
native_xgb = complete(booster, [(X_train, y_train)], objective=objective)

pairs = {
    "lightgbm.train": (native_lgbm.predict(X_test), of_lgbm),
    "xgboost.train": (native_xgb.predict(xgb.DMatrix(X_test)), log_odds["XGBoost"]),
}
for name, (p, of_classifier) in pairs.items():
    difference = np.abs(p - expit(of_classifier)).max()
    print(f"{name}: at most {difference:.1g} from the classifier's probabilities")

# sphinx_gallery_thumbnail_number = 1
