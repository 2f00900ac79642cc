"""Write the page, its picture and its tables from speed.jsonl.

    python -m benchmarks.speed.report [FILE] [--to DIR]

takes some seconds. It writes DIR/README.md, and a picture and CSV to DIR/results.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.common import runner
from benchmarks.common.commands import command
from benchmarks.common.tables import markdown, write_csv
from benchmarks.speed.training import BUILT_IN

FILE = Path(__file__).with_name("results") / "speed.jsonl"
_NAMES = ("seconds", "ratio", "low", "high", "leaves", "share", "value", "ns")
_PARTS = {  # with a kind of record that the part yields
    "lightgbm xgboost": "iteration",
    "packages": "package",
    "kernel": "kernel",
    "start_up": "import",
    "predict": "predict_proba",
    "memory": "memory",
    "reach": "average precision",
}
COLOURS = {"LightGBM": "tab:green", "XGBoost": "tab:blue"}
OURS = ("gamma 0", "gamma 2", "gamma 2, link='logit'")


def read(path: Path) -> pd.DataFrame:
    """Return the last record of each key."""
    last: dict[str, Any] = {}
    for record in runner.read(path):
        record = {"allocator": "", **record}
        key = {k: v for k, v in record.items() if k not in _NAMES}
        last[json.dumps(key)] = record
    return pd.DataFrame(list(last.values()))


def check_complete(records: pd.DataFrame, path: Path) -> None:
    """Raise SystemExit if the page needs a part that has no record on the CPU."""
    found = set(records.loc[records["device"] == "cpu", "what"]) if len(records) else ()
    if missing := [part for part, what in _PARTS.items() if what not in found]:
        message = (
            f"{path} has no records of {', '.join(missing)}, which the page needs: run "
            f"`python -m benchmarks.speed {' '.join(missing)} --to {path.parent}`"
        )
        raise SystemExit(message)


def of(records: pd.DataFrame, what: str) -> pd.DataFrame:
    """Return the records of one kind on the CPU, without empty columns."""
    is_plain = (records["device"] == "cpu") & (records["allocator"] == "")
    rows = records[is_plain & (records["what"] == what)]
    return rows.dropna(axis=1, how="all").drop(columns=["what", "device", "allocator"])


def allocators(records: pd.DataFrame) -> pd.DataFrame:
    """Return ratios of iterations with variables of the environment for malloc."""
    rows = records[(records["allocator"] != "") & (records["what"] == "iteration")]
    rows = rows.assign(rows=rows["rows"].map(_size))
    index = ["allocator", "library", "rows"]
    return rows.pivot_table("ratio", index, "method", sort=False).reset_index()


def _size(n_rows: float) -> str:
    n = int(n_rows)
    return f"{n // 10**6}M" if n >= 10**6 else f"{n // 1000}k" if n >= 1000 else str(n)


def _setting(row: Any) -> str:
    return f"{_size(row.rows)}, {int(row.threads)} t"


def ratios(records: pd.DataFrame, what: str, library: str) -> pd.DataFrame:
    """Return the median ratios to the built-in loss by rows and threads."""
    rows = of(records, what)
    rows = rows[rows["library"] == library]
    rows = rows.assign(setting=[_setting(row) for row in rows.itertuples()])
    rows = rows.sort_values(["rows", "threads"], kind="stable")
    order = rows["method"].unique()
    wide = rows.pivot_table("ratio", "method", "setting", sort=False)
    return wide.reindex(order)


def details(records: pd.DataFrame) -> pd.DataFrame:
    """Return times, ranges, leaves and the share of the objective of all iterations."""
    rows = of(records, "iteration").sort_values(["library", "rows", "threads"])
    index = ["library", "rows", "threads"]
    ours = rows[rows["method"] == "gamma 2"].set_index(index)["seconds"]
    own = ours.reindex(pd.MultiIndex.from_frame(rows[index])).to_numpy()
    return pd.DataFrame(
        {
            **{name: rows[name] for name in (*index, "method")},
            "ms a tree": rows["seconds"] * 1e3,
            "ratio": rows["ratio"],
            "lowest": rows["low"],
            "highest": rows["high"],
            "times ours (gamma 2)": rows["seconds"] / own,
            "leaves": rows["leaves"].round(1),
            "objective's share": rows["share"],
        }
    ).astype({"rows": int, "threads": int})


def gaps(records: pd.DataFrame) -> pd.DataFrame:
    """Return the largest difference of raw scores at gamma 0, by library."""
    rows = of(records, "largest difference of log-odds")
    rows = rows.assign(setting=[_setting(row) for row in rows.itertuples()])
    rows = rows.sort_values(["rows", "threads"], kind="stable")
    return rows.pivot_table("value", "library", "setting", sort=False)


def packages(records: pd.DataFrame) -> pd.DataFrame:
    """Return milliseconds a tree of whole packages."""
    rows = of(records, "package").assign(rows=lambda f: f["rows"].map(_size))
    rows["ms a tree"] = rows["seconds"] * 1e3
    return rows[["method", "rows", "ms a tree", "ratio", "low", "high"]]


def kernel(records: pd.DataFrame) -> pd.DataFrame:
    """Return nanoseconds a row by rows and dtype of the scores."""
    rows = of(records, "kernel")
    columns = ["rows", "dtype"]
    wide = rows.pivot_table("ns", "method", columns, sort=False)
    wide.columns = [f"{_size(n)}, {dtype}" for n, dtype in wide.columns]
    return wide


def start_up(records: pd.DataFrame) -> pd.DataFrame:
    """Return milliseconds of imports and first fits."""
    names = ("import", "first fit ever", "first fit, later")
    rows = pd.concat([of(records, name).assign(what=name) for name in names])
    wide = rows.assign(ms=rows["seconds"] * 1e3).pivot_table(
        "ms", "method", "what", sort=False
    )
    return wide.reindex(columns=names)


def predict(records: pd.DataFrame) -> pd.DataFrame:
    """Return microseconds of predict_proba and the ratio to the parent's."""
    rows = of(records, "predict_proba")
    rows = rows.assign(microseconds=rows["seconds"] * 1e6)
    wide = rows.pivot_table(
        ["microseconds", "ratio"], ["library", "rows"], "method", sort=False
    )
    table = wide["microseconds"].assign(ratio=wide["ratio", "ours"])
    return table.reset_index().astype({"rows": int})


def memory(records: pd.DataFrame) -> pd.DataFrame:
    """Return bytes a row of a fit, above the data."""
    rows = of(records, "memory")
    rows = rows[rows["rows"] == rows["rows"].max()]
    wide = rows.pivot_table("value", "method", "weighted", sort=False)
    return wide.rename(columns={False: "without weights", True: "with weights"})


def draw(records: pd.DataFrame, path: Path) -> None:
    """Draw an iteration against the built-in one, its growth with the rows, and
    average precision against the seconds of a fit."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.3, 1, 1))
    _draw_ratios(left, of(records, "iteration"))
    _draw_growth(middle, of(records, "iteration"))
    _draw_reach(right, of(records, "average precision"))
    figure.savefig(path, dpi=110)


def _draw_ratios(axes: Any, rows: pd.DataFrame) -> None:
    n_rows = rows.loc[rows["method"] == "NumPy recipe", "rows"].max()
    rows = rows[(rows["rows"] == n_rows) & (rows["threads"] == rows["threads"].max())]
    names = [name for name in rows["method"].unique() if name != BUILT_IN][::-1]
    for i, (library, of_library) in enumerate(rows.groupby("library", sort=False)):
        places = [names.index(n) for n in of_library["method"] if n != BUILT_IN]
        shown = of_library[of_library["method"] != BUILT_IN]
        arms = np.abs(shown[["low", "high"]].to_numpy().T - shown["ratio"].to_numpy())
        axes.errorbar(
            shown["ratio"],
            np.array(places) + 0.12 * (1 - 2 * i),
            xerr=arms,
            fmt="o",
            capsize=2,
            color=COLOURS[library],
            label=library,
        )
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    ticks = [0.9, 1.0, 1.2, 1.5, 2.0, 3.0, 5.0]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(
        range(len(names)), [f"ours, {n}" if n in OURS else n for n in names]
    )
    axes.set_xlabel(f"time of an iteration / built-in loss, {_size(n_rows)} rows")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize="small")


def _draw_growth(axes: Any, rows: pd.DataFrame) -> None:
    rows = rows[rows["threads"] == rows["threads"].max()]
    for library, of_library in rows.groupby("library", sort=False):
        for name, style in ((BUILT_IN, ":"), ("gamma 2", "-")):
            line = of_library[of_library["method"] == name].sort_values("rows")
            axes.plot(
                line["rows"],
                line["seconds"] / line["rows"] * 1e9,
                style,
                marker="o",
                color=COLOURS[library],
                label=f"{library}, {'ours, ' if name in OURS else ''}{name}",
            )
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("rows")
    axes.set_ylabel("nanoseconds a row and tree")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _draw_reach(axes: Any, rows: pd.DataFrame) -> None:
    for name, line in rows.groupby("method", sort=False):
        library = "XGBoost" if "XGB" in name else "LightGBM"
        style = "-" if name.startswith("Focal") else "--" if "recipe" in name else ":"
        axes.plot(
            line["seconds"],
            line["value"],
            style,
            marker="o",
            color=COLOURS[library],
            label=name,
        )
    axes.set_xscale("log")
    ticks = [0.1, 0.2, 0.3, 0.5, 0.8, 1.5, 3.0]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(0.8 * rows["seconds"].min(), 1.2 * rows["seconds"].max())
    axes.set_xlabel("seconds of a fit, 5 to 200 trees")
    axes.set_ylabel("average precision, simulated payments")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def text(path: Path) -> str:
    """Return the page."""
    records = read(path)
    parts = [_HEAD.format(machines=runner.described(path))]
    for library in COLOURS:
        parts.append(f"\n## An iteration in {library}\n\nRatio to the built-in loss:\n")
        parts.append(markdown(ratios(records, "iteration", library)))
        parts.append("\nWhole fits of the estimators, 100 trees, ratio:\n")
        parts.append(markdown(ratios(records, "fit", library)))
    parts.append(f"\n## The trees\n\n{_TREES}\n")
    parts.append(markdown(gaps(records), 1, floatfmt=".0e"))
    if len(kept := allocators(records)):
        parts.append(f"\n## malloc that keeps memory\n\n{_KEPT}\n")
        parts.append(markdown(kept, index=False))
    tables = {
        "Whole packages": (_PACKAGES, packages(records)),
        "The kernel": (_KERNEL, kernel(records)),
        "Start-up": (_START_UP, start_up(records)),
        "predict_proba": (_PREDICT, predict(records)),
        "Memory": (_MEMORY, memory(records)),
    }
    for title, (words, table) in tables.items():
        parts.append(f"\n## {title}\n\n{words}\n")
        has_names = table.index.name is not None
        parts.append(markdown(table, index=has_names))
    return "\n".join(parts) + "\n"


_HEAD = """\
# How much does focal loss cost against the built-in loss?

`python -m benchmarks.speed --to benchmarks/speed/results` measures, and
`python -m benchmarks.speed.report` writes this page from
[results/speed.jsonl](results/speed.jsonl). Methods are timed in turn, round by round,
on the same 30 features; a ratio is the median over rounds of a method's time over the
time of the built-in loss in the same round.
[results/iterations.csv](results/iterations.csv) has the milliseconds, the range of the
ratios, the leaves of a tree and the share of the objective in each iteration.

- "gamma 0" grows the trees of the built-in loss.
- "played back" computes nothing and returns recorded derivatives. Its time is the
  library's price of any custom objective, and at 10 million rows also the price of
  reading the records from memory.
- The recipes of others are called as their packages define them. Compare ratios only
  between trees with as many leaves.
- FocalXGBClassifier at gamma 0 trains with XGBoost's own log-loss: see its fits. In
  every other case XGBoost copies scores to Python and derivatives back, into memory
  that XGBoost allocates anew in each iteration.

{machines}

![An iteration, its growth, and average precision by time](results/speed.png)
"""
_TREES = """\
Largest difference of raw scores between the built-in loss and ours at gamma 0. Both
grow the same trees, except for splits of equal gain to the last bits of a float32, of
which XGBoost may then take the other one."""
_KEPT = """\
glibc returns blocks above 32 MB to the system at once, and XGBoost allocates fresh
blocks in every iteration of a custom objective: 120 MB at ten million rows, which the
system has to clear, page by page. With the variables below, set before Python starts,
glibc keeps the blocks, and the same iterations have these ratios:"""
_PACKAGES = """\
Time of a tree of whole packages at their default size of tree (31 leaves in LightGBM,
depth 6 elsewhere), from fits with 3 and with 13 trees; ratio to LightGBM. CatBoost's
rows are quantised and YDF's are read before the fits."""
_KERNEL = """\
Nanoseconds a row of the objective by rows and dtype of the scores, and of a loop that
only moves the same bytes (scores and labels in, two vectors out: 16 bytes a row, 20
with float64 scores). "threads" is the objective's `n_jobs`. The default link at gamma 2
computes some 65 floating-point operations a row (counted by hand in the assembly):
arithmetic bounds it on one core, and memory on two."""
_START_UP = """\
Milliseconds. Imports are above those of the parent library (for the package: above bare
Python). First fits are above the second fit of the process, on 2,000 rows: with no
kernel compiled ("ever"), and in later processes."""
_PREDICT = "Microseconds of a call with the same trees, and the ratio."
_MEMORY = """\
Bytes a row of a fit of 5 trees at its peak above the data, in a process of its own."""


def main() -> None:
    """Write the page, its picture and its tables."""
    parser = command("speed.report", __doc__)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--to", type=Path, default=Path(__file__).parent, metavar="DIR")
    arguments = parser.parse_args()
    records = read(arguments.file)
    check_complete(records, arguments.file)
    folder = arguments.to / "results"
    folder.mkdir(parents=True, exist_ok=True)
    draw(records, folder / "speed.png")
    write_csv(details(records), folder / "iterations.csv")
    page = arguments.to / "README.md"
    page.write_text(text(arguments.file))
    print(page)


if __name__ == "__main__":
    main()
