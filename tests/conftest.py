"""Set-up shared by the tests."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

# Numba notices edits of the file that holds a compiled loop, not of the formulas
# that the loop calls; a folder named by the content of all of them cannot be stale.
_KERNELS = Path(__file__).resolve().parent.parent / "focal_gbm" / "_kernels"
_CONTENT = b"".join(path.read_bytes() for path in sorted(_KERNELS.glob("*.py")))
os.environ.setdefault(
    "NUMBA_CACHE_DIR",
    str(
        Path(tempfile.gettempdir())
        / f"focal_gbm_{hashlib.sha256(_CONTENT).hexdigest()[:16]}"
    ),
)
os.environ.setdefault("MPLBACKEND", "Agg")

import hypothesis  # noqa: E402 - after the environment is set

hypothesis.settings.register_profile(
    "focal_gbm", deadline=None, derandomize=True, database=None
)
hypothesis.settings.load_profile("focal_gbm")
