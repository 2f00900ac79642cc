"""Time methods in turn, so that a disturbance disturbs all methods."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

N_FEATURES = 30


def make_data(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features and labels of which about 2 % are positive."""
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


def in_turn(methods: Mapping[str, Callable[[], object]], rounds: int) -> pd.DataFrame:
    """Return the wall time of each method, a row a round.

    Each round begins with another method. A call before the rounds compiles and warms
    the caches.
    """
    names = list(methods)
    for call in methods.values():
        call()
    table = []
    for i in range(rounds):
        first = i % len(names)
        order = names[first:] + names[:first]
        table.append({name: seconds(methods[name]) for name in order})
    return pd.DataFrame(table)[names]


def compared(times: pd.DataFrame, calls: float = 1.0) -> list[dict[str, Any]]:
    """Return for each method the median seconds of one of ``calls``, and the median and
    the range of the ratios to the first method, round by round."""
    ratios = times.div(times.iloc[:, 0], axis=0)
    return [
        {
            "method": name,
            "seconds": times[name].median() / calls,
            "ratio": ratios[name].median(),
            "low": ratios[name].min(),
            "high": ratios[name].max(),
        }
        for name in times
    ]
