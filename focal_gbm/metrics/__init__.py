"""Measures that fraud teams decide by: of alerts within a budget, of cards, of money
and of probabilities, with intervals and as scorers for scikit-learn.

scikit-learn has further ones: ``average_precision_score``, ``brier_score_loss``,
``d2_log_loss_score`` (the skill score of log-loss), ``FixedThresholdClassifier``.
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
from focal_gbm.metrics._probabilities import (
    calibration_in_the_large,
    calibration_slope,
)
from focal_gbm.metrics._scorers import scorer

__all__ = [
    "alert_threshold",
    "bootstrap_interval",
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
