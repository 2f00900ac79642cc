"""Models for other processes, machines and versions.

:func:`save` and :func:`load` write and read one file that runs no code, by skops:
``pip install 'focal_gbm[export]'``.
"""

from __future__ import annotations

from focal_gbm.export._archive import SKOPS_TRUSTED, ModelFileError
from focal_gbm.export._file import load, save

__all__ = ["SKOPS_TRUSTED", "ModelFileError", "load", "save"]
