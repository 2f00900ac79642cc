"""The loop for GPUs: on a card where there is one, else in Numba's simulator."""

from __future__ import annotations

import gc
import os
import pickle
import weakref

import numpy as np
import pytest
import xgboost as xgb
from numba import cuda

from focal_gbm import FocalLoss, FocalObjective
from focal_gbm._kernels.cuda import obstacle

IS_SIMULATOR = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
DEVICE = "cuda:0"


if not cuda.is_available():
    pytest.skip("no CUDA device: test_simulator runs them", allow_module_level=True)


on_a_card = pytest.mark.skipif(IS_SIMULATOR, reason="needs a card")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    raw = np.concatenate([np.linspace(-60, 60, 61), rng.normal(-3, 3, 240)])
    y = (rng.random(len(raw)) < 0.3).astype(np.float32)
    weight = rng.integers(0, 4, len(raw)).astype(np.float32)
    return raw.astype(np.float32), y, weight


def host(pair):
    return [array.copy_to_host().astype(float) for array in pair]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("weighted", [False, True])
def test_derivatives_on_the_posterior_link(gamma, alpha, weighted, rows):
    raw, y, weight = rows
    weight = weight if weighted else None
    loss = FocalLoss(gamma, alpha)
    given = host(FocalObjective(gamma, alpha, device=DEVICE)(y, raw, weight))
    for ours, exact in zip(given, loss.gradient_hessian(y, raw, weight), strict=True):
        np.testing.assert_allclose(ours, (1 + gamma) * exact, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("gamma", [0.0, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_derivatives_of_late_labels(gamma, alpha, rows):
    raw, y, weight = rows
    maturity = np.random.default_rng(1).choice([1e-6, 0.2, 0.9, 1.0], len(raw))
    both = (
        FocalObjective(gamma, alpha, device=device, label_maturity=maturity)
        for device in (DEVICE, "cpu")
    )
    given, expected = (objective(y, raw, weight) for objective in both)
    exact = FocalLoss(gamma, alpha).gradient_hessian(y, raw, weight, maturity)
    for ours, cpu, double in zip(host(given), expected, exact, strict=True):
        np.testing.assert_allclose(ours, cpu, rtol=1e-5, atol=1e-30)
        near = np.abs(raw) < 40  # beyond, Hessians lie below the numbers of float32
        scaled = (1 + gamma) * double[near]
        np.testing.assert_allclose(ours[near], scaled, rtol=1.2e-5, atol=1e-30)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("hessian", ["expected", "exact", "clipped"])
def test_derivatives_on_the_classic_link(gamma, hessian, rows):
    raw, y, weight = rows
    raw = np.clip(raw, -12, 12)  # powers above float32's range are zero beyond
    objective = FocalObjective(
        gamma, 0.25, link="logit", hessian=hessian, scale=3.0, offset=0.5
    )
    expected = objective(y, raw, weight)
    twin = FocalObjective(
        gamma, 0.25, link="logit", hessian=hessian, scale=3.0, offset=0.5, device=DEVICE
    )
    for ours, cpu in zip(host(twin(y, raw, weight)), expected, strict=True):
        np.testing.assert_allclose(ours, cpu, rtol=1e-5, atol=1e-30)
    gradient = FocalLoss(gamma, 0.25, "logit").gradient(y, raw + 0.5, weight)
    np.testing.assert_allclose(
        host(twin(y, raw, weight))[0], 3 * gradient, rtol=1e-5, atol=1e-30
    )


def test_rows_of_a_matrix_go_to_the_device_once(rows, monkeypatch):
    raw, y, weight = rows
    made = []
    to_device = cuda.to_device
    monkeypatch.setattr(cuda, "to_device", lambda a: made.append(a) or to_device(a))
    matrix = xgb.DMatrix(raw[:, None], y, weight=weight)
    objective = FocalObjective(device=DEVICE)
    for _ in range(5):
        given = host(objective(raw, matrix))
    assert sum(len(array) == len(y) for array in made) == 1
    loss = FocalLoss()
    for ours, exact in zip(given, loss.gradient_hessian(y, raw, weight), strict=True):
        np.testing.assert_allclose(ours, 3 * exact, rtol=1e-5, atol=1e-30)


def test_rows_are_read_again_when_boosting_begins(rows):
    raw, y, _ = rows
    start = np.full_like(raw, -1.0)
    matrix = xgb.DMatrix(raw[:, None], y)
    objective = FocalObjective(0.0, device=DEVICE)
    before = host(objective(start, matrix))[0]
    matrix.set_label(1 - y)
    after = host(objective(start, matrix))[0]
    np.testing.assert_array_equal(before > 0, y == 0)
    np.testing.assert_array_equal(after > 0, y == 1)
    other = xgb.DMatrix(raw[:50, None], y[:50])
    assert len(host(objective(raw[:50], other))[0]) == 50


def test_what_is_on_the_device_goes_with_the_data(rows, monkeypatch):
    """Labels and weights of a data set that nobody has any more would fill the card."""
    raw, y, _ = rows
    on_device = []
    to_device = cuda.to_device

    def watched(array):
        copied = to_device(array)
        if len(array) > 1:  # not the flag
            on_device.append(weakref.ref(copied))
        return copied

    monkeypatch.setattr(cuda, "to_device", watched)
    objective = FocalObjective(device=DEVICE)
    matrix, other = xgb.DMatrix(raw[:, None], y), xgb.DMatrix(raw[:50, None], y[:50])
    objective(raw, matrix)
    objective(raw[:50], other)
    assert len(on_device) == 2
    assert all(reference() is not None for reference in on_device)
    del matrix, other
    gc.collect()
    assert all(reference() is None for reference in on_device)


def test_vectors_on_the_device_are_used_again(rows, monkeypatch):
    """Fresh ones in every round would cost an allocation on the card."""
    raw, y, _ = rows
    made = []
    make = cuda.device_array
    monkeypatch.setattr(
        cuda, "device_array", lambda n, *dtype: made.append(n) or make(n, *dtype)
    )
    matrix = xgb.DMatrix(raw[:, None], y)
    objective = FocalObjective(device=DEVICE)
    objective(raw, matrix)
    assert made.count(len(raw)) == 2  # gradient and Hessian
    for _ in range(5):
        objective(raw, matrix)
    assert made.count(len(raw)) == 2
    held = objective(raw, matrix)
    objective(raw, matrix)
    assert made.count(len(raw)) == 4  # for those that are held
    del held


def test_arrays_in_use_are_left_alone(rows):
    raw, y, _ = rows
    matrix = xgb.DMatrix(raw[:, None], y)
    objective = FocalObjective(device=DEVICE)
    first = objective(raw, matrix)
    kept = host(first)
    second = objective(raw + 1, matrix)
    assert second[0] is not first[0]
    for array, before in zip(host(first), kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_bad_input_is_named(rows):
    raw, y, weight = rows
    objective = FocalObjective(device=DEVICE)
    bad = raw.copy()
    bad[7] = np.nan
    with pytest.raises(ValueError, match=r"raw_prediction .* NaN in row 7"):
        objective(y, bad)
    host(objective(y, raw))  # and the next call is well
    with pytest.raises(ValueError, match="y_true must hold 0 and 1"):
        objective(y + 1, raw)
    with pytest.raises(ValueError, match="sample_weight must be finite and >= 0"):
        objective(y, raw, weight - 2)


def test_no_weight_makes_a_derivative_infinite(rows):
    raw, y, weight = rows
    objective = FocalObjective(device=DEVICE, scale=1e10)
    for heavy in (1e28, 1e39, 1e300):
        with pytest.raises(ValueError, match=r"sample_weight must be below 8.51e\+27"):
            objective(y, raw, np.where(weight > 2, heavy, 1.0))
    with pytest.raises(ValueError, match=r"at least 1\.18e-38"):
        objective(y, raw, np.full(len(y), 1e-300))
    far = np.where(y > 0, 1e300, -np.inf)
    assert np.isfinite(host(objective(y, far, np.full(len(y), 8e27)))).all()


def test_copies_start_without_device_arrays(rows, monkeypatch):
    raw, y, _ = rows
    made = []
    to_device = cuda.to_device
    monkeypatch.setattr(cuda, "to_device", lambda a: made.append(a) or to_device(a))
    objective = FocalObjective(device=DEVICE)
    matrix = xgb.DMatrix(raw[:, None], y)
    first = host(objective(raw, matrix))
    host(objective(raw, matrix))
    assert sum(len(array) == len(y) for array in made) == 1
    text = pickle.dumps(objective)
    assert len(text) < 1000
    twin = pickle.loads(text)
    for ours, theirs in zip(host(twin(raw, matrix)), first, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert sum(len(array) == len(y) for array in made) == 2  # its own


@pytest.mark.gpu
@on_a_card
@pytest.mark.parametrize("link", ["posterior", "logit"])
def test_training_on_a_card(link):
    from focal_gbm import FocalXGBClassifier

    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 8)).astype(np.float32)
    y = (rng.random(20_000) < 1 / (1 + np.exp(4 - 2 * X[:, 0]))).astype(int)
    weight = 1.0 + np.arange(20_000) % 3
    on_card = FocalXGBClassifier(link=link, device=DEVICE, n_estimators=50)
    on_host = FocalXGBClassifier(link=link, n_estimators=50)
    p = on_card.fit(X, y, weight).predict_proba(X)[:, 1]
    q = on_host.fit(X, y, weight).predict_proba(X)[:, 1]
    assert np.average(p, weights=weight) == pytest.approx(
        np.average(y, weights=weight), rel=1e-4
    )
    assert np.abs(p - q).mean() < 0.01 * y.mean()


@pytest.mark.gpu
@on_a_card
def test_gradient_reaches_the_booster_on_the_card():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_000, 8)).astype(np.float32)
    y = (rng.random(20_000) < 1 / (1 + np.exp(4 - 2 * X[:, 0]))).astype(np.float32)
    matrix = xgb.QuantileDMatrix(X, y)
    params = {"device": DEVICE, "objective": "binary:logistic", "base_score": 0.5}
    built_in = xgb.train(params, matrix, 30).predict(matrix, output_margin=True)
    objective = FocalObjective(0.0, device=DEVICE)
    ours = xgb.train(params, matrix, 30, obj=objective)
    gap = np.abs(ours.predict(matrix, output_margin=True) - built_in)
    assert np.quantile(gap, 0.99) < 1e-3
    seen = []

    def watch(raw, data):
        pair = objective(raw, data)
        seen.append([hasattr(array, "__cuda_array_interface__") for array in pair])
        return pair

    xgb.train(params, matrix, 3, obj=watch)
    assert seen == [[True, True]] * 3


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "If you are sure that a driver is installed,\ntry another variable.\n: ",
            "If you are sure that a driver is installed, try another variable",
        ),
        ("", "RuntimeError"),
        ("word " * 200, "word " * 59 + "[...]"),
    ],
    ids=["lines", "nothing", "long"],
)
def test_an_obstacle_is_the_first_part_of_a_sentence(said, expected, monkeypatch):
    """Numba's own message has line breaks and ends in a colon."""

    def broken(_array):
        raise RuntimeError(said)

    monkeypatch.setattr(cuda, "to_device", broken)
    obstacle.cache_clear()
    try:
        assert len(obstacle(DEVICE)) <= 300
        assert obstacle(DEVICE) == expected
    finally:
        obstacle.cache_clear()
