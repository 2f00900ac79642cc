"""Recall and precision against alerts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from focal_gbm._alerts import cuts_of
from focal_gbm._checks import Float64Array, check_positive
from focal_gbm._plot import OfEstimator, axes_for


@dataclass
class AlertCurveDisplay(OfEstimator):
    """Recall and precision against the number of alerts a day.

    One threshold for all days: what a team sees that alerts from a score on. The budget
    is marked, with what is reached within it.

    Parameters
    ----------
    alerts : ndarray of shape (n_thresholds,)
        Alerts a day, increasing.
    recall, precision : ndarray of shape (n_thresholds,)
    budget : float or None
        Alerts a day that can be reviewed.
    name : str or None
        Of the model, for the legend.

    Attributes
    ----------
    ax_, figure_, lines_
        What was drawn last.

    Examples
    --------
    >>> from focal_gbm.plotting import AlertCurveDisplay
    >>> y, score = [1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.2, 0.1]
    >>> display = AlertCurveDisplay.from_predictions(y, score, n_days=1, budget=2)
    >>> display.recall.tolist()
    [0.5, 0.5, 1.0, 1.0, 1.0]
    """

    alerts: Float64Array
    recall: Float64Array
    precision: Float64Array
    budget: float | None = None
    name: str | None = None
    ax_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    lines_: list[Any] = field(default_factory=list, init=False, repr=False)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike,
        *,
        n_days: float,
        budget: float | None = None,
        sample_weight: ArrayLike | None = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> AlertCurveDisplay:
        """Draw the curves of labels and scores.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels, 1 for fraud, at least one.
        y_score : array-like of shape (n_samples,)
            Scores, higher for fraud.
        n_days : float > 0
            Days that the rows cover.
        budget : float > 0 or None, default=None
            Alerts a day to mark.
        sample_weight : array-like of shape (n_samples,) or None, default=None
        name : str or None, default=None
            For the legend.
        ax : matplotlib axes or None, default=None
        **kwargs
            For the lines.

        Returns
        -------
        display : AlertCurveDisplay
        """
        days = check_positive(n_days, "n_days")
        if budget is not None:
            check_positive(budget, "budget")
        cuts = cuts_of(y_true, y_score, sample_weight)
        if cuts.positive[-1] == 0:
            msg = "y_true must hold a fraud, got none"
            raise ValueError(msg)
        alerts = cuts.positive + cuts.negative
        kept = alerts > 0
        display = cls(
            alerts[kept] / days,
            cuts.positive[kept] / cuts.positive[-1],
            cuts.positive[kept] / alerts[kept],
            budget,
            name,
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> AlertCurveDisplay:
        """Draw on axes.

        Parameters
        ----------
        ax : matplotlib axes or None, default=None
            None: a figure of its own.
        **kwargs
            For the lines.

        Returns
        -------
        self : AlertCurveDisplay
        """
        ax = axes_for(ax)
        at, reached = -1, ""
        if self.budget is not None:
            at = int(np.searchsorted(self.alerts, self.budget, side="right")) - 1
            ax.axvline(self.budget, color="0.4", linestyle=":", linewidth=1)
        if at >= 0:
            reached = f": {self.recall[at]:.2f} and {self.precision[at]:.2f} at budget"
        # steps: between two thresholds nothing changes
        steps = {"where": "post", **kwargs}
        label = f"{self.name or 'model'}{reached}"
        (recall,) = ax.step(self.alerts, self.recall, label=label, **steps)
        steps = {"color": recall.get_color(), "linestyle": "--", **steps}
        (precision,) = ax.step(self.alerts, self.precision, **steps)
        self.lines_ = [recall, precision]
        if at >= 0:
            marks = [self.recall[at], self.precision[at]]
            ax.plot([self.budget] * 2, marks, "o", color=recall.get_color(), ms=4)
        ax.set(
            xscale="log",
            ylim=(0, 1.02),
            xlabel="Alerts a day",
            ylabel="Recall (solid), precision (dashed)",
        )
        # above, where it hides no curve
        ax.legend(
            fontsize="small",
            frameon=False,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            borderaxespad=0.2,
        )
        self.ax_, self.figure_ = ax, ax.figure
        return self
