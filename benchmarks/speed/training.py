"""Time iterations with the built-in loss, our loss and the focal recipes of others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
import xgboost as xgb
from lightgbm import LGBMClassifier
from scipy.special import expit
from xgboost import XGBClassifier

from benchmarks.common.timing import compared, in_turn, make_data
from focal_gbm import FocalLGBMClassifier, FocalObjective, FocalXGBClassifier

N_TREES = 25
BUILT_IN = "built-in"
Record = dict[str, Any]
Objective = Callable[[np.ndarray, Any], tuple[Any, Any]]


class Playback:
    """Record the derivatives of a first training and return them in later trainings.

    No custom objective can cost less in the library.
    """

    def __init__(self, objective: Objective, n_trees: int) -> None:
        self._objective = objective
        self._n_trees = n_trees
        self._tape: list[tuple[np.ndarray, np.ndarray]] = []
        self._at = 0

    def __call__(self, raw: np.ndarray, data: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient and Hessian."""
        if len(self._tape) < self._n_trees:
            gradient, hessian = self._objective(raw, data)
            self._tape.append((gradient.copy(), hessian.copy()))
        self._at += 1
        return self._tape[(self._at - 1) % self._n_trees]


def numpy_recipe(raw: np.ndarray, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivatives at gamma = 2, computed in NumPy from probabilities."""
    gamma = 2.0
    y = data.get_label()
    p = np.clip(expit(raw), 1e-9, 1 - 1e-9)
    p_t = np.where(y == 1, p, 1 - p)
    sign = np.where(y == 1, 1.0, -1.0)
    log_p = np.log(p_t)
    modulation = (1 - p_t) ** gamma
    gradient = sign * modulation * (gamma * p_t * log_p - (1 - p_t))
    bend = gamma * log_p * ((1 - p_t) - gamma * p_t) + (2 * gamma + 1) * (1 - p_t)
    return gradient, modulation * p_t * bend


def peers(library: str) -> dict[str, Objective]:
    """Return the objectives of the other packages that are installed."""
    found: dict[str, Objective] = {}
    for name, load in PEERS.items():
        if name in NOT_FOR[library]:
            continue
        try:
            found[name] = load()
        except ImportError:
            print(f"{name} is not installed: pip install -e '.[peers]'")
    return found


def _bokbokbok() -> Objective:
    from bokbokbok.loss_functions.classification import WeightedFocalLoss

    objective: Objective = WeightedFocalLoss()
    return objective


def _gbdt_cbl() -> Objective:
    from gbdtCBL.binary import FLLoss

    loss = FLLoss(r1=2.0)
    return lambda raw, data: loss(data.get_label(), raw)


def _imlightgbm() -> Objective:
    from imlightgbm.objective import binary_focal_objective

    return lambda raw, data: binary_focal_objective(data.get_label(), raw, 2.0)


def _imbalance_xgboost() -> Objective:
    from imxgboost.focal_loss import Focal_Binary_Loss

    objective: Objective = Focal_Binary_Loss(2.0).focal_binary_object
    return objective


PEERS = {
    "bokbokbok": _bokbokbok,
    "gbdtCBL": _gbdt_cbl,
    "imbalance-xgboost": _imbalance_xgboost,
    "imlightgbm": _imlightgbm,
}
NOT_FOR = {"LightGBM": ["imbalance-xgboost"], "XGBoost": ["imlightgbm"]}


@dataclass
class Library:
    """Train with an objective (None: the built-in loss) and fit the estimators."""

    name: str
    train: Callable[[Any, int], Any]
    raw_score: Callable[[Any], np.ndarray]
    leaves: Callable[[Any], float]
    parent: Any
    neutral: Any
    default: Any


def estimators(threads: int, device: str = "cpu") -> dict[str, tuple[Any, Any, Any]]:
    """Return by library the parent, ours with the parent's trees, and our default."""
    lgbm = {"n_jobs": threads, "verbose": -1}
    xgb_ = {"n_jobs": threads, "device": device}
    return {
        "LightGBM": (
            LGBMClassifier(boost_from_average=False, **lgbm),
            FocalLGBMClassifier(
                focal_gamma=0.0,
                start=0.0,
                max_step=None,
                min_child_weight=1e-3,
                **lgbm,
            ),
            FocalLGBMClassifier(**lgbm),
        ),
        "XGBoost": (
            XGBClassifier(base_score=0.5, **xgb_),
            FocalXGBClassifier(focal_gamma=0.0, max_step=None, base_score=0.5, **xgb_),
            FocalXGBClassifier(**xgb_),
        ),
    }


def lightgbm(X: np.ndarray, y: np.ndarray, threads: int, _device: str) -> Library:
    """Return LightGBM on the data."""
    params = {
        "num_leaves": 31,
        "verbosity": -1,
        "num_threads": threads,
        "boost_from_average": False,
        "metric": "None",
    }
    data = lgb.Dataset(X, y, params=params, free_raw_data=False).construct()
    return Library(
        "LightGBM",
        lambda objective, n_trees: lgb.train(
            {**params, "objective": objective or "binary"}, data, n_trees
        ),
        lambda booster: booster.predict(X[:10_000], raw_score=True),
        lambda booster: np.mean(
            [tree["num_leaves"] for tree in booster.dump_model()["tree_info"]]
        ),
        *estimators(threads)["LightGBM"],
    )


def xgboost(X: np.ndarray, y: np.ndarray, threads: int, device: str) -> Library:
    """Return XGBoost on the data."""
    params = {
        "max_depth": 6,
        "nthread": threads,
        "objective": "binary:logistic",
        "base_score": 0.5,
        "device": device,
    }
    data = xgb.QuantileDMatrix(X, y)
    head = xgb.DMatrix(X[:10_000])
    return Library(
        "XGBoost",
        lambda objective, n_trees: xgb.train(params, data, n_trees, obj=objective),
        lambda booster: booster.predict(head, output_margin=True),
        lambda booster: np.mean([t.count("leaf=") for t in booster.get_dump()]),
        *estimators(threads, device)["XGBoost"],
    )


LIBRARIES = {"lightgbm": lightgbm, "xgboost": xgboost}


def measure(
    name: str, n_rows: int, threads: int, rounds: int, device: str, *, with_peers: bool
) -> Iterator[Record]:
    """Yield records of iterations, and of fits of the estimators."""
    X, y = make_data(n_rows)
    library = LIBRARIES[name](X, y, threads, device)
    n_trees = N_TREES if n_rows < 5_000_000 else 10
    key = {"library": library.name, "rows": n_rows, "threads": threads}
    ours = FocalObjective(gamma=0.0, device=device, n_jobs=threads)
    objectives: dict[str, Any] = {
        BUILT_IN: None,
        "played back": Playback(ours, n_trees),
        "gamma 0": ours,
        "gamma 2": FocalObjective(gamma=2.0, device=device, n_jobs=threads),
        "gamma 2, link='logit'": FocalObjective(
            gamma=2.0, link="logit", device=device, n_jobs=threads
        ),
    }
    if device != "cpu":
        del objectives["played back"]
        objectives["gamma 0, CPU kernel"] = FocalObjective(gamma=0.0)
    if with_peers:
        objectives |= {"NumPy recipe": numpy_recipe, **peers(library.name)}
    calls = {
        name: lambda o=objective: library.train(o, n_trees)
        for name, objective in objectives.items()
    }
    boosters = {name: call() for name, call in calls.items()}
    leaves = {name: library.leaves(booster) for name, booster in boosters.items()}
    gap = np.abs(
        library.raw_score(boosters[BUILT_IN]) - library.raw_score(boosters["gamma 0"])
    )
    for row in compared(in_turn(calls, rounds), n_trees):
        yield {
            "what": "iteration",
            **key,
            **row,
            "leaves": leaves[row["method"]],
            "share": _share_of_objective(library, objectives[row["method"]]),
        }
    yield {"what": "largest difference of log-odds", **key, "value": float(gap.max())}
    if device != "cpu":
        yield from _device_memory(key, calls, device)
    fits = {
        BUILT_IN: lambda: library.parent.fit(X, y),
        "gamma 0": lambda: library.neutral.fit(X, y),
        "default settings": lambda: library.default.fit(X, y),
    }
    if n_rows < 5_000_000:
        for row in compared(in_turn(fits, min(rounds, 3))):
            yield {"what": "fit", **key, **row}


def _share_of_objective(library: Library, objective: Any) -> float | None:
    """Return the share of the time of a training that the objective takes."""
    if objective is None:
        return None
    inside = 0.0

    def timed(raw: np.ndarray, data: Any) -> tuple[Any, Any]:
        nonlocal inside
        began = time.perf_counter()
        result = objective(raw, data)
        inside += time.perf_counter() - began
        return result

    began = time.perf_counter()
    library.train(timed, 5)
    return inside / (time.perf_counter() - began)


def _device_memory(
    key: Record, calls: dict[str, Callable[[], object]], device: str
) -> Iterator[Record]:
    """Yield the most bytes in use on the device while each trains."""
    from numba import cuda

    ordinal = int(device.partition(":")[2] or 0)
    for name, call in calls.items():
        seen, done = [], threading.Event()

        def watch(seen: list[int] = seen, done: threading.Event = done) -> None:
            with cuda.gpus[ordinal]:
                while not done.is_set():
                    free, total = cuda.current_context().get_memory_info()
                    seen.append(total - free)
                    time.sleep(0.002)

        watcher = threading.Thread(target=watch)
        watcher.start()
        call()
        done.set()
        watcher.join()
        yield {"what": "device memory", **key, "method": name, "value": max(seen)}
