"""Evaluation sets from any iterable, what early stopping hears on them, and sets on
which it can hear nothing."""

from __future__ import annotations

import warnings

import lightgbm as lgb
import numpy as np
import pytest
from libraries import BOTH, BOTH_LINKS, LIGHTGBM, XGBOOST, make_rows, slow
from scipy.special import expit
from sklearn.metrics import log_loss
from xgboost.callback import EarlyStopping

from focal_gbm import (
    FocalLGBMClassifier,
    FocalMetric,
    FocalXGBClassifier,
    PriorShift,
)

IGNORE = pytest.mark.filterwarnings("ignore:The argument 'eval_set'")


@pytest.fixture(scope="module")
def data():
    return make_rows(3000, 4, seed=51)


def small(library, **kwargs):
    return library.model(n_estimators=80, learning_rate=0.3, n_jobs=1, **kwargs)


SHAPES = {
    "list": lambda pairs: list(pairs),
    "tuple of pairs": lambda pairs: tuple(pairs),
    "lists as pairs": lambda pairs: [list(pair) for pair in pairs],
    "iterator": lambda pairs: iter(pairs),
    "generator": lambda pairs: (pair for pair in pairs),
    "zip": lambda pairs: zip(*zip(*pairs, strict=True), strict=True),
    "dictionary's values": lambda pairs: dict(enumerate(pairs)).values(),
}


ONCE_MORE = [shape for shape in SHAPES if shape not in ("iterator", "zip")]


@IGNORE
@BOTH
@pytest.mark.parametrize("calibration", [None, *slow("intercept")])
@pytest.mark.parametrize("shape", ["iterator", "zip", *slow(*ONCE_MORE)])
def test_any_iterable_of_pairs_is_heard(library, shape, calibration, data):
    X, y = data
    pairs = [(X[2000:2500], y[2000:2500]), (X[2500:], y[2500:])]
    results = []
    for eval_set in (pairs, SHAPES[shape](pairs)):
        model = small(
            library, **library.stopping(), calibration=calibration, calibration_cv=2
        )
        weights = [np.full(500, 2.0), np.full(500, 3.0)]
        heavy = weights if eval_set is pairs else iter(weights)
        named = {library.eval_weights: heavy}
        model.fit(X[:2000], y[:2000], eval_set=eval_set, **named, **library.silent)
        results.append((model.evals_result_, model.predict_proba(X).tolist()))
    assert results[0] == results[1]
    assert len(results[0][0]) == 2


@IGNORE
@BOTH
@pytest.mark.parametrize(
    "empty",
    [[], *slow(()), iter(()), *slow({}.values())],
    ids=["list", "tuple", "iterator", "values"],
)
def test_an_empty_set_of_sets_is_none(library, empty, data):
    X, y = data
    plain = small(library).fit(X, y)
    model = small(library).fit(X, y, eval_set=empty)
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert not getattr(model, "evals_result_", {})


def test_empty_tuples_are_none(data):
    X, y = data
    model = small(LIGHTGBM).fit(X, y, eval_X=(), eval_y=())
    assert model.evals_result_ == {}


def test_names_and_columns_of_any_iterable(data):
    X, y = data
    models = [
        FocalLGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1).fit(
            X.round(),
            y,
            eval_X=(X[:500],),
            eval_y=(y[:500],),
            eval_names=make(["later"]),
            eval_metric=make(["auc", "binary_logloss"]),
            feature_name=make(["a", "b", "c", "d"]),
            categorical_feature=make(["a"]),
            callbacks=make([lgb.log_evaluation(0)]),
        )
        for make in (list, tuple, iter, lambda values: (v for v in values))
    ]
    for model in models:
        assert list(model.evals_result_) == ["later"]
        assert model.feature_name_ == ["a", "b", "c", "d"]
        np.testing.assert_array_equal(
            model.predict_proba(X), models[0].predict_proba(X)
        )
    numbers = FocalLGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1).fit(
        X.round(), y
    )
    assert not np.allclose(numbers.predict_proba(X), models[0].predict_proba(X))


def test_metrics_and_callbacks_of_any_iterable(data):
    X, y = data
    models = [
        FocalXGBClassifier(
            n_estimators=60,
            n_jobs=1,
            eval_metric=make(["auc", "logloss"]),
            callbacks=make([EarlyStopping(3)]),
        ).fit(X[500:], y[500:], eval_set=[(X[:500], y[:500])], verbose=False)
        for make in (list, tuple)
    ]
    assert models[0].evals_result_ == models[1].evals_result_
    (results,) = models[0].evals_result_.values()
    assert set(results) == {"auc", "logloss"}
    assert len(results["auc"]) < 60  # the callback has stopped it


@BOTH
@pytest.mark.parametrize(
    "bad", [3, [3], [(1, 2, 3)], "ab", [np.zeros((4, 2))]], ids=str
)
def test_what_is_no_pair_is_refused(library, bad, data):
    X, y = data
    with pytest.raises((TypeError, ValueError), match="must be a list of pairs"):
        library.model().fit(X, y, eval_set=bad)


RANKS = ["recall_at_fpr", "precision_at_alert_rate", "auc"]


def with_metric(library, metric, **kwargs):
    return small(library, **{library.metric: metric}, **kwargs)


@IGNORE
@BOTH
@pytest.mark.parametrize("metric", RANKS)
@pytest.mark.parametrize(("label", "missing"), [(0, "positive"), (1, "negative")])
def test_stopping_on_a_set_of_one_class_is_refused(
    library, metric, label, missing, data
):
    """Recall on the newest days, where no fraud is known yet, is never better than in
    the first round: one tree would be kept, unsaid."""
    X, y = data
    later = X[:400], np.full(400, label)
    message = f"evaluation set 1 holds no {missing} row.*keep the first tree"
    model = with_metric(library, metric, **library.stopping())
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, eval_set=[(X, y), later], **library.silent)
    callbacks = (
        [lgb.early_stopping(5, verbose=False)]
        if library is LIGHTGBM
        else [EarlyStopping(5)]
    )
    if library is LIGHTGBM:
        model, given = with_metric(library, metric), {"callbacks": callbacks}
    else:
        model, given = with_metric(library, metric, callbacks=callbacks), {}
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, eval_set=[(X, y), later], **given, **library.silent)


@IGNORE
@BOTH
@pytest.mark.parametrize("metric", RANKS[:2])
def test_measuring_on_a_set_of_one_class_is_told(library, metric, data):
    X, y = data
    with pytest.warns(UserWarning, match="set 0 holds no positive row"):
        with_metric(library, metric).set_params(n_estimators=3).fit(
            X, y, eval_set=[(X[:400], np.zeros(400))], **library.silent
        )


@IGNORE
@BOTH
def test_log_loss_of_one_class_is_defined(library, data):
    X, y = data
    model = small(library, **library.stopping(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "The argument 'eval_set'")
        model.fit(X, y, eval_set=[(X[:400], np.zeros(400))], **library.silent)
    assert library.n_rounds(model) > 1


@IGNORE
@BOTH
def test_a_metric_of_the_users_that_is_undefined_is_told(library, data):
    X, y = data

    def undefined(y_true, y_pred):
        return library.said("undefined", float("nan"))

    kwargs, given = library.measuring(undefined)
    model = small(library, **kwargs).set_params(n_estimators=2)
    with pytest.warns(UserWarning, match="undefined is NaN"):
        model.fit(X, y, eval_set=[(X[:400], y[:400])], **given, **library.silent)


@IGNORE
@BOTH
@BOTH_LINKS
def test_early_stopping_hears_the_shifted_log_loss(library, link):
    """Negatives are thinned for training, and the validation set has the true rate."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12_000, 4))
    y = (rng.random(12_000) < expit(2 * X[:, 0] + X[:, 1] - 6)).astype(int)
    fit = np.arange(12_000) < 8000
    kept = fit & ((y == 1) | (rng.random(12_000) < 0.05))
    share = (kept & (y == 0)).sum() / (fit & (y == 0)).sum()
    shift = PriorShift(kept_negatives=float(share))
    later = X[~fit], y[~fit]

    heard = []

    def of_users(y_true, y_pred):
        heard.append(log_loss(y_true, np.asarray(y_pred, float)))
        return library.said("mine", heard[-1])

    # the default stays beside a callable in LightGBM alone
    default = [] if library is LIGHTGBM else ["logloss"]
    kwargs, given = library.measuring([*default, of_users])
    model = small(library, calibration=shift, link=link, **library.stopping(), **kwargs)
    model.fit(X[kept], y[kept], eval_set=[later], **given, **library.silent)
    (results,) = model.evals_result_.values()
    name = library.log_loss
    np.testing.assert_allclose(results[name], heard[: len(results[name])], rtol=1e-4)
    said = log_loss(later[1], model.predict_proba(later[0]).astype(float))
    assert min(results[name]) == pytest.approx(said, rel=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unshifted = small(library, link=link, **library.stopping())
        unshifted.fit(X[kept], y[kept], eval_set=[later], **library.silent)
    assert min(next(iter(unshifted.evals_result_.values()))[name]) > 1.5 * said


def test_metrics_of_xgboost_that_a_prior_shift_would_spoil(data):
    X, y = data
    shift = PriorShift(kept_negatives=0.5)
    for metric in ("rmse", "error@0.2"):
        with pytest.raises(ValueError, match=f"metric '{metric}' would be computed"):
            FocalXGBClassifier(calibration=shift, eval_metric=metric).fit(X, y)
    ranks = ["auc", "aucpr", "error", "logloss"]
    FocalXGBClassifier(calibration=shift, eval_metric=ranks, n_estimators=2).fit(X, y)


@pytest.mark.parametrize(
    ("metric", "hint"), [("loglos", "logloss"), ("AUC", "auc"), ("recall", "")]
)
def test_a_mistyped_metric_is_named(metric, hint, data):
    """XGBoost ends in a stack of C++ functions."""
    X, y = data
    with pytest.raises(ValueError, match=f"no metric '{metric}'.*{hint}") as caught:
        FocalXGBClassifier(eval_metric=metric).fit(X, y)
    assert "Stack trace" not in str(caught.value)


def scored(library, scores, later):
    """Return the arguments of fit that say where to begin."""
    return {library.start: scores, library.eval_start: later, **library.silent}


@IGNORE
@BOTH
def test_one_start_for_all_sets_is_part_of_the_model(library, data):
    """As people do who boost from the average by hand."""
    X, y = data
    start = np.log(y.mean() / (1 - y.mean()))
    later = [(X[:500], y[:500]), (X[500:900], y[500:900])]
    scores = [np.full(500, start), np.full(400, start)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "The argument 'eval_set'")
        model = small(library).fit(
            X, y, eval_set=later, **scored(library, np.full(3000, start), scores)
        )
    read_once = scored(library, X[:, 0].copy(), iter([X[:500, 0], X[500:900, 0]]))
    with pytest.warns(UserWarning, match="differs by row"):
        small(library).fit(X, y, eval_set=later, **read_once)
    alone = scored(library, np.full(3000, start), None)
    plain = small(library).fit(X, y, eval_set=later, **alone)
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert model.evals_result_ == plain.evals_result_
    assert model.predict_proba(X)[:, 1].mean() == pytest.approx(y.mean(), rel=1e-5)


@IGNORE
@BOTH
@pytest.mark.parametrize(
    ("later", "message"),
    [
        ([np.zeros(500)], "for each of the 2 evaluation sets"),
        ([np.zeros(500), np.zeros(9)], r"\[1\] must have 400 values, one a row, got 9"),
        ([np.full(500, np.nan), np.zeros(400)], r"\[0\] must be finite, got nan"),
        ({0: np.zeros(500)}, "for each of the 2 evaluation sets"),
    ],
    ids=["too few", "too short", "missing", "a dictionary"],
)
def test_scores_of_evaluation_sets(library, later, message, data):
    X, y = data
    sets = [(X[:500], y[:500]), (X[500:900], y[500:900])]
    given = scored(library, X[:, 0].copy(), later)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=message):
            small(library).fit(X, y, eval_set=sets, **given)


@IGNORE
@BOTH
def test_weights_that_leave_one_class_are_no_set_of_two(library, data):
    X, y = data
    weights = [np.where(y[:400] == 1, 0.0, 1.0)]
    name = library.eval_weights
    model = with_metric(library, "auc", **library.stopping())
    with pytest.raises(ValueError, match="set 0 holds no positive row, where auc"):
        model.fit(
            X, y, eval_set=[(X[:400], y[:400])], **{name: weights}, **library.silent
        )
    # a light row is a row
    light = {library.eval_weights: [np.full(400, 0.5)]}
    model.fit(X, y, eval_set=[(X[:400], y[:400])], **light, **library.silent)
    assert model.evals_result_


@IGNORE
@BOTH
@pytest.mark.parametrize("labels", [(1, 2), ("a", "b"), (False, True)], ids=str)
def test_the_missing_class_is_named_rightly(library, labels, data):
    X, y = data
    classes = np.array(labels)
    model = with_metric(library, "auc", **library.stopping())
    for code, missing in ((0, "positive"), (1, "negative")):
        later = X[:400], classes[np.full(400, code)]
        with pytest.raises(ValueError, match=f"holds no {missing} row"):
            model.fit(X, classes[y], eval_set=[later], **library.silent)


@IGNORE
@BOTH
def test_a_set_without_rows_is_refused(library, data):
    X, y = data
    with pytest.raises(ValueError, match="evaluation set 0 holds no row"):
        small(library).fit(X, y, eval_set=[(X[:0], y[:0])], **library.silent)


def test_a_loss_is_minimised_whatever_its_name(data):
    """XGBoost takes the maximum of what begins with auc, map, ndcg or pre."""
    X, y = data
    sets = {"eval_set": [(X[:900], y[:900])], "verbose": False}
    rounds = []
    for name in ("loss", "premium", "map_cost", "auc_loss"):
        metric = FocalMetric(metric="log_loss", name=name)
        model = small(XGBOOST, early_stopping_rounds=3, eval_metric=metric)
        rounds.append(model.fit(X, y, **sets).best_iteration)
    assert len(set(rounds)) == 1
    assert rounds[0] > 1


def test_iterators_as_parameters_are_refused(data):
    """They would be empty in the next fit."""
    X, y = data
    for kwargs in (
        {"eval_metric": iter(["auc"])},
        {"callbacks": (c for c in [EarlyStopping(2)])},
    ):
        with pytest.raises(TypeError, match="is an iterator, which lasts for one fit"):
            FocalXGBClassifier(**kwargs).fit(X, y)
    metrics = np.array(["auc", "logloss"])
    model = FocalXGBClassifier(eval_metric=metrics, n_estimators=2)
    weights = {0: np.ones(400)}
    model.fit(
        X,
        y,
        eval_set=[(X[:400], y[:400])],
        sample_weight_eval_set=weights,
        verbose=False,
    )
    assert list(model.evals_result_["validation_0"]) == ["auc", "logloss"]


@BOTH
@pytest.mark.parametrize("name", ["callbacks", "eval_metric"])
def test_what_is_no_list_is_named(library, name, data):
    X, y = data
    in_fit = library is LIGHTGBM
    model = library.model(**({} if in_fit else {name: 5}))
    with pytest.raises(TypeError, match=f"{name} must be a list, got 5"):
        model.fit(X, y, **({name: 5} if in_fit else {}))


def test_columns_by_numbers_of_numpy(data):
    X, y = data
    small_ = {"n_estimators": 3, "n_jobs": 1, "verbose": -1}
    plain = FocalLGBMClassifier(**small_).fit(X.round(), y, categorical_feature=[0])
    numbers = FocalLGBMClassifier(**small_).fit(X.round(), y)
    assert not np.allclose(numbers.predict_proba(X), plain.predict_proba(X))
    for columns in (np.array([0]), [np.int64(0)], (0,)):
        model = FocalLGBMClassifier(**small_)
        model.fit(X.round(), y, categorical_feature=columns)
        np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
