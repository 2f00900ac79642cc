"""Record which versions the tests ran with, and write doc/versions.md.

``nox -s tests`` calls this file in the environment of each session:
``python tests/versions.py DEPENDENCIES RESULTS -- ARGUMENTS``, with the file of results
that pytest wrote and pytest's arguments. ``python tests/versions.py`` writes the page
again from the records in doc/versions.jsonl.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import re
import shlex
import sys
import tomllib
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Record = dict[str, Any]
ROOT = Path(__file__).resolve().parent.parent
RECORDS, PAGE = ROOT / "doc" / "versions.jsonl", ROOT / "doc" / "versions.md"
DEPENDENCIES = ("lowest", "newest", "pre")
# What identifies a record: a later run takes its place.
KEY = ("dependencies", "python", "system", "tests")
INTRODUCTION = """\
# What has been tested

`nox -s tests` runs the tests with the lowest versions that `pyproject.toml` admits,
with the newest, and with pre-releases, which may fail. Each run writes a line of
`doc/versions.jsonl` with the versions of all packages of the tests, and
`tests/versions.py` writes this page from those lines: do not edit it. A later run
replaces an earlier one with the same dependencies, Python, system and tests. Tests that
need a card, a folder of data sets or a package that is absent are skipped; expected
failures count as skipped.
"""


def counts(path: Path) -> Record:
    """Return the numbers of tests by outcome, and the names of those that failed."""
    try:
        cases = list(ET.parse(path).iter("testcase"))
    except (OSError, ET.ParseError):  # the installation failed, or pytest crashed
        return {"passed": 0, "failed": 0, "skipped": 0, "failures": ["no result"]}
    tags: dict[str, set[str]] = {}
    for case in cases:  # a test has two if it fails and its fixture breaks afterwards
        name = f"{case.get('classname')}::{case.get('name')}"
        tags.setdefault(name, set()).update(child.tag for child in case)
    failures = sorted(name for name in tags if tags[name] & {"failure", "error"})
    n_skipped = sum("skipped" in tags[name] for name in tags.keys() - failures)
    return {
        "passed": len(tags) - len(failures) - n_skipped,
        "failed": len(failures),
        "skipped": n_skipped,
        "failures": failures,
    }


def selection(arguments: list[str]) -> str | None:
    """Return which whole suite pytest's arguments select, None for parts of one."""
    parser = argparse.ArgumentParser(exit_on_error=False, add_help=False)
    parser.add_argument("-m", default="")
    parser.add_argument("-n", "--dist")  # how tests run, not which
    parser.add_argument("-q", "-v", action="count")
    chosen, others = parser.parse_known_args(arguments)
    if others or chosen.m not in ("", "not slow"):
        return None
    return chosen.m or "all"


def installed(name: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def names_of_packages() -> list[str]:
    """Return the packages of the library and its tests."""
    lines = (ROOT / "lowest.txt").read_text().splitlines()
    return [line.partition("==")[0] for line in lines if "==" in line]


def names_of_dependencies() -> list[str]:
    """Return the packages without which the library cannot be installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [re.split(r"[<>=!~\[; ]", line)[0] for line in project["dependencies"]]


def read() -> list[Record]:
    """Return the records."""
    lines = RECORDS.read_text().splitlines() if RECORDS.exists() else []
    return [json.loads(line) for line in lines]


def add(records: list[Record], new: Record) -> list[Record]:
    """Return the records with a new one in its place."""
    others = [old for old in records if any(old[key] != new[key] for key in KEY)]
    return sorted([*others, new], key=place)


def place(record: Record) -> tuple[Any, ...]:
    """Return what orders the records."""
    numbers = [int(part) for part in re.findall(r"\d+", record["python"])]
    kind = DEPENDENCIES.index(record["dependencies"])
    return kind, numbers, record["system"], record["tests"]


def row(cells: list[str]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(cells)} |"


def page(records: list[Record]) -> str:
    """Return the page."""
    names = names_of_dependencies()
    titles = ["dependencies", "Python", *names, "tests", "passed", "failed", "skipped"]
    titles += ["date", "focal_gbm", "system"]
    lines = [INTRODUCTION, row(titles), row(["---"] * len(titles))]
    for record in records:
        versions = record["versions"]
        numbers = [str(record[key]) for key in ("passed", "failed", "skipped")]
        lines.append(
            row(
                [record["dependencies"], record["full_python"]]
                + [versions.get(name) or "absent" for name in names]
                + [record["tests"], *numbers, record["date"]]
                + [record["focal_gbm"] or "absent", record["system"]]
            )
        )
    for record in records:
        title = ", Python ".join(record[key] for key in ("dependencies", "python"))
        if record["failures"]:
            failures = "".join(f"\n- `{name}`" for name in record["failures"])
            lines.append(f"\nFailures of {title}:\n{failures}")
        if record["dependencies"] == "pre":
            found = [
                f"{name} {version}"
                for name, version in record["versions"].items()
                if version and re.search(r"\d(a|b|rc|\.?dev)\d", version)
            ]
            known = ", ".join(found) or "none; the newest of each package is a release"
            lines.append(f"\nPre-releases of {title}, on {record['date']}: {known}.")
    return "\n".join(lines) + "\n"


def write(records: list[Record]) -> None:
    """Write the records and their page."""
    RECORDS.parent.mkdir(exist_ok=True)
    RECORDS.write_text("".join(json.dumps(record) + "\n" for record in records))
    PAGE.write_text(page(records))


def main() -> None:
    """Record a run if the command names one, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dependencies", nargs="?", choices=DEPENDENCIES)
    parser.add_argument("results", nargs="?", type=Path)
    parser.add_argument("arguments", nargs="*", help="of pytest, after --")
    command = parser.parse_args()
    records = read()
    if command.dependencies:
        tests = selection(command.arguments)
        if tests is None:
            part = shlex.join(command.arguments)
            print(f"not recorded: {part} is a part of the tests")
            return
        versions = {name: installed(name) for name in names_of_packages()}
        new = {
            "dependencies": command.dependencies,
            "python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "full_python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "tests": tests,
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "focal_gbm": installed("focal_gbm"),
            **counts(command.results),
            "versions": versions,
        }
        records = add(records, new)
    write(records)


if __name__ == "__main__":
    main()
