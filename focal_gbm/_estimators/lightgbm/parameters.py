"""Parameters of LightGBM: unknown and ineffective ones refused, class weights read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from lightgbm.basic import _ConfigAliases

from focal_gbm._estimators.columns import OTHER_INTEGER, Reader
from focal_gbm._validation import (
    check_count,
    check_flag,
    check_positive,
    did_you_mean,
)

# LightGBM accepts these, and a custom objective leaves them without effect.
_DEAD_PARAMETERS = {
    "alpha": "did you mean focal_alpha?",
    "boost_from_average": "set start: 0 begins at even odds, 1 at the base rate",
    "fair_c": "it belongs to another objective",
    "neg_bagging_fraction": "use subsample, or data_sample_strategy='goss'",
    "num_class": "only binary classification is supported",
    "poisson_max_delta_step": "did you mean max_delta_step?",
    "pos_bagging_fraction": "use subsample, or data_sample_strategy='goss'",
    "reg_sqrt": "it belongs to another objective",
    "sigmoid": "the raw score is the log-odds as it is",
    "tweedie_variance_power": "it belongs to another objective",
}
# What other libraries call what LightGBM has.
_FOREIGN = {
    "gamma": "; did you mean focal_gamma, or min_split_gain?",
    "eval_metric": "; pass eval_metric to fit, or set metric",
    "early_stopping_rounds": "; did you mean early_stopping_round?",
}
# The model holds categories as JSON.
_CATEGORIES = "string integer floating boolean mixed-integer mixed-integer-float empty"
READER = Reader(
    "LightGBM",
    any_arrow=False,
    categories=frozenset([*_CATEGORIES.split(), OTHER_INTEGER]),
)
_SKLEARN_PARAMETERS = ("class_weight", "importance_type", "n_jobs", "random_state")


def aliases(name: str) -> set[str]:
    """Return all names of a parameter of LightGBM."""
    return set(_ConfigAliases.get(name))


def synonyms(name: str) -> set[str]:
    """Return all names of a parameter of LightGBM, from any of them."""
    _ConfigAliases.get("objective")  # the table is filled at the first call
    tables = (set(names) for names in _ConfigAliases.aliases.values())
    return next((names for names in tables if name in names), {name})


def value_of(parameters: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """Return the value of a parameter, under whichever of its names it was set."""
    for alias in (name, *sorted(aliases(name))):
        if parameters.get(alias) is not None:
            return parameters[alias]
    return default


def known_parameters() -> set[str]:
    """Return all names of the parameters of LightGBM and of its estimator."""
    _ConfigAliases.get("objective")  # the table is filled at the first call
    names = {alias for names in _ConfigAliases.aliases.values() for alias in names}
    return names | set(_SKLEARN_PARAMETERS)


def check_parameters(parameters: Mapping[str, Any], own: Collection[str]) -> None:
    """Refuse parameters that LightGBM does not know or that would have no effect.

    ``own`` are the parameters of the estimator, which LightGBM does not see.
    """
    known = {*known_parameters(), *own}
    for name, value in parameters.items():
        if name not in known:
            hint = _FOREIGN.get(name) or did_you_mean(name, known)
            msg = f"LightGBM has no parameter {name!r} (given {value!r}){hint}"
            raise ValueError(msg)
    for dead, hint in _DEAD_PARAMETERS.items():
        value = value_of(parameters, dead)
        if value is not None:
            msg = f"{dead}={value!r} has no effect on a focal objective: {hint}"
            raise ValueError(msg)
    for name in aliases("num_iterations"):
        if name == "n_estimators" or parameters.get(name) is not None:
            check_count(parameters[name], name)
    objective = value_of(parameters, "objective", "binary")
    if objective != "binary":
        msg = (
            f"objective must be None or 'binary', got {objective!r}: the focal loss is "
            "the objective; pass a FocalObjective to LGBMClassifier for another setting"
        )
        raise ValueError(msg)
    if value_of(parameters, "boosting") in ("rf", "random_forest"):
        msg = (
            "boosting_type='rf' refuses custom objectives in LightGBM; use 'gbdt' or "
            "'dart', with subsample or data_sample_strategy='goss' for randomness"
        )
        raise ValueError(msg)
    is_quantised = value_of(parameters, "use_quantized_grad", False)
    if check_flag(is_quantised, "use_quantized_grad"):
        _check_quantised(parameters)


def _check_quantised(parameters: Mapping[str, Any]) -> None:
    """Refuse quantised gradients where rows or columns are drawn.

    LightGBM 4.6 and 4.7 sum over the wrong rows and columns then (its pull request
    7397). The fit ends in a failed check, in a killed process or in worse trees.
    """
    drawn = [
        f"{name}={value}"
        for name in ("feature_fraction", "feature_fraction_bynode")
        if (value := value_of(parameters, name, 1.0)) < 1.0
    ]
    fraction = value_of(parameters, "bagging_fraction", 1.0)
    if fraction < 1.0 and value_of(parameters, "bagging_freq", 0) > 0:
        drawn.append(f"bagging_fraction={fraction}")
    if "goss" in (
        value_of(parameters, "boosting"),
        value_of(parameters, "data_sample_strategy"),
    ):
        drawn.append("data_sample_strategy='goss'")
    if drawn:
        msg = (
            f"use_quantized_grad=True with {' and '.join(drawn)}: LightGBM's quantised "
            "gradients are wrong, or end the process, where rows or columns are drawn; "
            "set colsample_bytree=1, colsample_bynode=1 and subsample=1, or "
            "use_quantized_grad=False"
        )
        raise ValueError(msg)


@cache  # read in every call of predict
def _weight_parameters() -> frozenset[str]:
    return frozenset(aliases("scale_pos_weight") | aliases("is_unbalance"))


def booster_parameters(parameters: dict[str, Any], own: frozenset[str]) -> Any:
    """Return the parameters that go to the booster.

    Left out are the estimator's ``own``, those of a nested calibrator, and the weights
    of classes, which act in the loss.
    """
    left_out = own | _weight_parameters()
    parameters = {
        k: v for k, v in parameters.items() if k not in left_out and "__" not in k
    }
    if parameters.get("verbose", 0) is None:
        del parameters["verbose"]
    return parameters


def class_factors(
    parameters: Mapping[str, Any], counts: Sequence[int]
) -> tuple[float, float]:
    """Return the factors of class 0 and 1 from ``scale_pos_weight`` and
    ``is_unbalance``; ``counts`` are the rows of each class."""
    scale = value_of(parameters, "scale_pos_weight", 1.0)
    scale = check_positive(scale, "scale_pos_weight")
    if not check_flag(value_of(parameters, "is_unbalance", False), "is_unbalance"):
        return 1.0, scale
    if scale != 1.0:
        msg = (
            f"is_unbalance=True and scale_pos_weight={scale} both weigh the classes; "
            "set one of them"
        )
        raise ValueError(msg)
    # LightGBM's rule: the rarer class weighs as much as the other
    negatives, positives = counts
    ratio = negatives / positives
    return max(1.0 / ratio, 1.0), max(ratio, 1.0)
