"""Labels and weights of every kind: what is equal counts as equal, and what cannot
have been meant is said."""

from __future__ import annotations

import datetime
import warnings

import numpy as np
import pandas as pd
import polars
import pytest
from libraries import BOTH, make_rows, slow

from focal_gbm import FocalLGBMClassifier
from focal_gbm._estimators.labels import encode

FIT, LATER = slice(0, 1400), slice(1400, None)


@pytest.fixture(scope="module")
def data():
    return make_rows(2000, 4, seed=31)


def as_objects(y):
    return y.astype(object)


def as_mixed_objects(y):
    return np.array([bool(v) if i % 2 else int(v) for i, v in enumerate(y)], object)


KINDS = {
    "bool": lambda y: y.astype(bool),
    "int8": lambda y: y.astype(np.int8),
    "uint64": lambda y: y.astype(np.uint64),
    "float16": lambda y: y.astype(np.float16),
    "float32": lambda y: y.astype(np.float32),
    "big-endian int": lambda y: y.astype(">i8"),
    "big-endian float": lambda y: y.astype(">f4"),
    "objects": as_objects,
    "bools as objects": lambda y: y.astype(bool).astype(object),
    "mixed objects": as_mixed_objects,
    "nullable": lambda y: pd.array(y, dtype="Int64"),
    "nullable bool": lambda y: pd.array(y.astype(bool), dtype="boolean"),
    "polars": lambda y: polars.Series(y.astype(bool)),
    "list": lambda y: y.tolist(),
}
FAST_KINDS = ("bool", "mixed objects", "nullable")
BY_KIND = pytest.mark.parametrize(
    "kind", [kind if kind in FAST_KINDS else slow(kind)[0] for kind in KINDS]
)


@BOTH
@BY_KIND
def test_labels_of_another_dtype(library, kind, data):
    """Training labels come from a comparison, later ones from another table."""
    X, y = data
    other = KINDS[kind](y)
    plain = library.model(n_jobs=1, n_estimators=10).fit(X, y)
    model = library.model(n_jobs=1, n_estimators=10).fit(X, other)
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert [bool(c) for c in model.classes_] == [False, True]
    np.testing.assert_array_equal(model.predict(X).astype(int), plain.predict(X))
    for fitted, later in ((plain, KINDS[kind](y[LATER])), (model, y[LATER])):
        expected = plain.calibrate(X[LATER], y[LATER]).predict_proba(X)
        fitted.calibrate(X[LATER], later)
        np.testing.assert_array_equal(fitted.predict_proba(X), expected)


@BOTH
@BY_KIND
def test_evaluation_labels_of_another_dtype(library, kind, data):
    X, y = data
    results = []
    for fit, later in (
        (y[FIT], y[LATER]),
        (y[FIT], KINDS[kind](y[LATER])),
        (KINDS[kind](y[FIT]), y[LATER]),
    ):
        model = library.model(n_jobs=1, n_estimators=100, learning_rate=0.3)
        library.fit_stopping(model, 5, (X[FIT], fit), (X[LATER], later))
        results.append(model.evals_result_)
    assert results[0] == results[1] == results[2]


@BOTH
def test_weights_of_another_byte_order(library, data):
    X, y = data
    w = 1.0 + np.arange(len(y)) % 3
    expected = library.model(n_jobs=1, n_estimators=10).fit(X, y, sample_weight=w)
    for dtype in (">f8", ">f4", ">i4", np.float16):
        model = library.model(n_jobs=1, n_estimators=10)
        model.fit(X, y.astype(">i4"), sample_weight=w.astype(dtype))
        np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


@BOTH
@pytest.mark.parametrize(
    ("classes", "later"),
    [
        ((0, 1), ("0", "1")),
        (("no", "yes"), (0, 1)),
        (("no", "yes"), ("No", "Yes")),
        ((0, 1), (0, 2)),
        ((0.0, 1.0), (0.0, np.nan)),
        ((0, 1), (0, None)),
        ((0, 1), (0, pd.NA)),
        (
            tuple(np.array(["2024-01-01", "2024-01-02"], "datetime64[D]")),
            tuple(np.array(["2024-01-01", "2024-01-03"], "datetime64[D]")),
        ),
    ],
    ids=str,
)
def test_unknown_labels_are_named(library, classes, later, data):
    X, y = data
    labels = np.array(classes, dtype=None if classes[0] != "no" else object)[y]
    model = library.model(n_jobs=1, n_estimators=3).fit(X, labels)
    unknown = pd.Series(later, dtype=object).to_numpy()[y]
    with pytest.raises(ValueError, match=r"previously unseen labels: .* in row"):
        model.calibrate(X, unknown)
    with pytest.raises(ValueError, match=r"eval_set\[0\] contains previously unseen"):
        library.fit_stopping(library.model(n_jobs=1), 3, (X, labels), (X, unknown))


def test_encode_compares_as_python_does():
    dates = np.array(["2024-01-01", "2024-01-02"], "datetime64[D]")
    cases = [
        ([0, 1], [True, False, 1.0], [1, 0, 1]),
        ([False, True], np.array([0, 1], ">i2"), [0, 1]),
        (["a", "b"], np.array(["b", "a"], dtype=object), [1, 0]),
        (dates, dates.astype("datetime64[ns]"), [0, 1]),
        ([2**53, 2**53 + 1], np.array([2**53, 2**53 + 1]), [0, 1]),
        (["", "x"], ["x", ""], [1, 0]),
    ]
    for classes, labels, codes in cases:
        assert encode(labels, np.asarray(classes), "y").tolist() == codes


@BOTH
def test_labels_of_several_types_are_refused(library, data):
    X, _ = data
    labels = np.array([0, "fraud"] * 1000, dtype=object)
    with pytest.raises(ValueError, match="one type, got int, str"):
        library.model(n_jobs=1).fit(X, labels)
    days = [datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 2)] * 1000
    with pytest.raises(ValueError, match="one type, got date, datetime"):
        library.model(n_jobs=1).fit(X, np.array(days, dtype=object))


DAYS = np.array(["2024-01-01", "2024-02-01"], "datetime64[D]")


@BOTH
def test_dates_of_every_kind(library, data):
    X, y = data
    plain = library.model(n_jobs=1, n_estimators=3).fit(X, DAYS[y])
    stamps = pd.Series(pd.to_datetime(DAYS[y]))
    for labels in (
        stamps,
        stamps.astype(object),
        np.array([stamp.date() for stamp in stamps], dtype=object),
        stamps.dt.tz_localize("UTC").astype(object),
    ):
        model = library.model(n_jobs=1, n_estimators=3).fit(X, labels)
        assert (model.classes_ == DAYS).all()
        np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
        assert model.score(X, labels) == plain.score(X, DAYS[y])
        plain.calibrate(X, labels)
        plain.calibrator_ = None


def test_class_weights_by_equal_labels(data):
    X, y = data
    words = np.where(y == 1, "b", "a")
    model = FocalLGBMClassifier(n_estimators=3, n_jobs=1, verbose=-1)
    for labels, keys in (
        (y, (False, True)),
        (y.astype(bool), (0, 1)),
        (y.astype(float), (np.int8(0), np.int8(1))),
        (DAYS[y], tuple(DAYS)),
        (DAYS[y], tuple(map(pd.Timestamp, DAYS))),
        (words, ("a", "b")),
    ):
        weights = {keys[0]: 1.0, keys[1]: 3.0}
        model.set_params(class_weight=weights).fit(X, labels)
        assert model.threshold_ == 0.25
        assert model.class_weight is weights
        model.set_params(class_weight={keys[1]: 3.0}).fit(X, labels)
        assert model.threshold_ == 0.25
    with pytest.raises(ValueError, match="class_weight names the label 'c', which y"):
        model.set_params(class_weight={"a": 1, "c": 2}).fit(X, words)


@BOTH
def test_scores_of_labels_of_every_kind(library, data):
    X, y = data
    plain = library.model(n_jobs=1, n_estimators=5).fit(X, y)
    for kind, make in KINDS.items():
        assert plain.score(X, make(y)) == plain.score(X, y), kind
    texts = np.where(y == 1, "b", "a").astype(np.dtypes.StringDType())
    model = library.model(n_jobs=1, n_estimators=5).fit(X, texts)
    assert model.classes_.tolist() == ["a", "b"]
    assert model.score(X, texts) == plain.score(X, y)


@BOTH
def test_switches_are_switches(library, data):
    X, y = data
    for value in ("x", 2, None, [1, 2], np.nan):
        with pytest.raises(ValueError, match="progress must be True or False"):
            library.model(progress=value).fit(X, y)
    unbalanced = FocalLGBMClassifier(n_estimators=2, n_jobs=1, verbose=-1)
    plain = unbalanced.fit(X, y).threshold_
    for value, is_on in (("true", True), ("false", False), (0, False), (1, True)):
        unbalanced.set_params(is_unbalance=value).fit(X, y)
        assert (unbalanced.threshold_ != plain) == is_on
    with pytest.raises(ValueError, match="is_unbalance must be True or False"):
        unbalanced.set_params(is_unbalance=[1, 2]).fit(X, y)


@BOTH
@pytest.mark.parametrize("rate", [1e-7, *slow(1e-9)])
@pytest.mark.parametrize("n_estimators", [1, 20])
def test_rates_near_zero_and_one(library, rate, n_estimators, data):
    """XGBoost 3 takes a base_score below 1e-6 for 1e-6."""
    X, y = data
    heavy = (y == 1).sum() / (y == 0).sum() / rate
    weight = np.where(y == 1, 1.0, heavy)
    modes = [{}, {"min_child_weight": 1e30}]
    if library.name == "xgboost":
        modes += [{"booster": "dart"}, {"booster": "gblinear", "learning_rate": 0.1}]
    for mode in modes:
        for labels, sign in ((y, 1), (1 - y, -1)):
            model = library.model(n_jobs=1, n_estimators=n_estimators, **mode)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                f = sign * model.fit(X, labels, sample_weight=weight).decision_function(
                    X
                )
            p = np.average(1 / (1 + np.exp(-f)), weights=weight)
            assert p / np.average(y, weights=weight) == pytest.approx(1, rel=0.01)
            raw, _ = library.plain(model, X)
            np.testing.assert_allclose(sign * raw, f, atol=1e-5)


@BOTH
def test_a_frequent_positive_class_is_named(library, data):
    """In the order of letters "legit" comes after "fraud"."""
    X, y = data
    words = np.where(y == 1, "fraud", "legit")
    for labels in (words, np.where(y == 1, 1, 2), np.where(y == 1, 3, 7)):
        with pytest.warns(UserWarning, match=r"positive class is .* 9\d% of the rows"):
            library.model(n_jobs=1, n_estimators=3).fit(X, labels)
    with pytest.warns(UserWarning, match="pos_label='fraud'"):
        library.model(n_jobs=1, n_estimators=3).fit(X, words)


@BOTH
def test_a_rare_positive_class_needs_no_word(library, data):
    X, y = data
    half = np.arange(2000) % 2
    for labels in (y, np.where(y == 1, "unlawful", "lawful"), half, half == 1):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            library.model(n_jobs=1, n_estimators=3).fit(X, labels)


@BOTH
def test_a_frequent_class_is_named_once_beside_calibration(library, data):
    X, y = data
    words = np.where(y == 1, "fraud", "legit")
    model = library.model(
        n_jobs=1, n_estimators=3, calibration="platt", calibration_cv=3
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, words)
    assert sum("positive class" in str(w.message) for w in caught) == 1


@BOTH
@pytest.mark.parametrize("scale", [1 / 2000, 1e-3, 1e-9])
def test_weights_far_below_one_are_named(library, scale, data):
    """min_child_weight is on the scale of rows: a constant would come out, unsaid."""
    X, y = data
    with pytest.warns(UserWarning, match="sample_weight has a mean of"):
        library.model(n_jobs=1, n_estimators=3).fit(
            X, y, sample_weight=np.full(2000, scale)
        )


@BOTH
def test_a_model_without_a_split_says_so(library, data):
    X, y = data
    for kwargs, features in (
        ({"min_child_weight": 1e9}, X),
        ({}, np.ones_like(X)),
        ({"scale_pos_weight": 1e-9, "focal_alpha": 1e-9}, X),
    ):
        with pytest.warns(UserWarning, match="no tree could split"):
            model = library.model(n_jobs=1, n_estimators=3, **kwargs).fit(features, y)
        p = model.predict_proba(features)[:, 1]
        np.testing.assert_allclose(p, y.mean(), rtol=1e-5)


@BOTH
def test_class_weights_beyond_float32_are_named(library, data):
    X, y = data
    for kwargs in (
        {"scale_pos_weight": 1e-12, "focal_alpha": 1e-12},
        {"scale_pos_weight": 1e30},
    ):
        with pytest.raises(ValueError, match="give class 1 the weight 1e"):
            library.model(**kwargs).fit(X, y)


@BOTH
@pytest.mark.parametrize(
    "values",
    [(False, True), (3, 7), (-1, 1), (0.0, 1.0), (2.0, 5.0), ("", "x"), (1, 0)],
    ids=str,
)
def test_any_two_labels(library, values, data):
    X, y = data
    low, high = sorted(values)
    kwargs = {"n_estimators": 10, "scale_pos_weight": 20.0}
    model = library.model(**kwargs).fit(X, np.where(y == 1, high, low))
    plain = library.model(**kwargs).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert model.classes_.tolist() == [low, high]
    assert set(model.predict(X)) == {low, high}
