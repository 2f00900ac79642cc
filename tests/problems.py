"""Small problems of ranking, drawn by Hypothesis, and the thresholds of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st

LIMITS = st.sampled_from([0.0, 0.001, 0.05, 0.1, 0.3, 0.5, 1.0])


@st.composite
def problems(draw):
    """Labels, scores with ties, and integer weights or none."""
    n = draw(st.integers(2, 60))
    y = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    score = draw(st.lists(st.integers(-4, 4), min_size=n, max_size=n))
    weight = st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any)
    return np.array(y), np.array(score, float), draw(st.none() | weight)


def every_threshold(y, score, weight):
    """Yield threshold, alerted positives and negatives, from none alerted on."""
    w = np.ones(len(y)) if weight is None else np.array(weight, float)
    yield np.inf, 0.0, 0.0, w
    for threshold in sorted(set(score), reverse=True):
        alert = score >= threshold
        yield threshold, (w * y)[alert].sum(), (w * (1 - y))[alert].sum(), w


def same(value, expected):
    """Compare floats, NaN being equal to NaN."""
    assert value == pytest.approx(expected, nan_ok=True)
