"""Scores at which derivatives are tested, and the forms of the derivatives."""

from __future__ import annotations

import numpy as np

LOGIT_HESSIANS = ("expected", "exact", "clipped")
ALL_FORMS = [
    ("posterior", "expected"),
    *(("logit", hessian) for hessian in LOGIT_HESSIANS),
]
GRID = np.linspace(-40, 40, 1601, dtype=np.float32)
EXTREMES = np.array(
    [
        -np.inf,
        -3.4e38,
        -1000000.0,
        -104,
        -88,
        -87,
        -80,
        -17,
        -1e-38,
        -0.0,
        0.0,
        1e-45,
        1e-07,
        17,
        37,
        80,
        87,
        88,
        104,
        1000000.0,
        3.4e38,
        np.inf,
    ],
    dtype=np.float32,
)
FAR_SCORES = np.array(
    [0, 5e-324, 1e-45, 1, 80, 1e30, np.finfo("f4").max, 1e300, np.inf]
)


def both_classes(z):
    """Return labels and scores with every score in both classes."""
    return np.repeat([0.0, 1.0], len(z)).astype(np.float32), np.tile(z, 2)
