"""The house: lazy imports, one-way dependencies, docstrings."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import focal_gbm

PACKAGE = Path(focal_gbm.__file__).parent
# A module imports only from modules that stand before it here.
ORDER = (
    "_doc_links",
    "_validation",
    "_times",
    "_kernels.formulas",
    "_kernels.openmp",
    "_kernels.cpu",
    "_kernels.rational",
    "_kernels.buffers",
    "_kernels.cuda",
    "_kernels",
    "datasets",
    "loss",
    "calibration",
    "metrics._rows",
    "metrics._alerts",
    "metrics._costs",
    "metrics._intervals",
    "metrics._probabilities",
    "metrics._periods",
    "metrics._scorers",
    "metrics",
    "delays",
    "objective._call",
    "objective._device",
    "objective._objective",
    "objective._metric",
    "objective",
    "_device",
    "plotting._axes",
    "plotting._alerts",
    "plotting._delays",
    "plotting._periods",
    "plotting._reliability",
    "plotting._loss",
    "plotting",
    "_estimators.columns",
    "_estimators.trusted",
    "_estimators.mlflow",
    "_estimators.labels",
    "_estimators.class_weights",
    "_estimators.arguments",
    "_estimators.start",
    "_estimators.progress",
    "_estimators.evaluation",
    "_estimators.closing",
    "_estimators.training",
    "_estimators.splits",
    "_estimators.folds",
    "_estimators.fit_state",
    "_estimators.calibrated",
    "_estimators.ranges",
    "_estimators.classifier",
    "_estimators",
    "model_selection._prequential",
    "model_selection",
    "_estimators.lightgbm.parameters",
    "_estimators.lightgbm.evaluation",
    "_estimators.lightgbm.saved_model",
    "_estimators.lightgbm.start",
    "_estimators.lightgbm.callbacks",
    "_estimators.lightgbm.session",
    "_estimators.lightgbm",
    "lightgbm",
    "_estimators.xgboost.parameters",
    "_estimators.xgboost.evaluation",
    "_estimators.xgboost.objective",
    "_estimators.xgboost.saved_model",
    "_estimators.xgboost.start",
    "_estimators.xgboost.callbacks",
    "_estimators.xgboost.session",
    "_estimators.xgboost",
    "xgboost",
    "native",
    "spark",
    "cross_fit",
    "export._onnx_graph",
    "export._onnx_trees",
    "export._onnx",
    "_estimators.cluster",
    "dask",
    "export._archive",
    "export._file",
    "export",
    "",
)


def module_of(path):
    """Return the name of a file's module below the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


FILES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = [name for name in FILES if name]


def imported_modules(name):
    """Return the package's own modules that a module imports when it is used; those
    for the eyes of a type checker alone do not count."""
    tree = ast.parse(FILES[name].read_text())
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        is_own = isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            "focal_gbm"
        )
        if is_own and node not in for_types:
            tail = node.module.partition(".")[2]
            for alias in node.names:
                inner = f"{tail}.{alias.name}".strip(".")
                found.add(inner if inner in FILES else tail)
    return found


def test_every_module_has_its_place():
    assert sorted(ORDER) == sorted(FILES)


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


@pytest.mark.slow
def test_submodules_need_no_import_of_their_own():
    code = (
        "import focal_gbm;"
        "print(focal_gbm.metrics.recall_at_fpr([1, 0], [2.0, 1.0]),"
        " focal_gbm.datasets.DAY, focal_gbm.plotting.__name__,"
        " focal_gbm.calibration.METHODS[0], focal_gbm.delays.ReportingDelay)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.split()[0] == "1.0"


@pytest.mark.parametrize("name", MODULES)
def test_dependencies_run_one_way(name):
    own = imported_modules(name)
    assert own <= set(ORDER[: ORDER.index(name)])


def test_version_is_that_of_the_metadata():
    from importlib.metadata import version

    assert version("focal_gbm") == focal_gbm.__version__


# Words that a reader has to guess at, and turns that send a reader elsewhere.
AVOIDED = re.compile(
    r"\b(contestants?|judges?|hears|told|knows nothing|knows of|keeps? to|stands? for"
    r"|says|asked|asks|hands? over|everybody)\b|\bAs in\b"
)
ROOT = PACKAGE.parent
TEXTS = [
    *PACKAGE.rglob("*.py"),
    *(ROOT / "benchmarks").rglob("*.py"),
    *(ROOT / "benchmarks").rglob("*.md"),
    *(ROOT / "doc").rglob("*.md"),
    *(ROOT / "examples").rglob("*.py"),
    *ROOT.glob("*.md"),
]


def test_texts_use_plain_words():
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in TEXTS
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if AVOIDED.search(line)
    ]
    assert TEXTS
    assert not found, "\n".join(found)


API_PAGES = (ROOT / "doc/api/index.md").read_text()


def api_pages():
    """Return the names of the API pages, as Sphinx writes them."""
    module, names = "", []
    for line in API_PAGES.splitlines():
        if match := re.match(r"\.\. (?:currentmodule|module):: (\S+)", line):
            module = match[1]
        elif match := re.match(r"   ([A-Za-z_.]+)$", line):
            names.append(f"{module}.{match[1]}")
    return names


def test_every_public_object_has_an_api_page():
    public = set()
    for name in focal_gbm.__all__:
        value = getattr(focal_gbm, name)
        if not isinstance(value, type(focal_gbm)):
            public.add(f"focal_gbm.{name}")
        else:
            names = getattr(value, "__all__", ())
            public |= {f"focal_gbm.{name}.{inner}" for inner in names}
    pages = api_pages()
    assert len(pages) == len(set(pages))
    assert public - {"focal_gbm.export.SKOPS_TRUSTED"} <= set(pages)


def test_the_representation_links_to_the_api_pages():
    from sklearn.base import BaseEstimator
    from sklearn.utils import estimator_html_repr

    pages = api_pages()
    found = []
    for page in pages:
        home, _, name = page.rpartition(".")
        if home == "focal_gbm.dask":
            pytest.importorskip("distributed", reason="needs dask.distributed")
        cls = getattr(importlib.import_module(home), name)
        if isinstance(cls, type) and issubclass(cls, BaseEstimator):
            link = f"/doc/api/generated/{page}.html"
            assert link in estimator_html_repr(cls())
            found.append(name)
    assert {"FocalLGBMClassifier", "FocalXGBClassifier", "ReportingDelay"} <= {*found}
    assert len(found) == 8


@pytest.mark.parametrize("page", api_pages())
def test_see_also_names_objects_with_a_page(page):
    home, _, name = page.rpartition(".")
    if home == "focal_gbm.dask":
        pytest.importorskip("distributed", reason="needs dask.distributed")
    doc = inspect.getdoc(getattr(importlib.import_module(home), name))
    section = doc.partition("See Also\n--------\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^(\w[\w., ]*) :", section, re.MULTILINE)
    assert entries, f"{page} has no section See Also"
    for other in ", ".join(entries).split(", "):
        # by its full name, or by its name in the same module
        is_own = {other, f"{home}.{other}"} & {*api_pages()}
        assert is_own or not other.startswith("focal_gbm"), other
        assert is_own or "." in other, other
