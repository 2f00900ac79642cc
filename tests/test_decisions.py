"""Measures of days, cards, money and probabilities against naive loops; scorers."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    make_scorer,
    roc_auc_score,
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
from test_metrics import problems, same

from focal_gbm import FocalLGBMClassifier
from focal_gbm.metrics import (
    bootstrap_interval,
    calibration_in_the_large,
    calibration_slope,
    card_precision_at_k,
    expected_cost,
    precision_at_alert_rate,
    precision_at_daily_budget,
    recall_at_alert_rate,
    recall_at_daily_budget,
    recall_at_fpr,
    scorer,
)


@given(
    problem=problems(),
    budget=st.sampled_from([0, 1, 2, 5, 100]),
    seed=st.integers(0, 9),
)
def test_daily_budgets(problem, budget, seed):
    y, score, weight = problem
    day = np.random.default_rng(seed).integers(0, 4, len(y))
    w = np.ones(len(y)) if weight is None else np.array(weight, float)
    caught = alerted = 0.0
    for one in set(day.tolist()):
        rows = day == one
        best = (0.0, 0.0)
        for threshold in sorted(set(score[rows])):
            alert = rows & (score >= threshold)
            if best[1] < w[alert].sum() <= budget:
                best = (w[alert] @ y[alert], w[alert].sum())
        caught, alerted = caught + best[0], alerted + best[1]
    frauds = w @ y
    kwargs = {"budget": budget, "sample_weight": weight}
    recall = recall_at_daily_budget(y, score, day, **kwargs)
    same(recall, caught / frauds if frauds else np.nan)
    precision = precision_at_daily_budget(y, score, day, **kwargs)
    same(precision, caught / alerted if alerted else np.nan)


def naive_card_precision(y, score, card, day, k, remove):
    gone, shares = set(), []
    for one in sorted(set(day)):
        best, fraud = {}, {}
        for i in range(len(y)):
            if day[i] == one and card[i] not in gone:
                best[card[i]] = max(best.get(card[i], -np.inf), score[i])
                fraud[card[i]] = fraud.get(card[i], False) or y[i] == 1
        ranked = sorted(best, key=lambda c: (-best[c], c))[:k]
        hits = {c for c in ranked if fraud[c]}
        shares.append(len(hits) / k)
        if remove:
            gone |= hits
    return np.mean(shares)


@given(
    problem=problems(),
    k=st.integers(1, 6),
    remove=st.booleans(),
    seed=st.integers(0, 9),
)
def test_card_precision(problem, k, remove, seed):
    y, score, _ = problem
    rng = np.random.default_rng(seed)
    day, card = rng.integers(0, 4, len(y)), rng.integers(0, 9, len(y))
    expected = naive_card_precision(y, score, card, day, k, remove)
    names = pd.Series(card).map("card {}".format)
    for cards in (card, names):
        said = card_precision_at_k(y, score, cards, day, k=k, remove_detected=remove)
        same(said, expected)


@given(problem=problems(), seed=st.integers(0, 9), by_amount=st.booleans())
def test_expected_cost(problem, seed, by_amount):
    y, score, weight = problem
    rng = np.random.default_rng(seed)
    amount = rng.integers(0, 50, len(y)).astype(float) if by_amount else 20.0
    w = np.ones(len(y)) if weight is None else np.array(weight, float)
    p = expit(score)
    for threshold in (None, 0.3):
        total = 0.0
        for i in range(len(y)):
            loss = amount[i] if by_amount else amount
            alert = p[i] >= 0.3 if threshold else p[i] * loss > 3.0
            total += w[i] * (3.0 if alert else loss * y[i])
        said = expected_cost(
            y,
            p,
            fraud_cost=amount,
            alert_cost=3.0,
            threshold=threshold,
            sample_weight=weight,
        )
        same(said, total / w.sum())


def test_the_cheapest_decision_is_by_expected_cost():
    rng = np.random.default_rng(0)
    truth = expit(rng.normal(-3, 2, 50_000))
    y, amount = rng.random(50_000) < truth, rng.gamma(1.0, 100.0, 50_000)
    kwargs = {"fraud_cost": amount, "alert_cost": 5.0}
    best = expected_cost(y, truth, **kwargs)
    for threshold in (0.01, 0.05, 0.2, 0.5):
        assert best < expected_cost(y, truth, threshold=threshold, **kwargs)


def test_calibration_in_the_large():
    y, p = np.array([0, 1, 0, 0]), np.array([0.2, 0.3, 0.1, 0.4])
    assert calibration_in_the_large(y, p) == pytest.approx(1.0)
    weight = [1, 2, 3, 4]
    expected = np.average(p, weights=weight) / np.average(y, weights=weight)
    said = calibration_in_the_large(y, p, sample_weight=weight)
    assert said == pytest.approx(expected)
    assert calibration_in_the_large([0, 0], [0.1, 0.1]) == np.inf


def test_calibration_slope_is_that_of_logistic_regression():
    rng = np.random.default_rng(1)
    x = rng.normal(-3, 2, 30_000)
    y = rng.random(30_000) < expit(0.7 * x)
    weight = 1.0 + np.arange(30_000) % 3
    plain = LogisticRegression(C=1e9, tol=1e-10).fit(x[:, None], y, weight)
    said = calibration_slope(y, expit(x), sample_weight=weight)
    assert said == pytest.approx(plain.coef_[0, 0], rel=0.01)


def test_intervals_cover_and_groups_widen_them():
    rng = np.random.default_rng(2)
    day = np.repeat(np.arange(50), 100)
    bad_day = rng.random(50) < 0.2
    y = rng.random(5000) < np.where(bad_day[day], 0.3, 0.01)
    score = rng.normal(size=5000) + 2.0 * y
    kwargs = {"rate": 0.1, "random_state": 0}
    value = precision_at_alert_rate(y, score, rate=0.1)
    rows = bootstrap_interval(precision_at_alert_rate, y, score, **kwargs)
    days = bootstrap_interval(precision_at_alert_rate, y, score, groups=day, **kwargs)
    assert rows[0] < value < rows[1]
    assert days[0] < value < days[1]
    assert days[1] - days[0] > 1.5 * (rows[1] - rows[0])
    again = bootstrap_interval(precision_at_alert_rate, y, score, groups=day, **kwargs)
    assert again == days
    narrow = bootstrap_interval(
        precision_at_alert_rate, y, score, groups=day, confidence=0.5, **kwargs
    )
    assert narrow[1] - narrow[0] < days[1] - days[0]
    auc = bootstrap_interval(roc_auc_score, y, score, n_resamples=50, random_state=0)
    assert auc[0] < roc_auc_score(y, score) < auc[1]


def naive_interval(metric, y, score, groups, columns, seed, n_resamples=20, **kwargs):
    """Copy the rows of groups drawn one by one, each copy with names of its own:
    ``names`` says how they are made of the label and the number of the copy."""
    rng = np.random.default_rng(seed)
    labels = sorted(set(groups))
    values = [metric(y, score, **{k: v for k, (v, _) in columns.items()}, **kwargs)]
    while len(values) <= n_resamples:
        drawn = np.sort(rng.integers(0, len(labels), len(labels)))
        rows, named = [], {name: [] for name in columns}
        for at, number in enumerate(drawn):
            copy = sum(drawn[:at] == number)
            for row in range(len(y)):
                if groups[row] == labels[number]:
                    rows.append(row)
                    for name, (value, is_named) in columns.items():
                        one = value[row]
                        named[name].append(100 * one + copy if is_named else one)
        values.append(metric(y[rows], score[rows], **named, **kwargs))
    low, high = np.quantile(values[1:], [0.05, 0.95])
    return min(low, values[0]), max(high, values[0])


@pytest.mark.parametrize("seed", range(5))
def test_a_group_drawn_twice_is_two_groups(seed):
    rng = np.random.default_rng(seed)
    n = 120
    day, card = np.sort(rng.integers(0, 12, n)), rng.integers(0, 15, n)
    y, score = (rng.random(n) < 0.3).astype(int), rng.integers(0, 9, n).astype(float)
    week = day // 3
    kwargs = {"n_resamples": 20, "confidence": 0.9, "random_state": seed}
    for groups, is_day in ((day, True), (week, True), (card, False)):
        for metric in (recall_at_daily_budget, precision_at_daily_budget):
            said = bootstrap_interval(
                metric, y, score, groups=groups, day=day, budget=3, **kwargs
            )
            expected = naive_interval(
                metric, y, score, groups, {"day": (day, is_day)}, seed, budget=3
            )
            assert said == pytest.approx(expected)
        said = bootstrap_interval(
            card_precision_at_k, y, score, groups=groups, card=card, day=day, k=2,
            **kwargs
        )  # fmt: skip
        columns = {"card": (card, True), "day": (day, is_day)}
        expected = naive_interval(
            card_precision_at_k, y, score, groups, columns, seed, k=2
        )
        assert said == pytest.approx(expected)
        amount = rng.gamma(1.0, 50.0, n)
        said = bootstrap_interval(
            expected_cost, y, expit(score - 5), groups=groups, fraud_cost=amount,
            alert_cost=9.0, **kwargs
        )  # fmt: skip
        columns = {"fraud_cost": (amount, False)}
        expected = naive_interval(
            expected_cost, y, expit(score - 5), groups, columns, seed, alert_cost=9.0
        )
        assert said == pytest.approx(expected)


def test_days_that_are_perfect_stay_perfect():
    """Where each day's alerts and cards find all there is, so do days drawn twice."""
    day = np.repeat(np.arange(30), 20)
    rng = np.random.default_rng(0)
    score = rng.random(600)
    y = np.zeros(600, int)
    for one in range(30):
        y[20 * one + score[day == one].argmax()] = 1
    card = np.arange(600)
    dates = np.datetime64("2025-01-01") + day
    kwargs = {"n_resamples": 50, "random_state": 0}
    for days in (day, dates, pd.Series(dates), pl.Series(dates), dates.tolist()):
        for groups in (days, day // 7):
            for metric in (recall_at_daily_budget, precision_at_daily_budget):
                said = bootstrap_interval(
                    metric, y, score, groups=groups, day=days, budget=1, **kwargs
                )
                assert said == (1.0, 1.0)
            said = bootstrap_interval(
                card_precision_at_k, y, score, groups=groups, card=card, day=days, k=1,
                **kwargs
            )  # fmt: skip
            assert said == (1.0, 1.0)


def test_weights_are_drawn_with_their_rows():
    rng = np.random.default_rng(0)
    y, p, group = rng.random(200) < 0.3, rng.random(200), np.arange(200) // 10
    weight = rng.integers(0, 4, 200).astype(float)

    def checked(y_true, y_prob, sample_weight=None, *, row):
        np.testing.assert_array_equal(sample_weight, weight[row])
        np.testing.assert_array_equal(y_prob, p[row])
        sizes = np.bincount(row // 10, minlength=20)
        assert (sizes % 10 == 0).all()
        return calibration_in_the_large(y_true, y_prob, sample_weight=sample_weight)

    kwargs = {"sample_weight": weight, "groups": group, "random_state": 1}
    said = bootstrap_interval(checked, y, p, row=np.arange(200), **kwargs)
    assert said == bootstrap_interval(calibration_in_the_large, y, p, **kwargs)


def test_metrics_of_others_in_intervals():
    rng = np.random.default_rng(0)
    y, score = rng.random(300) < 0.3, rng.random(300)
    kwargs = {"n_resamples": 40, "random_state": 0}

    def unweighted(y_true, y_score):
        return float(y_score[y_true > 0].mean())

    def needs_weights(y_true, y_score, sample_weight):
        assert len(sample_weight) == len(y_true)
        return float(np.average(y_score, weights=sample_weight))

    def of_customers(y_true, y_score, *, customer):
        return float(len(set(customer)))

    def of_text(y_true, y_score, *, country):
        return float(np.mean(np.asarray(country) == "IT"))

    for metric in (
        roc_auc_score,
        average_precision_score,
        brier_score_loss,
        unweighted,
        needs_weights,
    ):
        low, high = bootstrap_interval(metric, y, score, **kwargs)
        assert low < high
    customer = np.arange(300) // 3
    said = bootstrap_interval(
        of_customers, y, score, groups=customer, customer=customer, **kwargs
    )
    assert said == (100.0, 100.0)  # a hundred customers, whichever are drawn
    country = ["IT", "FR", None] * 100
    low, high = bootstrap_interval(of_text, y, score, country=country, **kwargs)
    assert low < 1 / 3 < high
    words = np.where(y, "fraud", "legit")
    said = bootstrap_interval(roc_auc_score, words, score, pos_label="fraud", **kwargs)
    assert said == bootstrap_interval(roc_auc_score, y, score, **kwargs)


def test_the_interval_holds_the_measure_of_all_rows():
    """The number of different rows is always less in a resample."""

    def different(y_true, y_score):
        return float(len(set(y_score)))

    rng = np.random.default_rng(0)
    low, high = bootstrap_interval(
        different, rng.random(50) < 0.5, rng.random(50), random_state=0
    )
    assert low < 40 < high == 50


def test_undefined_on_some_resamples():
    rng = np.random.default_rng(0)
    p = expit(rng.normal(-4, 2, 3000))
    few = np.zeros(3000, int)
    few[rng.choice(3000, 3, replace=False)] = 1
    for metric in (calibration_in_the_large, calibration_slope, roc_auc_score):
        low, high = bootstrap_interval(metric, few, p, n_resamples=60, random_state=0)
        assert np.isfinite([low, high]).all()
        assert low <= metric(few, p) <= high
    for metric in (recall_at_fpr, recall_at_alert_rate):
        low, high = bootstrap_interval(metric, few, p, n_resamples=60, random_state=0)
        assert 0 <= low <= metric(few, p) <= high <= 1

    def seldom(y_true, y_score):
        """Undefined where a row is drawn twice, as nearly always."""
        if len(set(y_score)) < len(y_score):
            raise ValueError("rows are not distinct")
        return 1.0

    with pytest.raises(
        ValueError, match=r"seldom is undefined on 21 of 21 resamples, .* no positive"
    ):
        bootstrap_interval(seldom, few, p, n_resamples=20)


def test_sources_of_drawings():
    y, score = np.arange(60) % 3 == 0, np.arange(60) % 7
    kwargs = {"n_resamples": 30, "rate": 0.2}
    first, second = (
        bootstrap_interval(
            recall_at_alert_rate, y, score, random_state=source, **kwargs
        )
        for source in (3, np.random.default_rng(3))
    )
    assert first == second
    rng = np.random.default_rng(3)
    once = [
        bootstrap_interval(recall_at_alert_rate, y, score, random_state=rng, **kwargs)
        for _ in range(2)
    ]
    assert once[0] == first != once[1]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(3000, 4))
    y = (rng.random(3000) < expit(2 * X[:, 0] - 3.5)).astype(int)
    return X, y


def test_scorers_in_cross_validation(rows):
    X, y = rows
    model = FocalLGBMClassifier(n_estimators=15, verbose=-1)
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
            FocalLGBMClassifier(n_estimators=15, verbose=-1),
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
        (lambda: recall_at_daily_budget([0, 1], [0, 1], [1]), "day must have 2 values"),
        (
            lambda: recall_at_daily_budget([0, 1], [0, 1], [1, None]),
            "day must not be missing, as it is in row 1",
        ),
        (
            lambda: precision_at_daily_budget([0, 1], [0, 1], [1, 1], budget=-1),
            "budget must be .* got -1",
        ),
        (
            lambda: card_precision_at_k([0, 1], [0, 1], [1], [1, 1]),
            "card must have 2 values, .* got 1",
        ),
        (lambda: card_precision_at_k([0, 1], [0, 1], [1, 1], [1, 1], k=0), "k must be"),
        (
            lambda: expected_cost([0, 1], [0.1, 2], fraud_cost=1.0),
            "y_score must hold probabilities where threshold is None",
        ),
        (
            lambda: expected_cost([0, 1], [0.1, 0.2], fraud_cost=[1.0, -1.0]),
            "fraud_cost must be finite and >= 0",
        ),
        (lambda: calibration_in_the_large([0], [1.5]), "y_prob must lie in .* got 1.5"),
        (lambda: calibration_slope([0, 1], [0.0, 0.5]), "y_prob must lie inside"),
        (lambda: scorer("accuracy"), "name must be one of .* got 'accuracy'"),
        (
            lambda: bootstrap_interval(
                recall_at_alert_rate, [0, 1], [0, 1], confidence=1.0
            ),
            "confidence must be .* got 1.0",
        ),
        (
            lambda: bootstrap_interval(
                recall_at_alert_rate, [0, 1], [0, 1], n_resamples=2.5
            ),
            "n_resamples must be a whole number >= 1, got 2.5",
        ),
        (
            lambda: bootstrap_interval(
                recall_at_alert_rate, [0, 1], [0, 1], n_resamples=0
            ),
            "n_resamples must be .* got 0",
        ),
        (
            lambda: bootstrap_interval(
                recall_at_alert_rate, [0, 1], [0, 1], groups=[1, 1]
            ),
            "an interval needs at least two groups to draw from, got one",
        ),
        (
            lambda: bootstrap_interval(
                recall_at_alert_rate, [0, 1], [0, 1], groups=[[1, 1]]
            ),
            r"groups must be one-dimensional, got shape \(1, 2\)",
        ),
        (
            lambda: bootstrap_interval(
                recall_at_alert_rate, [0, 1], [0, 1], groups=[1, None]
            ),
            "groups must not be missing, as it is in row 1",
        ),
        (
            lambda: bootstrap_interval(
                recall_at_alert_rate,
                [0, 1],
                [0, 1],
                groups=pd.to_datetime(["2025-01-01 09:00", "2025-01-01 10:00"]),
            ),
            "groups must hold whole days, got .* in row 0: a time stamp",
        ),
        (
            lambda: bootstrap_interval(recall_at_alert_rate, [0, 0], [0, 1]),
            "recall_at_alert_rate is nan on all rows",
        ),
        (
            lambda: bootstrap_interval(roc_auc_score, [0, 1, 1], [0, np.nan, 1]),
            "y_score must not be NaN",
        ),
        (
            lambda: card_precision_at_k([0, 1], [0, 1], [1, 1], [1, 1], k=1.5),
            "k must be a whole number >= 1, got 1.5",
        ),
        (
            lambda: card_precision_at_k([0, 1], [0, 1], [[1, 1]], [1, 1]),
            r"card must be one-dimensional, got shape \(1, 2\)",
        ),
        (
            lambda: card_precision_at_k([1], [1], [1], pl.DataFrame({"a": [1]})),
            r"day must be one-dimensional, got shape \(1, 1\)",
        ),
        (
            lambda: card_precision_at_k([1], [1], 7, [1]),
            r"card must be one-dimensional, got shape \(\)",
        ),
        (
            lambda: expected_cost([0, 1], [0.1, 0.2], fraud_cost=[1.0, np.nan]),
            "fraud_cost must be finite and >= 0, got nan in row 1",
        ),
        (
            lambda: expected_cost([0, 1], [0.1, 0.2], fraud_cost=[1.0]),
            "fraud_cost must have 2 values, one a row, got 1",
        ),
        (
            lambda: expected_cost([0, 1], [0.1, 0.2], fraud_cost=["a", 1.0]),
            "fraud_cost must hold numbers, got 'a' in row 0",
        ),
        (
            lambda: expected_cost([0, 1], [0.1, 0.2], fraud_cost=-1),
            "fraud_cost must be a finite number >= 0.0, got -1",
        ),
        (
            lambda: expected_cost([0, 1], [0.1, 0.2], fraud_cost=1, alert_cost=np.inf),
            "alert_cost must be a finite number >= 0.0, got inf",
        ),
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


def test_arguments_of_the_wrong_type():
    for fraud_cost in ("a", None):
        with pytest.raises(
            TypeError, match=f"fraud_cost must be .* got {fraud_cost!r}"
        ):
            expected_cost([0, 1], [0.1, 0.2], fraud_cost=fraud_cost)
    for threshold in ("0.5", np.nan):
        with pytest.raises(TypeError, match="threshold must be a number or None, got"):
            expected_cost([0, 1], [0.1, 0.2], fraud_cost=1.0, threshold=threshold)
    assert expected_cost([0, 1], [0.1, 9], fraud_cost=6.0, threshold=np.inf) == 3.0
    with pytest.raises(TypeError, match="unexpected keyword argument 'fpp'"):
        scorer("recall_at_fpr", fpp=0.1)
