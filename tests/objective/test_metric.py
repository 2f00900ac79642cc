"""FocalMetric against scikit-learn and naive averages."""

from __future__ import annotations

import copy
import pickle
import warnings

import lightgbm as lgb
import numpy as np
import pytest
from scipy.special import expit
from scores import FAR_SCORES
from sklearn.metrics import log_loss

from focal_gbm import FocalLoss, FocalMetric, FocalObjective
from focal_gbm.metrics import recall_at_fpr
from focal_gbm.objective._metric import warn_if_undefined


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 6))
    y = (rng.random(4000) < expit(2 * X[:, 0] + X[:, 1] * X[:, 2] - 3)).astype(int)
    return X, y, rng.integers(1, 4, 4000).astype(float)


LGB = {"verbosity": -1, "min_child_samples": 1, "num_threads": 1}


def lgb_native(objective, X, y, w):
    booster = lgb.train(
        {**LGB, "objective": objective}, lgb.Dataset(X, y, weight=w), 50
    )
    return booster.predict(X, raw_score=True)


@pytest.mark.parametrize("link", ["posterior", "logit"])
def test_metric_is_the_log_loss_of_the_probabilities(link, data):
    """A log-loss of margins goes negative elsewhere, and stopping never fires."""
    X, y, w = data
    raw = lgb_native(FocalObjective(link=link), X, y, w)
    p = FocalLoss(link=link).probability(raw)
    value = FocalMetric(link=link).evaluate(y, raw, w)
    assert value == pytest.approx(log_loss(y, p, sample_weight=w), rel=1e-9)
    error = FocalMetric(link=link, metric="error").evaluate(y, raw, w)
    assert error == pytest.approx(np.average((p > 0.5) != y, weights=w))
    focal = FocalMetric(link=link, metric="focal").evaluate(y, raw, w)
    loss = FocalLoss(link=link).loss(y, raw)
    assert focal == pytest.approx(np.average(loss, weights=w))
    recall = FocalMetric(link=link, metric="recall_at_fpr").evaluate(y, raw, w)
    assert recall == pytest.approx(recall_at_fpr(y, p, sample_weight=w))
    shifted = FocalMetric(link=link, offset=1.0).evaluate(y, raw - 1.0, w)
    assert shifted == pytest.approx(value)


def test_metric_refuses_unknown_names():
    with pytest.raises(ValueError, match=r"metric must be one of .* got 'magic'"):
        FocalMetric(metric="magic")
    with pytest.raises(TypeError, match=r"FocalMetric has .* did you mean gamma\?"):
        FocalMetric(focal_gamma=2)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"gamma": 1e4}, ValueError, r"gamma must be .* \[0.0, 1000\], got 10000.0"),
        ({"offset": 1e31}, ValueError, r"offset must be .* got 1e\+31"),
        (
            {"prior_shift": np.inf},
            ValueError,
            "prior_shift must be a finite .* got inf",
        ),
        ({"prior_shift": "1"}, TypeError, "prior_shift must be a finite .* got '1'"),
    ],
)
def test_bad_parameters_of_the_metric(kwargs, error, message):
    with pytest.raises(error, match=message):
        FocalMetric(**kwargs)


@pytest.mark.parametrize("link", ["posterior", "logit"])
@pytest.mark.parametrize("alpha", [None, 0.3])
@pytest.mark.parametrize("offset", [0.0, -1.5])
def test_prior_shift_moves_the_log_odds(link, alpha, offset):
    rng = np.random.default_rng(0)
    y, raw = rng.random(500) < 0.3, rng.normal(-1, 2, 500)
    weight = rng.random(500)
    loss = FocalLoss(2.0, alpha, link)
    moved = loss.log_odds(raw + offset) + 1.25
    p = expit(moved)
    expected = {
        "log_loss": log_loss(y, p, sample_weight=weight),
        "error": np.average((p > 0.5) != y, weights=weight),
        "focal": np.average(loss.loss(y, loss.raw_prediction(moved)), weights=weight),
        "recall_at_fpr": recall_at_fpr(y, raw, sample_weight=weight),
    }
    options = {"link": link, "offset": offset}
    for name, value in expected.items():
        metric = FocalMetric(2.0, alpha, metric=name, prior_shift=1.25, **options)
        assert metric.evaluate(y, raw, weight) == pytest.approx(value, rel=1e-12)
        plain = FocalMetric(2.0, alpha, metric=name, **options)
        zero = FocalMetric(2.0, alpha, metric=name, prior_shift=0.0, **options)
        assert zero.evaluate(y, raw, weight) == plain.evaluate(y, raw, weight)
        is_rank = name == "recall_at_fpr"
        assert (plain.evaluate(y, raw, weight) == pytest.approx(value)) == is_rank


@pytest.mark.parametrize("gamma", [0.0, 5e-324, 2.0, 1000.0])
@pytest.mark.parametrize("link", ["posterior", "logit"])
@pytest.mark.parametrize("size", [5e-324, 1e-300, 1.0, 1e300, 1.7e308])
def test_metric_is_a_number_at_any_score_and_weight(gamma, link, size):
    with np.errstate(over="ignore"):
        scores = np.concatenate([FAR_SCORES, -FAR_SCORES])
    y = (scores > 0).astype(float)  # all on the right side: no loss is infinite
    weight = np.full(len(y), size)
    for name in ("log_loss", "error", "focal"):
        metric = FocalMetric(gamma, link=link, metric=name)
        value = metric.evaluate(y, scores, weight)
        assert np.isfinite(value)
        assert value == pytest.approx(metric.evaluate(y, scores), rel=1e-12)


def test_a_row_without_weight_has_no_part_in_a_metric():
    value = FocalMetric().evaluate([1, 0], [-np.inf, 0.0], [0.0, 1.0])
    assert value == pytest.approx(np.log(2))


def test_an_undefined_metric_is_named_once(data):
    X, y, _ = data
    metric = FocalMetric(metric="recall_at_fpr", name="recall")
    other = lgb.Dataset(X[:500], np.zeros(500))
    train = lgb.Dataset(X, y)
    for _ in range(2):  # LightGBM copies a metric of its parameters for each fit
        with pytest.warns(
            UserWarning, match="recall is NaN on an evaluation"
        ) as caught:
            lgb.train(
                {**LGB, "objective": FocalObjective(), "metric": "None"},
                train,
                5,
                valid_sets=[other],
                feval=copy.deepcopy(metric),
            )
        assert len([w for w in caught if "is NaN" in str(w.message)]) == 1
    message = 'no row is positive.*keeps the first tree.*use "log_loss"'
    with pytest.warns(UserWarning, match=message):
        metric([0, 0], np.array([0.5, 0.1]), sample_weight=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(metric([0, 0], np.array([0.5, 0.1]), sample_weight=None))
        assert FocalMetric()([0, 0], np.array([0.5, 0.1]), sample_weight=None) > 0
    assert pickle.loads(pickle.dumps(metric)) == FocalMetric(
        metric="recall_at_fpr", name="recall"
    )


def test_a_metric_is_a_value():
    metric = FocalMetric(1.5, metric="focal")
    assert len({metric, FocalMetric(1.5, metric="focal"), FocalMetric(1.5)}) == 2
    with pytest.raises(AttributeError, match="cannot assign"):
        metric.gamma = 2.0


def test_a_users_metric_may_be_undefined():
    for value in (1.0, 0, None, "nan", np.float32(1), (1, 2)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_if_undefined("mine", value)
    for value in (float("nan"), np.float32("nan"), np.float64("nan")):
        with pytest.warns(UserWarning, match="mine is NaN on an evaluation set"):
            warn_if_undefined("mine", value)
