"""Tests in fresh environments: ``nox`` runs the sessions ``lint`` and ``tests``.

A Python that is not installed is skipped, and nox lists it as skipped. Arguments after
``--`` go to pytest in place of ``-m "not slow"``: ``nox -s tests -- -m "" -n 2`` runs
all tests. Every run of whole suites is recorded in doc/versions.md.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nox
from nox.command import CommandFailed

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PRE_RELEASES = ("numpy", "pandas", "scikit-learn", "lightgbm", "xgboost", "numba")

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "tests"]


def is_present(python: str) -> bool:
    """Whether an interpreter starts; a shim of pyenv may exist and fail."""
    try:
        command = [f"python{python}", "-c", ""]
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


NEWEST = next((python for python in reversed(PYTHONS) if is_present(python)), "3.11")


@nox.session
@nox.parametrize(
    ("python", "dependencies"),
    [
        nox.param("3.11", "lowest", id="lowest"),
        *(nox.param(python, "newest", id=f"newest-{python}") for python in PYTHONS),
        nox.param(NEWEST, "pre", id="pre"),
    ],
)
def tests(session: nox.Session, dependencies: str) -> None:
    """Run the tests with the lowest, the newest or the pre-release dependencies.

    With pre-releases a failure is recorded, and the session passes with a warning.
    """
    arguments = session.posargs or ["-m", "not slow"]
    results = f"{session.create_tmp()}/results.xml"
    error = None
    try:
        lowest = ["-c", "lowest.txt"] if dependencies == "lowest" else []
        session.install("-e", ".[test]", *lowest)
        if dependencies == "pre":
            session.install("--pre", "--upgrade", *PRE_RELEASES)
        session.run("python", "-m", "pytest", f"--junitxml={results}", *arguments)
    except CommandFailed as failure:
        error = failure
    record = ["tests/versions.py", dependencies, results, "--", *arguments]
    session.run("python", *record)
    if error and dependencies != "pre":
        raise error
    if error:
        session.warn(f"pre-releases may fail, and do: {error}")


@nox.session(python="3.11")
def across_versions(session: nox.Session) -> None:
    """Save models with the lowest versions, and load them with the newest."""
    folder = Path(session.create_tmp()).resolve() / "models"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    session.install("-e", ".[test]", "-c", "lowest.txt")
    session.run("python", "tests/golden/write.py", folder)
    session.notify("load_saved", [str(folder)])


@nox.session(python=NEWEST)
def load_saved(session: nox.Session) -> None:
    """Load the models of a folder, the last part of across_versions."""
    session.install("-e", ".[test]")
    session.run("python", "tests/golden/read.py", *session.posargs)


@nox.session(python=NEWEST)
def lint(session: nox.Session) -> None:
    """Check style and types."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "ruff", "check", ".")
    session.run("python", "-m", "ruff", "format", "--check", ".")
    session.run("python", "-m", "mypy")


@nox.session(python=NEWEST)
def coverage(session: nox.Session) -> None:
    """Measure which lines the tests reach; pyproject.toml has the least share."""
    session.install("-e", ".[test]", "pytest-cov>=6.3", "coverage>=7.10.6")
    session.run(
        *("python", "-m", "pytest", "--cov", "--cov-report=term-missing:skip-covered"),
        *(session.posargs or ["-n", "2", "--dist", "loadfile"]),
        # faster by far; Python 3.11 lacks it, and the warning of coverage would be in
        # the output of programs that tests start
        env={} if session.python == "3.11" else {"COVERAGE_CORE": "sysmon"},
    )
