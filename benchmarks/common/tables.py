"""Write tables to pages and CSV files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd


def markdown(table: pd.DataFrame, digits: int = 3, **options: Any) -> str:
    """Return a table in Markdown, blank where nothing was measured."""
    frame = table.copy()
    whole = frame.select_dtypes("integer").columns
    frame[whole] = frame[whole].astype(str)  # tabulate would make them floats
    text: str = frame.to_markdown(**{"floatfmt": f".{digits}f", **options})
    return re.sub(r"(?<=\s)nan(?=\s+\|)", "   ", text)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table with six significant digits, blank where nothing was measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
