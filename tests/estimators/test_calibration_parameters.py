"""calibration= and calibration_cv= of both estimators: every estimator, every splitter,
and the callbacks of the folds."""

from __future__ import annotations

import copy
import pickle
import threading
import warnings

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from libraries import BOTH, LIGHTGBM, make_rows, slow
from sklearn.base import BaseEstimator, clone
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    TimeSeriesSplit,
)
from xgboost.callback import EarlyStopping, TrainingCallback, TrainingCheckPoint

from focal_gbm import (
    FocalLGBMClassifier,
    FocalXGBClassifier,
    LogOddsCalibrator,
    PriorShift,
)


@pytest.fixture(scope="module")
def data():
    return make_rows(1500, 4, seed=61)


def small(library, **kwargs):
    return library.model(**{"n_estimators": 10, "n_jobs": 1, **kwargs})


class Scaled(BaseEstimator):
    """A calibrator with an estimator, a function and a lock inside."""

    def __init__(self, inner=None, function=None):
        self.inner = inner
        self.function = function

    def fit(self, log_odds, y, sample_weight=None):
        self.inner_ = clone(self.inner).fit(log_odds, y, sample_weight)
        self.lock_ = threading.Lock()
        return self

    def predict(self, log_odds):
        return self.function(self.inner_.predict(log_odds))


def doubled(log_odds):
    return 2 * log_odds


@BOTH
@pytest.mark.slow
def test_nested_parameters(library, data):
    X, y = data
    model = small(library, calibration=LogOddsCalibrator("intercept"))
    model.set_params(calibration_cv=2)
    assert model.get_params()["calibration__method"] == "intercept"
    assert "calibration__method" not in model.get_params(deep=False)
    search = GridSearchCV(
        model,
        {"calibration__method": ["intercept", "platt"], "focal_gamma": [0.0, 2.0]},
        scoring="neg_log_loss",
        cv=2,
        error_score="raise",
    ).fit(X, y)
    best = search.best_estimator_
    assert best.calibrator_.method_ == search.best_params_["calibration__method"]
    twin = type(model)().set_params(**model.get_params())
    assert twin.get_params().keys() == model.get_params().keys()
    np.testing.assert_array_equal(
        twin.fit(X, y).predict_proba(X), model.fit(X, y).predict_proba(X)
    )
    twin.set_params(calibration=PriorShift(), calibration__kept_negatives=0.25)
    assert twin.calibration.kept_negatives == 0.25
    with pytest.raises(ValueError, match="calibration='platt' has no parameter"):
        type(model)(calibration="platt").set_params(calibration__method="isotonic")
    with pytest.raises(ValueError, match="Invalid parameter"):
        model.set_params(calibration__magic=1)


@BOTH
def test_a_calibrator_of_parts(library, data):
    """LightGBM deep-copies every parameter in each fit and predict."""
    X, y = data
    calibration = Scaled(LogOddsCalibrator("intercept"), doubled)
    model = small(library, calibration=calibration, calibration_cv=2)
    model.set_params(calibration__inner__method="platt")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*not used")
        model.fit(X, y)
        f = model.decision_function(X)
    assert model.calibrator_.inner_.method_ == "platt"
    assert model.calibration.inner.method == "platt"
    plain = small(library).fit(X, y).decision_function(X)
    expected = doubled(model.calibrator_.inner_.predict(plain))
    np.testing.assert_allclose(f, expected, atol=1e-6)


@BOTH
def test_a_subclass_with_a_parameter_of_its_own(library, data):
    X, y = data

    class Capped(library.estimator):
        """Probabilities never above ``cap``; fewer leaves than by default."""

        def __init__(self, *, cap=1.0, reg_lambda=5.0, **kwargs):
            self.cap = cap
            super().__init__(reg_lambda=reg_lambda, **kwargs)

        def capped(self, X):
            return np.minimum(self.predict_proba(X)[:, 1], self.cap)

    common = {"n_estimators": 10, "n_jobs": 1, **library.quiet}
    expected = library.estimator(reg_lambda=5.0, **common).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = clone(Capped(cap=0.3, calibration=None, **common)).fit(X, y)
    p = expected.predict_proba(X)[:, 1]
    np.testing.assert_array_equal(model.capped(X), np.minimum(p, 0.3))
    assert model.get_params()["cap"] == 0.3
    grid = {"cap": [0.3, 0.5], "reg_lambda": [1.0, 9.0]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_estimator_.cap in grid["cap"]
    calibrated = Capped(cap=0.2, calibration="platt", calibration_cv=2, **common)
    assert calibrated.fit(X, y).capped(X).max() <= 0.2
    with pytest.raises(ValueError, match=r"no parameter 'cup'|no use for.*'cup'"):
        Capped(cup=1, **common).fit(X, y)


@BOTH
@pytest.mark.parametrize(
    "make", [*slow(list, tuple), iter], ids=["list", "tuple", "iter"]
)
def test_folds_of_any_iterable(library, make, data):
    X, y = data
    card = np.arange(1500) % 70
    splits = list(GroupKFold(3).split(X, y, groups=card))
    listed = small(library, calibration="platt", calibration_cv=splits).fit(X, y)
    model = small(library, calibration="platt", calibration_cv=make(splits))
    model.fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), listed.predict_proba(X))
    generator = GroupKFold(3).split(X, y, groups=card)
    model.set_params(calibration_cv=generator).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), listed.predict_proba(X))
    with pytest.raises(ValueError, match="holds no fold: a generator can be read once"):
        model.fit(X, y)


@BOTH
def test_a_splitter_reads_the_rows_and_labels(library, data):
    """A time series splitter may look at a column of days."""
    X, y = data

    class ByColumn(KFold):
        def split(self, X, y=None, groups=None):
            assert X.shape == (1500, 4)
            assert set(y) == {"a", "b"}
            is_late = X[:, 0] > np.median(X[:, 0])
            yield np.flatnonzero(~is_late), np.flatnonzero(is_late)
            yield np.flatnonzero(is_late), np.flatnonzero(~is_late)

    words = np.where(y == 1, "b", "a")
    model = small(library, calibration="intercept", calibration_cv=ByColumn(2))
    model.fit(X, words)
    is_late = X[:, 0] > np.median(X[:, 0])
    splits = [np.flatnonzero(~is_late), np.flatnonzero(is_late)]
    given = small(
        library, calibration="intercept", calibration_cv=[splits, splits[::-1]]
    )
    np.testing.assert_array_equal(
        model.predict_proba(X), given.fit(X, words).predict_proba(X)
    )


@BOTH
def test_folds_as_masks_ranges_and_series(library, data):
    X, y = data
    first = np.arange(1500) < 700

    class OfSeries:
        """A splitter that reads the index of the labels."""

        def split(self, X, y=None, groups=None):
            assert y.index[0] == 5
            yield range(700), tuple(range(700, 1500))
            yield list(range(700, 1500)), np.flatnonzero(first)

        def get_n_splits(self, *_):
            return 2

    by_mask = [(first, ~first), (~first, first)]
    models = [
        small(library, calibration="platt", calibration_cv=cv).fit(X, labels)
        for cv, labels in (
            (by_mask, y),
            (OfSeries(), pd.Series(y, index=np.arange(1500) + 5)),
            ([*by_mask, (first, np.arange(0))], y),
        )
    ]
    for model in models[1:]:
        np.testing.assert_array_equal(
            model.predict_proba(X), models[0].predict_proba(X)
        )
    # positions of all rows are no mask, though there are as many
    every = np.arange(1500)
    by_position, by_mask = (
        small(library, calibration="platt", calibration_cv=[(rows, rows)]).fit(X, y)
        for rows in (every, every >= 0)
    )
    np.testing.assert_array_equal(
        by_position.predict_proba(X), by_mask.predict_proba(X)
    )


@BOTH
@pytest.mark.parametrize(
    ("cv", "message"),
    [
        ("x", "calibration_cv must be a number of folds >= 2, a splitter or"),
        (1.5, "calibration_cv must be a number of folds"),
        (True, "calibration_cv must be a number of folds"),
        (1, "calibration_cv must be a number of folds"),
        ([1, 2], "calibration_cv must hold pairs of positions below 1500"),
        ([(np.arange(9), np.arange(9, 9999))], "must hold pairs.*split 0 is none"),
        ([(np.arange(9), [0.5])], "must hold pairs of positions"),
        ([(np.arange(9),)], "must hold pairs of positions"),
        ([(np.arange(9), np.ones(9, bool))], "must hold pairs of positions below 1500"),
    ],
)
def test_folds_that_are_none(library, cv, message, data):
    X, y = data
    model = small(library, calibration="platt", calibration_cv=cv)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)


@BOTH
def test_a_fold_whose_rows_weigh_nothing_is_named(library, data):
    X, y = data
    weight = np.where(np.arange(1500) < 900, 0.0, 1.0)
    model = small(library, calibration="platt", calibration_cv=TimeSeriesSplit(4))
    with pytest.raises(ValueError, match=r"calibration_cv leaves one class.*weight 0"):
        model.fit(X, y, sample_weight=weight)


@BOTH
def test_a_model_with_a_generator_has_copies(library, data):
    X, y = data
    splits = [(np.arange(700), np.arange(700, 1500))]
    model = small(library, calibration="platt", calibration_cv=iter(splits)).fit(X, y)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
        with pytest.raises(ValueError, match="holds no fold"):
            twin.fit(X, y)


@BOTH
def test_calibrators_that_are_no_estimators(library, data):
    X, y = data

    class Plain:
        def fit(self, log_odds, y):
            return self

        def predict(self, log_odds):
            return log_odds

    class Silent(BaseEstimator):
        def fit(self, log_odds, y):
            pass

        def predict(self, log_odds):
            return log_odds

    with pytest.raises(TypeError, match="calibration=Plain must be an estimator that"):
        small(library, calibration=Plain()).fit(X, y)
    with pytest.raises(TypeError, match="calibration=Silent: fit must return"):
        small(library, calibration=Silent()).fit(X, y)
    model = small(library, calibration=LinearRegression(), calibration_cv=2)
    with pytest.raises(ValueError, match="2D array") as caught:
        model.fit(X, y)
    assert "raised by calibration=LinearRegression()" in caught.value.__notes__[0]
    weighted = small(library, calibration=Column(), calibration_cv=2)
    with pytest.raises(TypeError, match="sample_weight") as caught:
        weighted.fit(X, y, sample_weight=np.ones(1500))
    assert "raised by calibration=Column()" in caught.value.__notes__[0]


@BOTH
def test_failed_parameters_set_nothing(library):
    model = small(library, calibration=LogOddsCalibrator())
    with pytest.raises(ValueError, match="Invalid parameter calibration__magic"):
        model.set_params(n_estimators=77, calibration__magic=1)
    assert model.n_estimators == 10


@BOTH
def test_a_splitter_by_groups_says_what_to_do(library, data):
    X, y = data
    model = small(library, calibration="platt", calibration_cv=GroupKFold(3))
    with pytest.raises(ValueError, match="'groups' parameter") as caught:
        model.fit(X, y)
    assert "pass calibration_cv=list(splitter.split(" in caught.value.__notes__[0]


class Probabilities(BaseEstimator):
    def fit(self, log_odds, y, sample_weight=None):
        self.steps_ = IsotonicRegression(out_of_bounds="clip").fit(log_odds, y)
        return self

    def predict(self, log_odds):
        return self.steps_.predict(log_odds)


class Missing(Probabilities):
    def predict(self, log_odds):
        return np.full(len(log_odds), np.nan)


class Columns(Probabilities):
    def predict(self, log_odds):
        return np.zeros((len(log_odds), 2))


@BOTH
@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (IsotonicRegression(out_of_bounds="clip"), "pass calibration='isotonic'"),
        (LogisticRegression(), "is a classifier.*calibration='platt'"),
        (IsotonicRegression, "calibration must be an instance, got the class Iso"),
        (LogOddsCalibrator, "must be an instance.*pass LogOddsCalibrator"),
        (Probabilities(), "values from 0.* to .*, which are probabilities"),
        (Missing(), "finite log-odds for each row.*1500 of them not finite"),
        (Columns(), r"got shape \(1500, 2\) for 1500 rows"),
        (3, "calibration must be one of"),
    ],
    ids=str,
)
def test_what_returns_no_log_odds_is_refused(library, calibration, message, data):
    """Probabilities read as log-odds have a mean of a half."""
    X, y = data
    model = small(library, calibration=calibration, calibration_cv=2)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(X, y)
    assert not hasattr(model, "calibrator_")
    fitted = small(library).fit(X, y).set_params(calibration=calibration)
    if not isinstance(calibration, type) and hasattr(calibration, "fit"):
        with pytest.raises((ValueError, TypeError), match=message):
            fitted.calibrate(X, y)
        assert fitted.calibrator_ is None


@BOTH
def test_few_positives_are_told(library, data):
    X, y = data
    rows = np.r_[np.flatnonzero(y == 1)[:20], np.flatnonzero(y == 0)[:400]]
    model = small(library).fit(X, y)
    with pytest.warns(UserWarning, match=r"has 20 positives; fewer .* was chosen"):
        model.calibrate(X[rows], y[rows])
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "method=")
        model.set_params(calibration="platt").calibrate(X[rows], y[rows])


class Recorder:
    """A callback of LightGBM that keeps what it sees."""

    def __init__(self):
        self.seen = []

    def __call__(self, env):
        self.seen.append(env.iteration)


class XGBRecorder(TrainingCallback):
    def __init__(self, lock=None):
        self.seen, self.lock = [], lock

    def after_iteration(self, _model, epoch, _evals_log):
        self.seen.append(epoch)
        return False


def fit_with(library, callbacks, data, **kwargs):
    X, y = data
    model = small(library, calibration="platt", calibration_cv=3, **kwargs)
    if library is LIGHTGBM:
        return model.fit(X, y, callbacks=callbacks)
    return model.set_params(callbacks=callbacks).fit(X, y)


@BOTH
def test_a_callback_belongs_to_the_model(library, data):
    """Recorders, functions and callbacks with a lock see the model's rounds alone."""
    make = Recorder if library is LIGHTGBM else XGBRecorder
    plain, locked = make(), make()
    locked.lock = threading.Lock()
    callbacks = [plain, locked]
    calls = []
    if library is LIGHTGBM:
        callbacks.append(lambda env: calls.append(env.iteration))
    fit_with(library, callbacks, data, n_estimators=5)
    assert plain.seen == locked.seen == [0, 1, 2, 3, 4]
    assert calls in ([], [0, 1, 2, 3, 4])
    assert bool(calls) == (library is LIGHTGBM)


@BOTH
def test_the_folds_stop_as_the_model_does(library, data):
    """A callback that ends the training, or stops it early, acts in the folds too, or
    the calibrator would be that of another kind of model."""
    results = {}

    class Watching(BaseEstimator):
        def fit(self, log_odds, y, sample_weight=None):
            results["log_odds"] = log_odds.copy()
            return self

        def predict(self, log_odds):
            return log_odds

    def out_of_fold(callbacks, **kwargs):
        X, y = data
        model = small(library, calibration=Watching(), calibration_cv=2, **kwargs)
        if library is LIGHTGBM:
            model.fit(X, y, callbacks=callbacks)
        else:
            model.set_params(callbacks=callbacks).fit(X, y)
        return results["log_odds"]

    expected = out_of_fold([], n_estimators=4)
    stopped = out_of_fold([AtRound(3)] if library is LIGHTGBM else [XGBAtRound(3)])
    np.testing.assert_allclose(stopped, expected, atol=1e-6)
    assert not np.allclose(out_of_fold([]), expected)


class AtRound:
    def __init__(self, last):
        self.last = last

    def __call__(self, env):
        if env.iteration == self.last:
            raise lgb.callback.EarlyStopException(env.iteration, [])


class XGBAtRound(TrainingCallback):
    def __init__(self, last):
        self.last = last

    def after_iteration(self, _model, epoch, _evals_log):
        return epoch == self.last


def test_callbacks_that_report_are_not_copied(data, tmp_path, capsys):
    """Checkpoints of the folds would overwrite those of the model."""
    X, y = data
    checkpoint = TrainingCheckPoint(tmp_path, interval=1)
    FocalXGBClassifier(
        n_estimators=3,
        calibration="platt",
        calibration_cv=2,
        callbacks=[checkpoint, EarlyStopping(2)],
        n_jobs=1,
    ).fit(X, y, eval_set=[(X, y)], verbose=False)
    n_files = len(list(tmp_path.iterdir()))
    plain = tmp_path / "plain"
    plain.mkdir()
    FocalXGBClassifier(
        n_estimators=3, callbacks=[TrainingCheckPoint(plain, interval=1)], n_jobs=1
    ).fit(X, y)
    assert n_files == len(list(plain.iterdir()))
    capsys.readouterr()
    FocalLGBMClassifier(
        n_estimators=3, calibration="platt", calibration_cv=2, verbose=-1, n_jobs=1
    ).fit(X, y, eval_X=X, eval_y=y, callbacks=[lgb.log_evaluation(1)])
    assert capsys.readouterr().out.count("binary_logloss") == 3


class Column(BaseEstimator):
    def fit(self, log_odds, y):
        target = np.where(y == 1, 1.0, -4.0)
        self.line_ = LinearRegression().fit(log_odds[:, None], target)
        return self

    def predict(self, log_odds):
        return self.line_.predict(log_odds[:, None])


@BOTH
def test_a_regression_on_log_odds_is_a_calibrator(library, data):
    X, y = data

    model = small(library, calibration=Column(), calibration_cv=2).fit(X, y)
    assert model.predict_proba(X)[:, 1].mean() == pytest.approx(y.mean(), rel=0.5)
