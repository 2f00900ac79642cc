"""The loss and its derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from focal_gbm._checks import Float64Array, check_labels, check_vector
from focal_gbm._plot import axes_for
from focal_gbm.loss import FocalLoss


@dataclass
class FocalLossDisplay:
    """Loss, gradient and Hessian of a positive row, for several gammas.

    Where the Hessian is negative, in the classic form, its line is dotted: there a
    booster that sums Hessians as they are takes the step the wrong way. With
    ``link="posterior"`` all is times 1 + gamma, as the objective hands it over.

    Parameters
    ----------
    gammas : sequence of float >= 0
    alpha : float in (0, 1) or None
    link : {"logit", "posterior"}
        Scale of the raw score.
    raw_prediction : ndarray or None
        Scores of positive rows, drawn as marks at the bottom.

    Attributes
    ----------
    axes_, figure_
        What was drawn last.

    Examples
    --------
    >>> from focal_gbm.plotting import FocalLossDisplay
    >>> display = FocalLossDisplay([0.0, 2.0]).plot()
    >>> [ax.get_ylabel() for ax in display.axes_]
    ['Loss', 'Gradient', 'Hessian']
    """

    gammas: Sequence[float] = (0.0, 1.0, 2.0, 5.0)
    alpha: float | None = None
    link: str = "logit"
    raw_prediction: Float64Array | None = None
    axes_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: ArrayLike | None = None,
        *,
        ax: Any = None,
    ) -> FocalLossDisplay:
        """Draw the loss of a fitted estimator of this library beside log-loss.

        Parameters
        ----------
        estimator : FocalLGBMClassifier or FocalXGBClassifier
        X : array-like of shape (n_samples, n_features) or None, default=None
        y : array-like of shape (n_samples,) or None, default=None
            With both, the scores of the positive rows are marked.
        ax : three matplotlib axes or None, default=None

        Returns
        -------
        display : FocalLossDisplay
        """
        loss = estimator.loss_
        display = cls(sorted({0.0, loss.gamma}), loss.alpha, loss.link)
        if X is not None and y is not None:
            positive = np.asarray(y) == estimator.classes_[1]
            # not of decision_function, which may be calibrated
            raw = np.asarray(estimator._raw_score(X), dtype=np.float64)
            display.raw_prediction = raw[positive]
        return display.plot(ax)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        raw_prediction: ArrayLike,
        *,
        gammas: Sequence[float] = (0.0, 1.0, 2.0, 5.0),
        alpha: float | None = None,
        link: str = "logit",
        ax: Any = None,
    ) -> FocalLossDisplay:
        """Draw the loss, and where the positive rows lie on it.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels, 0 or 1.
        raw_prediction : array-like of shape (n_samples,)
            Scores on the scale of ``link``.
        gammas, alpha, link
            As in the class.
        ax : three matplotlib axes or None, default=None

        Returns
        -------
        display : FocalLossDisplay
        """
        raw = check_vector(raw_prediction, "raw_prediction", np.float64)
        positive = check_labels(y_true, len(raw)) > 0
        return cls(gammas, alpha, link, raw[positive]).plot(ax)

    def plot(self, ax: Any = None) -> FocalLossDisplay:
        """Draw on three axes.

        Parameters
        ----------
        ax : three matplotlib axes or None, default=None
            None: a figure of their own.

        Returns
        -------
        self : FocalLossDisplay
        """
        axes = np.ravel(axes_for(ax, 3))
        if len(axes) != 3:
            msg = f"ax must be three axes, got {len(axes)}"
            raise ValueError(msg)
        marks = np.r_[
            -8.0, 6.0, [] if self.raw_prediction is None else self.raw_prediction
        ]
        z = np.linspace(marks.min(), marks.max(), 561)
        ones = np.ones_like(z)
        for gamma in self.gammas:
            loss = FocalLoss(gamma, self.alpha, self.link)
            factor = 1.0 + gamma if self.link == "posterior" else 1.0
            gradient, hessian = (factor * v for v in loss.gradient_hessian(ones, z))
            curves = (factor * loss.loss(ones, z), gradient, hessian)
            for one, curve in zip(axes, curves, strict=True):
                (line,) = one.plot(z, curve, label=f"gamma = {gamma:g}")
            line.set_data(z, np.where(hessian >= 0, hessian, np.nan))
            wrong = np.where(hessian < 0, hessian, np.nan)
            axes[2].plot(z, wrong, ":", color=line.get_color())
        scale = "log-odds" if self.link == "posterior" else "logit of the focal score"
        for one, title in zip(axes, ("Loss", "Gradient", "Hessian"), strict=True):
            one.set(xlabel=f"Raw score ({scale})", ylabel=title)
            if self.raw_prediction is not None:
                bottom = np.full(len(self.raw_prediction), one.get_ylim()[0])
                one.plot(self.raw_prediction, bottom, "|", color="0.3", clip_on=False)
        axes[2].axhline(0.0, color="0.6", linewidth=1, zorder=1)
        times = ", times 1 + gamma" if self.link == "posterior" else ""
        axes[0].set_title(f"a positive row{times}", fontsize="small")
        axes[0].legend(fontsize="small")
        if self.link == "logit":
            axes[2].set_title("dotted: negative", fontsize="small")
        self.axes_, self.figure_ = axes, axes[0].figure
        return self
