"""Parameters of XGBoost: unknown and ineffective ones refused, class weights read."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from numbers import Real
from typing import Any

import numpy as np
import xgboost
from xgboost import Booster, DMatrix, config_context

from focal_gbm._estimators.columns import OTHER_INTEGER, Reader
from focal_gbm._validation import (
    check_count,
    check_positive,
    check_real,
    did_you_mean,
)
from focal_gbm.objective._call import c_interface

# What other libraries call what XGBoost has.
_FOREIGN = {
    "is_unbalance": "; set scale_pos_weight to negatives / positives",
    "class_weight": "; set scale_pos_weight to weight_1 / weight_0",
    "early_stopping_round": "; did you mean early_stopping_rounds?",
    "num_leaves": "; did you mean max_leaves, with grow_policy='lossguide'?",
    "min_child_samples": "; did you mean min_child_weight?",
}
_VERSION = tuple(int(part) for part in xgboost.__version__.split(".")[:2])
# Before 3.1 the model holds no categories, and before 3.4 few kinds of integers.
_CATEGORIES = {"string", "integer"} | ({OTHER_INTEGER} if _VERSION >= (3, 4) else set())
READER = Reader(
    "XGBoost",
    any_arrow=True,
    categories=frozenset(_CATEGORIES) if _VERSION >= (3, 1) else None,
)
# Other names of XGBoost's for parameters that sizes of trees set.
SYNONYMS = {"learning_rate": ("eta",), "reg_lambda": ("lambda",)}
# Parameters of XGBoost that readers of papers take for those of the focal loss.
_NAMESAKES = {
    "gamma": ("focal_gamma", "the least gain of a split", "min_split_loss"),
    "alpha": ("focal_alpha", "the L1 penalty on leaves", "reg_alpha"),
}


def check_parameters(
    parameters: Mapping[str, Any], others: Mapping[str, Any], own: Collection[str]
) -> None:
    """Refuse parameters that XGBoost does not know or that would have no effect.

    ``others`` are the parameters that XGBClassifier accepts without a look; ``own`` are
    those of the estimator, which XGBoost does not see.
    """
    objective = parameters["objective"]
    if objective not in (None, "binary:logistic"):
        msg = (
            f"objective must be None or 'binary:logistic', got {objective!r}: the "
            "focal loss is the objective"
        )
        raise ValueError(msg)
    if "num_class" in others:
        msg = f"num_class={others['num_class']!r}: only two classes are supported"
        raise ValueError(msg)
    p = parameters["base_score"]
    if p is not None:
        check_real(p, "base_score", low=0.0, high=1.0, open_ends=True)
    if parameters["n_estimators"] is not None:
        check_count(parameters["n_estimators"], "n_estimators")
    others = {name: value for name, value in others.items() if name not in own}
    for name in _unused(parameters, others):
        known = [known for known in parameters if known != name]
        hint = _FOREIGN.get(name) or did_you_mean(name, known)
        value = others[name]
        msg = f"XGBoost has no use for parameter {name!r} (given {value!r}){hint}"
        raise ValueError(msg)


def namesakes(parameters: Mapping[str, Any]) -> Iterator[str]:
    """Yield warnings about XGBoost's parameters with the names of focal ones."""
    for name, (ours, theirs, synonym) in _NAMESAKES.items():
        is_set = isinstance(parameters.get(name), Real) and parameters[name] != 0
        value = parameters[ours]
        if is_set and (value is None or (isinstance(value, Real) and value == 2.0)):
            yield (
                f"{name} is XGBoost's own, {theirs}, and {ours} is at its default; set "
                f"{ours} if you mean the focal loss, and {synonym} in place of {name} "
                "if you do not"
            )


def _unused(parameters: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """Return the names of the ``others`` that XGBoost does not use.

    XGBoost has no table of its parameters, but it logs the unused ones.
    """
    if not others:
        return []
    names = (*others, "booster", "tree_method")
    settings = {k: parameters[k] for k in names if parameters[k] is not None}
    settings |= {"objective": "binary:logistic", "verbosity": 1}
    # warnings are logged even if the user has silenced XGBoost
    with _messages() as messages, config_context(verbosity=1):
        rows = DMatrix(np.zeros((2, 1)), label=[0, 1])
        Booster(settings, [rows]).save_config()
    logged = " ".join(message for message in messages if "not used" in message)
    return [name for name in re.findall(r'"(.*?)"', logged) if name in others]


@contextmanager
def _messages() -> Iterator[list[str]]:
    """Give the messages that XGBoost logs in this thread as a list.

    They come from the C interface, which has one callback a thread. Outside of the main
    thread XGBoost's warnings do not reach Python, and filters of warnings are shared by
    all threads.
    """
    messages: list[str] = []
    library = c_interface("xgboost.core")
    kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
    # a name, so that the callback lives as long as XGBoost may call it
    keep = kind(lambda text: messages.append(text.decode(errors="replace")))
    library.XGBRegisterLogCallback(keep)
    try:
        yield messages
    finally:
        library.XGBRegisterLogCallback(library.callback)


def booster_parameters(parameters: dict[str, Any], own: Collection[str]) -> Any:
    """Return the parameters that go to the booster.

    Left out are the estimator's ``own``, those of a nested calibrator, the weight of
    the positive class, which acts in the loss, and the start.
    """
    left_out = {*own, "scale_pos_weight", "base_score"}
    return {k: v for k, v in parameters.items() if k not in left_out and "__" not in k}


def device_of(parameters: Mapping[str, Any]) -> str:
    """Return the device for the derivatives: that of the trees if it is a CUDA
    device."""
    device = str(parameters["device"] or "cpu")
    # "sycl" and others have no loop of ours
    return device if device.startswith(("cuda", "gpu")) else "cpu"


def class_factors(scale_pos_weight: Any) -> tuple[float, float]:
    """Return the factors of class 0 and 1 from ``scale_pos_weight``."""
    if scale_pos_weight is None:
        return 1.0, 1.0
    return 1.0, check_positive(scale_pos_weight, "scale_pos_weight")
