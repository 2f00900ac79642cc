"""Fitted models for other runtimes: ONNX."""

from focal_gbm.export._onnx import register_onnx as register_onnx

__all__ = ["register_onnx"]
