"""Plot of the loss and its derivatives."""

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
    """Plot of loss, gradient and Hessian of a positive row, for several gammas.

    Use it to see the effect of gamma on the derivatives, and the scores at which the
    positive rows of a model lie. In the classic form the Hessian can be negative, and
    its line is dotted there: a booster that sums such Hessians steps in the wrong
    direction.

    With ``link="posterior"`` all values are multiplied by 1 + gamma, like those that
    the objective returns to a booster. Focal loss is then log-loss with a weight that
    depends on the log-odds alone. Uncertain rows, whose log-odds are near 0, weigh less
    than the others: 0.67 times as much at gamma 2, 0.15 times at gamma 5. Confident
    rows keep their weight, whether right or wrong.

    Parameters
    ----------
    gammas : sequence of float in [0, 1000], default=(0.0, 1.0, 2.0, 5.0)
        Focusing parameters, one line each; 0 is log-loss.
    alpha : float in (0, 1) or None, default=None
        Weight of the positive class; None: both classes weigh 1.
    link : {"logit", "posterior"}, default="logit"
        Scale of the raw score: "logit" is the logit of the focal score, as in the
        classic form; "posterior" is the log-odds of the positive class.
    raw_prediction : ndarray of shape (n_positives,) or None, default=None
        Finite raw scores of positive rows, drawn as marks at the bottom; None: no
        marks.

    Attributes
    ----------
    axes_ : ndarray of shape (3,)
        Axes of the last drawing.
    figure_ : matplotlib figure
        Figure of the last drawing.

    Raises
    ------
    TypeError
        If ``gammas`` is not a sequence of numbers, or ``alpha`` is not a number.
    ValueError
        If a gamma or ``alpha`` is out of range, ``link`` is unknown, or a raw score is
        not finite.

    See Also
    --------
    focal_gbm.FocalLoss : The formulas.
    focal_gbm.FocalObjective : The loss as an objective of LightGBM and XGBoost.

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
            FocalLoss(gamma, self.alpha, self.link)  # for its checks: fail before plot
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
            Fitted estimator.
        X : array-like of shape (n_samples, n_features) or None, default=None
            Features of rows whose raw scores are marked if they are positive. Pass both
            ``X`` and ``y``, or neither.
        y : array-like of shape (n_samples,) or None, default=None
            Labels of the rows of ``X``, each a class of the estimator.
        pos_label : label or None, default=None
            Label of the positive class, of which loss, weight and raw scores are drawn;
            None: the second class, ``classes_[1]``.
        ax : array-like of three matplotlib axes or None, default=None
            Axes to draw on; None: axes of a new figure.

        Returns
        -------
        display : FocalLossDisplay

        Raises
        ------
        TypeError
            If ``estimator`` is not fitted or not of this library.
        ValueError
            If only one of ``X`` and ``y`` is passed, or a label is not a class of the
            estimator.

        Examples
        --------
        >>> from focal_gbm import FocalLGBMClassifier
        >>> from focal_gbm.plotting import FocalLossDisplay
        >>> X, y = [[i] for i in range(100)], [0] * 90 + [1] * 10
        >>> model = FocalLGBMClassifier(n_estimators=2, verbose=-1).fit(X, y)
        >>> display = FocalLossDisplay.from_estimator(model, X, y)
        >>> display.raw_prediction.shape
        (10,)
        """
        loss = getattr(estimator, "loss_", None)
        if not isinstance(loss, FocalLoss):
            msg = (
                "estimator must be a fitted FocalLGBMClassifier or FocalXGBClassifier, "
                f"got {estimator!r}"
            )
            raise TypeError(msg)
        if (X is None) != (y is None):
            alone = "X" if y is None else "y"
            msg = (
                f"X and y must be passed together, got {alone} alone: marks need "
                "features and labels"
            )
            raise ValueError(msg)
        # without rows, classes_ in place of labels: they check pos_label all the same
        labels = estimator.classes_ if y is None else y
        codes, column = codes_in(labels, estimator.classes_, pos_label)
        alpha, raw = loss.alpha, None
        # the estimator's alpha and raw scores are those of its second class
        if column == 0 and alpha is not None:
            alpha = 1.0 - alpha
        if X is not None:
            # not by decision_function, which may be calibrated
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
        """Draw the loss, with marks at the raw scores of the positive rows.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels: 0 and 1, booleans, or any two labels with ``pos_label``.
        raw_prediction : array-like of shape (n_samples,)
            Finite raw scores of the positive class, on the scale of ``link``.
        gammas : sequence of float in [0, 1000], default=(0.0, 1.0, 2.0, 5.0)
            Focusing parameters, one line each; 0 is log-loss.
        alpha : float in (0, 1) or None, default=None
            Weight of the positive class; None: both classes weigh 1.
        link : {"logit", "posterior"}, default="logit"
            Scale of the raw score: "logit" is the logit of the focal score, as in the
            classic form; "posterior" is the log-odds of the positive class.
        pos_label : label or None, default=None
            Label of the positive class; None: 1, or True.
        ax : array-like of three matplotlib axes or None, default=None
            Axes to draw on; None: axes of a new figure.

        Returns
        -------
        display : FocalLossDisplay

        Raises
        ------
        TypeError
            If ``gammas`` is not a sequence of numbers, or ``alpha`` is not a number.
        ValueError
            If a label is not one of two classes, a raw score is not finite, lengths
            differ, there is no row, a gamma or ``alpha`` is out of range, or ``link``
            is unknown.

        Examples
        --------
        >>> from focal_gbm.plotting import FocalLossDisplay
        >>> display = FocalLossDisplay.from_predictions([0, 1, 1], [-4.0, -1.0, 2.0])
        >>> display.raw_prediction.tolist()
        [-1.0, 2.0]
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
        ax : array-like of three matplotlib axes or None, default=None
            Axes to draw on; None: axes of a new figure.

        Returns
        -------
        self : FocalLossDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If ``ax`` is not three matplotlib axes.

        Examples
        --------
        >>> from focal_gbm.plotting import FocalLossDisplay
        >>> display = FocalLossDisplay(gammas=[2.0], link="posterior").plot()
        >>> display.axes_[0].get_xlabel()
        'Raw score (log-odds)'
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
            # the last line is the Hessian's: its negative part becomes a dotted line
            line.set_data(z, np.where(hessian >= 0, hessian, np.nan))
            wrong = np.where(hessian < 0, hessian, np.nan)
            axes[2].plot(z, wrong, ":", color=line.get_color())
        scale = "log-odds" if self.link == "posterior" else "logit of the focal score"
        # marks after the curves, which set the lower limits
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
