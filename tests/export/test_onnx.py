"""Graphs of ONNX return what the estimators return."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from libraries import BOTH, BOTH_LINKS, LIGHTGBM, XGBOOST
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

from focal_gbm import FocalClassifierCV, PriorShift
from focal_gbm.calibration import METHODS
from focal_gbm.export import register_onnx

skl2onnx = pytest.importorskip("skl2onnx", reason="needs skl2onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
data_types = pytest.importorskip("skl2onnx.common.data_types")

N_CATEGORIES = 40


@pytest.fixture(scope="module", autouse=True)
def _registered():
    register_onnx()


@pytest.fixture(scope="module")
def data():
    """Rows in float32 with missing values; the last two columns are categories."""
    rng = np.random.default_rng(3)
    n = 1500
    X = rng.normal(size=(n, 6)).astype(np.float32)
    X[:, 4], X[:, 5] = rng.integers(0, N_CATEGORIES, n), rng.integers(0, 5, n)
    score = 2 * X[:, 0] + X[:, 1] * X[:, 2] + 2 * (X[:, 4] % 3 == 0) - 3
    y = (rng.random(n) < 1 / (1 + np.exp(-score))).astype(int)
    X[rng.random(X.shape) < 0.1] = np.nan
    X[rng.random(X.shape) < 0.1] = 0.0
    return X, y


def small(library, **kwargs):
    return library.model(**{"n_estimators": 15, **kwargs})


def converted(model, X, *, initial_types=None, target_opset=None, **options):
    """Return a function from rows to the outputs of the graph of a model."""
    graph = skl2onnx.to_onnx(
        model,
        None if initial_types else X[:1],
        initial_types=initial_types,
        target_opset=target_opset,
        options={"zipmap": False, **options},
    )
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_inputs()]

    def run(X):
        return session.run(None, X if isinstance(X, dict) else {names[0]: X})

    return run


def assert_same(model, X, *, rows=None, **kwargs):
    """Compare labels and probabilities of a graph with those of the model.

    ``rows`` are those of the graph, where they differ from the model's.
    """
    rows = X if rows is None else rows
    label, p = converted(model, rows, **kwargs)(rows)
    expected = model.predict_proba(X)
    assert p.shape == expected.shape
    np.testing.assert_allclose(p, expected, atol=1e-6)
    clear = np.abs(expected[:, 1] - getattr(model, "threshold_", 0.5)) > 1e-6
    np.testing.assert_array_equal(label[clear], model.predict(X)[clear])
    assert len(np.unique(label)) == 2


SHIFT = PriorShift(kept_negatives=0.1, rates=(0.01, 0.02))


@BOTH
@BOTH_LINKS
def test_every_calibrator(library, link, data):
    """A calibrator left out, or a link taken for the other, moves probabilities."""
    X, y = data
    words = np.where(y > 0, "bad", "a good one")
    model = small(library, link=link, focal_alpha=0.7).fit(X, words)
    bare = model.predict_proba(X)
    n_moved = 0
    for calibration in (None, SHIFT, *METHODS):
        model.set_params(calibration=calibration)
        model._keep(None)
        if calibration is not None:
            # fewer frauds than in training, so that every calibrator moves
            kept = np.flatnonzero((y == 0) | (np.arange(len(y)) % 4 == 0))
            model.calibrate(X[kept], words[kept])
        p = model.predict_proba(X)
        model.threshold_ = float(np.quantile(p[:, 1], 0.9))
        n_moved += np.abs(p - bare).max() > 0.01
        if library is XGBOOST and calibration == "isotonic":
            between_steps(model, X)
        else:
            assert_same(model, X)
    assert n_moved == len(METHODS) + 1


def between_steps(model, X):
    """Compare with the steps at scores as near as float32 sums of leaves are."""
    raw = np.asarray(model.predict(X, output_margin=True), float)
    _, scores = converted(model, X, raw_scores=True)(X)
    low, high = (
        model.calibrator_.predict(model.loss_.log_odds(raw + error))
        for error in (-1e-5, 1e-5)
    )
    assert (scores[:, 1] >= low - 1e-6).all()
    assert (scores[:, 1] <= high + 1e-6).all()
    assert np.median(high - low) < 1e-3


@BOTH
def test_raw_scores_are_log_odds(library, data):
    X, y = data
    model = small(library, link="logit", calibration="beta", calibration_cv=2)
    model.fit(X, y)
    label, scores = converted(model, X, raw_scores=True)(X)
    expected = model.decision_function(X)
    np.testing.assert_allclose(scores[:, 1], expected, atol=1e-5)
    np.testing.assert_array_equal(scores[:, 0], -scores[:, 1])
    np.testing.assert_array_equal(label, model.predict(X))


@BOTH_LINKS
@pytest.mark.parametrize("gamma", [0.0, 0.5, 30.0])
def test_scores_of_any_size(link, gamma):
    """The closed form of the link cancels near 0 and overflows far from it."""
    X = np.arange(2000.0).reshape(-1, 1)
    y = np.arange(2000) % 40 == 7
    model = LIGHTGBM.model(
        n_estimators=1, num_leaves=20, link=link, focal_gamma=gamma, focal_alpha=0.9,
        min_child_weight=0.0,
    ).fit(X, y)  # fmt: skip
    z = np.array([1e-12, 1e-3, 0.3, 1.0, 20.0, 36.0, 37.0, 45.0, 800.0])
    z = np.concatenate([-z, [0.0], z])
    for leaf, value in enumerate(z):
        model.booster_.set_leaf_output(0, leaf, value)
    _, scores = converted(model, X, raw_scores=True)(X)
    expected = model.decision_function(X)
    assert len(np.unique(expected)) > 15
    np.testing.assert_allclose(scores[:, 1], expected, rtol=1e-10, atol=1e-9)


def test_every_row_reaches_its_leaf():
    """A threshold rounded to float32 sends rows next to it to the other side."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(2000, 1))
    y = rng.random(2000) < 0.3
    model = LIGHTGBM.model(n_estimators=10, min_child_samples=1).fit(X, y)
    tree = model.booster_.trees_to_dataframe()
    threshold = tree["threshold"].dropna().unique()
    threshold = threshold[np.abs(threshold) > 1e-34]  # LightGBM's bounds of zero
    near = threshold.astype(np.float32)
    near = np.concatenate([near, *(np.nextafter(near, np.float32(s)) for s in (9, -9))])
    assert (near[: len(threshold)] != threshold).any()
    exact = np.concatenate([threshold, *(np.nextafter(threshold, s) for s in (9, -9))])
    for rows, kind in ((near, "Float"), (exact, "Double")):
        rows = rows.reshape(-1, 1)
        types = [("X", getattr(data_types, f"{kind}TensorType")([None, 1]))]
        _, scores = converted(model, rows, raw_scores=True, initial_types=types)(rows)
        expected = model.decision_function(rows)
        tolerance = 1e-6 if kind == "Float" else 1e-9
        np.testing.assert_allclose(scores[:, 1], expected, rtol=0, atol=tolerance)
        assert len(np.unique(expected)) > 20


def test_many_trees_add_up_in_float64():
    """The operator of trees returns float32, which rounds the sum of 400 leaves."""
    X = np.random.default_rng(0).normal(size=(500, 3))
    y = X[:, 0] + X[:, 1] > 1
    model = LIGHTGBM.model(n_estimators=400, learning_rate=0.3).fit(X, y)
    _, scores = converted(model, X, raw_scores=True)(X)
    expected = model.decision_function(X)
    assert np.abs(expected).max() > 4
    np.testing.assert_allclose(scores[:, 1], expected, rtol=0, atol=1e-8)


KINDS = {
    "lightgbm": [
        {"boosting_type": "dart"},
        {"zero_as_missing": True},
        {"use_missing": False},
        {"max_depth": 1, "num_leaves": 2},
        {"scale_pos_weight": 20},
        {"class_weight": {0: 1, 1: 5}},
        {"early_stopping_round": 2, "n_estimators": 60},
    ],
    "xgboost": [
        {"booster": "dart", "rate_drop": 0.3, "one_drop": 1},
        {"missing": 0.0},
        {"min_split_loss": 4.0, "tree_method": "exact"},
        {"num_parallel_tree": 3, "subsample": 0.5},
        {"base_score": 0.3, "max_depth": 1},
        {"scale_pos_weight": 20},
        {"early_stopping_rounds": 2, "n_estimators": 60},
    ],
}


@pytest.mark.parametrize(
    ("library", "kind"),
    [
        (library, kind)
        for library in (LIGHTGBM, XGBOOST)
        for kind in KINDS[str(library)]
    ],
    ids=str,
)
def test_every_kind_of_tree(library, kind, data):
    X, y = data
    later = {}
    if library.stopping_rounds in kind:
        later = {"eval_set": [(X[1000:], y[1000:])], **library.silent}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The argument 'eval_set'")
        model = small(library, **kind).fit(X[:1000], y[:1000], **later)
    if later:
        assert library.n_rounds(model) < 60
    model.threshold_ = float(np.median(model.predict_proba(X)[:, 1]))
    extremes = np.tile(np.array([[1e-36], [-1e-36], [np.inf]], np.float32), 6)
    X = np.vstack([X, extremes])
    assert_same(model, X[:-1] if library is XGBOOST else X)


@BOTH
def test_missing_values_only_in_later_rows(library, data):
    X, y = data
    whole = np.nan_to_num(X, nan=0.25)
    model = small(library).fit(whole, y)
    assert_same(model, X)


@BOTH
@pytest.mark.parametrize("one_hot", [1, 100])
def test_categories(library, one_hot, data):
    """Sets of categories; rows with others, with fractions, and with none."""
    X, y = data
    model = small(library, max_cat_to_onehot=one_hot)
    fit = {}
    if library is LIGHTGBM:
        model.set_params(min_data_per_group=5, cat_smooth=1.0)
        fit = {"categorical_feature": [4, 5]}
    else:
        model.set_params(enable_categorical=True, feature_types=[*"qqqqcc"])
    model.fit(X, y, **fit)
    assert_same(model, X)
    others = X.copy()
    rng = np.random.default_rng(0)
    others[:, 4] += rng.choice([-3.0, -0.5, 0.7, 50.0], len(X))
    others[:, 5] = rng.choice([-1.0, -0.5, 2.5, 1e6, np.nan], len(X))
    assert_same(model, others)


@BOTH
def test_codes_of_a_category_column(library, data):
    X, y = data
    frame = pd.DataFrame(X[:, :4], columns=[*"abcd"])
    frame["shop"] = pd.Categorical([f"shop {k % 7}" for k in range(len(X))])
    frame.loc[::9, "shop"] = np.nan
    y = y | (np.arange(len(y)) % 7 == 3)
    model = small(library)
    if library is XGBOOST:
        model.set_params(enable_categorical=True)
    model.fit(frame, y)
    codes = frame["shop"].cat.codes
    rows = frame.assign(shop=codes.where(codes >= 0)).to_numpy(np.float32)
    assert_same(model, frame, rows=rows)


@BOTH
@pytest.mark.parametrize(
    "classes",
    [[0, 1], [-1, 2**40], [False, True], [0.0, 1.0], ["a", "bé"]],
    ids=str,
)
@pytest.mark.parametrize("zipmap", [True, "columns", False])
def test_labels_and_forms(library, classes, zipmap, data):
    X, y = data
    model = small(library, n_estimators=3).fit(X, np.array(classes)[y])
    label, *others = converted(model, X, zipmap=zipmap)(X)
    np.testing.assert_array_equal(label, model.predict(X))
    if zipmap is True:
        columns = np.array([[row[c] for c in classes] for row in others[0]])
    elif zipmap == "columns":
        columns = np.column_stack(others)
    else:
        (columns,) = others
    np.testing.assert_allclose(columns, model.predict_proba(X), atol=1e-6)


@BOTH
def test_other_options(library, data):
    X, y = data
    dates = np.array(["2020-01-01", "2021-01-01"], "M8[D]")
    model = small(library).fit(X, dates[y])
    with pytest.raises(ValueError, match="labels in ONNX are texts or whole numbers"):
        converted(model, X)
    label, _ = converted(model, X, nocl=True)(X)
    np.testing.assert_array_equal(dates[label], model.predict(X))
    model.fit(X, np.array(["a", "b"])[y])
    assert [*converted(model, X, output_class_labels=True)(X)[2]] == ["a", "b"]
    with pytest.raises(NameError, match="Option 'zipmaps' not in"):
        converted(model, X, zipmaps=True)
    with pytest.raises(ValueError, match="Unexpected value"):
        converted(model, X, raw_scores="yes")


@BOTH
def test_threshold(library, data):
    """Labels at another probability than 1/2."""
    X, y = data
    model = small(library).fit(X, y)
    model.threshold_ = float(np.quantile(model.predict_proba(X)[:, 1], 0.6))
    assert_same(model, X)
    label, _ = converted(model, X)(X)
    assert label.mean() == pytest.approx(0.4, abs=0.01)


@BOTH
def test_folds_in_one_booster(library, data):
    X, y = data
    model = FocalClassifierCV(
        small(library), cv=2, sizes=[{"learning_rate": 0.2}], max_trees=15
    ).fit(X, y)
    assert model.calibrator_ is not None
    assert_same(model, X)


@BOTH
def test_pipelines(library, data):
    X, y = data
    frame = pd.DataFrame(X[:, :4], columns=[*"abcd"])
    frame["shop"] = np.array(["x", "y", "z"])[np.arange(len(X)) % 3]
    y = y | (frame["shop"] == "y").to_numpy()
    encoder = make_column_transformer(
        (OrdinalEncoder(dtype=np.float32), ["shop"]), ("passthrough", [*"abcd"])
    )
    pipeline = make_pipeline(encoder, small(library, calibration=SHIFT)).fit(frame, y)
    types = [(c, data_types.FloatTensorType([None, 1])) for c in "abcd"]
    types.append(("shop", data_types.StringTensorType([None, 1])))
    rows = {
        c: frame[[c]].to_numpy(object if c == "shop" else np.float32) for c in frame
    }
    assert_same(pipeline, frame, rows=rows, initial_types=types)
    doubles = X.astype(float) * 1.1
    assert_same(
        make_pipeline(StandardScaler(), small(library)).fit(doubles, y), doubles
    )


@BOTH
def test_columns_one_by_one(library, data):
    X, y = data
    frame = pd.DataFrame(X, columns=[*"abcdef"]).fillna(0.5)
    frame["e"] = frame["e"].astype(np.int64)
    model = small(library).fit(frame, y)
    graph = skl2onnx.to_onnx(model, frame, options={"zipmap": False})
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    _, p = session.run(None, {c: frame[[c]].to_numpy() for c in frame})
    np.testing.assert_allclose(p, model.predict_proba(frame), atol=1e-6)


@BOTH
def test_inside_another_classifier(library, data):
    X, y = data
    model = CalibratedClassifierCV(small(library), cv=2).fit(X, y)
    assert_same(model, X)


@BOTH
@pytest.mark.parametrize("n_rows", [0, 1])
def test_few_rows(library, n_rows, data):
    X, y = data
    model = small(library, calibration="isotonic", calibration_cv=2).fit(X, y)
    label, p = converted(model, X)(X[:n_rows])
    assert label.shape == (n_rows,)
    assert p.shape == (n_rows, 2)


@BOTH
def test_one_step_and_no_split(library, data):
    """Isotonic regression on a constant score has one value, and a tree one leaf."""
    X, y = data
    rare = {"min_child_weight": 1e6}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "no tree could split")
        model = small(library, calibration="isotonic", calibration_cv=2, **rare)
        model.fit(X, y)
    _, p = converted(model, X)(X)
    np.testing.assert_allclose(p, model.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("opset", [13, 18, {"": 15, "ai.onnx.ml": 3}], ids=str)
def test_versions_of_the_operators(opset, data):
    X, y = data
    model = small(LIGHTGBM, link="logit", calibration="isotonic", calibration_cv=2)
    model.fit(X, y, categorical_feature=[4])
    assert_same(model, X, target_opset=opset)


class Doubling(BaseEstimator):
    """A calibrator of a user."""

    def fit(self, log_odds, y, sample_weight=None):
        self.fitted_ = True
        return self

    def predict(self, log_odds):
        return 2 * log_odds


@BOTH
def test_errors_name_the_cure(library, data):
    X, y = data
    for unfitted in (small(library), FocalClassifierCV(small(library))):
        for zipmap in (True, False):
            with pytest.raises(NotFittedError, match="is not fitted yet"):
                converted(unfitted, X, zipmap=zipmap)
    model = small(library).fit(X, y)
    with pytest.raises(ValueError, match="rows have 5 columns, and Focal"):
        converted(model, X[:, :5])
    texts = [("X", data_types.StringTensorType([None, 6]))]
    with pytest.raises(ValueError, match=r"columns \['X'\] are texts.*OrdinalEncoder"):
        converted(model, X, initial_types=texts)
    with pytest.raises(ValueError, match=r"pass \{'': 18, 'ai.onnx.ml': 3\}"):
        converted(model, X, target_opset={"": 18, "ai.onnx.ml": 1})
    model = small(library, calibration=Doubling(), calibration_cv=2).fit(X, y)
    with pytest.raises(ValueError, match="calibrator Doubling is not one of focal_gbm"):
        converted(model, X)
    if library is XGBOOST:
        model = small(library, booster="gblinear").fit(np.nan_to_num(X), y)
        with pytest.raises(ValueError, match="booster='gblinear' has no trees"):
            converted(model, X)
        return
    model = small(library, linear_tree=True).fit(X, y)
    with pytest.raises(ValueError, match="fit with linear_tree=False"):
        converted(model, X)
    first = small(library, zero_as_missing=True).fit(X, y)
    mixed = small(library).fit(X, y, init_model=first)
    with pytest.raises(ValueError, match="zero_as_missing=True and trees without"):
        converted(mixed, X)


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'focal_gbm\[export\]'"):
        register_onnx()


def test_the_import_loads_no_converter():
    code = (
        "import sys, focal_gbm.export;"
        "assert not {'skl2onnx', 'onnx', 'onnxruntime'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
