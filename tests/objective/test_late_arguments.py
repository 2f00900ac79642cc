"""label_maturity of objective, metric and loss: what they take and refuse."""

from __future__ import annotations

import copy
import pickle

import lightgbm as lgb
import numpy as np
import pytest
import xgboost as xgb
from scipy.special import expit

from focal_gbm import FocalLoss, FocalMetric, FocalObjective

C = np.array([0.2, 1.0, 0.7])


@pytest.mark.parametrize("make", [FocalObjective, FocalMetric])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5, 0.0, 1.0], r"in \(0, 1\].* got 0.0 in row 1"),
        ([0.5, 1.5], "got 1.5 in row 1"),
        ([-0.1], "got -0.1 in row 0"),
        ([np.nan], "got nan in row 0"),
        ([np.inf], "got inf in row 0"),
        ("often", "label_maturity"),
        ([[0.5], [0.4]], "label_maturity"),
    ],
)
def test_maturities_that_cannot_be(make, values, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make(label_maturity=values)


@pytest.mark.parametrize("make", [FocalObjective, FocalMetric])
def test_the_classic_form_takes_none(make):
    with pytest.raises(ValueError, match="needs link='posterior'"):
        make(link="logit", label_maturity=C)
    with pytest.raises(ValueError, match="needs link='posterior'"):
        FocalLoss(link="logit").gradient([0], [0.0], label_maturity=[0.5])


@pytest.mark.parametrize("make", [FocalObjective, FocalMetric])
def test_other_rows_are_refused(make):
    call = make(label_maturity=C)
    with pytest.raises(ValueError, match="3 values, but the booster passes 2 rows"):
        call(np.zeros(2), np.zeros(2))


def test_the_loss_itself_needs_gamma_0():
    with pytest.raises(ValueError, match=r"needs gamma=0, got 2\.0"):
        FocalLoss().loss([0], [0.0], label_maturity=[0.5])
    with pytest.raises(ValueError, match=r"needs gamma=0, got 0\.5"):
        FocalMetric(0.5, metric="focal", label_maturity=C)
    assert FocalLoss().loss([0], [0.0], label_maturity=[1]) == FocalLoss().loss(
        [0], [0.0]
    )


def test_the_constant_expects_as_many_as_are_known():
    y = np.array([1, 0, 0, 0, 0, 0, 1, 0])
    weight = np.array([1, 2, 1, 1, 3, 1, 0.5, 1])
    maturity = np.array([0.9, 0.3, 1, 0.5, 0.8, 1, 0.6, 0.2])
    constant = FocalLoss(alpha=0.9).constant(y, weight, maturity)
    known = (weight * maturity * expit(constant)).sum()
    assert known == pytest.approx((weight * y).sum())
    # more known than could be: no negative is left, so it counts as half an average row
    constant = FocalLoss().constant([1, 1, 0], None, [0.5, 0.5, 0.5])
    assert constant == pytest.approx(np.log(2 / (0.5 * 2 / 3)))


def test_an_objective_compares_copies_and_hides_its_rows():
    objective = FocalObjective(label_maturity=C)
    assert objective == FocalObjective(label_maturity=list(C))
    assert objective != FocalObjective(label_maturity=C / 2)
    assert objective != FocalObjective()
    assert len({objective, FocalObjective(label_maturity=list(C))}) == 1
    assert FocalMetric(label_maturity=C) == FocalMetric(label_maturity=list(C))
    assert FocalMetric(label_maturity=C) != FocalMetric()
    for again in (copy.deepcopy(objective), pickle.loads(pickle.dumps(objective))):
        assert again == objective
    C_before = C.copy()
    mine = C.copy()
    kept = FocalObjective(label_maturity=mine)
    mine[:] = 1.0  # the caller's to change
    np.testing.assert_array_equal(kept.label_maturity, C_before)
    with pytest.raises(ValueError, match="read-only"):
        kept.label_maturity[0] = 1.0
    assert "label_maturity" not in repr(objective)


@pytest.mark.parametrize("metric", ["log_loss", "error", "focal", "recall_at_fpr"])
def test_metrics_of_labels_seen(metric):
    y, f = np.array([1, 0, 0, 1, 0]), np.array([3.0, 2.0, -1.0, -2.0, 0.2])
    c = np.array([0.6, 0.5, 1.0, 0.9, 0.4])
    seen = c * expit(f)
    assert (seen > 0.5).tolist() == [True, False, False, False, False]
    expected = {
        "log_loss": -np.where(y > 0, np.log(seen), np.log1p(-seen)).mean(),
        "error": ((seen > 0.5) != (y > 0)).mean(),
        "recall_at_fpr": FocalMetric(metric="recall_at_fpr").evaluate(y, f),
    }
    expected["focal"] = expected["log_loss"]
    measure = FocalMetric(0.0, metric=metric, label_maturity=c)
    assert measure.evaluate(y, f) == pytest.approx(expected[metric], rel=1e-12)


def test_native_training_finds_the_true_rate():
    rng = np.random.default_rng(0)
    n = 20_000
    X = rng.normal(size=(n, 3))
    p = expit(X[:, 0] - 3)
    c = np.where(X[:, 1] > 0, 0.3, 1.0)
    y = (rng.random(n) < p * c).astype(float)
    objective = FocalObjective(label_maturity=c, offset=-3.0)
    parameters = {"objective": objective, "verbosity": -1, "num_leaves": 8}
    booster = lgb.train(parameters, lgb.Dataset(X, y), 40)
    found = {"lightgbm": expit(booster.predict(X) - 3)}
    matrix = xgb.DMatrix(X, y)
    booster = xgb.train(
        {"max_depth": 3, "base_score": 0.5, "disable_default_eval_metric": True},
        matrix,
        40,
        obj=objective,
        evals=[(matrix, "train")],
        custom_metric=FocalMetric(label_maturity=c, offset=-3.0),
        verbose_eval=False,
    )
    found["xgboost"] = expit(booster.predict(matrix, output_margin=True) - 3)
    for predicted in found.values():
        for part in (c < 1, c == 1):
            # without maturities 0.3 of it where c is 0.3
            assert predicted[part].mean() == pytest.approx(p[part].mean(), rel=0.2)
    with pytest.raises(ValueError, match="folds need an objective each"):
        lgb.cv(parameters, lgb.Dataset(X, y), 2)
