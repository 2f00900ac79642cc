"""The rows of most tests of the estimators; others have a fixture of their own."""

from __future__ import annotations

import pytest
from libraries import make_rows


@pytest.fixture(scope="module")
def data():
    return make_rows(3000, 5, seed=11)
