"""Set-up of the doctests; that of the tests is in tests/conftest.py."""

from __future__ import annotations

import sys

import pytest


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Close the pictures of a doctest: matplotlib warns about more than twenty."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and isinstance(item, pytest.DoctestItem):
        pyplot.close("all")
