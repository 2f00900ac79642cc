"""Focal loss for LightGBM and XGBoost, with class probabilities.

Estimators: :class:`FocalLGBMClassifier`, :class:`FocalXGBClassifier`. For the native
interfaces: :class:`FocalObjective`, :class:`FocalMetric`, and :mod:`focal_gbm.native`
for rows that do not fit in memory. The loss itself: :class:`FocalLoss`. Calibration:
:class:`LogOddsCalibrator`, :class:`PriorShift`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# For type checkers alone: an import of the package is to load neither library.
if TYPE_CHECKING:
    from focal_gbm.calibration import LogOddsCalibrator as LogOddsCalibrator
    from focal_gbm.calibration import PriorShift as PriorShift
    from focal_gbm.cross_fit import FocalClassifierCV as FocalClassifierCV
    from focal_gbm.lightgbm import FocalLGBMClassifier as FocalLGBMClassifier
    from focal_gbm.loss import FocalLoss as FocalLoss
    from focal_gbm.objective import FocalMetric as FocalMetric
    from focal_gbm.objective import FocalObjective as FocalObjective
    from focal_gbm.xgboost import FocalXGBClassifier as FocalXGBClassifier

__version__ = "0.1.0"

_HOMES = {
    "FocalClassifierCV": "cross_fit",
    "FocalLGBMClassifier": "lightgbm",
    "FocalLoss": "loss",
    "FocalMetric": "objective",
    "FocalObjective": "objective",
    "FocalXGBClassifier": "xgboost",
    "LogOddsCalibrator": "calibration",
    "PriorShift": "calibration",
}

_SUBMODULES = (
    "calibration",
    "datasets",
    "delays",
    "export",
    "metrics",
    "model_selection",
    "native",
    "plotting",
    "spark",
)

__all__ = [*_HOMES, *_SUBMODULES]


def __getattr__(name: str) -> Any:
    """Import a public name or submodule when it is first used (PEP 562)."""
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    """Return all names, those not imported yet included."""
    return sorted([*globals(), *__all__])
