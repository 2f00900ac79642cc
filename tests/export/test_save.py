"""Models saved to one file and loaded: what is kept, what is refused, what is left."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from libraries import BOTH, LIGHTGBM, XGBOOST
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from xgboost.callback import EarlyStopping

from focal_gbm import FocalClassifierCV, FocalMetric, LogOddsCalibrator, PriorShift
from focal_gbm.delays import ReportingDelay
from focal_gbm.export import SKOPS_TRUSTED, load, save
from focal_gbm.export._archive import packed
from focal_gbm.model_selection import PrequentialSplit

skops_io = pytest.importorskip("skops.io", reason="needs the extra [export]")

RNG = np.random.default_rng(7)
X = RNG.normal(size=(400, 3))
Y = RNG.random(400) < 1 / (1 + np.exp(2.5 - 2 * X[:, 0]))
X[::9, 1] = np.nan
FRAME = pd.DataFrame(
    {
        "amount": X[:, 0],
        "age": X[:, 1],
        "country": pd.Categorical(np.where(X[:, 2] > 0, "NL", "FR")),
    }
)


def small(library, **parameters):
    return library.model(n_estimators=5, **parameters)


def fitted(library, **parameters):
    return small(library, **parameters).fit(X, Y)


def cross_fitted(library, cv=2):
    size = {"num_leaves": 4} if library is LIGHTGBM else {"max_depth": 2}
    model = FocalClassifierCV(small(library), cv=cv, max_trees=5, sizes=[size])
    return model.fit(X, Y)


def of_columns(library):
    columns = make_column_transformer(
        (OneHotEncoder(), ["country"]), remainder="passthrough"
    )
    return make_pipeline(columns, small(library)).fit(FRAME, Y)


def calibrated(method):
    model = CalibratedClassifierCV(small(LIGHTGBM), method=method, cv=2)
    return model.fit(X, Y)


def with_folds(splitter):
    """A model whose parameter calibration_cv is a splitter."""
    return fitted(LIGHTGBM).set_params(calibration_cv=splitter)


def again(model, folder, **options):
    save(model, folder / "fraud.model", **options)
    return load(folder / "fraud.model", **options)


# parameters, or what makes a fitted model
KINDS: dict[str, Any] = {
    "default": {},
    "intercept": {"calibration": "intercept", "calibration_cv": 2},
    "beta": {"calibration": "beta", "calibration_cv": 2},
    "isotonic": {"calibration": "isotonic", "calibration_cv": 2},
    "calibrator": {"calibration": LogOddsCalibrator("platt"), "calibration_cv": 2},
    "prior shift": {"calibration": PriorShift(kept_negatives=0.1)},
    "logit": {"link": "logit", "focal_alpha": 0.6},
    "random state": {"random_state": np.random.RandomState(3)},
    "text labels": lambda library: small(library).fit(X, np.where(Y, "stolen", "good")),
    "calibrated later": lambda library: fitted(library).calibrate(X, Y),
    "cross-fitted": cross_fitted,
    "pipeline": lambda library: make_pipeline(StandardScaler(), small(library)).fit(
        X, Y
    ),
}


@BOTH
@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_are_those_saved(library, kind, tmp_path):
    made = KINDS[kind]
    model = made(library) if callable(made) else fitted(library, **made)
    loaded = again(model, tmp_path)
    assert type(loaded) is type(model)
    expected = model.predict_proba(X)
    assert np.ptp(expected[:, 1]) > 0.03
    np.testing.assert_array_equal(loaded.predict_proba(X), expected)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))


@BOTH
def test_columns_of_a_frame_are_kept(library, tmp_path):
    options = {} if library is LIGHTGBM else {"enable_categorical": True}
    frame_model = small(library, **options).fit(FRAME, Y)
    for model in (frame_model, of_columns(library)):
        loaded = again(model, tmp_path)
        expected = model.predict_proba(FRAME)
        np.testing.assert_array_equal(loaded.predict_proba(FRAME), expected)
    if library is LIGHTGBM:  # it finds categories by the values of the training
        other = FRAME.assign(
            country=FRAME["country"].cat.reorder_categories(["NL", "FR"])
        )
        loaded = again(frame_model, tmp_path)
        np.testing.assert_array_equal(
            loaded.predict_proba(other), frame_model.predict_proba(FRAME)
        )


def test_dictionaries_keep_both_booleans(tmp_path):
    """skops restores the key False as True, and one entry would be lost."""
    weights = {False: 1.0, True: 3.0}
    loaded = again(fitted(LIGHTGBM, class_weight=weights), tmp_path)
    assert loaded.class_weight == weights
    assert {type(key) for key in loaded.class_weight} == {bool}
    assert loaded._class_map == {False: 0, True: 1}
    expected = fitted(LIGHTGBM, class_weight=weights).predict_proba(X)
    np.testing.assert_array_equal(loaded.fit(X, Y).predict_proba(X), expected)


def test_keys_of_equal_text_are_refused(tmp_path):
    model = fitted(LIGHTGBM).set_params(class_weight={1: 2.0, "1": 3.0})
    with pytest.raises(TypeError, match="keys whose texts are equal"):
        save(model, tmp_path / "model")


def test_labels_that_skops_cannot_write_are_named(tmp_path):
    days = np.where(Y, np.datetime64("2026-01-02"), np.datetime64("2026-01-01"))
    model = small(LIGHTGBM).fit(X, days)
    with pytest.raises(TypeError, match=r"FocalLGBMClassifier cannot be saved.*date"):
        save(model, tmp_path / "model")
    again(small(XGBOOST).fit(X, days), tmp_path)  # its state has no such dictionary


def test_calibrators_and_delays(tmp_path):
    log_odds = X[:, 0] - 2.5
    for method in ("intercept", "platt", "beta", "quadratic", "isotonic", "auto"):
        calibrator = LogOddsCalibrator(method).fit(log_odds, Y)
        loaded = again(calibrator, tmp_path)
        np.testing.assert_array_equal(
            loaded.predict(log_odds), calibrator.predict(log_odds)
        )
    delay = ReportingDelay().fit(RNG.exponential(5.0, 200), np.full(200, 50.0))
    ages = np.linspace(0.0, 60.0, 50)
    np.testing.assert_array_equal(
        again(delay, tmp_path).maturity(ages), delay.maturity(ages)
    )


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibrated_classifier_cv(method, tmp_path):
    model = calibrated(method)
    expected = model.predict_proba(X)
    np.testing.assert_array_equal(again(model, tmp_path).predict_proba(X), expected)


@BOTH
def test_a_dask_classifier_is_saved_as_the_local_one(library, tmp_path):
    reason = "needs the extra [dask]"
    dask = pytest.importorskip("focal_gbm.dask", reason=reason)
    local = fitted(library)
    on_cluster = getattr(
        dask, library.estimator.__name__.replace("Focal", "FocalDask")
    )()
    on_cluster.__dict__.update(local.__dict__)  # as a fit on a cluster leaves it
    loaded = again(on_cluster, tmp_path)
    assert type(loaded) is library.estimator
    np.testing.assert_array_equal(loaded.predict_proba(X), local.predict_proba(X))


# an object that needs each type of SKOPS_TRUSTED
NEEDS: dict[str, Callable[[], Any]] = {
    "collections.OrderedDict": lambda: fitted(LIGHTGBM),
    "focal_gbm.calibration.LogOddsCalibrator": lambda: LogOddsCalibrator().fit(
        X[:, 0], Y
    ),
    "focal_gbm.calibration.PriorShift": lambda: PriorShift(kept_negatives=0.5).fit(),
    "focal_gbm.calibration._Parametric": lambda: LogOddsCalibrator("beta").fit(
        X[:, 0], Y
    ),
    "focal_gbm.calibration._Scale": lambda: LogOddsCalibrator("beta").fit(X[:, 0], Y),
    "focal_gbm.calibration._Steps": lambda: LogOddsCalibrator("isotonic").fit(
        X[:, 0], Y
    ),
    "focal_gbm.calibration._unmoved": lambda: LogOddsCalibrator("auto").fit(
        np.where(Y, 1.0, -1.0) * np.log(3.0), Y ^ (np.arange(400) % 4 == 0)
    ),
    "focal_gbm.cross_fit.FocalClassifierCV": lambda: cross_fitted(XGBOOST),
    "focal_gbm.delays.ReportingDelay": lambda: ReportingDelay().fit(
        np.arange(60.0), np.full(60, 90.0)
    ),
    "focal_gbm.delays._Curve": lambda: ReportingDelay().fit(
        np.arange(60.0), np.full(60, 90.0)
    ),
    "focal_gbm.delays._Tail": lambda: ReportingDelay().fit(
        np.arange(60.0), np.full(60, 90.0)
    ),
    "focal_gbm.lightgbm.FocalLGBMClassifier": lambda: fitted(LIGHTGBM),
    "focal_gbm.loss.FocalLoss": lambda: fitted(XGBOOST),
    "focal_gbm.model_selection._prequential.PrequentialSplit": lambda: with_folds(
        PrequentialSplit(100, 10, 50, time=np.arange(400.0))
    ),
    "focal_gbm.objective._metric.FocalMetric": lambda: small(
        XGBOOST, eval_metric=FocalMetric(metric="log_loss")
    ).fit(X, Y, eval_set=[(X, Y)], verbose=False),
    "focal_gbm.xgboost.FocalXGBClassifier": lambda: fitted(XGBOOST),
    "lightgbm.basic.Booster": lambda: fitted(LIGHTGBM),
    "sklearn.calibration._CalibratedClassifier": lambda: calibrated("isotonic"),
    "sklearn.calibration._SigmoidCalibration": lambda: calibrated("sigmoid"),
    "sklearn.compose._column_transformer._RemainderColsList": lambda: of_columns(
        LIGHTGBM
    ),
    "sklearn.model_selection._split.GroupKFold": lambda: with_folds(GroupKFold()),
    "sklearn.model_selection._split.KFold": lambda: with_folds(KFold()),
    "sklearn.model_selection._split.StratifiedGroupKFold": lambda: with_folds(
        StratifiedGroupKFold()
    ),
    "sklearn.model_selection._split.StratifiedKFold": lambda: with_folds(
        StratifiedKFold(2, shuffle=True, random_state=1)
    ),
    "sklearn.model_selection._split.TimeSeriesSplit": lambda: with_folds(
        TimeSeriesSplit()
    ),
    "xgboost.core.Booster": lambda: fitted(XGBOOST),
}


def test_each_trusted_type_has_a_test():
    assert sorted(SKOPS_TRUSTED) == sorted(NEEDS)


@pytest.mark.parametrize("name", NEEDS)
def test_each_trusted_type_is_needed(name, tmp_path):
    if name.endswith("_RemainderColsList") and sklearn.__version__ >= "1.7":
        pytest.skip("scikit-learn 1.7 and later have no such type in a file")
    model = NEEDS[name]()
    found = skops_io.get_untrusted_types(data=packed(model))
    assert name in found
    assert set(found) <= set(SKOPS_TRUSTED)
    again(model, tmp_path)


class Doubled(TransformerMixin, BaseEstimator):
    """A transformer of a user."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return 2 * X


def halved(X):
    return X / 2


def test_types_of_a_user_need_trust(tmp_path):
    model = make_pipeline(Doubled(), FunctionTransformer(halved), small(XGBOOST))
    model.fit(X, Y)
    path = tmp_path / "model"
    names = [f"{__name__}.Doubled", f"{__name__}.halved"]
    where = rf"{names[0]} at steps\[0\]\[1\]"
    with pytest.raises(TypeError, match=where):
        save(model, path)
    with pytest.raises(TypeError, match=r"halved at steps\[1\]\[1\]\.func"):
        save(model, path, trusted=names[:1])
    assert not path.exists()
    save(model, path, trusted=[Doubled, names[1]])
    with pytest.raises(ValueError, match=where):
        load(path)
    loaded = load(path, trusted=names)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_what_cannot_be_saved_is_named(tmp_path):
    """Callbacks, lambdas and local types, with the place of each."""

    class Local(Doubled):
        pass

    stopped = small(XGBOOST, callbacks=[EarlyStopping(rounds=2)])
    stopped.fit(X, Y, eval_set=[(X, Y)], verbose=False)
    as_lambda = make_pipeline(FunctionTransformer(lambda X: X), small(XGBOOST))
    local = make_pipeline(Local(), small(LIGHTGBM))
    bound = make_pipeline(FunctionTransformer(Doubled().transform), small(XGBOOST))
    for model, place in (
        (stopped, r"xgboost\.callback\.EarlyStopping at callbacks\[0\]"),
        (as_lambda.fit(X, Y), r"<lambda> at steps\[0\]\[1\]\.func"),
        (local.fit(X, Y), r"Local at steps\[0\]\[1\]"),
        (bound.fit(X, Y), r"Doubled.* at steps\[0\]\[1\]\.func"),
    ):
        with pytest.raises(TypeError, match=rf"cannot be saved safely: .*{place}"):
            save(model, tmp_path / "model")
    # trust does not help where the name leads nowhere
    for model, name in ((as_lambda, "<lambda>"), (local, "Local")):
        with pytest.raises(TypeError, match="cannot be built"):
            save(model, tmp_path / "model", trusted=[f"{__name__}.{name}"])
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_fitted_estimator_is_refused(tmp_path):
    path = tmp_path / "model"
    for wrong in (None, "model", fitted(LIGHTGBM).booster_, LIGHTGBM.estimator, {}):
        with pytest.raises(TypeError, match="model must be a fitted estimator, got"):
            save(wrong, path)
    with pytest.raises(NotFittedError):
        save(LIGHTGBM.model(), path)
    assert not path.exists()


def test_paths(tmp_path, monkeypatch):
    model = fitted(XGBOOST)
    monkeypatch.chdir(tmp_path)
    assert save(model, "relative") is None
    assert save(model, tmp_path / "no suffix ä") is None
    for path in (tmp_path / "relative", str(tmp_path / "no suffix ä")):
        np.testing.assert_array_equal(load(path).predict_proba(X), load_proba(model))
    with (tmp_path / "open").open("w+b") as file:
        for wrong in (file, io.BytesIO(), b"bytes", 3, None):
            with pytest.raises(TypeError, match="path must be a str or a Path, got"):
                save(model, wrong)
            with pytest.raises(TypeError, match="path must be a str or a Path, got"):
                load(wrong)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        save(model, tmp_path)
    with pytest.raises(ValueError, match="is no file"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*missing"):
        save(model, tmp_path / "missing" / "model")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*missing"):
        load(tmp_path / "missing")


def load_proba(model):
    return model.predict_proba(X)


@pytest.mark.parametrize("wrong", ["my.Type", True, Doubled, {"my.Type"}, [3]])
def test_trusted_is_a_sequence_of_names(wrong, tmp_path):
    with pytest.raises(TypeError, match="trusted must"):
        save(fitted(XGBOOST), tmp_path / "model", trusted=wrong)
    with pytest.raises(TypeError, match="trusted must"):
        load(tmp_path / "model", trusted=wrong)


def test_without_skops_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skops.io", None)
    for call in (lambda: save(fitted(XGBOOST), tmp_path / "m"), lambda: load("m")):
        with pytest.raises(ImportError, match=r"pip install 'focal_gbm\[export\]'"):
            call()


@pytest.mark.skipif(os.name != "posix", reason="links and modes of POSIX")
def test_links_and_modes_are_kept(tmp_path):
    first, second = fitted(LIGHTGBM), fitted(LIGHTGBM, focal_gamma=0.0)
    path, link = tmp_path / "model", tmp_path / "current"
    save(first, path)
    path.chmod(0o640)
    link.symlink_to(path)
    save(second, link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    np.testing.assert_array_equal(load(path).predict_proba(X), second.predict_proba(X))


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "model"
    save(fitted(LIGHTGBM), path)
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(fitted(XGBOOST), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_left_overs_of_killed_saves_are_removed(tmp_path):
    """The young file may be of another save, which is still writing it."""
    old, young = (tmp_path / f".focal_gbm-{name}.part" for name in ("old", "young"))
    other = tmp_path / "other.part"
    for path in (old, young, other):
        path.write_bytes(b"half a model")
        os.utime(path, (time.time() - 7200,) * 2)
    os.utime(young)
    save(fitted(XGBOOST), tmp_path / "model")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [young.name, "model", other.name]


@BOTH
@pytest.mark.slow
def test_another_process_needs_only_the_file(library, tmp_path):
    """It imports nothing before the load, and gets the probabilities of this one."""
    model = fitted(library, calibration="platt", calibration_cv=2)
    save(model, tmp_path / "model")
    np.save(tmp_path / "rows.npy", X)
    np.save(tmp_path / "expected.npy", model.predict_proba(X))
    code = (
        "import sys, numpy as np, focal_gbm;"
        "model = focal_gbm.export.load(sys.argv[1] + '/model');"
        "X, p = (np.load(sys.argv[1] + f'/{n}.npy') for n in ('rows', 'expected'));"
        "assert np.array_equal(model.predict_proba(X), p)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="SIGKILL and forkserver")
def test_a_killed_save_leaves_a_whole_file():
    from benchmarks.robustness import killed_saves as kills

    record = kills.measure("xgboost", 10, 100, kills.WRITING, seed=3)
    assert record[kills.KILLS] == 10
    assert record[kills.DURING] > 0
    assert record[kills.BROKEN] == record[kills.STRANGE] == 0
    assert record["left-over files after the next save"] == 0
    plain = kills.measure("xgboost", 5, 100, kills.PLAIN, seed=3)
    assert plain[kills.BROKEN] > 0  # the kills do come while a file is written
