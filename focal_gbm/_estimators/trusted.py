"""Types in a saved model that skops does not trust by itself.

None of them runs code of the file: objects are restored attribute by attribute without
their constructor, and the boosters by their libraries' readers of models.
"""

from __future__ import annotations

# by the kind of node that skops writes for them; any other kind would call them
_BY_LOADER = {
    "ObjectNode": (
        "focal_gbm.calibration.LogOddsCalibrator",
        "focal_gbm.calibration.PriorShift",
        "focal_gbm.cross_fit.FocalClassifierCV",
        "focal_gbm.delays.ReportingDelay",
        "focal_gbm.lightgbm.FocalLGBMClassifier",
        "focal_gbm.loss.FocalLoss",
        "focal_gbm.model_selection._prequential.PrequentialSplit",
        "focal_gbm.objective._metric.FocalMetric",
        "focal_gbm.xgboost.FocalXGBClassifier",
        "lightgbm.basic.Booster",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        # of ColumnTransformer in scikit-learn 1.6
        "sklearn.compose._column_transformer._RemainderColsList",
        "sklearn.model_selection._split.GroupKFold",
        "sklearn.model_selection._split.KFold",
        "sklearn.model_selection._split.StratifiedGroupKFold",
        "sklearn.model_selection._split.StratifiedKFold",
        "sklearn.model_selection._split.TimeSeriesSplit",
        "xgboost.core.Booster",
    ),
    "TupleNode": (
        "focal_gbm.calibration._Parametric",
        "focal_gbm.calibration._Scale",
        "focal_gbm.calibration._Steps",
        "focal_gbm.delays._Curve",
        "focal_gbm.delays._Tail",
    ),
    "FunctionNode": ("focal_gbm.calibration._unmoved",),
    "TypeNode": ("collections.OrderedDict",),  # of LightGBM's best_score_
}
LOADER_OF = {name: loader for loader, names in _BY_LOADER.items() for name in names}
SKOPS_TRUSTED = tuple(sorted(LOADER_OF))
