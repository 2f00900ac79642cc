"""Scorers: labels of every kind, routed metadata, scikit-learn's tools."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from problems import same
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    make_scorer,
)
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    TunedThresholdClassifierCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from focal_gbm import FocalLGBMClassifier
from focal_gbm.metrics import (
    card_precision_at_k,
    expected_cost,
    precision_at_daily_budget,
    recall_at_alert_rate,
    recall_at_fpr,
    scorer,
)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(3000, 4))
    y = (rng.random(3000) < expit(2 * X[:, 0] - 3.5)).astype(int)
    return X, y


def test_scorers_in_cross_validation(rows):
    X, y = rows
    model = FocalLGBMClassifier(n_estimators=15, n_jobs=1, verbose=-1)
    scoring = {
        "caught": scorer("recall_at_fpr", fpr=0.05),
        "alerts": scorer("precision_at_alert_rate", rate=0.03),
        "cost": scorer("expected_cost", fraud_cost=100.0, alert_cost=5.0),
        "level": scorer("calibration_in_the_large"),
        "slope": scorer("calibration_slope"),
    }
    result = cross_validate(model, X, y, scoring=scoring, cv=3)
    assert (result["test_caught"] > 0.2).all()
    assert (result["test_alerts"] > 0.2).all()
    assert (result["test_cost"] < 0).all()
    assert (result["test_level"] <= -1).all()
    assert (result["test_slope"] <= 0).all()
    model.fit(X[:2000], y[:2000])
    p = model.predict_proba(X[2000:])[:, 1]
    said = scoring["caught"](model, X[2000:], y[2000:])
    assert said == recall_at_fpr(y[2000:], p, fpr=0.05)
    search = GridSearchCV(
        model, {"focal_gamma": [0.0, 2.0]}, scoring=scoring, refit="caught", cv=3
    )
    assert search.fit(X, y).best_score_ > 0.2


def test_scorers_of_days_are_routed(rows):
    X, y = rows
    day = np.arange(3000) // 100
    with config_context(enable_metadata_routing=True):
        daily = scorer("recall_at_daily_budget", budget=5).set_score_request(day=True)
        result = cross_validate(
            FocalLGBMClassifier(n_estimators=15, n_jobs=1, verbose=-1),
            X,
            y,
            scoring=daily,
            params={"day": day},
            cv=3,
        )
    assert (result["test_score"] > 0.2).all()


SCORERS = {
    "recall_at_fpr": {"fpr": 0.05},
    "recall_at_alert_rate": {"rate": 0.05},
    "precision_at_alert_rate": {"rate": 0.05},
    "expected_cost": {"fraud_cost": 100.0, "alert_cost": 5.0},
    "calibration_in_the_large": {},
    "calibration_slope": {},
}
NAMED = {  # the positive class is the second in order, then the first by name
    "booleans": (np.array([False, True]), None),
    "signs": (np.array([-1, 1]), None),
    "words": (np.array(["lawful", "unlawful"]), None),
    "objects": (np.array(["lawful", "unlawful"], object), None),
    "fraud first": (np.array(["legit", "fraud"]), "fraud"),
    "fraud first, objects": (np.array(["legit", "fraud"], object), "fraud"),
    "zero": (np.array([1, 0]), 0),
    "false": (np.array([True, False]), False),
    "floats": (np.array([2.0, 1.0]), 1),
}


@pytest.mark.parametrize("kind", NAMED)
def test_scorers_of_labels_of_every_kind(kind, rows):
    """The class that a label names is scored, even where a test fold holds one alone:
    folds in the order of labels."""
    X, y = rows
    order = np.argsort(y[:900], kind="stable")
    names, pos_label = NAMED[kind]
    scoring = {n: scorer(n, pos_label=pos_label, **k) for n, k in SCORERS.items()}
    plain = {n: scorer(n, **k) for n, k in SCORERS.items()}
    model = LogisticRegression()
    said = cross_validate(model, X, names[y], scoring=scoring, cv=3)
    expected = cross_validate(model, X, y, scoring=plain, cv=3)
    for name in SCORERS:
        np.testing.assert_allclose(said[f"test_{name}"], expected[f"test_{name}"])
    model.fit(X, names[y])
    numbers = LogisticRegression().fit(X, y)
    for name in SCORERS:
        if name != "calibration_slope":  # which needs both classes
            for part in (order[:300], order[-30:]):
                one = scoring[name](model, X[part], names[y[part]])
                same(one, plain[name](numbers, X[part], y[part]))
    for labels in (list(names[y]), pd.Series(names[y], index=np.arange(3000)[::-1])):
        same(
            scoring["recall_at_fpr"](model, X, labels),
            plain["recall_at_fpr"](numbers, X, y),
        )


def test_scorers_beside_those_of_scikit_learn(rows):
    """scikit-learn keeps the scores of one class for all scorers of a dictionary."""
    X, y = rows
    words = np.where(y == 1, "fraud", "legit")
    model = LogisticRegression().fit(X, words)
    p = model.predict_proba(X)
    scoring = {
        "their fraud": make_scorer(
            average_precision_score, response_method="predict_proba", pos_label="fraud"
        ),
        "fraud": scorer("expected_cost", fraud_cost=9.0, pos_label="fraud"),
        "legit": scorer("expected_cost", fraud_cost=9.0, pos_label="legit"),
        "none": scorer("expected_cost", fraud_cost=9.0),
        "recall": scorer("recall_at_alert_rate", rate=0.1, pos_label="fraud"),
        "other": scorer("recall_at_alert_rate", rate=0.1, pos_label="legit"),
    }
    fold = [(np.arange(3000), np.arange(3000))]
    result = cross_validate(model, X, words, scoring=scoring, cv=fold)
    expected = {
        "fraud": -expected_cost(y, p[:, 0], fraud_cost=9.0),
        "legit": -expected_cost(1 - y, p[:, 1], fraud_cost=9.0),
        "none": -expected_cost(1 - y, p[:, 1], fraud_cost=9.0),
        "recall": recall_at_alert_rate(y, p[:, 0], rate=0.1),
        "other": recall_at_alert_rate(1 - y, p[:, 1], rate=0.1),
    }
    for name, value in expected.items():
        assert result[f"test_{name}"][0] == pytest.approx(value)


@pytest.mark.slow
def test_scorers_are_scorers(rows):
    X, y = rows
    words = np.where(y == 1, "fraud", "legit")
    scoring = scorer("recall_at_fpr", fpr=0.05, pos_label="fraud")
    assert repr(scoring) == "scorer('recall_at_fpr', fpr=0.05, pos_label='fraud')"
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, words)
    value = scoring(model, X, words)
    assert value > 0.2
    again = pickle.loads(pickle.dumps(scoring))
    assert again(model, X, words) == value
    search = GridSearchCV(
        model, {"logisticregression__C": [0.1, 1.0]}, scoring=scoring, cv=2, n_jobs=2
    )
    assert clone(search).fit(X, words).score(X, words) > 0.2
    svm = LinearSVC().fit(X, words)  # has no probabilities
    numbers = LinearSVC().fit(X, y)
    assert scoring(svm, X, words) == scorer("recall_at_fpr", fpr=0.05)(numbers, X, y)
    with pytest.raises((AttributeError, ValueError), match="LinearRegression"):
        scorer("recall_at_fpr")(LinearRegression().fit(X, y), X, y)


@pytest.mark.parametrize("kind", ["words", "fraud first", "signs", "booleans"])
def test_costs_choose_a_threshold(kind, rows):
    """TunedThresholdClassifierCV hands decisions to the measure, as labels."""
    X, y = rows
    names, pos_label = NAMED[kind]
    tuned = [
        TunedThresholdClassifierCV(
            LogisticRegression(),
            scoring=scorer("expected_cost", fraud_cost=30.0, pos_label=one),
            thresholds=np.array([0.001, 0.05, 0.5, 0.99]),
        ).fit(X, labels)
        for labels, one in ((y, None), (names[y], pos_label))
    ]
    assert tuned[0].best_threshold_ == tuned[1].best_threshold_ == 0.05
    assert tuned[0].best_score_ == pytest.approx(tuned[1].best_score_)


def test_decisions_of_one_class_have_no_positive_class():
    """As a model that alerts on every row of a fold of frauds would hand over."""
    measure = scorer("expected_cost", fraud_cost=30.0)._score_func
    labels = np.array(["fraud", "fraud"])
    with pytest.raises(ValueError, match=r"all labels are .*'fraud'.* pass pos_label"):
        measure(labels, labels, fraud_cost=30.0)
    cost = measure(labels, labels, fraud_cost=30.0, alert_cost=2.0, pos_label="fraud")
    assert cost == 2.0
    numbers = np.ones(2)
    assert measure(numbers, numbers, fraud_cost=30.0, alert_cost=2.0) == 2.0


def test_routed_metadata_of_each_fold(rows):
    X, y = rows
    words = np.where(y == 1, "fraud", "legit")
    day, card, amount = np.arange(3000) // 50, np.arange(3000) % 97, 1.0 + 9 * y
    folds = KFold(3)
    with config_context(enable_metadata_routing=True):
        scoring = {
            "daily": scorer(
                "precision_at_daily_budget", budget=5, pos_label="fraud"
            ).set_score_request(day=True, sample_weight=True),
            "cards": scorer(
                "card_precision_at_k", k=3, pos_label="fraud"
            ).set_score_request(day=True, card=True),
            "cost": scorer("expected_cost", pos_label="fraud").set_score_request(
                fraud_cost="amount"
            ),
        }
        result = cross_validate(
            LogisticRegression().set_fit_request(sample_weight=False),
            X,
            words,
            scoring=scoring,
            params={
                "day": day,
                "card": card,
                "amount": amount,
                "sample_weight": amount,
            },
            cv=folds,
        )
    for at, (fit, test) in enumerate(folds.split(X)):
        p = LogisticRegression().fit(X[fit], words[fit]).predict_proba(X[test])[:, 0]
        daily = precision_at_daily_budget(
            y[test], p, day[test], budget=5, sample_weight=amount[test]
        )
        assert result["test_daily"][at] == pytest.approx(daily)
        cards = card_precision_at_k(y[test], p, card[test], day[test], k=3)
        assert result["test_cards"][at] == pytest.approx(cards)
        cost = expected_cost(y[test], p, fraud_cost=amount[test])
        assert result["test_cost"][at] == pytest.approx(-cost)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scorer("accuracy"), "name must be one of .* got 'accuracy'"),
        (
            lambda: scorer("recall_at_fpr", pos_label="frud")(
                LogisticRegression().fit([[0], [1]], ["fraud", "legit"]),
                [[0]],
                ["fraud"],
            ),
            "pos_label must be a class .* 'fraud' and 'legit', got 'frud'",
        ),
        (
            lambda: scorer("recall_at_fpr")(
                LogisticRegression().fit([[0], [1]], ["fraud", "legit"]),
                [[0], [1]],
                ["fraud", None],
            ),
            "y must hold .* classes, 'fraud' and 'legit', got None in row 1",
        ),
        (
            lambda: scorer("recall_at_fpr")(
                LogisticRegression().fit([[0], [1], [2]], [0, 1, 2]), [[0]], [0]
            ),
            "two classes",
        ),
        (
            lambda: cross_val_score(
                LogisticRegression(),
                [[0], [1]] * 4,
                ["fraud", "legit"] * 4,
                scoring=scorer("expected_cost"),
                cv=2,
                error_score="raise",
            ),
            "fraud_cost",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
