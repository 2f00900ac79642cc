"""Score transactions in an HTTP service.

    python examples/serve.py MODEL --port 8000    MODEL: file of focal_gbm.export.save
    python examples/serve.py --demo               trains, serves, prints answers, ends

needs ``pip install 'focal_gbm[serve]'``. POST /score takes a row, or a list of rows, as
JSON objects by column name. The answer for a row has its probability, its log-odds,
whether it is an alert, and for an alert the columns that raised its log-odds most:

    {"probability": 0.93, "log_odds": 2.6, "alert": true, "unseen": [],
     "reasons": [{"column": "amount", "value": 950.0, "log_odds": 2.1}, ...]}

A request with a bad row is refused as a whole (HTTP 422), with row, column and reason:
a column that is missing or unknown, a value of a wrong type, an infinite value. A
missing value is null (or NaN). A category that the training rows did not have is scored
as a missing value, as both libraries do in training, and named in "unseen".

GET /health has the versions, the columns, and a test: the row of missing values must
score as it did when the service started (HTTP 503 if not). GET /docs describes all in
OpenAPI.

Reasons are SHAP values of the booster: they and a constant sum to the log-odds before
the calibrator. Requests are scored side by side, each on --threads threads; for more,
start one process a core behind a load balancer. Store the answers with their times:
``focal_gbm.metrics.calibration_by_period`` compares them with the labels that come
weeks later.
"""

from __future__ import annotations

import argparse
import difflib
import json
import math
import platform
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from scipy.special import expit
from sklearn.utils.validation import check_is_fitted
from starlette.concurrency import run_in_threadpool

import focal_gbm
from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
from focal_gbm.metrics import alert_threshold

_MAGIC = b"focal_gbm model file"
_MOST_PROBLEMS = 20  # listed in one answer


class BadRowsError(ValueError):
    """Rows that cannot be scored; ``problems`` has row, column and reason of each."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        super().__init__(problems)
        self.problems = problems


def load_model(path: Path, *, pickled: bool = False) -> Any:
    """Load a model that ``focal_gbm.export.save`` wrote, or with ``pickled`` one that
    joblib wrote, whose code runs when it is loaded."""
    with path.open("rb") as file:
        is_safe = file.read(len(_MAGIC)) == _MAGIC
    if is_safe:
        from focal_gbm.export import load  # needs skops

        return load(path)
    if not pickled:
        msg = (
            f"{path} was not written by focal_gbm.export.save. If joblib wrote it and "
            "you trust its origin, pass --pickle: loading it runs its code"
        )
        raise ValueError(msg)
    return joblib.load(path)


class Service:
    """A fitted model with the checks of its rows; safe to use from several threads.

    Parameters
    ----------
    model : FocalLGBMClassifier, FocalXGBClassifier or FocalClassifierCV
        Fitted to a data frame, so that its columns have names. Also a
        ``FixedThresholdClassifier`` of scikit-learn around one of them.
    threshold : float in [0, 1] or None
        Probability from which on a row is an alert. None: that of a
        ``FixedThresholdClassifier``, else the alerts are the rows whose class
        ``model.predict`` gives as positive.
    n_reasons : int >= 0
        Largest number of reasons of an alert.
    n_threads : int >= 1
        Threads of one prediction; 1 is fastest for few rows.
    max_rows : int >= 1
        Largest number of rows of a request.
    categories : dict or None
        Categories by column, in the order of training, for models that do not hold
        them: those of XGBoost before 3.1.
    """

    def __init__(
        self,
        model: Any,
        *,
        threshold: float | None = None,
        n_reasons: int = 3,
        n_threads: int = 1,
        max_rows: int = 10_000,
        categories: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        self.model, fixed = _bare(model)
        self.threshold = fixed if threshold is None else threshold
        self.n_reasons, self.max_rows = n_reasons, max_rows
        self.n_threads = n_threads
        # a thread for each prediction: requests run side by side
        self.model.set_params(n_jobs=n_threads)
        names = getattr(self.model, "feature_names_in_", None)
        if names is None:
            msg = (
                "the model was fitted to an array without column names, by which rows "
                "are checked; fit it to a data frame"
            )
            raise ValueError(msg)
        self.columns = [str(name) for name in names]
        self.categories = _categories(self.model, self.columns, categories)
        self.readers: dict[str, Callable[[Any], float]] = {
            name: _category_reader(self.categories[name])
            if name in self.categories
            else _number
            for name in self.columns
        }
        self._test_row = self._frame(np.full((1, len(self.columns)), np.nan))
        self._test_log_odds = self._log_odds(self._test_row)
        if n_reasons:  # linear trees have none: refused now, and not at an alert
            self._contributions(self._test_row)

    def score(self, rows: Any) -> list[dict[str, Any]]:
        """Return the answer for each row; BadRowsError if any cannot be scored."""
        values, unseen = self._read(rows)
        frame = self._frame(values)
        log_odds = self._log_odds(frame)
        p = expit(log_odds)
        if self.threshold is None:
            alert = p > self.model.threshold_  # as in predict
        else:
            alert = p >= self.threshold
        answers = [
            {
                "probability": float(p[i]),
                "log_odds": float(log_odds[i]),
                "alert": bool(alert[i]),
                "unseen": unseen[i],
            }
            for i in range(len(rows))
        ]
        alerts = np.flatnonzero(alert)
        if len(alerts) and self.n_reasons:
            contributions = self._contributions(frame.iloc[alerts])
            for i, of_row in zip(alerts, contributions, strict=True):
                answers[i]["reasons"] = [
                    {
                        "column": self.columns[j],
                        "value": _plain(rows[i][self.columns[j]]),
                        "log_odds": float(of_row[j]),
                    }
                    for j in np.argsort(-of_row, kind="stable")[: self.n_reasons]
                    if of_row[j] > 0
                ]
        return answers

    def health(self) -> dict[str, Any]:
        """Return the state of the service, after a test of the model."""
        try:
            log_odds = self._log_odds(self._test_row)
            # equal to the bit: the model may not have changed
            is_ok = bool(np.array_equal(log_odds, self._test_log_odds))
        except Exception as error:  # whatever the booster raises, it cannot score
            log_odds, is_ok = [f"{type(error).__name__}: {error}"], False
        library = "lightgbm" if hasattr(self.model, "booster_") else "xgboost"
        calibrator = getattr(self.model, "calibrator_", None)
        has_link = self.model.loss_.link == "posterior"
        return {
            "status": "ok" if is_ok else "failed",
            "model": type(self.model).__name__,
            "columns": {
                name: list(map(_plain, self.categories[name]))
                if name in self.categories
                else "number"
                for name in self.columns
            },
            "threshold": float(
                self.model.threshold_ if self.threshold is None else self.threshold
            ),
            "calibrator": None if calibrator is None else type(calibrator).__name__,
            "reasons": "log-odds before the calibrator"
            if has_link
            else "raw score of link='logit'",
            "self_test": log_odds[0],
            "versions": {
                "focal_gbm": focal_gbm.__version__,
                library: sys.modules[library].__version__,
                "python": platform.python_version(),
            },
        }

    def _read(self, rows: Any) -> tuple[np.ndarray, list[list[str]]]:
        """Return the values of checked rows, and the columns with unseen categories."""
        if not isinstance(rows, list) or not 1 <= len(rows) <= self.max_rows:
            n = f"{len(rows)} rows" if isinstance(rows, list) else type(rows).__name__
            reason = f"pass a row or a list of 1 to {self.max_rows} rows, got {n}"
            raise BadRowsError([_problem(None, None, reason)])
        values = np.empty((len(rows), len(self.columns)))
        unseen: list[list[str]] = [[] for _ in rows]
        problems: list[dict[str, Any]] = []
        for i, row in enumerate(rows):
            if not isinstance(row, dict):
                reason = f"a row is an object of columns, got {_short(row)}"
                problems.append(_problem(i, None, reason))
                continue
            for name in sorted(row.keys() - self.readers.keys()):
                near = difflib.get_close_matches(name, self.columns, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                problems.append(
                    _problem(i, name, f"the model has no such column{hint}")
                )
            for j, (name, read) in enumerate(self.readers.items()):
                if name not in row:
                    reason = "missing; pass null for a value that is not known"
                    problems.append(_problem(i, name, reason))
                    continue
                try:
                    values[i, j] = read(row[name])
                except KeyError:
                    values[i, j] = np.nan
                    unseen[i].append(name)
                except (TypeError, ValueError) as error:
                    problems.append(_problem(i, name, str(error)))
            if len(problems) >= _MOST_PROBLEMS:
                break
        if problems:
            raise BadRowsError(problems[:_MOST_PROBLEMS])
        return values, unseen

    def _frame(self, values: np.ndarray) -> pd.DataFrame:
        """Return rows with the columns and the categories of the training rows."""
        frame = pd.DataFrame(values, columns=self.columns)
        for name, categories in self.categories.items():
            codes = frame[name].fillna(-1).astype(int)
            frame[name] = pd.Categorical.from_codes(codes, categories)
        return frame

    def _log_odds(self, frame: pd.DataFrame) -> np.ndarray:
        return self.model.decision_function(frame)

    def _contributions(self, frame: pd.DataFrame) -> np.ndarray:
        """Return what each column adds to the log-odds, without the constant."""
        if hasattr(self.model, "booster_"):
            added = self.model.predict(frame, pred_contrib=True)
        else:
            import xgboost

            matrix = xgboost.DMatrix(
                frame, enable_categorical=True, nthread=self.n_threads
            )
            added = self.model.get_booster().predict(
                matrix, pred_contribs=True, iteration_range=_iterations(self.model)
            )
        return np.asarray(added)[:, :-1]


def _bare(model: Any) -> tuple[Any, float | None]:
    """Return the classifier within wrappers of scikit-learn, and their threshold."""
    threshold = None
    while not isinstance(model, (FocalLGBMClassifier, FocalXGBClassifier)):
        if hasattr(model, "estimator_"):  # FocalClassifierCV, FixedThresholdClassifier
            threshold = getattr(model, "threshold", threshold)
            model = model.estimator_
        elif hasattr(model, "estimator"):  # FrozenEstimator
            model = model.estimator
        else:
            msg = (
                f"the model is a {type(model).__name__}; pass a FocalLGBMClassifier, "
                "FocalXGBClassifier or FocalClassifierCV"
            )
            raise TypeError(msg)
    check_is_fitted(model)
    return model, threshold


def _iterations(model: Any) -> tuple[int, int]:
    """Return the iterations that an XGBoost classifier predicts with; (0, 0) is all."""
    try:
        return 0, model.best_iteration + 1
    except AttributeError:  # without early stopping
        return 0, 0


def _categories(
    model: Any, columns: list[str], passed: Mapping[str, Sequence[Any]] | None
) -> dict[str, list[Any]]:
    """Return the categories of the training rows by column."""
    if hasattr(model, "booster_"):
        found = model.booster_.pandas_categorical or []
        places = model.booster_.params.get("categorical_column", []) if found else []
    else:
        booster = model.get_booster()
        places = [
            i for i, kind in enumerate(booster.feature_types or []) if kind == "c"
        ]
        found = []
        if places and passed is None and hasattr(booster, "get_categories"):
            of_all = dict(booster.get_categories(export_to_arrow=True).to_arrow())
            found = [of_all[columns[i]].to_pylist() for i in places]
    if passed is None and len(found) == len(places):
        return {columns[i]: list(kinds) for i, kinds in zip(places, found, strict=True)}
    if passed is None or set(passed) != {columns[i] for i in places}:
        listed = ", ".join(columns[i] for i in places) or "none"
        msg = (
            "the model does not hold the categories of its columns; pass --categories, "
            f"a JSON file of an object with the columns {listed}, each with the list "
            "of its categories in the order of training (X[column].cat.categories)"
        )
        raise ValueError(msg)
    return {name: list(kinds) for name, kinds in passed.items()}


def _number(value: Any) -> float:
    """Return a number or a boolean as float, NaN for a missing value."""
    if value is None:
        return math.nan
    if not isinstance(value, (int, float)):
        msg = f"must be a number, true, false or null, got {_short(value)}"
        raise TypeError(msg)
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        msg = f"must be finite, got {_short(value)}"
        raise ValueError(msg)
    return number


def _category_reader(categories: list[Any]) -> Callable[[Any], float]:
    """Return a function that returns the code of a category; KeyError if unseen."""
    codes = {kind: float(code) for code, kind in enumerate(categories)}
    # true is no 1, and a number is no text
    kinds = {_kind(category) for category in categories}

    def read(value: Any) -> float:
        if value is None or value != value:
            return math.nan
        if _kind(value) not in kinds:
            wanted = " or ".join(sorted(kinds))
            msg = f"must be a category ({wanted}) or null, got {_short(value)}"
            raise TypeError(msg)
        return codes[value]

    return read


def _kind(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "true or false"
    if isinstance(value, (int, float, np.number)):
        return "number"
    return "text" if isinstance(value, str) else "other"


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _problem(row: int | None, column: str | None, reason: str) -> dict[str, Any]:
    return {"row": row, "column": column, "reason": reason}


def make_app(service: Service) -> FastAPI:
    """Return the web application of a service."""
    app = FastAPI(title="focal_gbm", version=focal_gbm.__version__)
    example = dict.fromkeys(service.columns, 0.0)
    example |= {name: _plain(kinds[0]) for name, kinds in service.categories.items()}
    body = {
        "required": True,
        "content": {"application/json": {"schema": {}, "example": example}},
    }

    # the body is read here, and not by FastAPI, so that refusals name row and column
    @app.post("/score", openapi_extra={"requestBody": body})
    async def score(request: Request) -> JSONResponse:
        """Score a row or a list of rows."""
        content = await request.body()
        try:
            rows = json.loads(content, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            return _refused([_problem(None, None, f"the body is bad JSON: {error}")])
        is_one = isinstance(rows, dict)
        try:
            answers = await run_in_threadpool(service.score, [rows] if is_one else rows)
        except BadRowsError as error:
            return _refused(error.problems)
        return JSONResponse(answers[0] if is_one else answers)

    @app.get("/health")
    def health() -> JSONResponse:
        """Test the model; 503 if it does not score as at the start."""
        report = service.health()
        return JSONResponse(report, 200 if report["status"] == "ok" else 503)

    return app


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, whose later value of a name would replace the earlier."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"an object has {twice!r} twice"
        raise ValueError(msg)
    return found


def _refused(problems: list[dict[str, Any]]) -> JSONResponse:
    return JSONResponse({"detail": problems}, 422)


@contextmanager
def running(app: FastAPI, port: int = 0) -> Iterator[str]:
    """Run an application in a thread, on a free port for 0, and yield its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                msg = f"the service did not start on port {port}"
                raise RuntimeError(msg)
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def call(address: str, content: Any = None) -> tuple[int, Any]:
    """Return status and answer of a request: GET, or POST where there is content."""
    data = None if content is None else json.dumps(content).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(address, data)) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def demo() -> None:
    """Train a model, save and load it, serve it, and print some answers."""
    data = make_transactions(n_customers=400, n_terminals=800, n_days=60)
    day = (data["time"] - data["time"].iloc[0]).dt.days
    X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"]
    fit, last = (day >= 30) & (day < 46), day >= 53  # labels are a week late
    model = FocalLGBMClassifier(n_estimators=60, verbose=-1).fit(X[fit], y[fit])
    p = model.predict_proba(X[last])[:, 1]
    threshold = alert_threshold(p, budget=5, day=day[last])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        try:
            from focal_gbm.export import save

            save(model, path)
        except ImportError:  # skops is not installed
            joblib.dump(model, path)
        service = Service(load_model(path, pickled=True), threshold=threshold)
    rows = X[last].iloc[np.argsort(-p)[[0, 1, len(p) // 2]]].to_dict("records")
    with running(make_app(service)) as address:
        _, report = call(f"{address}/health")
        report["columns"] = f"{len(report['columns'])} columns"
        print(f"GET {address}/health\n{json.dumps(report, indent=2)}")
        for title, content in (
            ("one row", rows[0]),
            ("three rows", rows),
            ("a bad row", {**rows[0], "amount": "much", "amout": 1.0}),
        ):
            status, answer = call(f"{address}/score", content)
            print(f"\nPOST {address}/score, {title}: HTTP {status}")
            print(json.dumps(answer, indent=2))


def main() -> None:
    """Serve a model, or run the demonstration."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("model", nargs="?", type=Path, help="file of focal_gbm.export.save")
    add("--host", default="127.0.0.1", help="[%(default)s]")
    add("--port", type=int, default=8000, help="[%(default)s]")
    add("--threshold", type=float, help="probability of an alert [that of the model]")
    add("--reasons", type=int, default=3, help="reasons of an alert [%(default)s]")
    add("--threads", type=int, default=1, help="of a prediction [%(default)s]")
    add("--max-rows", type=int, default=10_000, help="of a request [%(default)s]")
    add("--categories", type=Path, help="JSON: categories by column (XGBoost < 3.1)")
    add("--pickle", action="store_true", help="MODEL is of joblib, and its code runs")
    add("--demo", action="store_true", help="train, serve, print answers, end")
    arguments = parser.parse_args()
    if arguments.demo:
        demo()
        return
    if arguments.model is None:
        parser.error("pass the file of a model, or --demo")
    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        parser.error(f"--threshold must be in [0, 1], got {arguments.threshold}")
    for name, least in (("reasons", 0), ("threads", 1), ("max_rows", 1)):
        if getattr(arguments, name) < least:
            option = name.replace("_", "-")
            parser.error(f"--{option} must be at least {least}")
    try:
        categories = arguments.categories
        service = Service(
            load_model(arguments.model, pickled=arguments.pickle),
            threshold=arguments.threshold,
            n_reasons=arguments.reasons,
            n_threads=arguments.threads,
            max_rows=arguments.max_rows,
            categories=categories and json.loads(categories.read_text()),
        )
    except (OSError, TypeError, ValueError) as error:
        raise SystemExit(str(error)) from error
    uvicorn.run(make_app(service), host=arguments.host, port=arguments.port)


if __name__ == "__main__":
    main()
