"""Fits to labels that are not final: the true rate comes out, and what cannot be is
refused before training starts."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn
from libraries import BOTH, XGBOOST, slow
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from focal_gbm import FocalClassifierCV, FocalMetric, PriorShift

IGNORE = pytest.mark.filterwarnings("ignore:The argument 'eval_set'")


class Late:
    """Rows of which half are young: a positive of those is known in 3 of 10 cases."""

    def __init__(self, n_rows, seed):
        rng = np.random.default_rng(seed)
        self.X = rng.normal(size=(n_rows, 4))
        self.X[:, 3] = rng.random(n_rows) < 0.1  # a new kind, among young rows alone
        self.is_young = rng.random(n_rows) < 0.5
        self.X[:, 3] *= self.is_young
        self.p = expit(1.2 * self.X[:, 0] + 2 * self.X[:, 3] - 3.5)
        self.truth = (rng.random(n_rows) < self.p).astype(int)
        self.maturity = np.where(self.is_young, 0.3, 1.0)
        self.seen = self.truth * (rng.random(n_rows) < self.maturity)
        self.weight = rng.integers(1, 4, n_rows).astype(float)


@pytest.fixture(scope="module")
def late():
    return Late(12_000, 14)


@pytest.fixture(scope="module")
def later():
    return Late(12_000, 57)


def ratios(model, rows):
    """Return predicted over true probability, of all rows and of the new kind."""
    p, new = model.predict_proba(rows.X)[:, 1], rows.X[:, 3] > 0
    return p.mean() / rows.p.mean(), p[new].mean() / rows.p[new].mean()


@BOTH
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"focal_gamma": 0.0},
        *slow(
            {"focal_gamma": 5.0, "min_child_weight": 0.2},
            {"scale_pos_weight": 10.0},
            {"focal_alpha": 0.9},
            {"class_weight": "balanced"},
            {"start": 0.0},
            {"start": 1.0, "max_step": None},
            {"device": "cpu", "subsample": 0.5},
        ),
    ],
    ids=str,
)
def test_probabilities_are_those_of_the_true_class(late, library, parameters):
    if library.name == "xgboost" and "class_weight" in parameters:
        parameters = {"scale_pos_weight": 15.0}
    parameters = {"n_estimators": 60, **parameters}
    plain = library.model(**parameters).fit(late.X, late.seen)
    assert ratios(plain, late)[0] < 0.75
    model = library.model(**parameters)
    model.fit(late.X, late.seen, label_maturity=late.maturity)
    total, new = ratios(model, late)
    assert 0.93 < total < 1.07
    # class weights draw the rare kind to the rate of the others
    assert (0.55 if "scale_pos_weight" in parameters else 0.7) < new < 1.25
    assert ratios(plain, late)[1] < 0.5


@BOTH
def test_as_many_positives_are_expected_as_are_known(late, library):
    rows = {"sample_weight": late.weight, "label_maturity": late.maturity}
    model = library.model(n_estimators=5).fit(late.X, late.seen, **rows)
    expected = late.weight * late.maturity * model.predict_proba(late.X)[:, 1]
    known = (late.weight * late.seen).sum()
    assert expected.sum() == pytest.approx(known, rel=1e-6)


@BOTH
def test_final_labels_make_the_model_of_before(late, library):
    before = library.model().fit(late.X, late.seen)
    after = library.model().fit(
        late.X, late.seen, label_maturity=np.ones(len(late.seen), np.float32)
    )
    np.testing.assert_array_equal(
        library.raw_score(before, late.X), library.raw_score(after, late.X)
    )


@BOTH
def test_booster_pickle_and_saved_model_are_plain(late, library):
    model = library.model().fit(late.X, late.seen, label_maturity=late.maturity)
    raw, p = library.plain(model, late.X)
    np.testing.assert_allclose(p, model.predict_proba(late.X)[:, 1], rtol=1e-6)
    np.testing.assert_allclose(raw, library.raw_score(model, late.X), rtol=1e-6)
    text = pickle.dumps(model)
    assert len(text) < 300_000  # of the rows nothing stays
    again = pickle.loads(text)
    np.testing.assert_array_equal(
        again.predict_proba(late.X), model.predict_proba(late.X)
    )


@BOTH
@pytest.mark.parametrize(
    "kind", [list, np.float32, ">f8", pd.Series, "nullable"], ids=str
)
def test_maturities_of_every_kind(late, library, kind):
    values = late.maturity
    if kind == "nullable":
        given = pd.Series(values).astype("Float64")
    elif kind in (list, pd.Series):
        given = kind(values)
    else:
        given = values.astype(kind)
    first = library.model(n_estimators=5).fit(late.X, late.seen, label_maturity=values)
    other = library.model(n_estimators=5).fit(late.X, late.seen, label_maturity=given)
    np.testing.assert_allclose(
        first.predict_proba(late.X), other.predict_proba(late.X), rtol=1e-4
    )


def with_value(value, row=3):
    def change(late):
        maturity = late.maturity.copy()
        maturity[row] = value
        return maturity

    return change


IMPOSSIBLE = {
    "zero": (with_value(0.0), r"in \(0, 1\]|is 0 in row"),
    "above": (with_value(1.001), "got 1.001 in row 3"),
    "negative": (with_value(-0.2), "got -0.2 in row 3"),
    "missing": (with_value(np.nan), "got nan in row 3"),
    "short": (lambda late: late.maturity[1:], "11999"),
    "flat": (lambda late: 0.5, "label_maturity"),
    "wide": (lambda late: late.maturity[:, None] * [1, 1], "label_maturity"),
    "words": (lambda late: ["soon"] * len(late.seen), "label_maturity"),
    "too small": (lambda late: np.full(len(late.seen), 0.01), "are known"),
    "positive at 0": (
        lambda late: np.where(late.seen > 0, 0.0, 1.0),
        "whose positive is known",
    ),
}


@BOTH
@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_maturities_that_cannot_be_are_refused_before_training(late, library, case):
    make, message = IMPOSSIBLE[case]
    model = library.model().fit(late.X[:500], late.truth[:500])
    before = pickle.dumps(model)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(late.X, late.seen, label_maturity=make(late))
    assert pickle.dumps(model) == before


@BOTH
def test_the_classic_link_refuses(late, library):
    with pytest.raises(ValueError, match="label_maturity needs link='posterior'"):
        library.model(link="logit").fit(late.X, late.seen, label_maturity=late.maturity)


@IGNORE
@BOTH
def test_each_evaluation_set_has_maturities_of_its_own(late, later, library):
    """The training data comes second here, and LightGBM measures it first."""
    first, third = (later.X[:2000], later.seen[:2000]), (later.X, later.seen)
    model = library.model(n_estimators=60, learning_rate=0.3)
    model.fit(
        late.X,
        late.seen,
        label_maturity=late.maturity,
        eval_set=[first, (late.X, late.seen), third],
        eval_label_maturity={0: later.maturity[:2000]},
        **library.silent,
    )
    history = (
        model.evals_result_ if library.name == "lightgbm" else (model.evals_result())
    )
    found = [values[library.log_loss][-1] for values in history.values()]
    sets = [
        (later.X[:2000], later.seen[:2000], later.maturity[:2000]),
        (late.X, late.seen, late.maturity),
        (later.X, later.seen, 1.0),
    ]
    expected = []
    for X, y, maturity in sets:
        p = maturity * model.predict_proba(X)[:, 1]
        expected.append(-np.where(y > 0, np.log(p), np.log1p(-p)).mean())
    if library.name == "lightgbm":
        assert next(iter(history)) == "training" or "training" in history
    # measured before the closing constant, which is small after so many trees
    np.testing.assert_allclose(sorted(found), sorted(expected), rtol=0.03)
    named = dict(zip(history, found, strict=True))
    key = "training" if library.name == "lightgbm" else "validation_1"
    assert named[key] == pytest.approx(expected[1], rel=0.03)


@IGNORE
@BOTH
def test_early_stopping_listens_to_the_labels_seen(late, later, library):
    """Where the set's labels are taken as final, a lower rate seems better."""
    settings = {"n_estimators": 300, "learning_rate": 0.3, **library.stopping(10)}
    rows = {"eval_set": [(later.X, later.seen)], **library.silent}
    fit = {"label_maturity": late.maturity, **rows}
    right = library.model(**settings).fit(
        late.X, late.seen, eval_label_maturity=[later.maturity], **fit
    )
    wrong = library.model(**settings).fit(late.X, late.seen, **fit)
    assert library.n_rounds(right) != library.n_rounds(wrong)
    losses = []
    for model in (right, wrong):
        p = later.maturity * model.predict_proba(later.X)[:, 1]
        losses.append(-np.where(later.seen > 0, np.log(p), np.log1p(-p)).mean())
    assert losses[0] <= losses[1] + 1e-4


@IGNORE
@BOTH
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[0.5] * 10], "2000"),
        ([np.full(2000, 1.5)], "got 1.5 in row 0; numpy.clip"),
        ([np.full(2000, 0.5)] * 2, "2 entries for 1 evaluation sets"),
        (np.full(2000, 0.5), "2000 entries for 1 evaluation sets: pass a list"),
        ({1: np.full(2000, 0.5)}, "by position from 0"),
        ({"valid_0": np.full(2000, 0.5)}, "by position from 0"),
    ],
)
def test_maturities_of_sets_that_cannot_be(late, later, library, values, message):
    with pytest.raises(ValueError, match=message):
        library.model().fit(
            late.X,
            late.seen,
            eval_set=[(later.X[:2000], later.seen[:2000])],
            eval_label_maturity=values,
        )


@IGNORE
@BOTH
def test_metrics_without_a_closed_form_are_refused(late, library):
    parameters, fit = library.measuring(FocalMetric(metric="focal"))
    with pytest.raises(ValueError, match="'focal' with label_maturity needs gamma=0"):
        library.model(**parameters).fit(
            late.X,
            late.seen,
            label_maturity=late.maturity,
            eval_set=[(late.X, late.seen)],
            **fit,
        )


@BOTH
@pytest.mark.parametrize("method", ["intercept", "platt", *slow("isotonic", "beta")])
def test_folds_calibrate_to_the_true_class(late, library, method):
    model = library.model(calibration=method, calibration_cv=3, n_estimators=40)
    model.fit(late.X, late.seen, label_maturity=late.maturity)
    assert ratios(model, late)[0] == pytest.approx(1, abs=0.08)
    assert model.calibrator_ is not None


@BOTH
def test_calibrate_takes_labels_that_are_not_final(late, later, library):
    model = library.model(calibration="intercept").fit(late.X, late.truth)
    model.calibrate(later.X, later.seen)
    low = ratios(model, later)[0]
    model.calibrate(later.X, later.seen, label_maturity=later.maturity)
    assert low < 0.8
    assert ratios(model, later)[0] == pytest.approx(1, abs=0.12)
    with pytest.raises(ValueError, match=r"got 2\.0 in row 0"):
        model.calibrate(later.X, later.seen, label_maturity=later.maturity * 0 + 2)
    assert ratios(model, later)[0] == pytest.approx(1, abs=0.12)


class Deaf(BaseEstimator):
    """A calibrator of a user without the argument."""

    def fit(self, log_odds, y):
        return self

    def predict(self, log_odds):
        return log_odds


@BOTH
def test_calibrators_that_would_ignore_it_are_refused(late, library):
    model = library.model(calibration=Deaf())
    with pytest.raises(ValueError, match="no label_maturity in its fit"):
        model.fit(late.X, late.seen, label_maturity=late.maturity)
    plain = library.model().fit(late.X, late.truth).set_params(calibration=Deaf())
    with pytest.raises(ValueError, match="no label_maturity in its fit"):
        plain.calibrate(late.X, late.seen, label_maturity=late.maturity)
    # rates of the true class have nothing to learn from labels
    shift = library.model(calibration=PriorShift(rates=(0.1, 0.2)))
    shift.fit(late.X, late.seen, label_maturity=late.maturity)
    assert shift.calibrator_.constant_ == pytest.approx(np.log(9 / 4))


@BOTH
def test_negatives_dropped_among_late_labels_need_weights(late, library):
    """Among the rows seen as negative that are dropped are hidden positives."""
    kept = (late.seen > 0) | (np.arange(len(late.seen)) % 4 == 0)
    X, y, maturity = late.X[kept], late.seen[kept], late.maturity[kept]
    shift = library.model(calibration=PriorShift(kept_negatives=0.25))
    with pytest.raises(ValueError, match=r"pass sample_weight, 1 / 0\.25"):
        shift.fit(X, y, label_maturity=maturity)
    plain = library.model(calibration=PriorShift(kept_negatives=0.25)).fit(X, y)
    with pytest.raises(ValueError, match=r"pass sample_weight, 1 / 0\.25"):
        plain.calibrate(X, y, label_maturity=maturity)
    model = library.model(n_estimators=60).fit(
        X, y, sample_weight=np.where(y > 0, 1.0, 4.0), label_maturity=maturity
    )
    # high on rows that were dropped, of which the trees know none
    assert 0.9 < ratios(model, late)[0] < 1.3


@BOTH
def test_maturities_are_routed_to_the_rows_of_a_fold(late, library):
    with sklearn.config_context(enable_metadata_routing=True):
        model = make_pipeline(
            StandardScaler(),
            library.model().set_fit_request(label_maturity=True),
        )
        p = cross_val_predict(
            model,
            late.X,
            late.seen,
            cv=KFold(3),
            method="predict_proba",
            params={"label_maturity": late.maturity},
        )[:, 1]
    assert p.mean() == pytest.approx(late.p.mean(), rel=0.07)


@BOTH
def test_the_search_by_folds_takes_maturities(late, library):
    sizes = [{"max_depth": 2}, {"max_depth": 4}]
    model = FocalClassifierCV(library.model(), sizes=sizes, cv=3, max_trees=45)
    model.fit(
        late.X, late.seen, sample_weight=late.weight, label_maturity=late.maturity
    )
    assert ratios(model, late)[0] == pytest.approx(1, abs=0.08)
    p = late.maturity * expit(model.calibrator_.predict(model.oof_log_odds_))
    seen = np.average(late.seen, weights=late.weight)
    assert np.average(p, weights=late.weight) == pytest.approx(seen, rel=0.02)
    refitted = model.set_params(ensemble=False).fit(
        late.X, late.seen, label_maturity=late.maturity
    )
    assert ratios(refitted, late)[0] == pytest.approx(1, abs=0.08)
    with pytest.raises(ValueError, match=r"got 0\.0 in row 0|is 0 in row"):
        model.fit(late.X, late.seen, label_maturity=late.maturity * 0)


@IGNORE
@BOTH
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("order", ["last", "first", "between"])
def test_the_training_data_twice_among_the_sets(late, later, library, order, weighted):
    """XGBoost has one matrix for both, or two where the weights are not the fit's."""
    own, other = (late.X, late.seen), (later.X[:2000], later.seen[:2000])
    sets = {
        "last": [other, own, own],
        "first": [own, own, other],
        "between": [own, other, own],
    }[order]
    maturities = [later.maturity[:2000] if s is other else None for s in sets]
    model = library.model(n_estimators=20, learning_rate=0.3)
    weight = {"sample_weight": late.weight} if weighted else {}
    model.fit(
        *own,
        label_maturity=late.maturity,
        eval_set=sets,
        eval_label_maturity=maturities,
        **weight,
        **library.silent,
    )
    history = (
        model.evals_result_ if library.name == "lightgbm" else (model.evals_result())
    )
    found = [values[library.log_loss][-1] for values in history.values()]
    p = later.maturity[:2000] * model.predict_proba(other[0])[:, 1]
    expected = -np.where(other[1] > 0, np.log(p), np.log1p(-p)).mean()
    assert min(abs(value / expected - 1) for value in found) < 0.03
    with pytest.raises(ValueError, match="two maturities"):
        model.fit(
            *own,
            label_maturity=late.maturity,
            eval_set=[own, own],
            eval_label_maturity=[late.maturity, late.maturity / 2],
        )


@IGNORE
def test_xgboost_does_not_stop_on_another_metric_than_before(late, later):
    library = XGBOOST
    model = library.model(eval_metric=["logloss", "auc"], **library.stopping(5))
    sets = {"eval_set": [(later.X, later.seen)], "verbose": False}
    with pytest.raises(ValueError, match="listens to the last metric, 'auc'"):
        model.fit(late.X, late.seen, eval_label_maturity=[later.maturity], **sets)
    model.set_params(eval_metric="auc")
    model.fit(late.X, late.seen, eval_label_maturity=[later.maturity], **sets)
    assert list(model.evals_result()["validation_0"]) == ["auc"]


@IGNORE
@BOTH
def test_a_metric_with_maturities_of_its_own_is_refused(late, later, library):
    metric = FocalMetric(label_maturity=later.maturity)
    parameters, fit = library.measuring(metric)
    with pytest.raises(ValueError, match="as eval_label_maturity"):
        library.model(**parameters).fit(
            late.X, late.seen, eval_set=[(later.X, later.seen)], **fit
        )


@BOTH
def test_calibrators_refuse_what_a_fit_refuses(late, later, library):
    model = library.model().fit(late.X, late.truth)
    low = np.full(len(later.seen), 0.01)
    with pytest.raises(ValueError, match=r"expects at most .* known positives"):
        model.calibrate(later.X, later.seen, label_maturity=low)
    assert model.calibrator_ is None
    half = np.arange(len(late.seen)) < 6000
    maturity = np.where(half, 1.0, 0.01)
    old, young = np.flatnonzero(half), np.flatnonzero(~half)
    cross = FocalClassifierCV(library.model(), cv=[(old, young)], max_trees=15)
    with pytest.raises(ValueError, match="known positives") as caught:
        cross.fit(late.X, late.seen, label_maturity=maturity)
    assert caught.value.__notes__ == ["in the held-out rows of cv"]


@BOTH
def test_subclasses_without_the_argument_still_cross_fit(late, library):
    class Own(library.estimator):
        def fit(self, X, y, sample_weight=None, **kwargs):
            assert "label_maturity" not in kwargs
            assert "eval_label_maturity" not in kwargs
            return super().fit(X, y, sample_weight, **kwargs)

    rows = late.X[:2000], late.truth[:2000]
    own = Own(n_jobs=1, n_estimators=5, **library.quiet)
    FocalClassifierCV(own, sizes=[{}], cv=2, max_trees=15).fit(*rows)
    own.set_params(calibration="intercept", calibration_cv=2).fit(*rows)


@BOTH
def test_final_labels_are_fine_with_any_link(late, library):
    ones = np.ones(len(late.seen))
    model = library.model(link="logit", n_estimators=5)
    model.fit(late.X, late.truth, label_maturity=ones)
    assert model.loss_.link == "logit"
