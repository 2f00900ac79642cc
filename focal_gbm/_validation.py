"""Checks of parameters and data; each error names the parameter and the value."""

from __future__ import annotations

import difflib
import functools
import inspect
import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Class = TypeVar("Class", bound=type)
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]


def _interval(low: float, high: float, open_ends: bool) -> str:
    """Return what a number has to satisfy, in words."""
    if math.isinf(low) and math.isinf(high):
        return ""
    if math.isinf(high):
        return f" {'>' if open_ends else '>='} {low}"
    return f" in ({low}, {high})" if open_ends else f" in [{low}, {high}]"


def as_float(value: Any) -> float | None:
    """Return a number as float, infinite beyond float64; None for another value."""
    # booleans are numbers of Python, and durations those of NumPy
    is_other = isinstance(value, (bool, np.bool_, np.timedelta64))
    is_number = isinstance(value, Real) and not is_other
    if not is_number:
        return None
    try:
        return float(value)
    except OverflowError:  # an int or a fraction
        return math.inf if value > 0 else -math.inf


def check_real(
    value: Any,
    name: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_ends: bool = False,
) -> float:
    """Return ``value`` as float if it is a finite number between the bounds."""
    wanted = f"{name} must be a finite number{_interval(low, high, open_ends)}"
    number = as_float(value)
    if number is None:
        msg = f"{wanted}, got {value!r}"
        raise TypeError(msg)
    inside = low < number < high if open_ends else low <= number <= high
    if not (inside and math.isfinite(number)):
        msg = f"{wanted}, got {value!r}"
        raise ValueError(msg)
    return number


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number of an integer type."""
    return isinstance(value, Integral) and as_float(value) is not None


def check_positive(value: Any, name: str) -> float:
    """Return ``value`` as float if it is finite and > 0."""
    return check_real(value, name, low=0.0, high=math.inf, open_ends=True)


def check_count(value: Any, name: str, *, low: int = 1) -> int:
    """Return ``value`` as int if it is a whole number >= ``low``."""
    number = check_real(value, name, low=low)
    if number != int(number):
        msg = f"{name} must be a whole number >= {low}, got {value!r}"
        raise ValueError(msg)
    return int(value)


def check_gamma(value: Any, name: str = "gamma") -> float:
    """Return the focusing parameter, a finite number >= 0."""
    return check_real(value, name, low=0.0)


def check_alpha(value: Any, name: str = "alpha") -> float | None:
    """Return the weight of the positive class, in (0, 1), or None."""
    if value is None:
        return None
    return check_real(value, name, low=0.0, high=1.0, open_ends=True)


def check_n_jobs(value: Any) -> int:
    """Return a number of threads, -1 standing for all."""
    if isinstance(value, Real) and value == -1:
        return -1
    return check_count(value, "n_jobs")


def check_option(value: Any, name: str, options: Collection[str | bool | None]) -> str:
    """Return a text if it is one of ``options``; those that are no text are only
    listed in the error."""
    if not isinstance(value, str) or value not in options:
        listed = ", ".join(repr(option) for option in options)
        msg = f"{name} must be one of {listed}, got {value!r}"
        raise ValueError(msg)
    return value


def check_generator(random_state: Any) -> np.random.Generator:
    """Return the generator of a seed."""
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        accepted = "a whole number >= 0, a numpy Generator or None"
        msg = f"random_state must be {accepted}, got {random_state!r}"
        raise type(error)(msg) from error


def in_host_memory(values: Any) -> Any:
    """Return values on a GPU, of cuDF, CuPy or Numba, in host memory, and others as
    they are."""
    if hasattr(values, "__cuda_array_interface__"):
        for name in ("to_numpy", "get", "copy_to_host"):
            if hasattr(values, name):
                return getattr(values, name)()
    return values


def check_vector(
    values: ArrayLike, name: str, dtype: type, n_rows: int | None = None
) -> NDArray[Any]:
    """Return ``values`` as a contiguous vector of ``dtype``, of ``n_rows`` if given."""
    values = in_host_memory(values)
    try:
        array: NDArray[Any] = np.ascontiguousarray(values, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        msg = (
            f"{name} must hold numbers, one a row, got {type(values).__name__}: {error}"
        )
        kind_of_error = TypeError if isinstance(error, TypeError) else ValueError
        raise kind_of_error(msg) from error
    if array.ndim != 1:
        msg = f"{name} must be one-dimensional, got shape {array.shape}"
        raise ValueError(msg)
    if n_rows is not None and len(array) != n_rows:
        msg = f"{name} must have {n_rows} values, one a row, got {len(array)}"
        raise ValueError(msg)
    return array


def check_finite_vector(values: ArrayLike, name: str) -> Float64Array:
    """Return ``values`` as a float64 vector without NaN and infinities."""
    array = check_vector(values, name, np.float64)
    bad = ~np.isfinite(array)
    if bad.any():
        row = int(bad.argmax())
        msg = f"{name} must be finite, got {array[row]} in row {row}"
        raise ValueError(msg)
    return array


def check_scores(values: ArrayLike, name: str) -> Float64Array:
    """Return ``values`` as a float64 vector without NaN; infinities may pass."""
    scores = check_vector(values, name, np.float64)
    missing = np.isnan(scores)
    if missing.any():
        msg = f"{name} must not be NaN, got NaN in row {int(missing.argmax())}"
        raise ValueError(msg)
    return scores


def check_probabilities(values: ArrayLike, name: str = "y_prob") -> Float64Array:
    """Return ``values`` as a float64 vector in [0, 1]."""
    p = check_vector(values, name, np.float64)
    bad = ~((p >= 0) & (p <= 1))
    if bad.any():
        row = int(bad.argmax())
        msg = f"{name} must lie in [0, 1], got {p[row]} in row {row}"
        raise ValueError(msg)
    return p


def native(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array that Pandas takes: in the byte order of this machine, text of
    variable length as objects."""
    if array.dtype.kind == "T":
        return array.astype(object)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def equal_to(labels: NDArray[Any], value: Any) -> NDArray[np.bool_]:
    """Return which labels are equal to ``value``, as Python compares: True is 1, and
    1.0 is 1, whatever the dtype of either. A missing label is equal to none."""
    if labels.dtype == object:
        import pandas as pd  # of no use to FocalLoss, and slow to import

        # pd.NA makes any comparison missing, not false
        labels = labels.copy()
        labels[pd.isna(labels)] = None
    kinds = {"text" if k in "UST" else k for k in _kinds(labels, value)}
    if "text" in kinds and kinds & set("biufcmM"):
        return np.zeros(labels.shape, np.bool_)  # of which NumPy would warn
    result = np.asarray(labels == value)
    if result.shape != labels.shape:
        return np.zeros(labels.shape, np.bool_)
    return result.astype(np.bool_)


def _kinds(labels: NDArray[Any], value: Any) -> tuple[str, str]:
    return labels.dtype.kind, np.asarray(value).dtype.kind


def check_flag(value: Any, name: str) -> bool:
    """Return a switch: a boolean, 0 or 1, or what LightGBM writes for them."""
    if isinstance(value, str):
        words = {"true": True, "+": True, "1": True, "false": False, "-": False}
        known: Any = {**words, "0": False}.get(value.lower())
    else:
        known = value if isinstance(value, (bool, np.bool_, int, np.integer)) else None
    if known is None or known not in (0, 1):
        msg = f"{name} must be True or False, got {value!r}"
        raise ValueError(msg)
    return bool(known)


def check_labels(
    y: ArrayLike, n_rows: int | None = None, *, pos_label: Any = None
) -> Float64Array:
    """Return labels as float64, 1 for the positive class: labels 0 and 1 or, with
    ``pos_label``, that label and at most one other."""
    if pos_label is not None:
        return _coded(y, n_rows, pos_label)
    try:
        labels = check_vector(y, "y_true", np.float64, n_rows)
    except (TypeError, ValueError) as error:
        if np.asarray(y).dtype.kind not in "OSUT":
            raise
        first = np.ravel(np.asarray(y, dtype=object))[0]
        msg = (
            f"y_true must hold 0 and 1 only, got {first!r} in row 0; pass "
            "y == label for the positive label, or name the label by pos_label in "
            "measures and displays"
        )
        raise ValueError(msg) from error
    bad = ~((labels == 0) | (labels == 1))
    if bad.any():
        row = int(bad.argmax())
        msg = f"y_true must hold 0 and 1 only, got {labels[row]} in row {row}"
        raise ValueError(msg)
    return labels


def _coded(y: ArrayLike, n_rows: int | None, pos_label: Any) -> Float64Array:
    import pandas as pd  # of no use to FocalLoss, and slow to import

    labels = np.asarray(in_host_memory(y))
    if labels.ndim != 1:
        msg = f"y_true must be one-dimensional, got shape {labels.shape}"
        raise ValueError(msg)
    if n_rows is not None and len(labels) != n_rows:
        msg = f"y_true must have {n_rows} values, one a row, got {len(labels)}"
        raise ValueError(msg)
    missing = np.asarray(pd.isna(labels))
    if missing.any():
        msg = f"y_true must not be missing, as it is in row {int(missing.argmax())}"
        raise ValueError(msg)
    positive = equal_to(labels, pos_label)
    others = pd.unique(native(labels[~positive]))
    if len(others) > 1:
        listed = ", ".join(repr(label) for label in others[:3].tolist())
        msg = (
            f"y_true must hold pos_label={pos_label!r} and one other label, got "
            f"{len(others)} others: {listed}"
        )
        raise ValueError(msg)
    return positive.astype(np.float64)


def check_weights(
    sample_weight: ArrayLike | None,
    n_rows: int,
    name: str = "sample_weight",
    *,
    of_all: bool = True,
) -> Float64Array | None:
    """Return finite weights >= 0 as float64, or None; those ``of_all`` rows, and not of
    a part, may not all be zero."""
    if sample_weight is None:
        return None
    weights = check_vector(sample_weight, name, np.float64, n_rows)
    bad = ~((weights >= 0) & np.isfinite(weights))
    if bad.any():
        row = int(bad.argmax())
        msg = f"{name} must be finite and >= 0, got {weights[row]} in row {row}"
        raise ValueError(msg)
    if of_all and n_rows and not weights.any():
        msg = f"{name} must hold a positive value, got zeros only"
        raise ValueError(msg)
    return weights


def check_maturity(
    label_maturity: ArrayLike | None,
    n_rows: int | None = None,
    name: str = "label_maturity",
) -> Float64Array | None:
    """Return maturities of labels as float64, or None where all labels are final."""
    if label_maturity is None:
        return None
    maturity = check_vector(label_maturity, name, np.float64, n_rows)
    bad = ~((maturity > 0) & (maturity <= 1))
    if bad.any():
        row = int(bad.argmax())
        value = maturity[row]
        if value <= 0:
            cure = "leave out rows so young that no positive can be known"
        elif value > 1:
            cure = f"numpy.clip({name}, 1e-6, 1) takes rounding away"
        else:
            cure = "pass 1 for labels that are final"
        msg = (
            f"{name} must be in (0, 1], the probability that a positive of the row "
            f"would be known by now, got {value} in row {row}; {cure}"
        )
        raise ValueError(msg)
    return None if (maturity == 1).all() else maturity


def check_posterior(link: str) -> None:
    """Refuse labels that are not final on another scale than that of the log-odds."""
    if link != "posterior":
        msg = (
            f"label_maturity needs link='posterior', got {link!r}: the raw score must "
            "be the log-odds of the class"
        )
        raise ValueError(msg)


def check_known(
    positives: float, weight: Float64Array | None, maturity: Float64Array | None
) -> None:
    """Refuse maturities by which fewer positives could be known than are.

    ``positives`` is the sum of the weights of the positives.
    """
    if maturity is None:
        return
    most = float((maturity if weight is None else weight * maturity).sum())
    check_expected(positives, most)


def check_expected(known: float, most: float) -> None:
    """Refuse maturities that expect fewer known positives than there are, even if
    every row were a positive; both by weight."""
    if known >= most:
        msg = (
            f"label_maturity expects at most {most:.6g} known positives even if every "
            f"row were one, and {known:.6g} are known (rows by their weight): the "
            "values are too small"
        )
        raise ValueError(msg)


def immaturity_of(maturity: Float64Array | None, dtype: Any) -> NDArray[Any] | None:
    """Return (1 - c) / c of maturities c, as the loops need it."""
    if maturity is None:
        return None
    with np.errstate(over="ignore"):  # bounded: infinity times 0 would be NaN
        odds = np.minimum((1.0 - maturity) / maturity, np.finfo(dtype).max)
        return odds.astype(dtype, copy=False)


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return the end of a message: the known name that is closest, if any is."""
    by_case = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), by_case, n=1, cutoff=0.6)
    return f"; did you mean {by_case[close[0]]}?" if close else ""


def as_rows(
    y: Any, sample_weight: Any, n_rows: int
) -> tuple[Float32Array, Float32Array | None]:
    """Return labels and weights as float32 vectors; whether labels are 0 and 1 and
    weights are in range is for the loop to see, which reports a bad row."""
    try:
        with np.errstate(over="ignore"):
            labels: Float32Array = np.ascontiguousarray(y, np.float32)
            weight: Any = sample_weight
            if weight is not None:
                weight = np.ascontiguousarray(weight, np.float32)
    except (TypeError, ValueError):  # words, None, or arrays on a GPU
        labels = np.empty((0, 0), np.float32)
        weight = None if sample_weight is None else labels
    if labels.shape != (n_rows,):
        labels = check_labels(y, n_rows).astype(np.float32)
    if weight is None:
        return labels, None
    if weight.shape != (n_rows,):
        with np.errstate(over="ignore"):
            weight = check_vector(sample_weight, "sample_weight", np.float32, n_rows)
    least = float(np.finfo(np.float32).tiny)
    # one look where all is well
    if n_rows and weight[0] < least and weight.max() < least:
        largest = check_weights(sample_weight, n_rows).max()  # type: ignore[union-attr]
        msg = (
            f"sample_weight must hold a value of at least {least:.3g}, the smallest of "
            f"float32, got {largest} at most; multiply all weights by one number"
        )
        raise ValueError(msg)
    return labels, weight


def check_heaviest(weight: Float64Array | None, limit: float, dtype: Any) -> None:
    """Refuse weights so large that a derivative may overflow."""
    if weight is None:
        return
    with np.errstate(over="ignore"):
        bad = weight.astype(dtype, copy=False) >= np.asarray(limit, dtype)
    if bad.any():
        row = int(bad.argmax())
        msg = (
            f"sample_weight must be below {limit:.3g}, or derivatives may overflow "
            f"{np.dtype(dtype).name}, got {weight[row]} in row {row}; divide all "
            "weights by one number"
        )
        raise ValueError(msg)


def suggest_parameters(cls: Class) -> Class:
    """Make the error for an unknown parameter of a data class name the closest one."""
    init: Any = cls.__init__  # type: ignore[misc]
    known = list(inspect.signature(cls).parameters)

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in kwargs:
            if name not in known:
                hint = did_you_mean(name, known) or f"; it has {', '.join(known)}"
                msg = f"{cls.__name__} has no parameter {name!r}{hint}"
                raise TypeError(msg)
        init(self, *args, **kwargs)

    cls.__init__ = checked  # type: ignore[misc]
    return cls
