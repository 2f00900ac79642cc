"""Where boosting begins: for all rows, row by row, and what contradicts itself."""

from __future__ import annotations

import json

import numpy as np
import pytest
from libraries import BOTH, LIGHTGBM, X_BAD, XGBOOST, Y_BAD
from scipy.special import expit, logit
from sklearn.metrics import log_loss

from focal_gbm import FocalLoss


def probability(library, model, X, scores):
    """Return the probabilities of a model that began at scores of the rows."""
    if library is XGBOOST:
        return model.predict_proba(X, base_margin=scores)[:, 1].astype(float)
    return expit(library.raw_score(model, X) + scores)


@BOTH
def test_a_start_that_differs_by_row(library, data):
    """init_score is lost at predict elsewhere; here it warns."""
    X, y = data
    scores = np.where(X[:, 0] > 0, -1.0, -4.0)
    with pytest.warns(UserWarning, match=f"{library.start} differs by row"):
        model = library.model().fit(X, y, **{library.start: scores})
    p = probability(library, model, X, scores)
    # base_margin takes the place of XGBoost's base_score, and of the constant in it
    near = 1e-6 if library is LIGHTGBM else 0.05
    assert p.mean() == pytest.approx(y.mean(), rel=near)
    given = library.model().fit(X, y, **{library.start: np.full(len(y), -2.5)})
    log_odds = np.log(y.mean() / (1 - y.mean()))
    other = library.model(start=-2.5 / log_odds).fit(X, y)
    np.testing.assert_allclose(
        given.decision_function(X), other.decision_function(X), atol=1e-4
    )


@BOTH
def test_one_start_for_all_rows_is_part_of_the_model(library, data):
    """init_score is lost at predict elsewhere."""
    X, y = data
    scores = np.full(len(y), logit(y.mean()))
    given = library.model().fit(X, y, **{library.start: scores})
    start = library.model(start=1.0).fit(X, y)
    np.testing.assert_allclose(
        given.decision_function(X),
        start.decision_function(X),
        atol=1e-9 if library is LIGHTGBM else 1e-5,
    )


@BOTH
def test_starts_by_row_stay_outside_and_say_so(library, data):
    X, y = data
    scores = np.where(X[:, 0] > 0, -1.0, -4.0)
    model = library.model(**library.stopping(3))
    begun = {library.start: scores, library.eval_start: [scores]}
    later = library.later(X.copy(), y)  # LightGBM does not stop on training rows
    with pytest.warns(UserWarning, match=f"{library.start} differs by row"):
        model.fit(X, y, **begun, **later)
    p = probability(library, model, X, scores)
    (losses,) = model.evals_result_.values()
    value = losses[library.log_loss][library.n_rounds(model) - 1]
    # measured before the closing constant
    assert value == pytest.approx(log_loss(y, p), rel=0.01)


@BOTH
@pytest.mark.filterwarnings("ignore:(init_score|base_margin) differs")
def test_starts_that_contradict(library, data):
    X, y = data
    model, by_row = library.model(), {library.start: X[:, 0].copy()}
    with pytest.raises(
        ValueError, match=f"without {library.eval_start} the evaluation sets"
    ):
        model.fit(X, y, **by_row, **library.later(X, y))
    first = library.model().fit(X, y)
    both = f"{library.start} and {library.first_model} were both passed"
    with pytest.raises(ValueError, match=both):
        model.fit(X, y, **by_row, **library.continued(first))
    other = library.model(link="logit")
    with pytest.raises(ValueError, match="not those of link='logit'"):
        other.fit(X, y, **library.continued(first))
    regression = library.regressor(n_estimators=3, **library.quiet).fit(X, y)
    message = (
        "init_model has 'objective=regression'"
        if library is LIGHTGBM
        else "objective 'reg:squarederror'"
    )
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, **library.continued(regression))
    if library is XGBOOST:
        model = library.model(base_score=0.1)
        with pytest.raises(
            ValueError, match="base_score and xgb_model were both passed"
        ):
            model.fit(X, y, **library.continued(first))


@BOTH
@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([0.0], "must have 60 values"),
        ([], "must have 60 values"),
        (np.full(60, np.nan), "must be finite, got nan"),
    ],
)
def test_bad_starts(library, scores, message):
    with pytest.raises(ValueError, match=f"{library.start} {message}"):
        library.model(n_estimators=2).fit(X_BAD, Y_BAD, **{library.start: scores})


@BOTH
def test_starts_of_evaluation_sets_alone_are_refused(library):
    message = f"{library.eval_start} was passed without {library.start}"
    with pytest.raises(ValueError, match=message):
        library.model(n_estimators=2).fit(X_BAD, Y_BAD, **{library.eval_start: [Y_BAD]})


def base_score(booster):
    text = json.loads(booster.save_config())["learner"]["learner_model_param"]
    return float(text["base_score"].strip("[]"))


def test_start_and_constant_stand_in_base_score(data):
    X, y = data
    model = XGBOOST.model(n_estimators=1, max_step=1e-9)
    booster = model.fit(X, y).get_booster()
    assert base_score(booster) == pytest.approx(y.mean(), rel=1e-5)
    classic = XGBOOST.model(n_estimators=1, max_step=1e-9, link="logit").fit(X, y)
    constant = FocalLoss(link="logit").constant(y)
    assert base_score(classic.get_booster()) == pytest.approx(constant, rel=1e-5)


def test_base_score_says_where_to_begin(data):
    X, y = data
    given = XGBOOST.model(base_score=0.2).fit(X, y)
    margin = XGBOOST.model().fit(X, y, base_margin=np.full(len(y), logit(0.2)))
    np.testing.assert_allclose(
        given.decision_function(X), margin.decision_function(X), atol=1e-5
    )
    other = XGBOOST.model(start=1.0).fit(X, y)
    assert np.abs(given.decision_function(X) - other.decision_function(X)).max() > 0.1
