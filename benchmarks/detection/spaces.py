"""Define the search spaces of the models and the first trial of every search."""

from __future__ import annotations

from typing import Any

from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm._estimators.ranges import Ranges, all_ranges

Parameters = dict[str, Any]
Space = Ranges


def _space_of(kind: Any) -> dict[str, Any]:
    """Return the ranges of ``suggest_params``.

    The weight of a class is drawn as a power of the ratio of the classes, which has the
    same range in each fold.
    """
    names = {"scale_pos_weight": "weight_power"}
    ranges = all_ranges(kind._tree_ranges, ratio=2.0)
    space = {names.get(name, name): values for name, values in ranges.items()}
    return space | {"weight_power": (0.0, 1.0, "")}


def _without_loss(space: Space) -> dict[str, Any]:
    of_loss = {"focal_gamma", "max_step", "start"}
    return {name: values for name, values in space.items() if name not in of_loss}


FOCAL_LIGHTGBM = _space_of(FocalLGBMClassifier)
FOCAL_XGBOOST = _space_of(FocalXGBClassifier)
_STEP = {"max_delta_step": [0.0, 1.0, 4.0]}
_BASE_RATE = {"boost_from_average": [True, False]}
LIGHTGBM: Space = _without_loss(FOCAL_LIGHTGBM) | _STEP | _BASE_RATE
XGBOOST: Space = _without_loss(FOCAL_XGBOOST) | _STEP
# Parameters with one meaning have one range in all libraries.
CATBOOST: Space = {
    "learning_rate": FOCAL_XGBOOST["learning_rate"],
    "iterations": FOCAL_XGBOOST["n_estimators"],
    "l2_leaf_reg": FOCAL_XGBOOST["reg_lambda"],
    "rsm": FOCAL_XGBOOST["colsample_bytree"],
    "subsample": FOCAL_XGBOOST["subsample"],
    "bootstrap_type": ["Bernoulli"],
    "depth": FOCAL_XGBOOST["max_depth"],
    "border_count": [254, 1023],
    "weight_power": FOCAL_XGBOOST["weight_power"],
    **_BASE_RATE,
}
# No max_bin: histograms of scikit-learn have at most 255 bins.
HIST: Space = {
    "learning_rate": FOCAL_LIGHTGBM["learning_rate"],
    "max_iter": FOCAL_LIGHTGBM["n_estimators"],
    "l2_regularization": FOCAL_LIGHTGBM["reg_lambda"],
    "max_features": FOCAL_LIGHTGBM["colsample_bytree"],
    "max_leaf_nodes": FOCAL_LIGHTGBM["num_leaves"],
    "min_samples_leaf": FOCAL_LIGHTGBM["min_child_samples"],
    "weight_power": FOCAL_LIGHTGBM["weight_power"],
}

# First trials are the libraries' default settings, moved into the spaces.
_FIRST_LEAF_WISE: Parameters = {
    "learning_rate": 0.1,
    "n_estimators": 100,
    "reg_lambda": 1e-3,
    "colsample_bytree": 1.0,
    "subsample": 1.0,
    "weight_power": 0.0,
    "min_child_weight": 1e-3,
    "max_bin": 255,
    "num_leaves": 31,
    "min_child_samples": 20,
}
_FIRST_BY_DEPTH: Parameters = {
    "learning_rate": 0.3,
    "n_estimators": 100,
    "reg_lambda": 1.0,
    "colsample_bytree": 1.0,
    "subsample": 1.0,
    "weight_power": 0.0,
    "min_child_weight": 1.0,
    "max_bin": 256,
    "max_depth": 6,
}
_FIRST_FOCAL: Parameters = {
    "min_child_weight": 1.0,
    "focal_gamma": 2.0,
    "max_step": 4.0,
    "start": 0.5,
}
FIRST_LIGHTGBM = _FIRST_LEAF_WISE | {"max_delta_step": 0.0, "boost_from_average": True}
FIRST_XGBOOST = _FIRST_BY_DEPTH | {"max_delta_step": 0.0}
FIRST_FOCAL_LIGHTGBM = _FIRST_LEAF_WISE | _FIRST_FOCAL
FIRST_FOCAL_XGBOOST = _FIRST_BY_DEPTH | _FIRST_FOCAL
FIRST_HIST: Parameters = {
    "learning_rate": 0.1,
    "max_iter": 100,
    "l2_regularization": 1e-3,
    "max_features": 1.0,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 20,
    "weight_power": 0.0,
}
FIRST_CATBOOST: Parameters = {
    "learning_rate": 0.1,
    "iterations": 500,
    "l2_leaf_reg": 3.0,
    "rsm": 1.0,
    "subsample": 0.8,
    "depth": 6,
    "border_count": 254,
    "weight_power": 0.0,
    "boost_from_average": True,
}
