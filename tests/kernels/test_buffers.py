"""Buffers are used again, and never while somebody else holds them."""

from __future__ import annotations

import numpy as np

from focal_gbm import FocalObjective


def test_results_are_not_overwritten_while_held():
    objective = FocalObjective()
    first = objective([0, 1], [0.0, 0.0])
    kept = [values.copy() for values in first]
    view = objective([0, 1], [5.0, 5.0])[0][:1]
    seen = view.copy()
    objective([0, 1], [-5.0, 7.0])
    for a, b in zip(first, kept, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(view, seen)


def test_buffers_are_used_again():
    objective = FocalObjective()
    z = np.zeros(1000)
    addresses = {objective(z, z)[0].ctypes.data for _ in range(5)}
    assert len(addresses) == 1
