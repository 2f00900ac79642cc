"""Time predictions of one row and of a hundred, in the process and over HTTP.

    python -m benchmarks.production.latency [--calls 2000] [--small] [--write]

trains both libraries' classifiers and ours on simulated card transactions, with default
settings, and times predict_proba of a data frame in turn: the parent's, ours, and ours
with a calibrator. Then it starts examples/serve.py with the calibrated model in another
process and times requests on one connection, for rows that are no alerts and for rows
that are, whose answers have reasons. All predictions run on one thread. --write writes
benchmarks/production/latency.md. It needs ``pip install 'focal_gbm[benchmark,serve]'``.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from xgboost import XGBClassifier

from benchmarks.common.commands import command
from benchmarks.common.runner import machine
from benchmarks.common.tables import markdown
from benchmarks.common.timing import in_turn
from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions

SERVE = Path(__file__).resolve().parents[2] / "examples" / "serve.py"
LIBRARIES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "LightGBM": (LGBMClassifier, FocalLGBMClassifier, {"verbose": -1}),
    "XGBoost": (XGBClassifier, FocalXGBClassifier, {}),
}
SIZES = (1, 100)
PARENT, OURS, CALIBRATED, HTTP, REASONS = (
    "parent",
    "ours",
    "ours, calibrated",
    "HTTP",
    "HTTP, alerts",
)
PACKAGES = (
    "focal_gbm",
    "lightgbm",
    "xgboost",
    "scikit-learn",
    "pandas",
    "fastapi",
    "uvicorn",
)
_STARTS_WITHIN = 60.0  # seconds


def latencies(
    library: str, n_customers: int, n_trees: int, n_calls: int
) -> list[dict[str, Any]]:
    """Return the quantiles of each method's time, by number of rows."""
    parent, ours, quiet = LIBRARIES[library]
    settings = {"n_estimators": n_trees, "n_jobs": 1, **quiet}
    data = make_transactions(n_customers, 2 * n_customers, 60, random_state=0)
    day = (data["time"] - data["time"].iloc[0]).dt.days
    X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"].to_numpy()
    fit, later = ((day >= 30) & (day < 46)).to_numpy(), (day >= 46).to_numpy()
    models = {
        PARENT: parent(**settings).fit(X[fit], y[fit]),
        OURS: ours(**settings).fit(X[fit], y[fit]),
        CALIBRATED: ours(calibration="platt", **settings).fit(X[fit], y[fit]),
    }
    p = models[CALIBRATED].predict_proba(X[later])[:, 1]
    order = np.argsort(p, kind="stable")
    most = SIZES[-1]
    threshold = float(p[order[most - 1]] + p[order[-most]]) / 2
    rows = []
    with served(models[CALIBRATED], threshold) as connection:
        for n_rows in SIZES:
            low, high = (
                X[later].iloc[part] for part in (order[:n_rows], order[-n_rows:])
            )
            methods: dict[str, Callable[[], Any]] = {
                name: partial(model.predict_proba, high)
                for name, model in models.items()
            }
            methods[HTTP] = request(connection, low, alert=False)
            methods[REASONS] = request(connection, high, alert=True)
            times = in_turn(methods, max(n_calls // (1 if n_rows == 1 else 4), 5))
            rows += [
                {"library": library, "rows": n_rows, "method": name, **of_one}
                for name, of_one in quantiles(times).items()
            ]
            print(pd.DataFrame(rows[-len(methods) :]).to_string(), flush=True)
    return rows


def quantiles(times: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return median and 99th percentile of each method in milliseconds, and the ratio
    of the medians to the first method's."""
    middle = times.median()
    return {
        str(name): {
            "p50, ms": 1e3 * middle[name],
            "p99, ms": 1e3 * times[name].quantile(0.99),
            "ratio": middle[name] / middle.iloc[0],
        }
        for name in times
    }


@contextmanager
def served(model: Any, threshold: float) -> Iterator[http.client.HTTPConnection]:
    """Serve a model from another process, and yield a connection."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.joblib"
        joblib.dump(model, path)
        options = ["--pickle", "--port", str(port), "--threshold", str(threshold)]
        process = subprocess.Popen(
            [sys.executable, str(SERVE), str(path), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection = http.client.HTTPConnection("127.0.0.1", port)
        try:
            wait_for(connection, process)
            yield connection
        finally:
            connection.close()
            process.terminate()
            process.communicate()


def wait_for(
    connection: http.client.HTTPConnection, process: subprocess.Popen[str]
) -> None:
    """Wait until a service answers."""
    end = time.monotonic() + _STARTS_WITHIN
    while True:
        try:
            connection.request("GET", "/health")
            connection.getresponse().read()
            return
        except OSError as error:
            connection.close()
            if process.poll() is not None:
                _, errors = process.communicate()
                msg = f"examples/serve.py ended at its start: {errors}"
                raise RuntimeError(msg) from error
            if time.monotonic() > end:
                msg = f"examples/serve.py did not answer in {_STARTS_WITHIN:g} s"
                raise RuntimeError(msg) from error
            time.sleep(0.05)


def request(
    connection: http.client.HTTPConnection, X: pd.DataFrame, *, alert: bool
) -> Callable[[], bytes]:
    """Return a function that sends rows and reads the answer, after a check of it."""
    rows = X.to_dict("records")
    body = json.dumps(rows[0] if len(rows) == 1 else rows).encode()

    def send() -> bytes:
        connection.request("POST", "/score", body)
        return connection.getresponse().read()

    answer = json.loads(send())
    answers = [answer] if isinstance(answer, dict) else answer
    if len(answers) != len(X) or any(one["alert"] != alert for one in answers):
        msg = f"the service answered {str(answer)[:200]}"
        raise RuntimeError(msg)
    return send


def page(table: pd.DataFrame, n_calls: int) -> str:
    """Return the page: what was found, and the table."""
    by_method = table.set_index(["rows", "library", "method"])
    found = []
    for n_rows in SIZES:
        middle, late = by_method["p50, ms"][n_rows], by_method["p99, ms"][n_rows]
        ratio = by_method["ratio"][n_rows]
        title = "One row" if n_rows == 1 else f"{n_rows} rows"
        parts = []
        for library in LIBRARIES:
            at = {name: (library, name) for name in (OURS, CALIBRATED, HTTP, REASONS)}
            parts.append(
                f"{library} {ratio[at[OURS]]:.2f} of the parent's time, "
                f"{ratio[at[CALIBRATED]]:.2f} with a calibrator; "
                f"{middle[at[HTTP]]:.1f} ms over HTTP (p99 {late[at[HTTP]]:.1f}), "
                f"{middle[at[REASONS]]:.1f} with reasons (p99 {late[at[REASONS]]:.1f})"
            )
        found.append(f"- {title}: {'. '.join(parts)}.")
    here = machine(PACKAGES)
    versions = ", ".join(f"{name} {at}" for name, at in here["versions"].items())
    return (
        _PREFACE
        + "\n".join(found)
        + f"\n\n{here['machine']}, {here['cores']} cores, Python {here['python']}: "
        + f"{versions}. {n_calls} calls of each method for one row, a quarter of that "
        + f"for more.\n\n{markdown(table, 2, index=False)}\n"
    )


def main() -> None:
    """Time, print the page and write it with --write."""
    parser = command("production.latency", __doc__)
    parser.add_argument("--calls", type=int, default=2000, help="[2000]")
    parser.add_argument("--customers", type=int, default=1000, help="[1000]")
    parser.add_argument("--small", action="store_true", help="few calls and rows")
    parser.add_argument("--write", action="store_true", help="write the page")
    arguments = parser.parse_args()
    calls, customers, trees = arguments.calls, arguments.customers, 100
    if arguments.small:
        calls, customers, trees = 20, 300, 30
    rows = []
    for library in LIBRARIES:
        rows += latencies(library, customers, trees, calls)
    text = page(pd.DataFrame(rows), calls)
    print(text)
    if arguments.write:
        Path(__file__).with_suffix(".md").write_text(text)


_PREFACE = """\
# How long does a prediction take in service?

`python -m benchmarks.production.latency --write` writes this page. It times
`predict_proba` of a data frame of 18 columns by models of 100 trees with default
settings: the parent's, ours, and ours with a calibrator. Trees of different settings
differ in size, and times with them. "HTTP" is a request to
[examples/serve.py](../../examples/serve.py) in another process of the same machine,
with the calibrated model, on one connection; "HTTP, alerts" has rows above the
threshold, whose answers have reasons. Methods are timed in turn, each on one thread.

"""

if __name__ == "__main__":
    main()
