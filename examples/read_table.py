"""Read a table of transactions from a CSV or parquet file, for detect_fraud.py.

What a reader of the output has to know is printed: how the file was read, which columns
are left out, and why. What cannot be read ends the program with the cure.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from numbers import Number
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

MOST_CATEGORIES = 300
LABELS = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0}
DECIMAL_COMMA = r"[-+]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?([eE][-+]?\d+)?"
DATE = r"(\d{1,4})([./-])(\d{1,2})\2(\d{1,4})\b.*"


def stop(message: str) -> NoReturn:
    """End the program with a message instead of a traceback."""
    raise SystemExit(message)


def read_file(path: Path) -> pd.DataFrame:
    """Return the rows of a CSV or parquet file."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        stop(f"{path} {what}; pass a parquet or CSV file.")
    is_csv = ".csv" in path.suffixes  # .csv.gz too
    if not is_csv and path.suffix not in (".parquet", ".pq"):
        stop(
            f"{path} ends in {path.suffix or 'nothing'!r}; this example reads only "
            ".csv and .parquet. Convert the file, for example with pandas."
        )
    try:
        if is_csv:
            data, names = read_csv(path)
        else:
            data = pd.read_parquet(path)
            names = list(data.columns)
    except (ValueError, OSError, ImportError) as error:  # includes pandas' and Arrow's
        kind = "CSV" if is_csv else "parquet"
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        stop(f"{path} cannot be read as {kind}: {first_line}")
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        stop(
            f"{path} has more than one column named {listed(twice)}; rename one of "
            "them."
        )
    if data.empty:
        stop(f"{path} holds no rows.")
    return data.set_axis([str(name) for name in data.columns], axis=1)


def read_csv(path: Path) -> tuple[pd.DataFrame, list[Any]]:
    """Return the rows of a CSV file and its names, in either of two encodings."""
    try:
        return read_encoded(path, "utf-8")
    except UnicodeDecodeError:
        print("The file is not UTF-8 and is read as Windows-1252.")
        return read_encoded(path, "cp1252")


def read_encoded(path: Path, encoding: str) -> tuple[pd.DataFrame, list[Any]]:
    """Return the rows and names of a CSV file with any of the usual separators."""
    first: dict[str, Any] = {"header": None, "nrows": 1, "dtype": str}
    line = pd.read_csv(path, sep="\x1f", quoting=3, encoding=encoding, **first)
    separator = max(",;\t|", key=str(line.iloc[0, 0]).count)  # a blank line is NaN
    data = pd.read_csv(path, sep=separator, encoding=encoding, low_memory=False)
    # read_csv renames a second column of the same name without a warning
    names = pd.read_csv(path, sep=separator, encoding=encoding, **first)
    if separator != ",":
        print(f"Columns are separated by {separator!r}.")
        data = without_decimal_commas(data)
    return data, names.iloc[0].tolist()


def without_decimal_commas(data: pd.DataFrame) -> pd.DataFrame:
    """Convert columns of numbers such as 1.234,56 from text."""
    converted = []
    for name, column in data.items():
        if pd.api.types.is_numeric_dtype(column) or column.isna().all():
            continue
        text = column.dropna().astype(str).str.strip()
        if text.str.contains(",").any() and text.str.fullmatch(DECIMAL_COMMA).all():
            plain = text.str.replace(".", "").str.replace(",", ".")
            data[name] = plain.astype("float64").reindex(data.index)
            converted.append(name)
    if converted:
        print(f"Read with decimal commas: {listed(converted)}.")
    return data


def check_columns(
    data: pd.DataFrame, time: str, label: str, drop: Sequence[str]
) -> None:
    """Stop if an option names a column that the file does not have."""
    wanted = [("--time", time), ("--label", label)]
    for option, name in [*wanted, *(("--drop", name) for name in drop)]:
        if name not in data:
            near = difflib.get_close_matches(name, data.columns, n=3, cutoff=0.4)
            hint = f"is it {' or '.join(map(repr, near))}? " if near else ""
            if len(data.columns) == 1:
                hint = "are values separated by a comma, semicolon, tab or |? "
            stop(
                f"{option} {name}: the file has no such column; {hint}The columns are: "
                f"{listed(data.columns, 30)}."
            )
    if time == label:
        stop(f"--time and --label both name {time!r}; name two columns.")


def read_times(column: pd.Series, day_first: bool | None) -> pd.Series:
    """Convert dates, text or numbers to times.

    Numbers are days such as 20240131, or seconds, or a smaller unit if seconds would
    reach beyond the year 5000. ``day_first`` is for text such as 03/04/2024.
    """
    name, how = column.name, {}
    if column.isna().all():
        stop(f"--time {name}: {name!r} is blank in every row; name another column.")
    if pd.api.types.is_numeric_dtype(column):
        if column.dropna().between(19000101, 21001231).all():
            column, how = column.astype("Int64").astype("string"), {"format": "%Y%m%d"}
            meaning = "days such as 20240131"
        else:
            column = column.astype("float64")
            size = np.digitize(column.abs().max(), [1e11, 1e14, 1e17])
            meaning = ("s", "ms", "us", "ns")[int(size)]
            how = {"unit": meaning}
        print(f"Numbers in {name!r} are read as {meaning}.")
    elif is_text(column):
        how = {"dayfirst": is_day_first(column, day_first)}
    try:
        found = pd.to_datetime(column, utc=True, **how).dt.tz_convert(None)
    except (ValueError, TypeError, OverflowError):
        stop(
            f"--time {name}: the column cannot be read as times; the first value is "
            f"{column.dropna().iloc[0]!r}. Write times as 2024-01-31 23:59:59, or name "
            "another column."
        )
    days = (found.max() - found.min()) / pd.Timedelta(days=1)
    print(
        f"Times from {found.min():%d %B %Y} to {found.max():%d %B %Y}, {days:.0f} days."
    )
    return found


def is_text(column: pd.Series) -> bool:
    """Whether the values of a column are texts."""
    kinds = pd.api.types
    return kinds.is_string_dtype(column) or kinds.is_object_dtype(column)


def is_day_first(column: pd.Series, day_first: bool | None) -> bool:
    """Whether dates such as 03.04.2024 begin with the day, if they do not show it."""
    parts = column.dropna().astype(str).str.strip().str.extract(DATE)
    first, second = (pd.to_numeric(parts[i], errors="coerce") for i in (0, 2))
    if first.isna().all() or first.max() > 31:  # begins with the year
        return False
    shown = True if first.max() > 12 else False if second.max() > 12 else None
    if shown is None and (parts[1] == ".").all():
        shown = True  # where a dot separates, the day is first
    if shown is None and day_first is None:
        stop(
            f"--time {column.name}: {column.dropna().iloc[0]!r} begins with a day or "
            "with a month, and no row shows which; pass --dayfirst or --no-dayfirst."
        )
    return bool(day_first if shown is None else shown)


def word(label: Any) -> str | None:
    """Return a label as text, or None for a blank; 1, 1.0 and True give the same."""
    if pd.isna(label) or not str(label).strip():
        return None
    if isinstance(label, (bool, np.bool_)) or (
        isinstance(label, (float, np.floating)) and label.is_integer()
    ):
        return str(int(label))
    return str(label).strip()


def read_labels(column: pd.Series, positive: str | None) -> np.ndarray:
    """Return 1 for fraud, 0 for other labels and NaN for rows without a label."""
    codes, values = pd.factorize(column)
    words = [word(value) for value in values]
    counts: dict[str, int] = {}
    for text, n in zip(words, np.bincount(codes[codes >= 0]), strict=True):
        if text is not None:
            counts[text] = counts.get(text, 0) + int(n)
    found = [f"{text!r} ({n:,})" for text, n in counts.items()]
    if positive is None:
        coded = {text: LABELS.get(text.casefold(), np.nan) for text in counts}
        if np.isnan(list(coded.values())).any():
            rarest = min(counts, key=lambda text: counts[text])
            stop(
                f"--label {column.name}: the column holds {listed(found)}, not 0 and "
                f"1; name the label of fraud, for example --positive {rarest!r}."
            )
    else:
        coded = {text: float(text == positive) for text in counts}
        if positive not in counts:
            stop(
                f"--positive {positive}: {column.name!r} holds no such label; pass one "
                f"of {listed(found)}."
            )
        others = [text for text in counts if text != positive]
        print(f"{positive!r} is fraud; the other labels are not: {listed(others)}.")
    by_code = [np.nan if text is None else coded[text] for text in words]
    return np.array([*by_code, np.nan])[codes]  # the code of a missing value is -1


def read_features(X: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that the models can use; print the others with the reason."""
    used, left_out = {}, []
    for name, column in X.items():
        feature = read_feature(column)
        if isinstance(feature, str):
            left_out.append(f"{name!r} ({feature})")
        else:
            used[name] = feature
    if left_out:
        print(f"Columns left out: {', '.join(left_out)}.")
    if not used:
        stop("No column is left to learn from; add columns of numbers or categories.")
    # LightGBM or XGBoost refuses each of these characters in column names
    names = [re.sub(r'[\[\]{}<>",:]', "_", str(name)) for name in used]
    if len(set(names)) < len(names):
        names = [f"{name}_{i}" for i, name in enumerate(names)]
    return pd.DataFrame(dict(zip(names, used.values(), strict=True)), index=X.index)


def read_feature(column: pd.Series) -> pd.Series | str:
    """Return a column as numbers or categories, or the reason to leave it out."""
    values = column.dropna()
    if values.empty:
        return "blanks only"
    kinds = pd.api.types
    if kinds.is_datetime64_any_dtype(column):
        return "dates; convert dates to numbers, such as an age"
    if kinds.is_timedelta64_dtype(column):
        return column.dt.total_seconds()
    if kinds.is_object_dtype(column) and all(
        issubclass(kind, (Number, np.bool_)) for kind in set(map(type, values))
    ):  # for example booleans with blanks, or decimals
        column = values.astype("float64").reindex(column.index)
    if kinds.is_numeric_dtype(column):
        numbers = column if column.dtype == np.float32 else column.astype("float64")
        return numbers.replace([np.inf, -np.inf], np.nan)  # XGBoost refuses them
    if not isinstance(column.dtype, pd.CategoricalDtype):
        if values.astype(str).str.strip().str.fullmatch(DATE).all():
            return "dates; convert dates to numbers, such as an age"
        column = column.astype("string").astype("object").astype("category")
    column = column.cat.remove_unused_categories()
    n = len(column.cat.categories)
    if n > MOST_CATEGORIES or n > 0.5 * len(values) > 10:
        return f"text of {n:,} different values, like names or identifiers"
    return column


def listed(names: Iterable[Any], most: int = 10) -> str:
    """Join the first names with commas and count the others."""
    names = [str(name) for name in names]
    rest = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
