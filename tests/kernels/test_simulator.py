"""The loop for GPUs where there is none: in Numba's simulator, in a process of its own,
which has to be told before Numba is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent / "test_cuda.py"


def test_the_loop_in_the_simulator():
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", TESTS],
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:]
    assert run.stdout.count("PASSED") >= 20
