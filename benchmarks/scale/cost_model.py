"""Predict what training on a cluster costs, by rows, columns and workers.

Every quantity is a sum of terms with a physical meaning, each with a coefficient >= 0
that is fitted to measurements:

- bytes over the network an iteration, all workers together: the histograms that are
  sent, and an envelope for each histogram and worker;
- seconds an iteration: the cells of a worker (rows x columns) that go into histograms,
  its rows, the histograms in which splits are sought, and a constant;
- seconds before the first tree, and the peak memory of a worker: its cells, its rows,
  for LightGBM the cells of the sample in which it finds bins, and a constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import nnls

# Bins of a column, each with the sums of gradients and of Hessians in float64.
BINS = {"LightGBM": 255, "XGBoost": 256}
BIN_BYTES = 16
# Histograms that a tree needs: the root's, and that of the smaller child of each node
# whose children may be split (the other child's is a difference). LightGBM: every split
# but the last of a tree of 31 leaves; XGBoost: the splits of five of its six levels.
LEAVES, LEVELS = 31, 6
HISTOGRAMS = {"LightGBM": LEAVES - 1, "XGBoost": 2 ** (LEVELS - 1)}
# Rows in which a worker of LightGBM finds bins (bin_construct_sample_cnt).
SAMPLED = 200_000


def histogram_bytes(library: str, columns: int) -> int:
    """Return the size of the histogram of a node."""
    return columns * BINS[library] * BIN_BYTES


def copies_sent(library: str, workers: int) -> float:
    """Return how many times a histogram's size all workers together send.

    LightGBM reduces and scatters histograms by recursive halving: each worker gets the
    sums of its own columns. Where the workers are no power of two, those beyond it send
    their histograms to a neighbour, who sends their sums back. XGBoost's ring sums in
    workers - 1 steps and passes the sums on in as many steps as there are workers, the
    last of which brings nothing new.
    """
    if workers == 1:
        return 0.0
    if library == "XGBoost":
        return 2.0 * workers - 1
    return workers - 1 + beyond_power_of_two(workers) / workers


def copies_on_a_link(library: str, workers: int) -> float:
    """Return how many times a histogram's size the busiest worker receives."""
    if workers == 1:
        return 0.0
    if library == "XGBoost":
        return (2 * workers - 1) / workers
    beyond = beyond_power_of_two(workers)
    halvings = workers - beyond
    return (halvings - 1) / halvings + (beyond > 0)


def beyond_power_of_two(workers: int) -> int:
    """Return the workers beyond the largest power of two."""
    return workers - 2 ** int(math.log2(workers))


def steps(library: str, workers: int) -> int:
    """Return the messages of an iteration that wait for one another.

    LightGBM exchanges each histogram, and then the best splits; XGBoost exchanges all
    histograms of a level at once.
    """
    if workers == 1:
        return 0
    if library == "XGBoost":
        return LEVELS * (2 * workers - 1)
    halvings = int(math.log2(workers))
    to_neighbour = 2 * (beyond_power_of_two(workers) > 0)
    gathering = math.ceil(math.log2(workers))
    return HISTOGRAMS[library] * (halvings + to_neighbour + gathering)


def _bytes(runs: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    sent = [
        copies_sent(run.library, run.workers)
        * histogram_bytes(run.library, run.columns)
        for run in runs.itertuples()
    ]
    messages = runs["histograms"] * runs["workers"] * (runs["workers"] > 1)
    return {
        "histograms sent": runs["histograms"] * np.array(sent),
        "histograms x workers": messages,
        "constant": np.ones(len(runs)),
    }


def _seconds(runs: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    return {
        **_rows(runs),
        "columns x histograms": runs["columns"] * runs["histograms"],
        "constant": np.ones(len(runs)),
    }


def _once(runs: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Return the terms of a fit before its first tree.

    LightGBM finds bins in a sample of its rows, XGBoost in all of them.
    """
    sampled = np.minimum(runs["rows"] / runs["workers"], SAMPLED)
    return {
        **_rows(runs),
        "sampled rows x columns": sampled
        * runs["columns"]
        * (runs["library"] == "LightGBM"),
        "constant": np.ones(len(runs)),
    }


def _rows(runs: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    rows = runs["rows"] / runs["workers"]
    return {"rows x columns / workers": rows * runs["columns"], "rows / workers": rows}


TERMS: dict[str, Callable[[pd.DataFrame], dict[str, NDArray[np.float64]]]] = {
    "bytes": _bytes,
    "seconds": _seconds,
    "seconds before": _once,
    "memory": _once,
}


def terms(quantity: str, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the terms of a quantity for each run."""
    return pd.DataFrame(TERMS[quantity](runs), index=runs.index, dtype=np.float64)


def fit(quantity: str, runs: pd.DataFrame) -> pd.Series:
    """Return the coefficients >= 0 of least squared relative error.

    ``runs`` are of one library, with the columns library, rows, columns, workers,
    histograms and the quantity.
    """
    values = runs[quantity].to_numpy()
    found = terms(quantity, runs)
    scale = np.abs(values)
    relative = found.to_numpy() / scale[:, None]
    size = np.linalg.norm(relative, axis=0)  # the terms differ by many powers of ten
    size[size == 0] = 1.0
    coefficients, _ = nnls(relative / size, values / scale)
    return pd.Series(coefficients / size, index=found.columns)


def predict(quantity: str, coefficients: pd.Series, runs: pd.DataFrame) -> pd.Series:
    """Return the predicted quantity of each run."""
    return terms(quantity, runs)[coefficients.index] @ coefficients


def errors(quantity: str, coefficients: pd.Series, runs: pd.DataFrame) -> pd.Series:
    """Return predicted over measured, minus 1, of each run."""
    return predict(quantity, coefficients, runs) / runs[quantity] - 1


def extrapolate(
    coefficients: Mapping[tuple[str, str], pd.Series],
    rows: tuple[int, ...],
    columns: tuple[int, ...],
    workers: tuple[int, ...],
    *,
    bandwidth: float,
    latency: float,
) -> pd.DataFrame:
    """Return what iterations and fits would cost far beyond the measurements.

    ``coefficients`` are those of each library and quantity, ``bandwidth`` is in bytes a
    second in each direction of a worker, ``latency`` in seconds a message.
    """
    libraries = dict.fromkeys(library for library, _ in coefficients)
    shapes = product(libraries, rows, columns, workers)
    runs = pd.DataFrame(shapes, columns=["library", "rows", "columns", "workers"])
    runs["histograms"] = runs["library"].map(HISTOGRAMS)
    for quantity in TERMS:
        parts = [
            predict(quantity, coefficients[library, quantity], of_library)
            for library, of_library in runs.groupby("library", sort=False)
        ]
        runs[quantity] = pd.concat(parts)
    each = [
        run.histograms
        * histogram_bytes(run.library, run.columns)
        * copies_on_a_link(run.library, run.workers)
        for run in runs.itertuples()
    ]
    waits = [steps(run.library, run.workers) for run in runs.itertuples()]
    runs["seconds on the network"] = (
        np.array(each) / bandwidth + np.array(waits) * latency
    )
    return runs
