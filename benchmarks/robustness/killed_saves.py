"""Kill saves of a model at random moments, and count files that do not load.

    python -m benchmarks.robustness.killed_saves [--saves 200] [--trees 300] [--write]

A process saves two models in turn to one path, again and again, until a SIGKILL ends it
at a random moment. Then the file has to load, and its probabilities have to be those of
one of the two models. The first process finds a file there, and each later process the
file that the kill before left. Most of a save prepares the bytes, so the same is done
with the step alone that writes them, and for comparison with a plain write of the same
bytes to the path. --write writes benchmarks/robustness/killed_saves.md.

A kill loses nothing that the kernel has; what a loss of power would do is not measured.
Linux alone: processes come from a fork server that has loaded the libraries.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.commands import command
from benchmarks.common.runner import machine
from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.export import ModelFileError, load, save
from focal_gbm.export._file import _PART, _replace

ESTIMATORS = {"lightgbm": FocalLGBMClassifier, "xgboost": FocalXGBClassifier}
QUIET = {"lightgbm": {"verbose": -1}, "xgboost": {}}
SAVE, WRITING, PLAIN = WAYS = ("save", "its writing step alone", "plain write")
PACKAGES = ("focal_gbm", "lightgbm", "xgboost", "skops")
PRELOADED = ["focal_gbm.lightgbm", "focal_gbm.xgboost", "focal_gbm.export", "skops.io"]
KILLS, DURING = "kills", "kills while a file was written"
BROKEN, STRANGE = "files that do not load", "files of neither model"
COUNTS = (KILLS, DURING, BROKEN, STRANGE)
LONGEST = 0.25  # seconds from the first save to the kill; some disks take longer
Record = dict[str, Any]


def main() -> None:
    """Measure, print the page and write it with --write."""
    parser = command("robustness.killed_saves", __doc__)
    add = parser.add_argument
    add("--saves", type=int, default=200, help="kills for each library [200]")
    add("--trees", type=int, default=300, help="trees of a model [300]")
    add("--write", action="store_true", help="write the page")
    arguments = parser.parse_args()
    records = []
    for library in ESTIMATORS:
        for way in WAYS:
            record = measure(library, arguments.saves, arguments.trees, way, seed=0)
            records.append(record)
            print(record, flush=True)
    text = page(arguments, records)
    print(text)
    if arguments.write:
        Path(__file__).with_suffix(".md").write_text(text)


def measure(library: str, n_saves: int, trees: int, way: str, *, seed: int) -> Record:
    """Kill processes that save, and return counts of what they left."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(2000, 5))
    y = X[:, 0] + rng.normal(size=2000) > 2
    # the server has no threads of a training that its processes would lack
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = []
        for i in range(2):
            model = ESTIMATORS[library](
                n_estimators=trees, random_state=i, n_jobs=1, **QUIET[library]
            )
            save(model.fit(X, y, sample_weight=1.0 + i * X[:, 1] ** 2), folder / f"{i}")
            models.append(model.predict_proba(X))
        path = folder / "target" / "model"
        path.parent.mkdir()
        save(load(folder / "0"), path)
        longest = min(_seconds_of_two_saves(folder, path), LONGEST)
        broken = strange = kills = during = 0
        for _ in range(n_saves):
            before = _left_overs(path)
            ready = context.Event()
            process = context.Process(
                target=save_again_and_again, args=(folder, path, ready, way)
            )
            process.start()
            if not ready.wait(60):
                msg = "the process did not begin to save within a minute"
                raise RuntimeError(msg)
            time.sleep(rng.uniform(0.0, longest))
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            kills += process.exitcode == -signal.SIGKILL
            during += _left_overs(path) > before
            try:
                found = load(path).predict_proba(X)
            except ModelFileError:
                broken += 1
                save(load(folder / "0"), path)
            else:
                strange += not any(np.array_equal(found, p) for p in models)
        for part in path.parent.glob(_PART.format("*")):
            os.utime(part, (0, 0))  # hours pass
        save(load(folder / "0"), path)
        return {
            "library": library,
            "what is killed": way,
            "bytes": path.stat().st_size,
            KILLS: int(kills),
            DURING: during,
            BROKEN: broken,
            STRANGE: strange,
            "left-over files after the next save": _left_overs(path),
        }


def save_again_and_again(folder: Path, path: Path, ready: Any, way: str) -> None:
    """Save the two models in turn until the process is killed."""
    contents = [(folder / f"{i}").read_bytes() for i in range(2)]
    models = [load(folder / f"{i}") for i in range(2)]
    ready.set()
    for i in itertools.cycle(range(2)):
        if way == SAVE:
            save(models[i], path)
        elif way == WRITING:
            _replace(path, contents[i])
        else:
            path.write_bytes(contents[i])


def _seconds_of_two_saves(folder: Path, path: Path) -> float:
    model = load(folder / "0")
    began = time.perf_counter()
    for _ in range(2):
        save(model, path)
    return time.perf_counter() - began


def _left_overs(path: Path) -> int:
    return len(list(path.parent.glob(_PART.format("*"))))


def page(arguments: Any, records: list[Record]) -> str:
    """Return the text of the page."""
    ours, plain = (
        {
            name: sum(
                r[name] for r in records if (r["what is killed"] == PLAIN) == is_plain
            )
            for name in COUNTS
        }
        for is_plain in (False, True)
    )
    lost = ours[BROKEN] + ours[STRANGE]
    answer = textwrap.fill(
        f"writes this page. Of {ours[KILLS]} processes killed by SIGKILL while they "
        f"saved, {lost} left a file that does not load or is of neither model. "
        f"{ours[DURING]} kills came while the new file was being written, and left a "
        "part of it under a name of its own, which a later save removes. A plain write "
        f"to the path, killed in the same way, left {plain[BROKEN]} files of "
        f"{plain[KILLS]} that do not load.",
        width=88,
    )
    columns = list(records[0])
    rows = [columns, ["---"] * len(columns)]
    rows += [[f"{r[name]}" for name in columns] for r in records]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    found = machine(PACKAGES)
    versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
    return f"""\
# Is a model lost if a save is killed?

    python -m benchmarks.robustness.killed_saves --saves {arguments.saves} \
--trees {arguments.trees} --write

{answer}

{table}

A process saves two models in turn to one path until it is killed, at a moment that is
uniform over the time of two saves, {LONGEST} s at most. The writing step alone and the
plain write have the same bytes, made before.

{found["machine"]}, {found["cores"]} cores, Python {found["python"]}; {versions}.
"""


if __name__ == "__main__":
    main()
