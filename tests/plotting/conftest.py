"""Rows and a model for the pictures, which are closed after each test."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.special import expit

from focal_gbm import FocalLGBMClassifier


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 4))
    truth = expit(2 * X[:, 0] - 5)
    y = (rng.random(20_000) < truth).astype(int)
    return X, y, truth


@pytest.fixture(scope="module")
def model(rows):
    X, y, _ = rows
    words = np.where(y == 1, "x fraud", "good")
    return FocalLGBMClassifier(n_estimators=20, verbose=-1).fit(X, words), words
