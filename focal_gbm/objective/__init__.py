"""What LightGBM and XGBoost call while they train: FocalObjective and FocalMetric.

Each is one picklable callable for four entry points. The native ones,
``lightgbm.train`` and ``xgboost.train`` (and their ``cv``), pass the scores and
the data set; the scikit-learn ones pass labels, scores and weights. LightGBM looks
at the number of parameters to decide whether to pass weights, XGBoost at the name
``sample_weight``; with neither they would be dropped in silence.
"""

from __future__ import annotations

from focal_gbm.objective._metric import METRICS, RANK_METRICS, FocalMetric
from focal_gbm.objective._objective import FocalObjective

__all__ = ["METRICS", "RANK_METRICS", "FocalMetric", "FocalObjective"]
