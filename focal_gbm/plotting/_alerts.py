"""Picture of recall and precision against alerts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from focal_gbm._validation import Float64Array, check_positive
from focal_gbm.metrics._alerts import cuts_from, days_covered, n_within
from focal_gbm.plotting._axes import axes_for, predictions_of


@dataclass
class AlertCurveDisplay:
    """Draw recall and precision against the number of alerts a day.

    One threshold serves all days, as for a team that alerts from a score on. The budget
    is marked, and the legend says which recall and precision it reaches.

    Parameters
    ----------
    alerts : ndarray of shape (n_thresholds,)
        Alerts a day, increasing.
    recall, precision : ndarray of shape (n_thresholds,)
        Shares in [0, 1]: of the frauds that are alerted, of the alerts that are fraud.
    budget : float or None
        Alerts a day that can be reviewed.
    name : str or None
        Name of the model, for the legend.

    Attributes
    ----------
    ax_, figure_, lines_
        Axes, figure and the two lines that were drawn last.

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
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        n_days: float | None = None,
        day: ArrayLike | None = None,
        budget: float | None = None,
        sample_weight: ArrayLike | None = None,
        pos_label: Any = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> AlertCurveDisplay:
        """Draw the curves of a fitted classifier.

        Parameters
        ----------
        estimator : classifier with ``predict_proba``
            A fitted one of two classes.
        X : array-like of shape (n_samples, n_features)
            Features, as the classifier takes them.
        y : array-like of shape (n_samples,)
            Labels, each a class of the classifier; at least one fraud.
        n_days : float > 0 or None, default=None
            Days that the rows cover; either this or ``day``.
        day : array-like of shape (n_samples,) or None, default=None
            Day of each row: a date, a whole number or a label; no time of day. The
            number of different days is taken for ``n_days``.
        budget : float > 0 or None, default=None
            Alerts a day to mark.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0, not all 0; None: 1 each.
        pos_label : label or None, default=None
            Label of fraud, whose column of ``predict_proba`` is taken; None: the second
            class, ``classes_[1]``.
        name : str or None, default=None
            Name of the model, for the legend; None: that of its class.
        ax : matplotlib axes or None, default=None
            None: a figure of its own.
        **kwargs
            For the lines.

        Returns
        -------
        display : AlertCurveDisplay

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
            n_days=n_days,
            day=day,
            budget=budget,
            sample_weight=sample_weight,
            name=type(estimator).__name__ if name is None else name,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_score: ArrayLike,
        *,
        n_days: float | None = None,
        day: ArrayLike | None = None,
        budget: float | None = None,
        sample_weight: ArrayLike | None = None,
        pos_label: Any = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> AlertCurveDisplay:
        """Draw the curves of labels and scores.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels: 0 and 1, booleans, or any two with ``pos_label``; at least one
            fraud.
        y_score : array-like of shape (n_samples,)
            Scores, higher for fraud; infinite ones rank, NaN is refused.
        n_days : float > 0 or None, default=None
            Days that the rows cover; either this or ``day``.
        day : array-like of shape (n_samples,) or None, default=None
            Day of each row: a date, a whole number or a label; no time of day. The
            number of different days is taken for ``n_days``.
        budget : float > 0 or None, default=None
            Alerts a day to mark.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0, not all 0; None: 1 each.
        pos_label : label or None, default=None
            Label of fraud, the class that ``y_score`` is for; None: 1, or True.
        name : str or None, default=None
            Name of the model, for the legend.
        ax : matplotlib axes or None, default=None
            None: a figure of its own.
        **kwargs
            For the lines.

        Returns
        -------
        display : AlertCurveDisplay

        Raises
        ------
        ValueError
            If not exactly one of ``n_days`` and ``day`` is given, there is no fraud,
            or other data cannot be used.
        """
        if budget is not None:
            check_positive(budget, "budget")
        cuts = cuts_from(y_true, y_score, sample_weight, pos_label)
        days = days_covered(n_days, day, np.size(y_score))
        if cuts.positive[-1] == 0:
            msg = "y_true must hold a fraud with a weight, got none"
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
        """Draw the two curves on axes.

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
            at = n_within(self.alerts, self.budget) - 1
            ax.axvline(self.budget, color="0.4", linestyle=":", linewidth=1)
        if at >= 0:
            reached = (
                f": recall {self.recall[at]:.2f}, precision {self.precision[at]:.2f} "
                "at budget"
            )
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
