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
import numpy as np  # noqa: E402
import pytest  # noqa: E402

hypothesis.settings.register_profile(
    "focal_gbm", deadline=None, derandomize=True, database=None
)
hypothesis.settings.load_profile("focal_gbm")


@pytest.fixture(scope="module")
def data():
    """The rows of most tests of the estimators; other files have a fixture of their
    own."""
    from libraries import make_rows

    return make_rows(3000, 5, seed=11)


@pytest.fixture
def closed():
    """Close the pictures of a test."""
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture(scope="module")
def drawn_rows():
    """The rows of the pictures: features, labels, and their true probabilities."""
    from scipy.special import expit

    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 4))
    truth = expit(2 * X[:, 0] - 5)
    return X, (rng.random(20_000) < truth).astype(int), truth


@pytest.fixture(scope="module")
def drawn_model(drawn_rows):
    """A model of the rows of the pictures, and the words that are its labels."""
    from focal_gbm import FocalLGBMClassifier

    X, y, _ = drawn_rows
    words = np.where(y == 1, "x fraud", "good")
    return FocalLGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1).fit(
        X, words
    ), words
