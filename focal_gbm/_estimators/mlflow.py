"""MLflow's autologging around a fit, if the user has loaded MLflow."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from focal_gbm._estimators.trusted import SKOPS_TRUSTED


@contextmanager
def autologging_paused() -> Iterator[None]:
    """Keep MLflow from logging the models of folds."""
    tools = sys.modules.get("mlflow.utils.autologging_utils")
    pause = getattr(tools, "disable_autologging", None)
    if pause is None or getattr(tools, "_AUTOLOGGING_GLOBALLY_DISABLED", False):
        yield
        return
    with pause():
        yield


@contextmanager
def types_trusted() -> Iterator[None]:
    """Let MLflow's autologging for LightGBM store this library's estimator.

    MLflow 3 stores models by skops, which refuses types that are not on a list. No
    argument of ``autolog`` extends the list.
    """
    module = sys.modules.get("mlflow.lightgbm")
    trusted = getattr(module, "_LIGHTGBM_SKLEARN_SKOPS_TRUSTED_TYPES", None)
    if not isinstance(trusted, set):
        yield
        return
    # what was there before stays when the fit ends
    added = set(SKOPS_TRUSTED) - trusted
    trusted |= added
    try:
        yield
    finally:
        trusted -= added
