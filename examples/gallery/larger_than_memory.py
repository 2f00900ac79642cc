"""
Rows that do not fit in memory
==============================

LightGBM and XGBoost can read training rows part by part from files. This story does so
in both libraries, with :func:`~focal_gbm.native.starting_point` before the training and
:func:`~focal_gbm.native.complete` after it. It compares the probabilities with those of
the estimators, which need all rows in one matrix.
"""

# %%
# A folder of files
# -----------------
#
# Eight parquet files have a part of the rows each. There are few rows, so that this
# page is quick. The training below keeps the labels in memory, and of the features the
# file that was read last.
import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions

columns = list(TRANSACTION_FEATURES)
temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)

data = make_transactions(n_customers=400, n_days=90, random_state=0)
data = data[[*columns, "is_fraud"]]
for number, part in enumerate(np.array_split(np.arange(len(data)), 8)):
    data.iloc[part].to_parquet(folder / f"part{number}.parquet", index=False)

paths = sorted(folder.glob("*.parquet"))
print(f"{len(data)} rows in {len(paths)} files")


@lru_cache(maxsize=1)  # the last file stays in memory
def read(path):
    """Return features and labels of a file."""
    rows = pd.read_parquet(path)
    return rows[columns].to_numpy(np.float32), rows["is_fraud"].to_numpy()


def batches():
    """Yield features and labels, file by file."""
    for path in paths:
        yield read(path)


# %%
# Where boosting begins
# ---------------------
#
# The estimators begin halfway between even odds and the base rate. The start needs the
# labels alone, which are read in batches too. Pass the function itself, and not its
# generator, because the batches are read again below.
from focal_gbm import FocalObjective
from focal_gbm.native import complete, starting_point

start = starting_point(batches)
objective = FocalObjective(gamma=2.0, offset=start)
print(f"boosting begins at a log-odds of {start:.3f}")

# %%
# LightGBM
# --------
#
# A ``lightgbm.Sequence`` returns rows by number or by slice. LightGBM first samples
# rows to choose bins, and then reads all rows in slices of ``batch_size``. It keeps the
# bins, a byte a value, and never the rows. ``max_delta_step`` and ``min_child_weight``
# are the estimators' protection of a rare class.
import lightgbm as lgb


class FileRows(lgb.Sequence):
    """Rows of a file."""

    batch_size = 4096

    def __init__(self, path, n_rows):
        self.path, self.n_rows = path, n_rows

    def __getitem__(self, index):
        """Return a row or a slice of rows."""
        return read(self.path)[0][index].astype(np.float64)

    def __len__(self):
        """Return the number of rows."""
        return self.n_rows


labels = [pd.read_parquet(path, columns=["is_fraud"])["is_fraud"] for path in paths]
rows = [FileRows(path, len(y)) for path, y in zip(paths, labels, strict=True)]
params = {
    "learning_rate": 0.1,
    "max_delta_step": 4.0,
    "min_child_weight": 1.0,
    "verbosity": -1,
}
dataset = lgb.Dataset(
    rows, np.concatenate(labels), feature_name=columns, params=dict(params)
)
booster = lgb.train({**params, "objective": objective}, dataset, num_boost_round=50)
booster = complete(booster, batches, objective=objective)

# %%
# ``complete`` has added the start, a closing constant and the objective, so that the
# plain library predicts probabilities. Their mean over the training rows is the base
# rate.
booster.save_model(folder / "model.txt")
plain = lgb.Booster(model_file=folder / "model.txt")
p_lightgbm = np.concatenate([plain.predict(X) for X, _ in batches()])
y = np.concatenate(labels)
print(f"mean probability {p_lightgbm.mean():.6f}, base rate {y.mean():.6f}")

# %%
# The estimator, with all rows in memory, predicts the same. LightGBM samples 200,000
# rows to choose bins, more than there are here; of more rows, the two ways may sample
# others.
from focal_gbm import FocalLGBMClassifier

X = pd.DataFrame(np.concatenate([X for X, _ in batches()]), columns=columns)
lgbm_model = FocalLGBMClassifier(n_estimators=50, verbose=-1).fit(X, y)
difference = np.abs(lgbm_model.predict_proba(X)[:, 1] - p_lightgbm)
print(f"largest difference of probabilities {difference.max():.0e}")

# %%
# XGBoost
# -------
#
# An ``xgboost.DataIter`` passes batches, which XGBoost reads several times. From
# version 3.0 on, ``ExtMemQuantileDMatrix`` keeps the bins in files beside
# ``cache_prefix``. In version 2.1, ``QuantileDMatrix`` keeps them in memory, a byte a
# value.
import xgboost as xgb

has_pages = hasattr(xgb, "ExtMemQuantileDMatrix")


class FileBatches(xgb.DataIter):
    """Batches of the folder."""

    def __init__(self):
        self.left = iter(())
        super().__init__(cache_prefix=str(folder / "pages") if has_pages else None)

    def next(self, input_data):
        """Pass a batch to XGBoost; false after the last one."""
        batch = next(self.left, None)
        if batch is not None:
            input_data(data=batch[0], label=batch[1], feature_names=columns)
        return batch is not None

    def reset(self):
        """Begin again."""
        self.left = batches()


quantile_matrix = xgb.ExtMemQuantileDMatrix if has_pages else xgb.QuantileDMatrix
matrix = quantile_matrix(FileBatches(), max_bin=256)
params = {
    "objective": "binary:logistic",  # the name in the saved model
    "disable_default_eval_metric": True,
    "learning_rate": 0.1,
    "max_delta_step": 4.0,
    "min_child_weight": 1.0,
}
booster = xgb.train(params, matrix, num_boost_round=50, obj=objective)
del matrix  # which has the files of the bins open
booster = complete(booster, batches, objective=objective)

booster.save_model(folder / "model.ubj")
plain = xgb.Booster(model_file=folder / "model.ubj")
parts = [xgb.DMatrix(X, feature_names=columns) for X, _ in batches()]
p_xgboost = np.concatenate([plain.predict(part) for part in parts])
print(f"mean probability {p_xgboost.mean():.6f}, base rate {y.mean():.6f}")

# %%
# XGBoost chooses bins batch by batch, so that the splits may differ a little from those
# of one matrix. Its scores are float32.
from focal_gbm import FocalXGBClassifier

xgb_model = FocalXGBClassifier(n_estimators=50, learning_rate=0.1).fit(X, y)
difference = np.abs(xgb_model.predict_proba(X)[:, 1] - p_xgboost)
print(f"largest difference of probabilities {difference.max():.0e}")

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for ax, name, from_files, in_memory in (
    (axes[0], "LightGBM", p_lightgbm, lgbm_model),
    (axes[1], "XGBoost", p_xgboost, xgb_model),
):
    ax.loglog(in_memory.predict_proba(X)[::20, 1], from_files[::20], ".", alpha=0.3)
    ax.set(xlabel="In memory", ylabel="From files", title=f"{name}, probabilities")

# %%
# What it saves
# -------------
#
# On 20 million rows of 20 columns (1.5 GiB in float32), two cores of an Intel Xeon
# (:doc:`/benchmarks/scale/out_of_core`, which has the command):
#
# ========  =====================  ========  ===========
# library   rows                   seconds   peak, GiB
# ========  =====================  ========  ===========
# LightGBM  in memory              139       3.7
# LightGBM  from the folder        193       2.0
# XGBoost   in memory              152       4.1
# XGBoost   from the folder        176       1.9
# ========  =====================  ========  ===========
#
# ``examples/train_on_folder.py`` is the whole program: files with many row groups,
# weights, label maturities, checkpoints from which a killed run continues.
# ``examples/score_folder.py`` scores a folder by the saved model, and
# :doc:`/doc/guide/how_large` has the ways for larger data.
temporary.cleanup()
