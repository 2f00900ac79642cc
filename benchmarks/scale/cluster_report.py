"""Write the page of the costs on a cluster, from its measurements."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common import runner
from benchmarks.common.tables import markdown
from benchmarks.scale import cost_model
from benchmarks.scale.cost_model import BIN_BYTES, BINS, HISTOGRAMS, LEAVES, LEVELS

OURS, OBJECTIVE, LOG_LOSS = "focal_gbm.dask", "library, FocalObjective", "library"
QUANTITIES = {
    "bytes": "bytes an iteration",
    "seconds": "seconds an iteration",
    "seconds before": "seconds before the first tree",
    "memory": "bytes of memory of a worker",
}
TREES = 100
GIB = 2**30
Coefficients = Mapping[tuple[str, str], pd.Series]


def read(path: Path) -> pd.DataFrame:
    """Return a row for each shape and way, of the last record of each job."""
    last = {}
    for record in runner.read(path):
        if "error" in record:
            msg = (
                f"{path} has a failure in place of {record['key']}: {record['error']}. "
                "Delete the line and measure again"
            )
            raise SystemExit(msg)
        last[json.dumps(record["key"])] = record
    if not last:
        msg = (
            f"{path} has no measurements: run `python -m benchmarks.scale.cluster` "
            "without --report"
        )
        raise SystemExit(msg)
    return pd.DataFrame(
        [
            {**summary(run), "idle": record["idle"]}
            for record in last.values()
            for run in record["runs"]
        ]
    )


def summary(run: dict[str, Any]) -> dict[str, Any]:
    """Return the shape of a run, and what an iteration costs by its fits.

    Seconds are the least, bytes and memory the medians.
    """
    few, more = run["trees"]
    low, high = (min(seconds) for seconds in run["seconds"])
    sent = [np.median(counts) for counts in run["bytes"]]
    iteration = (high - low) / (more - few)
    by_round = np.subtract(*reversed(run["seconds"])) / (more - few)
    shape = ("part", "library", "way", "rows", "columns", "workers", "is_timed")
    return {
        **{name: run[name] for name in (*shape, "histograms")},
        "seconds": iteration,
        "by round": by_round.tolist(),
        "bytes": (sent[1] - sent[0]) / (more - few),
        "seconds before": low - few * iteration,
        "memory": float(np.median(run["memory"][1])),
    }


def usable(runs: pd.DataFrame, part: str, quantity: str) -> pd.DataFrame:
    """Return the runs of our estimators that show a quantity."""
    ours = runs[(runs["part"] == part) & (runs["way"] == OURS)]
    if quantity == "memory":  # less than the rows: earlier fits left free memory
        own = 4 * ours["rows"] * ours["columns"] / ours["workers"]
        return ours[ours["memory"] > own]
    return ours[ours["is_timed"]] if quantity.startswith("seconds") else ours


def modelled(runs: pd.DataFrame) -> dict[tuple[str, str], pd.Series]:
    """Return the coefficients of each library and quantity, from the part "fit"."""
    return {
        (str(library), quantity): cost_model.fit(quantity, group)
        for quantity in cost_model.TERMS
        for library, group in usable(runs, "fit", quantity).groupby(
            "library", sort=False
        )
    }


def checked(runs: pd.DataFrame, coefficients: Coefficients) -> pd.DataFrame:
    """Return the errors of the model, where it was fitted and where it was not."""
    table = []
    for (library, quantity), of_quantity in coefficients.items():
        row: dict[str, Any] = {"library": library, "quantity": QUANTITIES[quantity]}
        for part in ("fit", "held out"):
            found = usable(runs, part, quantity)
            found = found[found["library"] == library]
            error = cost_model.errors(quantity, of_quantity, found)
            row[f"{part}: runs"] = len(found)
            row[f"{part}: median error"] = f"{error.abs().median():.0%}"
            row[f"{part}: largest"] = f"{error[error.abs().idxmax()]:+.0%}"
        table.append(row)
    return pd.DataFrame(table)


def held_out(runs: pd.DataFrame, coefficients: Coefficients) -> pd.DataFrame:
    """Return measured and predicted iterations of the shapes that were held out."""
    rows = usable(runs, "held out", "bytes")
    table = rows[["library", "rows", "columns", "workers"]].copy()
    for quantity, unit, scale in (("seconds", "ms", 1e-3), ("bytes", "MB", 1e6)):
        found = [
            cost_model.predict(quantity, coefficients[str(library), quantity], group)
            for library, group in rows.groupby("library", sort=False)
        ]
        table[unit] = rows[quantity] / scale
        table[f"{unit}, predicted"] = pd.concat(found) / scale
    table.loc[~rows["is_timed"], ["ms", "ms, predicted"]] = np.nan
    return table.sort_values(["library", "rows", "columns", "workers"], kind="stable")


def added(runs: pd.DataFrame) -> pd.DataFrame:
    """Return iterations with our objective beside those with the library's log-loss."""
    rows = runs[runs["part"] == "objective"]
    table = []
    for (library, workers), group in rows.groupby(["library", "workers"], sort=False):
        own = group[group["way"] == LOG_LOSS].iloc[0]
        for run in group.to_dict("records"):
            ratios = np.divide(run["by round"], own["by round"])
            table.append(
                {
                    "library": library,
                    "workers": workers,
                    "estimator": run["way"],
                    "ms": run["seconds"] * 1e3,
                    "ratio": np.median(ratios),
                    "low": ratios.min(),
                    "high": ratios.max(),
                    "histograms": run["histograms"],
                    "MB": run["bytes"] / 1e6,
                }
            )
    return pd.DataFrame(table)


def listed(coefficients: Coefficients) -> pd.DataFrame:
    """Return the coefficients, a row for each quantity and term."""
    table: dict[tuple[str, str], dict[str, str]] = {}
    for (library, quantity), of_quantity in coefficients.items():
        for term, value in of_quantity.items():
            row = table.setdefault((QUANTITIES[quantity], str(term)), {})
            row[library] = f"{value:.3g}"
    frame = pd.DataFrame.from_dict(table, orient="index")
    frame.index = pd.MultiIndex.from_tuples(frame.index, names=["quantity", "term"])
    return frame.reset_index()


def extrapolated(
    coefficients: Coefficients, *, bandwidth: float, latency: float
) -> pd.DataFrame:
    """Return the table of larger clusters, from Gbit/s and milliseconds."""
    runs = cost_model.extrapolate(
        coefficients,
        (10**8, 10**9),
        (20, 200),
        (10, 100),
        bandwidth=bandwidth * 1e9 / 8,
        latency=latency / 1e3,
    )
    iteration = runs["seconds"] + runs["seconds on the network"]
    table = runs[["library", "columns", "workers"]].copy()
    table.insert(1, "rows", [f"{n:.0e}".replace("e+0", "e") for n in runs["rows"]])
    table["computing, s"] = runs["seconds"]
    table["network, s"] = runs["seconds on the network"]
    table["MB sent by a worker"] = runs["bytes"] / runs["workers"] / 1e6
    table["before, s"] = runs["seconds before"]
    table["fit, minutes"] = (runs["seconds before"] + TREES * iteration) / 60
    table["GiB of a worker"] = runs["memory"] / GIB
    return table


def answers(runs: pd.DataFrame, table: pd.DataFrame) -> str:
    """Return the answers for each library, in sentences."""
    objective = added(runs)
    lines = []
    for library in table["library"].unique():
        of_library = objective[objective["library"] == library]
        ratio, ours = (
            of_library.loc[of_library["estimator"] == way, "ratio"]
            for way in (OBJECTIVE, OURS)
        )
        is_row = (table["library"] == library) & (table["rows"] == "1e9")
        row = table[is_row & (table["columns"] == 20) & (table["workers"] == 100)]
        (found,) = row.to_dict("records")
        seconds = found["computing, s"] + found["network, s"]
        lines.append(
            f"- {library}: with FocalObjective an iteration takes {ratio.min():.2f} to "
            f"{ratio.max():.2f} of the time with the log-loss, and in our estimator "
            f"{ours.min():.2f} to {ours.max():.2f}. Extrapolated to 1e9 rows of 20 "
            f"columns on 100 workers of one core, an iteration takes {seconds:.2g} s, "
            f"{found['network, s'] / seconds:.0%} of it on the network, and a fit of "
            f"{TREES} trees {found['fit, minutes']:.2g} minutes."
        )
    return "\n".join(lines)


def floor(runs: pd.DataFrame) -> str:
    """Return the bytes that are no histograms, in words."""
    without = f"Without training {runs['idle'].max() / 1e3:.0f} kB a second passed."
    alone = runs.loc[runs["workers"] == 1, "bytes"]
    if alone.empty:
        return without
    return (
        "With one worker, which\nneeds no histograms of others, an iteration took "
        f"{alone.max() / 1e3:.0f} kB at most. {without}"
    )


def signs(runs: pd.DataFrame, coefficients: Coefficients) -> str:
    """Return the median error of seconds by number of workers, in words."""
    words = []
    for library, of_library in usable(runs, "held out", "seconds").groupby("library"):
        error = cost_model.errors(
            "seconds", coefficients[str(library), "seconds"], of_library
        )
        by_workers = error.groupby(of_library["workers"]).median()
        words.append(
            f"{library} "
            + ", ".join(f"{value:+.0%} on {n}" for n, value in by_workers.items())
        )
    return "; ".join(words)


def shapes_of(runs: pd.DataFrame, part: str) -> str:
    """Return the rows and columns of a part, in words."""
    found = runs.loc[runs["part"] == part, ["rows", "columns"]].drop_duplicates()
    return ", ".join(f"{n:,} x {k}" for n, k in found.itertuples(index=False))


def numbers(values: pd.Series) -> str:
    """Return the different numbers of a column, in words."""
    *first, last = (str(value) for value in sorted(values.unique()))
    return f"{', '.join(first)} and {last}" if first else last


def page(runs: pd.DataFrame, machines: str, *, bandwidth: float, latency: float) -> str:
    """Return the text of the page.

    ``bandwidth`` is in Gbit/s of a worker in each direction, ``latency`` in
    milliseconds a message.
    """
    coefficients = modelled(runs)
    table = extrapolated(coefficients, bandwidth=bandwidth, latency=latency)
    by_workers = signs(runs, coefficients)
    rounds = runs.loc[runs["part"] == "objective", "by round"].str.len().max()
    timed = runs.loc[runs["is_timed"], "workers"]
    largest = runs["rows"].max()
    return f"""\
# What does training on a cluster cost?

`python -m benchmarks.scale.cluster --write` writes this page. All workers were
processes of one thread on one machine; the costs of 10 and 100 workers are
extrapolated.

{answers(runs, table)}

## What the objective adds

An iteration on {shapes_of(runs, "objective")} (rows x columns): processor time of a
worker, its ratio to the library's own Dask estimator with log-loss (the median of
{rounds} rounds, the lowest and the highest), histograms a tree, and bytes over the
network. "{OBJECTIVE}" is the library's estimator with
`objective=FocalObjective(2.0)`; "{OURS}" is our estimator, which computes the
scores of all rows after training, for its closing constant. That takes time for each
tree.

{markdown(added(runs), digits=2, index=False)}

## The model

A tree of LightGBM with {LEAVES} leaves needs {HISTOGRAMS["LightGBM"]} histograms of
other workers, a full tree of XGBoost with {LEVELS} levels {HISTOGRAMS["XGBoost"]}; in
the measurements they were counted in the trees. A histogram has columns x bins x
{BIN_BYTES} bytes, with {BINS["LightGBM"]} bins in LightGBM and {BINS["XGBoost"]} in
XGBoost, however many rows there are. All of w > 1 workers together send it w - 1 times
in LightGBM, where each worker gets the sums of its own columns (and v / w times more,
if w is v more than a power of two; `src/network/network.cpp`), and 2 w - 1 times in
XGBoost, whose ring takes w - 1 steps to sum and w steps to pass the sums on
(`src/collective/allreduce.cc`, `allgather.cc`). An iteration costs

    bytes   = a x bytes of histograms sent + b x histograms x w + c
    seconds = d x rows x columns / w + e x rows / w + f x columns x histograms + g

where `a` is 1 if every histogram goes whole over the network. What a fit does once
before its trees (binning, most of all) and the peak memory of a worker above what it
has before its rows come have terms of rows x columns / w and of rows / w, and a
constant. LightGBM finds bins in a sample of at most {cost_model.SAMPLED:,} rows of a
worker, which has a term of its own: without it, held-out fits on one worker showed that
the model predicted too much for many rows. The coefficients are >= 0 and have the least
squared relative error.

{markdown(listed(coefficients), index=False, disable_numparse=True)}

The difference of two fits with different numbers of trees on the same rows is the cost
of iterations: what a fit costs once cancels.

- Fitted to rows x columns of {shapes_of(runs, "fit")},
  on {numbers(runs.loc[runs["part"] == "fit", "workers"])} workers.
- Held out: {shapes_of(runs, "held out")},
  on {numbers(runs.loc[runs["part"] == "held out", "workers"])} workers.
- Seconds are processor time of the busiest worker, which trains on one thread: what
  else runs on the machine, and waiting for others, hardly count. On {numbers(timed)}
  workers alone, where each had a core of its own.
- Memory is left out where it grew by less than the rows take, because earlier fits had
  left free memory in the worker.

{markdown(checked(runs, coefficients), index=False)}

Median error of seconds of held-out iterations, by workers: {by_workers}.
Busy cores slow one another down, as those of a machine that trains on all of them do.

The bytes are those that the loopback interface received. {floor(runs)}
Once in a fit, whatever its trees, Dask may move the scores of a partition, 8 bytes a
row, to another worker; the bytes of an iteration of few trees and many rows show it.

Iterations of the shapes that were held out:

{markdown(held_out(runs, coefficients), digits=1, index=False)}

## Extrapolated to 10 and 100 workers

Nothing here was measured: the most rows above were {largest:,}, the most workers
{runs["workers"].max()}. Seconds of an iteration, and a fit of {TREES} trees.
Assumptions:

- Workers of one core like this machine's. With k cores, "computing" and "before" take
  1 / k of the time at best.
- {bandwidth:g} Gbit/s for each worker in each direction, all at once, {latency:g} ms a
  message, and no computing meanwhile. The messages that wait for one another were
  counted in the libraries' sources. Where the number of LightGBM's workers is no power
  of two, some workers first take whole histograms from a neighbour.
- Rows lie in the memory of the workers as float32, spread evenly. "Before" has the
  binning, not the reading of files.
- Full trees, continuous columns, no missing values. Columns of few values have fewer
  bins and send fewer bytes.
- No worker is late: every iteration waits for the slowest.

{markdown(table, digits=2, index=False, disable_numparse=[1])}

{machines}
"""
