"""Packages of others that calibrate, explain, log or read our models."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
from libraries import BOTH, LIGHTGBM, make_rows, slow


@pytest.fixture(scope="module")
def data():
    return make_rows(6000, 4, seed=21)


@BOTH
@pytest.mark.parametrize("kwargs", [{"cal_size": 0.3}, *slow({"n_splits": 3})], ids=str)
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


@BOTH
def test_other_readers_agree(library, data):
    shap = pytest.importorskip("shap")
    treelite = pytest.importorskip("treelite")
    X, y = data
    model = library.model().fit(X, y)
    p = model.predict_proba(X)[:, 1]
    is_lightgbm = library is LIGHTGBM
    booster = library.booster(model)
    read = treelite.frontend.from_lightgbm if is_lightgbm else from_xgboost(treelite)
    tree_model = read(booster)
    said = np.ravel(treelite.gtil.predict(tree_model, X.astype(np.float32)))
    rows = p if not is_lightgbm else model.predict_proba(X.astype(np.float32))[:, 1]
    np.testing.assert_allclose(said, rows, atol=1e-6)
    explainer = shap.TreeExplainer(model)
    values = np.asarray(explainer.shap_values(X[:50]))
    total = explainer.expected_value + values.sum(axis=-1)
    np.testing.assert_allclose(total, library.raw_score(model, X[:50]), atol=1e-4)


def from_xgboost(treelite):
    """Return treelite's reader of XGBoost models, by way of their bytes."""
    return lambda booster: treelite.frontend.from_xgboost_json(
        bytes(booster.save_raw("json"))
    )


MLFLOW = """
import sys, numpy as np, mlflow
from mlflow import {flavor} as flavor
rows = np.load(sys.argv[1])
X, y, p = rows["X"], rows["y"], rows["p"]
model = flavor.load_model(sys.argv[2])
assert type(model).__name__ == {name!r}, type(model)
np.testing.assert_allclose(model.predict_proba(X), p, atol=1e-12)
"""


@BOTH
@pytest.mark.slow
def test_mlflow_logs_a_model_that_says_the_same(library, data, tmp_path, monkeypatch):
    """Its autologging stores the model by skops or by XGBoost's own format."""
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed")
    pytest.importorskip("skops", reason="skops, by which MLflow stores, is missing")
    X, y = data
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    # half a minute, to find out by processes what the model imports
    monkeypatch.setattr(mlflow.models, "infer_pip_requirements", lambda *_, **__: [])
    flavor = getattr(mlflow, library.name)
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    trusted = getattr(flavor, "_LIGHTGBM_SKLEARN_SKOPS_TRUSTED_TYPES", None)
    before = None if trusted is None else set(trusted)
    flavor.autolog(silent=True)
    try:
        with mlflow.start_run() as run, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = library.model(
                n_jobs=1, n_estimators=5, calibration="platt", calibration_cv=2
            )
            model.fit(X, y)
    finally:
        flavor.autolog(disable=True)
        mlflow.set_tracking_uri(None)
    assert trusted is None or set(trusted) == before
    models = mlflow.search_logged_models  # the folds' are not logged
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    assert len(models(output_format="list")) == 1
    uri = f"runs:/{run.info.run_id}/model"
    path = mlflow.artifacts.download_artifacts(uri, dst_path=str(tmp_path / "model"))
    np.savez(tmp_path / "rows.npz", X=X, y=y, p=model.predict_proba(X))
    code = MLFLOW.format(flavor=library.name, name=library.estimator.__name__)
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "rows.npz"), path], check=True
    )
