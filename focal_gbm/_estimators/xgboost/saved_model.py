"""A trained XGBoost model: its start, its trees, and the attribute with our state."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray
from scipy.special import expit, logit
from xgboost import Booster, DMatrix

from focal_gbm.calibration import from_state, state_of
from focal_gbm.loss import FocalLoss

# The objective by which readers of the saved model convert raw scores: to
# probabilities by the sigmoid, or not at all.
OBJECTIVES = {"posterior": "binary:logistic", "logit": "binary:logitraw"}
# Attribute of the booster that keeps what a model of XGBoost has no place for.
_ATTRIBUTE = "focal_gbm"
# base_score is a float32 probability, and 1 would be an infinite score.
_LARGEST = 1.0 - 2.0**-24
_SAFE_START = 13.0  # log-odds; XGBoost 3 clips at 13.8
_CLIPPED_START = float(logit(1.0 - 1e-6))


def base_score(raw: float, link: str) -> float:
    """Return the value of base_score for which boosting begins at ``raw``."""
    return raw if link == "logit" else min(float(expit(raw)), _LARGEST)


def learner(booster: Booster) -> dict[str, Any]:
    """Return the configuration of a booster."""
    configuration: dict[str, Any] = json.loads(booster.save_config())["learner"]
    return configuration


def _raw_start(booster: Booster, link: str) -> float:
    """Return the raw score at which a booster begins."""
    text = learner(booster)["learner_model_param"]["base_score"]
    base_score = float(text.strip("[]"))  # a list of one from XGBoost 3.1 on
    return base_score if link == "logit" else float(logit(base_score))


def with_objective(booster: Booster, link: str) -> Booster:
    """Return a copy with the objective that a saved model of ``link`` names.

    A booster trained with a callable has the objective of its parameters, and
    "reg:squarederror" without any; its trees do not depend on that name.
    """
    booster = booster.copy()
    name = learner(booster)["objective"]["name"]
    if name == OBJECTIVES[link]:
        return booster
    if name not in (*OBJECTIVES.values(), "reg:squarederror"):
        msg = (
            f"the booster has the objective {name!r}, whose raw scores are no log-odds "
            f"of two classes; train with obj=FocalObjective(...) and the parameter "
            f"objective={OBJECTIVES[link]!r}"
        )
        raise ValueError(msg)
    is_log_odds = name == OBJECTIVES["posterior"]
    start = _raw_start(booster, "posterior" if is_log_odds else "logit")
    booster.set_param(
        {"objective": OBJECTIVES[link], "base_score": base_score(start, link)}
    )
    return booster


def score_of_nothing(booster: Booster) -> float:
    """Return the raw score of a row without any value."""
    nothing = DMatrix(np.full((1, booster.num_features()), np.nan))
    (score,) = booster.predict(nothing, output_margin=True, validate_features=False)
    return float(score)


def acting_start(booster: Booster, link: str) -> float:
    """Return the raw score at which predictions begin: XGBoost 3 takes probabilities
    below 1e-6 and above 1 - 1e-6 for those."""
    start = _raw_start(booster, link)
    if link == "logit" or int(xgboost.__version__.split(".")[0]) < 3:
        return start
    return min(max(start, -_CLIPPED_START), _CLIPPED_START)


def completed(
    booster: Booster,
    loss: FocalLoss,
    threshold: float,
    classes: NDArray[Any],
    closing: Callable[[Booster], float] | None,
    calibrator: Any = None,
) -> Booster:
    """Return the booster cut at its best round, with closing constant and state.

    ``closing`` measures the closing constant of a booster; None: there is none.
    """
    booster = as_stopped(booster)
    if closing is not None:
        booster = shifted(booster, loss.link, closing)
    describe(booster, loss, threshold, classes)
    keep_calibrator(booster, calibrator)
    return booster


def shifted(
    booster: Booster, link: str, constant: Callable[[Booster], float]
) -> Booster:
    """Return the booster with the closing constant added to every raw score.

    The constant goes into base_score as far as possible. XGBoost 3 replaces a
    probability below 1e-6 by 1e-6, so the rest goes into the first tree, or into the
    bias of a linear model. ``constant`` measures the closing constant of a booster.
    """
    wanted = _raw_start(booster, link) + constant(booster)
    start = {"base_score": base_score(wanted, link)}
    if link == "logit" or abs(wanted) < _SAFE_START:
        booster.set_param(start)
        return booster
    booster = booster.copy()  # one that has kept no scores of the training rows
    booster.set_param(start)
    rest = constant(booster)
    if abs(rest) < 1e-6:
        return booster
    model = json.loads(booster.save_raw("json"))
    part = model["learner"]["gradient_booster"]
    if part["name"] == "gblinear":
        part["model"]["weights"][-1] += rest
    else:
        tree, weight = weighted_trees(model)[0]
        rest /= weight
        for i, child in enumerate(tree["left_children"]):
            if child == -1:
                tree["split_conditions"][i] += rest
                tree["base_weights"][i] += rest
    booster.load_model(_as_bytes(model))
    return booster


def _as_bytes(model: dict[str, Any]) -> bytearray:
    """Return a model in JSON as XGBoost reads it, which takes escapes for text."""
    return bytearray(json.dumps(model, ensure_ascii=False).encode())


def mean_of(boosters: Sequence[Booster], link: str) -> Booster:
    """Return one booster of trees whose raw score is the mean of the boosters'.

    It has the trees of all boosters, with leaves divided by the number of boosters, and
    the mean start. Attributes are those of the first.
    """
    models = [json.loads(booster.save_raw("json")) for booster in boosters]
    if any(
        _tree_model(m).get("cats") != _tree_model(models[0]).get("cats") for m in models
    ):
        msg = (
            "the boosters have different categories, so that no single one can hold "
            "their trees; give the columns fixed categories, as pandas or Enum have"
        )
        raise ValueError(msg)
    factor = 1.0 / len(models)
    trees: list[Any] = []
    ends = [0]  # of the rounds, each of one tree or of a forest
    for part in map(_tree_model, models):
        begin = ends[-1]
        ends += [begin + end for end in part["iteration_indptr"][1:]]
        for tree in part["trees"]:
            tree["id"] = len(trees)
            trees.append(tree)
            for i, child in enumerate(tree["left_children"]):
                tree["base_weights"][i] *= factor
                if child == -1:
                    tree["split_conditions"][i] *= factor
    joined = _tree_model(models[0])
    joined["trees"], joined["iteration_indptr"] = trees, ends
    joined["tree_info"] = [0] * len(trees)
    joined["gbtree_model_param"]["num_trees"] = str(len(trees))
    booster = Booster()
    booster.load_model(_as_bytes(models[0]))
    start = float(np.mean([acting_start(booster, link) for booster in boosters]))
    booster.set_param({"base_score": base_score(start, link)})
    # the round of early stopping is that of the first alone
    booster.set_attr(best_iteration=None, best_score=None)
    return booster


def has_split(booster: Booster) -> bool:
    """Whether any tree has a split, or a linear model is one of columns."""
    return bool(booster.get_score(importance_type="weight"))


def as_stopped(booster: Booster) -> Booster:
    """Return the booster without the trees after its best iteration.

    XGBoost keeps those trees; every reader but its own estimator would predict with
    them.
    """
    is_linear = learner(booster)["gradient_booster"]["name"] == "gblinear"
    rounds = _rounds_in_use(booster)
    if is_linear or rounds == booster.num_boosted_rounds():
        return booster
    stopped = booster[:rounds]
    if "c" in (booster.feature_types or ()):
        _copy_categories(booster, stopped)
    for name in ("best_iteration", "best_score"):
        stopped.set_attr(**{name: booster.attr(name)})
    return stopped


def _copy_categories(booster: Booster, part: Booster) -> None:
    """Give a cut booster the categories of the training frame, which cutting loses.

    XGBoost 3.1 and later recode other frames by them.
    """
    models = [json.loads(b.save_raw("json")) for b in (booster, part)]
    whole, cut = (_tree_model(model) for model in models)
    if "cats" in whole:
        cut["cats"] = whole["cats"]
        part.load_model(_as_bytes(models[1]))


def _tree_model(model: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a model in JSON that holds the trees."""
    booster = model["learner"]["gradient_booster"]
    trees: dict[str, Any] = booster.get("gbtree", booster)["model"]  # or of dart
    return trees


def weighted_trees(model: dict[str, Any]) -> list[tuple[dict[str, Any], float]]:
    """Return the trees of a model in JSON, each with the factor on its leaves, which
    only dart has."""
    part = _tree_model(model)
    trees = part["trees"]
    # beside the trees from XGBoost 3.4 on
    weights = part.get("weight_drop") or model["learner"]["gradient_booster"].get(
        "weight_drop"
    )
    return list(zip(trees, weights or [1.0] * len(trees), strict=True))


def describe(
    booster: Booster, loss: FocalLoss, threshold: float, classes: NDArray[Any]
) -> None:
    """Write loss, threshold and classes into an attribute of the booster."""
    state = {
        "gamma": loss.gamma,
        "alpha": loss.alpha,
        "link": loss.link,
        "threshold": threshold,
        **_classes_state(classes),
    }
    booster.set_attr(**{_ATTRIBUTE: json.dumps(state)})


def keep_calibrator(booster: Booster, calibrator: Any) -> None:
    """Write a calibrator of this library into the booster; others are not written."""
    state = json.loads(booster.attr(_ATTRIBUTE))
    state["calibrator"] = state_of(calibrator)
    booster.set_attr(**{_ATTRIBUTE: json.dumps(state)})


def _classes_state(classes: NDArray[Any]) -> dict[str, Any]:
    """Return labels in a form that JSON can hold."""
    if classes.dtype.kind in "mM":  # whole numbers of the unit in the dtype
        whole = classes.astype(np.int64).tolist()
        return {"classes": whole, "dtype": classes.dtype.str}
    dtype = None if classes.dtype.kind in "OU" else classes.dtype.str
    return {"classes": classes.tolist(), "dtype": dtype}


def holds(booster: Booster, calibrator: Any) -> bool:
    """Whether the booster, and so its file, holds the estimator's calibrator."""
    state = json.loads(booster.attr(_ATTRIBUTE))
    return calibrator is None or state.get("calibrator") is not None


def _rounds_in_use(booster: Booster) -> int:
    """Return the number of rounds up to the best one; all without early stopping."""
    best = booster.attr("best_iteration")
    rounds: int = booster.num_boosted_rounds() if best is None else int(best) + 1
    return rounds


def restore(booster: Booster) -> tuple[FocalLoss, float, NDArray[Any], Any]:
    """Return loss, threshold, classes and calibrator of a booster read from a file."""
    text = booster.attr(_ATTRIBUTE)
    if text is None:
        objective = learner(booster)["objective"]["name"]
        if objective != OBJECTIVES["posterior"]:
            msg = f"the model must be one of 'binary:logistic', got {objective!r}"
            raise ValueError(msg)
        plain = FocalLoss(gamma=0.0), 0.5, np.arange(2)
        describe(booster, *plain)  # a calibrator may come to it
        return *plain, None
    state = json.loads(text)
    loss = FocalLoss(state["gamma"], state["alpha"], state["link"])
    calibrator = from_state(state.get("calibrator"))
    if state["classes"] is None:
        msg = (
            "the model was saved by a version that kept no labels of this kind: "
            "classes_ are 0 and 1"
        )
        warnings.warn(msg, UserWarning, stacklevel=3)
        return loss, state["threshold"], np.arange(2), calibrator
    dtype = state.get("dtype")
    is_time = dtype is not None and np.dtype(dtype).kind in "mM"
    classes = np.asarray(state["classes"], dtype=np.int64 if is_time else dtype)
    classes = classes.astype(dtype) if is_time else classes
    return loss, state["threshold"], classes, calibrator
