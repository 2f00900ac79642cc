"""One file for a fitted model, which runs no code when it is loaded.

A file has three lines and an archive::

    focal_gbm model file, format 1
    sha256 <of the first line and of all after this one> of <n> bytes
    {"Python": "3.11.7", "focal_gbm": "0.1.0", "lightgbm": "4.6.0", ...}
    <the archive that skops wrote>
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import platform
import re
import secrets
import shutil
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sklearn.utils.validation import check_is_fitted

import focal_gbm
from focal_gbm.export._archive import (
    ModelFileError,
    built,
    check_types,
    imported_skops,
    packages_of,
    packed,
    schema_of,
)

FORMAT = 1
_FIRST_LINE = re.compile(rb"focal_gbm model file, format ([1-9][0-9]{0,5})\n")
_SECOND_LINE = re.compile(rb"sha256 ([0-9a-f]{64}) of ([0-9]{1,15}) bytes\n")
# the packages whose versions are in a file, by the names of their modules
_PACKAGES = {
    "focal_gbm": "focal_gbm",
    "lightgbm": "lightgbm",
    "numpy": "numpy",
    "pandas": "pandas",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "skops": "skops",
    "xgboost": "xgboost",
}
# Models of these releases and later ones are misread by earlier ones, without an error:
# the base_score of XGBoost 3.1 is a list, which 2.1.4 and 3.0.5 read as 0.5.
_MISREAD_BEFORE = {"xgboost": (3, 1)}
# A save that was killed leaves such a file; a later save to the folder removes it once
# no other save can be writing it.
_PART = ".focal_gbm-{}.part"
_SECONDS_OF_A_SAVE = 3600.0


def save(
    model: Any, path: str | os.PathLike[str], *, trusted: Sequence[str | type] = ()
) -> None:
    """Save a fitted model to one file that runs no code when it is loaded.

    The file has the versions of the libraries and a checksum, and :func:`load` reads it
    in later versions too. It appears in one step: a save that fails or is killed leaves
    the file that was there before. Before that step the new file is loaded once, so
    that a file that was saved can be loaded.

    Parameters
    ----------
    model : estimator
        A fitted classifier of this library, calibrator or
        :class:`~focal_gbm.delays.ReportingDelay`, or an estimator of scikit-learn that
        holds them, such as a Pipeline. The ``to_local()`` of a classifier on a Dask
        cluster is saved in its place.
    path : str or Path
        File to write, in a folder that exists. Any suffix will do.
    trusted : sequence of str or type, default=()
        Types and functions beyond those of :data:`SKOPS_TRUSTED` and of skops, such as
        a transformer of your own; :func:`load` then needs the same list. Names are full
        ones, such as "my_package.module.Transformer".

    Raises
    ------
    TypeError
        If the model is no estimator, ``path`` is no path, or the model holds what
        cannot be saved safely: callbacks, functions as parameters, types that are not
        trusted. The message names it and its place.
    NotFittedError
        If the model is not fitted.
    OSError
        If the folder does not exist or the file cannot be written.

    See Also
    --------
    load : Read the file.

    Notes
    -----
    Trees of scikit-learn itself are not trusted, because skops cannot know whether a
    forest in a file is sound: pass ``trusted=["sklearn.tree._tree.Tree"]``.

    Left-over files of saves that were killed are called ``.focal_gbm-*.part``; a save
    to the same folder removes those that are an hour old.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from focal_gbm import FocalLGBMClassifier
    >>> from focal_gbm.export import load, save
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(500, 3))
    >>> y = X[:, 0] + rng.normal(size=500) > 2.5
    >>> model = FocalLGBMClassifier(n_estimators=10, verbose=-1).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(model, f"{folder}/fraud.model")
    ...     served = load(f"{folder}/fraud.model")
    >>> bool(np.all(served.predict_proba(X) == model.predict_proba(X)))
    True
    """
    target = _target(path)
    names = _names(trusted)
    imported_skops()
    # a Dask classifier refers to its cluster's types; imported only where it is used
    local = model.to_local() if hasattr(model, "to_local") else model
    if isinstance(local, type) or not hasattr(local, "get_params"):
        msg = (
            f"model must be a fitted estimator, got {_shown(model)}; boosters of the "
            "libraries have a save_model of their own"
        )
        raise TypeError(msg)
    check_is_fitted(local)
    try:
        content = _sealed(packed(local))
        _opened(content, names)
    except Exception as error:  # of any type of the user, whose state skops reads
        msg = f"{type(model).__name__} cannot be saved safely: {error}"
        raise TypeError(msg) from error
    _replace(target, content)


def load(path: str | os.PathLike[str], *, trusted: Sequence[str | type] = ()) -> Any:
    """Load a model that :func:`save` wrote.

    Before anything is built, the whole file is checked: its checksum, its format, and
    every type in it. Only types of :data:`SKOPS_TRUSTED`, of scikit-learn, NumPy and
    SciPy as far as skops trusts them, and of ``trusted`` are built.

    Parameters
    ----------
    path : str or Path
        File that :func:`save` wrote.
    trusted : sequence of str or type, default=()
        Types and functions of your own that the file may hold, as passed to
        :func:`save`. Their code runs when the file is loaded.

    Returns
    -------
    model : estimator
        The model, with the probabilities of the one saved.

    Raises
    ------
    ModelFileError
        If the file is no model file, was truncated or changed, has a newer format,
        holds a type that is not trusted, or cannot be built, or would be misread, by
        the installed libraries: XGBoost before 3.1 misreads models of 3.1 and later.
        It is a ValueError.
    TypeError
        If ``path`` is no path, or ``trusted`` no sequence of names and types.
    FileNotFoundError
        If there is no file.

    Warns
    -----
    UserWarning
        If a library is older here, by a major version, than where the file was saved.
        XGBoost and scikit-learn add warnings of their own where versions differ.

    See Also
    --------
    save : Write the file.

    Notes
    -----
    The checksum shows accidents. It is no signature: whoever writes a file can compute
    it. A file from a stranger runs no code of its own, but the boosters' readers of
    models are C++ code that was not made for hostile input, and a crafted model may end
    the process or predict anything. Load models whose origin you know.
    """
    source = Path(_checked_path(path))
    names = _names(trusted)
    imported_skops()
    if not source.exists():
        msg = f"there is no file {source}; pass the path of a file that save wrote"
        raise FileNotFoundError(msg)
    if not source.is_file():
        msg = f"{source} is no file; pass the path of a file that save wrote"
        raise ModelFileError(msg)
    try:
        model, newer = _opened(source.read_bytes(), names)
    except ModelFileError as error:
        msg = f"{source} cannot be loaded: {error}"
        raise ModelFileError(msg) from error.__cause__
    if newer:
        msg = (
            f"{source} was saved with {newer}: later major versions may write what "
            "earlier ones misread; compare some probabilities, or update"
        )
        warnings.warn(msg, UserWarning, stacklevel=2)
    return model


def _shown(value: Any) -> str:
    """Return a value, or the name of its type where it is long, for an error."""
    return repr(value) if isinstance(value, (str, type)) else type(value).__name__


def _checked_path(path: Any) -> str:
    is_path = isinstance(path, (str, os.PathLike))
    text: Any = os.fspath(path) if is_path else None
    if not isinstance(text, str):
        msg = (
            f"path must be a str or a Path, got {_shown(path)}; a file that is open "
            "cannot be replaced in one step"
        )
        raise TypeError(msg)
    return text


def _target(path: Any) -> Path:
    """Return the file to write, behind links, once it proved to be possible."""
    target = Path(os.path.realpath(_checked_path(path)))
    if target.is_dir():
        msg = f"{target} is a folder; pass the path of a file in it"
        raise IsADirectoryError(msg)
    if not target.parent.is_dir():
        msg = f"there is no folder {target.parent}; make it before the save"
        raise FileNotFoundError(msg)
    return target


def _names(trusted: Any) -> list[str]:
    """Return the full names of types."""
    if isinstance(trusted, (str, bool, type)) or not isinstance(trusted, Sequence):
        msg = (
            "trusted must be a sequence of full names or types, such as "
            f"['my_package.Transformer'], got {_shown(trusted)}"
        )
        raise TypeError(msg)
    for name in trusted:
        if not isinstance(name, (str, type)):
            msg = f"trusted must hold names and types, got {_shown(name)}"
            raise TypeError(msg)
    return [
        name if isinstance(name, str) else f"{name.__module__}.{name.__name__}"
        for name in trusted
    ]


def _version(module: str) -> str:
    if module == "focal_gbm":
        return focal_gbm.__version__
    return str(importlib.import_module(module).__version__)


def _sealed(archive: bytes) -> bytes:
    """Return the content of a file, with versions and checksum before the archive."""
    versions = {"Python": platform.python_version()}
    versions |= {name: _version(module) for module, name in _PACKAGES.items()}
    first = b"focal_gbm model file, format %d\n" % FORMAT
    rest = json.dumps(versions).encode() + b"\n" + archive
    digest = hashlib.sha256(first + rest).hexdigest().encode()
    return first + b"sha256 %s of %d bytes\n" % (digest, len(rest)) + rest


def _unsealed(content: bytes) -> tuple[dict[str, str], bytes]:
    """Return the versions and the archive of a file whose checksum is right."""
    first = _FIRST_LINE.match(content)
    if first is None:
        msg = f"focal_gbm.export.save did not write it: it begins with {content[:24]!r}"
        raise ModelFileError(msg)
    if int(first[1]) > FORMAT:
        msg = (
            f"its format is {int(first[1])}, and focal_gbm {focal_gbm.__version__} "
            f"reads formats up to {FORMAT}: update focal_gbm"
        )
        raise ModelFileError(msg)
    second = _SECOND_LINE.match(content, first.end())
    if second is None:
        msg = "its second line, the checksum, is damaged; copy the file again"
        raise ModelFileError(msg)
    rest, n_bytes = content[second.end() :], int(second[2])
    if len(rest) != n_bytes:
        msg = (
            f"{len(rest)} bytes follow its checksum in place of {n_bytes}: it was "
            f"{'truncated' if len(rest) < n_bytes else 'extended'}; copy it again"
        )
        raise ModelFileError(msg)
    if hashlib.sha256(first[0] + rest).hexdigest().encode() != second[1]:
        msg = "its checksum is wrong: bytes were changed; copy the file again"
        raise ModelFileError(msg)
    line, _, archive = rest.partition(b"\n")
    try:
        versions = dict(json.loads(line))
    except (ValueError, TypeError, RecursionError) as error:
        msg = "its third line has no versions"
        raise ModelFileError(msg) from error
    return {str(key): str(value) for key, value in versions.items()}, archive


def _opened(content: bytes, trusted: list[str]) -> tuple[Any, str]:
    """Return the model of a file's content, and the versions by which its libraries are
    newer than the installed ones, in words."""
    versions, archive = _unsealed(content)
    schema = schema_of(archive)
    check_types(archive, schema, trusted)
    modules = sorted(packages_of(schema) & set(_PACKAGES))
    here = {_PACKAGES[module]: _version(module) for module in modules}
    there = {name: versions.get(name, version) for name, version in here.items()}
    differences = {
        name: f"{name} {there[name]} (here {version})"
        for name, version in here.items()
        if there[name] != version
    }
    for name, first in _MISREAD_BEFORE.items():
        if name in here and _numbers(here[name]) < first <= _numbers(there[name]):
            release = ".".join(map(str, first))
            msg = (
                f"it was saved with {differences[name]}, and releases before {release} "
                f"misread such models: update {name} to {release} or later"
            )
            raise ModelFileError(msg)
    try:
        model = built(archive, trusted)
    except Exception as error:  # of any library, and of types of the user
        saved = ", ".join(differences.values())
        cure = f"; it was saved with {saved}: install these versions" if saved else ""
        msg = f"it cannot be built: {type(error).__name__}: {error}{cure}"
        raise ModelFileError(msg) from error
    newer = (
        text
        for name, text in differences.items()
        if _numbers(there[name])[0] > _numbers(here[name])[0]
    )
    return model, ", ".join(newer)


def _numbers(version: str) -> tuple[int, int]:
    """Return the major and the minor version."""
    numbers = re.match(r"(\d{1,9})(?:\.(\d{1,9}))?", version)
    return (int(numbers[1]), int(numbers[2] or 0)) if numbers else (0, 0)


def _replace(target: Path, content: bytes) -> None:
    """Write a file in one step: to another one in its folder, which takes its name."""
    folder = target.parent
    _remove_left_overs(folder)
    part = folder / _PART.format(secrets.token_hex(8))
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, part)
        part.replace(target)
    except BaseException:  # an interruption from the keyboard too
        part.unlink(missing_ok=True)
        raise
    # the new name is to outlast a loss of power; some systems cannot open a folder
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_left_overs(folder: Path) -> None:
    """Remove files of saves that were killed; younger ones may belong to a save."""
    for part in folder.glob(_PART.format("*")):
        with contextlib.suppress(OSError):  # it may be gone, or another user's
            if time.time() - part.stat().st_mtime > _SECONDS_OF_A_SAVE:
                part.unlink()
