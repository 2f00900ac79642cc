"""The trees of both libraries as nodes of ONNX, and the raw score of a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from focal_gbm._estimators.lightgbm.saved_model import trees_of
from focal_gbm._estimators.xgboost.saved_model import acting_start, weighted_trees
from focal_gbm.export._onnx_graph import Node, leaf_sums

# Leaves are split into a multiple of this, whose sums float32 can hold, and a rest.
_COARSE = 2.0**-10
# LightGBM takes smaller numbers for zero (kZeroThreshold).
_ZERO = float(np.float32(1e-35))


def lightgbm_score(model: Any, x: Any) -> Any:
    """Return the raw score of a FocalLGBMClassifier for columns ``x`` in float64."""
    trees: list[list[Node]] = []
    categorical: set[int] = set()
    zeros: dict[int, set[bool]] = {}
    for text in trees_of(model.booster_.model_to_string()):
        fields = dict(line.split("=", 1) for line in text.split("\n") if "=" in line)
        if fields["is_linear"] == "1":
            msg = (
                "linear_tree=True: trees in ONNX have constants in their leaves, no "
                "linear models; fit with linear_tree=False"
            )
            raise ValueError(msg)
        trees.append(_lightgbm_tree(fields, categorical, zeros))
    mixed = sorted(feature for feature, kinds in zeros.items() if len(kinds) > 1)
    if mixed:
        msg = (
            f"the columns {mixed} have trees with zero_as_missing=True and trees "
            "without, and a graph can honour one of the two; train all trees alike"
        )
        raise ValueError(msg)
    # LightGBM drops the fraction of a category
    x = _changed(x, categorical, model, lambda x: np.sign(x) * np.floor(np.abs(x)))
    missing = {feature for feature, kinds in zeros.items() if True in kinds}
    x = _changed(x, missing, model, lambda x: np.where(np.abs(x) <= _ZERO, np.nan, x))
    return _sum_of(trees, x)


def _lightgbm_tree(
    fields: dict[str, str], categorical: set[int], zeros: dict[int, set[bool]]
) -> list[Node]:
    """Return the nodes of a tree from the lines of a model's text.

    The columns of its splits are added to ``categorical``, or to ``zeros`` with whether
    zeros are missing values there.
    """

    def read(name: str, kind: type) -> list[Any]:
        return [kind(value) for value in fields.get(name, "").split()]

    features, kinds = read("split_feature", int), read("decision_type", int)
    thresholds = read("threshold", float)
    lefts, rights = read("left_child", int), read("right_child", int)
    bounds, bits = read("cat_boundaries", int), read("cat_threshold", int)
    n_splits = len(features)
    nodes = [Node()] * n_splits + [_leaf(value) for value in read("leaf_value", float)]
    for i, (feature, kind) in enumerate(zip(features, kinds, strict=True)):
        # a negative child is a leaf
        left, right = (
            n_splits + ~child if child < 0 else child for child in (lefts[i], rights[i])
        )
        if kind & 1:
            categorical.add(feature)
            words = bits[bounds[int(thresholds[i])] : bounds[int(thresholds[i]) + 1]]
            members = [
                c for c in range(32 * len(words)) if words[c // 32] >> c % 32 & 1
            ]
            # a missing value is no member
            _put_members(nodes, i, feature, members, left, right, False)
            continue
        # bits 2 and 3: whether nothing, zeros or NaN were missing values
        missing = kind >> 2 & 3
        zeros.setdefault(feature, set()).add(missing == 1)
        # if nothing was, NaN is 0
        is_left = bool(kind & 2) if missing else thresholds[i] >= 0.0
        nodes[i] = Node((), "BRANCH_LEQ", feature, thresholds[i], left, right, is_left)
    return nodes


def xgboost_score(model: Any, x: Any) -> Any:
    """Return the raw score of a FocalXGBClassifier for columns ``x`` in float64."""
    booster = model.get_booster()
    parsed = json.loads(booster.save_raw("json"))
    if parsed["learner"]["gradient_booster"]["name"] == "gblinear":
        msg = (
            "booster='gblinear' has no trees, and the converter has no other model; "
            "fit with booster='gbtree' or 'dart'"
        )
        raise ValueError(msg)
    trees = weighted_trees(parsed)
    categorical = {
        tree["split_indices"][i] for tree, _ in trees for i in tree["categories_nodes"]
    }
    x = x.graph.cast(x, np.float32)
    if not np.isnan(model.missing):
        x = np.where(x == np.float32(model.missing), np.float32("nan"), x)
    x = x.graph.cast(x, np.float64)
    # XGBoost drops the fraction of a category, and below 0 there is none
    x = _changed(x, categorical, model, np.floor)
    nodes = [_xgboost_tree(tree, weight) for tree, weight in trees]
    return _sum_of(nodes, x) + acting_start(booster, model.loss_.link)


def _xgboost_tree(tree: dict[str, Any], weight: float) -> list[Node]:
    """Return the nodes of a tree from a model in JSON, its leaves times ``weight``."""
    sets = {
        node: tree["categories"][begin : begin + size]
        for node, begin, size in zip(
            tree["categories_nodes"],
            tree["categories_segments"],
            tree["categories_sizes"],
            strict=True,
        )
    }
    lefts, rights = tree["left_children"], tree["right_children"]
    values = np.array(tree["split_conditions"], np.float32).tolist()
    reached, waiting = [], [0]  # the file keeps pruned nodes
    while waiting:
        i = waiting.pop()
        reached.append(i)
        if lefts[i] >= 0:
            waiting += [lefts[i], rights[i]]
    number = {i: n for n, i in enumerate(reached)}
    nodes = [Node()] * len(reached)
    for i, n in number.items():
        if lefts[i] < 0:
            nodes[n] = _leaf(values[i] * weight)
            continue
        feature = tree["split_indices"][i]
        left, right = number[lefts[i]], number[rights[i]]
        is_left = bool(tree["default_left"][i])
        if i in sets:  # its members go to the right
            _put_members(nodes, n, feature, sets[i], right, left, not is_left)
        else:
            nodes[n] = Node((), "BRANCH_LT", feature, values[i], left, right, is_left)
    return nodes


def _changed(
    x: Any, features: Collection[int], model: Any, change: Callable[[Any], Any]
) -> Any:
    """Return the columns ``x``, those of ``features`` as ``change`` returns them."""
    if not features:
        return x
    chosen = np.array([[i in features for i in range(model.n_features_in_)]])
    return np.where(chosen, change(x), x)


def _leaf(value: float) -> Node:
    coarse = round(value / _COARSE) * _COARSE
    return Node((coarse, value - coarse))


def _sum_of(trees: Sequence[Sequence[Node]], x: Any) -> Any:
    """Return the sum of the trees in float64.

    The operator adds in float64 and returns float32. Each leaf is therefore two
    numbers: sums of the first are exact in float32, those of the second are small.
    """
    sums = x.graph.cast(leaf_sums(x, trees, 2), np.float64)
    return x.graph.node("MatMul", sums, np.ones((2, 1)))


def _put_members(
    nodes: list[Node],
    number: int,
    feature: int,
    categories: Sequence[int],
    true: int,
    false: int,
    is_missing_true: bool,
) -> None:
    """Set node ``number`` to send rows of the categories to ``true``.

    It compares with one category, and nodes at the end of the list with the others.
    """
    added = range(len(nodes), len(nodes) + len(categories) - 1)
    numbers, nexts = [number, *added], [*added, false]
    nodes += [Node()] * len(added)
    for i, category, other in zip(numbers, categories, nexts, strict=True):
        value = float(category)
        nodes[i] = Node((), "BRANCH_EQ", feature, value, true, other, is_missing_true)
