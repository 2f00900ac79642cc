"""Native training: the same boosters as the estimators', from rows in batches."""

from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost as xgb
from libraries import BOTH, BOTH_LINKS, LIGHTGBM, XGBOOST, make_rows, slow
from scipy.special import expit, logit

from focal_gbm import FocalLoss, FocalObjective, FocalXGBClassifier
from focal_gbm.native import complete, starting_point

TOLERANCE = {"lightgbm": 1e-9, "xgboost": 1e-6}
SIZES = (1, 700, 0, 1333, 966)  # of the batches


@pytest.fixture(scope="module")
def rows():
    X, y = make_rows(3000, 5, seed=11)
    rng = np.random.default_rng(5)
    X[rng.random(X.shape) < 0.05] = np.nan
    return X, y, rng.uniform(0.2, 3.0, len(y)), rng.uniform(0.3, 1.0, len(y))


def in_batches(**columns):
    """Return batches of odd sizes, as dicts."""
    ends = np.cumsum(SIZES)
    assert ends[-1] == len(columns["y"])
    return [
        {k: v[end - size : end] for k, v in columns.items() if v is not None}
        for size, end in zip(SIZES, ends, strict=True)
    ]


def train(
    library, X, y, weight, objective, start=None, *, rounds=30, before=None, **params
):
    """Train natively with the parameters that the estimator passes."""
    bound = 4.0 if objective.link == "posterior" else 4.0 / (1 + objective.gamma)
    params = {"max_delta_step": bound, "learning_rate": 0.1, **params}
    if library is LIGHTGBM:
        ours = {"min_child_weight": 1.0, "metric": "None", "verbosity": -1}
        params = {**ours, **params, "objective": objective, "num_threads": 1}
        data = lgb.Dataset(X, y, weight=weight)
        return lgb.train(params, data, rounds, init_model=before)
    name = "binary:logistic" if objective.link == "posterior" else "binary:logitraw"
    params = {"objective": name, "disable_default_eval_metric": True, **params}
    if start is not None:
        params["base_score"] = start
    matrix = xgb.QuantileDMatrix(X, y, weight=weight)
    params = {"nthread": 1, **params}
    return xgb.train(params, matrix, rounds, obj=objective, xgb_model=before)


def plain(library, booster, X):
    """Return raw scores and predictions of a booster that knows the model's bytes
    alone."""
    if library is LIGHTGBM:
        booster = lgb.Booster(model_str=booster.model_to_string())
        return booster.predict(X, raw_score=True), booster.predict(X)
    booster = xgb.Booster(model_file=booster.save_raw("ubj"))
    matrix = xgb.DMatrix(X)
    return booster.predict(matrix, output_margin=True), booster.predict(matrix)


@pytest.mark.parametrize("extra", ["plain", *slow("weights", "maturities", "both")])
@BOTH_LINKS
@BOTH
def test_the_same_model_as_the_estimators(library, link, extra, rows):
    """A start, a bound or a constant of its own would move every raw score."""
    X, y, weight, maturity = rows
    weight = weight if extra in ("weights", "both") else None
    maturity = maturity if extra in ("maturities", "both") else None
    if maturity is not None and link == "logit":
        pytest.skip("no maturities on this link")
    model = library.model(link=link).fit(X, y, weight, label_maturity=maturity)
    batches = in_batches(X=X, y=y, sample_weight=weight, label_maturity=maturity)
    start = starting_point(batches, loss=FocalLoss(link=link))
    # in the way of each estimator: XGBoost's begins at base_score
    in_score = library is XGBOOST
    objective = FocalObjective(
        2.0, link=link, offset=0.0 if in_score else start, label_maturity=maturity
    )
    base_score = (expit(start) if link == "posterior" else start) if in_score else None
    booster = train(library, X, y, weight, objective, base_score)
    text = booster.save_raw("json") if in_score else booster.model_to_string()
    finished = complete(booster, batches, objective=objective)
    assert text == (booster.save_raw("json") if in_score else booster.model_to_string())
    raw, predicted = plain(library, finished, X)
    np.testing.assert_allclose(
        raw, library.plain(model, X)[0], atol=TOLERANCE[library.name], rtol=0
    )
    p = objective.loss.probability(raw)
    if link == "posterior":
        np.testing.assert_allclose(predicted, p, atol=1e-6)
    known = p if maturity is None else p * maturity
    total = np.average(known, weights=weight)
    assert total == pytest.approx(np.average(y, weights=weight), rel=1e-6)


@BOTH
def test_the_start_may_be_in_the_objective(library, rows):
    """One way for both libraries: offset, and no base_score."""
    X, y, weight, _ = rows
    objective = FocalObjective(3.0, 0.7, offset=starting_point(y))
    booster = train(library, X, y, weight, objective)
    finished = complete(
        booster, in_batches(X=X, y=y, sample_weight=weight), objective=objective
    )
    raw, p = plain(library, finished, X)
    np.testing.assert_allclose(p, expit(raw), atol=1e-6)
    assert np.average(p, weights=weight) == pytest.approx(
        np.average(y, weights=weight), rel=1e-6
    )
    # completing again changes nothing
    again = complete(finished, [(X, y, weight)], objective=objective)
    np.testing.assert_allclose(plain(library, again, X)[0], raw, atol=2e-6)


@BOTH
def test_starting_point_of_batches(library, rows):
    _, y, weight, maturity = rows
    parts = in_batches(y=y, sample_weight=weight, label_maturity=maturity)
    expected = FocalLoss().constant(y, weight, maturity)
    assert starting_point(parts, share=1.0) == pytest.approx(expected, abs=1e-12)
    assert starting_point(lambda: iter(parts)) == pytest.approx(expected / 2)
    assert starting_point(y) == pytest.approx(FocalLoss().constant(y) / 2)
    assert starting_point(pd.Series(y), share=0.0) == 0.0
    assert starting_point([(None, y, weight)]) == pytest.approx(
        FocalLoss().constant(y, weight) / 2
    )
    words = np.where(y == 1, "a fraud", "fine")
    assert starting_point(words, classes=("fine", "a fraud")) == starting_point(y)
    # that of the estimator
    loss = FocalLoss(link="logit")
    start = loss.log_odds([starting_point(y, loss=loss)])[0]
    assert start == pytest.approx(logit(y.mean()) / 2)


@BOTH
def test_labels_in_words(library, rows):
    X, y, _, _ = rows
    objective = FocalObjective(offset=starting_point(y))
    booster = train(library, X, y, None, objective)
    by_number = complete(booster, [(X, y)], objective=objective)
    # the positive class is the first in sorted order
    words = np.where(y == 1, "fraud", "legit")
    classes = ("legit", "fraud")
    finished = complete(booster, [(X, words)], objective=objective, classes=classes)
    raw = plain(library, finished, X)[0]
    np.testing.assert_array_equal(raw, plain(library, by_number, X)[0])
    with pytest.raises(ValueError, match=r"y of batch 0 .* unseen labels: .*'legit'"):
        complete(booster, [(X, words)], objective=objective)


def test_the_estimator_reads_the_booster(rows, tmp_path):
    X, y, _, _ = rows
    objective = FocalObjective(gamma=1.5, offset=starting_point(y))
    booster = train(XGBOOST, X, y, None, objective)
    words = np.where(y == 1, "fraud", "legit")
    finished = complete(
        booster, [(X, words)], objective=objective, classes=("legit", "fraud")
    )
    finished.save_model(tmp_path / "model.ubj")
    model = FocalXGBClassifier()
    model.load_model(tmp_path / "model.ubj")
    assert model.loss_ == objective.loss
    assert model.classes_.tolist() == ["legit", "fraud"]
    p = finished.predict(xgb.DMatrix(X))
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], p, atol=1e-7)
    assert ((model.predict(X) == "fraud") == (p > 0.5)).all()


@pytest.mark.parametrize(
    "named", [{}, {"objective": "reg:squarederror"}, {"objective": "binary:logitraw"}]
)
@pytest.mark.parametrize("link", ["posterior", *slow("logit")])
def test_objectives_that_xgboost_names(named, link, rows):
    """xgboost.train names "reg:squarederror" beside obj, whose readers convert
    nothing."""
    X, y, _, _ = rows
    objective = FocalObjective(link=link, offset=-1.0)
    booster = xgb.train(
        {"disable_default_eval_metric": True, **named},
        xgb.DMatrix(X, y),
        20,
        obj=objective,
    )
    booster.set_attr(best_iteration="9")  # cutting it must not lose the objective
    finished = complete(booster, [(X, y)], objective=objective)
    assert finished.num_boosted_rounds() == 10
    raw, p = plain(XGBOOST, finished, X)
    mean = objective.loss.probability(raw).mean()
    assert mean == pytest.approx(y.mean(), rel=1e-6)
    if link == "posterior":
        np.testing.assert_allclose(p, expit(raw), atol=1e-6)


@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
def test_base_rates_below_those_of_xgboost(booster):
    """XGBoost 3 takes a base_score below 1e-6 for 1e-6; the rest has to go elsewhere,
    though each batch is predicted once."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 2))
    y = (X[:, 0] > 2).astype(int)
    weight = np.where(y == 1, 1e-2, 1e5)
    objective = FocalObjective(offset=-8.0)
    params = {"objective": "binary:logistic", "booster": booster, "learning_rate": 0.1}
    if booster != "gblinear":
        params.update(max_delta_step=0.5, min_child_weight=0.0, reg_lambda=1e-9)
    matrix = xgb.DMatrix(X, y, weight=weight)
    trained = xgb.train(params, matrix, 3, obj=objective)
    finished = complete(trained, iter([(X, y, weight)]), objective=objective)
    raw = plain(XGBOOST, finished, X)[0]
    p = expit(raw.astype(float))
    # a raw score of 16 has steps of 1e-6 in float32
    assert np.average(p, weights=weight) == pytest.approx(
        np.average(y, weights=weight), rel=5e-6
    )


@BOTH
def test_early_stopping(library, rows):
    """The constant is that of the trees that predict."""
    X, y, _, _ = rows
    objective = FocalObjective(offset=starting_point(y))
    half = len(y) // 2
    if library is LIGHTGBM:
        params = {"objective": objective, "metric": "auc", "verbosity": -1}
        trained = lgb.train(
            {**params, "learning_rate": 0.5},
            data := lgb.Dataset(X[:half], y[:half]),
            60,
            valid_sets=[lgb.Dataset(X[half:], y[half:], reference=data)],
            callbacks=[lgb.early_stopping(3, verbose=False)],
            keep_training_booster=True,  # else without the trees after the best
        )
        assert 0 < trained.best_iteration < trained.current_iteration()
    else:
        trained = xgb.train(
            {"objective": "binary:logistic", "eval_metric": "auc"},
            xgb.DMatrix(X[:half], y[:half]),
            60,
            evals=[(xgb.DMatrix(X[half:], y[half:]), "later")],
            obj=objective,
            early_stopping_rounds=3,
            verbose_eval=False,
        )
        assert trained.best_iteration + 1 < trained.num_boosted_rounds()
    finished = complete(trained, [(X[:half], y[:half])], objective=objective)
    p = plain(library, finished, X[:half])[1]
    assert p.mean() == pytest.approx(y[:half].mean(), rel=1e-6)


def read_again(library, booster):
    """Return a booster as a file has it."""
    if library is LIGHTGBM:
        return lgb.Booster(model_str=booster.model_to_string())
    return xgb.Booster(model_file=booster.save_raw("ubj"))


class Seeing(FocalObjective):
    """Objective that keeps the raw scores of its first call."""

    def __call__(self, y_true, raw_prediction, sample_weight=None):
        if "first" not in vars(self):
            vars(self)["first"] = np.array(y_true)  # in a native call
        return super().__call__(y_true, raw_prediction, sample_weight)

    def __deepcopy__(self, memo):  # LightGBM copies its parameters
        return self


@BOTH_LINKS
@BOTH
@pytest.mark.parametrize("is_completed", [False, True], ids=["unfinished", "completed"])
def test_a_continued_booster(library, link, is_completed, rows):
    """The start in the offset and in the raw scores of the first trees would count
    twice."""
    X, y, weight, _ = rows
    batches = in_batches(X=X, y=y, sample_weight=weight)
    loss = FocalLoss(link=link)
    start = starting_point(batches, loss=loss, share=1.0)
    tolerance = TOLERANCE[library.name]
    objective = FocalObjective(2.0, link=link, offset=start)
    first = train(library, X, y, weight, objective, rounds=12)
    if is_completed:
        first = complete(first, batches, objective=objective)
    first = read_again(library, first)
    seeing = Seeing(2.0, link=link, offset=0.0 if is_completed else start)
    after = train(library, X, y, weight, seeing, before=first, rounds=18)
    begun = plain(library, first, X)[0]
    np.testing.assert_allclose(vars(seeing)["first"], begun, atol=tolerance, rtol=0)
    finished = complete(after, batches, objective=seeing)
    raw = plain(library, finished, X)[0]
    assert np.average(loss.probability(raw), weights=weight) == pytest.approx(
        np.average(y, weights=weight), rel=1e-6
    )
    whole = train(library, X, y, weight, objective)
    expected = plain(library, complete(whole, batches, objective=objective), X)[0]
    difference = np.abs(raw - expected).max()
    # later trees of a completed booster begin at its closing constant
    assert difference > 0.01 if is_completed else difference < tolerance


def test_xgboost_continued_after_early_stopping(rows):
    """The best iteration of the first training would cut off the trees of the
    second."""
    X, y, _, _ = rows
    objective = FocalObjective(offset=starting_point(y))
    first = train(XGBOOST, X, y, None, objective, rounds=12)
    first.set_attr(best_iteration="7", best_score="0.5")  # as early stopping does
    for before, n_rounds in ((first, 8), (first[: first.best_iteration + 1], 8 + 5)):
        after = train(XGBOOST, X, y, None, objective, before=before, rounds=5)
        finished = complete(after, [(X, y)], objective=objective)
        assert finished.num_boosted_rounds() == n_rounds


@BOTH
def test_rows_that_the_library_reads_itself(library, rows):
    """Sequences, iterators, frames and matrices."""
    X, y, _, _ = rows
    names = ["c 0", *(f"c{i}" for i in range(1, 5))]
    frame = pd.DataFrame(X, columns=names)
    objective = FocalObjective(offset=starting_point(y))
    if library is LIGHTGBM:

        class Part(lgb.Sequence):
            batch_size = 256

            def __init__(self, rows):
                self.rows = rows

            def __getitem__(self, index):
                return self.rows[index]

            def __len__(self):
                return len(self.rows)

        parts = [Part(X[:1000]), Part(X[1000:])]
        trained = lgb.train(
            {"objective": objective, "verbosity": -1},
            lgb.Dataset(parts, y, feature_name=names),
            20,
        )
        wrong = r"X must have the columns .* got \['c4'"
    else:
        params = {"objective": "binary:logistic"}
        trained = xgb.train(params, xgb.DMatrix(frame, y), 20, obj=objective)
        wrong = "feature_names mismatch|column"
    batches = [(frame[:1000], y[:1000]), (frame[1000:], y[1000:])]
    finished = complete(trained, batches, objective=objective)
    data = frame if library is LIGHTGBM else xgb.DMatrix(frame)
    assert finished.predict(data).mean() == pytest.approx(y.mean(), rel=1e-6)
    # columns of an array have no names, and their order is that of the training
    same = complete(trained, [(X, y)], objective=objective)
    np.testing.assert_allclose(same.predict(data), finished.predict(data), atol=1e-6)
    swapped = [(frame[names[::-1]], y)]
    with pytest.raises(ValueError, match=wrong):
        complete(trained, swapped, objective=objective)
    if library is LIGHTGBM:  # which takes the columns of a table by position
        swapped = [(pa.table(dict(frame[names[::-1]])), y)]
        with pytest.raises(ValueError, match=wrong):
            complete(trained, swapped, objective=objective)
    else:
        matrix = xgb.DMatrix(frame)
        same = complete(trained, [(matrix, y)], objective=objective)
        np.testing.assert_array_equal(same.predict(data), finished.predict(data))
        matrix.set_base_margin(np.ones(len(y)))
        with pytest.raises(ValueError, match="X has a base_margin"):
            complete(trained, [(matrix, y)], objective=objective)


@pytest.fixture(scope="module")
def trained(rows):
    X, y, _, _ = rows
    return train(LIGHTGBM, X, y, None, FocalObjective())


def test_one_batch_in_memory_at_a_time(trained, rows):
    """A list of batches made first would hold all rows."""
    import gc
    import weakref

    X, y, _, _ = rows
    alive = []

    def batches():
        for i in range(0, len(y), 500):
            gc.collect()
            assert sum(part() is not None for part in alive) <= 1
            part = X[i : i + 500].copy()
            alive.append(weakref.ref(part))
            yield part, y[i : i + 500]
            del part

    complete(trained, batches, objective=FocalObjective())
    assert len(alive) == 6


@pytest.mark.parametrize(
    ("batches", "error", "message"),
    [
        (lambda X, y: (X, y), TypeError, "batch 0 is a ndarray"),
        (lambda X, y: [(X, y, None, None)], TypeError, "batch 0 is a tuple of 4"),
        (lambda X, y: {"X": X, "y": y}, TypeError, r"got dict; pass one .* \[batch\]"),
        (lambda X, y: None, TypeError, "got NoneType"),
        (lambda X, y: [{"X": X, "Y": y}], ValueError, "key 'Y'; did you mean y?"),
        (lambda X, y: [{"X": X}], ValueError, "batch 0 has no labels"),
        (lambda X, y: [], ValueError, "an iterator that was read before is empty"),
        (lambda X, y: [(X, y * 0)], ValueError, "both classes.* got 0 only"),
        (lambda X, y: [(X, y), (X, y + 1)], ValueError, r"y of batch 1 .*2.* in row 2"),
        (
            lambda X, y: [(X, np.where(y, np.nan, 0))],
            ValueError,
            "unseen labels: .*nan",
        ),
        (lambda X, y: [(X, y[1:])], ValueError, "X and y of batch 0 .* 3000 and 2999"),
        (lambda X, y: [(X, y, y - 1)], ValueError, "sample_weight of batch 0 must be"),
        (
            lambda X, y: [(X, y, y[1:])],
            ValueError,
            "sample_weight of batch 0 must have",
        ),
        (lambda X, y: [(X, y, y)], ValueError, "both classes"),
        (lambda X, y: [(X, y, 0 * y)], ValueError, "no row of positive weight"),
        (
            lambda X, y: [{"X": X, "y": y, "label_maturity": y + 0.5}],
            ValueError,
            "label_maturity of batch 0 must be in",
        ),
        (
            lambda X, y: [{"X": X, "y": y, "label_maturity": 0.9 + 0 * y}],
            ValueError,
            "below 1 in the batches, but not in the objective",
        ),
    ],
)
def test_batches_that_are_refused(batches, error, message, trained, rows):
    X, y, _, _ = rows
    with pytest.raises(error, match=message):
        complete(trained, batches(X, y), objective=FocalObjective())


def test_an_iterator_serves_once(trained, rows):
    X, y, _, _ = rows
    once = iter([(X, y)])
    starting_point(once)
    with pytest.raises(ValueError, match="pass a list, or a function"):
        complete(trained, once, objective=FocalObjective())


def test_arguments_that_are_refused(trained, rows):
    X, y, _, _ = rows
    rows = [(X, y)]
    with pytest.raises(TypeError, match="objective must be the FocalObjective"):
        complete(trained, rows, objective="binary")
    with pytest.raises(TypeError, match=r"booster must be .* got LGBMClassifier"):
        complete(lgb.LGBMClassifier(), rows, objective=FocalObjective())
    for classes in ((0,), (1, 1), (0, 1, 2)):
        with pytest.raises(ValueError, match="classes must be two different labels"):
            complete(trained, rows, objective=FocalObjective(), classes=classes)
    with pytest.raises(TypeError, match="loss must be a FocalLoss"):
        starting_point(y, loss=FocalObjective())
    with pytest.raises(ValueError, match=r"share must be .* 2"):
        starting_point(y, share=2)
    with pytest.raises(ValueError, match="no row of positive weight"):
        starting_point([])
    with pytest.raises(TypeError, match="batch 0 is a ndarray"):
        starting_point([y[:10], y[10:]])
    late = FocalObjective(label_maturity=np.full(len(y), 0.9))
    with pytest.raises(ValueError, match="in the objective, but not in the batches"):
        complete(trained, rows, objective=late)


def test_boosters_of_other_objectives(rows):
    X, y, _, _ = rows
    quiet = {"verbosity": -1, "objective": "regression"}
    other = lgb.train(quiet, lgb.Dataset(X, y), 2)
    with pytest.raises(ValueError, match="trained with 'objective=regression'"):
        complete(other, [(X, y)], objective=FocalObjective())
    other = xgb.train({"objective": "count:poisson"}, xgb.DMatrix(X, y), 2)
    with pytest.raises(ValueError, match="the objective 'count:poisson'"):
        complete(other, [(X, y)], objective=FocalObjective())


@pytest.mark.filterwarnings("ignore:Training has stopped")
@BOTH
def test_no_split_warns(library, rows):
    X, y, _, _ = rows
    objective = FocalObjective()
    trained = train(library, X, y, None, objective, min_child_weight=1e6)
    with pytest.warns(UserWarning, match="no tree could split") as caught:
        complete(trained, [(X, y)], objective=objective)
    assert caught[0].filename == __file__
