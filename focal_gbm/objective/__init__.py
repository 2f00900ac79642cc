"""FocalObjective and FocalMetric: the callables for the training of both boosters.

Each is one picklable callable for four entry points. The native entry points,
``lightgbm.train`` and ``xgboost.train`` (and their ``cv``), pass raw scores and the
data set. The scikit-learn entry points pass labels, raw scores and weights: LightGBM
passes weights if the callable has enough parameters, XGBoost if it has one called
``sample_weight``. Without these, weights would be dropped without a word.
"""

from __future__ import annotations

from focal_gbm.objective._metric import METRICS, RANK_METRICS, FocalMetric
from focal_gbm.objective._objective import FocalObjective

__all__ = ["METRICS", "RANK_METRICS", "FocalMetric", "FocalObjective"]
