"""Lists from the arguments of a fit, which may be any iterable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np


def listed(values: Any, name: str = "") -> Any:
    """Return an argument as a list; None, a text and a dict by position stay as they
    are.

    With a ``name``, an argument that cannot be iterated over is refused.
    """
    if values is None or isinstance(values, (dict, str)):
        return values
    if name and not isinstance(values, Iterable):
        msg = f"{name} must be a list, got {values!r}"
        raise TypeError(msg)
    # LightGBM takes no integers of NumPy for positions
    return [v.item() if isinstance(v, np.integer) else v for v in values]


def check_lasts(values: Any, name: str) -> None:
    """Refuse an iterator as a parameter: the next fit would find it empty."""
    if isinstance(values, Iterator):
        msg = (
            f"{name} is an iterator, which lasts for one fit; pass a list of its items"
        )
        raise TypeError(msg)
