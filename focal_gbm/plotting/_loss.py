"""Picture of the loss and its derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from focal_gbm._validation import Float64Array, check_finite_vector, check_labels
from focal_gbm.loss import FocalLoss
from focal_gbm.metrics._rows import codes_in, numbers
from focal_gbm.plotting._axes import axes_for


@dataclass
class FocalLossDisplay:
    """Draw loss, gradient and Hessian of a positive row, for several gammas.

    Where the Hessian is negative, in the classic form, its line is dotted: there a
    booster that sums Hessians as they are takes the step the wrong way. With
    ``link="posterior"`` all is times 1 + gamma, as the objective hands it over: focal
    loss is log-loss with a weight that depends on the log-odds alone. Rows whose
    log-odds are near 0, which are uncertain, weigh less (0.67 of the others with gamma
    2, 0.15 with gamma 5); confident rows, right or wrong, keep their weight.

    Parameters
    ----------
    gammas : sequence of float >= 0, default=(0.0, 1.0, 2.0, 5.0)
        Focusing parameters, a line each; 0 is log-loss.
    alpha : float in (0, 1) or None, default=None
        Weight of the positive class; None: both classes weigh 1.
    link : {"logit", "posterior"}, default="logit"
        Scale of the raw score: logit of the focal score, the classic form, or log-odds.
    raw_prediction : ndarray of shape (n_positives,) or None, default=None
        Finite raw scores of positive rows, drawn as marks at the bottom.

    Attributes
    ----------
    axes_, figure_
        The three axes and the figure that were drawn last.

    Raises
    ------
    TypeError
        If ``gammas`` is no sequence of numbers.
    ValueError
        If a gamma, alpha or link cannot be used, or a raw score is not finite.

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

    def __post_init__(self) -> None:
        if np.ndim(self.gammas) != 1 or len(self.gammas) == 0:
            msg = f"gammas must be a sequence such as [0.0, 2.0], got {self.gammas!r}"
            raise TypeError(msg)
        for gamma in self.gammas:
            FocalLoss(gamma, self.alpha, self.link)  # checks them
        if self.raw_prediction is not None:
            raw = numbers(self.raw_prediction, "raw_prediction")
            self.raw_prediction = check_finite_vector(raw, "raw_prediction")

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        y: ArrayLike | None = None,
        *,
        pos_label: Any = None,
        ax: Any = None,
    ) -> FocalLossDisplay:
        """Draw the loss of a fitted estimator of this library beside log-loss.

        Parameters
        ----------
        estimator : FocalLGBMClassifier or FocalXGBClassifier
            A fitted one.
        X : array-like of shape (n_samples, n_features) or None, default=None
            Features; with ``y``, the raw scores of the positive rows are marked.
        y : array-like of shape (n_samples,) or None, default=None
            Labels, each a class of the estimator; given if and only if ``X`` is.
        pos_label : label or None, default=None
            Label of the positive class, whose loss, weight and raw scores are drawn;
            None: the second class, ``classes_[1]``.
        ax : three matplotlib axes or None, default=None
            None: a figure of their own.

        Returns
        -------
        display : FocalLossDisplay

        Raises
        ------
        TypeError
            If the estimator is not fitted or not of this library.
        ValueError
            If only one of ``X`` and ``y`` is given, or a label is no class.
        """
        loss = getattr(estimator, "loss_", None)
        if not isinstance(loss, FocalLoss):
            msg = (
                "estimator must be a fitted FocalLGBMClassifier or FocalXGBClassifier, "
                f"got {estimator!r}"
            )
            raise TypeError(msg)
        if (X is None) != (y is None):
            msg = "X and y must be given together: marks need features and labels"
            raise ValueError(msg)
        labels = estimator.classes_ if y is None else y
        codes, column = codes_in(labels, estimator.classes_, pos_label)
        alpha, raw = loss.alpha, None
        if column == 0 and alpha is not None:
            alpha = 1.0 - alpha
        if X is not None:
            # not of decision_function, which may be calibrated
            raw = np.asarray(estimator._raw_score(X), dtype=np.float64)[codes > 0]
            raw = raw if column else -raw
        return cls(sorted({0.0, loss.gamma}), alpha, loss.link, raw).plot(ax)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        raw_prediction: ArrayLike,
        *,
        gammas: Sequence[float] = (0.0, 1.0, 2.0, 5.0),
        alpha: float | None = None,
        link: str = "logit",
        pos_label: Any = None,
        ax: Any = None,
    ) -> FocalLossDisplay:
        """Draw the loss, and where the positive rows lie on it.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels: 0 and 1, booleans, or any two with ``pos_label``.
        raw_prediction : array-like of shape (n_samples,)
            Finite raw scores of the positive class, on the scale of ``link``.
        gammas : sequence of float >= 0, default=(0.0, 1.0, 2.0, 5.0)
            Focusing parameters, a line each; 0 is log-loss.
        alpha : float in (0, 1) or None, default=None
            Weight of the positive class; None: both classes weigh 1.
        link : {"logit", "posterior"}, default="logit"
            Scale of the raw score: logit of the focal score, the classic form, or
            log-odds.
        pos_label : label or None, default=None
            Label of the positive class; None: 1, or True.
        ax : three matplotlib axes or None, default=None
            None: a figure of their own.

        Returns
        -------
        display : FocalLossDisplay

        Raises
        ------
        TypeError
            If ``gammas`` is no sequence of numbers.
        ValueError
            If a label, raw score or parameter cannot be used, or there is no row.
        """
        raw = numbers(raw_prediction, "raw_prediction")
        if len(raw) == 0:
            msg = "raw_prediction must hold at least one row, got none"
            raise ValueError(msg)
        check_finite_vector(raw, "raw_prediction")
        positive = check_labels(y_true, len(raw), pos_label=pos_label) > 0
        return cls(gammas, alpha, link, raw[positive]).plot(ax)

    def plot(self, ax: Any = None) -> FocalLossDisplay:
        """Draw the loss, its gradient and its Hessian on three axes.

        Parameters
        ----------
        ax : three matplotlib axes or None, default=None
            None: a figure of their own.

        Returns
        -------
        self : FocalLossDisplay
        """
        axes = axes_for(ax, 3)
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
