"""The text of a trained LightGBM model, with the constant and objective it lacks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lightgbm import (
    Booster,
)

# The line of a model whose raw scores are log-odds.
LOG_ODDS = "objective=binary sigmoid:1"
# Between the header of a model and its first tree; a column may be called Tree=0.
FIRST_TREE = "\n\nTree=0\n"
_NEXT_TREE = re.compile(r"\n+Tree=\d+\n")
_LAST_TREE = "\nend of trees\n"


def has_split(booster: Booster) -> bool:
    """Whether any tree has a split."""
    return bool(booster.feature_importance("split").any())


def objective_of(model: str) -> str:
    """Return the line of a model's text that names its objective; nothing for a
    custom objective."""
    header = model.partition(FIRST_TREE)[0].split("\n")
    return next((line for line in header if line.startswith("objective=")), "")


def completed(booster: Booster, constant: float, link: str) -> Booster:
    """Return a new booster with ``constant`` added to every raw score, and with the
    objective by which readers convert raw scores of ``link``."""
    is_log_odds = link == "posterior"
    text = stamp(
        booster.model_to_string(num_iteration=-1),  # not the best ones alone
        constant,
        is_log_odds=is_log_odds,
    )
    # LightGBM has no call that changes leaves and objective of a booster
    complete = Booster(model_str=text)
    complete.params = dict(booster.params)
    if is_log_odds:
        complete.params["objective"] = "binary"
    complete.best_iteration = booster.best_iteration
    complete.best_score = booster.best_score
    return complete


def stamp(model: str, constant: float, *, is_log_odds: bool) -> str:
    """Return the text of a model with ``constant`` added to every raw score.

    The constant goes into the first tree, as LightGBM's own bias does
    (``Tree::AddBias``): into leaves, inner nodes and the constants of linear models,
    with shrinkage 1. With ``is_log_odds`` the text names LightGBM's binary objective,
    so that readers apply the sigmoid.
    """
    head, mark, rest = model.partition(FIRST_TREE)
    if not mark:
        msg = "LightGBM wrote a model without a first tree, which cannot be completed"
        raise RuntimeError(msg)
    first, end, tail = rest.partition("\n\n")
    lines = []
    for line in first.split("\n"):
        key, _, values = line.partition("=")
        if key in ("leaf_value", "leaf_const", "internal_value") and values:
            shifted = (repr(float(value) + constant) for value in values.split(" "))
            line = f"{key}={' '.join(shifted)}"
        elif key == "shrinkage":
            line = "shrinkage=1"
        lines.append(line)
    header = _without_sizes(head)
    if is_log_odds and not any(line.startswith("objective=") for line in header):
        after = next(
            i for i, v in enumerate(header) if v.startswith("max_feature_idx=")
        )
        header.insert(after + 1, LOG_ODDS)
        tail = tail.replace("[objective: custom]", "[objective: binary]", 1)
    return "".join(("\n".join(header), mark, "\n".join(lines), end, tail))


def _without_sizes(head: str) -> list[str]:
    """Return the lines of a header without the sizes of the trees' text: a stale size
    aborts the process, and without sizes LightGBM reads tree after tree."""
    return [line for line in head.split("\n") if not line.startswith("tree_sizes=")]


def trees_of(model: str) -> list[str]:
    """Return the texts of a model's trees, without their numbers."""
    body = model.partition(FIRST_TREE)[2].partition(_LAST_TREE)[0]
    return _NEXT_TREE.split(body)


# Lines of a tree that a factor on its predictions multiplies.
_PREDICTIONS = ("leaf_value", "leaf_const", "leaf_coeff", "internal_value", "shrinkage")


def mean_of(models: Sequence[str]) -> str:
    """Return the text of one model whose raw score is the mean of the models' raw
    scores.

    It has the trees of all models, with leaves divided by the number of models; header
    and parameters are those of the first.
    """
    head, *_ = models[0].partition(FIRST_TREE)
    factor = 1.0 / len(models)
    trees = [_scaled(tree, factor) for model in models for tree in trees_of(model)]
    blocks = (f"Tree={i}\n{tree}" for i, tree in enumerate(trees))
    parameters = models[0].partition("\nparameters:")
    return "".join(
        (
            "\n".join(_without_sizes(head)),
            "\n\n",
            "\n\n\n".join(blocks),
            f"\n\n{_LAST_TREE}\n",
            *parameters[1:],
        )
    )


def _scaled(tree: str, factor: float) -> str:
    """Return the text of a tree with its predictions multiplied."""
    lines = []
    for line in tree.strip("\n").split("\n"):
        key, _, values = line.partition("=")
        if key in _PREDICTIONS and values:
            # a linear model without columns leaves nothing between two spaces
            scaled = (repr(float(v) * factor) if v else v for v in values.split(" "))
            line = f"{key}={' '.join(scaled)}"
        lines.append(line)
    return "\n".join(lines)
