"""Draw the pictures of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.detection.models import BY_NAME, LOG_LOSS, OURS, PEERS

COLOURS = {LOG_LOSS: "tab:gray", OURS: "tab:blue", PEERS: "tab:orange"}


def draw_shares(means: pd.DataFrame, path: Path) -> None:
    """Draw each model's share of the best average precision, a dot a data set."""
    shares = means / means.max()
    _draw_dots(shares, path, "average precision / the best, a dot a data set")


def draw_probabilities(ratios: pd.DataFrame, path: Path) -> None:
    """Draw mean predicted over observed probability, a dot a data set."""
    _draw_dots(
        ratios,
        path,
        "mean predicted / observed probability, a dot a data set",
        log=True,
    )


def _draw_dots(
    table: pd.DataFrame, path: Path, label: str, *, log: bool = False
) -> None:
    names = list(table.index)[::-1]
    figure = Figure(figsize=(8, 0.28 * len(names) + 1.2), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(names):
        values = table.loc[name].dropna()
        colour = COLOURS[BY_NAME[name].group]
        axes.plot(values, np.full(len(values), place), "o", color=colour, alpha=0.5)
        centre = np.exp(np.log(values).mean()) if log else values.mean()
        axes.plot([centre], [place], "|", color="black", markersize=14)
    axes.axvline(1.0, color="black", linewidth=0.5)
    if log:
        axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(f"{label}; bar: their mean")
    axes.grid(axis="x", alpha=0.3)
    _add_legend(axes)
    figure.savefig(path, dpi=110)


def _add_legend(axes: Any) -> None:
    for group, colour in COLOURS.items():
        axes.plot([], [], "o", color=colour, label=group)
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(COLOURS), frameon=False
    )


def draw_differences(tables: dict[str, pd.DataFrame], path: Path) -> None:
    """Draw differences with intervals, a panel a pair and a line a data set."""
    n_sets = max(len(table) for table in tables.values())
    figure = Figure(figsize=(9, 0.3 * n_sets + 1.2), layout="constrained")
    panels = figure.subplots(1, len(tables), sharey=True)
    for axes, (title, table) in zip(panels, tables.items(), strict=True):
        places = np.arange(len(table))[::-1]
        centre = table["difference"].to_numpy()
        arms = np.abs(table[["low", "high"]].to_numpy().T - centre)
        axes.errorbar(centre, places, xerr=arms, fmt="o", capsize=3)
        axes.axvline(0.0, color="black", linewidth=0.5)
        axes.set_yticks(places, table.index)
        axes.set_title(f"{title}, tuned", fontsize="medium")
        axes.set_xlabel("average precision, 95 % interval")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, dpi=110)
