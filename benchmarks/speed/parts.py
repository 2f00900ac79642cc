"""Measure time and memory of focal loss against the built-in loss, part by part.

    python -m benchmarks.speed [part ...] [--rows 100000 1000000 10000000]
        [--threads 1 2] [--rounds 7] [--device cuda] [--to benchmarks/speed/results]
    python -m benchmarks.speed.report

The first command times methods in turn on the same data, round by round, prints medians
and ratios, and appends them to speed.jsonl in the folder --to. The second command makes
the page. The parts:

- lightgbm, xgboost: an iteration with the built-in loss, with ours and, up to a million
  rows, with the focal recipes of others. "gamma 0" grows the same trees as the built-in
  loss. "played back" computes nothing and returns recorded derivatives: no custom
  objective can cost less in the library. Then whole fits of the estimators;
- packages: a tree of CatBoost and YDF, log-loss and focal;
- kernel: nanoseconds a row, against a loop that only moves the same bytes;
- start_up, predict, memory: imports and first fits, predict_proba, peak memory;
- reach: average precision against the seconds of a fit.

The timed calls of all parts take half an hour on two cores of an AMD EPYC; name parts
and --rows to measure less. The variables of the environment for malloc
(``MALLOC_...``) are recorded, and the report separates their results: at ten million
rows custom objectives of XGBoost spend a tenth of the time on fresh memory.

With ``--device cuda`` XGBoost trains on the GPU, with the derivatives computed on the
GPU and, for comparison, on the CPU; the peak of the device's memory is measured too.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from benchmarks.common import runner
from benchmarks.common.commands import command
from benchmarks.speed import around, training

Record = dict[str, Any]
PARTS = (
    *training.LIBRARIES,
    "packages",
    "kernel",
    "start_up",
    "predict",
    "memory",
    "reach",
)
_VERSIONS = ("lightgbm", "xgboost", "numba", "numpy", "catboost", "ydf")
PEERS_UP_TO = 1_000_000


def measured(arguments: argparse.Namespace) -> Iterator[Record]:
    """Yield the records of the requested parts."""
    threads, rounds, device = arguments.threads, arguments.rounds, arguments.device
    most, rows = max(threads), arguments.rows
    largest = max(n for n in rows if n <= PEERS_UP_TO or n == min(rows))
    others: dict[str, Callable[[], Iterator[Record]]] = {
        "packages": lambda: around.packages(largest, most, min(rounds, 5)),
        "kernel": lambda: around.kernel(most, device, 5 * rounds, max(rows)),
        "start_up": lambda: around.start_up(min(rounds, 7)),
        "predict": lambda: around.predict(most, rounds, (1, 1_000, largest)),
        "memory": lambda: around.memory(4 * largest, most),
        "reach": lambda: around.reach(most, (5, 10, 20, 50, 100, 200)),
    }
    for part in arguments.parts or _parts_for(device):
        if part in others:
            yield from others[part]()
            continue
        for n_rows in rows:
            is_large = n_rows > PEERS_UP_TO
            for n_threads in [most] if is_large else threads:
                yield from training.measure(
                    part,
                    n_rows,
                    n_threads,
                    min(rounds, 5) if is_large else rounds,
                    device,
                    with_peers=not is_large and device == "cpu",
                )


def _parts_for(device: str) -> tuple[str, ...]:
    return PARTS if device == "cpu" else ("xgboost", "kernel")


def described(record: Record) -> str:
    """Return a record in one line."""
    numbers = {
        "seconds": lambda v: f"{v * 1e3:.4g} ms",
        "ns": lambda v: f"{v:.2f} ns a row",
        "ratio": lambda v: f"ratio {v:.3f}",
        "value": lambda v: f"{v:.4g}",
    }
    words = [
        numbers[name](value)
        if name in numbers
        else f"{value:,}"
        if isinstance(value, int) and not isinstance(value, bool)
        else str(value)
        for name, value in record.items()
        if name not in ("low", "high", "share") and value is not None
    ]
    if "low" in record:
        words.append(f"({record['low']:.3f}-{record['high']:.3f})")
    return "  ".join(words)


def main() -> None:
    """Measure, print and append to the file."""
    parser = command("speed", __doc__)
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--rows", type=int, nargs="+", metavar="N")
    parser.add_argument("--threads", type=int, nargs="+", metavar="N")
    parser.add_argument("--rounds", type=int, default=7, help="[7]")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:<n>")
    parser.add_argument("--to", type=Path, metavar="DIR", help="folder of speed.jsonl")
    arguments = parser.parse_args()
    on_gpu = arguments.device != "cpu"
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"unknown {sorted(unknown)}; choose from {sorted(PARTS)}")
    if on_gpu and "lightgbm" in arguments.parts:
        parser.error(
            f"--device {arguments.device} with lightgbm: LightGBM's wheel has no CUDA; "
            "leave out lightgbm or --device"
        )
    arguments.rows = arguments.rows or ([] if on_gpu else [10**5]) + [10**6, 10**7]
    cores = os.cpu_count() or 1
    arguments.threads = arguments.threads or ([cores] if on_gpu else sorted({1, cores}))
    machine = runner.machine(_VERSIONS) | {"device": _device_name(arguments.device)}
    print(json.dumps(machine))
    with _opened(arguments.to) as file:
        file.write(json.dumps(machine) + "\n")
        for record in measured(arguments):
            print(described(record), flush=True)
            where = {"device": machine["device"], "allocator": _allocator()}
            file.write(json.dumps(record | where) + "\n")
            file.flush()


def _allocator() -> str:
    """Return the variables of the environment for the malloc of the C library."""
    names = sorted(n for n in os.environ if n.startswith(("MALLOC_", "GLIBC_TUNABLES")))
    return " ".join(f"{name}={os.environ[name]}" for name in names)


def _opened(folder: Path | None) -> TextIO:
    if folder is None:
        return Path(os.devnull).open("w")
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / "speed.jsonl").open("a")


def _device_name(device: str) -> str:
    if device == "cpu":
        return "cpu"
    from numba import cuda

    name = cuda.get_current_device().name
    return name.decode() if isinstance(name, bytes) else str(name)
