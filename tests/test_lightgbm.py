"""FocalLGBMClassifier: what it trains, what it says, what it saves."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
import sklearn
from data import RARE, rare_blobs, rare_transactions
from lightgbm import LGBMClassifier
from scipy.special import expit, logit
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.utils.estimator_checks import parametrize_with_checks

from focal_gbm import FocalLGBMClassifier, FocalLoss

BOTH_LINKS = pytest.mark.parametrize("link", ["posterior", "logit"])
SMALL = {"n_estimators": 30, "verbose": -1, "random_state": 0, "n_jobs": 2}


@pytest.fixture(scope="module")
def data():
    """6000 rows, 5 % positive, with missing values."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(6000, 8))
    score = 2 * X[:, 0] + X[:, 1] * X[:, 2] - 4.5
    y = (rng.random(6000) < expit(score)).astype(int)
    X[rng.random(X.shape) < 0.05] = np.nan
    return X, y


def plain_probability(model, X):
    """Return what a plain booster says that knows the saved text alone."""
    return lgb.Booster(model_str=model.booster_.model_to_string()).predict(X)


def known_failures(_):
    """None; but scikit-learn 1.6 gives binary estimators other labels in the two fits
    that it compares, the class of the first row being 0 in each order of rows."""
    if sklearn.__version__ >= "1.7":
        return {}
    check = "check_sample_weight_equivalence_on_{}_data"
    return {check.format(kind): "labels are swapped" for kind in ("dense", "sparse")}


@parametrize_with_checks(
    [
        FocalLGBMClassifier(verbose=-1),
        FocalLGBMClassifier(link="logit", n_estimators=10, verbose=-1),
    ],
    expected_failed_checks=known_failures,
)
def test_scikit_learn_checks(estimator, check):
    """Clone, Pipeline, string labels and frames break elsewhere; none is excluded."""
    check(estimator)


@BOTH_LINKS
def test_gamma_zero_is_lightgbm(link, data):
    """gamma = 0 is refused elsewhere, so nobody could test against log-loss."""
    X, y = data
    common = {"n_estimators": 50, "verbose": -1, "min_child_weight": 1e-3}
    ours = FocalLGBMClassifier(
        focal_gamma=0.0, link=link, start=1.0, max_step=None, **common
    ).fit(X, y)
    theirs = LGBMClassifier(**common).fit(X, y)
    difference = np.abs(ours.decision_function(X) - theirs.predict(X, raw_score=True))
    # the closing constant is ours alone
    assert np.quantile(np.abs(difference - np.median(difference)), 0.999) <= 1e-3
    assert np.median(difference) <= 0.02


@BOTH_LINKS
def test_a_weight_of_two_is_a_row_twice(link, data):
    """sample_weight is ignored elsewhere, or dropped by two-argument callables."""
    X, y = data
    X = np.round(X)  # no near ties that rounding could decide
    weight = np.where(np.arange(len(y)) % 3 == 0, 2, 1)
    twice = np.repeat(np.arange(len(y)), weight)
    exact = {"min_child_samples": 0, "min_data_in_bin": 1, "max_bin": 1023}
    model = FocalLGBMClassifier(link=link, **SMALL, **exact)
    weighted = model.fit(X, y, sample_weight=weight).decision_function(X)
    repeated = model.fit(X[twice], y[twice]).decision_function(X)
    np.testing.assert_allclose(weighted, repeated, atol=1e-9)


@BOTH_LINKS
@pytest.mark.parametrize(
    "kwargs",
    [
        {"class_weight": "balanced"},
        {"class_weight": {0: 1.0, 1: 30.0}},
        {"scale_pos_weight": 20.0},
        {"is_unbalance": True},
        {"unbalance": True},
        {"focal_alpha": 0.25},
        {"focal_alpha": 0.9},
        {"focal_alpha": 0.9, "scale_pos_weight": 3.0},
    ],
)
def test_class_weights_train_and_do_not_shift(link, kwargs, data):
    """Class weights and alpha are dropped elsewhere, or come out as probabilities."""
    X, y = data
    plain = FocalLGBMClassifier(link=link, **SMALL).fit(X, y)
    model = FocalLGBMClassifier(link=link, **SMALL, **kwargs).fit(X, y)
    p = model.predict_proba(X)[:, 1]
    assert p.mean() == pytest.approx(y.mean(), rel=0.05)
    assert np.abs(p - plain.predict_proba(X)[:, 1]).max() > 0.01
    # on unseen rows too: the constant alone would not do that
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, stratify=y, random_state=0
    )
    p = model.fit(X_train, y_train).predict_proba(X_test)[:, 1]
    assert p.mean() == pytest.approx(y_test.mean(), rel=0.25)


def test_equal_ways_to_weigh_classes(data):
    X, y = data
    ratio = (1 - y.mean()) / y.mean()
    models = [
        FocalLGBMClassifier(**SMALL, **kwargs).fit(X, y).decision_function(X)
        for kwargs in (
            {"is_unbalance": True},
            {"scale_pos_weight": ratio},
            {"class_weight": {0: 1.0, 1: ratio}},
        )
    ]
    np.testing.assert_allclose(models[0], models[1], rtol=1e-9)
    np.testing.assert_allclose(models[0], models[2], rtol=1e-9)


def test_class_weights_move_the_decision(data):
    X, y = data
    plain = FocalLGBMClassifier(**SMALL).fit(X, y)
    weighted = FocalLGBMClassifier(class_weight={0: 1, 1: 9}, **SMALL).fit(X, y)
    assert plain.threshold_ == 0.5
    assert weighted.threshold_ == pytest.approx(0.1)
    expected = weighted.predict_proba(X)[:, 1] > 0.1
    np.testing.assert_array_equal(weighted.predict(X), expected)
    assert weighted.predict(X).mean() > plain.predict(X).mean()


@BOTH_LINKS
@pytest.mark.parametrize("n_estimators", [1, 20, 40, 100])
@pytest.mark.parametrize("start", [0.0, 0.5, 1.0])
def test_mean_probability_is_the_base_rate(link, n_estimators, start, data):
    """Without a constant, few trees from start 0 overstate the mean threefold."""
    X, y = data
    weight = 1.0 + (np.arange(len(y)) % 4)
    model = FocalLGBMClassifier(
        link=link, start=start, n_estimators=n_estimators, verbose=-1
    ).fit(X, y, sample_weight=weight)
    mean = np.average(model.predict_proba(X)[:, 1], weights=weight)
    assert mean == pytest.approx(np.average(y, weights=weight), rel=1e-6)


MODES = {
    "gbdt": {},
    "goss": {"data_sample_strategy": "goss"},
    "goss by its old name": {"boosting_type": "goss"},
    "dart": {"boosting_type": "dart"},
    "linear trees": {"linear_tree": True},
    "bagging": {"subsample": 0.5, "subsample_freq": 1},
    "quantised gradients": {"use_quantized_grad": True},
    "extra trees": {"extra_trees": True, "path_smooth": 1.0},
    "few trees": {"n_estimators": 2},
    "no tree can split": {"min_child_samples": 10_000},
}


@BOTH_LINKS
@pytest.mark.parametrize("mode", MODES)
def test_saved_model_says_the_same(link, mode, data, tmp_path):
    """The starting constant is absent or lost at predict elsewhere."""
    X, y = data
    model = FocalLGBMClassifier(link=link, **{**SMALL, **MODES[mode]}).fit(X, y)
    model.booster_.save_model(tmp_path / "model.txt")
    plain = lgb.Booster(model_file=tmp_path / "model.txt")
    raw = model.predict(X, raw_score=True)
    np.testing.assert_allclose(plain.predict(X, raw_score=True), raw, atol=1e-12)
    p = model.predict_proba(X)[:, 1]
    assert p.mean() == pytest.approx(y.mean(), rel=1e-6)
    np.testing.assert_allclose(expit(model.decision_function(X)), p, atol=1e-12)
    if mode != "linear trees":  # LightGBM has no contributions for them
        contributions = model.predict(X, pred_contrib=True)
        np.testing.assert_allclose(contributions.sum(axis=1), raw, atol=1e-9)
    if link == "posterior":
        np.testing.assert_allclose(plain.predict(X), p, atol=1e-12)
        np.testing.assert_allclose(raw, model.decision_function(X), atol=1e-12)
    else:  # raw scores, and no claim that expit of them is a probability
        np.testing.assert_allclose(plain.predict(X), raw, atol=1e-12)
        np.testing.assert_allclose(model.loss_.probability(raw), p, atol=1e-12)


def test_categorical_columns_and_missing_values_survive_saving(data):
    X, y = data
    frame = pd.DataFrame(X[:, :3], columns=list("abc"))
    frame["kind"] = pd.Categorical(np.where(X[:, 3] > 0, "high", "low"))
    frame.loc[::7, "kind"] = None
    model = FocalLGBMClassifier(boosting_type="dart", **SMALL).fit(frame, y)
    p = model.predict_proba(frame)[:, 1]
    np.testing.assert_allclose(plain_probability(model, frame), p, atol=1e-12)
    assert p.mean() == pytest.approx(y.mean(), rel=1e-6)


def test_early_stopping_keeps_model_and_estimator_together(data):
    X, y = data
    model = FocalLGBMClassifier(
        n_estimators=200, learning_rate=0.3, early_stopping_round=5, verbose=-1
    ).fit(X[:3000], y[:3000], eval_X=X[3000:], eval_y=y[3000:])
    assert 0 < model.best_iteration_ < 200
    assert model.booster_.best_iteration == model.best_iteration_
    p = model.predict_proba(X)[:, 1]
    np.testing.assert_allclose(plain_probability(model, X), p, atol=1e-12)
    # the constant is that of the trees in use
    assert p[:3000].mean() == pytest.approx(y[:3000].mean(), rel=1e-6)


@BOTH_LINKS
def test_continued_training(link, data, tmp_path):
    X, y = data
    first = FocalLGBMClassifier(link=link, **SMALL).fit(X, y)
    path = tmp_path / "first.txt"
    first.booster_.save_model(path)
    ways = [
        FocalLGBMClassifier(link=link, **SMALL).fit(X, y, init_model=way)
        for way in (first, first.booster_, path, str(path))
    ]
    raws = [model.predict(X, raw_score=True) for model in ways]
    for raw in raws[1:]:
        np.testing.assert_allclose(raw, raws[0], atol=1e-12)
    model = ways[0]
    assert model.booster_.num_trees() == 60
    p = model.predict_proba(X)[:, 1]
    assert p.mean() == pytest.approx(y.mean(), rel=1e-6)
    assert log_loss(y, p) < log_loss(y, first.predict_proba(X)[:, 1])
    if link == "posterior":
        np.testing.assert_allclose(plain_probability(model, X), p, atol=1e-12)


def test_continuing_a_model_of_lightgbm(data):
    X, y = data
    first = LGBMClassifier(**SMALL).fit(X, y)
    model = FocalLGBMClassifier(**SMALL).fit(X, y, init_model=first)
    p = model.predict_proba(X)[:, 1]
    assert p.mean() == pytest.approx(y.mean(), rel=1e-6)
    assert log_loss(y, p) < log_loss(y, first.predict_proba(X)[:, 1])


def test_other_readers_agree(data):
    shap = pytest.importorskip("shap")
    treelite = pytest.importorskip("treelite")
    X, y = data
    model = FocalLGBMClassifier(**SMALL).fit(X, y)
    p = model.predict_proba(X)[:, 1]
    explainer = shap.TreeExplainer(model)
    values = explainer.shap_values(X[:50])
    total = explainer.expected_value + np.asarray(values).sum(axis=-1)
    np.testing.assert_allclose(total, model.predict(X[:50], raw_score=True), atol=1e-9)
    tree_model = treelite.frontend.from_lightgbm(model.booster_)
    said = np.ravel(treelite.gtil.predict(tree_model, X))
    np.testing.assert_allclose(said, p, atol=1e-12)


def test_model_is_complete_when_the_parent_returns(data, monkeypatch):
    """Wrappers around LGBMClassifier.fit copy the model before ours returns."""
    X, y = data
    seen = {}
    original = LGBMClassifier.fit

    def wrapped(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        seen["p"] = self.booster_.predict(X)
        return result

    monkeypatch.setattr(LGBMClassifier, "fit", wrapped)
    model = FocalLGBMClassifier(**SMALL).fit(X, y)
    np.testing.assert_array_equal(seen["p"], model.predict_proba(X)[:, 1])


def test_saved_text_has_the_form_of_lightgbm(data):
    """Golden: the two edits of the text, where LightGBM's own binary has them."""
    X, y = data
    ours = FocalLGBMClassifier(**SMALL).fit(X, y).booster_.model_to_string()
    theirs = LGBMClassifier(**SMALL).fit(X, y).booster_.model_to_string()
    keys = [
        [line.partition("=")[0] for line in text.partition("Tree=0")[0].splitlines()]
        for text in (ours, theirs)
    ]
    assert keys[0] == keys[1]
    assert "objective=binary sigmoid:1\n" in ours
    assert "[objective: binary]" in ours
    logit_link = FocalLGBMClassifier(link="logit", **SMALL).fit(X, y)
    assert "\nobjective=" not in logit_link.booster_.model_to_string()


def test_one_start_for_all_rows_is_part_of_the_model(data):
    """init_score is lost at predict elsewhere."""
    X, y = data
    constant = logit(y.mean())
    given = FocalLGBMClassifier(**SMALL).fit(X, y, init_score=np.full(len(y), constant))
    start = FocalLGBMClassifier(start=1.0, **SMALL).fit(X, y)
    np.testing.assert_allclose(
        given.decision_function(X), start.decision_function(X), atol=1e-9
    )


def test_starts_by_row_stay_outside_and_say_so(data):
    X, y = data
    scores = np.where(np.nan_to_num(X[:, 0]) > 0, -1.0, -4.0)
    with pytest.warns(UserWarning, match="init_score differs by row"):
        model = FocalLGBMClassifier(**SMALL).fit(X, y, init_score=scores)
    p = expit(model.predict(X, raw_score=True) + scores)
    assert p.mean() == pytest.approx(y.mean(), rel=1e-6)
    with pytest.warns(UserWarning, match="init_score differs by row"):
        stopped = FocalLGBMClassifier(early_stopping_round=3, **SMALL).fit(
            X,
            y,
            init_score=scores,
            eval_X=X[:3000],
            eval_y=y[:3000],
            eval_init_score=[scores[:3000]],
        )
    p = expit(stopped.predict(X[:3000], raw_score=True) + scores[:3000])
    (losses,) = stopped.evals_result_.values()
    value = losses["binary_logloss"][stopped.best_iteration_ - 1]
    # measured before the closing constant
    assert value == pytest.approx(log_loss(y[:3000], p), rel=0.01)


@pytest.mark.parametrize("n_positive", RARE)
@pytest.mark.parametrize("rare_rows", [rare_blobs, rare_transactions])
def test_never_collapses_on_a_rare_class(rare_rows, n_positive):
    """A leaf of frauds asks for a step of 1/rate, and plain boosting falls apart."""
    split = rare_rows(n_positive, seed=0)
    ours, *theirs = (
        average_precision_score(
            split.y_test,
            model.fit(split.X_train, split.y_train).predict_proba(split.X_test)[:, 1],
        )
        for model in (
            FocalLGBMClassifier(verbose=-1),
            LGBMClassifier(verbose=-1),
            LGBMClassifier(verbose=-1, boost_from_average=False),
        )
    )
    assert ours >= 0.95 * max(theirs)


@BOTH_LINKS
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 3.0, 5.0])
def test_no_divergence_and_no_empty_model(link, gamma):
    """Newton steps the wrong way, negative Hessians and rows without one."""
    X, y = make_classification(
        8000, 10, n_informative=5, weights=[0.99], flip_y=0, random_state=1
    )
    for start in (0.0, 0.5, 1.0):
        for learning_rate in (0.03, 0.1, 0.5):
            model = FocalLGBMClassifier(
                focal_gamma=gamma,
                link=link,
                start=start,
                learning_rate=learning_rate,
                n_estimators=30,
                verbose=-1,
            ).fit(X, y)
            f = model.decision_function(X)
            assert np.isfinite(f).all()
            assert len(np.unique(f)) > 10
            assert np.abs(f).max() < 40
            p = model.predict_proba(X)[:, 1]
            assert log_loss(y, p) < log_loss(y, np.full(len(y), y.mean()))


def test_probabilities_need_no_calibrator():
    """expit of the focal score is 15 times too high at a base rate of 1 %."""
    rng = np.random.default_rng(3)
    n = 240_000
    X = rng.normal(size=(n, 6))
    truth = expit(1.3 * X[:, 0] + np.maximum(X[:, 1], 0) * X[:, 2] - 4.6)
    y = (rng.random(n) < truth).astype(int)
    train, later = slice(0, 120_000), slice(120_000, 180_000)
    fresh = slice(180_000, n)
    assert y[later].sum() > 1000
    model = FocalLGBMClassifier(n_estimators=60, verbose=-1).fit(X[train], y[train])
    f = model.decision_function(X)
    platt = LogisticRegression(C=1e6).fit(f[later, None], y[later])
    said = log_loss(y[fresh], expit(f[fresh]))
    fitted = log_loss(y[fresh], platt.predict_proba(f[fresh, None])[:, 1])
    assert said <= 1.02 * fitted
    expected_loss = -(truth * np.log(expit(f)) + (1 - truth) * np.log(expit(-f)))[
        fresh
    ].mean()
    entropy = -(truth * np.log(truth) + (1 - truth) * np.log1p(-truth))[fresh].mean()
    assert expected_loss <= 1.05 * entropy
    assert expit(f[fresh]).mean() == pytest.approx(truth[fresh].mean(), rel=0.05)


@BOTH_LINKS
def test_same_seed_same_model_on_any_number_of_threads(link, data):
    X, y = data
    texts = []
    for n_jobs in (1, 2, 2):
        model = FocalLGBMClassifier(
            link=link,
            n_estimators=20,
            subsample=0.7,
            subsample_freq=1,
            random_state=5,
            n_jobs=n_jobs,
            verbose=-1,
            deterministic=True,
            force_col_wise=True,
        ).fit(X, y)
        text = model.booster_.model_to_string()
        texts.append(text.partition("end of trees")[0])
    assert texts[0] == texts[1] == texts[2]


def test_trains_on_every_row(data):
    """A quarter of the rows is silently held out elsewhere."""
    X, y = data
    model = FocalLGBMClassifier(focal_gamma=0.0, start=0.0, **SMALL).fit(X, y)
    first = model.booster_.dump_model()["tree_info"][0]["tree_structure"]
    assert first["internal_count"] == len(y)
    # at even odds the Hessian of log-loss is 1/4 a row
    assert first["internal_weight"] in (0, pytest.approx(len(y) / 4))


def test_bound_on_the_leaves(data):
    X, y = data
    kwargs = {**SMALL, "n_estimators": 1, "learning_rate": 1.0, "start": 1.0}
    leaves = {
        step: FocalLGBMClassifier(max_step=step, **kwargs).fit(X, y)
        for step in (0.5, None)
    }
    spread = {k: np.ptp(m.predict(X, raw_score=True)) for k, m in leaves.items()}
    assert spread[0.5] <= 1.0 + 1e-9 < spread[None]
    by_user = FocalLGBMClassifier(max_delta_step=0.1, **kwargs).fit(X, y)
    assert np.ptp(by_user.predict(X, raw_score=True)) <= 0.2 + 1e-9
    assert by_user.loss_ == FocalLoss(2.0)
