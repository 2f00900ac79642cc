"""Set-up of the doctests and pages; that of the tests is in tests/conftest.py."""

from __future__ import annotations

import sys
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE

import pytest
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser

collect_ignore_glob = ["doc/*.py", "doc/gallery/*"]  # for Sphinx, not for doctest

# the code blocks of a page run in order, as one session
pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser((), ELLIPSIS | NORMALIZE_WHITESPACE), SkipParser()],
    patterns=["README.md", "doc/*.md", "doc/guide/*.md"],
    excludes=["doc/errors.md", "*/README.md"],
).pytest()


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Close the pictures of an example: matplotlib warns about more than twenty."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and not isinstance(item, pytest.Function):
        pyplot.close("all")
