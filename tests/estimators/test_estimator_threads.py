"""n_jobs of the estimators: what the objective is told, and the same model for all."""

from __future__ import annotations

import numpy as np
import pytest
from libraries import BOTH, BOTH_LINKS_ONE_SLOW, LIGHTGBM, make_rows

from focal_gbm import FocalObjective, FocalXGBClassifier


@pytest.fixture
def called(monkeypatch):
    """The objectives that boosters call, one for a call."""
    objectives = []
    derivatives = FocalObjective.gradient_hessian

    def watched(self, *arguments, **options):
        objectives.append(self)
        return derivatives(self, *arguments, **options)

    monkeypatch.setattr(FocalObjective, "gradient_hessian", watched)
    return objectives


@BOTH
@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_an_estimator_says_its_own_number(library, n_jobs, called):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(500, 3))
    library.model(n_jobs=n_jobs, n_estimators=2).fit(X, X[:, 0] > 1)
    assert {objective.n_jobs for objective in called} == {n_jobs}


def test_log_loss_is_xgboosts_own(called):
    """It then costs neither a call nor a copy; class weights need ours."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(500, 3))
    y = X[:, 0] > 1
    FocalXGBClassifier(focal_gamma=0.0, n_estimators=2).fit(X, y)
    assert called == []
    FocalXGBClassifier(focal_gamma=0.0, n_estimators=2, scale_pos_weight=5).fit(X, y)
    assert [objective.gamma for objective in called] == [0.0, 0.0]


@BOTH
@pytest.mark.slow
def test_any_number_of_threads_gives_the_same_model(library):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(2**16 + 100, 3)).astype(np.float32)
    y = rng.random(len(X)) < 1 / (1 + np.exp(4 - 2 * X[:, 0]))
    same = {"deterministic": True} if library.name == "lightgbm" else {}
    models = [
        library.model(n_jobs=n, n_estimators=5, **same).fit(X, y) for n in (1, 2, 4)
    ]
    first, *others = (model.predict_proba(X[:1000]) for model in models)
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-6)


@pytest.fixture(scope="module")
def data():
    """6000 rows, 5 % positive, with missing values."""
    X, y = make_rows(6000, 8, seed=7)
    X[np.random.default_rng(1).random(X.shape) < 0.05] = np.nan
    return X, y


@BOTH
@BOTH_LINKS_ONE_SLOW
def test_same_seed_same_model_on_any_number_of_threads(library, link, data):
    X, y = data
    fixed = (
        {"subsample_freq": 1, "deterministic": True, "force_col_wise": True}
        if library is LIGHTGBM
        else {}
    )
    models = [
        library.model(link=link, subsample=0.7, random_state=5, n_jobs=n_jobs, **fixed)
        for n_jobs in (1, 2, 2)
    ]
    raws = [library.raw_score(model.fit(X, y), X) for model in models]
    np.testing.assert_array_equal(raws[0], raws[1])
    np.testing.assert_array_equal(raws[1], raws[2])
