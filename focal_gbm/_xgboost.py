"""What XGBoost needs around a custom objective: parameters looked at before they
are lost, metrics on probabilities, a progress bar, and a booster that says all."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from xgboost import Booster, DMatrix, XGBModel, config_context
from xgboost.callback import TrainingCallback

from focal_gbm._calls import rows_of
from focal_gbm._checks import check_real, did_you_mean
from focal_gbm._classifier import OWN_PARAMETERS, encode
from focal_gbm._training import (
    OnProbabilities,
    ProgressBar,
    Training,
    start_of_rows,
)
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

# Attribute of the booster that keeps what a model of XGBoost has no place for.
_ATTRIBUTE = "focal_gbm"
# base_score is a float32 probability, and 1 would be an infinite score.
_LARGEST = 1.0 - 2.0**-24


def check_parameters(parameters: Mapping[str, Any], others: Mapping[str, Any]) -> None:
    """Refuse what XGBoost does not know, among the ``others`` that its estimator takes
    unseen, and what could not act."""
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
    for name in _unused(parameters, others):
        hint = did_you_mean(name, [known for known in parameters if known != name])
        value = others[name]
        msg = f"XGBoost has no use for parameter {name!r} (given {value!r}){hint}"
        raise ValueError(msg)


def _unused(parameters: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """Return which of the ``others`` XGBoost says that it does not use, by asking it:
    it keeps no table of its parameters."""
    if not others:
        return []
    names = (*others, "booster", "tree_method")
    asked = {k: parameters[k] for k in names if parameters[k] is not None}
    asked |= {"objective": "binary:logistic", "verbosity": 1}
    with warnings.catch_warnings(record=True) as caught, config_context(verbosity=1):
        warnings.simplefilter("always")
        rows = DMatrix(np.zeros((2, 1)), label=[0, 1])
        Booster(asked, [rows]).save_config()
    told = " ".join(str(w.message) for w in caught if "not used" in str(w.message))
    return [name for name in re.findall(r'"(.*?)"', told) if name in others]


def booster_parameters(
    parameters: dict[str, Any], loss: FocalLoss | None
) -> dict[str, Any]:
    """Return parameters without those that are the estimator's own; the objective is
    that of the fitted ``loss``."""
    own = {*OWN_PARAMETERS, "scale_pos_weight", "base_score"}
    parameters = {k: v for k, v in parameters.items() if k not in own}
    if loss is not None:
        parameters["objective"] = OBJECTIVES[loss.link]
    return parameters


def training_parameters(
    parameters: dict[str, Any], training: Training, model: Any
) -> dict[str, Any]:
    """Return parameters with what a fit adds, ``model`` being the one continued."""
    loss = training.loss
    parameters = {**parameters, "objective": OBJECTIVES[loss.link]}
    if model is None:
        parameters["base_score"] = _base_score(training.start, loss.link)
    is_free = parameters.get("max_delta_step") is None
    if is_free and parameters.get("booster") != "gblinear":
        parameters["max_delta_step"] = training.leaf_bound
    if not training.native_metrics:
        parameters["disable_default_eval_metric"] = True
    return parameters


def raw_of(base_score: float, loss: FocalLoss) -> float:
    """Return the raw score that stands for a probability."""
    return float(loss.raw_prediction([logit(base_score)])[0])


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

    The default link leaves log-odds where XGBoost expects them: all its own are right.
    """
    is_logit = training.loss.link == "logit"
    if isinstance(eval_metric, str) or callable(eval_metric):
        eval_metric = [eval_metric]
    requests = list(eval_metric or [])
    if not any(isinstance(request, str) for request in requests):
        requests.insert(0, "logloss")  # as XGBoost does
    native: list[str] = []
    others: list[Any] = []
    for request in requests:
        if isinstance(request, FocalMetric):
            others.append(training.metric(request.metric, request.name))
        elif callable(request):
            others.append(OnProbabilities(request, training))
        elif not isinstance(request, str):
            msg = f"eval_metric must hold names and callables, got {request!r}"
            raise TypeError(msg)
        elif request in _OWN_METRICS:
            others.append(training.metric(request, None))
        elif not is_logit or request.partition("@")[0] in _RANK_METRICS:
            native.append(request)
        elif request in _METRICS:
            others.append(training.metric(_METRICS[request], request))
        else:
            choices = ", ".join((*_RANK_METRICS, *_METRICS, *_OWN_METRICS))
            msg = (
                f"metric {request!r} would be computed on raw scores, which link="
                f"'logit' does not make log-odds; use one of {choices}, or a callable"
            )
            raise ValueError(msg)
    return native, Evaluation(others) if others else None


class Evaluation:
    """Any number of metrics as the one callable that XGBoost takes."""

    def __init__(self, metrics: list[Any]) -> None:
        self._metrics = metrics

    def __call__(self, raw: NDArray[Any], data: DMatrix) -> list[tuple[str, float]]:
        return [self._measure(metric, raw, data) for metric in self._metrics]

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


def objective(training: Training) -> Any:
    """Return what XGBoost has to train with: its own objective where the loss is
    log-loss, which spares copies; LightGBM is faster with ours."""
    loss = training.loss
    if loss.gamma == 0 and loss.alpha is None and training.scale == 1:
        return OBJECTIVES[loss.link]
    return OnRows(training)


class OnRows:
    """The objective, without the copies of labels and weights that the parent makes."""

    def __init__(self, training: Training) -> None:
        self._training = training

    def __call__(self, _y_true: Any, raw: Any) -> Any:
        matrix = self._training.closing.matrix
        return self._training.objective._derivatives(raw, matrix, over_scores=True)


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

    def constant(self, booster: Booster) -> float:
        """Return the constant for the trees that predictions will use."""
        if booster.num_boosted_rounds() == self._rounds:
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


def complete(booster: Booster, training: Training) -> Booster:
    """Return a trained booster that ends where early stopping says, starts where its
    mean probability is the base rate and says what its raw scores are."""
    booster = _as_stopped(booster)
    loss = training.loss
    if training.init_score is None:  # else base_score does not act
        constant = training.closing.constant(booster)
        start = _raw_start(booster, loss.link) + constant
        booster.set_param({"base_score": _base_score(start, loss.link)})
    classes = training.classes.tolist()
    said = {
        "gamma": loss.gamma,
        "alpha": loss.alpha,
        "link": loss.link,
        "threshold": training.threshold,
        "classes": classes if isinstance(classes[0], (str, int, float)) else None,
    }
    booster.set_attr(**{_ATTRIBUTE: json.dumps(said)})
    return booster


def _as_stopped(booster: Booster) -> Booster:
    """Return the booster without the trees after its best iteration: XGBoost keeps
    them, and they would act in every reader but its own estimator."""
    is_linear = _learner(booster)["gradient_booster"]["name"] == "gblinear"
    rounds = _rounds_in_use(booster)
    if is_linear or rounds == booster.num_boosted_rounds():
        return booster
    stopped = booster[:rounds]
    for name in ("best_iteration", "best_score"):
        stopped.set_attr(**{name: booster.attr(name)})
    return stopped


def _rounds_in_use(booster: Booster) -> int:
    """Return the rounds that early stopping found best, all if there was none."""
    best = booster.attr("best_iteration")
    rounds: int = booster.num_boosted_rounds() if best is None else int(best) + 1
    return rounds


def restore(booster: Booster) -> tuple[FocalLoss, float, NDArray[Any]]:
    """Return loss, threshold and classes of a booster that was read from a file."""
    text = booster.attr(_ATTRIBUTE)
    if text is None:
        objective = _learner(booster)["objective"]["name"]
        if objective != OBJECTIVES["posterior"]:
            msg = f"the model must be one of 'binary:logistic', got {objective!r}"
            raise ValueError(msg)
        return FocalLoss(gamma=0.0), 0.5, np.arange(2)
    said = json.loads(text)
    loss = FocalLoss(said["gamma"], said["alpha"], said["link"])
    return loss, said["threshold"], np.asarray(said["classes"] or [0, 1])


def eval_sets(
    eval_set: Any, weights: Any, X: Any, y: Any, sample_weight: Any, training: Training
) -> tuple[list[Any] | None, list[Any] | None]:
    """Return evaluation sets with labels encoded, and their weights; XGBoost knows the
    training data by identity."""
    if eval_set is None:
        return None, weights
    pairs = []
    for i, pair in enumerate(eval_set):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            msg = f"eval_set must be a list of pairs (X, y), got {type(pair)} in it"
            raise ValueError(msg)
        codes = training.labels
        if not (pair[0] is X and pair[1] is y):
            codes = encode(pair[1], training.classes, f"eval_set[{i}]")
        pairs.append((pair[0], codes))
    if weights is not None:
        weights = [training.sample_weight if w is sample_weight else w for w in weights]
    return pairs, weights


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
        msg = "base_margin_eval_set without base_margin: the sets would begin elsewhere"
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
