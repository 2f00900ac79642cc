"""Both classifiers on a cluster of two workers, beside the classifiers without one."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from libraries import BOTH
from scipy.special import expit
from sklearn.base import clone
from sklearn.metrics import average_precision_score

from focal_gbm import FocalLoss, FocalObjective, PriorShift

dask = pytest.importorskip("dask", reason="needs the extra [dask]")
da = pytest.importorskip("dask.array", reason="needs the extra [dask]")
dd = pytest.importorskip("dask.dataframe", reason="needs the extra [dask]")
distributed = pytest.importorskip("distributed", reason="needs the extra [dask]")
cluster_module = pytest.importorskip("focal_gbm.dask", reason="needs the extra [dask]")

pytestmark = pytest.mark.slow
N = 12_000


def on_cluster(library, **kwargs):
    names = {"lightgbm": "FocalDaskLGBMClassifier", "xgboost": "FocalDaskXGBClassifier"}
    kind = getattr(cluster_module, names[library.name])
    small = {"n_estimators": 30, "learning_rate": 0.1, "random_state": 0}
    return kind(**{**small, **library.quiet, **kwargs})


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 5))
    p = expit(1.5 * X[:, 0] + X[:, 1] - 4)
    y = (rng.random(N) < p).astype(int)
    weight = rng.integers(1, 4, N).astype(float)
    return X, y, weight


def arrays(values, chunks):
    return da.from_array(
        values, chunks=(chunks, values.shape[1]) if values.ndim == 2 else (chunks,)
    )


UNEVEN = (5000, 200, 4800, 2000)


@BOTH
@pytest.mark.parametrize(
    "parameters",
    [{}, {"focal_gamma": 0.0}, {"scale_pos_weight": 5.0}, {"start": 0.0}],
    ids=str,
)
def test_the_model_is_that_without_a_cluster(client, rows, library, parameters):
    X, y, weight = rows
    model = on_cluster(library, **parameters)
    model.fit(
        arrays(X, UNEVEN), arrays(y, UNEVEN), sample_weight=arrays(weight, UNEVEN)
    )
    local = library.model(**parameters).fit(X, y, sample_weight=weight)
    p = model.predict_proba(X)[:, 1]
    # on rows of neither model: where partitions lie decides bins, and so which noise of
    # the training rows is fitted
    rng = np.random.default_rng(1)
    X_new = rng.normal(size=(5 * N, 5))
    y_new = rng.random(5 * N) < expit(1.5 * X_new[:, 0] + X_new[:, 1] - 4)
    scores = [
        average_precision_score(y_new, m.predict_proba(X_new)[:, 1])
        for m in (model, local)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=0.03)
    rate = np.average(y, weights=weight)
    assert np.average(p, weights=weight) == pytest.approx(rate, rel=1e-6)
    assert model.loss_ == local.loss_
    assert model.threshold_ == local.threshold_
    np.testing.assert_array_equal(model.classes_, local.classes_)


@BOTH
def test_the_same_trees_have_the_same_constant(client, rows, library):
    """One worker trains the very model of one process."""
    X, y, _ = rows
    addresses = list(client.scheduler_info()["workers"])[:1]
    dX, dy = (client.persist(arrays(v, N), workers=addresses) for v in (X, y))
    model = on_cluster(library).fit(dX, dy)
    local = library.model().fit(X, y)
    np.testing.assert_allclose(
        library.raw_score(model.to_local(), X),
        library.raw_score(local, X),
        atol=1e-5 if library.name == "xgboost" else 1e-9,
    )


@BOTH
def test_workers_and_partitions_without_positives(client, rows, library):
    X, y, _ = rows
    order = np.argsort(y, kind="stable")
    X, y = X[order], y[order]
    first, second = list(client.scheduler_info()["workers"])
    half = N // 2  # all positives lie in the second half
    assert y[:half].sum() == 0
    places = ((first, 0, half), (second, half, half), (second, half, N))
    parts = []
    for values in (X, y):
        blocks = [
            client.persist(arrays(values[a:b], max(b - a, 1)), workers=[worker])
            if b > a
            else arrays(values[a:b], 1)
            for worker, a, b in places
        ]
        parts.append(da.concatenate([block for block in blocks if len(block)]))
    model = on_cluster(library).fit(*parts)
    p = model.predict_proba(X)[:, 1]
    assert p.mean() == pytest.approx(y.mean(), rel=1e-6)
    assert average_precision_score(y, p) > 0.3


@BOTH
def test_frames_with_empty_partitions_and_categories(client, rows, library):
    X, y, weight = rows
    frame = pd.DataFrame(X, columns=list("abcde"))
    frame["kind"] = pd.Categorical(np.where(X[:, 2] > 0, "up", "down"))
    frame["label"] = np.where(y > 0, "x fraud", "genuine")
    frame["weight"] = weight
    ddf = dd.from_pandas(frame, npartitions=5)
    ddf = ddf[ddf["a"] > -10]
    empty = ddf[ddf["a"] > 10]  # partitions without a row
    ddf = dd.concat([empty, ddf])
    columns = [*"abcde", "kind"]
    settings = {} if library.name == "lightgbm" else {"enable_categorical": True}
    model = on_cluster(library, **settings)
    model.fit(ddf[columns], ddf["label"], sample_weight=ddf["weight"])
    assert model.classes_.tolist() == ["genuine", "x fraud"]
    assert list(model.feature_names_in_) == columns
    lazy = model.predict_proba(ddf[columns])
    assert isinstance(lazy, da.Array)
    p = lazy.compute()
    np.testing.assert_allclose(p, model.predict_proba(frame[columns]), rtol=1e-6)
    assert np.average(p[:, 1], weights=weight) == pytest.approx(
        np.average(y, weights=weight), rel=1e-6
    )
    labels = model.predict(ddf[columns]).compute()
    assert set(labels) <= {"genuine", "x fraud"}
    unknown = ddf[columns].assign(kind=ddf["kind"].cat.as_unknown())
    with pytest.raises(ValueError, match="categories that Dask does not know"):
        model.fit(unknown, ddf["label"])


@BOTH
def test_late_labels(client, rows, library):
    X, _, weight = rows
    rng = np.random.default_rng(1)
    p = expit(1.5 * X[:, 0] + X[:, 1] - 3)
    maturity = rng.choice([0.3, 1.0], N)
    seen = (rng.random(N) < p * maturity).astype(int)
    values = {"sample_weight": weight, "label_maturity": maturity}
    model = on_cluster(library).fit(
        arrays(X, UNEVEN),
        arrays(seen, UNEVEN),
        **{k: arrays(v, UNEVEN) for k, v in values.items()},
    )
    local = library.model().fit(X, seen, **values)
    found = model.predict_proba(X)[:, 1]
    expected = (weight * maturity * found).sum()
    assert expected == pytest.approx((weight * seen).sum(), rel=1e-6)
    assert found.mean() == pytest.approx(local.predict_proba(X)[:, 1].mean(), rel=0.02)
    assert found.mean() == pytest.approx(p.mean(), rel=0.12)


@BOTH
def test_calibrate_pickle_and_what_is_saved(client, rows, library, tmp_path):
    X, y, weight = rows
    model = on_cluster(library).fit(arrays(X, 4000), arrays(y, 4000))
    raw, p = library.plain(model.to_local(), X)
    np.testing.assert_allclose(p, model.predict_proba(X)[:, 1], rtol=1e-6)
    kinds = {type(model.to_local()), library.estimator}
    assert kinds == {library.estimator}
    for again in (pickle.loads(pickle.dumps(model)), model.to_local()):
        np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    later = (rows[0] + 0.3)[:5000], y[:5000], weight[:5000]
    model.calibrate(*(arrays(v, 2500) for v in later))
    local = model.to_local().calibrate(*later)
    np.testing.assert_allclose(
        model.decision_function(arrays(X, 3000)).compute(),
        local.decision_function(X),
        rtol=1e-6,
    )
    assert model.calibrator_ is not None
    np.testing.assert_allclose(raw, library.raw_score(model.to_local(), X), rtol=1e-6)
    assert clone(model).get_params() == model.get_params()
    assert model.n_estimators == 30


@BOTH
def test_a_known_shift_of_the_rate(client, rows, library):
    X, y, _ = rows
    shift = PriorShift(kept_negatives=0.1)
    model = on_cluster(library, calibration=shift).fit(arrays(X, 6000), arrays(y, 6000))
    log_odds = model.decision_function(X)
    loss = FocalLoss()
    raw = library.raw_score(model.to_local(), X)
    np.testing.assert_allclose(log_odds, loss.log_odds(raw) + np.log(0.1), rtol=1e-5)


REFUSED = {
    "calibration": ({"calibration": "platt"}, "needs folds"),
    "progress": ({"progress": True}, "dashboard"),
    "no cluster's parameter": ({"focal_gamma": -1.0}, "focal_gamma"),
}


@BOTH
@pytest.mark.parametrize("case", REFUSED)
def test_parameters_that_a_cluster_cannot_honour(client, rows, library, case):
    X, y, _ = rows
    parameters, message = REFUSED[case]
    model = on_cluster(library, **parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(arrays(X, 6000), arrays(y, 6000))
    assert not hasattr(model, "loss_")
    stopping = on_cluster(library, **library.stopping(5))
    with pytest.raises(ValueError, match="on a sample"):
        stopping.fit(arrays(X, 6000), arrays(y, 6000))


BAD_ROWS = {
    "one class": (lambda y: y * 0, "one class only"),
    "three classes": (lambda y: y + (np.arange(N) % 2), "multiclass"),
    "no label": (lambda y: np.where(np.arange(N) == 7000, np.nan, y), "partition 1"),
}


@BOTH
@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_named_and_change_nothing(client, rows, library, case):
    X, y, _ = rows
    change, message = BAD_ROWS[case]
    model = on_cluster(library).fit(arrays(X, 6000), arrays(y, 6000))
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        model.fit(arrays(X, 6000), arrays(change(y), 6000))
    np.testing.assert_array_equal(model.predict_proba(X), before)


@BOTH
def test_collections_that_do_not_fit(client, rows, library):
    X, y, weight = rows
    model = on_cluster(library)
    with pytest.raises(TypeError, match="must be a Dask array or data frame"):
        model.fit(X, y)
    with pytest.raises(ValueError, match="partitions"):
        model.fit(arrays(X, 6000), arrays(y[:-1], 6000)[:6000])
    bad = arrays(np.where(np.arange(N) == 3, -1.0, weight), 6000)
    with pytest.raises(ValueError, match="sample_weight of partition 0"):
        model.fit(arrays(X, 6000), arrays(y, 6000), sample_weight=bad)
    late = arrays(np.where(np.arange(N) == 8000, 1.5, weight / 3), 6000)
    with pytest.raises(ValueError, match="label_maturity of partition 1"):
        model.fit(arrays(X, 6000), arrays(y, 6000), label_maturity=late)


@BOTH
def test_without_a_client_the_cure_is_named(rows, library, monkeypatch):
    X, y, _ = rows

    def none():
        msg = "No global client found and no address provided"
        raise ValueError(msg)

    model, dX, dy = on_cluster(library), arrays(X, 6000), arrays(y, 6000)
    monkeypatch.setattr("focal_gbm._estimators.cluster.get_client", none)
    with pytest.raises(RuntimeError, match="no Dask client"):
        model.fit(dX, dy)


@BOTH
@pytest.mark.parametrize("calls", [0, 5], ids=["as they connect", "in training"])
def test_a_worker_that_is_lost_leaves_no_half_trained_model(rows, library, calls):
    X, y, _ = rows
    model = on_cluster(library, n_estimators=100_000, learning_rate=1e-5)

    def die_after(calls):
        """End this worker at a call of the objective, or as it is unpickled."""
        derivatives, seen = FocalObjective.gradient_hessian, []

        def count(*args, **kwargs):
            seen.append(1)
            if len(seen) > calls:
                os.kill(os.getpid(), signal.SIGKILL)
            return derivatives(*args, **kwargs)

        def unpickled(*_):
            os.kill(os.getpid(), signal.SIGKILL)

        if calls:
            FocalObjective.gradient_hessian = count
        else:
            FocalObjective.__setstate__ = unpickled

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        dX, dy = client.persist([arrays(X, 6000), arrays(y, 6000)])
        distributed.wait([dX, dy])
        client.run(die_after, calls, workers=list(client.nthreads())[1:])
        with pytest.raises(Exception, match=r".") as caught:  # the library's or ours
            model.fit(dX, dy)
    assert any("as it was before fit" in note for note in caught.value.__notes__)
    assert not hasattr(model, "loss_")


@BOTH
def test_a_scheduler_that_is_lost_leaves_no_half_trained_model(rows, library, tmp_path):
    """The tasks of the training end with their scheduler, and no result comes back."""
    X, y, _ = rows
    model = on_cluster(library, n_estimators=100_000, learning_rate=1e-5)

    def start(kind, *arguments):
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}"]
        command += ["--scheduler-file", tmp_path / "scheduler.json", "--no-dashboard"]
        return subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def end_after(calls, pid):
        """End another process at a call of the objective in this one."""
        derivatives, seen = FocalObjective.gradient_hessian, []

        def count(*args, **kwargs):
            seen.append(1)
            if len(seen) == calls:
                os.kill(pid, signal.SIGKILL)
            return derivatives(*args, **kwargs)

        FocalObjective.gradient_hessian = count

    scheduler = start("scheduler", "--host", "127.0.0.1", "--port", "0")
    own = ("--nthreads", "1", "--no-nanny", "--local-directory", tmp_path)
    processes = [scheduler, start("worker", *own), start("worker", *own)]
    try:
        with (
            # how long XGBoost waits for a scheduler to return
            dask.config.set({"distributed.comm.timeouts.connect": "5s"}),
            distributed.Client(scheduler_file=tmp_path / "scheduler.json") as client,
        ):
            client.wait_for_workers(2, timeout=60)
            dX, dy = client.persist([arrays(X, 6000), arrays(y, 6000)])
            distributed.wait([dX, dy])
            one = list(client.nthreads())[1:]
            client.run(end_after, 5, scheduler.pid, workers=one)
            with pytest.raises(Exception, match=r".") as caught:  # of Dask
                model.fit(dX, dy)
            assert scheduler.wait(timeout=10) == -signal.SIGKILL
    finally:
        for process in processes:  # the workers train on
            process.kill()
            process.wait()
    assert any("as it was before fit" in note for note in caught.value.__notes__)
    assert not hasattr(model, "loss_")
