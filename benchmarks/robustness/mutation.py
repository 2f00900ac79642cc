"""Change the core of the package at random places, and count changes that no test sees.

    python -m benchmarks.robustness.mutation [--module NAME ...] [--sample N] [--write]

cosmic-ray makes the changes, called mutants: another operator or comparison, a number
plus or minus one, a negated condition, a decorator or an exception left out. Each is
made in a temporary copy of the tree, where the tests of the module then run until one
fails. A mutant is killed if a test fails or the tests pass the limit of time; otherwise
it survives, and somebody has to read it: either a test is missing, or the change makes
no difference that a test should see. results/mutation_survivors.jsonl has the reasons.

--sample N takes the first N mutants of each module in an order by hash, so that a
larger sample contains the smaller, and an edit of a line changes the mutants of that
line alone; 0 takes all. Mutants that have a line in results/mutation.jsonl are not run
again, but for those that survived, with --survivors; to measure a module again, delete
its lines. --write writes the page.

Needs `pip install cosmic-ray`, and forks: Linux or macOS.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import binomtest

from benchmarks.common import runner, tables
from benchmarks.common.commands import command

TOP = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).with_name("results") / "mutation.jsonl"
REASONS = Path(__file__).with_name("results") / "mutation_survivors.jsonl"
PACKAGES = ("cosmic-ray", "focal_gbm", "numba", "numpy", "lightgbm", "xgboost")
# Loaded once, before the forks that run the tests; nothing of focal_gbm.
PRELOADED = (
    "pytest",
    "hypothesis",
    "pandas",
    "numba",
    "mpmath",
    "sklearn.model_selection",
    "scipy.optimize",
    "lightgbm",
    "xgboost",
)
# A shift or a bitwise operator in place of arithmetic fails on any float, so that each
# test that enters the line kills it.
_BITWISE = re.compile(
    r"ReplaceBinaryOperator_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)_"
    r"(LShift|RShift|BitOr|BitAnd|BitXor)"
)
# Identity with a text of the source is the same as equality, and linters refuse it.
_IDENTITY = re.compile(r"ReplaceComparisonOperator_(Eq_Is|NotEq_IsNot)$")
_TEXT = re.compile(r"\s*[\"']")
KILLED, LATE, SURVIVED = "killed", "timed out", "survived"
NOT_READ = "not read yet"
Record = dict[str, Any]


@dataclass(frozen=True)
class Module:
    """The files that are changed, and the arguments of pytest for their tests.

    ``sample`` is the default number of mutants. Tests were added for survivors among
    these; mutants after them measure the tests without that bias. Tests run in the
    order of ``tests``.
    """

    files: tuple[str, ...]
    tests: tuple[str, ...]
    sample: int
    # an edit of a formula needs loops compiled anew: Numba's cache does not notice it
    is_compiled: bool = False


@dataclass(frozen=True)
class Mutant:
    """One change of a file: an operator of cosmic-ray at one of its places.

    ``key`` names it in the records. It has the text of the line, not its number, and
    so it stays after edits elsewhere.
    """

    key: Record
    operator: str
    occurrence: int

    @property
    def place(self) -> str:
        """Return the place in the order by hash."""
        return hashlib.sha256(json.dumps(self.key).encode()).hexdigest()


MODULES = {
    "loss": Module(
        ("focal_gbm/loss.py",),
        (
            "tests/test_loss.py",
            "focal_gbm/loss.py",
            "tests/objective/test_late_arguments.py",
            "tests/kernels/test_late_derivatives.py",
        ),
        80,
    ),
    "formulas": Module(
        ("focal_gbm/_kernels/formulas.py",),
        (
            "tests/test_loss.py",
            "tests/kernels/test_late_derivatives.py",
            "tests/kernels/test_derivatives.py",
            "tests/test_cross_fit.py::test_the_criterion_is_the_loss_after_the_best_line",
        ),
        50,
        is_compiled=True,
    ),
    "rational": Module(
        ("focal_gbm/_kernels/rational.py",),
        ("tests/kernels/test_derivatives.py", "tests/objective/test_objective.py"),
        60,
    ),
    "objective": Module(
        (
            "focal_gbm/objective/_objective.py",
            "focal_gbm/objective/_call.py",
            "focal_gbm/objective/_metric.py",
        ),
        ("tests/objective", "focal_gbm/objective", "tests/kernels/test_threads.py"),
        90,
    ),
    "calibration": Module(
        ("focal_gbm/calibration.py",),
        ("tests/test_calibration.py", "focal_gbm/calibration.py"),
        50,
    ),
    "delays": Module(
        ("focal_gbm/delays.py",),
        ("tests/test_delays.py", "focal_gbm/delays.py"),
        60,
    ),
    "cross_fit": Module(
        ("focal_gbm/cross_fit.py", "focal_gbm/_estimators/folds.py"),
        ("tests/test_cross_fit.py", "focal_gbm/cross_fit.py"),
        50,
    ),
}


def main() -> None:
    """Run the mutants that have no record, print the page and write it with --write."""
    parser = command("robustness.mutation", __doc__)
    add = parser.add_argument
    add("--module", nargs="+", choices=MODULES, default=list(MODULES), metavar="NAME")
    add("--sample", type=int, help="mutants of each module, 0 for all [its own number]")
    add("--limit", type=float, default=180.0, help="seconds for the tests [180]")
    add("--survivors", action="store_true", help="run again what survived")
    add("--write", action="store_true", help="write the page")
    arguments = parser.parse_args()
    if arguments.survivors:
        forget_survivors(arguments.module)
    found = {name: mutants(name) for name in MODULES}
    for name in arguments.module:
        size = MODULES[name].sample if arguments.sample is None else arguments.sample
        measure(name, found[name][0][: size or None], arguments.limit)
    text = page(found, runner.read(RESULTS), reasons())
    print(text)
    if arguments.write:
        Path(__file__).with_suffix(".md").write_text(text)


def forget_survivors(names: list[str]) -> None:
    """Delete the records of the mutants of the modules that survived."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    kept = [
        line
        for line in lines
        if (record := json.loads(line)).get("result") != SURVIVED
        or record["key"]["module"] not in names
    ]
    RESULTS.write_text("".join(f"{line}\n" for line in kept))


def mutants(name: str) -> tuple[list[Mutant], int]:
    """Return all mutants of a module in the order by hash, and how many are left out.

    Left out are mutants of annotations, of blocks for type checkers and of the texts of
    errors, bitwise operators in place of arithmetic, and identity with a text.
    """
    from cosmic_ray import commands
    from cosmic_ray.work_db import WorkDB

    found, n_left_out = [], 0
    for file in MODULES[name].files:
        text = (TOP / file).read_text()
        lines, parts = text.splitlines(), without_effect(ast.parse(text))
        with tempfile.TemporaryDirectory() as folder:
            session = WorkDB(f"{folder}/session.sqlite", WorkDB.Mode.create)
            commands.init([TOP / file], session, {})
            specs = [spec for item in session.work_items for spec in item.mutations]
            session.close()
        seen: Counter[str] = Counter()
        for spec in specs:
            row, column = spec.start_pos
            line = lines[row - 1]
            if (
                any(first <= (row, column) < last for first, last in parts)
                or _BITWISE.search(spec.operator_name)
                or (
                    _IDENTITY.search(spec.operator_name)
                    and _TEXT.match(line[spec.end_pos[1] :])
                )
            ):
                n_left_out += 1
                continue
            key = {
                "module": name,
                "file": file,
                "function": spec.definition_name or "",
                "line": line.strip(),
                "column": column - (len(line) - len(line.lstrip())),
                "operator": spec.operator_name.removeprefix("core/"),
            }
            seen[json.dumps(key)] += 1
            key["nth"] = seen[json.dumps(key)]
            found.append(Mutant(key, spec.operator_name, spec.occurrence))
    return sorted(found, key=lambda mutant: mutant.place), n_left_out


def without_effect(tree: ast.Module) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return first and last position of each part that no test can see changed, or
    where a change is one of words alone."""

    def parts() -> Iterator[Any]:
        for node in ast.walk(tree):
            yield getattr(node, "annotation", None)
            yield getattr(node, "returns", None)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield node
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "msg":
                yield node.value

    return [
        ((part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset))
        for part in parts()
        if part is not None
    ]


def measure(name: str, chosen: list[Mutant], limit: float) -> None:
    """Run the tests on each mutant that has no record, and append a record for each."""
    have = runner.done(RESULTS)
    jobs = [runner.Job(mutant.key, dict, dict) for mutant in chosen]
    if all(job.name in have for job in jobs):
        return
    for package in PRELOADED:
        importlib.import_module(package)
    module = MODULES[name]
    with tempfile.TemporaryDirectory() as folder:
        copy = copied(Path(folder) / "copy")
        originals = {file: (copy / file).read_text() for file in module.files}

        def mutate(mutant: Mutant | None) -> list[str]:
            """Undo the last mutant, and make one; return the line before and after."""
            for file, text in originals.items():
                (copy / file).write_text(text)
            if mutant is None:
                return []
            file = mutant.key["file"]
            return make(copy / file, mutant)

        def work(change: list[str]) -> Record:
            return {"change": change, "result": tests(copy, module)}

        def job(mutant: Mutant) -> runner.Job:
            return runner.Job(mutant.key, lambda: mutate(mutant), work)

        unchanged = runner.Job({"module": name}, lambda: mutate(None), work)
        path = Path(folder) / "unchanged.jsonl"
        runner.run([unchanged], path, n_jobs=1, limit=600, packages=())
        (record,) = runner.read(path)
        if record.get("result") != SURVIVED:
            msg = f"the tests of {name} fail on files without a change: {record}"
            raise SystemExit(msg)
        jobs = [job(mutant) for mutant in chosen]
        runner.run(jobs, RESULTS, n_jobs=1, limit=limit, packages=PACKAGES)


def copied(target: Path) -> Path:
    """Copy the files of the repository to ``target``."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP,
        check=True,
        capture_output=True,
        text=True,
    )
    for file in filter(None, listed.stdout.split("\0")):
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TOP / file, target / file)
    return target


def make(path: Path, mutant: Mutant) -> list[str]:
    """Write a mutant in place of the file, and return the line before and after."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    text = path.read_text()
    operator = get_operator(mutant.operator)()
    changed = mutate_code(text, operator, mutant.occurrence)
    path.write_text(changed)
    before, after = text.splitlines(), changed.splitlines()
    row = next(
        i for i, line in enumerate(before) if i >= len(after) or line != after[i]
    )
    # a decorator that is left out takes its line away
    new = after[row] if len(after) == len(before) else ""
    return [before[row].strip(), new.strip()]


def tests(copy: Path, module: Module) -> str:
    """Run the tests of a module in the copy until one fails; called in a fork.

    Neither Python nor Numba may read what was compiled from other text: the copy has no
    compiled files, and the loops of a changed formula have a folder of their own.
    """
    import numba
    import pytest

    name = f"numba_{os.getpid()}" if module.is_compiled else "numba"
    cache = copy.parent / name
    numba.config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"] = str(cache)
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)}
    os.chdir(copy)
    sys.path[:] = [str(copy), *(p for p in sys.path if Path(p) != TOP)]
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
    failed = pytest.main([*options, *module.tests])
    if module.is_compiled:
        shutil.rmtree(cache, ignore_errors=True)
    package = sys.modules.get("focal_gbm")
    if package is not None and not Path(str(package.__file__)).is_relative_to(copy):
        msg = f"the tests ran on {package.__file__}, not on the copy"
        raise RuntimeError(msg)
    return KILLED if failed else SURVIVED


def reasons() -> dict[str, str]:
    """Return the reasons why mutants survive, by file, function and change."""
    return {
        name_of(line["file"], line["function"], line["change"]): line["reason"]
        for line in map(json.loads, REASONS.read_text().splitlines())
    }


def name_of(file: str, function: str, change: list[str]) -> str:
    """Return the name of a survivor, which a reason refers to."""
    return json.dumps([file, function, change])


def result_of(record: Record) -> str:
    """Return what became of a mutant; a process that dies is a test that fails."""
    error = record.get("error", "")
    if error.startswith("ended after"):
        return LATE
    if error.startswith("the process died"):
        return KILLED
    if error:
        msg = f"the tests of {record['key']} did not run: {error}"
        raise SystemExit(msg)
    return str(record["result"])


def page(
    found: Mapping[str, tuple[list[Mutant], int]],
    records: list[Record],
    why: Mapping[str, str],
) -> str:
    """Return the text of the page; records of lines that have changed do not count."""
    rows, survivors, modules = [], [], []
    further: list[Record] = []
    for name, (all_mutants, n_left_out) in found.items():
        rank = {
            runner.Job(m.key, dict, dict).name: i for i, m in enumerate(all_mutants)
        }
        ranked = [
            (rank[job], record)
            for record in records
            if record["key"]["module"] == name
            and (job := runner.Job(record["key"], dict, dict).name) in rank
        ]
        of_module = [record for _, record in ranked]
        further += [r for i, r in ranked if i >= MODULES[name].sample]
        count = Counter(map(result_of, of_module))
        n, killed = len(of_module), count[KILLED] + count[LATE]
        if not n:
            continue
        low, high = binomtest(killed, n).proportion_ci(method="wilson")
        rows.append(
            {
                "module": name,
                "mutants": len(all_mutants),
                "left out": n_left_out,
                "run": n,
                **{result: count[result] for result in (KILLED, LATE, SURVIVED)},
                "share killed": killed / n,
                "95 % interval": f"[{low:.2f}, {high:.2f}]",
            }
        )
        modules.append(_described(name))
        survivors += [r for r in of_module if result_of(r) == SURVIVED]
    table = pd.DataFrame(rows)
    n, killed = table["run"].sum(), table["run"].sum() - table[SURVIVED].sum()
    worst = table.loc[table["share killed"].idxmin()]
    unread = sum(_reason(r, why) == NOT_READ for r in survivors)
    read = "all were read" if not unread else f"{unread} are not read yet"
    answer = textwrap.fill(
        f"writes this page. Of {n} mutants, drawn from {table['mutants'].sum()}, the "
        f"tests kill {killed}: {killed / n:.2f}, and at least "
        f"{worst['share killed']:.2f} in each module ({worst['module']}). "
        f"{len(survivors)} survive, and {read}.",
        width=88,
    )
    without_bias = ""
    if further:
        n, killed = len(further), sum(result_of(r) != SURVIVED for r in further)
        low, high = binomtest(killed, n).proportion_ci(method="wilson")
        without_bias = (
            f"Of the {n} mutants that came after those, the tests kill {killed}: "
            f"{killed / n:.2f} [{low:.2f}, {high:.2f}]."
        )
    listed = "\n".join(modules)
    return f"""\
# Do the tests see it if the core is changed?

    python -m benchmarks.robustness.mutation --write

{answer}

{tables.markdown(table, 2, index=False)}

A mutant is a change that cosmic-ray makes: an operator or a comparison replaced by each
other one, a number plus or minus one, a condition negated, a loop, a decorator or an
exception left out. It is killed if a test fails, or if the tests do not end in time.
Left out are annotations, which nothing evaluates, the texts of errors, bitwise
operators in place of arithmetic, which fail on any float, and `is` in place of `==`
before a text, which is the same. Mutants are drawn by hash. Intervals are Wilson's, as
if from infinitely many mutants. Tests marked slow do not run.

Tests were added for the first mutants of each module that had survived, so that their
share is too high for other mutants.
{without_bias}

Each module has its files and tests:

{listed}

## Mutants that survive

{_survivors(survivors, why)}

## Measured on

{runner.described(RESULTS)}
"""


def _described(name: str) -> str:
    module = MODULES[name]
    files, run = (
        ", ".join(f"`{part}`" for part in parts)
        for parts in (module.files, module.tests)
    )
    return f"- {name}: {files}, by {run}"


def _reason(record: Record, why: Mapping[str, str]) -> str:
    key = record["key"]
    return why.get(name_of(key["file"], key["function"], record["change"]), NOT_READ)


def _survivors(records: list[Record], why: Mapping[str, str]) -> str:
    """Return the table of the mutants that survive, in the order of the files."""
    if not records:
        return "None."
    rows = [
        {
            "file": Path(record["key"]["file"]).name,
            "function": record["key"]["function"],
            **{
                name: f"`{text}`".replace("|", "\\|") if text else "left out"
                for name, text in zip(("line", "mutant"), record["change"], strict=True)
            },
            "reason": _reason(record, why),
        }
        for record in records
    ]
    table = pd.DataFrame(rows).sort_values(["file", "function", "line", "mutant"])
    return tables.markdown(table, index=False)


if __name__ == "__main__":
    main()
