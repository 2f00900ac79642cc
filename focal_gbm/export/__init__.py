"""Models for other processes, machines and versions, and for other runtimes.

:func:`save` and :func:`load` write and read one file that runs no code, by skops;
:func:`register_onnx` lets skl2onnx convert models: ``pip install 'focal_gbm[export]'``.
"""

from __future__ import annotations

from focal_gbm.export._archive import SKOPS_TRUSTED, ModelFileError
from focal_gbm.export._file import load, save
from focal_gbm.export._onnx import register_onnx

__all__ = ["SKOPS_TRUSTED", "ModelFileError", "load", "register_onnx", "save"]
