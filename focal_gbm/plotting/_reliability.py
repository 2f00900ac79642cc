"""Picture of predicted against observed rates."""

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
from focal_gbm.metrics._rows import scores_of, weights_of
from focal_gbm.plotting._axes import COLOURS, axes_for, predictions_of

_TICKS = (1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 0.9, 0.99)
# Half a mark, as a share of an axis: marks at its ends are to be whole.
_ROOM = 0.012


@dataclass
class ReliabilityDisplay:
    """Draw observed against predicted rates, in bins of equally many positives.

    Bins of equally many rows would put all frauds into the last. Both axes are
    logarithmic, or of log-odds, since what matters lies between 0.0001 and 0.1; bars
    are intervals of the observed rate (Jeffreys: quantiles of a beta distribution).
    What lies beyond the axes, such as a rate of 1 on log-odds, is drawn at their edge.

    Parameters
    ----------
    predicted, observed : ndarray of shape (n_bins,)
        Mean probability and rate of positives of each bin.
    low, high : ndarray of shape (n_bins,)
        Ends of the intervals of the observed rate.
    probability : ndarray of shape (n_samples,)
        All predictions, for the histogram.
    rate : float in (0, 1]
        Rate of positives in all rows.
    name : str or None
        Name of the model, for the legend.

    Attributes
    ----------
    ax_, figure_, line_, histogram_
        Axes, figure, points with their bars, and histogram that were drawn last.

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
        estimator : classifier with ``predict_proba``
            A fitted one of two classes.
        X : array-like of shape (n_samples, n_features)
            Features, as the classifier takes them.
        y : array-like of shape (n_samples,)
            Labels, each a class of the classifier; at least one positive.
        n_bins : int >= 1, default=10
            Number of bins; fewer where there are fewer positives.
        confidence : float in (0, 1), default=0.95
            Confidence of the intervals.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0, not all 0, which intervals take for numbers of rows;
            None: 1 each.
        pos_label : label or None, default=None
            Label of the positive class, whose column of ``predict_proba`` is taken;
            None: the second class, ``classes_[1]``.
        name : str or None, default=None
            Name of the model, for the legend; None: that of its class.
        ax : matplotlib axes or None, default=None
            None: a figure of its own.
        scale : {"log", "logit"}, default="log"
            Scale of both axes: logarithms of probabilities, or log-odds.
        **kwargs
            For the points and bars.

        Returns
        -------
        display : ReliabilityDisplay

        Raises
        ------
        TypeError
            If the estimator is no fitted classifier with ``predict_proba``.
        ValueError
            If a label is no class, or other data cannot be used.
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
            Labels: 0 and 1, booleans, or any two with ``pos_label``; at least one
            positive.
        y_prob : array-like of shape (n_samples,)
            Probabilities of the positive class, in [0, 1].
        n_bins : int >= 1, default=10
            Number of bins; fewer where there are fewer positives.
        confidence : float in (0, 1), default=0.95
            Confidence of the intervals.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0, not all 0, which intervals take for numbers of rows;
            None: 1 each.
        pos_label : label or None, default=None
            Label of the positive class; None: 1, or True.
        name : str or None, default=None
            Name of the model, for the legend.
        ax : matplotlib axes or None, default=None
            None: a figure of its own.
        scale : {"log", "logit"}, default="log"
            Scale of both axes: logarithms of probabilities, or log-odds.
        **kwargs
            For the points and bars.

        Returns
        -------
        display : ReliabilityDisplay

        Raises
        ------
        ValueError
            If there is no positive, or other data or parameters cannot be used.
        """
        check_option(scale, "scale", ("log", "logit"))
        p = check_probabilities(scores_of(y_prob, "y_prob"))
        y = check_labels(y_true, len(p), pos_label=pos_label)
        given = weights_of(sample_weight, len(p))
        weight = np.ones_like(p) if given is None else given
        wanted = check_count(n_bins, "n_bins")
        outside = 1 - check_real(
            confidence, "confidence", low=0, high=1, open_ends=True
        )
        order = np.argsort(p, kind="stable")
        caught = np.cumsum((weight * y)[order])
        if caught[-1] == 0:
            msg = "y_true must hold a positive with a weight, got none"
            raise ValueError(msg)
        share = caught[-1] / min(wanted, int((weight * y > 0).sum()))
        # a bin ends at a positive; the rows after the last one join the last bin
        bins = np.ceil(np.append(0.0, caught[:-1]) / share - 1e-9)
        bins = np.minimum(np.maximum(bins, 1), round(caught[-1] / share)).astype(int)
        table = pd.DataFrame(
            {
                "weight": weight[order],
                "p": (weight * p)[order],
                "y": (weight * y)[order],
            }
        )
        sums = table.groupby(bins).sum()
        positive, total = sums["y"].to_numpy(), sums["weight"].to_numpy()
        a, b = positive + 0.5, total - positive + 0.5
        display = cls(
            sums["p"].to_numpy() / total,
            positive / total,
            beta.ppf(outside / 2, a, b),
            beta.ppf(1 - outside / 2, a, b),
            p,
            float(caught[-1] / weight.sum()),
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
            None: a figure of its own.
        scale : {"log", "logit"}, default="log"
            Scale of both axes: logarithms of probabilities, or log-odds.
        **kwargs
            For the points and bars.

        Returns
        -------
        self : ReliabilityDisplay
        """
        check_option(scale, "scale", ("log", "logit"))
        ax = axes_for(ax)
        is_first = not ax.has_data()
        if is_first:
            ax.set(xscale=scale, yscale=scale)
        top = 0.999 if scale == "logit" else 1.0
        forward, back = (logit, expit) if scale == "logit" else (np.log, np.exp)
        # what lies far below the rate is not worth the room: it stands at the edge
        low = min(
            max(0.5 * float(self.predicted.min()), self.rate / 100), self.rate / 3
        )
        if is_first:
            ax.plot([1e-9, 0.999], [1e-9, 0.999], color="0.6", linewidth=1, zorder=1)
        else:
            # without the room that an earlier model's marks at the edge were given
            edge = (forward(ax.get_xlim()[0]) + _ROOM * forward(top)) / (1 + _ROOM)
            low = min(low, float(back(edge)))
        # 0 and 1 lie at infinity on these axes
        x, y, below, above = (
            np.clip(ends, low, top)
            for ends in (self.predicted, self.observed, self.low, self.high)
        )
        arms = np.maximum(np.vstack([y - below, above - y]), 0.0)
        style = {"marker": "o", "markersize": 4, "linewidth": 1, "capsize": 2, **kwargs}
        colour = COLOURS[sum(c.get_label() != "" for c in ax.containers) % len(COLOURS)]
        style.setdefault("color", colour)
        self.line_ = ax.errorbar(x, y, arms, label=self.name or "model", **style)
        if scale == "logit":
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
        """Draw how many rows lie where, on a strip at the bottom."""
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
