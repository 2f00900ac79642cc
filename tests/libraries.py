"""Both libraries, and what differs between them in a test."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
import sklearn
import xgboost as xgb
from lightgbm import LGBMClassifier, LGBMRegressor
from xgboost import XGBClassifier, XGBRegressor

from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier


def slow(*values: Any) -> list[Any]:
    """Return values of a parameter whose tests are slow."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


BOTH_LINKS = pytest.mark.parametrize("link", ["posterior", "logit"])
# for a long test, of which one link is enough while one works
BOTH_LINKS_ONE_SLOW = pytest.mark.parametrize("link", ["posterior", *slow("logit")])

# for fits that are refused before they begin
X_BAD, Y_BAD = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 2


@dataclass(frozen=True, eq=False)
class Library:
    """An estimator, its parent, and their words for the same things."""

    name: str
    estimator: type
    parent: type
    quiet: dict[str, Any]
    raw: dict[str, Any]
    # what makes the estimator train like the parent, and the parent like it
    as_built_in: dict[str, Any]
    built_in: dict[str, Any]
    rounding: float
    fine_bins: dict[str, Any]
    modes: dict[str, dict[str, Any]]
    # the names of parameters, of arguments of fit, and of the default metric
    stopping_rounds: str
    metric: str
    start: str
    eval_start: str
    eval_weights: str
    first_model: str
    log_loss: str
    regressor: type

    def __str__(self) -> str:
        return self.name

    def model(self, **kwargs: Any) -> Any:
        """Return a small estimator."""
        small = {"n_estimators": 30, "learning_rate": 0.1, "random_state": 0}
        return self.estimator(**{**small, "n_jobs": 1, **self.quiet, **kwargs})

    def raw_score(self, model: Any, X: Any, **kwargs: Any) -> Any:
        """Return what the booster says."""
        return model.predict(X, **self.raw, **kwargs)

    def fit_stopping(self, model: Any, rounds: int, fit: Any, later: Any) -> Any:
        """Fit with early stopping on later rows."""
        model.set_params(**self.stopping(rounds))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The argument 'eval_set'")
            return model.fit(*fit, eval_set=[later], **self.silent)

    @property
    def silent(self) -> dict[str, Any]:
        """Return the arguments of fit that print nothing of the evaluation sets."""
        return {} if self.name == "lightgbm" else {"verbose": False}

    def later(self, X: Any, y: Any) -> dict[str, Any]:
        """Return the arguments of fit that evaluate on one set."""
        if self.name == "lightgbm":
            return {"eval_X": X, "eval_y": y}
        return {"eval_set": [(X, y)], **self.silent}

    def stopping(self, rounds: int | None = 5) -> dict[str, Any]:
        """Return the parameter that stops early."""
        return {self.stopping_rounds: rounds}

    def measuring(self, metrics: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the parameters, and the arguments of fit, by which callable metrics
        are heard."""
        given = {"eval_metric": metrics}
        return ({}, given) if self.name == "lightgbm" else (given, {})

    def said(self, name: str, value: float) -> Any:
        """Return what a callable metric, a loss, returns."""
        return (name, value, False) if self.name == "lightgbm" else value

    def n_rounds(self, model: Any) -> int:
        """Return the number of rounds in use."""
        if self.name == "lightgbm":
            return model.best_iteration_
        return model.best_iteration + 1

    def plain(self, model: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return raw scores and predictions of a booster that knows the model's bytes
        alone."""
        if self.name == "lightgbm":
            booster = lgb.Booster(model_str=model.booster_.model_to_string())
            return booster.predict(X, raw_score=True), booster.predict(X)
        booster = xgb.Booster(model_file=model.get_booster().save_raw("ubj"))
        frame = xgb.DMatrix(X, enable_categorical=True)
        return booster.predict(frame, output_margin=True), booster.predict(frame)

    def continued(self, first: Any) -> dict[str, Any]:
        """Return the argument of fit that continues a model."""
        return {self.first_model: first}

    def booster(self, model: Any) -> Any:
        """Return the booster of a fitted model."""
        return model.booster_ if self.name == "lightgbm" else model.get_booster()


LIGHTGBM = Library(
    name="lightgbm",
    estimator=FocalLGBMClassifier,
    parent=LGBMClassifier,
    quiet={"verbose": -1},
    raw={"raw_score": True},
    as_built_in={"start": 1.0, "max_step": None, "min_child_weight": 1e-3},
    built_in={},
    rounding=1e-12,
    fine_bins={"min_child_samples": 0, "min_data_in_bin": 1, "max_bin": 1023},
    modes={
        "gbdt": {},
        "goss": {"data_sample_strategy": "goss"},
        "goss by its old name": {"boosting_type": "goss"},
        "dart": {"boosting_type": "dart"},
        "linear trees": {"linear_tree": True},
        "bagging": {"subsample": 0.5, "subsample_freq": 1},
        "quantised gradients": {"use_quantized_grad": True},
        "extra trees": {"extra_trees": True, "path_smooth": 1.0},
        "few trees": {"n_estimators": 2},
        "no tree can split": {"min_child_samples": 10_000},
    },
    stopping_rounds="early_stopping_round",
    metric="metric",
    start="init_score",
    eval_start="eval_init_score",
    eval_weights="eval_sample_weight",
    first_model="init_model",
    log_loss="binary_logloss",
    regressor=LGBMRegressor,
)
XGBOOST = Library(
    name="xgboost",
    estimator=FocalXGBClassifier,
    parent=XGBClassifier,
    quiet={},
    raw={"output_margin": True},
    as_built_in={"base_score": 0.2, "max_step": None},
    built_in={"base_score": 0.2},
    rounding=3e-6,
    fine_bins={"max_bin": 1024},
    modes={
        "hist": {},
        "approx": {"tree_method": "approx"},
        "exact": {"tree_method": "exact", "enable_categorical": False},
        "dart": {"booster": "dart", "rate_drop": 0.2},
        "gblinear": {"booster": "gblinear", "learning_rate": 0.05},
        "lossguide": {"grow_policy": "lossguide", "max_leaves": 15},
        "subsample": {"subsample": 0.5, "colsample_bynode": 0.7},
        "forests": {"num_parallel_tree": 3, "subsample": 0.6},
        "few trees": {"n_estimators": 2},
        "no tree can split": {"min_child_weight": 1e6},
    },
    stopping_rounds="early_stopping_rounds",
    metric="eval_metric",
    start="base_margin",
    eval_start="base_margin_eval_set",
    eval_weights="sample_weight_eval_set",
    first_model="xgb_model",
    log_loss="logloss",
    regressor=XGBRegressor,
)
LIBRARIES = (LIGHTGBM, XGBOOST)
LIGHTGBM_VERSION, XGBOOST_VERSION = (
    tuple(map(int, library.__version__.split(".")[:2])) for library in (lgb, xgb)
)
if XGBOOST_VERSION >= (3, 2):  # before, on GPUs alone
    gradient_based = {"subsample": 0.3, "sampling_method": "gradient_based"}
    XGBOOST.modes["gradient based"] = gradient_based
BOTH = pytest.mark.parametrize("library", LIBRARIES, ids=str)
FAST_MODES = ("gbdt", "hist", "dart", "gblinear", "no tree can split")
MODES = pytest.mark.parametrize(
    ("library", "mode"),
    [
        pytest.param(
            library, mode, marks=[] if mode in FAST_MODES else pytest.mark.slow
        )
        for library in LIBRARIES
        for mode in library.modes
    ],
    ids=str,
)


def make_rows(n_rows: int, n_features: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of which about 5 % are positive."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_features))
    score = 2 * X[:, 0] + X[:, 1] * X[:, 2] - 4.5
    y = (rng.random(n_rows) < 1 / (1 + np.exp(-score))).astype(int)
    return X, y


def known_failures(_: Any) -> dict[str, str]:
    """Return none; but scikit-learn 1.6 gives binary estimators other labels in the two
    fits that it compares: the class of the first row is 0 in each order of rows."""
    if sklearn.__version__ >= "1.7":
        return {}
    check = "check_sample_weight_equivalence_on_{}_data"
    return {check.format(kind): "labels are swapped" for kind in ("dense", "sparse")}
