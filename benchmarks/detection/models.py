"""Who is measured: estimators at their defaults, the same tuned, and the focal peers.

``fit`` is given frames whose categorical columns have the dtype category; each library
gets them in its own way. Everything runs on one thread, with a seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import spaces
from lightgbm import LGBMClassifier
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from spaces import Parameters, Space
from xgboost import XGBClassifier

from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier


@dataclass(frozen=True)
class Contestant:
    """A model to be made for given labels, at parameters of its library.

    ``group`` is "log-loss", "focal_gbm" or "peer". Only what has a ``space`` is
    tuned; ``first`` is what tuning tries first.
    """

    name: str
    group: str
    make: Callable[..., Any]
    parameters: Parameters = field(default_factory=dict)
    space: Space | None = None
    first: Parameters = field(default_factory=dict)

    def model(self, y: np.ndarray, seed: int, **parameters: Any) -> Any:
        """Return an unfitted model; ``weight_power`` 1 balances the classes."""
        parameters = self.parameters | parameters
        if "weight_power" in parameters:
            power = parameters.pop("weight_power")
            parameters["weight"] = float((1 / y.mean() - 1) ** power)
        return self.make(seed, **parameters)


def _boosted(kind: type, **quiet: Any) -> Callable[..., Any]:
    def make(seed: int, weight: float = 1.0, **parameters: Any) -> Any:
        if weight != 1.0:
            parameters["scale_pos_weight"] = weight
        return kind(n_jobs=1, random_state=seed, **quiet, **parameters)

    return make


_lgbm, _focal_lgbm = (
    _boosted(kind, verbose=-1) for kind in (LGBMClassifier, FocalLGBMClassifier)
)
_xgb, _focal_xgb = (
    _boosted(kind, enable_categorical=True)
    for kind in (XGBClassifier, FocalXGBClassifier)
)


def _hist(seed: int, weight: float = 1.0, **parameters: Any) -> Any:
    class_weight = None if weight == 1.0 else {0: 1.0, 1: weight}
    return HistGradientBoostingClassifier(
        class_weight=class_weight, random_state=seed, **parameters
    )


class _CatBoost:
    """CatBoost, which wants categories as strings and their columns by name."""

    def __init__(self, seed: int, weight: float = 1.0, **parameters: Any) -> None:
        from catboost import CatBoostClassifier

        if weight != 1.0:
            parameters["scale_pos_weight"] = weight
        self.model = CatBoostClassifier(
            thread_count=1,
            verbose=False,
            allow_writing_files=False,
            random_seed=seed,
            **parameters,
        )

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Any:
        self.categories = list(X.select_dtypes("category"))
        self.model.fit(self._strings(X), y, cat_features=self.categories)
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        probability: np.ndarray = self.model.predict_proba(self._strings(X))
        return probability

    def _strings(self, X: pd.DataFrame) -> pd.DataFrame:
        return X.astype(dict.fromkeys(self.categories, str))


class _YDF:
    """Yggdrasil decision forests, which keep a tenth to stop early by default."""

    def __init__(self, seed: int, **parameters: Any) -> None:
        import ydf

        self.learner = ydf.GradientBoostedTreesLearner(
            label="y", num_threads=1, random_seed=seed, **parameters
        )

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Any:
        self.model = self.learner.train(self._named(X).assign(y=y), verbose=0)
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        p = self.model.predict(self._named(X))
        return np.column_stack([1 - p, p])

    def _named(self, X: pd.DataFrame) -> pd.DataFrame:
        X = X.astype(dict.fromkeys(X.select_dtypes("category"), str))
        return X.set_axis([str(name) for name in X.columns], axis=1)


class _Margin:
    """A recipe that hands an objective to a library and calls expit(margin) a
    probability, as its documentation does."""

    def __init__(self, model: Any, margin: str) -> None:
        self.model, self.margin = model, margin

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Any:
        self.model.fit(X, y)
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        p = expit(self.model.predict(X, **{self.margin: True}))
        return np.column_stack([1 - p, p])


def _imlightgbm(seed: int) -> Any:
    from imlightgbm import ImbalancedLGBMClassifier

    return ImbalancedLGBMClassifier(
        objective="binary_focal", n_jobs=1, verbose=-1, random_state=seed
    )


class _OfDataset:
    """What ``train_set.get_label()`` is called on, for two-argument objectives."""

    def __init__(self, y: np.ndarray) -> None:
        self.y = y

    def get_label(self) -> np.ndarray:
        return self.y


def _bokbokbok(library: str) -> Callable[[int], Any]:
    def make(seed: int) -> Any:
        from bokbokbok.loss_functions.classification import WeightedFocalLoss

        loss = WeightedFocalLoss()
        return _recipe(library, seed, lambda y, z: loss(z, _OfDataset(y)))

    return make


def _gbdt_cbl(library: str) -> Callable[[int], Any]:
    def make(seed: int) -> Any:
        from gbdtCBL.binary import FLLoss

        return _recipe(library, seed, FLLoss(r1=2.0))

    return make


def _recipe(library: str, seed: int, objective: Callable[..., Any]) -> _Margin:
    if library == "LightGBM":
        make, margin = _lgbm, "raw_score"
    else:
        make, margin = _xgb, "output_margin"
    return _Margin(make(seed, objective=objective), margin)


class _ImbalanceXGBoost:
    """imbalance-xgboost, which holds a quarter of the rows out by itself."""

    def __init__(self, seed: int) -> None:
        from imxgboost.imbalance_xgb import imbalance_xgboost

        np.random.seed(seed)  # noqa: NPY002 - it draws from the global generator
        self.model = imbalance_xgboost(special_objective="focal", focal_gamma=2.0)

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Any:
        self.model.fit(X.to_numpy(float), y)
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        p: np.ndarray = self.model.predict_two_class(X.to_numpy(float))
        return p


PROTECTED = {"boost_from_average": False, "min_child_weight": 1.0}
_LGBM_POINT = FocalLGBMClassifier.rare_event_params()
_XGB_POINT = FocalXGBClassifier.rare_event_params()
LOG_LOSS, OURS, PEERS = "log-loss", "focal_gbm", "peer"

CONTESTANTS = (
    Contestant(
        "LightGBM",
        LOG_LOSS,
        _lgbm,
        space=spaces.LIGHTGBM,
        first=spaces.FIRST_LIGHTGBM,
    ),
    Contestant("LightGBM, balanced", LOG_LOSS, _lgbm, {"weight_power": 1.0}),
    Contestant(
        "LightGBM, boost_from_average=False",
        LOG_LOSS,
        _lgbm,
        {"boost_from_average": False},
    ),
    Contestant("LightGBM, max_delta_step=1", LOG_LOSS, _lgbm, {"max_delta_step": 1.0}),
    Contestant("LightGBM, protected", LOG_LOSS, _lgbm, PROTECTED),
    Contestant(
        "LightGBM, protected, starting point",
        LOG_LOSS,
        _lgbm,
        PROTECTED | _LGBM_POINT,
    ),
    Contestant(
        "XGBoost",
        LOG_LOSS,
        _xgb,
        space=spaces.XGBOOST,
        first=spaces.FIRST_XGBOOST,
    ),
    Contestant("XGBoost, balanced", LOG_LOSS, _xgb, {"weight_power": 1.0}),
    Contestant("XGBoost, max_delta_step=1", LOG_LOSS, _xgb, {"max_delta_step": 1.0}),
    Contestant("XGBoost, starting point", LOG_LOSS, _xgb, _XGB_POINT),
    Contestant(
        "CatBoost",
        LOG_LOSS,
        _CatBoost,
        space=spaces.CATBOOST,
        first=spaces.FIRST_CATBOOST,
    ),
    Contestant("CatBoost, balanced", LOG_LOSS, _CatBoost, {"weight_power": 1.0}),
    Contestant(
        "HistGradientBoosting",
        LOG_LOSS,
        _hist,
        space=spaces.HIST,
        first=spaces.FIRST_HIST,
    ),
    Contestant(
        "HistGradientBoosting, balanced", LOG_LOSS, _hist, {"weight_power": 1.0}
    ),
    Contestant(
        "FocalLGBM",
        OURS,
        _focal_lgbm,
        space=spaces.FOCAL_LIGHTGBM,
        first=spaces.FIRST_FOCAL_LIGHTGBM,
    ),
    Contestant(
        "FocalLGBM, starting point",
        OURS,
        _focal_lgbm,
        _LGBM_POINT,
    ),
    Contestant(
        "FocalXGB",
        OURS,
        _focal_xgb,
        space=spaces.FOCAL_XGBOOST,
        first=spaces.FIRST_FOCAL_XGBOOST,
    ),
    Contestant(
        "FocalXGB, starting point",
        OURS,
        _focal_xgb,
        _XGB_POINT,
    ),
    Contestant(
        "CatBoost Focal",
        PEERS,
        _CatBoost,
        {"loss_function": "Focal:focal_alpha=0.25;focal_gamma=2.0"},
    ),
    Contestant("YDF", LOG_LOSS, _YDF),
    Contestant("YDF Focal", PEERS, _YDF, {"loss": "BINARY_FOCAL_LOSS"}),
    Contestant("imlightgbm", PEERS, _imlightgbm),
    Contestant("bokbokbok, LightGBM", PEERS, _bokbokbok("LightGBM")),
    Contestant("bokbokbok, XGBoost", PEERS, _bokbokbok("XGBoost")),
    Contestant("gbdtCBL, LightGBM", PEERS, _gbdt_cbl("LightGBM")),
    Contestant("gbdtCBL, XGBoost", PEERS, _gbdt_cbl("XGBoost")),
    Contestant("imbalance-xgboost", PEERS, _ImbalanceXGBoost),
)
BY_NAME = {contestant.name: contestant for contestant in CONTESTANTS}
