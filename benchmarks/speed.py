"""Does the objective cost what the built-in one costs?

    python benchmarks/speed.py [--rows 200000 1000000] [--rounds 7] [--threads 2]

trains LightGBM's binary objective and FocalObjective(gamma=0) in turn, on the same
data and to the same trees, and prints the median time of an iteration of each and
the median of the ratios, taken round by round; then the kernel alone, by link and
by the dtype of the scores, and what is around training in FocalLGBMClassifier. A
ratio of 1 means that the loss costs nothing.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable

import lightgbm as lgb
import numba
import numpy as np
from lightgbm import LGBMClassifier

from focal_gbm import FocalLGBMClassifier, FocalObjective

N_FEATURES = 30
N_TREES = 25


def make_data(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels of which about 1 % are positive."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n_rows, N_FEATURES)).astype(np.float32)
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


def training(n_rows: int, rounds: int, threads: int) -> None:
    """Compare iterations of the two objectives on the same trees."""
    X, y = make_data(n_rows)
    params = {
        "num_leaves": 31,
        "verbosity": -1,
        "num_threads": threads,
        "boost_from_average": False,
        "metric": "None",
    }
    data = lgb.Dataset(X, y, params=params, free_raw_data=False).construct()
    objective = FocalObjective(gamma=0.0)

    def built_in() -> lgb.Booster:
        return lgb.train({**params, "objective": "binary"}, data, N_TREES)

    def ours() -> lgb.Booster:
        return lgb.train({**params, "objective": objective}, data, N_TREES)

    head = X[:10_000]
    gap = built_in().predict(head, raw_score=True) - ours().predict(head)
    a, b, ratios = in_turn(built_in, ours, rounds)
    _row(f"iteration, {n_rows:,} rows", a / N_TREES, b / N_TREES, ratios)
    print(f"{'':36}  largest difference of log-odds {np.abs(gap).max():.1e}")
    plain = LGBMClassifier(n_jobs=threads, verbose=-1, boost_from_average=False)
    focal = FocalLGBMClassifier(
        focal_gamma=0.0,
        n_jobs=threads,
        verbose=-1,
        start=0.0,
        max_step=None,
        min_child_weight=1e-3,
    )
    rounds = min(rounds, 3)
    a, b, ratios = in_turn(lambda: plain.fit(X, y), lambda: focal.fit(X, y), rounds)
    _row(f"estimator's fit, {n_rows:,} rows", a, b, ratios)
    default = FocalLGBMClassifier(n_jobs=threads, verbose=-1)
    a, b, ratios = in_turn(lambda: plain.fit(X, y), lambda: default.fit(X, y), rounds)
    _row("the same at our defaults", a, b, ratios)


def _row(title: str, one: float, other: float, ratios: np.ndarray) -> None:
    print(
        f"{title:36}  built-in {one * 1e3:9.1f} ms  ours {other * 1e3:9.1f} ms  ratio "
        f"{np.median(ratios):.3f} ({ratios.min():.3f}-{ratios.max():.3f})",
        flush=True,
    )


def kernel(n_rows: int, repeats: int = 40) -> None:
    """Time the public callable on one core."""
    rng = np.random.default_rng(0)
    y = (rng.random(n_rows) < 0.05).astype(np.float32)
    forms = [("posterior", "expected")]
    forms += [("logit", h) for h in ("expected", "exact", "clipped")]
    for link, hessian in forms:
        for dtype in (np.float32, np.float64):
            raw = rng.normal(-3, 3, n_rows).astype(dtype)
            objective = FocalObjective(gamma=2.0, link=link, hessian=hessian)
            objective(y, raw)
            times = [seconds(lambda: objective(y, raw)) for _ in range(repeats)]  # noqa: B023
            name = f"kernel, {link}, {hessian}"
            ns = np.median(times) * 1e9 / n_rows
            print(f"{name:36}  {np.dtype(dtype).name} scores  {ns:.2f} ns a row")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    print(
        f"LightGBM {lgb.__version__}, numba {numba.__version__}, "
        f"{platform.machine()}, {arguments.threads} threads, {N_FEATURES} features, "
        f"{N_TREES} trees, {arguments.rounds} rounds in turn"
    )
    for n_rows in arguments.rows:
        training(n_rows, arguments.rounds, arguments.threads)
    kernel(1_000_000)


if __name__ == "__main__":
    main()
