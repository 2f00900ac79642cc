"""Time the kernel, other packages, start-up, prediction and fits of growing size, and
measure memory."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb
from lightgbm import LGBMClassifier
from numba import njit
from sklearn.metrics import average_precision_score
from xgboost import XGBClassifier

from benchmarks.common.timing import compared, in_turn, make_data, seconds
from benchmarks.speed.training import BUILT_IN, estimators, numpy_recipe
from focal_gbm import FocalLGBMClassifier, FocalObjective, FocalXGBClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions

Record = dict[str, Any]
FORMS = (
    ("posterior", "expected", 0.0),
    ("posterior", "expected", 2.0),
    ("logit", "expected", 2.0),
    ("logit", "exact", 2.0),
    ("logit", "clipped", 2.0),
    ("logit", "expected", 1.7),
)


@njit
def _stream(raw, y, gradient, hessian):
    for i in range(len(y)):
        gradient[i] = raw[i]
        hessian[i] = y[i]


def kernel(threads: int, device: str, repeats: int, most_rows: int) -> Iterator[Record]:
    """Yield nanoseconds a row of the objective, and of a loop that only moves the same
    bytes: scores and labels in, gradient and Hessian out."""
    rng = np.random.default_rng(0)
    for n_rows in (50_000, 1_000_000, 10_000_000):
        if n_rows > max(most_rows, 50_000):
            break
        y = (rng.random(n_rows) < 0.05).astype(np.float32)
        data = xgb.DMatrix(np.zeros((n_rows, 1), np.float32), y)
        outputs = np.empty((2, n_rows), np.float32)
        for dtype in (np.float32, np.float64):
            raw = rng.normal(-3, 3, n_rows).astype(dtype)
            calls: dict[str, Callable[[], object]] = {
                "moving the bytes": lambda raw=raw: _stream(raw, y, *outputs)  # noqa: B023
            }
            for link, hessian, gamma in FORMS:
                for n_jobs in sorted({1, threads}):
                    objective = FocalObjective(
                        gamma, link=link, hessian=hessian, device=device, n_jobs=n_jobs
                    )
                    name = f"{link}, {hessian}, gamma {gamma:g}, threads {n_jobs}"
                    calls[name] = lambda o=objective, raw=raw: o(raw, data)  # noqa: B023
            for row in compared(in_turn(calls, repeats)):
                yield {
                    "what": "kernel",
                    "rows": n_rows,
                    "dtype": np.dtype(dtype).name,
                    **row,
                    "ns": row["seconds"] / n_rows * 1e9,
                }


def packages(n_rows: int, threads: int, rounds: int) -> Iterator[Record]:
    """Yield seconds a tree of whole packages, from fits with few and with more trees,
    as no package lets its loss be called alone."""
    X, y = make_data(n_rows)
    few, more = 3, 13
    makers = {
        "LightGBM": lambda n: LGBMClassifier(
            n_estimators=n, n_jobs=threads, verbose=-1
        ).fit(X, y),
        "FocalLGBM": lambda n: FocalLGBMClassifier(
            n_estimators=n, n_jobs=threads, verbose=-1
        ).fit(X, y),
        "XGBoost": lambda n: XGBClassifier(n_estimators=n, n_jobs=threads).fit(X, y),
        "FocalXGB": lambda n: FocalXGBClassifier(n_estimators=n, n_jobs=threads).fit(
            X, y
        ),
        **_other_packages(X, y, threads),
    }
    calls = {
        (name, n): lambda make=make, n=n: make(n)
        for name, make in makers.items()
        for n in (few, more)
    }
    times = in_turn(calls, rounds)
    trees = pd.DataFrame({m: times[(m, more)] - times[(m, few)] for m in makers})
    for row in compared(trees, more - few):
        yield {"what": "package", "rows": n_rows, "threads": threads, **row}


def _other_packages(
    X: np.ndarray, y: np.ndarray, threads: int
) -> dict[str, Callable[[int], object]]:
    found: dict[str, Callable[[int], object]] = {}
    try:
        from catboost import CatBoostClassifier, Pool
    except ImportError:
        print("CatBoost is not installed: pip install -e '.[peers]'")
    else:
        pool = Pool(X, y)
        pool.quantize()
        focal = "Focal:focal_alpha=0.25;focal_gamma=2.0"
        for name, loss in (("CatBoost", "Logloss"), ("CatBoost Focal", focal)):
            found[name] = lambda n, loss=loss: CatBoostClassifier(
                iterations=n,
                loss_function=loss,
                thread_count=threads,
                verbose=False,
                allow_writing_files=False,
            ).fit(pool)
    try:
        import ydf
    except ImportError:
        print("YDF is not installed: pip install -e '.[peers]'")
    else:
        frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])
        data = ydf.create_vertical_dataset(
            frame.assign(y=np.where(y > 0, "yes", "no")),
            columns=[ydf.Column("y", ydf.Semantic.CATEGORICAL)],
            include_all_columns=True,
        )
        losses = {"YDF": "DEFAULT", "YDF Focal": "BINARY_FOCAL_LOSS"}
        for name, loss in losses.items():
            found[name] = lambda n, loss=loss: ydf.GradientBoostedTreesLearner(
                label="y",
                loss=loss,
                num_trees=n,
                num_threads=threads,
                validation_ratio=0.0,
                early_stopping="NONE",
                task=ydf.Task.CLASSIFICATION,
            ).train(data, verbose=0)
    return found


_FIRST_FIT = """
import time, numpy as np
from {package} import {estimator}
rng = np.random.default_rng(0)
X = rng.normal(size=(2000, 5)); y = rng.random(2000) < 0.1
times = []
for _ in range(2):
    began = time.perf_counter()
    {estimator}(n_estimators=2, n_jobs=2).fit(X, y)
    times.append(time.perf_counter() - began)
print("took", times[0] - times[1])
"""


def start_up(repeats: int) -> Iterator[Record]:
    """Yield seconds of imports above those of the parent library, and seconds of the
    first fit of a process above the second: with no kernel compiled, and later."""
    bare = _import_time("pass", repeats)
    own = _import_time("import focal_gbm", repeats) - bare
    yield {"what": "import", "method": "focal_gbm", "seconds": own}
    pairs = {
        "FocalLGBMClassifier": ("lightgbm", "LGBMClassifier"),
        "FocalXGBClassifier": ("xgboost", "XGBClassifier"),
    }
    for name, (library, parent) in pairs.items():
        base = _import_time(f"from {library} import {parent}", repeats)
        ours = _import_time(f"from focal_gbm import {name}", repeats)
        yield {"what": "import", "method": name, "seconds": ours - base}
        with tempfile.TemporaryDirectory() as folder:
            cache = {"NUMBA_CACHE_DIR": folder}
            code = _FIRST_FIT.format(package="focal_gbm", estimator=name)
            took = [_printed_seconds(code, cache) for _ in range(1 + repeats)]
        yield {"what": "first fit ever", "method": name, "seconds": took[0]}
        later = float(np.median(took[1:]))
        yield {"what": "first fit, later", "method": name, "seconds": later}
        code = _FIRST_FIT.format(package=library, estimator=parent)
        took = [_printed_seconds(code, {}) for _ in range(repeats)]
        base = float(np.median(took))
        yield {"what": "first fit, later", "method": parent, "seconds": base}


def _import_time(code: str, repeats: int) -> float:
    command = [sys.executable, "-c", code]
    return float(
        np.median(
            [
                seconds(lambda: subprocess.run(command, check=True))
                for _ in range(repeats)
            ]
        )
    )


def _printed_seconds(code: str, variables: dict[str, str]) -> float:
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(run.stdout.rpartition("took")[2])


def predict(threads: int, rounds: int, sizes: tuple[int, ...]) -> Iterator[Record]:
    """Yield seconds of predict_proba of both estimators, on one row and on many."""
    X, y = make_data(max(sizes))
    n_fit = min(len(X), 200_000)
    for name, (*models, _) in estimators(threads).items():
        for model in models:
            model.fit(X[:n_fit], y[:n_fit])
        for n_rows in sizes:
            rows = X[:n_rows]
            repeats = max(1, 20_000 // n_rows)

            def many(model: Any, rows: Any = rows, repeats: int = repeats) -> None:
                for _ in range(repeats):
                    model.predict_proba(rows)

            calls = {
                BUILT_IN: lambda many=many, models=models: many(models[0]),
                "ours": lambda many=many, models=models: many(models[1]),
            }
            for row in compared(in_turn(calls, rounds), repeats):
                yield {"what": "predict_proba", "library": name, "rows": n_rows, **row}


def memory(n_rows: int, threads: int) -> Iterator[Record]:
    """Yield the peak memory of a fit above that of the data, in bytes a row; each fit
    runs in a process of its own."""
    models = [
        model.set_params(n_estimators=5)
        for parent, _, ours in estimators(threads).values()
        for model in (parent, ours)
    ]
    spawn = multiprocessing.get_context("spawn")
    for model in models:
        for weighted in (False, True):
            with spawn.Pool(1) as pool:
                peak = pool.apply(_peak, (model, n_rows, weighted))
            yield {
                "what": "memory",
                "rows": n_rows,
                "weighted": weighted,
                "method": type(model).__name__,
                "value": peak / n_rows,
            }


def _peak(model: Any, n_rows: int, weighted: bool) -> int:
    X, y = make_data(n_rows)
    weight: Any = np.ones(n_rows) if weighted else None
    # libraries loaded, kernels compiled
    model.fit(X[:1000], y[:1000], sample_weight=weight[:1000] if weighted else None)
    base, peak, done = _resident(), [0], threading.Event()

    def watch() -> None:
        while not done.is_set():
            peak[0] = max(peak[0], _resident())
            time.sleep(0.0005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    model.fit(X, y, sample_weight=weight)
    done.set()
    watcher.join()
    return peak[0] - base


def _resident() -> int:
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def reach(threads: int, n_trees: tuple[int, ...]) -> Iterator[Record]:
    """Yield fit seconds and average precision on later simulated transactions, by the
    number of trees."""
    data = make_transactions()
    X, y = data[list(TRANSACTION_FEATURES)].to_numpy(np.float32), data["is_fraud"]
    n = len(data) * 2 // 3
    lgbm = {"n_jobs": threads, "verbose": -1}
    protected = {"boost_from_average": False, "min_child_weight": 1.0}
    makers = {
        "LightGBM, protected": lambda n: LGBMClassifier(
            n_estimators=n, **protected, **lgbm
        ),
        "FocalLGBM": lambda n: FocalLGBMClassifier(n_estimators=n, **lgbm),
        "NumPy recipe, LightGBM": lambda n: LGBMClassifier(
            n_estimators=n, objective=_for_labels, **lgbm
        ),
        "XGBoost": lambda n: XGBClassifier(n_estimators=n, n_jobs=threads),
        "FocalXGB": lambda n: FocalXGBClassifier(n_estimators=n, n_jobs=threads),
    }
    for name, make in makers.items():
        make(2).fit(X[:n], y[:n])
        for trees in n_trees:
            model = make(trees)
            took = min(seconds(lambda m=model: m.fit(X[:n], y[:n])) for _ in range(3))
            score = model.predict_proba(X[n:])
            score = score[:, 1] if score.ndim == 2 else score
            yield {
                "what": "average precision",
                "method": name,
                "trees": trees,
                "seconds": took,
                "value": average_precision_score(y[n:], score),
            }


class _Labels:
    def __init__(self, y: np.ndarray) -> None:
        self.get_label = lambda: y


def _for_labels(y: np.ndarray, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return numpy_recipe(raw, _Labels(y))
