"""Plot of observed against predicted rates of positives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import expit, logit
from scipy.stats import beta

from focal_gbm._validation import (
    Float64Array,
    check_count,
    check_labels,
    check_option,
    check_probabilities,
    check_real,
)
from focal_gbm.metrics._rows import scores_of, weights_or_ones
from focal_gbm.plotting._axes import COLOURS, axes_for, predictions_of

_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99)
# Half a mark, as a share of an axis, so that marks at its ends are not cut off.
_ROOM = 0.012


@dataclass
class ReliabilityDisplay:
    """Plot of observed against predicted rates, in bins of equally many positives.

    Use it to see whether probabilities of a rare class are calibrated. Bins of equally
    many rows would put all frauds into the last bin. Both axes are logarithmic, or of
    log-odds, since most rates lie between 0.0001 and 0.1. Bars are Jeffreys intervals
    of the observed rate, quantiles of a beta distribution [1]_. Rates beyond the axes,
    such as a rate of 1 on the scale of log-odds, are drawn at the edge.

    Parameters
    ----------
    predicted, observed : ndarray of shape (n_bins,)
        Mean probability and rate of positives of each bin, in [0, 1].
    low, high : ndarray of shape (n_bins,)
        Ends of the intervals of the observed rate.
    probability : ndarray of shape (n_samples,)
        Predicted probabilities of all rows, for the histogram.
    rate : float in (0, 1]
        Rate of positives in all rows.
    name : str or None, default=None
        Name of the model in the legend; None: "model".

    Attributes
    ----------
    ax_ : matplotlib axes
        Axes of the last drawing.
    figure_ : matplotlib figure
        Figure of the last drawing.
    line_ : matplotlib ErrorbarContainer
        Points and bars of the last drawing.
    histogram_ : matplotlib StepPatch
        Histogram of the last drawing.

    See Also
    --------
    focal_gbm.metrics.calibration_in_the_large : Predicted over observed positives.
    focal_gbm.metrics.calibration_slope : Slope of the log-odds.
    focal_gbm.LogOddsCalibrator : Corrects what the picture shows.
    focal_gbm.plotting.CalibrationByPeriodDisplay :
        Predicted over observed positives in time.

    References
    ----------
    .. [1] L. D. Brown, T. T. Cai, A. DasGupta. Interval estimation for a binomial
       proportion. Statistical Science 16(2), 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from focal_gbm.plotting import ReliabilityDisplay
    >>> rng = np.random.default_rng(0)
    >>> p = rng.beta(0.5, 20, 5000)
    >>> y = rng.random(5000) < p
    >>> display = ReliabilityDisplay.from_predictions(y, p, n_bins=5)
    >>> bool(((display.low < display.predicted) & (display.predicted < display.high))
    ...     .mean() >= 0.8)
    True
    """

    predicted: Float64Array
    observed: Float64Array
    low: Float64Array
    high: Float64Array
    probability: Float64Array
    rate: float
    name: str | None = None
    ax_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    line_: Any = field(default=None, init=False, repr=False)
    histogram_: Any = field(default=None, init=False, repr=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        n_bins: int = 10,
        confidence: float = 0.95,
        sample_weight: ArrayLike | None = None,
        pos_label: Any = None,
        name: str | None = None,
        ax: Any = None,
        scale: str = "log",
        **kwargs: Any,
    ) -> ReliabilityDisplay:
        """Draw the reliability of a fitted classifier.

        Parameters
        ----------
        estimator : classifier
            Fitted classifier of two classes with ``predict_proba``.
        X : array-like of shape (n_samples, n_features)
            Features, in the form that ``estimator.predict_proba`` accepts.
        y : array-like of shape (n_samples,)
            Labels, each a class of the classifier; at least one positive.
        n_bins : int >= 1, default=10
            Largest number of bins; there are never more than positives.
        confidence : float in (0, 1), default=0.95
            Confidence of the intervals.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0, not all 0; None: 1 each. Intervals treat a weight as a
            number of equal rows.
        pos_label : label or None, default=None
            Label of the positive class, of which the column of ``predict_proba`` is
            used; None: the second class, ``classes_[1]``.
        name : str or None, default=None
            Name of the model in the legend; None: the name of its class.
        ax : matplotlib axes or None, default=None
            Axes to draw on; None: axes of a new figure.
        scale : {"log", "logit"}, default="log"
            Scale of both axes: "log" of probabilities, or "logit" for log-odds.
        **kwargs
            Keyword arguments of matplotlib's ``errorbar``.

        Returns
        -------
        display : ReliabilityDisplay

        Raises
        ------
        TypeError
            If ``estimator`` is not a fitted classifier with ``predict_proba``, or
            ``n_bins`` or ``confidence`` is not a number.
        ValueError
            If a label is not a class of the classifier, there is no positive with a
            weight > 0, a weight is negative or not finite, lengths differ, a parameter
            is out of range, or ``scale`` is unknown.

        Examples
        --------
        >>> from sklearn.linear_model import LogisticRegression
        >>> from focal_gbm.plotting import ReliabilityDisplay
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]
        >>> model = LogisticRegression().fit(X, y)
        >>> display = ReliabilityDisplay.from_estimator(model, X, y)
        >>> float(display.rate)
        0.5
        """
        y, p = predictions_of(estimator, X, y, pos_label)
        return cls.from_predictions(
            y,
            p,
            n_bins=n_bins,
            confidence=confidence,
            sample_weight=sample_weight,
            name=type(estimator).__name__ if name is None else name,
            ax=ax,
            scale=scale,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_prob: ArrayLike,
        *,
        n_bins: int = 10,
        confidence: float = 0.95,
        sample_weight: ArrayLike | None = None,
        pos_label: Any = None,
        name: str | None = None,
        ax: Any = None,
        scale: str = "log",
        **kwargs: Any,
    ) -> ReliabilityDisplay:
        """Draw the reliability of labels and probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels: 0 and 1, booleans, or any two labels with ``pos_label``; at least
            one positive.
        y_prob : array-like of shape (n_samples,)
            Probabilities of the positive class, in [0, 1].
        n_bins : int >= 1, default=10
            Largest number of bins; there are never more than positives.
        confidence : float in (0, 1), default=0.95
            Confidence of the intervals.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0, not all 0; None: 1 each. Intervals treat a weight as a
            number of equal rows.
        pos_label : label or None, default=None
            Label of the positive class; None: 1, or True.
        name : str or None, default=None
            Name of the model in the legend; None: "model".
        ax : matplotlib axes or None, default=None
            Axes to draw on; None: axes of a new figure.
        scale : {"log", "logit"}, default="log"
            Scale of both axes: "log" of probabilities, or "logit" for log-odds.
        **kwargs
            Keyword arguments of matplotlib's ``errorbar``.

        Returns
        -------
        display : ReliabilityDisplay

        Raises
        ------
        TypeError
            If ``n_bins`` or ``confidence`` is not a number.
        ValueError
            If a label is not one of two classes, there is no positive with a weight
            > 0, a probability is not in [0, 1], a weight is negative or not finite,
            lengths differ, a parameter is out of range, or ``scale`` is unknown.

        Examples
        --------
        >>> from focal_gbm.plotting import ReliabilityDisplay
        >>> display = ReliabilityDisplay.from_predictions(
        ...     [0, 1, 0, 1], [0.1, 0.2, 0.6, 0.8], n_bins=1, scale="logit")
        >>> display.predicted.round(3).tolist(), display.observed.tolist()
        ([0.425], [0.5])
        """
        check_option(scale, "scale", ("log", "logit"))
        p = check_probabilities(scores_of(y_prob, "y_prob"))
        y = check_labels(y_true, len(p), pos_label=pos_label)
        weight = weights_or_ones(sample_weight, len(p))
        most_bins = check_count(n_bins, "n_bins")
        outside = 1 - check_real(
            confidence, "confidence", low=0, high=1, open_ends=True
        )
        order = np.argsort(p, kind="stable")
        found = np.cumsum((weight * y)[order])
        if found[-1] == 0:
            msg = "y_true must hold a positive with a weight, got none"
            raise ValueError(msg)
        share = found[-1] / min(most_bins, int((weight * y > 0).sum()))
        # a bin ends at a positive; rows after the last positive join the last bin, and
        # rows of equal probability stay together, in whichever order they come
        ranked = p[order]
        first = np.searchsorted(ranked, ranked, side="left")
        before = np.append(0.0, found[:-1])[first]
        bins = np.floor(before / share + 1e-9).astype(int)
        bins = np.minimum(bins, round(found[-1] / share) - 1)
        table = pd.DataFrame(
            {
                "weight": weight[order],
                "p": (weight * p)[order],
                "y": (weight * y)[order],
            }
        )
        sums = table.groupby(bins).sum()
        positive, total = sums["y"].to_numpy(), sums["weight"].to_numpy()
        # Jeffreys' prior is a beta distribution with both parameters 1/2
        a, b = positive + 0.5, total - positive + 0.5
        display = cls(
            sums["p"].to_numpy() / total,
            positive / total,
            beta.ppf(outside / 2, a, b),
            beta.ppf(1 - outside / 2, a, b),
            p,
            float(found[-1] / weight.sum()),
            name,
        )
        return display.plot(ax, scale=scale, **kwargs)

    def plot(
        self, ax: Any = None, *, scale: str = "log", **kwargs: Any
    ) -> ReliabilityDisplay:
        """Draw the points, their bars and the histogram on axes.

        Parameters
        ----------
        ax : matplotlib axes or None, default=None
            Axes to draw on; None: axes of a new figure.
        scale : {"log", "logit"}, default="log"
            Scale of both axes: "log" of probabilities, or "logit" for log-odds.
        **kwargs
            Keyword arguments of matplotlib's ``errorbar``.

        Returns
        -------
        self : ReliabilityDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If ``ax`` is not matplotlib axes, or ``scale`` is unknown.

        Examples
        --------
        >>> from focal_gbm.plotting import ReliabilityDisplay
        >>> display = ReliabilityDisplay.from_predictions([0, 1], [0.1, 0.9], name="a")
        >>> display.plot(scale="logit").ax_.get_xscale()
        'logit'
        """
        check_option(scale, "scale", ("log", "logit"))
        ax = axes_for(ax)
        is_first = not ax.has_data()
        if is_first:
            ax.set(xscale=scale, yscale=scale)
        top = 0.999 if scale == "logit" else 1.0
        forward, back = (logit, expit) if scale == "logit" else (np.log, np.exp)
        # bins far below the rate would take most of the axis: draw them at the edge
        low = min(
            max(0.5 * float(self.predicted.min()), self.rate / 100), self.rate / 3
        )
        if is_first:
            ax.plot([1e-9, 0.999], [1e-9, 0.999], color="0.6", linewidth=1, zorder=1)
        else:
            # the lower limit of the earlier models, without the room for their marks
            edge = (forward(ax.get_xlim()[0]) + _ROOM * forward(top)) / (1 + _ROOM)
            low = min(low, float(back(edge)))
        # 0, and on log-odds 1, lie at infinity on these axes
        x, y, below, above = (
            np.clip(ends, low, top)
            for ends in (self.predicted, self.observed, self.low, self.high)
        )
        arms = np.maximum(np.vstack([y - below, above - y]), 0.0)
        style = {"marker": "o", "markersize": 4, "linewidth": 1, "capsize": 2, **kwargs}
        # by the number of models drawn, not by the cycle: the histogram needs it too
        colour = COLOURS[sum(c.get_label() != "" for c in ax.containers) % len(COLOURS)]
        style.setdefault("color", colour)
        self.line_ = ax.errorbar(x, y, arms, label=self.name or "model", **style)
        if scale == "logit":
            # plain numbers in place of matplotlib's labels, such as 1 - 10^-2
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_ticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
                axis.set_ticks([], minor=True)
        room = _ROOM * (forward(top) - forward(low))
        limits = back([forward(low) - room, forward(top) + room])
        ax.set(
            xlim=limits,
            ylim=limits,
            xlabel="Predicted probability",
            ylabel="Observed rate",
        )
        self._draw_histogram(ax, low, scale, style["color"])
        ax.legend(fontsize="small", loc="upper left")
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw_histogram(self, ax: Any, low: float, scale: str, colour: str) -> None:
        """Draw a histogram of the predictions on a strip at the bottom."""
        # all models share a strip: reuse the strip of an earlier model
        strip = next((c for c in ax.child_axes if c.get_label() == "rows"), None)
        if strip is None:
            strip = ax.inset_axes([0, 0, 1, 0.16], label="rows", zorder=0)
            strip.axis("off")
            strip.set(xscale=scale, yscale="log")
        edges = np.geomspace(low, 0.999, 40)
        if scale == "logit":
            edges = expit(np.linspace(logit(low), logit(0.999), 40))
        counts, _ = np.histogram(np.clip(self.probability, low, 0.999), edges)
        self.histogram_ = strip.stairs(counts + 0.5, edges, color=colour, alpha=0.6)
        strip.set_xlim(ax.get_xlim())
