"""Plot of the share of frauds that are reported, by age."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from focal_gbm._validation import Float64Array, check_real
from focal_gbm.delays import ReportingDelay
from focal_gbm.plotting._axes import axes_for

_POINTS = 400
_AHEAD = 1.25  # ages beyond the data, so that the tail is seen


@dataclass
class ReportingDelayDisplay:
    """Plot of the probability that a fraud has been reported, by its age.

    Use it to see how long labels need to become complete, and how much shorter the
    plain distribution of known delays is. The curve is dotted beyond the delays that
    the data show, where the tail alone determines it.

    Parameters
    ----------
    age : ndarray of shape (n_points,)
        Ages, increasing, in the unit of the estimator.
    maturity, low, high : ndarray of shape (n_points,)
        Probability that a fraud of each age has been reported, in (0, 1], and the ends
        of its confidence interval.
    plain : ndarray of shape (n_points,)
        Share of the known delays that are at most each age, in [0, 1].
    longest : float
        Delay at which the data end and the tail begins.
    name : str or None, default=None
        Name of the curve in the legend; None: "corrected for truncation".

    Attributes
    ----------
    ax_ : matplotlib axes
        Axes of the last drawing.
    figure_ : matplotlib figure
        Figure of the last drawing.
    line_ : matplotlib Line2D
        Curve of the last drawing, within the data.
    tail_line_ : matplotlib Line2D
        Curve of the last drawing, beyond the data.
    band_ : matplotlib collection
        Intervals of the last drawing.
    plain_line_ : matplotlib Line2D
        Plain distribution of the last drawing.

    See Also
    --------
    focal_gbm.delays.ReportingDelay : Estimate of the curve.

    Examples
    --------
    >>> from focal_gbm.delays import ReportingDelay
    >>> from focal_gbm.plotting import ReportingDelayDisplay
    >>> reporting = ReportingDelay(tail=None).fit([0, 1, 1, 2], [3, 1, 2, 2])
    >>> display = ReportingDelayDisplay.from_estimator(reporting, max_age=4)
    >>> bool((display.maturity <= display.plain + 0.5).all())
    True
    """

    age: Float64Array
    maturity: Float64Array
    low: Float64Array
    high: Float64Array
    plain: Float64Array
    longest: float
    name: str | None = None
    ax_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    line_: Any = field(default=None, init=False, repr=False)
    tail_line_: Any = field(default=None, init=False, repr=False)
    band_: Any = field(default=None, init=False, repr=False)
    plain_line_: Any = field(default=None, init=False, repr=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: ReportingDelay,
        *,
        level: float = 0.95,
        max_age: float | None = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> ReportingDelayDisplay:
        """Draw the curve of a fitted estimator.

        Parameters
        ----------
        estimator : ReportingDelay
            Fitted estimator. The curve of a group is that of ``groups_[label]``.
        level : float in (0, 1), default=0.95
            Confidence of the intervals.
        max_age : float > 0 or None, default=None
            Largest age on the axis; None: 1.25 times the largest delay.
        name : str or None, default=None
            Name of the curve in the legend; None: "corrected for truncation".
        ax : matplotlib axes or None, default=None
            Axes to draw on; None: axes of a new figure.
        **kwargs
            Keyword arguments of matplotlib's ``plot`` for the curve.

        Returns
        -------
        display : ReportingDelayDisplay

        Raises
        ------
        TypeError
            If ``estimator`` is not a fitted ``ReportingDelay``, or ``level`` or
            ``max_age`` is not a number.
        ValueError
            If ``level`` or ``max_age`` is out of range, or ``ax`` is not matplotlib
            axes.

        Examples
        --------
        >>> from focal_gbm.delays import ReportingDelay
        >>> from focal_gbm.plotting import ReportingDelayDisplay
        >>> reporting = ReportingDelay(tail=None).fit([0, 1, 1, 2], [3, 1, 2, 2])
        >>> ReportingDelayDisplay.from_estimator(reporting).longest
        2.0
        """
        if not isinstance(estimator, ReportingDelay) or not hasattr(
            estimator, "curve_"
        ):
            msg = (
                f"estimator must be a fitted ReportingDelay, got {estimator!r}; call "
                "its fit first"
            )
            raise TypeError(msg)
        if max_age is None:
            # all delays may be 0
            top = _AHEAD * float(estimator.delays_[-1]) or 1.0
        else:
            top = check_real(max_age, "max_age", low=0.0, open_ends=True)
        age = np.linspace(0.0, top, _POINTS + 1)
        if 0.0 < estimator.longest_ < top:
            age = np.union1d(age, [estimator.longest_])
        low, high = estimator.interval(age, level=level)
        share = np.cumsum(estimator.weights_) / estimator.weights_.sum()
        place = np.searchsorted(estimator.delays_, age, side="right")
        display = cls(
            age,
            estimator.maturity(age),
            low,
            high,
            np.r_[0.0, share][place],
            estimator.longest_,
            name,
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> ReportingDelayDisplay:
        """Draw the curve, its intervals and the plain distribution on axes.

        Parameters
        ----------
        ax : matplotlib axes or None, default=None
            Axes to draw on; None: axes of a new figure.
        **kwargs
            Keyword arguments of matplotlib's ``plot`` for the curve.

        Returns
        -------
        self : ReportingDelayDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If ``ax`` is not matplotlib axes.

        Examples
        --------
        >>> from focal_gbm.delays import ReportingDelay
        >>> from focal_gbm.plotting import ReportingDelayDisplay
        >>> reporting = ReportingDelay(tail=None).fit([0, 1, 1, 2], [3, 1, 2, 2])
        >>> display = ReportingDelayDisplay.from_estimator(reporting)
        >>> display.plot(color="black").ax_.get_ylabel()
        'Share of frauds reported'
        """
        ax = axes_for(ax)
        inside, beyond = self.age <= self.longest, self.age >= self.longest
        style = {"label": self.name or "corrected for truncation", **kwargs}
        (self.line_,) = ax.plot(self.age[inside], self.maturity[inside], **style)
        colour = self.line_.get_color()
        (self.tail_line_,) = ax.plot(
            self.age[beyond], self.maturity[beyond], ":", color=colour
        )
        self.band_ = ax.fill_between(
            self.age, self.low, self.high, color=colour, alpha=0.2, linewidth=0
        )
        # one entry in the legend for all curves on these axes
        named = any(line.get_label() == "plain distribution" for line in ax.lines)
        (self.plain_line_,) = ax.plot(
            self.age,
            self.plain,
            "--",
            color=colour,
            linewidth=1,
            label=None if named else "plain distribution",
        )
        ax.set(
            xlabel="Age of the fraud",
            ylabel="Share of frauds reported",
            ylim=(0.0, 1.02),
        )
        ax.set_xlim(left=0.0)
        ax.legend(fontsize="small", loc="lower right")
        self.ax_, self.figure_ = ax, ax.figure
        return self
