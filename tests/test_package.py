"""The house: lazy imports, one-way dependencies, docstrings."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import focal_gbm

PACKAGE = Path(focal_gbm.__file__).parent
ORDER = (
    "_checks",
    "_formula",
    "_threads",
    "_kernels",
    "_calls",
    "_cuda",
    "_device",
    "_omega",
    "loss",
    "calibration",
    "metrics._rows",
    "metrics._alerts",
    "metrics._costs",
    "metrics._intervals",
    "metrics._probabilities",
    "metrics._scorers",
    "metrics",
    "objective",
    "_columns",
    "_mlflow",
    "_labels",
    "_training",
    "_calibrated",
    "_classifier",
    "_lightgbm",
    "lightgbm",
    "_xgboost",
    "xgboost",
    "_plot",
    "_plot_alerts",
    "_plot_reliability",
    "_plot_loss",
    "plotting",
)


def module_of(path):
    """Return the name of a file's module below the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


FILES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = [name for name in FILES if name]


def imported_modules(name):
    """Return the package's own modules that a module imports."""
    tree = ast.parse(FILES[name].read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            "focal_gbm"
        ):
            tail = node.module.partition(".")[2]
            found |= {tail} if tail else {alias.name for alias in node.names}
    return found


def test_importing_the_package_loads_no_library():
    code = (
        "import sys, focal_gbm;"
        "heavy = {'numpy', 'numba', 'lightgbm', 'xgboost', 'sklearn', 'pandas'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules);"
        "assert 'FocalLoss' in dir(focal_gbm)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_can_be_imported():
    for name in focal_gbm.__all__:
        value = getattr(focal_gbm, name)
        assert value.__doc__
        home = getattr(value, "__module__", value.__name__)
        assert home.startswith("focal_gbm")
    with pytest.raises(AttributeError, match="no attribute 'magic'"):
        focal_gbm.magic  # noqa: B018


def test_submodules_need_no_import_of_their_own():
    code = (
        "import focal_gbm;"
        "print(focal_gbm.metrics.recall_at_fpr([1, 0], [2.0, 1.0]),"
        " focal_gbm.datasets.DAY, focal_gbm.plotting.__name__,"
        " focal_gbm.calibration.METHODS[0])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.split()[0] == "1.0"


@pytest.mark.parametrize("name", MODULES)
def test_dependencies_run_one_way(name):
    own = imported_modules(name)
    if name not in ORDER:
        assert own <= {"_checks"}
        return
    assert own <= set(ORDER[: ORDER.index(name)])


def test_version_is_that_of_the_metadata():
    from importlib.metadata import version

    assert version("focal_gbm") == focal_gbm.__version__
