"""Axes, colours and predictions, which all displays share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from focal_gbm._validation import Float64Array
from focal_gbm.metrics._rows import codes_in

# Okabe and Ito (2008): distinct for the colour-blind, in print too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def axes_for(ax: Any, n_axes: int = 1) -> Any:
    """Return ``ax`` after checks, or new axes for None; empty axes get our colours."""
    # imported here: matplotlib is optional
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        msg = (
            "plots need matplotlib, which cannot be imported; install it with "
            "pip install matplotlib"
        )
        raise ImportError(msg) from error
    if ax is None:
        size = (4.2 * n_axes, 3.6) if n_axes > 1 else (5.4, 4.2)
        _, ax = plt.subplots(1, n_axes, figsize=size, layout="constrained")
    axes = np.ravel(ax)
    if len(axes) != n_axes or not all(hasattr(one, "has_data") for one in axes):
        wanted = f"{'two' if n_axes == 2 else 'three'} axes"
        wanted = wanted if n_axes > 1 else "matplotlib axes"
        got = len(axes) if len(axes) != n_axes else repr(ax)
        msg = f"ax must be {wanted}, got {got}"
        raise ValueError(msg)
    for one in axes:
        # not again on axes with data: the colours would start over
        if not one.has_data():
            one.set_prop_cycle(color=COLOURS)
            one.grid(alpha=0.3)
    return axes if n_axes > 1 else axes[0]


def predictions_of(
    estimator: Any, X: Any, y: ArrayLike, pos_label: Any
) -> tuple[Float64Array, Float64Array]:
    """Return labels as 0 and 1, and a fitted classifier's probabilities of the positive
    class: that of ``pos_label``, or the second for None."""
    if not hasattr(estimator, "predict_proba") or not hasattr(estimator, "classes_"):
        msg = (
            f"estimator must be a fitted classifier with predict_proba, got "
            f"{estimator!r}; fit it first, or pass its scores to from_predictions"
        )
        raise TypeError(msg)
    codes, column = codes_in(y, estimator.classes_, pos_label)
    return codes, np.asarray(estimator.predict_proba(X))[:, column]
