"""Run jobs in processes of their own and append their results as JSON lines.

Every job runs on one thread in a fork of its own: a crash, a leak or a hang of one
model is a result and does not end the run, and peak memory is measured job by job. A
run skips jobs that have a line in the file; to run a job again, delete its line.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import multiprocessing
import multiprocessing.connection
import os
import platform
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits
from tqdm import tqdm

Record = dict[str, Any]
PACKAGES = (
    "focal_gbm",
    "lightgbm",
    "xgboost",
    "catboost",
    "scikit-learn",
    "numba",
    "numpy",
    "pandas",
    "optuna",
    "autogluon.tabular",
    "flaml",
    "perpetual",
    "self-paced-ensemble",
    "ydf",
    "imlightgbm",
    "bokbokbok",
    "gbdtCBL",
    "imbalance-xgboost",
)


@dataclass(frozen=True)
class Job:
    """Describe work that returns a record.

    ``key`` names the job in the file and must never change. ``load`` is called before
    the fork; ``work`` gets what ``load`` returns.
    """

    key: Record
    load: Callable[[], Any] = field(compare=False)
    work: Callable[[Any], Record] = field(compare=False)

    @property
    def name(self) -> str:
        """Return the key in one line."""
        return _name_of(self.key)


def _name_of(key: Record) -> str:
    return " | ".join(str(value) for value in key.values())


def read(path: Path) -> list[Record]:
    """Return the records of a file, each with the processor of its machine."""
    records, processor = [], None
    for line in _lines(path):
        if "machine" in line:
            processor = line["machine"]
        else:
            records.append(line | {"processor": processor})
    return records


def machines(path: Path) -> list[Record]:
    """Return the records of the machines that wrote a file."""
    return [line for line in _lines(path) if "machine" in line]


def _lines(path: Path) -> list[Record]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def described(path: Path) -> str:
    """Return the machines and versions that wrote a file, as a list in Markdown."""
    lines = (
        f"- {m['machine']}, {m['cores']} cores, {m['system']}, Python {m['python']}: "
        + ", ".join(f"{name} {version}" for name, version in m["versions"].items())
        for m in machines(path)
    )
    return "\n".join(dict.fromkeys(lines))


def done(path: Path, processor: str | None = None) -> set[str]:
    """Return the names of the jobs that have a line, of a processor or of any."""
    return {
        _name_of(record["key"])
        for record in read(path)
        if processor in (None, record["processor"])
    }


def run(
    jobs: Sequence[Job],
    path: Path,
    *,
    n_jobs: int,
    limit: float,
    packages: Iterable[str],
    again: bool = False,
) -> None:
    """Run the jobs that have no line yet, ``n_jobs`` at a time.

    A job that takes more than ``limit`` seconds is killed. ``again``: lines of other
    processors do not count, so that times can be compared.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        message = (
            f"{platform.system()} has no fork, in which the jobs of this benchmark "
            "run: run the benchmark on Linux or macOS"
        )
        raise SystemExit(message)
    path.parent.mkdir(parents=True, exist_ok=True)
    here = machine(packages)
    have = done(path, here["machine"] if again else None)
    running: list[_Running] = []
    with (
        path.open("a") as file,
        tqdm(
            total=len(jobs),
            smoothing=0.05,
            mininterval=1 if sys.stderr.isatty() else 30,
        ) as bar,
    ):

        def write(record: Record) -> None:
            file.write(json.dumps(record) + "\n")
            file.flush()

        def reap() -> None:
            for record in _finished(running, limit):
                write(record)
                bar.set_postfix_str(_name_of(record["key"]))
                bar.update()

        is_new = any(job.name not in have for job in jobs)
        if is_new and here != (machines(path) or [None])[-1]:
            write(here)
        for job in jobs:
            if job.name in have:
                bar.update()
                continue
            while len(running) >= n_jobs:
                reap()
            running.append(_Running(job))
        while running:
            reap()


def machine(packages: Iterable[str]) -> Record:
    """Return processor, cores, system and versions of the packages."""
    versions = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "machine": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


class _Running:
    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context("fork")
        self.job = job
        self.start = time.monotonic()
        self.receiver, sender = context.Pipe(duplex=False)
        arguments = (job, job.load(), sender)
        self.process = context.Process(target=_in_child, args=arguments)
        self.process.start()
        sender.close()


def _in_child(job: Job, loaded: Any, sender: Any) -> None:
    warnings.simplefilter("ignore")
    # Lines that C++ libraries print would break the progress bar.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    start, peak, cpu = time.perf_counter(), peak_memory(), time.process_time()
    try:
        with threadpool_limits(1):
            record = job.work(loaded)
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        record = {
            "error": f"{type(error).__name__}: {str(error)[:300]}",
            "where": f"{Path(frame.filename).name}:{frame.lineno}",
        }
    record["seconds"] = round(time.perf_counter() - start, 3)
    record["cpu_s"] = round(time.process_time() - cpu, 3)
    record["peak_mb"] = round(peak_memory() - peak, 1)
    sender.send(record)


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _finished(running: list[_Running], limit: float) -> Iterator[Record]:
    """Wait for a job to end, and yield the records of all jobs that ended."""
    first_end = min(child.start for child in running) + limit
    ready = multiprocessing.connection.wait(
        [child.receiver for child in running], max(0.0, first_end - time.monotonic())
    )
    for child in list(running):
        late = time.monotonic() - child.start > limit
        if child.receiver in ready:
            try:
                record = child.receiver.recv()
            except EOFError:
                child.process.join()
                record = {"error": f"the process died: {child.process.exitcode}"}
        elif late:
            child.process.kill()
            record = {"error": f"ended after {limit:g} s"}
        else:
            continue
        child.process.join()
        running.remove(child)
        yield {"key": child.job.key, **record}
