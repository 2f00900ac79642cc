"""Does the objective cost what the built-in one costs?

    python benchmarks/speed.py [lightgbm] [xgboost] [--rows 200000 1000000] [--rounds 7]
        [--threads 2] [--device cuda]

trains the built-in objective and FocalObjective(gamma=0) in turn, on the same data and
to the same trees, and prints the median time of an iteration of each and the median of
the ratios, taken round by round. A ratio of 1 means that the loss costs nothing. Beside
it stands the ratio of an objective that computes nothing and plays back what was
recorded: the least that the library lets a custom objective cost. Then what is around
training in the estimators, and the kernel alone, by link and dtype of the scores.

With ``--device cuda`` XGBoost trains on the GPU, with the derivatives computed there
and, for comparison, on the CPU; the peak of the device's memory is printed too.
"""

from __future__ import annotations

import argparse
import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numba
import numpy as np
import xgboost as xgb
from lightgbm import LGBMClassifier
from xgboost import XGBClassifier

from focal_gbm import FocalLGBMClassifier, FocalObjective, FocalXGBClassifier

N_FEATURES = 30
N_TREES = 25


def make_data(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels of which about 1 % are positive."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n_rows, N_FEATURES), np.float32)
    log_odds = 1.2 * X[:, 0] + X[:, 1] * X[:, 2] - 5
    y = (rng.random(n_rows) < 1 / (1 + np.exp(-log_odds))).astype(np.float32)
    return X, y


def seconds(call: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def in_turn(
    one: Callable[[], object], other: Callable[[], object], rounds: int
) -> tuple[float, float, np.ndarray]:
    """Return the median time of each, and the ratio of the other in every round."""
    one(), other()  # compile, warm caches
    times = np.array([(seconds(one), seconds(other)) for _ in range(rounds)])
    medians = np.median(times, axis=0)
    return medians[0], medians[1], times[:, 1] / times[:, 0]


class Playback:
    """Derivatives of a training, recorded while it runs and returned from then on."""

    def __init__(self, objective: Callable[..., Any]) -> None:
        self._objective = objective
        self._tape: list[tuple[np.ndarray, np.ndarray]] = []
        self._at = 0

    def __call__(self, raw: np.ndarray, data: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return gradient and Hessian."""
        if len(self._tape) < N_TREES:
            gradient, hessian = self._objective(raw, data)
            self._tape.append((gradient.copy(), hessian.copy()))
        self._at += 1
        return self._tape[(self._at - 1) % N_TREES]


@dataclass
class Library:
    """How to train with an objective, or None for the built-in one, and how to fit."""

    name: str
    train: Callable[[Any], Any]
    raw_score: Callable[[Any], np.ndarray]
    parent: Any
    neutral: Any
    default: Any


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
    common = {"n_jobs": threads, "verbose": -1}

    def train(objective: Any) -> lgb.Booster:
        return lgb.train({**params, "objective": objective or "binary"}, data, N_TREES)

    return Library(
        "LightGBM",
        train,
        lambda booster: booster.predict(X[:10_000], raw_score=True),
        LGBMClassifier(boost_from_average=False, **common),
        FocalLGBMClassifier(
            focal_gamma=0.0, start=0.0, max_step=None, min_child_weight=1e-3, **common
        ),
        FocalLGBMClassifier(**common),
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
    common = {"n_jobs": threads, "device": device}
    neutral = {"focal_gamma": 0.0, "max_step": None, "base_score": 0.5}
    return Library(
        "XGBoost",
        lambda objective: xgb.train(params, data, N_TREES, obj=objective),
        lambda booster: booster.predict(head, output_margin=True),
        XGBClassifier(base_score=0.5, **common),
        FocalXGBClassifier(**neutral, **common),
        FocalXGBClassifier(**common),
    )


LIBRARIES = {"lightgbm": lightgbm, "xgboost": xgboost}


def training(name: str, n_rows: int, rounds: int, threads: int, device: str) -> None:
    """Compare iterations of the two objectives on the same trees, and fits."""
    X, y = make_data(n_rows)
    library = LIBRARIES[name](X, y, threads, device)
    objective = FocalObjective(gamma=0.0, device=device)

    def built_in() -> Any:
        return library.train(None)

    title = f"{library.name}, {n_rows:,} rows: "
    gap = library.raw_score(built_in()) - library.raw_score(library.train(objective))
    contestants = {"iteration": objective}
    if device == "cpu":
        contestants["played back"] = Playback(objective)
    else:
        contestants["CPU kernel"] = FocalObjective(gamma=0.0)
    for what, contestant in contestants.items():
        a, b, ratios = in_turn(built_in, lambda c=contestant: library.train(c), rounds)
        _row(title + what, a / N_TREES, b / N_TREES, ratios)
    print(f"{'':42}  largest difference of log-odds {np.abs(gap).max():.1e}")
    if device != "cpu":
        calls = [lambda o=o: library.train(o) for o in (None, objective)]
        peaks = [_peak_memory(call, device) for call in calls]
        mib = [f"{peak / 2**20:.0f} MiB" for peak in peaks]
        print(
            f"{title + 'peak of the device memory':42}  built-in {mib[0]}  ours "
            f"{mib[1]}  ratio {peaks[1] / peaks[0]:.3f}"
        )
    for what, model in (("fit", library.neutral), ("default fit", library.default)):
        a, b, ratios = in_turn(
            lambda: library.parent.fit(X, y),
            lambda m=model: m.fit(X, y),
            min(rounds, 3),
        )
        _row(title + what, a, b, ratios)


def _row(title: str, one: float, other: float, ratios: np.ndarray) -> None:
    print(
        f"{title:42}  built-in {one * 1e3:9.1f} ms  ours {other * 1e3:9.1f} ms  ratio "
        f"{np.median(ratios):.3f} ({ratios.min():.3f}-{ratios.max():.3f})",
        flush=True,
    )


def _peak_memory(call: Callable[[], object], device: str) -> float:
    """Return the most bytes in use on the device while a call runs, looked at every
    few milliseconds."""
    from numba import cuda

    seen, done = [], threading.Event()
    ordinal = int(device.partition(":")[2] or 0)

    def watch() -> None:
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
    return max(seen)


def kernel(n_rows: int, device: str, repeats: int = 40) -> None:
    """Time the public callable alone: on one core, or with the copies to a device."""
    rng = np.random.default_rng(0)
    y = (rng.random(n_rows) < 0.05).astype(np.float32)
    data = xgb.DMatrix(np.zeros((n_rows, 1), np.float32), y)
    forms = [("posterior", "expected", 2.0), ("posterior", "expected", 0.0)]
    forms += [("logit", h, 2.0) for h in ("expected", "exact", "clipped")]
    for link, hessian, gamma in forms:
        for dtype in (np.float32, np.float64):
            raw = rng.normal(-3, 3, n_rows).astype(dtype)
            objective = FocalObjective(gamma, link=link, hessian=hessian, device=device)
            objective(raw, data)
            times = [seconds(lambda: objective(raw, data)) for _ in range(repeats)]  # noqa: B023
            name = f"kernel, {link}, gamma {gamma:g}, {hessian}"
            ns = np.median(times) * 1e9 / n_rows
            print(f"{name:42}  {np.dtype(dtype).name} scores  {ns:.2f} ns a row")


def _device_name(device: str) -> str:
    if device == "cpu":
        return "no GPU"
    from numba import cuda

    name = cuda.get_current_device().name
    return name.decode() if isinstance(name, bytes) else str(name)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("libraries", nargs="*", help=" or ".join(LIBRARIES))
    parser.add_argument("--rows", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:<n>")
    arguments = parser.parse_args()
    on_gpu = arguments.device != "cpu"
    libraries = arguments.libraries or (["xgboost"] if on_gpu else [*LIBRARIES])
    if unknown := set(libraries) - set(LIBRARIES):
        parser.error(f"unknown {unknown}; choose from {set(LIBRARIES)}")
    if on_gpu and "lightgbm" in libraries:
        parser.error("--device is for xgboost: LightGBM's wheel has no CUDA")
    rows = arguments.rows or ([10**6, 10**7] if on_gpu else [200_000, 10**6])
    print(
        f"LightGBM {lgb.__version__}, XGBoost {xgb.__version__}, numba "
        f"{numba.__version__}, {platform.machine()}, {arguments.threads} threads, "
        f"{_device_name(arguments.device)}, {N_FEATURES} features, {N_TREES} trees, "
        f"{arguments.rounds} rounds in turn"
    )
    for name in libraries:
        for n_rows in rows:
            training(
                name, n_rows, arguments.rounds, arguments.threads, arguments.device
            )
    kernel(1_000_000, arguments.device)


if __name__ == "__main__":
    main()
