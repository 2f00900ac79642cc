"""Build the models of all libraries, with log-loss and with focal loss.

``fit`` gets frames whose categorical columns have the dtype category; every wrapper
passes them to its library in the library's form. All models train on one thread, with
a seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from scipy.special import expit
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
from xgboost import XGBClassifier

from benchmarks.detection import spaces
from benchmarks.detection.spaces import Parameters, Space
from focal_gbm import FocalClassifierCV, FocalLGBMClassifier, FocalXGBClassifier


@dataclass(frozen=True)
class Model:
    """Name a model and build it with parameters of its library.

    ``group`` is "log-loss", "focal_gbm" or "peer". Only a model with a ``space`` is
    tuned; the first trial of its search takes the parameters ``first``. A model with
    ``as_long_as`` gets the fit time of that model as its parameter ``time_limit``.
    """

    name: str
    group: str
    make: Callable[..., Any]
    parameters: Parameters = field(default_factory=dict)
    space: Space | None = None
    first: Parameters = field(default_factory=dict)
    as_long_as: str | None = None

    def build(self, y: np.ndarray, seed: int, **parameters: Any) -> Any:
        """Return an unfitted estimator; ``weight_power`` 1 balances the classes."""
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


def _cross_fit(kind: Callable[..., Any]) -> Callable[..., Any]:
    def make(seed: int, **parameters: Any) -> Any:
        return FocalClassifierCV(kind(seed), **parameters)

    return make


class _Stopped:
    """Hold out a fifth of the rows to stop early, as the tuned defaults do."""

    def __init__(self, kind: Callable[..., Any], seed: int, **parameters: Any) -> None:
        self.seed = seed
        self.model = kind(seed, early_stopping_rounds=300, **parameters)
        is_xgboost = isinstance(self.model, XGBClassifier)
        self.quiet = {"verbose": False} if is_xgboost else {}

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Any:
        rows, held = train_test_split(
            np.arange(len(y)), test_size=0.2, stratify=y, random_state=self.seed
        )
        held_out = [(X.iloc[held], y[held])]
        self.model.fit(X.iloc[rows], y[rows], eval_set=held_out, **self.quiet)
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        probability: np.ndarray = self.model.predict_proba(X)
        return probability


def _stopped(kind: Callable[..., Any]) -> Callable[..., Any]:
    def make(seed: int, **parameters: Any) -> Any:
        return _Stopped(kind, seed, **parameters)

    return make


def _flaml(name: str) -> Callable[[int], Any]:
    def make(seed: int) -> Any:
        import flaml.default

        return getattr(flaml.default, name)(n_jobs=1, random_state=seed)

    return make


def _perpetual(seed: int) -> Any:
    from perpetual import PerpetualBooster

    return PerpetualBooster(objective="LogLoss", num_threads=1, seed=seed)


def _self_paced(seed: int) -> Any:
    from self_paced_ensemble import SelfPacedEnsembleClassifier

    return SelfPacedEnsembleClassifier(n_jobs=1, random_state=seed)


class _AutoGluon:
    """Bag LightGBM, XGBoost and CatBoost by AutoGluon, as well as the time allows.

    Five folds and no second level: with its eight folds and a trial of stacking, a time
    limit of a few seconds ends in an error.
    """

    def __init__(self, seed: int, time_limit: float) -> None:
        self.seed, self.time_limit = seed, time_limit

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Any:
        from autogluon.tabular import TabularPredictor

        extra = {"extra_trees": True, "ag_args": {"name_suffix": "XT"}}
        with tempfile.TemporaryDirectory() as folder:
            self.model = TabularPredictor(
                "y", eval_metric="average_precision", path=folder, verbosity=0
            ).fit(
                _named(X).assign(y=y),
                presets="best_quality",
                num_bag_folds=5,
                num_stack_levels=0,
                dynamic_stacking=False,
                time_limit=self.time_limit,
                hyperparameters={"GBM": [extra, {}], "XGB": {}, "CAT": {}},
                ag_args_ensemble={"fold_fitting_strategy": "sequential_local"},
                num_cpus=1,
            )
            self.model.persist()
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        probability: np.ndarray = self.model.predict_proba(_named(X)).to_numpy()
        return probability


def _hist(seed: int, weight: float = 1.0, **parameters: Any) -> Any:
    class_weight = None if weight == 1.0 else {0: 1.0, 1: weight}
    return HistGradientBoostingClassifier(
        class_weight=class_weight, random_state=seed, **parameters
    )


class _CatBoost:
    """Pass categories to CatBoost as strings, with the names of their columns."""

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
    """Pass frames to YDF, which stops early on a tenth of the rows by default."""

    def __init__(self, seed: int, **parameters: Any) -> None:
        import ydf

        self.learner = ydf.GradientBoostedTreesLearner(
            label="y", num_threads=1, random_seed=seed, **parameters
        )

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Any:
        self.model = self.learner.train(self._strings(X).assign(y=y), verbose=0)
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        p = self.model.predict(self._strings(X))
        return np.column_stack([1 - p, p])

    def _strings(self, X: pd.DataFrame) -> pd.DataFrame:
        return _named(X.astype(dict.fromkeys(X.select_dtypes("category"), str)))


def _named(X: pd.DataFrame) -> pd.DataFrame:
    return X.set_axis([str(name) for name in X.columns], axis=1)


class _Margin:
    """Take expit(raw score) as a probability, as the documentation of recipes does."""

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
    """Hold labels for objectives that call ``train_set.get_label()``."""

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
    """Wrap imbalance-xgboost, which holds out a quarter of the rows by itself."""

    def __init__(self, seed: int) -> None:
        from imxgboost.imbalance_xgb import imbalance_xgboost

        np.random.seed(seed)  # noqa: NPY002 - the package draws from the global generator
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
# Tables of D. Holzmueller, L. Grinsztajn, I. Steinwart, "Better by default: strong
# pre-tuned MLPs and boosted trees on tabular data", 2024, arXiv 2407.04491.
_TD_LGBM = {
    "n_estimators": 1000,
    "learning_rate": 0.04,
    "num_leaves": 50,
    "min_child_samples": 40,
    "min_child_weight": 1e-7,
    "subsample": 0.75,
    "subsample_freq": 1,
}
_TD_XGB = {
    "n_estimators": 1000,
    "learning_rate": 0.08,
    "max_depth": 6,
    "min_child_weight": 5e-6,
    "reg_lambda": 0.0,
    "colsample_bylevel": 0.9,
    "subsample": 0.65,
}
LOG_LOSS, OURS, PEERS = "log-loss", "focal_gbm", "peer"
CROSS_FIT = "FocalClassifierCV, LightGBM"

MODELS = (
    Model(
        "LightGBM",
        LOG_LOSS,
        _lgbm,
        space=spaces.LIGHTGBM,
        first=spaces.FIRST_LIGHTGBM,
    ),
    Model("LightGBM, balanced", LOG_LOSS, _lgbm, {"weight_power": 1.0}),
    Model(
        "LightGBM, boost_from_average=False",
        LOG_LOSS,
        _lgbm,
        {"boost_from_average": False},
    ),
    Model("LightGBM, max_delta_step=1", LOG_LOSS, _lgbm, {"max_delta_step": 1.0}),
    Model("LightGBM, protected", LOG_LOSS, _lgbm, PROTECTED),
    Model(
        "LightGBM, protected, starting point",
        LOG_LOSS,
        _lgbm,
        PROTECTED | _LGBM_POINT,
    ),
    Model(
        "XGBoost",
        LOG_LOSS,
        _xgb,
        space=spaces.XGBOOST,
        first=spaces.FIRST_XGBOOST,
    ),
    Model("XGBoost, balanced", LOG_LOSS, _xgb, {"weight_power": 1.0}),
    Model("XGBoost, max_delta_step=1", LOG_LOSS, _xgb, {"max_delta_step": 1.0}),
    Model("XGBoost, starting point", LOG_LOSS, _xgb, _XGB_POINT),
    Model(
        "CatBoost",
        LOG_LOSS,
        _CatBoost,
        space=spaces.CATBOOST,
        first=spaces.FIRST_CATBOOST,
    ),
    Model("CatBoost, balanced", LOG_LOSS, _CatBoost, {"weight_power": 1.0}),
    Model(
        "HistGradientBoosting",
        LOG_LOSS,
        _hist,
        space=spaces.HIST,
        first=spaces.FIRST_HIST,
    ),
    Model("HistGradientBoosting, balanced", LOG_LOSS, _hist, {"weight_power": 1.0}),
    Model(
        "FocalLGBM",
        OURS,
        _focal_lgbm,
        space=spaces.FOCAL_LIGHTGBM,
        first=spaces.FIRST_FOCAL_LIGHTGBM,
    ),
    Model(
        "FocalLGBM, starting point",
        OURS,
        _focal_lgbm,
        _LGBM_POINT,
    ),
    Model(
        "FocalXGB",
        OURS,
        _focal_xgb,
        space=spaces.FOCAL_XGBOOST,
        first=spaces.FIRST_FOCAL_XGBOOST,
    ),
    Model(
        "FocalXGB, starting point",
        OURS,
        _focal_xgb,
        _XGB_POINT,
    ),
    Model(CROSS_FIT, OURS, _cross_fit(_focal_lgbm)),
    Model(
        "FocalClassifierCV, LightGBM, refitted",
        OURS,
        _cross_fit(_focal_lgbm),
        {"ensemble": False},
    ),
    Model("FocalClassifierCV, XGBoost", OURS, _cross_fit(_focal_xgb)),
    Model("AutoGluon", LOG_LOSS, _AutoGluon, as_long_as=CROSS_FIT),
    Model("FLAML zero-shot, LightGBM", LOG_LOSS, _flaml("LGBMClassifier")),
    Model("FLAML zero-shot, XGBoost", LOG_LOSS, _flaml("XGBClassifier")),
    Model("tuned defaults, LightGBM", LOG_LOSS, _stopped(_lgbm), _TD_LGBM),
    Model("tuned defaults, XGBoost", LOG_LOSS, _stopped(_xgb), _TD_XGB),
    Model(
        "tuned defaults, FocalLGBM gamma 0",
        OURS,
        _stopped(_focal_lgbm),
        _TD_LGBM | {"focal_gamma": 0.0},
    ),
    Model(
        "tuned defaults, FocalXGB gamma 0",
        OURS,
        _stopped(_focal_xgb),
        _TD_XGB | {"focal_gamma": 0.0},
    ),
    Model("PerpetualBooster", LOG_LOSS, _perpetual),
    Model("self-paced ensemble", PEERS, _self_paced),
    Model(
        "CatBoost Focal",
        PEERS,
        _CatBoost,
        {"loss_function": "Focal:focal_alpha=0.25;focal_gamma=2.0"},
    ),
    Model("YDF", LOG_LOSS, _YDF),
    Model("YDF Focal", PEERS, _YDF, {"loss": "BINARY_FOCAL_LOSS"}),
    Model("imlightgbm", PEERS, _imlightgbm),
    Model("bokbokbok, LightGBM", PEERS, _bokbokbok("LightGBM")),
    Model("bokbokbok, XGBoost", PEERS, _bokbokbok("XGBoost")),
    Model("gbdtCBL, LightGBM", PEERS, _gbdt_cbl("LightGBM")),
    Model("gbdtCBL, XGBoost", PEERS, _gbdt_cbl("XGBoost")),
    Model("imbalance-xgboost", PEERS, _ImbalanceXGBoost),
)
BY_NAME = {model.name: model for model in MODELS}
