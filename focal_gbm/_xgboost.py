"""What XGBoost needs around a custom objective: parameters looked at before they
are lost, metrics on probabilities, a progress bar, and a booster that says all."""

from __future__ import annotations

import ctypes
import json
import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from xgboost import Booster, DMatrix, XGBModel, config_context
from xgboost.callback import (
    EarlyStopping,
    EvaluationMonitor,
    TrainingCallback,
    TrainingCheckPoint,
)
from xgboost.core import XGBoostError

from focal_gbm._calls import c_interface, rows_of
from focal_gbm._checks import check_count, check_real, did_you_mean
from focal_gbm._columns import check_columns, in_memory, is_arrow
from focal_gbm._labels import encode
from focal_gbm._training import ProgressBar, Training, listed, start_of_rows
from focal_gbm.calibration import from_state, state_of
from focal_gbm.loss import FocalLoss
from focal_gbm.objective import METRICS, FocalMetric

# The objective that says what the raw scores are, and so what readers of the saved
# model make of them: log-odds for the sigmoid, or scores to be left as they are.
OBJECTIVES = {"posterior": "binary:logistic", "logit": "binary:logitraw"}

# Names under which XGBoost would measure raw scores of link="logit" as if they were
# log-odds, and the measure of FocalMetric that is right.
_METRICS = {"logloss": "log_loss", "error": "error"}
_RANK_METRICS = ("auc", "aucpr", "pre", "map", "ndcg")
_OWN_METRICS = tuple(name for name in METRICS if name != "error")

REPORTING = (EvaluationMonitor, TrainingCheckPoint)
# What other libraries call what XGBoost has.
_FOREIGN = {
    "is_unbalance": "; set scale_pos_weight to negatives / positives",
    "class_weight": "; set scale_pos_weight to weight_1 / weight_0",
    "early_stopping_round": "; did you mean early_stopping_rounds?",
    "num_leaves": "; did you mean max_leaves, with grow_policy='lossguide'?",
    "min_child_samples": "; did you mean min_child_weight?",
}
# Parameters of XGBoost that readers of papers take for those of the focal loss.
_NAMESAKES = {
    "gamma": ("focal_gamma", "the least gain of a split", "min_split_loss"),
    "alpha": ("focal_alpha", "the L1 penalty on leaves", "reg_alpha"),
}

# Attribute of the booster that keeps what a model of XGBoost has no place for.
_ATTRIBUTE = "focal_gbm"
# base_score is a float32 probability, and 1 would be an infinite score.
_LARGEST = 1.0 - 2.0**-24
_SAFE_START = 13.0  # log-odds; XGBoost 3 clips at 13.8


def check_parameters(
    parameters: Mapping[str, Any], others: Mapping[str, Any], own: Collection[str]
) -> None:
    """Refuse what XGBoost does not know, among the ``others`` that its estimator takes
    unseen, and what could not act; it knows nothing of the estimator's ``own``."""
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
    """Yield what is to be said of parameters that are taken for the focal ones."""
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
    """Return which of the ``others`` XGBoost says that it does not use, by asking it:
    it keeps no table of its parameters."""
    if not others:
        return []
    names = (*others, "booster", "tree_method")
    asked = {k: parameters[k] for k in names if parameters[k] is not None}
    asked |= {"objective": "binary:logistic", "verbosity": 1}
    with _messages() as messages, config_context(verbosity=1):
        rows = DMatrix(np.zeros((2, 1)), label=[0, 1])
        Booster(asked, [rows]).save_config()
    said = " ".join(message for message in messages if "not used" in message)
    return [name for name in re.findall(r'"(.*?)"', said) if name in others]


@contextmanager
def _messages() -> Iterator[list[str]]:
    """Give what XGBoost logs in this thread as a list.

    By its C interface, whose callback is one a thread: outside of the main one its
    warnings do not reach Python, and filters of warnings are not safe among threads.
    """
    messages: list[str] = []
    library = c_interface("xgboost.core")
    kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
    keep = kind(lambda text: messages.append(text.decode(errors="replace")))
    library.XGBRegisterLogCallback(keep)
    try:
        yield messages
    finally:
        library.XGBRegisterLogCallback(library.callback)


@dataclass(frozen=True)
class Session:
    """What one fit lends to XGBoost."""

    training: Training
    native_metrics: list[str]
    evaluation: Evaluation | None
    closing: Closing
    calibrator: Any
    continues: bool

    @property
    def objective(self) -> Any:
        """What XGBoost has to train with: its own objective where the loss is log-loss,
        which spares copies; LightGBM is faster with ours."""
        training = self.training
        loss = training.loss
        if loss.gamma == 0 and loss.alpha is None and training.scale == 1:
            return OBJECTIVES[loss.link]
        return OnRows(training, self.closing)


def booster_parameters(
    parameters: dict[str, Any], own: Collection[str], loss: FocalLoss | None
) -> dict[str, Any]:
    """Return parameters without those that are the estimator's ``own``; the objective
    is that of the fitted ``loss``."""
    left_out = {*own, "scale_pos_weight", "base_score"}
    parameters = {
        k: v for k, v in parameters.items() if k not in left_out and "__" not in k
    }
    if loss is not None:
        parameters["objective"] = OBJECTIVES[loss.link]
    return parameters


def training_parameters(
    parameters: dict[str, Any], session: Session, model: Any
) -> dict[str, Any]:
    """Return parameters with what a fit adds, ``model`` being the one continued."""
    training = session.training
    loss = training.loss
    parameters = {**parameters, "objective": OBJECTIVES[loss.link]}
    if model is None:
        parameters["base_score"] = _base_score(training.raw_start, loss.link)
    is_free = parameters.get("max_delta_step") is None
    if is_free and parameters.get("booster") != "gblinear":
        parameters["max_delta_step"] = training.leaf_bound
    parameters.pop("eval_metric", None)  # the user's, which may be our own
    if session.native_metrics:
        parameters["eval_metric"] = session.native_metrics
    else:
        parameters["disable_default_eval_metric"] = True
    return parameters


def _base_score(raw: float, link: str) -> float:
    """Return the value of base_score for which boosting begins at ``raw``."""
    return raw if link == "logit" else min(float(expit(raw)), _LARGEST)


def _learner(booster: Booster) -> dict[str, Any]:
    """Return the configuration of a booster."""
    learner: dict[str, Any] = json.loads(booster.save_config())["learner"]
    return learner


def _raw_start(booster: Booster, link: str) -> float:
    """Return the raw score at which a booster begins."""
    text = _learner(booster)["learner_model_param"]["base_score"]
    base_score = float(text.strip("[]"))  # a list of one from XGBoost 3.1 on
    return base_score if link == "logit" else float(logit(base_score))


def metrics(
    training: Training, eval_metric: Any
) -> tuple[list[str], Evaluation | None]:
    """Split requested metrics into XGBoost's own names and a callable for the rest.

    The default link leaves log-odds where XGBoost expects them: all its own are right,
    unless a prior shift comes on top.
    """
    are_log_odds = training.loss.link == "posterior" and not training.prior_shift
    if isinstance(eval_metric, str) or callable(eval_metric):
        eval_metric = [eval_metric]
    requests = listed(eval_metric, "eval_metric") or []
    if not any(isinstance(request, str) for request in requests):
        requests.insert(0, "logloss")  # as XGBoost does
    native: list[str] = []
    others: list[Any] = []
    for request in requests:
        if isinstance(request, FocalMetric):
            others.append(training.metric(request.metric, request.name))
        elif callable(request):
            others.append(training.on_probabilities(request))
        elif not isinstance(request, str):
            msg = f"eval_metric must hold names and callables, got {request!r}"
            raise TypeError(msg)
        elif request in _OWN_METRICS:
            others.append(training.metric(request, None))
        elif are_log_odds or request.partition("@")[0] in _RANK_METRICS:
            _check_metric(request)
            native.append(request)
        elif request in _METRICS:
            others.append(training.metric(_METRICS[request], request))
        else:
            choices = ", ".join((*_RANK_METRICS, *_METRICS, *_OWN_METRICS))
            msg = (
                f"metric {request!r} would be computed on raw scores, which link="
                "'logit' and PriorShift do not make log-odds of the predictions; use "
                f"one of {choices}, or a callable"
            )
            raise ValueError(msg)
    return native, Evaluation(others) if others else None


@cache
def _check_metric(name: str) -> None:
    """Refuse a metric that XGBoost does not know, by asking it."""
    rows = DMatrix(np.zeros((2, 1)), label=[0, 1])
    asked = {"eval_metric": name, "objective": "binary:logistic", "verbosity": 0}
    try:
        Booster(asked, [rows]).eval(rows)
    except XGBoostError as error:
        known = ("logloss", "error", "rmse", "mae", *_RANK_METRICS, *_OWN_METRICS)
        msg = f"XGBoost has no metric {name!r}{did_you_mean(name, known)}"
        raise ValueError(msg) from error


def rank_metrics(native: Sequence[str], evaluation: Evaluation | None) -> list[str]:
    """Return the names of the metrics that compare one class with the other."""
    ranks = [name for name in native if name.partition("@")[0] in _RANK_METRICS]
    measures = () if evaluation is None else evaluation.metrics
    return ranks + [
        m.name or m.metric for m in measures if getattr(m, "is_higher_better", False)
    ]


def stops_early(parameters: Mapping[str, Any], callbacks: Sequence[Any]) -> bool:
    """Whether training may end before its last iteration for a metric."""
    return bool(parameters["early_stopping_rounds"]) or any(
        isinstance(callback, EarlyStopping) for callback in callbacks
    )


class Evaluation:
    """Any number of metrics as the one callable that XGBoost takes."""

    def __init__(self, metrics: list[Any]) -> None:
        self.metrics = metrics

    def __call__(self, raw: NDArray[Any], data: DMatrix) -> list[tuple[str, float]]:
        return [self._measure(metric, raw, data) for metric in self.metrics]

    @staticmethod
    def _measure(metric: Any, raw: NDArray[Any], data: DMatrix) -> tuple[str, float]:
        if isinstance(metric, FocalMetric):
            return tuple(metric(raw, data))
        labels, weight = rows_of(data)
        weights = {} if weight is None else {"sample_weight": weight}
        return metric.__name__, float(metric(labels, raw, **weights))


def device_of(parameters: Mapping[str, Any]) -> str:
    """Return where the derivatives are to be computed: on the trees' own device where
    it is one of CUDA."""
    device = str(parameters["device"] or "cpu")
    return device if device.startswith(("cuda", "gpu")) else "cpu"


class OnRows:
    """The objective, without the copies of labels and weights that the parent makes."""

    def __init__(self, training: Training, closing: Closing) -> None:
        self._objective = training.objective
        self._closing = closing

    def __call__(self, _y_true: Any, raw: Any) -> Any:
        matrix = self._closing.matrix
        return self._objective._derivatives(raw, matrix, over_scores=True)


def without_copies(matrix: DMatrix) -> None:
    """Spare the copies that nobody reads."""
    matrix.get_label = matrix.get_weight = lambda: np.empty(0, np.float32)


class Closing(TrainingCallback):
    """Callback that finds the closing constant from the scores of the training rows
    while XGBoost still holds them: to predict them again takes every row through
    every tree."""

    def __init__(self, training: Training) -> None:
        super().__init__()
        self.matrix: DMatrix | None = None
        self._training = training
        self._rounds = -1
        self._constant = 0.0

    def before_training(self, model: Booster) -> Booster:
        # those of a model that is continued would cut its new trees off
        model.set_attr(best_iteration=None, best_score=None)
        return model

    def after_training(self, model: Booster) -> Booster:
        rounds = model.num_boosted_rounds()
        if _rounds_in_use(model) == rounds and self._training.init_score is None:
            self._constant = self._measure(model)
            self._rounds = rounds
        return model

    def constant(self, booster: Booster, *, again: bool = False) -> float:
        """Return the constant for the trees that predictions will use; measured
        ``again`` if the booster has changed."""
        if booster.num_boosted_rounds() == self._rounds and not again:
            return self._constant
        return self._measure(booster)

    def _measure(self, booster: Booster) -> float:
        raw = booster.predict(self.matrix, output_margin=True)
        return self._training.closing_constant(raw)


class Progress(ProgressBar, TrainingCallback):
    """Callback that shows the iterations and the last metrics."""

    def __init__(self, title: str, total: int) -> None:
        super().__init__(title)
        self._total = total

    def after_iteration(self, _model: Any, _epoch: int, evals_log: Any) -> bool:
        values = {
            f"{data} {metric}": history[-1]
            for data, results in evals_log.items()
            for metric, history in results.items()
        }
        self.show(self._total, values)
        return False


def complete(booster: Booster, session: Session) -> Booster:
    """Return a trained booster that ends where early stopping says, starts where its
    mean probability is the base rate and says what its raw scores are."""
    training = session.training
    booster = _as_stopped(booster)
    loss = training.loss
    if training.init_score is None:  # else base_score does not act
        _shift(booster, session.closing, loss.link)
    session.closing.matrix = None
    _describe(booster, loss, training.threshold, training.classes)
    keep_calibrator(booster, session.calibrator)
    return booster


def _shift(booster: Booster, closing: Closing, link: str) -> None:
    """Add the closing constant to every raw score, by base_score as far as that goes.

    XGBoost 3 takes probabilities below 1e-6 for 1e-6: the rest goes into the first
    tree, or the bias of a linear model.
    """
    wanted = _raw_start(booster, link) + closing.constant(booster)
    booster.set_param({"base_score": _base_score(wanted, link)})
    if link == "logit" or abs(wanted) < _SAFE_START:
        return
    rest = closing.constant(booster, again=True)
    if abs(rest) < 1e-6:
        return
    model = json.loads(booster.save_raw("json"))
    part = model["learner"]["gradient_booster"]
    if part["name"] == "gblinear":
        part["model"]["weights"][-1] += rest
    else:
        tree = _tree_model(model)["trees"][0]
        rest /= part.get("weight_drop", [1.0])[0]  # of dart
        for i, child in enumerate(tree["left_children"]):
            if child == -1:
                tree["split_conditions"][i] += rest
                tree["base_weights"][i] += rest
    booster.load_model(bytearray(json.dumps(model).encode()))


def has_split(booster: Booster) -> bool:
    """Whether any tree has a split, or a linear model is one of columns."""
    return bool(booster.get_score(importance_type="weight"))


def _as_stopped(booster: Booster) -> Booster:
    """Return the booster without the trees after its best iteration: XGBoost keeps
    them, and they would act in every reader but its own estimator."""
    is_linear = _learner(booster)["gradient_booster"]["name"] == "gblinear"
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
    """Give a part of a booster the categories of the training frame, by which XGBoost
    3.1 and later recode other frames: cutting a booster loses them."""
    models = [json.loads(b.save_raw("json")) for b in (booster, part)]
    whole, cut = (_tree_model(model) for model in models)
    if "cats" in whole:
        cut["cats"] = whole["cats"]
        part.load_model(bytearray(json.dumps(models[1]).encode()))


def _tree_model(model: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a model in JSON that holds the trees."""
    booster = model["learner"]["gradient_booster"]
    trees: dict[str, Any] = booster.get("gbtree", booster)["model"]  # or of dart
    return trees


def _describe(
    booster: Booster, loss: FocalLoss, threshold: float, classes: NDArray[Any]
) -> None:
    """Keep in a booster what a model of XGBoost has no place for."""
    kept = {
        "gamma": loss.gamma,
        "alpha": loss.alpha,
        "link": loss.link,
        "threshold": threshold,
        **_classes_state(classes),
    }
    booster.set_attr(**{_ATTRIBUTE: json.dumps(kept)})


def keep_calibrator(booster: Booster, calibrator: Any) -> None:
    """Keep a calibrator of this library in a booster; another leaves no trace."""
    kept = json.loads(booster.attr(_ATTRIBUTE))
    kept["calibrator"] = state_of(calibrator)
    booster.set_attr(**{_ATTRIBUTE: json.dumps(kept)})


def _classes_state(classes: NDArray[Any]) -> dict[str, Any]:
    """Return labels as JSON can hold them."""
    if classes.dtype.kind in "mM":  # whole numbers of the unit in the dtype
        whole = classes.astype(np.int64).tolist()
        return {"classes": whole, "dtype": classes.dtype.str}
    dtype = None if classes.dtype.kind in "OU" else classes.dtype.str
    return {"classes": classes.tolist(), "dtype": dtype}


def holds(booster: Booster, calibrator: Any) -> bool:
    """Whether the booster, and so its file, holds the calibrator of the estimator."""
    kept = json.loads(booster.attr(_ATTRIBUTE))
    return calibrator is None or kept.get("calibrator") is not None


def _rounds_in_use(booster: Booster) -> int:
    """Return the rounds that early stopping found best, all if there was none."""
    best = booster.attr("best_iteration")
    rounds: int = booster.num_boosted_rounds() if best is None else int(best) + 1
    return rounds


def restore(booster: Booster) -> tuple[FocalLoss, float, NDArray[Any], Any]:
    """Return loss, threshold, classes and calibrator of a booster that was read from a
    file."""
    text = booster.attr(_ATTRIBUTE)
    if text is None:
        objective = _learner(booster)["objective"]["name"]
        if objective != OBJECTIVES["posterior"]:
            msg = f"the model must be one of 'binary:logistic', got {objective!r}"
            raise ValueError(msg)
        plain = FocalLoss(gamma=0.0), 0.5, np.arange(2)
        _describe(booster, *plain)  # a calibrator may come to it
        return *plain, None
    said = json.loads(text)
    loss = FocalLoss(said["gamma"], said["alpha"], said["link"])
    calibrator = from_state(said.get("calibrator"))
    if said["classes"] is None:
        msg = (
            "the model was saved by a version that kept no labels of this kind: "
            "classes_ are 0 and 1"
        )
        warnings.warn(msg, UserWarning, stacklevel=3)
        return loss, said["threshold"], np.arange(2), calibrator
    dtype = said.get("dtype")
    is_time = dtype is not None and np.dtype(dtype).kind in "mM"
    classes = np.asarray(said["classes"], dtype=np.int64 if is_time else dtype)
    classes = classes.astype(dtype) if is_time else classes
    return loss, said["threshold"], classes, calibrator


def encoded(
    eval_sets: list[Any] | None,
    weights: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    training: Training,
) -> tuple[list[Any] | None, list[Any] | None]:
    """Return evaluation sets with labels encoded, and their weights; XGBoost knows the
    training data by identity."""
    pairs = []
    for i, (features, labels) in enumerate(eval_sets or ()):
        if features is X and labels is y:
            pairs.append((training.X, training.y))
            continue
        features = readable(features)
        pairs.append((features, encode(labels, training.classes, f"eval_set[{i}]")))
    if weights is not None:
        weights = [training.sample_weight if w is sample_weight else w for w in weights]
    return pairs or None, weights


def by_position(weights: Any, n_sets: int) -> list[Any] | None:
    """Return the weights of the evaluation sets as a list, from a dict too."""
    weights = listed(weights, "sample_weight_eval_set")
    if isinstance(weights, dict):
        weights = [weights.get(i) for i in range(n_sets)]
    return weights or None


def with_labels(eval_sets: list[Any] | None, training: Training) -> list[Any] | None:
    """Return evaluation sets with labels in place of their codes."""
    if eval_sets is None:
        return None
    return [(features, training.classes[codes]) for features, codes in eval_sets]


def readable(X: Any) -> Any:
    """Return features as XGBoost's predict reads them, or raise."""
    X = in_memory(X)
    if is_arrow(X):
        check_columns(X, "XGBoost", any_arrow=True)
    return X


def start_of(
    link: str,
    base_score: Any,
    base_margin: Any,
    base_margin_eval_set: Any,
    xgb_model: Any,
    has_eval_sets: bool,
) -> tuple[float | None, NDArray[np.float64] | None]:
    """Return the raw score to begin from, None for the one of the parameter, and the
    scores that XGBoost has to be given."""
    if base_margin_eval_set is not None and base_margin is None:
        msg = (
            "base_margin_eval_set without base_margin: the evaluation sets would "
            "begin elsewhere than the training rows; give both or neither"
        )
        raise ValueError(msg)
    if xgb_model is not None:
        if base_margin is not None or base_score is not None:
            name = "base_score" if base_margin is None else "base_margin"
            msg = (
                f"{name} and xgb_model were both given, and the model already says "
                "where to begin"
            )
            raise ValueError(msg)
        _check_scale(link, xgb_model)
        return 0.0, None
    if base_margin is None:
        return None, None
    return start_of_rows(
        base_margin,
        base_margin_eval_set,
        has_eval_sets,
        ("base_margin", "base_margin_eval_set"),
        "is not part of an XGBoost model: pass the base_margin of the rows to "
        "predict_proba too",
    )


def _check_scale(link: str, xgb_model: Any) -> None:
    """Refuse to continue a model whose raw scores mean something else."""
    if isinstance(xgb_model, XGBModel):
        xgb_model = xgb_model.get_booster()
    if not isinstance(xgb_model, Booster):
        xgb_model = Booster(model_file=xgb_model)
    objective = _learner(xgb_model)["objective"]["name"]
    if objective != OBJECTIVES[link]:
        msg = (
            f"xgb_model has the objective {objective!r}, and its raw scores are not "
            f"those of link={link!r}"
        )
        raise ValueError(msg)
