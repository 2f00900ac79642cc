"""Read the arguments of a fit that may come as any iterable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np


def listed(values: Any, name: str = "") -> Any:
    """Return what was given as a list, from whichever iterable it came; text, a dict by
    position and None stay. With a ``name``, what is no iterable is refused."""
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
