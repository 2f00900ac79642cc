"""The errors of the public functions, and the page that lists them.

``errors.txt`` has the calls, each with the error that it raises, under the name of the
function. In a message "..." is any text, where versions differ. The command

    python tests/errors.py --write

writes ``doc/errors.md`` from it; without ``--write`` it prints the page.
"""

from __future__ import annotations

import argparse
import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "doc" / "errors.md"

SETUP = """\
from math import inf, nan
from types import SimpleNamespace
import numpy as np
import pandas as pd
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from focal_gbm import *
from focal_gbm.datasets import *
from focal_gbm.delays import ReportingDelay
from focal_gbm.export import load, save
from focal_gbm.metrics import *
from focal_gbm.model_selection import PrequentialSplit
from focal_gbm.native import complete, starting_point
from focal_gbm.plotting import *
from focal_gbm.spark import spark_params

y, score = [0, 0, 1, 0], [0.1, 0.4, 0.8, 0.3]
day, card = [1, 1, 2, 2], [7, 8, 8, 9]
X = np.random.default_rng(0).normal(size=(60, 2))
labels, days = np.arange(60) % 2, np.arange(60) / 3
zeros, ones = np.zeros(60), np.ones(60)
dated = pd.DataFrame({"amount": ones, "date": pd.date_range("2024", periods=60)})
model = FocalLGBMClassifier(n_estimators=1, verbose=-1).fit(X, labels)
xgb_model = FocalXGBClassifier(n_estimators=1).fit(X, labels)
reporting = ReportingDelay(tail=None).fit([0, 1, 1, 2], [3, 1, 2, 2])
"""

_START = """\
# Errors

Every error contains what was passed, why it cannot work, and the cure. This page lists
calls with an argument that cannot be used, and the error that each raises; "..." is a
part that differs between versions. An error of the same argument in another function
has the same words. `tests/test_errors.py` makes every call, and
`python tests/errors.py --write` writes this page from `tests/errors.txt`.

The calls use these names:

"""


class Case(NamedTuple):
    """A call of a function, and the error that it raises."""

    function: str
    call: str
    error: str
    message: str

    def __str__(self) -> str:
        return self.call

    def matches(self, message: str) -> bool:
        """Whether a message is that of the case; "..." is any text."""
        parts = map(re.escape, self.message.split("..."))
        return re.fullmatch(".*".join(parts), message, re.DOTALL) is not None


def cases() -> list[Case]:
    """Return the cases of ``errors.txt``."""
    found, function, call = [], "", ""
    for line in (HERE / "errors.txt").read_text().splitlines():
        if line.startswith("# "):
            function = line[2:]
        elif line.startswith("    "):
            error, _, message = line.strip().partition(": ")
            found.append(Case(function, call, error, message))
        elif line:
            call = line
    return found


@cache
def names() -> dict[str, Any]:
    """Return the names that the calls use, after SETUP."""
    found: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(SETUP, found)
    return found


def page() -> str:
    """Return the page of all cases, a table for each class and each module."""
    parts, section = [f"{_START}```python\n{SETUP}```\n"], ""
    for case in cases():
        first, *rest = case.function.split(".")
        heading = f"focal_gbm.{first}" if first[0].islower() else first
        if heading != section:
            section = heading
            head = "| where | what is passed | error | message |\n|---|---|---|---|\n"
            parts.append(f"\n## {heading}\n\n{head}")
        where = ".".join(rest) if first[0].islower() else case.function
        call = case.call.replace("|", r"\|")
        message = re.sub(r"([|*<`])", r"\\\1", case.message)
        parts.append(f"| {where} | `{call}` | {case.error} | {message} |\n")
    return "".join(parts)


def main() -> None:
    """Print or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="write doc/errors.md")
    if parser.parse_args().write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page())
    else:
        print(page(), end="")


if __name__ == "__main__":
    main()
