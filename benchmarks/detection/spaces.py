"""Define the search spaces of the models and the first trial of every search."""

from __future__ import annotations

from typing import Any

# A value is a range (logarithmic with "log", whole numbers if both ends are whole) or a
# list of choices. Parameters with one meaning have one range in all libraries.
Parameters = dict[str, Any]
Space = dict[str, tuple[float, float, str] | list[Any]]
_RATE, _TREES, _L2 = (0.01, 0.3, "log"), (50, 500, "log"), (1e-3, 100.0, "log")
_COLUMNS, _ROWS, _WEIGHT = (0.4, 1.0, ""), (0.5, 1.0, ""), (0.0, 1.0, "")
_LEAVES, _LEAF_ROWS, _DEPTH = (4, 64, "log"), (2, 100, "log"), (2, 8, "")
_BOTH: Space = {
    "learning_rate": _RATE,
    "n_estimators": _TREES,
    "reg_lambda": _L2,
    "colsample_bytree": _COLUMNS,
    "subsample": _ROWS,
    "weight_power": _WEIGHT,
    "min_child_weight": (1e-3, 10.0, "log"),
}
_LEAF_WISE: Space = _BOTH | {
    "max_bin": [255, 1023],
    "num_leaves": _LEAVES,
    "min_child_samples": _LEAF_ROWS,
    "subsample_freq": [1],
}
_BY_DEPTH: Space = _BOTH | {"max_bin": [256, 1024], "max_depth": _DEPTH}
_STEP: Space = {"max_delta_step": [0.0, 1.0, 4.0]}
_FOCAL: Space = {
    "focal_gamma": (0.0, 4.0, ""),
    "max_step": (0.5, 16.0, "log"),
    "start": (0.0, 1.0, ""),
}
LIGHTGBM: Space = _LEAF_WISE | _STEP | {"boost_from_average": [True, False]}
XGBOOST: Space = _BY_DEPTH | _STEP
FOCAL_LIGHTGBM: Space = _LEAF_WISE | _FOCAL
FOCAL_XGBOOST: Space = _BY_DEPTH | _FOCAL
CATBOOST: Space = {
    "learning_rate": _RATE,
    "iterations": _TREES,
    "l2_leaf_reg": _L2,
    "rsm": _COLUMNS,
    "subsample": _ROWS,
    "bootstrap_type": ["Bernoulli"],
    "depth": _DEPTH,
    "border_count": [254, 1023],
    "weight_power": _WEIGHT,
    "boost_from_average": [True, False],
}
# No max_bin: histograms of scikit-learn have at most 255 bins.
HIST: Space = {
    "learning_rate": _RATE,
    "max_iter": _TREES,
    "l2_regularization": _L2,
    "max_features": _COLUMNS,
    "max_leaf_nodes": _LEAVES,
    "min_samples_leaf": _LEAF_ROWS,
    "weight_power": _WEIGHT,
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


def draw(space: Space, trial: Any) -> Parameters:
    """Draw the parameters of an Optuna trial."""
    drawn: Parameters = {}
    for name, values in space.items():
        if isinstance(values, list):
            drawn[name] = trial.suggest_categorical(name, values)
        else:
            low, high, scale = values
            suggest = trial.suggest_int if isinstance(low, int) else trial.suggest_float
            drawn[name] = suggest(name, low, high, log=scale == "log")
    return drawn
