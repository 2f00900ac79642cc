"""Time fits with and without label_maturity.

    python -m benchmarks.delays.cost [--rows 1000000] [--rounds 5] [--threads 2]
        [--write]

trains both libraries with and without ``label_maturity`` in turn, 30 columns, default
settings, and prints the medians of their ratios. --write writes
benchmarks/delays/cost.md.
"""

from __future__ import annotations

from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common.commands import command
from benchmarks.common.measures import warm_up
from benchmarks.common.runner import machine
from benchmarks.common.tables import markdown
from benchmarks.common.timing import compared, in_turn, make_data
from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier

LIBRARIES: dict[str, Any] = {
    "LightGBM": lambda threads, **more: FocalLGBMClassifier(
        n_jobs=threads, verbose=-1, **more
    ),
    "XGBoost": lambda threads, **more: FocalXGBClassifier(n_jobs=threads, **more),
}


def ratios(n_rows: int, rounds: int, threads: int) -> pd.DataFrame:
    """Return the times of both fits, by library and gamma."""
    X, truth = make_data(n_rows)
    rng = np.random.default_rng(0)
    maturity = rng.uniform(0.1, 1, n_rows)
    y = truth * (rng.random(n_rows) < maturity)
    rows = []
    for (library, make), gamma in product(LIBRARIES.items(), (0.0, 2.0)):

        def fit(c: Any, make: Any = make, gamma: float = gamma) -> Any:
            return make(threads, focal_gamma=gamma).fit(X, y, label_maturity=c)

        ways = {
            "without": partial(fit, None),
            "with label_maturity": partial(fit, maturity),
        }
        for row in compared(in_turn(ways, rounds)):
            rows.append({"library": library, "gamma": gamma, **row})
            print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    """Time, print the table and write it with --write."""
    parser = command("delays.cost", __doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="[1000000]")
    parser.add_argument("--rounds", type=int, default=5, help="[5]")
    parser.add_argument("--threads", type=int, default=2, help="[2]")
    parser.add_argument("--write", action="store_true", help="write the page")
    arguments = parser.parse_args()
    warm_up()
    table = ratios(arguments.rows, arguments.rounds, arguments.threads)
    text = (
        f"{arguments.rows:,} rows, {arguments.threads} threads, {arguments.rounds} "
        f"rounds; {machine(())['machine']}.\n\n{markdown(table, index=False)}\n"
    )
    print(text)
    if arguments.write:
        Path(__file__).with_suffix(".md").write_text(_PREFACE + text)


_PREFACE = """\
# What do late labels cost?

`python -m benchmarks.delays.cost --write` writes this page: fits with `label_maturity`
over fits without, in turn. At gamma 0 XGBoost trains with its own log-loss, which takes
no maturities: ours then costs the copies of any custom objective.

"""

if __name__ == "__main__":
    main()
