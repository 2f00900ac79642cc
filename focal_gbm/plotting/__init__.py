"""Pictures to decide by: alerts against frauds, predicted against observed rates, and
the loss itself. They need matplotlib: ``pip install 'focal_gbm[plot]'``.

As scikit-learn's displays, each is made by ``from_estimator`` or ``from_predictions``,
draws on any axes with ``plot(ax=...)``, and takes several models on one.
"""

from __future__ import annotations

from focal_gbm.plotting._alerts import AlertCurveDisplay
from focal_gbm.plotting._loss import FocalLossDisplay
from focal_gbm.plotting._reliability import ReliabilityDisplay

__all__ = ["AlertCurveDisplay", "FocalLossDisplay", "ReliabilityDisplay"]
