"""What a fit leaves behind: all of a model or nothing, for copies too, and no data."""

from __future__ import annotations

import gc
import pickle
import threading
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import lightgbm as lgb
import numpy as np
import pytest
from libraries import (
    BOTH,
    BOTH_LINKS_ONE_SLOW,
    LIGHTGBM,
    LIGHTGBM_VERSION,
    XGBOOST,
    make_rows,
    slow,
)
from lightgbm import LGBMModel
from sklearn.base import clone
from xgboost import XGBClassifier
from xgboost.callback import TrainingCallback

from focal_gbm import (
    FocalLGBMClassifier,
    FocalXGBClassifier,
    LogOddsCalibrator,
    PriorShift,
)

STOP = 3
IS_LIGHTGBM_4_7 = LIGHTGBM_VERSION >= (4, 7)


class Interruption:
    """A callback of either library that ends a fit when it is armed."""

    armed = False

    @classmethod
    def strike(cls, iteration):
        if cls.armed and iteration == STOP:
            raise KeyboardInterrupt


def interrupt(env):
    Interruption.strike(env.iteration)


class Interrupt(TrainingCallback):
    def after_iteration(self, _model, epoch, _evals_log):
        Interruption.strike(epoch)
        return False


@pytest.fixture(scope="module")
def data():
    return make_rows(2000, 4, seed=21)


def with_interruption(library, **kwargs):
    """Return a model and the arguments of fit, for a fit that can be interrupted."""
    if library is LIGHTGBM:
        return library.model(n_jobs=1, **kwargs), {"callbacks": [interrupt]}
    return library.model(n_jobs=1, callbacks=[Interrupt()], **kwargs), {}


def state_of(model):
    return {k: v for k, v in vars(model).items() if k != "callbacks"}


@BOTH
@pytest.mark.parametrize("calibration", [None, "platt"])
@pytest.mark.parametrize("is_fitted", [*slow(False), True])
def test_an_interrupted_fit_changes_nothing(library, calibration, is_fitted, data):
    """The old trees under a new calibrator, or new names over old trees, would score
    on in silence."""
    X, y = data
    model, arguments = with_interruption(
        library, calibration=calibration, calibration_cv=2
    )
    if is_fitted:
        Interruption.armed = False
        model.fit(X, y, **arguments)
        expected = model.predict_proba(X)
    before = dict(vars(model))
    Interruption.armed = True
    try:
        with pytest.raises(KeyboardInterrupt):
            model.fit(X[:, :3], np.where(y == 1, "a", "b"), **arguments)
    finally:
        Interruption.armed = False
    assert vars(model).keys() == before.keys()
    for name, value in before.items():
        assert vars(model)[name] is value, name
    if is_fitted:
        np.testing.assert_array_equal(model.predict_proba(X), expected)
        assert model.n_features_in_ == 4
    model.fit(X, y, **arguments)
    assert model.classes_.tolist() == [0, 1]


@BOTH
@pytest.mark.parametrize(
    "change",
    [
        {"calibration": "magic"},
        {"focal_gamma": -1.0},
        {"n_estimators": 0},
        {"calibration_cv": iter(())},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_refused_fit_changes_nothing(library, change, data):
    X, y = data
    model = library.model(
        n_jobs=1, calibration="platt", calibration_cv=2, n_estimators=5
    )
    expected = model.fit(X, y).predict_proba(X)
    model.set_params(**change)
    before = dict(vars(model))
    with pytest.raises((ValueError, TypeError)):
        model.fit(X, 1 - y)
    assert vars(model) == before
    np.testing.assert_array_equal(model.predict_proba(X), expected)


@BOTH
def test_a_calibration_that_fails_keeps_the_calibrator(library, data):
    X, y = data
    model = library.model(n_jobs=1, n_estimators=5).fit(X, y).calibrate(X, y)
    calibrator = model.calibrator_
    with pytest.raises(ValueError, match="both classes"):
        model.calibrate(X[:9], np.zeros(9, int))
    assert model.calibrator_ is calibrator


def test_a_file_that_cannot_be_loaded_changes_nothing(data, tmp_path):
    """XGBoost loads into the booster that is there."""
    X, y = data
    model = FocalXGBClassifier(n_estimators=5).fit(X, y)
    expected = model.predict_proba(X)
    other = XGBClassifier(n_estimators=2, objective="reg:squarederror")
    path = tmp_path / "other.json"
    other.fit(X, y).save_model(path)
    for bad, message in (
        (path, "binary:logistic"),
        (tmp_path / "missing.json", "missing"),
    ):
        with pytest.raises(Exception, match=message):
            model.load_model(bad)
        np.testing.assert_array_equal(model.predict_proba(X), expected)
        assert model.objective == "binary:logistic"


@BOTH
@pytest.mark.parametrize("calibration", [None, "platt"])
def test_a_copy_inside_the_parents_fit_is_the_model(library, calibration, monkeypatch):
    """Tools that log models pickle them when the parent's fit returns."""
    X, y = make_rows(20_000, 4, seed=3)
    seen = {}
    parent = LGBMModel if library is LIGHTGBM else XGBClassifier
    original = parent.fit

    def watching(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        seen["bytes"], seen["parameters"] = pickle.dumps(self), self.get_params()
        return result

    monkeypatch.setattr(parent, "fit", watching)
    model = library.model(
        n_estimators=5, calibration=calibration, calibration_cv=3, n_jobs=1
    )
    weight = np.ones(len(y))
    model.fit(X, y, sample_weight=weight)
    twin = pickle.loads(seen["bytes"])
    np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    # not the data: 20,000 rows are 800 kB
    assert len(seen["bytes"]) < 1.2 * len(pickle.dumps(model))
    for name in ("objective", "callbacks", "eval_metric", "focal_gamma"):
        assert seen["parameters"].get(name) == model.get_params().get(name)


class Kept(np.ndarray):
    """An array that can be watched, and that counts its deep copies."""

    copies = 0

    def __deepcopy__(self, memo):
        Kept.copies += 1
        return np.array(self)


def brier(y_true, y_pred):
    value = float(np.mean((y_true - y_pred) ** 2))
    return ("brier", value, False)


def brier_value(y_true, y_pred):
    return float(np.mean((y_true - y_pred) ** 2))


@BOTH
@pytest.mark.parametrize("calibration", [None, *slow("platt")])
@BOTH_LINKS_ONE_SLOW
def test_a_fit_holds_and_copies_no_data(library, calibration, link, data):
    """A cycle holds data until the collector runs, which may be too late; LightGBM
    deep-copies the metrics of a fit."""
    kwargs, given = library.measuring(brier if library is LIGHTGBM else brier_value)
    small = {"n_estimators": 5, "n_jobs": 1, **library.quiet, **kwargs}
    control = library.parent(**small)
    if held_by_a_fit(library, control, data, given) != (0, [False, False]):
        pytest.skip("this version of the library holds or copies the data by itself")
    model = library.estimator(
        calibration=calibration, calibration_cv=2, link=link, **small
    )
    assert held_by_a_fit(library, model, data, given) == (0, [False, False])


def held_by_a_fit(library, model, data, given):
    """Return how often a fit copied its data in depth, and whether features and labels
    live on."""
    X, y = data[0].view(Kept), data[1].view(Kept)
    if library is LIGHTGBM and IS_LIGHTGBM_4_7:
        given = {**given, "eval_X": X[:500], "eval_y": y[:500]}
    elif library is LIGHTGBM:
        given = {**given, "eval_set": [(X[:500], y[:500])]}
    else:
        given = {**given, "eval_set": [(X[:500], y[:500])], "verbose": False}
    references = [weakref.ref(X), weakref.ref(y)]
    gc.collect()
    gc.disable()
    try:
        Kept.copies = 0
        model.fit(X, y, **given)
        copies = Kept.copies
        del X, y, given
        return copies, [reference() is not None for reference in references]
    finally:
        gc.enable()


@BOTH
def test_results_of_the_fit_before_are_gone(library, data):
    X, y = data
    model = library.model(n_jobs=1, n_estimators=60, learning_rate=0.3)
    library.fit_stopping(model, 3, (X[:1500], y[:1500]), (X[1500:], y[1500:]))
    assert model.evals_result_
    model.set_params(**library.stopping(None)).fit(X, y)
    assert not getattr(model, "evals_result_", {})


def test_refits_from_fresh_labels(data):
    """The booster in memory, its pickle and its text are one model, and the first tree
    says the shrinkage that LightGBM's own bias has."""
    X, y = data
    model = FocalLGBMClassifier(n_estimators=15, verbose=-1).fit(X[:1000], y[:1000])
    text = model.booster_.model_to_string()
    boosters = [model.booster_, pickle.loads(pickle.dumps(model)).booster_]
    if IS_LIGHTGBM_4_7:  # before, a model read from text refits by least squares
        boosters.append(lgb.Booster(model_str=text))
    refitted = [
        booster.refit(X[1000:], y[1000:], decay_rate=0.5).predict(X)
        for booster in boosters
    ]
    for other in refitted[1:]:
        np.testing.assert_array_equal(other, refitted[0])
    parent = LIGHTGBM.parent(n_estimators=15, verbose=-1).fit(X[:1000], y[:1000])
    expected = parent.booster_.refit(X[1000:], y[1000:], decay_rate=0.5).predict(X)
    assert refitted[0].mean() == pytest.approx(expected.mean(), rel=0.2)
    assert model.booster_.model_to_string() == text


def test_the_first_tree_is_shifted_as_by_lightgbm(data):
    """At gamma 0 from the base rate both train alike: inner nodes, leaves and
    shrinkage of the first tree are the same."""
    X, y = data
    ours = FocalLGBMClassifier(
        n_estimators=3, focal_gamma=0.0, verbose=-1, **LIGHTGBM.as_built_in
    ).fit(X, y)
    theirs = LIGHTGBM.parent(n_estimators=3, verbose=-1).fit(X, y)
    fields = []
    for model in (ours, theirs):
        first = model.booster_.model_to_string().split("\n\n")[1].split("\n")
        fields.append(dict(line.split("=", 1) for line in first))
    assert fields[0]["shrinkage"] == fields[1]["shrinkage"] == "1"
    shifts = [
        np.subtract(*(np.array(field[key].split(), dtype=float) for field in fields))
        for key in ("leaf_value", "internal_value")
    ]
    # the closing constant, which the parent does not have
    np.testing.assert_allclose(np.concatenate(shifts), shifts[0][0], atol=1e-4)


def in_threads(work, n):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(work, range(n)))


def test_parameters_are_checked_in_every_thread(data):
    """XGBoost's warnings reach Python in the main thread alone."""
    X, y = data
    errors = []

    def fit(_):
        try:
            FocalXGBClassifier(n_estimators=2, n_jobs=1, etaa=0.1).fit(X, y)
        except ValueError as error:
            errors.append(str(error))

    in_threads(fit, 4)
    assert len(errors) == 4
    assert all("no use for parameter 'etaa'" in error for error in errors)


@BOTH
def test_fits_in_threads_leave_warnings_alone(library, data):
    """Filters are the whole process's, and threads that change them lose some."""
    X, y = data
    more = {"eta": 0.1} if library is XGBOOST else {}
    before = list(warnings.filters), warnings.showwarning, warnings._showwarnmsg_impl
    expected = library.model(
        n_jobs=1, n_estimators=3, calibration="platt", calibration_cv=2, **more
    )
    expected.fit(X, y)

    def fit(_):
        model = clone(expected)
        return model.fit(X, y).predict_proba(X)

    for p in in_threads(fit, 8):
        np.testing.assert_array_equal(p, expected.predict_proba(X))
    after = list(warnings.filters), warnings.showwarning, warnings._showwarnmsg_impl
    assert after == before


def test_an_old_model_predicts_its_labels_while_a_new_one_is_fitted(data):
    X, y = data
    words = np.where(y == 1, "b", "a")
    seen = []

    class Predicting(TrainingCallback):
        def after_iteration(self, _model, epoch, _evals_log):
            if hasattr(model, "loss_"):
                seen.extend(model.predict(X[:20]))
            return False

    model = FocalXGBClassifier(n_estimators=2, n_jobs=1, callbacks=[Predicting()])
    model.fit(X, words)
    model.fit(X, words)
    assert set(seen) <= {"a", "b"}
    assert len(seen) == 40


def test_a_calibrator_of_numpy_numbers_is_kept(data):
    X, y = data
    for calibration in (
        PriorShift(kept_negatives=np.float32(0.5)),
        LogOddsCalibrator("platt", cv=np.int64(3)),
    ):
        model = FocalXGBClassifier(
            n_estimators=3, n_jobs=1, calibration=calibration, calibration_cv=2
        ).fit(X, y)
        assert type(model.calibrator_) is type(calibration)


def test_metrics_of_users_are_not_copied_into_folds(data):
    """LightGBM copies them itself in each fit, XGBoost does not."""
    X, y = data

    class Locked:
        __name__ = "locked"

        def __init__(self):
            self.lock = threading.Lock()

        def __call__(self, y_true, y_pred):
            return 0.5

    model = FocalXGBClassifier(n_jobs=1, n_estimators=2, eval_metric=Locked())
    model.set_params(calibration="platt", calibration_cv=2)
    model.fit(X, y, eval_set=[(X, y)], verbose=False)
    assert model.evals_result_["validation_0"]["locked"] == [0.5, 0.5]


@BOTH
def test_no_rows_give_no_predictions(library, data):
    X, y = data
    for calibration in (None, "platt"):
        model = library.model(n_jobs=1, n_estimators=2, calibration=calibration)
        model.fit(X, y)
        if library is LIGHTGBM:
            with pytest.raises(ValueError, match="0 sample"):
                model.predict(X[:0])
            continue
        assert model.predict(X[:0]).shape == (0,)
        assert model.predict_proba(X[:0]).shape == (0, 2)
        assert model.decision_function(X[:0]).shape == (0,)


@BOTH
def test_fit_changes_no_parameter(library, data):
    X, y = data
    model = library.model(scale_pos_weight=3.0)
    before = str(model.get_params())
    model.fit(X, y)
    assert str(model.get_params()) == before
    with pytest.raises(ValueError, match="numbers of samples"):
        model.fit(X, y[:5])
    with pytest.raises(ValueError, match="seen"):
        library.fit_stopping(model, 5, (X, y), (X, y + 5))
    assert model.objective in (None, "binary:logistic")
    assert getattr(model, "callbacks", None) is None
