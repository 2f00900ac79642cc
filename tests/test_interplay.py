"""Calibration packages of others, on top of our estimators."""

from __future__ import annotations

import numpy as np
import pytest
from libraries import BOTH, make_rows


@pytest.fixture(scope="module")
def data():
    return make_rows(6000, 4, seed=21)


@BOTH
@pytest.mark.parametrize("kwargs", [{"cal_size": 0.3}, {"n_splits": 3}], ids=str)
def test_venn_abers(library, kwargs, data):
    venn_abers = pytest.importorskip("venn_abers")
    X, y = data
    calibrator = venn_abers.VennAbersCalibrator(
        estimator=library.model(),
        inductive="cal_size" in kwargs,
        random_state=0,
        **kwargs,
    )
    calibrator.fit(X[:4000], y[:4000])
    p = calibrator.predict_proba(X[4000:])[:, 1]
    assert p.mean() == pytest.approx(y[4000:].mean(), rel=0.25)


@BOTH
def test_mapie(library, data):
    classification = pytest.importorskip("mapie.classification")
    X, y = data
    model = library.model().fit(X[:2500], y[:2500])
    conformal = classification.SplitConformalClassifier(
        model, confidence_level=0.9, prefit=True
    )
    conformal.conformalize(X[2500:4000], y[2500:4000])
    _, sets = conformal.predict_set(X[4000:])
    covered = sets[np.arange(2000), y[4000:], 0].mean()
    assert covered == pytest.approx(0.9, abs=0.03)
