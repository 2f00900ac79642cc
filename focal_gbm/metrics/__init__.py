"""Measures for fraud detection: of alerts within a budget, of cards, of costs and of
probabilities.

:func:`bootstrap_interval` computes an interval for any measure, :func:`scorer` turns a
measure into a scorer of scikit-learn, and :func:`alert_threshold` finds the threshold
for a budget. scikit-learn has further measures and tools: ``average_precision_score``,
``brier_score_loss``, ``d2_log_loss_score`` (the skill score of log-loss) and
``FixedThresholdClassifier``.
"""

from __future__ import annotations

from focal_gbm.metrics._alerts import (
    alert_threshold,
    precision_at_alert_rate,
    precision_at_daily_budget,
    recall_at_alert_rate,
    recall_at_daily_budget,
    recall_at_fpr,
)
from focal_gbm.metrics._costs import card_precision_at_k, expected_cost
from focal_gbm.metrics._intervals import bootstrap_interval
from focal_gbm.metrics._periods import calibration_by_period
from focal_gbm.metrics._probabilities import (
    calibration_in_the_large,
    calibration_slope,
)
from focal_gbm.metrics._scorers import scorer

__all__ = [
    "alert_threshold",
    "bootstrap_interval",
    "calibration_by_period",
    "calibration_in_the_large",
    "calibration_slope",
    "card_precision_at_k",
    "expected_cost",
    "precision_at_alert_rate",
    "precision_at_daily_budget",
    "recall_at_alert_rate",
    "recall_at_daily_budget",
    "recall_at_fpr",
    "scorer",
]
