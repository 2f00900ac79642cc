"""Axes and names that all pictures share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

# Okabe and Ito (2008): distinct for the colour-blind, in print too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def axes_for(ax: Any, n_axes: int = 1) -> Any:
    """Return axes to draw on, fresh ones with our colours if none are given."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        msg = "pictures need matplotlib: pip install matplotlib"
        raise ImportError(msg) from error
    if ax is None:
        size = (4.2 * n_axes, 3.6) if n_axes > 1 else (5.4, 4.2)
        _, ax = plt.subplots(1, n_axes, figsize=size, layout="constrained")
    for one in np.ravel(ax):
        if not one.has_data():
            one.set_prop_cycle(color=COLOURS)
            one.grid(alpha=0.3)
    return ax


class OfEstimator:
    """A display that can be made of a fitted classifier."""

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: ArrayLike, *, name: str | None = None, **kw: Any
    ) -> Any:
        """Draw what a fitted classifier says.

        Parameters
        ----------
        estimator : classifier with ``predict_proba``
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Labels; the second class of the estimator is the positive one.
        name : str or None, default=None
            For the legend; None: that of the class.
        **kw
            As in ``from_predictions``.

        Returns
        -------
        display
        """
        is_positive = np.asarray(y) == estimator.classes_[1]
        p = estimator.predict_proba(X)[:, 1]
        name = type(estimator).__name__ if name is None else name
        draw: Any = cls  # the display itself
        return draw.from_predictions(is_positive, p, name=name, **kw)
