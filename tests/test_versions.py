"""The record of the versions that the tests ran with, and the lowest versions."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
import versions
from packaging.requirements import Requirement
from packaging.version import Version

OUTCOMES = """
import pytest

def test_passes(): pass
def test_fails(): assert 1 == 2
def test_is_skipped(): pytest.skip("no card")
@pytest.mark.xfail
def test_is_expected_to_fail(): assert 1 == 2
@pytest.fixture
def broken(): raise ValueError
def test_in_error(broken): pass
@pytest.fixture
def breaks_later():
    yield
    raise ValueError
def test_fails_and_breaks_later(breaks_later): assert 1 == 2
"""


def record(dependencies="newest", python="3.11", **changed):
    return {
        "dependencies": dependencies,
        "python": python,
        "full_python": f"{python}.7",
        "system": "Linux x86_64",
        "tests": "all",
        "date": "2026-01-02",
        "focal_gbm": "0.1",
        "passed": 3,
        "failed": 0,
        "skipped": 1,
        "failures": [],
        "versions": {"numpy": "2.0.0", "numba": None},
        **changed,
    }


def test_every_outcome_is_counted_once(tmp_path):
    """A test that fails and whose fixture breaks afterwards has two results."""
    (tmp_path / "test_outcomes.py").write_text(OUTCOMES)
    results = tmp_path / "results.xml"
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    subprocess.run(
        [sys.executable, "-m", "pytest", f"--junitxml={results}"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert versions.counts(results) == {
        "passed": 1,
        "failed": 3,
        "skipped": 2,
        "failures": [
            "test_outcomes::test_fails",
            "test_outcomes::test_fails_and_breaks_later",
            "test_outcomes::test_in_error",
        ],
    }


@pytest.mark.parametrize("content", [None, "", "<testsuites><testsuite"])
def test_no_result_is_a_failure(content, tmp_path):
    path = tmp_path / "results.xml"
    if content is not None:
        path.write_text(content)
    assert versions.counts(path)["failures"] == ["no result"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "all"),
        (["-m", "", "-n", "2", "--dist", "loadfile"], "all"),
        (["-m", "not slow", "-q"], "not slow"),
        (["-m", "gpu"], None),
        (["tests/metrics"], None),
        (["-k", "lightgbm"], None),
        (["-m", "not slow", "--lf"], None),
    ],
)
def test_a_part_of_the_tests_is_no_record(arguments, expected):
    assert versions.selection(arguments) == expected


def test_a_later_run_replaces_an_earlier_one_of_the_same_kind():
    records = []
    for new in (
        record("pre", "3.13"),
        record("newest", "3.13"),
        record("newest", "3.9"),
        record("lowest"),
        record("newest", "3.13", tests="not slow"),
        record("newest", "3.13", date="2026-02-03", passed=4),
    ):
        records = versions.add(records, new)
    assert [(r["dependencies"], r["python"], r["tests"]) for r in records] == [
        ("lowest", "3.11", "all"),
        ("newest", "3.9", "all"),
        ("newest", "3.13", "all"),
        ("newest", "3.13", "not slow"),
        ("pre", "3.13", "all"),
    ]
    assert records[2]["passed"] == 4


def test_the_page_has_failures_and_pre_releases():
    found = versions.page(
        [
            record("pre", versions={"numpy": "2.6.0rc1", "numba": "0.70.0.dev3"}),
            record("pre", "3.13", failed=1, failures=["tests.test_loss::test_zero"]),
        ]
    )
    assert "on 2026-01-02: numpy 2.6.0rc1, numba 0.70.0.dev3." in found
    assert "on 2026-01-02: none; the newest of each package is a release." in found
    assert "Failures of pre, Python 3.13:\n\n- `tests.test_loss::test_zero`" in found
    title, line = re.findall(r"^\| (?:dependencies|pre) .*", found, re.MULTILINE)[:2]
    cells = dict(zip(title.split(" | "), line.split(" | "), strict=True))
    assert (cells["numpy"], cells["xgboost"]) == ("2.6.0rc1", "absent")
    assert (cells["passed"], cells["Python"]) == ("3", "3.11.7")


def test_the_page_is_that_of_the_records():
    """The page would show versions that were never tested, after an edit by hand."""
    # after a change of the page's text: python tests/versions.py
    assert versions.PAGE.read_text() == versions.page(versions.read())


def test_a_run_is_recorded(tmp_path, monkeypatch):
    (tmp_path / "r.xml").write_text('<testsuite><testcase name="a"/></testsuite>')
    monkeypatch.setattr(versions, "RECORDS", tmp_path / "doc" / "versions.jsonl")
    monkeypatch.setattr(versions, "PAGE", tmp_path / "doc" / "versions.md")
    command = ["versions.py", "lowest", str(tmp_path / "r.xml"), "--", "-m"]
    monkeypatch.setattr(sys, "argv", [*command, "gpu"])
    versions.main()
    assert not versions.RECORDS.parent.exists()
    monkeypatch.setattr(sys, "argv", [*command, "not slow"])
    versions.main()
    (new,) = versions.read()
    assert (new["passed"], new["tests"]) == (1, "not slow")
    assert new["versions"]["pytest"] == pytest.__version__
    assert f"| {new['versions']['numpy']} |" in versions.PAGE.read_text()


def test_the_lowest_versions_are_those_stated():
    """lowest.txt would test versions that pyproject.toml does not admit, or not the
    lowest that it admits."""
    project = tomllib.loads((versions.ROOT / "pyproject.toml").read_text())["project"]
    extras = {
        extra: [Requirement(line) for line in lines]
        for extra, lines in project["optional-dependencies"].items()
    }
    extras[""] = [Requirement(line) for line in project["dependencies"]]
    (own,) = (found for found in extras["test"] if found.name == "focal_gbm")
    needed = {
        found.name for extra in ("", "test", *own.extras) for found in extras[extra]
    }
    stated = {
        (found.name, Version(str(found.specifier).removeprefix(">=")))
        for requirements in extras.values()
        for found in requirements
        if found.name in versions.names_of_packages()
    }
    lines = (versions.ROOT / "lowest.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    assert stated == {(name, Version(version)) for name, version in pairs}
    assert needed - {"focal_gbm"} <= {name for name, _ in pairs}
