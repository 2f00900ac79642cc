"""Ranges of the parameters in a search, and values drawn from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A value is a range (logarithmic with "log", whole numbers if both ends are whole) or a
# list of choices. Parameters with one meaning have one range in both libraries.
Ranges = Mapping[str, tuple[float, float, str] | list[Any]]

_BOOSTING: Ranges = {
    "learning_rate": (0.01, 0.3, "log"),
    "n_estimators": (50, 500, "log"),
    "reg_lambda": (1e-3, 100.0, "log"),
    "colsample_bytree": (0.4, 1.0, ""),
    "subsample": (0.5, 1.0, ""),
}
_LEAVES: Ranges = {"min_child_weight": (1e-3, 10.0, "log")}
_LOSS: Ranges = {
    "focal_gamma": (0.0, 4.0, ""),
    "max_step": (0.5, 16.0, "log"),
    "start": (0.0, 1.0, ""),
}


def all_ranges(of_trees: Ranges, ratio: float | None) -> Ranges:
    """Return the ranges of all parameters.

    ``of_trees`` are those of the library's trees. ``ratio`` is the number of negatives
    for each positive; without it there is no range of class weights.
    """
    weights: Ranges = {}
    if ratio is not None:
        weights = {"scale_pos_weight": (min(ratio, 1.0), max(ratio, 1.0), "log")}
    return {**_BOOSTING, **weights, **_LEAVES, **of_trees, **_LOSS}


def draw(trial: Any, ranges: Ranges) -> dict[str, Any]:
    """Return values that a trial of Optuna draws from ranges."""
    drawn = {}
    for name, values in ranges.items():
        if isinstance(values, list):  # of one value too, so that the study has it
            drawn[name] = trial.suggest_categorical(name, values)
            continue
        low, high, scale = values
        suggest = trial.suggest_int if isinstance(low, int) else trial.suggest_float
        drawn[name] = suggest(name, low, high, log=scale == "log")
    return drawn
