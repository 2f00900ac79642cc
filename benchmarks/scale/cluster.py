"""Measure what training on a cluster costs, and predict it for larger ones.

    python -m benchmarks.scale.cluster [--workers 1 2 3 4] [--rounds 2]
        [--bandwidth 10] [--latency 0.1] [--to benchmarks/scale/results] [--report]
        [--small] [--write]

trains FocalDaskLGBMClassifier and FocalDaskXGBClassifier on simulated rows, on Dask
workers of one thread each on this machine. A fit of few trees and one of more give
processor seconds of a worker and bytes over the network of an iteration: their
difference leaves out what a fit costs once. A model (benchmarks/scale/cost_model.py) is
fitted to part of the measurements, compared with the others, and extrapolated to 10 and
100 workers with --bandwidth Gbit/s each and --latency milliseconds a message. The
libraries' own estimators train beside ours, with their log-loss and with
FocalObjective.

Measurements are appended to cluster.jsonl in the folder --to; a run skips those that it
has, --report measures nothing, and --write writes benchmarks/scale/cluster.md.

The bytes are those that the loopback interface has received (/proc/net/dev, Linux),
whoever sent them. Stop what else uses it, or give the command a network of its own:

    unshare -rn sh -c 'ip link set lo up; ip route add default dev lo;
        python -m benchmarks.scale.cluster'
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import runner
from benchmarks.common.commands import command
from benchmarks.scale import cluster_report
from benchmarks.scale.cost_model import BINS, LEAVES, LEVELS

LIBRARIES = ("LightGBM", "XGBoost")
WAYS = (cluster_report.OURS, cluster_report.OBJECTIVE, cluster_report.LOG_LOSS)
OURS, OBJECTIVE, LOG_LOSS = WAYS
# From few cells to many, as later fits use the memory that earlier ones freed.
Parts = Mapping[str, Sequence[tuple[int, int]]]  # rows and columns
PARTS: Parts = {
    "fit": ((50_000, 10), (50_000, 40), (200_000, 10), (200_000, 40), (400_000, 20)),
    "held out": ((100_000, 20), (400_000, 10), (200_000, 80), (1_600_000, 20)),
    "objective": ((400_000, 20),),
}
SMALL: Parts = {
    "fit": ((2_000, 3),),
    "held out": ((4_000, 4),),
    "objective": ((2_000, 3),),
}
FITTED = (1, 2, 4)  # the model sees no other number of workers
CORES = os.cpu_count() or 1
FEW = 5
_PACKAGES = ("lightgbm", "xgboost", "dask", "distributed", "numpy")
_LIMIT = 900.0  # seconds of a job


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print the page and write it with --write."""
    parser = command("scale.cluster", __doc__)
    add = parser.add_argument
    add("--workers", type=int, nargs="+", default=[1, 2, 3, 4], help="[1 2 3 4]")
    add("--rounds", type=int, default=2, help="fits of each number of trees [2]")
    add("--bandwidth", type=float, default=10.0, metavar="GBIT", help="a second [10]")
    add("--latency", type=float, default=0.1, metavar="MS", help="a message [0.1]")
    folder = Path(__file__).with_name("results")
    add("--to", type=Path, default=folder, metavar="DIR", help="folder of the results")
    add("--report", action="store_true", help="make the page without measuring")
    add("--small", action="store_true", help="few rows and trees, to try the command")
    add("--write", action="store_true", help="write the page")
    arguments = parser.parse_args(words)
    for name in ("rounds", "bandwidth", "latency"):
        if getattr(arguments, name) <= 0:
            parser.error(f"--{name} must be > 0, got {getattr(arguments, name):g}")
    if min(arguments.workers) < 1:
        parser.error(f"--workers must be >= 1, got {min(arguments.workers)}")
    with contextlib.ExitStack() as stack:
        work = jobs(arguments.workers, PARTS, arguments.rounds)
        if arguments.small:
            arguments.to = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            work = [job(SMALL, n_workers=2, rounds=1)]
        path = arguments.to / "cluster.jsonl"
        if not arguments.report:
            received()  # fails before work starts where nothing counts bytes
            runner.run(work, path, n_jobs=1, limit=_LIMIT, packages=_PACKAGES)
        text = cluster_report.page(
            cluster_report.read(path),
            runner.described(path),
            bandwidth=arguments.bandwidth,
            latency=arguments.latency,
        )
    print(text)
    if arguments.write:
        Path(__file__).with_suffix(".md").write_text(text)


def jobs(workers: Sequence[int], parts: Parts, rounds: int) -> list[runner.Job]:
    """Return the jobs: a part on a number of workers, with a cluster of its own."""
    found = []
    for n_workers, (part, shapes) in product(workers, parts.items()):
        if n_workers not in FITTED and part != "held out":
            continue
        n_rounds = rounds
        if n_workers > CORES:  # for bytes, which hardly vary and know no rows
            if part == "objective":
                continue
            n_rounds, shapes = 1, [(n, k) for n, k in shapes if n <= 400_000]
        found.append(job({part: shapes}, n_workers, n_rounds))
    return found


def job(parts: Parts, n_workers: int, rounds: int) -> runner.Job:
    """Return the job of parts on one cluster."""
    return runner.Job(
        {"part": ", ".join(parts), "workers": n_workers},
        lambda: None,
        lambda _: measure(parts, n_workers, rounds),
    )


def measure(parts: Parts, n_workers: int, rounds: int) -> dict[str, Any]:
    """Return the records of fits on a cluster, and its traffic while nothing trains."""
    from distributed import Client, LocalCluster

    warnings.simplefilter("ignore")
    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address=None,
        ) as cluster,
        Client(cluster) as client,
    ):
        few = rows_on(client, 1_000, 3)
        for library, way in product(LIBRARIES, WAYS[:2]):
            fitted(library, way, 2, few)  # libraries loaded, kernels compiled
        began, before = time.perf_counter(), received()
        time.sleep(1)
        idle = (received() - before) / (time.perf_counter() - began)
        runs = [
            {"part": part, **run}
            for part, shapes in parts.items()
            for n_rows, n_columns in shapes
            for run in compared(
                client,
                n_rows,
                n_columns,
                WAYS if part == "objective" else WAYS[:1],
                rounds,
            )
        ]
    return {"idle": idle, "runs": runs}


def compared(
    client: Any, n_rows: int, n_columns: int, ways: Sequence[str], rounds: int
) -> Iterator[dict[str, Any]]:
    """Yield the record of each library and way on the same rows, measured in turn."""
    n_workers = len(addresses(client))
    base = client.run(resident_memory)
    rows = rows_on(client, n_rows, n_columns)
    sizes = FEW, FEW + more_trees(n_rows * n_columns // n_workers, n_workers)
    for library in LIBRARIES:
        fits: dict[str, dict[int, list[Any]]] = {
            w: {n: [] for n in sizes} for w in ways
        }
        counts = {}
        for _ in range(rounds):
            for way, n_trees in product(ways, sizes):
                client.run(forget_peak)
                used = client.run(time.process_time)
                began, before = time.perf_counter(), received()
                booster = fitted(library, way, n_trees, rows)
                wall, sent = time.perf_counter() - began, received() - before
                seconds = most_above(used, client.run(time.process_time))
                memory = most_above(base, client.run(peak_memory))
                fits[way][n_trees].append((seconds, wall, sent, memory))
                if n_trees == sizes[1]:
                    counts[way] = histograms(library, booster, FEW)
        for way in ways:
            seconds, wall, sent, memory = (
                [[fit[i] for fit in fits[way][n]] for n in sizes] for i in range(4)
            )
            yield {
                "library": library,
                "way": way,
                "rows": n_rows,
                "columns": n_columns,
                "workers": n_workers,
                "is_timed": n_workers <= CORES,
                "histograms": counts[way],
                "trees": sizes,
                "seconds": seconds,
                "wall": wall,
                "bytes": sent,
                "memory": memory,
            }


def most_above(before: dict[str, float], after: dict[str, float]) -> float:
    """Return the largest growth of a number of the workers."""
    return max(after[worker] - before[worker] for worker in before)


def more_trees(cells: int, n_workers: int) -> int:
    """Return how many trees more the larger fit has."""
    if n_workers > CORES:
        return 10  # for bytes, which hardly vary
    return int(np.clip(150_000_000 // cells, 10, 40))


def addresses(client: Any) -> list[str]:
    """Return the addresses of the workers."""
    return list(client.nthreads())


def rows_on(client: Any, n_rows: int, n_columns: int) -> tuple[Any, Any]:
    """Return features and labels as Dask arrays, one partition on each worker."""
    from dask import array as da
    from distributed import wait

    workers = addresses(client)
    n = n_rows // len(workers)
    X, y = [], []
    for seed, worker in enumerate(workers):
        where = {"workers": worker, "pure": False}
        both = client.submit(simulated, n, n_columns, seed, **where)
        features, labels = (client.submit(part_of, both, i, **where) for i in (0, 1))
        X.append(da.from_delayed(features, (n, n_columns), np.float32))
        y.append(da.from_delayed(labels, (n,), np.float32))
        wait([features, labels])
    rows = client.persist([da.concatenate(X), da.concatenate(y)])
    wait(rows)
    return tuple(rows)


def part_of(pair: tuple[Any, Any], index: int) -> Any:
    """Return the features or the labels of a partition."""
    return pair[index]


def simulated(n_rows: int, n_columns: int, seed: int) -> tuple[Any, Any]:
    """Return features and labels of which about 6 % are positive."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, n_columns), np.float32)
    log_odds = 1.2 * X[:, 0] + X[:, 1] * X[:, 2] - 4
    return X, (rng.random(n_rows) < 1 / (1 + np.exp(-log_odds))).astype(np.float32)


def fitted(library: str, way: str, n_trees: int, rows: tuple[Any, Any]) -> Any:
    """Return the fitted booster."""
    from lightgbm.dask import DaskLGBMClassifier
    from xgboost.dask import DaskXGBClassifier

    from focal_gbm import FocalObjective
    from focal_gbm.dask import FocalDaskLGBMClassifier, FocalDaskXGBClassifier

    size: dict[str, Any] = {"n_estimators": n_trees, "learning_rate": 0.1}
    if way == OURS:
        size["focal_gamma"] = 2.0
    elif way == OBJECTIVE:
        size["objective"] = FocalObjective(2.0)
    kind: Callable[..., Any]
    if library == "LightGBM":
        kind = FocalDaskLGBMClassifier if way == OURS else DaskLGBMClassifier
        size |= {"num_leaves": LEAVES, "max_bin": BINS[library], "verbose": -1}
        return kind(**size).fit(*rows).booster_
    kind = FocalDaskXGBClassifier if way == OURS else DaskXGBClassifier
    size |= {"max_depth": LEVELS, "max_bin": BINS[library], "tree_method": "hist"}
    return kind(**size).fit(*rows).get_booster()


def histograms(library: str, booster: Any, first: int) -> float:
    """Return the histograms that trees needed, from ``first`` on, in the mean."""
    if library == "LightGBM":
        trees = booster.dump_model()["tree_info"][first:]
        return float(np.mean([max(tree["num_leaves"] - 1, 1) for tree in trees]))
    dumped = booster.get_dump(dump_format="json")[first:]
    return float(np.mean([1 + splits_above(json.loads(tree)) for tree in dumped]))


def splits_above(node: dict[str, Any], levels: int = LEVELS - 1) -> int:
    """Return the splits in the upper levels of a tree of XGBoost."""
    if levels == 0 or "children" not in node:
        return 0
    return 1 + sum(splits_above(child, levels - 1) for child in node["children"])


def received() -> int:
    """Return the bytes that the loopback interface has received."""
    path = Path("/proc/net/dev")
    if path.exists():
        for line in path.read_text().splitlines():
            name, _, numbers = line.partition(":")
            if name.strip() == "lo":
                return int(numbers.split()[0])
    msg = (
        f"{path} has no interface `lo`, whose bytes this benchmark counts: run it on "
        "Linux, or make the page of measurements that are there with --report"
    )
    raise SystemExit(msg)


def resident_memory() -> int:
    """Return the resident memory of this process, in bytes."""
    return _of_status("VmRSS")


def peak_memory() -> int:
    """Return the most resident memory since ``forget_peak``, in bytes."""
    return _of_status("VmHWM")


def forget_peak() -> None:
    """Let the peak of the resident memory begin at its present value."""
    Path("/proc/self/clear_refs").write_text("5")


def _of_status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
