"""Plots of recall and precision against alerts, of observed against predicted rates,
of reporting delays, of a model in service, and of the loss. They need matplotlib:
``pip install 'focal_gbm[plot]'``.

The displays work like the displays of scikit-learn: make a display by
``from_estimator`` or ``from_predictions``, draw it on any axes with ``plot(ax=...)``,
and draw several models on the same axes to compare them.
"""

from __future__ import annotations

from focal_gbm.plotting._alerts import AlertCurveDisplay
from focal_gbm.plotting._delays import ReportingDelayDisplay
from focal_gbm.plotting._loss import FocalLossDisplay
from focal_gbm.plotting._periods import CalibrationByPeriodDisplay
from focal_gbm.plotting._reliability import ReliabilityDisplay

__all__ = [
    "AlertCurveDisplay",
    "CalibrationByPeriodDisplay",
    "FocalLossDisplay",
    "ReliabilityDisplay",
    "ReportingDelayDisplay",
]
