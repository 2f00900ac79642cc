"""The site: ``python -m sphinx -W -c doc . build/site`` in the root of the repository.

The root is the source folder, so that a link between pages, benchmarks and CHANGELOG.md
works both on the site and where the files are read as they are.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

# two stories run at a time, and a thread that spins would wait for the other story's
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "doc"))  # gallery_order

import focal_gbm  # noqa: E402

project = "focal_gbm"
author = "The focal_gbm developers"
copyright = f"2026, {author}"  # noqa: A001
release = version = focal_gbm.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = [str(ROOT / "doc/_templates")]
root_doc = "doc/index"
include_patterns = [
    "doc/**",
    "benchmarks/**.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "tests/README.md",
]
exclude_patterns = ["doc/_*", "**/.*", "build", ".*"]
nitpicky = True  # a reference without a target is an error
nitpick_ignore_regex = [(r"py:.*", r"(?!focal_gbm\b).*")]  # other libraries' objects

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings have types, with shapes and ranges
numpydoc_show_class_members = False  # the templates list the members

copybutton_exclude = ".linenos, .gp, .go"

html_theme = "pydata_sphinx_theme"
html_title = "focal_gbm"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}
html_extra_path = ["_extra"]  # index.html of the root, which leads to the first page
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"doc/index": []}

sphinx_gallery_conf = {
    "examples_dirs": "examples/gallery",
    "gallery_dirs": "doc/gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "gallery_order.by_story",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "min_reported_time": 1e9,
    "abort_on_example_error": True,
    "parallel": 2,
    "reset_modules": ("matplotlib",),
}
suppress_warnings = [
    "config.cache",  # functions in the configuration cannot be pickled
]
# joblib begins a new process for a story if the last one left memory behind
warnings.filterwarnings("ignore", message="A worker stopped while some jobs")


def own_members(name: str) -> dict[str, list[str]]:
    """Return the public methods and properties that a class has from this package.

    What the classes inherit from LightGBM, XGBoost and scikit-learn is documented
    there; properties that a docstring lists as attributes are not repeated.
    """
    module, _, attribute = name.rpartition(".")
    cls: Any = getattr(importlib.import_module(module), attribute)
    listed = "\n".join(inspect.getdoc(parent) or "" for parent in cls.__mro__)
    found: dict[str, list[str]] = {"methods": [], "properties": []}
    for member in sorted(x for x in dir(cls) if not x.startswith("_")):
        value = inspect.getattr_static(cls, member)
        function = value.fget if isinstance(value, property) else getattr(cls, member)
        home = getattr(function, "__module__", None) or ""
        if home.startswith("focal_gbm") and inspect.getdoc(function):
            if not isinstance(value, property):
                found["methods"].append(member)
            elif not re.search(rf"^{member} :", listed, re.MULTILINE):
                found["properties"].append(member)
    return found


autosummary_context = {"own_members": own_members}
