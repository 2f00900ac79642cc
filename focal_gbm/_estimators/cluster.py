"""Rows on a cluster: their parts, the facts of all of them, and sums over them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from dask import array as da
from dask import dataframe as dd
from dask import delayed
from distributed import Client, Future, get_client, wait
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing

from focal_gbm._estimators.columns import Reader, check_columns
from focal_gbm._estimators.labels import check_target, encode
from focal_gbm._estimators.training import Training
from focal_gbm._validation import (
    Float64Array,
    check_maturity,
    check_weights,
    immaturity_of,
)
from focal_gbm.objective import FocalObjective
from focal_gbm.objective._call import Call, read_call

COLLECTIONS = (da.Array, dd.DataFrame, dd.Series)
# Of a label that carries its immaturity: the size of one that is final.
_FINAL = np.float32(1e-30)
# Names of the tasks that train on a worker: LightGBM, XGBoost, XGBoost 2.
_TASKS = ("_train_part", "fn-", "lambda-")


def client_of(name: str) -> Client:
    """Return the client of the cluster, or say how to get one."""
    try:
        return get_client()
    except ValueError as error:
        msg = (
            f"{name} needs a cluster, and no Dask client is connected to one: begin "
            "with `client = distributed.Client(...)`, or use to_local() and the "
            "classifier without Dask"
        )
        raise RuntimeError(msg) from error


def threads_of(client: Client) -> int:
    """Return the number of threads that every worker has."""
    nthreads: dict[str, int] = client.nthreads()
    return min(nthreads.values())


@contextmanager
def on_workers(client: Client) -> Iterator[None]:
    """Train on the workers, and end with an error where one of them is lost.

    The libraries bind a task to each worker that has rows. If that worker is lost, Dask
    keeps its task for ever, and the others wait for their peer: XGBoost 2 without end,
    LightGBM up to ``time_out`` while it connects. Here the training is cancelled.
    """
    before, known = set(client.nthreads()), set(client.futures)
    ended = threading.Event()
    lost: set[str] = set()

    def stuck() -> list[str]:
        """Return the tasks of the training that have no worker."""
        keys = [key for key in client.futures if str(key).startswith(_TASKS)]
        keys = [key for key in keys if key not in known]
        states = client.sync(client.scheduler.get_task_status, keys=keys)
        return [key for key in keys if states[key] in ("waiting", "no-worker")]

    def watch() -> None:
        last: list[str] = []
        while not ended.wait(1.0):
            with suppress(Exception):  # of a scheduler that is busy, or lost itself
                gone = before - set(client.nthreads())
                found = stuck() if gone else []
                if found and found == last:
                    lost.update(gone)
                    keys = set(client.futures) - known
                    client.cancel([Future(key, client) for key in keys], force=True)
                    return
                last = found

    watcher = threading.Thread(target=watch, name="focal_gbm-workers", daemon=True)
    watcher.start()
    try:
        yield
    except Exception as error:
        raised = error
        if lost:
            msg = f"workers were lost in the training: {', '.join(sorted(lost))}"
            raised = RuntimeError(msg)
        raised.add_note(
            "raised by the training on the workers: if one of them was lost (memory, "
            "network, machine), the others cannot go on without its rows. The "
            "estimator is as it was before fit; see client.scheduler_info(), and fit "
            "again on the workers that are there, after client.restart() if some hang, "
            "or with a new client if the scheduler was lost"
        )
        raise raised from (error if lost else error.__cause__)
    finally:
        ended.set()
        watcher.join()


@dataclass
class Part:
    """One partition: features, labels and what belongs to their rows, not computed."""

    X: Any
    y: Any
    weight: Any = None
    maturity: Any = None


@dataclass(frozen=True)
class Facts:
    """What a partition adds to the facts of all rows, by label.

    ``rows`` holds the number of rows, ``weight`` the sum of the weights, ``counted``
    the number of rows with a weight and ``known`` the sum of weight times maturity.
    """

    rows: dict[Any, int]
    weight: dict[Any, float]
    counted: dict[Any, int]
    known: dict[Any, float]
    n_columns: int
    dtype: Any

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return sum(self.rows.values())


def parts_of(X: Any, y: Any, sample_weight: Any, label_maturity: Any) -> list[Part]:
    """Return the partitions of collections, which must agree in their rows."""
    rows = {"sample_weight": sample_weight, "label_maturity": label_maturity}
    given = {"X": X, "y": y, **{k: v for k, v in rows.items() if v is not None}}
    for name, values in given.items():
        if not isinstance(values, COLLECTIONS):
            msg = (
                f"{name} must be a Dask array or data frame, got "
                f"{type(values).__name__}; for data in memory use the classifier "
                "without Dask"
            )
            raise TypeError(msg)
    if isinstance(X, da.Array):
        if X.ndim != 2:
            msg = f"X must have two dimensions, got {X.ndim}"
            raise ValueError(msg)
        X = X.rechunk({1: -1})
    lists = {name: _delayed(values, X) for name, values in given.items()}
    lists["X"] = _delayed(X, X)
    for name, found in lists.items():
        if len(found) != len(lists["X"]):
            msg = (
                f"{name} has {len(found)} partitions and X {len(lists['X'])}: give "
                "them the same partitions (rechunk, repartition)"
            )
            raise ValueError(msg)
    return [
        Part(x, labels, weight, maturity)
        for x, labels, weight, maturity in zip(
            lists["X"],
            lists["y"],
            lists.get("sample_weight", [None] * len(lists["X"])),
            lists.get("label_maturity", [None] * len(lists["X"])),
            strict=True,
        )
    ]


def _delayed(values: Any, X: Any) -> list[Any]:
    """Return the partitions of a collection, with the rows of X's if those are known.

    Each of them has its own part of the graph.
    """
    if isinstance(values, da.Array) and isinstance(X, da.Array) and values is not X:
        known = not np.isnan([*X.chunks[0], *values.chunks[0]]).any()
        if known and values.shape[0] == X.shape[0]:
            values = values.rechunk({0: X.chunks[0]})
    parts = values.to_delayed()
    return list(parts.ravel() if isinstance(values, da.Array) else parts)


def check_frame(X: Any) -> None:
    """Refuse columns that cannot be trained on, by the frame's types alone."""
    if not isinstance(X, dd.DataFrame):
        return
    for name, dtype in X.dtypes.items():
        if isinstance(dtype, pd.CategoricalDtype) and not X[name].cat.known:
            msg = (
                f"column {name!r} has categories that Dask does not know, so that each "
                "partition would code its own: call X = X.categorize() first"
            )
            raise ValueError(msg)


def _facts(part: dict[str, Any], number: int, reader: Reader) -> Facts | None:
    """Return the facts of one partition, on its worker; None if it has no row."""
    X = part["X"]
    labels = np.asarray(part["y"]).ravel()
    if len(labels) != X.shape[0]:
        msg = f"partition {number} has {X.shape[0]} rows in X and {len(labels)} in y"
        raise ValueError(msg)
    if len(labels) == 0:
        return None
    where = f" of partition {number}"
    check_columns(X, reader)
    if pd.isna(labels).any():
        row = int(np.asarray(pd.isna(labels)).argmax())
        msg = f"Input y contains NaN: no label in row {row}{where}"
        raise ValueError(msg)
    n = len(labels)
    weight = np.ones(n)
    if part.get("weight") is not None:
        weight = _some_weights(part["weight"], n, f"sample_weight{where}")
    maturity = check_maturity(part.get("maturity"), n, f"label_maturity{where}")
    known = weight if maturity is None else weight * maturity
    codes, names = pd.factorize(labels)
    sums = [
        np.bincount(codes, values, len(names))
        for values in (np.ones(n), weight, weight > 0, known)
    ]
    rows, weights, counted, expected = (
        dict(zip(np.asarray(names).tolist(), s.tolist(), strict=True)) for s in sums
    )
    return Facts(
        {k: int(v) for k, v in rows.items()},
        weights,
        {k: int(v) for k, v in counted.items()},
        expected,
        X.shape[1],
        labels.dtype,
    )


def _some_weights(values: Any, n_rows: int, name: str) -> Float64Array:
    """Return checked weights, which may all be 0 in one partition."""
    weights = np.asarray(values, np.float64).ravel()
    padded = np.append(weights, 1.0)
    return check_weights(padded, n_rows + 1, name)[:-1]  # type: ignore[index]


def facts_of(
    client: Client, parts: list[Part], reader: Reader
) -> tuple[list[Part], list[int], Facts]:
    """Return the partitions that have rows, their numbers of rows, and the facts of all
    rows together."""
    tasks = [delayed(_facts)(_fields(part), i, reader) for i, part in enumerate(parts)]
    found = client.gather(client.compute(tasks))
    kept = [i for i, facts in enumerate(found) if facts is not None]
    if not kept:
        msg = "X and y hold no row"
        raise ValueError(msg)
    each = [found[i] for i in kept]
    widths = {facts.n_columns for facts in each}
    if len(widths) > 1:
        msg = f"partitions of X have different numbers of columns: {sorted(widths)}"
        raise ValueError(msg)
    dtypes = [facts.dtype for facts in each]
    merged = Facts(
        rows=_added([facts.rows for facts in each]),
        weight=_added([facts.weight for facts in each]),
        counted=_added([facts.counted for facts in each]),
        known=_added([facts.known for facts in each]),
        n_columns=widths.pop(),
        dtype=object if object in dtypes else np.result_type(*dtypes),
    )
    return [parts[i] for i in kept], [found[i].n_rows for i in kept], merged


def _fields(part: Part) -> dict[str, Any]:
    return {k: v for k, v in vars(part).items() if v is not None}


def _added(tables: list[dict[Any, Any]]) -> dict[Any, Any]:
    total: dict[Any, Any] = {}
    for table in tables:
        for label, value in table.items():
            total[label] = total.get(label, 0) + value
    return total


def as_two_rows(
    facts: Facts, name: str
) -> tuple[NDArray[Any], Float64Array, Float64Array]:
    """Return labels, weights and maturities of two rows with the sums of all rows."""
    labels = np.asarray(list(facts.rows), dtype=facts.dtype)
    _, codes, classes = check_target(np.zeros((len(labels), 1)), labels, name)
    order = np.argsort(codes)
    names = [list(facts.rows)[i] for i in order]
    weight = np.array([facts.weight[k] for k in names])
    known = np.array([facts.known[k] for k in names])
    maturity = np.divide(known, weight, out=np.ones(2), where=weight > 0)
    return classes, weight, np.minimum(maturity, 1.0)


def label_part(part: dict[str, Any], classes: NDArray[Any]) -> NDArray[np.float32]:
    """Return the codes of a partition's labels, with their immaturity if they have one.

    A code with immaturity has it as its size, and the class as its sign.
    """
    codes = encode(np.asarray(part["y"]).ravel(), classes, "y").astype(np.float32)
    maturity = part.get("maturity")
    if maturity is None:
        return codes
    values = np.asarray(maturity, np.float64).ravel()
    immaturity: Any = immaturity_of(values, np.float32)
    immaturity = np.maximum(immaturity, _FINAL)
    packed: NDArray[np.float32] = np.where(codes > 0, immaturity, -immaturity)
    return packed


def delayed_labels(part: Part, classes: NDArray[Any]) -> Any:
    """Return :func:`label_part` of a partition, not computed."""
    return delayed(label_part)(_fields(part), classes)


def two_rows(part: Part) -> Any:
    """Return the first row of a partition's features twice, not computed."""
    return delayed(_safe_indexing)(part.X, [0, 0])


@dataclass
class ByLabel:
    """Objective for labels that carry their immaturity, as workers have their rows
    alone."""

    objective: FocalObjective

    def __call__(
        self, y_true: Any, raw_prediction: Any, sample_weight: Any = None
    ) -> tuple[Any, Any]:
        """Return gradient and Hessian of each row."""
        call = read_call(y_true, raw_prediction, sample_weight)
        packed = np.asarray(call.labels, np.float64)
        immaturity = np.where(np.abs(packed) <= _FINAL, 0.0, np.abs(packed))
        objective = replace(self.objective, label_maturity=1.0 / (1.0 + immaturity))
        labels = (packed > 0).astype(np.float32)
        return objective.gradient_hessian(
            Call(labels, call.raw, call.weight, call.data_set)
        )


def collections_of(
    parts: list[Part], lengths: list[int], labels: list[Any], X: Any, n_columns: int
) -> tuple[Any, Any, Any]:
    """Return features, codes and weights as Dask collections of the partitions kept."""
    dy = _vector(labels, lengths, np.float32)
    weights = [part.weight for part in parts]
    dw = None
    if weights[0] is not None:
        flat = [delayed(np.ravel)(weight) for weight in weights]
        dw = _vector(flat, lengths, np.float64)
    if isinstance(X, dd.DataFrame):
        return dd.from_delayed([part.X for part in parts], meta=X._meta), dy, dw
    blocks = [
        da.from_delayed(part.X, (n, n_columns), dtype=X.dtype, meta=X._meta)
        for part, n in zip(parts, lengths, strict=True)
    ]
    return da.concatenate(blocks), dy, dw


def _vector(parts: list[Any], lengths: list[int], dtype: Any) -> Any:
    return da.concatenate(
        [
            da.from_delayed(part, (n,), dtype=dtype)
            for part, n in zip(parts, lengths, strict=True)
        ]
    )


def cluster_constant(
    client: Client,
    training: Training,
    parts: list[Part],
    total: float,
    raw_of: Callable[[Any], NDArray[Any]],
) -> float:
    """Return the closing constant of a booster by sums over the cluster.

    ``raw_of`` computes the raw scores of a partition's features on its worker. They are
    kept on the workers, and each round of the root's search moves two numbers a
    partition.
    """
    scorer = delayed(raw_of)
    raws = client.compute([delayed(_raw)(scorer, _fields(part)) for part in parts])
    wait(raws)
    where = client.who_has(raws)  # Dask alone would move scores to idle workers

    def expected(constant: float) -> tuple[float, float]:
        tasks = [
            client.submit(
                _expected,
                training,
                raw,
                constant,
                workers=where[raw.key],
                allow_other_workers=True,  # if that worker is lost
                pure=False,
            )
            for raw in raws
        ]
        sums = np.array(client.gather(tasks)).sum(axis=0)
        return float(sums[0]), float(sums[1])

    return training.closing_root(expected, total)


def _raw(
    raw_of: Callable[[Any], NDArray[Any]], part: dict[str, Any]
) -> tuple[NDArray[Any], Float64Array | None]:
    """Return raw scores and weight times maturity of a partition."""
    raw = raw_of(part["X"])
    weight = None
    for name in ("weight", "maturity"):
        if name in part:
            values = np.asarray(part[name], np.float64).ravel()
            weight = values if weight is None else weight * values
    return raw, weight


def _expected(training: Training, rows: Any, constant: float) -> tuple[float, float]:
    raw, weight = rows
    return training.expected(raw, weight, constant)


def by_partition(
    X: Any, function: Callable[[Any], NDArray[Any]], width: int, dtype: Any = float
) -> Any:
    """Return a Dask array of a function of each partition's rows, of ``width`` columns
    or, with 0, a vector."""
    meta = np.empty((0, width) if width else (0,), dtype)
    call = partial(_of_rows, function, meta)
    if isinstance(X, da.Array):
        X = X.rechunk({1: -1})
        return X.map_blocks(
            call,
            dtype=meta.dtype,
            chunks=(X.chunks[0], (width,)) if width else (X.chunks[0],),
            drop_axis=None if width else 1,
            meta=meta,
        )
    blocks = [
        da.from_delayed(delayed(call)(part), (np.nan, *meta.shape[1:]), meta=meta)
        for part in X.to_delayed()
    ]
    return da.concatenate(blocks, allow_unknown_chunksizes=True)


def _of_rows(
    function: Callable[[Any], NDArray[Any]], nothing: NDArray[Any], X: Any
) -> NDArray[Any]:
    """Return the function of a partition's rows, which may be none."""
    return function(X) if X.shape[0] else nothing


def collected(*collections: Any) -> Iterator[Any]:
    """Yield collections as vectors in memory; what is in memory already as it is."""
    import dask

    for values in dask.compute(*collections):
        yield values if values is None else np.asarray(values)
