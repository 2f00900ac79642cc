"""The loop for GPUs where there is none: in Numba's simulator, in a process of its own,
which has to be told before Numba is loaded."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent / "test_cuda.py"


def names_in(path):
    """Return the names of a file's tests, and of those that need a card."""
    names, of_cards = set(), set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            names.add(node.name)
            marks = {ast.unparse(mark) for mark in node.decorator_list}
            if "on_a_card" in marks:
                of_cards.add(node.name)
    return names, of_cards


@pytest.mark.slow
def test_the_loop_in_the_simulator():
    """A test that is skipped, renamed or not collected would pass in silence."""
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", TESTS],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:]
    passed = re.findall(r"^PASSED .*::(test_\w+)", run.stdout, re.MULTILINE)
    names, of_cards = names_in(TESTS)
    assert set(passed) == names - of_cards
    assert len(of_cards) == 2
    assert len(passed) >= 39  # with their parameters
