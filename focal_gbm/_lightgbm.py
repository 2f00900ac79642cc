"""What LightGBM needs around a custom objective: parameters looked at before they
are lost, metrics on probabilities, a progress bar, and a model text that says all."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from lightgbm import (
    Booster,
    LGBMModel,
    early_stopping,
    log_evaluation,
    record_evaluation,
)
from lightgbm.basic import _ConfigAliases
from lightgbm.callback import CallbackEnv
from numpy.typing import NDArray
from sklearn.utils import check_array

from focal_gbm._checks import check_count, check_flag, did_you_mean
from focal_gbm._columns import check_columns, in_memory, is_arrow
from focal_gbm._labels import encode
from focal_gbm._training import (
    ProgressBar,
    Training,
    eval_pairs,
    start_of_rows,
)
from focal_gbm.objective import METRICS, FocalMetric

# Names under which LightGBM would measure raw scores as if they were
# probabilities, and the measure of FocalMetric that is right.
_METRICS = {
    "binary_logloss": ("binary_logloss", "log_loss"),
    "binary": ("binary_logloss", "log_loss"),
    "logloss": ("binary_logloss", "log_loss"),
    "cross_entropy": ("cross_entropy", "log_loss"),
    "xentropy": ("cross_entropy", "log_loss"),
    "binary_error": ("binary_error", "error"),
    "error": ("binary_error", "error"),
    **{name: (name, name) for name in METRICS if name != "error"},
}
_RANK_METRICS = ("auc", "average_precision")
_NO_METRIC = ("None", "none", "null", "na", "custom", "")

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
# The line of a model whose raw scores are log-odds.
_LOG_ODDS = "objective=binary sigmoid:1"
# Classes with private names.
_EARLY_STOPPING = type(early_stopping(1, verbose=False))
REPORTING = (type(log_evaluation()), type(record_evaluation({})))
_SKLEARN_PARAMETERS = ("class_weight", "importance_type", "n_jobs", "random_state")


def aliases(name: str) -> set[str]:
    """Return every name of a parameter of LightGBM."""
    return set(_ConfigAliases.get(name))


def given(parameters: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """Return the value of a parameter under whichever of its names it was given."""
    for alias in (name, *sorted(aliases(name))):
        if parameters.get(alias) is not None:
            return parameters[alias]
    return default


def known_parameters() -> set[str]:
    """Return the parameters of LightGBM and its estimator, by every name."""
    _ConfigAliases.get("objective")  # fills the table
    names = {alias for names in _ConfigAliases.aliases.values() for alias in names}
    return names | set(_SKLEARN_PARAMETERS)


def check_parameters(parameters: Mapping[str, Any], own: Collection[str]) -> None:
    """Refuse what LightGBM does not know and what could not act; it knows nothing of
    the estimator's ``own``."""
    known = {*known_parameters(), *own}
    for name, value in parameters.items():
        if name not in known:
            hint = _FOREIGN.get(name) or did_you_mean(name, known)
            msg = f"LightGBM has no parameter {name!r} (given {value!r}){hint}"
            raise ValueError(msg)
    for dead, hint in _DEAD_PARAMETERS.items():
        value = given(parameters, dead)
        if value is not None:
            msg = f"{dead}={value!r} has no effect on a focal objective: {hint}"
            raise ValueError(msg)
    for name in aliases("num_iterations"):
        if name == "n_estimators" or parameters.get(name) is not None:
            check_count(parameters[name], name)
    objective = given(parameters, "objective", "binary")
    if objective != "binary":
        msg = (
            f"objective must be None or 'binary', got {objective!r}: the focal loss is "
            "the objective; pass a FocalObjective to LGBMClassifier for another setting"
        )
        raise ValueError(msg)
    if given(parameters, "boosting") in ("rf", "random_forest"):
        msg = (
            "boosting_type='rf' refuses custom objectives in LightGBM; use 'gbdt' or "
            "'dart', with subsample or data_sample_strategy='goss' for randomness"
        )
        raise ValueError(msg)
    if check_flag(given(parameters, "use_quantized_grad", False), "use_quantized_grad"):
        _check_quantised(parameters)


def _check_quantised(parameters: Mapping[str, Any]) -> None:
    """Refuse quantised gradients where rows or columns are drawn: LightGBM 4.6 and 4.7
    sum over the wrong rows and columns then (its pull request 7397), and end in a
    failed check, in a killed process or in worse trees."""
    drawn = [
        f"{name}={value}"
        for name in ("feature_fraction", "feature_fraction_bynode")
        if (value := given(parameters, name, 1.0)) < 1.0
    ]
    fraction = given(parameters, "bagging_fraction", 1.0)
    if fraction < 1.0 and given(parameters, "bagging_freq", 0) > 0:
        drawn.append(f"bagging_fraction={fraction}")
    if "goss" in (
        given(parameters, "boosting"),
        given(parameters, "data_sample_strategy"),
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


@dataclass(frozen=True)
class Session:
    """What one fit lends to LightGBM."""

    training: Training
    native_metrics: list[str]
    closing: Closing
    calibrator: Any


@cache  # asked for in every call of predict
def _weight_parameters() -> frozenset[str]:
    return frozenset(aliases("scale_pos_weight") | aliases("is_unbalance"))


def booster_parameters(
    parameters: dict[str, Any], own: frozenset[str], session: Session | None
) -> dict[str, Any]:
    """Return parameters without those that are the estimator's own and, for a fit,
    with what the training needs."""
    left_out = own | _weight_parameters()
    parameters = {
        k: v for k, v in parameters.items() if k not in left_out and "__" not in k
    }
    if parameters.get("verbose", 0) is None:
        del parameters["verbose"]
    if session is not None:
        parameters["objective"] = session.training.objective
        parameters["metric"] = session.native_metrics or "None"
        if given(parameters, "max_delta_step") is None:
            parameters["max_delta_step"] = session.training.leaf_bound
    return parameters


class WithoutReset:
    """Callback that keeps LightGBM from setting the objective to "none" once more.

    Before its first iteration with a callable, ``Booster.update`` (4.6, 4.7) resets the
    parameters to the objective alone, though ``train`` has set it: that fails where no
    column has two values, and warns of a ``max_depth`` without ``num_leaves``. The
    booster that training leaves is made anew, without this mark.
    """

    before_iteration = True

    def __call__(self, env: CallbackEnv) -> None:
        env.model._Booster__set_objective_to_none = True


def scores_are_predictions(parameters: Mapping[str, Any]) -> bool:
    """Whether the scores of training are what the model will predict: linear trees
    predict otherwise, and asking dart drops the trees of the next iteration."""
    is_dart = given(parameters, "boosting") == "dart"
    return not (is_dart or given(parameters, "linear_tree", False))


def metrics(training: Training, *requests: Any) -> tuple[list[str], list[Any]]:
    """Split requested metrics into LightGBM's own names and callables."""
    native: list[str] = []
    callables: list[Any] = []
    added: Any
    for request in _flat(requests):
        if isinstance(request, FocalMetric):
            added = training.metric(request.metric, request.name)
        elif callable(request):
            added = training.on_probabilities(request)
        elif not isinstance(request, str):
            msg = f"eval_metric must hold names and callables, got {request!r}"
            raise TypeError(msg)
        elif request in _RANK_METRICS:
            native += [request] if request not in native else []
            continue
        elif request in _NO_METRIC:
            continue
        elif request in _METRICS:
            name, measure = _METRICS[request]
            added = training.metric(measure, name)
        else:
            choices = ", ".join((*_RANK_METRICS, *_METRICS))
            msg = (
                f"metric {request!r} would be computed on raw scores while LightGBM "
                f"trains with a custom objective; use one of {choices}, or a callable"
            )
            raise ValueError(msg)
        if added not in callables:
            callables.append(added)
    return native, callables


def _flat(requests: Any) -> list[Any]:
    """Return metrics as a flat list; LightGBM also takes comma-separated names."""
    flat: list[Any] = []
    for request in requests:
        if request is None:
            continue
        if isinstance(request, str):
            flat += [name.strip() for name in request.split(",")]
        elif isinstance(request, (list, tuple, set)):
            flat += _flat(request)
        else:
            flat.append(request)
    return flat


def rank_metrics(native: Sequence[str], callables: Sequence[Any]) -> list[str]:
    """Return the names of the metrics that compare one class with the other."""
    ours = [m.name or m.metric for m in callables if getattr(m, "is_higher_better", 0)]
    return [*native, *ours]


def stops_early(parameters: Mapping[str, Any], callbacks: Sequence[Any]) -> bool:
    """Whether training may end before its last iteration for a metric."""
    rounds = given(parameters, "early_stopping_round", 0)
    return rounds > 0 or any(isinstance(c, _EARLY_STOPPING) for c in callbacks)


class Closing:
    """Callback that finds the closing constant from the scores of the last iteration,
    which LightGBM already has: to predict them again takes every row through every
    tree."""

    def __init__(self, training: Training) -> None:
        self._training = training
        self._iteration = -1
        self._constant = 0.0

    def __call__(self, env: CallbackEnv) -> None:
        if env.iteration == env.end_iteration - 1:
            env.model.eval_train(self._measure)
            self._iteration = env.iteration + 1

    def _measure(self, raw: NDArray[np.float64], _: Any) -> tuple[str, float, bool]:
        self._constant = self._training.closing_constant(raw)
        return "closing constant", self._constant, False

    def constant(self, booster: Booster) -> float:
        """Return the constant for the trees that predictions will use."""
        ran_through = self._iteration > 0
        if ran_through and booster.best_iteration in (-1, 0, self._iteration):
            return self._constant
        training = self._training
        raw = booster.predict(
            _as_parent_reads(training.X), raw_score=True, num_threads=training.n_jobs
        )
        if training.init_score is not None:
            raw = raw + training.init_score
        return training.closing_constant(raw)


def _as_parent_reads(X: Any) -> Any:
    """Return what the parent's fit and predict make of features in an array."""
    if hasattr(X, "columns") or hasattr(X, "column_names"):
        return X
    return check_array(
        X,
        accept_sparse=True,
        dtype=(np.float64, np.float32),
        ensure_all_finite=False,
    )


class Progress(ProgressBar):
    """Callback that shows the iterations and the last metrics."""

    def __call__(self, env: CallbackEnv) -> None:
        results = env.evaluation_result_list or ()
        self.show(
            env.end_iteration - env.begin_iteration,
            {f"{result[0]} {result[1]}": result[2] for result in results},
        )


def complete(booster: Booster, session: Session) -> Booster:
    """Return a trained booster with the start and the closing constant in it, which
    says what its raw scores are."""
    training = session.training
    constant = session.closing.constant(booster)
    says_log_odds = training.loss.link == "posterior"
    text = stamp(
        booster.model_to_string(num_iteration=-1),
        training.raw_start + constant,
        says_log_odds=says_log_odds,
    )
    completed = Booster(model_str=text)
    completed.params = dict(booster.params)
    if says_log_odds:
        completed.params["objective"] = "binary"
    completed.best_iteration = booster.best_iteration
    completed.best_score = booster.best_score
    return completed


def has_split(booster: Booster) -> bool:
    """Whether any tree has a split."""
    return bool(booster.feature_importance("split").any())


# Between the header of a model and its first tree; a column may be called Tree=0.
_FIRST_TREE = "\n\nTree=0\n"


def stamp(model: str, constant: float, *, says_log_odds: bool) -> str:
    """Return the text of a model with ``constant`` added to every raw score.

    It goes into the first tree as LightGBM's own bias does (``Tree::AddBias``): into
    its leaves and inner nodes, and into the constants of the linear models in them, if
    there are; its shrinkage becomes 1. With ``says_log_odds`` the model is made one of
    LightGBM's binary objective, so that readers apply the sigmoid.
    """
    head, mark, rest = model.partition(_FIRST_TREE)
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
    # The sizes are those of the trees' text; a stale one aborts the process, and
    # without them LightGBM reads tree after tree.
    header = [line for line in head.split("\n") if not line.startswith("tree_sizes=")]
    if says_log_odds and not any(line.startswith("objective=") for line in header):
        after = next(
            i for i, v in enumerate(header) if v.startswith("max_feature_idx=")
        )
        header.insert(after + 1, _LOG_ODDS)
        tail = tail.replace("[objective: custom]", "[objective: binary]", 1)
    return "".join(("\n".join(header), mark, "\n".join(lines), end, tail))


def readable(X: Any) -> Any:
    """Return features as LightGBM's predict reads them, or raise: it ends the process
    over columns of Arrow that it does not know."""
    X = in_memory(X)
    if is_arrow(X):
        check_columns(X, "LightGBM", any_arrow=False)
    return X


def eval_sets(eval_set: Any, eval_X: Any, eval_y: Any) -> list[Any] | None:
    """Return evaluation sets as a list of pairs, from either way to give them."""
    if (eval_X is None) != (eval_y is None):
        msg = "eval_X and eval_y must be given together"
        raise ValueError(msg)
    if eval_X is None:
        # one pair, or a tuple of pairs
        if isinstance(eval_set, tuple) and not _are_pairs(eval_set):
            eval_set = [eval_set] if eval_set else None
        return eval_pairs(eval_set)
    if eval_set is not None:
        msg = "give either eval_set or eval_X and eval_y, not both"
        raise ValueError(msg)
    if not isinstance(eval_X, tuple):
        return [(eval_X, eval_y)]
    if not isinstance(eval_y, tuple) or len(eval_X) != len(eval_y):
        msg = "eval_y must be a tuple as long as eval_X"
        raise ValueError(msg)
    return list(zip(eval_X, eval_y, strict=True)) or None


def _are_pairs(values: tuple[Any, ...]) -> bool:
    """Whether each value is a pair, whose features are more than a list of numbers."""
    return bool(values) and all(
        isinstance(v, tuple)
        or (isinstance(v, list) and len(v) == 2 and hasattr(v[0], "shape"))
        for v in values
    )


def by_part(eval_sets: list[Any] | None) -> dict[str, Any]:
    """Return evaluation sets as the arguments that are not deprecated."""
    if eval_sets is None:
        return {}
    parts = zip(*eval_sets, strict=True)
    return dict(zip(("eval_X", "eval_y"), parts, strict=True))


@contextmanager
def deprecations_by(eval_set: Any, eval_sets: Any) -> Iterator[None]:
    """Keep from users that eval_set is deprecated, if they did not use it.

    Only where it is needed: filters of warnings are not safe among threads.
    """
    if eval_set is not None or eval_sets is None:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The argument 'eval_set'")
        yield


def encoded(
    eval_sets: list[Any] | None, X: Any, y: Any, training: Training, labels: Any
) -> list[Any] | None:
    """Return evaluation sets with their labels as members of the classes fitted, those
    of the training rows as ``labels``: LightGBM knows the training data by identity."""
    pairs = []
    for i, (features, of_rows) in enumerate(eval_sets or ()):
        if features is X and of_rows is y:
            pairs.append((training.X, labels))
            continue
        features = in_memory(features)
        check_columns(features, "LightGBM", any_arrow=False)
        codes = encode(of_rows, training.classes, f"eval_set[{i}]")
        pairs.append((features, training.classes[codes]))
    return pairs or None


def start_of(
    link: str,
    init_score: Any,
    eval_init_score: Any,
    init_model: Any,
    has_eval_sets: bool,
) -> tuple[float | None, NDArray[np.float64] | None]:
    """Return the raw score to begin from, None for the one of the parameter, and the
    scores that LightGBM has to be given."""
    if eval_init_score is not None and init_score is None:
        msg = (
            "eval_init_score without init_score: the evaluation sets would "
            "begin elsewhere than the training rows; give both or neither"
        )
        raise ValueError(msg)
    if init_model is not None:
        if init_score is not None:
            msg = (
                "init_score and init_model were both given: LightGBM would drop "
                "init_score, since the model already says where to begin"
            )
            raise ValueError(msg)
        _check_scale(link, init_model)
        return 0.0, None
    if init_score is None:
        return None, None
    return start_of_rows(
        init_score,
        eval_init_score,
        has_eval_sets,
        ("init_score", "eval_init_score"),
        "is not part of a LightGBM model: add the init_score of a row to its raw score "
        "before you read a probability",
    )


def _check_scale(link: str, init_model: Any) -> None:
    """Refuse to continue a model whose raw scores mean something else."""
    if isinstance(init_model, LGBMModel):
        init_model = init_model.booster_
    if isinstance(init_model, Booster):
        text = init_model.model_to_string(num_iteration=1)
    else:
        text = Path(init_model).read_text(encoding="utf-8")
    header = text.partition(_FIRST_TREE)[0].split("\n")
    named = [line for line in header if line.startswith("objective=")]
    fitting = [_LOG_ODDS] if link == "posterior" else []
    if named and named != fitting:  # a custom objective has no line, and may be ours
        msg = (
            f"init_model has {named[0]!r}, and its raw scores are not those of "
            f"link={link!r}"
        )
        raise ValueError(msg)
