"""The public functions, classes and methods of the package, and their numeric
parameters, read from the docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

import focal_gbm

# of `name : type` under "Parameters", indented as in a cleaned docstring
_PARAMETER = re.compile(r"^(\w+(?:, \w+)*) : (.*)$", re.MULTILINE)
_SECTION = re.compile(r"^Parameters\n-+\n(.*?)(?:\n\n\w[\w ]*\n-+\n|\Z)", re.S | re.M)
_BOUNDS = re.compile(r"(?:in ([\[(])(.+?), (.+?)([\])])|(>=?) ([^\s,]+))[,\s]")


class Parameter(NamedTuple):
    """A numeric parameter, and its type in the words of the docstring."""

    function: str
    name: str
    kind: str

    def __str__(self) -> str:
        return f"{self.function}({self.name})"

    def refuses(self, value: float) -> bool:
        """Whether a number is outside the range of the docstring."""
        if value != value:
            return True
        found = _BOUNDS.search(f"{self.kind} ")
        if found is None:
            return False
        left, low, high, right, sign, least = found.groups()
        if sign:
            limit = float(least)
            return value < limit or (sign == ">" and value == limit)
        try:
            bottom, top = float(low), float(high)
        except ValueError:  # "[0, n_days)"
            return value < float(low)
        below = value < bottom or (left == "(" and value == bottom)
        return below or value > top or (right == ")" and value == top)


def public_callables() -> Iterator[tuple[str, Any]]:
    """Yield the public functions, classes and methods, by their dotted names."""
    seen = set()
    for module in (focal_gbm, *map(_submodule, focal_gbm._SUBMODULES)):
        prefix = module.__name__.partition(".")[2]
        for name in _names(module):
            value = getattr(module, name)
            if inspect.ismodule(value) or value in seen:
                continue
            seen.add(value)
            dotted = f"{prefix}.{name}" if prefix else name
            yield dotted, value
            if inspect.isclass(value):
                for method in dir(value):
                    found = getattr(value, method)
                    home = getattr(found, "__module__", None) or ""
                    is_own = callable(found) and home.startswith("focal_gbm")
                    if is_own and not method.startswith("_"):
                        yield f"{dotted}.{method}", found


def _submodule(name: str) -> Any:
    return import_module(f"focal_gbm.{name}")


def _names(module: Any) -> list[str]:
    """Return the names that a module defines for its users."""
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
        and callable(value)
    ]
    return getattr(module, "__all__", own)


def numeric_parameters() -> list[Parameter]:
    """Return the parameters whose documented type begins with float or int."""
    return [
        Parameter(function, name, kind)
        for function, value in public_callables()
        for section in _SECTION.findall(inspect.getdoc(value) or "")
        for names, kind in _PARAMETER.findall(section)
        for name in names.split(", ")
        if re.match(r"(float|int)\b", kind)
    ]
