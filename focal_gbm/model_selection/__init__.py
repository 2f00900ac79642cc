"""Cross-validation in time, for labels that become known after a delay."""

from focal_gbm.model_selection._prequential import PrequentialSplit, PrequentialWindow

__all__ = ["PrequentialSplit", "PrequentialWindow"]
