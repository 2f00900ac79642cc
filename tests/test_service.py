"""The HTTP service: answers, refusals and requests at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from libraries import BOTH, LIBRARIES, XGBOOST_VERSION
from scipy.special import expit
from scripts import EXAMPLES, load_example
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier

from focal_gbm import FocalClassifierCV, FocalLGBMClassifier, FocalXGBClassifier

pytest.importorskip("fastapi", reason="needs the extra [serve]")
pytest.importorskip("uvicorn", reason="needs the extra [serve]")
PATH = EXAMPLES / "serve.py"
SHOPS = ["b", "c", "a"]  # not in the order of the alphabet
CATEGORIES = {"shop": SHOPS, "code": [5, 6, 7]}


@pytest.fixture(scope="module")
def serve():
    """The example as a module."""
    return load_example("serve")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    n = 4000
    X = pd.DataFrame(
        {
            "amount": rng.exponential(50, n),
            "shop": pd.Categorical.from_codes(rng.integers(-1, 3, n), SHOPS),
            "is_abroad": rng.random(n) < 0.3,
            "code": pd.Categorical.from_codes(rng.integers(0, 3, n), [5, 6, 7]),
            "n_before": rng.integers(0, 9, n),
        }
    )
    X.loc[::7, "amount"] = np.nan
    score = X["amount"].fillna(0) / 40 + (X["shop"] == "c") + 2 * (X["code"] == 6) - 4
    return X, (rng.random(n) < expit(score)).astype(int)


@pytest.fixture(scope="module")
def models(rows):
    """A fitted model of each library."""
    X, y = rows
    extra = {"lightgbm": {}, "xgboost": {"enable_categorical": True}}
    return {
        library.name: library.model(**extra[library.name]).fit(X, y)
        for library in LIBRARIES
    }


@pytest.fixture(scope="module")
def services(serve, models):
    passed = {"lightgbm": None, "xgboost": CATEGORIES}
    return {
        name: serve.Service(m, categories=passed[name]) for name, m in models.items()
    }


@pytest.fixture(scope="module")
def address(serve, services):
    """The address of the service of LightGBM."""
    with serve.running(serve.make_app(services["lightgbm"])) as address:
        yield address


def as_json(X):
    """Return rows as a client sends them."""
    return json.loads(X.to_json(orient="records", double_precision=15))


@BOTH
def test_answers_are_those_of_the_model(library, serve, services, models, rows):
    X, model = rows[0][:200], models[library.name]
    with serve.running(serve.make_app(services[library.name])) as address:
        status, answers = serve.call(f"{address}/score", as_json(X))
        assert status == 200
        # columns by name, in any order, and alone
        for i in (0, 1):
            backwards = dict(reversed(as_json(X)[i].items()))
            assert serve.call(f"{address}/score", backwards) == (200, answers[i])
    table = pd.DataFrame(answers)
    rounding = library.rounding
    np.testing.assert_allclose(table["log_odds"], model.decision_function(X), rounding)
    p = model.predict_proba(X)[:, 1]
    np.testing.assert_allclose(table["probability"], p, rounding)
    np.testing.assert_array_equal(table["alert"], model.predict(X) == 1)
    assert 0 < table["alert"].sum() < 200
    assert table["reasons"].notna().tolist() == table["alert"].tolist()


@BOTH
def test_reasons_are_shares_of_the_log_odds(library, serve, services, models, rows):
    """They are the largest of the numbers that sum to the log-odds."""
    X, model = rows[0][:300], models[library.name]
    if library.name == "lightgbm":
        added = model.booster_.predict(X, pred_contrib=True)
    else:
        matrix = xgb.DMatrix(X, enable_categorical=True)
        added = model.get_booster().predict(matrix, pred_contribs=True)
    np.testing.assert_allclose(added.sum(axis=1), model.decision_function(X), 1e-4)
    n_alerts = 0
    sent = as_json(X)
    answers = services[library.name].score(sent)
    for row, answer, shares in zip(sent, answers, added[:, :-1], strict=True):
        if not answer["alert"]:
            continue
        n_alerts += 1
        wanted = sorted(shares[shares > 0], reverse=True)[:3]
        found = [reason["log_odds"] for reason in answer["reasons"]]
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
        for reason in answer["reasons"]:
            column = X.columns.get_loc(reason["column"])
            assert reason["log_odds"] == pytest.approx(shares[column], rel=1e-5)
            assert reason["value"] == row[reason["column"]]
    assert n_alerts > 10
    two = serve.Service(models[library.name], n_reasons=2, categories=CATEGORIES)
    assert max(len(a.get("reasons", ())) for a in two.score(sent)) == 2
    none = serve.Service(models[library.name], n_reasons=0, categories=CATEGORIES)
    assert not any("reasons" in answer for answer in none.score(sent))


@BOTH
def test_unseen_categories_are_missing(library, services):
    row = {"amount": 90.0, "is_abroad": True, "n_before": 1, "shop": "c", "code": 6}
    unseen = {**row, "shop": "new", "code": 99}
    missing = {**row, "shop": None, "code": None}
    known, a, b = services[library.name].score([row, unseen, missing])
    assert a.pop("unseen") == ["shop", "code"]
    assert b.pop("unseen") == known.pop("unseen") == []
    assert a["log_odds"] == b["log_odds"] != known["log_odds"]
    assert a["alert"] == b["alert"]


GOOD = {"amount": 9.0, "is_abroad": False, "n_before": 1, "shop": "a", "code": 5}
WITHOUT = {name: value for name, value in GOOD.items() if name != "amount"}


@pytest.mark.parametrize(
    ("content", "row", "column", "reason"),
    [
        (WITHOUT, 0, "amount", "missing; pass null"),
        ([GOOD, {**GOOD, "amout": 1}], 1, "amout", "did you mean 'amount'"),
        (
            {**GOOD, "amount": "9"},
            0,
            "amount",
            'a number, true, false or null, got "9"',
        ),
        ({**GOOD, "amount": [9]}, 0, "amount", "must be a number"),
        (
            [GOOD, GOOD, {**GOOD, "amount": float("inf")}],
            2,
            "amount",
            "finite, got Inf",
        ),
        ({**GOOD, "amount": 10**400}, 0, "amount", "must be finite"),
        ({**GOOD, "shop": 5}, 0, "shop", "must be a category (text) or null, got 5"),
        ({**GOOD, "code": "5"}, 0, "code", 'a category (number) or null, got "5"'),
        ({**GOOD, "code": True}, 0, "code", "a category (number) or null, got true"),
        ({**GOOD, "shop": ["a"]}, 0, "shop", "must be a category"),
        ([GOOD, 3], 1, None, "a row is an object of columns, got 3"),
        ([], None, None, "pass a row or a list of 1 to 10000 rows, got 0 rows"),
        (7, None, None, "pass a row or a list of 1 to 10000 rows, got int"),
        ([GOOD] * 10_001, None, None, "got 10001 rows"),
    ],
)
def test_bad_rows_are_refused(content, row, column, reason, serve, address):
    status, answer = serve.call(f"{address}/score", content)
    assert status == 422
    (problem,) = answer["detail"]
    assert (problem["row"], problem["column"]) == (row, column)
    assert reason in problem["reason"]


def test_all_problems_are_listed_up_to_a_limit(serve, address):
    status, answer = serve.call(f"{address}/score", [{**WITHOUT, "shop": 1}, {}])
    assert status == 422
    found = [(problem["row"], problem["column"]) for problem in answer["detail"]]
    assert found[:2] == [(0, "amount"), (0, "shop")]
    assert len(found) == 7
    _, answer = serve.call(f"{address}/score", [{}] * 100)
    assert len(answer["detail"]) == 20


def post(address, body):
    """Return status and answer of a request with any bytes."""
    try:
        with urllib.request.urlopen(address, body) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_bodies_that_are_no_json(address):
    for body, reason in (
        (b"amount=9", "bad JSON: Expecting value"),
        (b"\xff\xfe\x00", "bad JSON"),
        (b"[" * 100_000, "bad JSON"),
        (json.dumps(GOOD).encode()[:-1] + b', "amount": 1}', "has 'amount' twice"),
    ):
        status, answer = post(f"{address}/score", body)
        assert status == 422
        assert reason in answer["detail"][0]["reason"]
    status, answer = post(f"{address}/score", json.dumps(GOOD).encode())
    assert status == 200
    nan = json.dumps({**GOOD, "amount": float("nan")}).encode()
    null = json.dumps({**GOOD, "amount": None}).encode()
    assert post(f"{address}/score", nan) == post(f"{address}/score", null) != answer


@BOTH
def test_requests_at_the_same_time(library, serve, services, rows):
    """Threads share the model: each request gets the answer that it gets alone."""
    service = services[library.name]
    parts = [as_json(rows[0][i : i + 1 + i % 9]) for i in range(0, 320, 10)]
    alone = [service.score(part) for part in parts]
    with ThreadPoolExecutor(16) as pool:
        for _ in range(3):
            assert list(pool.map(service.score, parts)) == alone
        with serve.running(serve.make_app(service)) as address:
            answers = pool.map(lambda part: serve.call(f"{address}/score", part), parts)
            assert list(answers) == [(200, answer) for answer in alone]


def test_health(serve, models, rows):
    model = FocalLGBMClassifier(n_estimators=5, verbose=-1).fit(*rows)
    service = serve.Service(model, threshold=0.25)
    with serve.running(serve.make_app(service)) as address:
        status, report = serve.call(f"{address}/health")
        assert status == 200
        assert report["status"] == "ok"
        assert report["columns"] == {
            "amount": "number",
            "shop": SHOPS,
            "is_abroad": "number",
            "code": [5, 6, 7],
            "n_before": "number",
        }
        assert report["threshold"] == 0.25
        assert report["calibrator"] is None
        assert {"focal_gbm", "lightgbm", "python"} == report["versions"].keys()
        blank = dict.fromkeys(rows[0].columns)
        _, answer = serve.call(f"{address}/score", blank)
        assert report["self_test"] == answer["log_odds"]
        status, document = serve.call(f"{address}/openapi.json")
        assert status == 200
        assert {"/score", "/health"} <= document["paths"].keys()
        model.calibrate(*rows)  # another model than at the start
        status, report = serve.call(f"{address}/health")
        assert (status, report["status"]) == (503, "failed")
        assert report["calibrator"] == "LogOddsCalibrator"
        del model.calibrator_
        status, report = serve.call(f"{address}/health")
        assert status == 503
        assert "AttributeError" in report["self_test"]


def test_calibrated_probabilities_and_thresholds(serve, rows):
    X, y = rows
    model = FocalLGBMClassifier(n_estimators=20, verbose=-1).fit(X[:2000], y[:2000])
    before = model.decision_function(X)
    model.calibrate(X[2000:], y[2000:])
    sent = as_json(X[:100])
    answers = serve.Service(model, threshold=0.0).score(sent)
    table = pd.DataFrame(answers)
    np.testing.assert_allclose(table["log_odds"], model.decision_function(X[:100]))
    assert (table["log_odds"] != before[:100]).any()
    assert table["alert"].all()
    p = model.predict_proba(X[:100])[:, 1]
    fixed = FixedThresholdClassifier(
        FrozenEstimator(model), threshold=p[0], response_method="predict_proba"
    ).fit(X, y)
    service = serve.Service(fixed)
    assert service.threshold == p[0]
    alert = [answer["alert"] for answer in service.score(sent)]
    assert alert == (fixed.predict(X[:100]) == 1).tolist()
    assert alert[0]


@pytest.mark.slow
def test_models_of_folds(serve, rows):
    X, y = rows
    model = FocalClassifierCV(FocalLGBMClassifier(verbose=-1), cv=2).fit(X, y)
    answers = serve.Service(model).score(as_json(X[:50]))
    log_odds = [answer["log_odds"] for answer in answers]
    np.testing.assert_allclose(log_odds, model.decision_function(X[:50]))


def test_files(serve, models, rows, tmp_path):
    path, X = tmp_path / "model", rows[0][:20]
    joblib.dump(models["lightgbm"], path)
    with pytest.raises(ValueError, match=r"was not written by focal_gbm\.export"):
        serve.load_model(path)
    model = serve.load_model(path, pickled=True)
    np.testing.assert_array_equal(
        serve.Service(model).score(as_json(X)),
        serve.Service(models["lightgbm"]).score(as_json(X)),
    )
    with pytest.raises(FileNotFoundError):
        serve.load_model(tmp_path / "none")


@BOTH
def test_files_that_run_no_code(library, serve, services, models, rows, tmp_path):
    export = pytest.importorskip("focal_gbm.export", reason="needs focal_gbm.export")
    pytest.importorskip("skops", reason="needs skops")
    export.save(models[library.name], tmp_path / "model")
    model = serve.load_model(tmp_path / "model")
    service, sent = serve.Service(model, categories=CATEGORIES), as_json(rows[0][:20])
    assert service.score(sent) == services[library.name].score(sent)


def test_models_that_cannot_be_served(serve, rows):
    X, y = rows
    numbers = X[["amount", "n_before"]]
    for make in (FocalLGBMClassifier(n_estimators=2, verbose=-1), FocalXGBClassifier()):
        model = make.set_params(n_estimators=2).fit(numbers.to_numpy(float), y)
        if getattr(model, "feature_names_in_", None) is None:
            with pytest.raises(ValueError, match="without column names"):
                serve.Service(model)
        else:  # LightGBM 4.6 gives columns names
            assert serve.Service(model).columns == ["Column_0", "Column_1"]
    with pytest.raises(TypeError, match="the model is a dict; pass a Focal"):
        serve.Service({})
    with pytest.raises(NotFittedError):
        serve.Service(FocalLGBMClassifier())


def test_categories_of_xgboost(serve, models):
    if XGBOOST_VERSION >= (3, 1):
        assert serve.Service(models["xgboost"]).categories == CATEGORIES
    else:
        with pytest.raises(
            ValueError, match=r"pass --categories, .* columns shop, code"
        ):
            serve.Service(models["xgboost"])
    with pytest.raises(ValueError, match=r"pass --categories, .* columns shop, code"):
        serve.Service(models["xgboost"], categories={"shop": SHOPS})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "pass the file of a model, or --demo"),
        (["m", "--threshold", "2"], "--threshold must be in [0, 1], got 2.0"),
        (["m", "--max-rows", "0"], "--max-rows must be at least 1"),
        (["m"], "No such file"),
    ],
)
def test_bad_commands(options, message, serve, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["serve.py", *options])
    with pytest.raises(SystemExit) as stopped:
        serve.main()
    assert message in capsys.readouterr().err + str(stopped.value)


@pytest.mark.slow
def test_demonstration():
    command = [sys.executable, PATH, "--demo"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for word in ('"status": "ok"', '"reasons"', "a bad row: HTTP 422", "'amount'?"):
        assert word in done.stdout
    assert done.stderr == ""
