"""Vectors for derivatives are used again, and never while somebody else holds them."""

from __future__ import annotations

import numpy as np
import pytest

from focal_gbm import FocalObjective
from focal_gbm._kernels import buffers


class Vector:
    """Something of a length, as Pair needs it."""

    def __init__(self, n_rows):
        self.n_rows = n_rows

    def __len__(self):
        return self.n_rows


@pytest.fixture
def made():
    """The lengths of the pairs that were made, and a pair of vectors that counts."""
    lengths = []

    def make(n_rows):
        lengths.append(n_rows)
        return Vector(n_rows), Vector(n_rows)

    pair = buffers.Pair(make)
    lengths.clear()
    return lengths, pair


def test_a_pair_is_made_once(made):
    """An address that is the same proves nothing: the allocator hands out the memory
    that was freed last."""
    lengths, pair = made
    for _ in range(5):
        pair.take(1000)
    assert lengths == [1000]


@pytest.mark.parametrize("which", [0, 1])
def test_a_vector_that_is_held_is_not_handed_out(made, which):
    lengths, pair = made
    held = pair.take(1000)[which]
    for _ in range(3):
        assert held not in pair.take(1000)
    assert lengths == [1000, 1000]
    del held
    pair.take(1000)
    assert lengths == [1000, 1000]


def test_another_length_is_another_pair(made):
    lengths, pair = made
    for n_rows in (10, 20, 20, 10):
        first, second = pair.take(n_rows)
        assert len(first) == len(second) == n_rows
        del first, second
    assert lengths == [10, 20, 10]


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


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_buffers_are_used_again(n_jobs, monkeypatch):
    """Of all arrays of a call, gradient and Hessian are made in the first one alone."""
    made = []
    empty = np.empty
    monkeypatch.setattr(
        np, "empty", lambda n, *dtype, **kw: made.append(n) or empty(n, *dtype, **kw)
    )
    z = np.zeros(1000)
    objective = FocalObjective(n_jobs=n_jobs)
    for _ in range(5):
        objective(z, z)
    assert made.count(1000) == 2
    held = objective(z, z)
    objective(z, z)
    assert made.count(1000) == 4
    del held
