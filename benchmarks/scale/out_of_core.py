"""Train and score a folder that is larger than the memory allowed.

    python -m benchmarks.scale.out_of_core [--rows 20000000] [--columns 20]
        [--memory 4] [--trees 100] [--threads 2] [--folder DIR] [--small] [--write]

writes simulated rows to a folder of parquet files. Each library then trains on the rows
and scores them: from the folder (examples/train_on_folder.py and
examples/score_folder.py) under a limit of --memory GiB, in memory
(benchmarks/scale/in_memory.py) under the same limit, and in memory without a limit.
Each is a process of its own. The table has its wall time from start to end, the most
memory that it had, and its result. --folder keeps the rows for the next run; without it
they go to a temporary folder. --write writes benchmarks/scale/out_of_core.md.

The limit is RLIMIT_DATA. It counts the private memory that a process may write to,
which only swap could replace. RLIMIT_AS would also count what is reserved and never
used (stacks and allocators of threads, libraries) and files that are mapped to be read,
such as XGBoost's pages. A control group would be the other choice: it has no such
flaws, but needs rights that containers rarely give. Linux alone enforces RLIMIT_DATA on
mapped memory.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score

from benchmarks.common.commands import command
from benchmarks.common.runner import machine
from benchmarks.common.tables import markdown

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = {"LightGBM": "txt", "XGBoost": "ubj"}
FOLDER, MEMORY = "from the folder", "in memory"
GIB = 2**30


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print the tables and write them with --write."""
    parser = command("scale.out_of_core", __doc__)
    add = parser.add_argument
    add("--rows", type=int, default=20_000_000, help="[20000000]")
    add("--columns", type=int, default=20, help="[20]")
    add("--memory", type=float, default=4.0, metavar="GIB", help="[4]")
    add("--trees", type=int, default=100, help="[100]")
    add("--threads", type=int, default=2, help="[2]")
    add("--folder", type=Path, help="folder for rows, models and scores")
    add("--small", action="store_true", help="few rows and trees, to try the command")
    add("--write", action="store_true", help="write the page")
    arguments = parser.parse_args(words)
    if arguments.small:
        arguments.rows, arguments.columns, arguments.trees = 30_000, 5, 5
        arguments.memory = 1.5
    with contextlib.ExitStack() as stack:
        if arguments.folder is None:
            arguments.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tables = measure(arguments)
    text = page(arguments, *tables)
    print(text)
    if arguments.write:
        Path(__file__).with_suffix(".md").write_text(text)


def measure(arguments: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of the processes, and that of the models."""
    size = f"{arguments.rows}_{arguments.columns}"
    rows, test = (arguments.folder / f"{name}_{size}" for name in ("rows", "test"))
    n_test = max(arguments.rows // 20, 10_000)
    for path, n_rows, seed in ((rows, arguments.rows, 0), (test, n_test, 1)):
        if not path.exists():
            made = example("train_on_folder", path, "--make", n_rows, "--seed", seed)
            done = run([*made, "--columns", arguments.columns])
            if done["result"] != "done":
                raise SystemExit(done["result"])
    runs, models = [], []
    limits = {FOLDER: [True], MEMORY: [False] if arguments.small else [True, False]}
    for library, suffix in LIBRARIES.items():
        for way in (FOLDER, MEMORY):
            model = arguments.folder / f"{way.split()[-1]}.{suffix}"
            model.unlink(missing_ok=True)
            for is_limited in limits[way]:
                row: dict[str, Any] = {"library": library, "rows": way}
                row["limit"] = f"{arguments.memory:g} GiB" if is_limited else "none"
                limit = int(arguments.memory * GIB) if is_limited else None
                trained = train(rows, library.lower(), model, way, arguments, limit)
                runs.append({"work": "train", **row, **trained})
                print(runs[-1], flush=True)
                if model.exists():
                    scored = score(rows, model, way, arguments, limit)
                    runs.append({"work": "score", **row, **scored})
                    print(runs[-1], flush=True)
            if model.exists():
                found = quality(rows, test, model, arguments)
                models.append({"library": library, "trained": way, **found})
                print(models[-1], flush=True)
    table = pd.DataFrame(runs).sort_values("work", ascending=False, kind="stable")
    return table, pd.DataFrame(models)


def example(name: str, *arguments: Any) -> list[Any]:
    """Return the command of an example."""
    return [sys.executable, ROOT / "examples" / f"{name}.py", *arguments]


def in_memory(*arguments: Any) -> list[Any]:
    """Return the command that does the same in memory."""
    return [sys.executable, "-m", "benchmarks.scale.in_memory", *arguments]


def train(
    rows: Path, library: str, model: Path, way: str, arguments: Any, limit: int | None
) -> dict[str, Any]:
    """Train in a process and return its measures."""
    size = ("--trees", arguments.trees, "--threads", arguments.threads)
    if way == MEMORY:
        return run(in_memory("train", rows, model, *size), limit)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as cache:
        options = ("--library", library, "--model", model, "--cache", cache)
        call = example("train_on_folder", rows, *options, *size)
        return run(call, limit, Path(cache))


def score(
    rows: Path, model: Path, way: str, arguments: Any, limit: int | None
) -> dict[str, Any]:
    """Score in a process and return its measures."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        threads = ("--threads", arguments.threads)
        if way == MEMORY:
            file = Path(folder) / "scores.parquet"
            return run(in_memory("score", rows, model, file, *threads), limit)
        call = example("score_folder", model, rows, folder, "--keep", "is_fraud")
        return run([*call, *threads], limit)


def quality(rows: Path, test: Path, model: Path, arguments: Any) -> dict[str, float]:
    """Return measures of a saved model on its training rows and on others."""
    measures = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for name, path in (("rows", rows), ("test", test)):
            scores = Path(folder) / name
            call = example("score_folder", model, path, scores, "--keep", "is_fraud")
            done = run([*call, "--threads", arguments.threads])
            if done["result"] != "done":
                raise SystemExit(done["result"])
            table = pq.read_table(scores)
            y, p = (table[column].to_numpy() for column in table.column_names)
            if name == "rows":
                level = p.sum() / y.sum(dtype=np.float64)
                measures["predicted / observed, training rows, minus 1"] = level - 1
            else:
                measures["average precision, test rows"] = average_precision_score(y, p)
                measures["predicted / observed, test rows"] = p.sum() / y.sum()
    return measures


def run(
    call: list[Any], limit: int | None = None, cache: Path | None = None
) -> dict[str, Any]:
    """Run a command under a limit of memory and return its measures.

    The process may have ``limit`` bytes. ``cache`` is the folder whose size on disk is
    watched.
    """

    def restrict() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        # Arrow's own allocator takes a gigabyte from the limit before the first row
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [str(word) for word in call],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=restrict,
        )
        private = disk = 0
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            private = max(private, private_memory(process.pid))
            if cache is not None:
                disk = max(disk, size_of(cache))
            time.sleep(0.05)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    return {
        "seconds": seconds,
        "peak memory, GiB": usage.ru_maxrss * 1024 / GIB,
        "of it private, GiB": private / GIB,
        "pages on disk, GiB": disk / GIB,
        "result": result_of(process.returncode, text),
    }


def private_memory(pid: int) -> int:
    """Return the bytes in memory of a process that are no pages of files."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return 0


def size_of(folder: Path) -> int:
    """Return the bytes of the files in a folder, while files come and go."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def result_of(code: int, text: str) -> str:
    """Return how a process ended, in words."""
    if code == 0:
        return "done"
    words = (
        "MemoryError",
        "bad_alloc",
        "malloc of size",
        "out of memory",
        "Cannot alloc",
    )
    if any(word.lower() in text.lower() for word in words):
        return "out of memory"
    last = (text.strip().splitlines() or ["no output"])[-1]
    return f"failed ({code}): {last[:200]}"


def page(arguments: Any, runs: pd.DataFrame, models: pd.DataFrame) -> str:
    """Return the text of the page."""
    raw = arguments.rows * arguments.columns * 4 / GIB
    found = machine(("lightgbm", "xgboost", "pyarrow"))
    versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
    answers = "\n".join(answer(runs, library, arguments) for library in LIBRARIES)
    command_line = (
        f"python -m benchmarks.scale.out_of_core --rows {arguments.rows} --columns "
        f"{arguments.columns} --memory {arguments.memory:g} --trees {arguments.trees} "
        f"--threads {arguments.threads} --write"
    )
    n_test = max(arguments.rows // 20, 10_000)
    return f"""\
# What does it cost to train on rows that do not fit in memory?

    {command_line}

writes this page: {arguments.rows:,} simulated rows of {arguments.columns} columns,
{raw:.2f} GiB in float32; {arguments.trees} trees, {arguments.threads} threads.

{answers}

"From the folder" is `examples/train_on_folder.py` and `examples/score_folder.py`, "in
memory" the estimators with one float32 matrix of all rows. The limit is RLIMIT_DATA,
which counts the private memory that a process may write to: pages of files, such as
those of the libraries and of XGBoost's cache, are not counted, because the system can
drop them. Seconds are the wall time of a process, from start to end.

{markdown(without_blanks(runs), digits=2, index=False)}

The same models, on the training rows and on {n_test:,} others. LightGBM finds the same
bins in both ways; XGBoost chooses bins page by page, and its raw scores are float32.

{markdown(models, index=False, floatfmt=floats(models))}

{found["machine"]}, {found["cores"]} cores, Python {found["python"]}; {versions}.
"""


def without_blanks(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the table without zeros for what has no pages."""
    disk = "pages on disk, GiB"
    return runs.assign(**{disk: runs[disk].where(runs[disk] > 0)})


def floats(models: pd.DataFrame) -> tuple[str, ...]:
    """Return the format of each column of the models."""
    return tuple(
        ".0e" if name.endswith("minus 1") else ".4f" for name in models.columns
    )


def answer(runs: pd.DataFrame, library: str, arguments: Any) -> str:
    """Return the answer for a library, in a sentence."""
    of_library = runs[(runs["library"] == library) & (runs["work"] == "train")]
    limited = of_library["limit"] != "none"
    folder = of_library[of_library["rows"] == FOLDER].iloc[0]
    memory = of_library[(of_library["rows"] == MEMORY) & ~limited].iloc[0]
    tried = of_library[(of_library["rows"] == MEMORY) & limited]
    if folder["result"] != "done":
        return f"- {library} from the folder: {folder['result']}."
    size = "peak memory, GiB"
    text = (
        f"- {library} trains from the folder in {folder['seconds']:.0f} s with at most "
        f"{folder[size]:.1f} GiB"
    )
    if memory["result"] == "done":
        ratio = folder["seconds"] / memory["seconds"]
        text += (
            f", and in memory in {memory['seconds']:.0f} s with "
            f"{memory[size]:.1f} GiB: the folder takes {ratio:.2g} times as long"
        )
    if len(tried):
        result = tried.iloc[0]["result"]
        text += f". In memory under {arguments.memory:g} GiB: {result}"
    return text + "."


if __name__ == "__main__":
    main()
