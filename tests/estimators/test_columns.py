"""Features of every kind: columns with any name and any type are read or refused with
their names, and never end the process."""

from __future__ import annotations

import decimal
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import polars
import pyarrow
import pytest
from libraries import (
    BOTH,
    BOTH_LINKS_ONE_SLOW,
    LIGHTGBM,
    LIGHTGBM_VERSION,
    XGBOOST,
    XGBOOST_VERSION,
    make_rows,
    slow,
)
from scipy import sparse

from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier

N = 600
Y = (np.arange(N) % 10 == 0).astype(int)
VALUES = np.random.default_rng(0).normal(size=N)
IS_LIGHTGBM_4_7 = LIGHTGBM_VERSION >= (4, 7)
IS_XGBOOST_3_1 = XGBOOST_VERSION >= (3, 1)


def frame(column):
    return pd.DataFrame({"amount": VALUES, "kind": column})


WORDS = np.array(list("abcdef"))[np.arange(N) % 6]
TIMES = pd.date_range("2024-01-01", periods=N)
UNREADABLE = {
    "text": WORDS,
    "objects": pd.Series([True, False, None] * (N // 3), dtype=object),
    "times": TIMES,
    "times with zone": TIMES.tz_localize("UTC"),
    "durations": pd.to_timedelta(np.arange(N), "s"),
    "periods": pd.period_range("2024-01-01", periods=N, freq="D"),
    "complex": VALUES + 1j,
}


@BOTH
@pytest.mark.parametrize("kind", UNREADABLE)
def test_unreadable_columns_of_pandas_are_named(library, kind):
    with pytest.raises(TypeError, match=r"X has 'kind' \(.*\)\. Turn times into"):
        library.model(n_estimators=2).fit(frame(UNREADABLE[kind]), Y)


CATEGORIES = {
    "interval": (pd.cut(VALUES, 3), {}),
    "period": (UNREADABLE["periods"], {}),
    "datetime64": (TIMES, {}),
    "decimal": ([decimal.Decimal(i % 3) for i in range(N)], {}),
    "bytes": (WORDS.astype("S"), {}),
    "mixed": ([(i % 3,) for i in range(N)], {}),
    "floating": (np.arange(N) % 3 / 2, {LIGHTGBM}),
    "boolean": (np.arange(N) % 2 == 0, {LIGHTGBM}),
    "mixed-integer": ([i % 3 or "none" for i in range(N)], {LIGHTGBM}),
    "no category": ([None] * N, {LIGHTGBM}),
    "text": (WORDS, {LIGHTGBM, XGBOOST}),
    "integer": (np.arange(N) % 3 - 1, {LIGHTGBM, XGBOOST}),
    "masked": (
        pd.array(np.arange(N) % 3, dtype="Int64"),
        {LIGHTGBM, XGBOOST} if XGBOOST_VERSION >= (3, 4) else {LIGHTGBM},
    ),
}


@BOTH
@pytest.mark.parametrize("kind", CATEGORIES)
def test_categories_are_read_or_refused_with_their_kind(library, kind):
    """Intervals of pandas.cut, times and more end in riddles of both libraries."""
    column, readers = CATEGORIES[kind]
    X = frame(pd.Series(column).astype("category"))
    is_xgboost = library is XGBOOST
    model = library.model(
        n_estimators=2, **({"enable_categorical": True} if is_xgboost else {})
    )
    if library in readers or (is_xgboost and not IS_XGBOOST_3_1):
        assert len(model.fit(X, Y).predict_proba(X)) == N
        return
    with pytest.raises(
        TypeError, match=r"cannot store .*: 'kind' \(.*(ca|in)te"
    ) as raised:
        model.fit(X, Y)
    assert "'kind' (" in str(raised.value)
    assert "rename_categories(str)" in str(raised.value)
    if kind == "no category":
        X = X.drop(columns="kind")
    else:
        X["kind"] = X["kind"].cat.rename_categories(str)
    assert len(model.fit(X, Y).predict_proba(X)) == N


def tables():
    numbers = {"amount": VALUES}
    text = polars.DataFrame({**numbers, "kind": WORDS.tolist()})
    times = polars.DataFrame({**numbers, "kind": TIMES.to_numpy()})
    decimal = pyarrow.array(range(N)).cast(pyarrow.decimal128(30, 2))
    return {
        "text of polars": text,
        "times of polars": times,
        "text of arrow": text.to_arrow(),
        "times of arrow": times.to_arrow(),
        "decimals": pyarrow.table({**numbers, "kind": decimal}),
        "nulls": pyarrow.table({**numbers, "kind": pyarrow.nulls(N)}),
    }


TABLES = tables()
BY_TABLE = pytest.mark.parametrize("kind", TABLES)


@BOTH
@BY_TABLE
def test_unreadable_columns_of_arrow_are_named(library, kind):
    """LightGBM ends the process over them."""
    with pytest.raises(TypeError, match=r"X has 'kind' \(.*\)\. Turn times into"):
        library.model(n_estimators=2).fit(TABLES[kind], Y)


@BOTH
@BY_TABLE
def test_they_are_named_in_predictions_and_evaluation_sets(library, kind):
    good = frame(np.arange(N))
    model = library.model(n_estimators=2).fit(good, Y)
    for method in (model.predict, model.predict_proba, model.decision_function):
        with pytest.raises(TypeError, match="X has 'kind'"):
            method(TABLES[kind])
    with pytest.raises(TypeError, match="X has 'kind'"):
        model.calibrate(TABLES[kind], Y)
    with pytest.raises(TypeError, match="X has 'kind'"):
        library.fit_stopping(library.model(), 3, (good, Y), (TABLES[kind], Y))


DICTIONARIES = """
import sys
import numpy as np, polars
from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
words = np.random.default_rng(0).choice(list("abc"), 500)
numbers = np.arange(500.0)
column = polars.Series(words.tolist()).cast(polars.Categorical)
frame = polars.DataFrame({"kind": column, "x": numbers})
y = (np.arange(500) % 9 == 0).astype(int)
for X in (frame, frame.to_arrow()):
    try:
        model = FocalLGBMClassifier(n_estimators=2, verbose=-1).fit(X, y)
    except TypeError as error:
        assert "'kind'" in str(error), error
    good = FocalLGBMClassifier(n_estimators=2, verbose=-1)
    good.fit(np.column_stack([numbers, numbers]), y)
    try:
        good.predict_proba(X)
    except TypeError as error:
        assert "'kind'" in str(error), error
    try:
        FocalXGBClassifier(n_estimators=2, enable_categorical=True).fit(X, y)
    except ValueError as error:  # XGBoost from 3.4 on wants polars.Enum
        assert "kind" in str(error), error
print("alive")
"""


@pytest.mark.skipif(not IS_XGBOOST_3_1, reason="XGBoost before 3.1 takes no polars")
@pytest.mark.slow
def test_dictionary_columns_do_not_end_the_process():
    done = subprocess.run(
        [sys.executable, "-c", DICTIONARIES], capture_output=True, text=True
    )
    assert done.stdout.strip() == "alive", done.stderr


@BOTH
def test_columns_of_arrays_are_numbered(library):
    X = np.column_stack([VALUES.astype(object), WORDS.astype(object)])
    with pytest.raises(TypeError, match=r"X has 1 \(could not convert string"):
        library.model(n_estimators=2).fit(X, Y)
    times = np.column_stack([TIMES.to_numpy()] * 2)
    with pytest.raises(TypeError, match=r"X has 0 \(datetime64.*, 1 \(datetime64"):
        library.model(n_estimators=2).fit(times, Y)
    numbers = np.column_stack([VALUES.astype(object), np.arange(N).astype(object)])
    a, b = (library.model(n_estimators=2).fit(v, Y) for v in (numbers, frame(Y * 0)))
    assert a.predict_proba(numbers).shape == b.predict_proba(frame(Y * 0)).shape


@BOTH
def test_what_is_wrong_comes_before_the_work(library):
    """Many bad columns are counted, not listed."""
    many = pd.DataFrame({f"c{i}": WORDS for i in range(8)})
    with pytest.raises(TypeError, match=r"'c4' \(.*\) and 3 more\. "):
        library.model().fit(many, Y)
    with pytest.raises(TypeError, match=r"'c4' \(.*\) and 1 more\. "):
        library.model().fit(many[many.columns[:6]], Y)
    with pytest.raises(TypeError, match=r"'c4' \([^)]*\)\. "):
        library.model().fit(many[many.columns[:5]], Y)


@BOTH
@pytest.mark.skipif(
    not (IS_LIGHTGBM_4_7 and IS_XGBOOST_3_1), reason="polars needs newer versions"
)
def test_lazy_frames_are_collected(library):
    X, y = make_rows(1000, 3, seed=41)
    eager = polars.DataFrame({name: X[:, i] for i, name in enumerate("abc")})
    lazy = eager.lazy()
    first, later = eager[:700], eager[700:]
    plain, model = (library.model(n_estimators=60, n_jobs=1) for _ in range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "The argument 'eval_set'")
        library.fit_stopping(plain, 5, (first, y[:700]), (later, y[700:]))
        library.fit_stopping(model, 5, (first.lazy(), y[:700]), (later.lazy(), y[700:]))
        assert model.evals_result_ == plain.evals_result_
        expected = plain.predict_proba(eager)
        np.testing.assert_array_equal(model.predict_proba(lazy), expected)
        np.testing.assert_array_equal(model.predict(lazy), plain.predict(eager))
    calibrated = library.model(n_estimators=5, calibration="platt", calibration_cv=2)
    calibrated.fit(lazy, y).calibrate(lazy, y)


@BOTH
@pytest.mark.parametrize(
    "X",
    [
        np.zeros((N, 4)),
        sparse.csr_matrix((N, 4)),
        np.abs(VALUES)[:, None] * 1e-36,
        np.ones((N, 3)),
        np.full((N, 2), np.nan),
    ],
    ids=["zeros", "sparse zeros", "tiny", "constant", "missing"],
)
def test_columns_without_information_give_the_base_rate(library, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = library.model(n_estimators=5, n_jobs=1).fit(X, Y)
    p = model.predict_proba(X)[:, 1]
    assert p.mean() == pytest.approx(Y.mean(), rel=1e-5)
    if X.shape[1] > 1:  # XGBoost splits tiny values, LightGBM takes them for zero
        np.testing.assert_allclose(p, Y.mean(), rtol=1e-5)
    _, said = library.plain(model, X)
    np.testing.assert_allclose(said, p, atol=1e-6)


NAMES = (
    ["amount", "hour", "objective=binary", "metric=auc"],
    ["amount", "hour", "Tree=1", "Tree=0"],
    ["amount", "hour", "max_feature_idx=3", "RiskTree=0"],
    ["leaf_value=1", "tree_sizes=2", "end of trees", "Tree=0"],
    ["Tree=0", "internal_value=0", "shrinkage=1", "objective=custom"],
    ["parameters:", "pandas_categorical:null", "feature_names=a", "é=ü"],
)


@BOTH
@pytest.mark.parametrize("names", [*NAMES[:2], *slow(*NAMES[2:])], ids=str)
@BOTH_LINKS_ONE_SLOW
def test_names_that_look_like_the_text_of_a_model(library, names, link):
    """Dummies are called column=value; the text of a model has lines of that form."""
    X, y = make_rows(1500, 4, seed=42)
    table = pd.DataFrame(X, columns=names)
    kwargs = {"n_estimators": 8, "n_jobs": 1, "link": link}
    expected = library.model(**kwargs).fit(X, y)
    try:
        library.parent(n_estimators=1, **library.quiet).fit(table, y)
    except Exception:
        with pytest.raises(Exception, match=r"."):
            library.model(**kwargs).fit(table, y)
        return
    model = library.model(**kwargs).fit(table, y)
    p = expected.predict_proba(X)
    np.testing.assert_allclose(model.predict_proba(table), p, atol=1e-12)
    raw, _ = library.plain(expected, X)
    named = pd.DataFrame(X, columns=names) if library is XGBOOST else X
    np.testing.assert_allclose(library.plain(model, named)[0], raw, atol=1e-9)
    more = library.model(**kwargs).fit(table, y, **library.continued(model))
    assert more.predict_proba(table)[:, 1].mean() == pytest.approx(y.mean(), rel=1e-4)


@pytest.mark.parametrize("booster", ["gbtree", "dart"])
@BOTH_LINKS_ONE_SLOW
@pytest.mark.skipif(not IS_XGBOOST_3_1, reason="XGBoost recodes categories from 3.1 on")
def test_categories_in_another_order_after_early_stopping(booster, link, tmp_path):
    """XGBoost's own cut of a booster forgets the categories of training."""
    rng = np.random.default_rng(0)
    levels = [4111, 5311, 5411, 5541, 5812, 5912, 7011, 7995]
    kind = rng.choice(levels, 3000)
    amount = rng.normal(size=3000)
    odd = np.array([levels.index(level) % 2 for level in kind])
    y = (rng.random(3000) < 1 / (1 + np.exp(4 - 3 * odd - amount))).astype(int)

    def rows(part, order):
        column = pd.Categorical(kind[part], categories=order)
        return pd.DataFrame({"kind": column, "amount": amount[part]})

    fit, later = slice(0, 2000), slice(2000, None)
    model = FocalXGBClassifier(
        n_estimators=200,
        learning_rate=0.3,
        early_stopping_rounds=5,
        enable_categorical=True,
        booster=booster,
        link=link,
        n_jobs=1,
    )
    model.fit(
        rows(fit, levels),
        y[fit],
        eval_set=[(rows(later, levels), y[later])],
        verbose=False,
    )
    assert model.get_booster().num_boosted_rounds() == model.best_iteration + 1 < 200
    expected = model.predict_proba(rows(later, levels))
    turned = rows(later, levels[::-1])
    np.testing.assert_allclose(model.predict_proba(turned), expected, atol=1e-6)
    model.save_model(tmp_path / "model.ubj")
    twin = FocalXGBClassifier()
    twin.load_model(tmp_path / "model.ubj")
    np.testing.assert_allclose(twin.predict_proba(turned), expected, atol=1e-6)


@BOTH
@pytest.mark.parametrize("bins", [*slow(None), 16])
@BOTH_LINKS_ONE_SLOW
def test_continued_on_other_rows(library, bins, link):
    """The bins of today's rows are not those of yesterday's trees."""
    rng = np.random.default_rng(1)
    more = {} if bins is None else {"max_bin": bins}
    model = None
    for day in range(3):
        X = rng.normal(size=(5000, 4)) * (1 + day) + day
        score = 1.5 * X[:, 0] / (1 + day) + X[:, 1] / (1 + day) - 4
        y = (rng.random(5000) < 1 / (1 + np.exp(-score))).astype(int)
        begun = {} if model is None else library.continued(model)
        fresh = library.model(n_estimators=10, n_jobs=1, link=link, **more)
        model = fresh.fit(X, y, **begun)
        p = model.predict_proba(X)[:, 1]
        assert p.mean() == pytest.approx(y.mean(), rel=1e-4)


@pytest.mark.parametrize(
    "drawn",
    [
        {"colsample_bytree": 0.7},
        {"feature_fraction_bynode": 0.7},
        {"subsample": 0.8, "subsample_freq": 1},
        {"bagging_fraction": 0.8, "bagging_freq": 1},
        {"data_sample_strategy": "goss"},
        {"boosting_type": "goss"},
        FocalLGBMClassifier.rare_event_params(),
    ],
    ids=str,
)
def test_quantised_gradients_with_drawn_rows_or_columns_are_refused(drawn):
    """LightGBM aborts the process over some of these."""
    model = FocalLGBMClassifier(use_quantized_grad=True, verbose=-1, **drawn)
    with pytest.raises(ValueError, match=r"use_quantized_grad=True with .*; set cols"):
        model.fit(VALUES[:, None], Y)


def test_quantised_gradients_with_all_rows_and_columns():
    X, y = make_rows(3000, 4, seed=43)
    for more in ({}, {"subsample": 0.5}, {"num_grad_quant_bins": 16}):
        model = FocalLGBMClassifier(
            use_quantized_grad=True, n_estimators=20, n_jobs=1, verbose=-1, **more
        ).fit(X, y)
        p = model.predict_proba(X)[:, 1]
        assert p.mean() == pytest.approx(y.mean(), rel=1e-4)
        assert p[y == 1].mean() > 3 * y.mean()


def test_depth_alone_is_no_reason_for_a_warning(capfd):
    """LGBMClassifier is silent here."""
    X, y = make_rows(1000, 4, seed=44)
    FocalLGBMClassifier(max_depth=5, n_estimators=2, verbose=0).fit(X, y)
    assert "constrain tree depth" not in "".join(capfd.readouterr())
