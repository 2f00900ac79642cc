"""Plot of recall and precision against the number of alerts a day."""

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
    """Plot of recall and precision against the number of alerts a day.

    Use it to choose how many alerts a day to review. Each point is one threshold, which
    is the same on all days. The budget is marked, and the legend shows the recall and
    the precision at the budget.

    Parameters
    ----------
    alerts : ndarray of shape (n_thresholds,)
        Number of alerts a day, increasing.
    recall : ndarray of shape (n_thresholds,)
        Share of the frauds that are alerted, in [0, 1].
    precision : ndarray of shape (n_thresholds,)
        Share of the alerts that are frauds, in [0, 1].
    budget : float or None, default=None
        Number of alerts a day that can be reviewed; None: no mark.
    name : str or None, default=None
        Name of the model in the legend; None: "model".

    Attributes
    ----------
    ax_ : matplotlib axes
        Axes of the last drawing.
    figure_ : matplotlib figure
        Figure of the last drawing.
    lines_ : list
        Lines of recall and precision of the last drawing.

    See Also
    --------
    focal_gbm.metrics.alert_threshold : Threshold for a budget.
    focal_gbm.metrics.recall_at_alert_rate : Recall of one point of the curve.
    focal_gbm.metrics.precision_at_alert_rate : Precision of one point of the curve.

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
    # set by plot; not parameters
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
        estimator : classifier
            Fitted classifier of two classes with ``predict_proba``.
        X : array-like of shape (n_samples, n_features)
            Features, in the form that ``estimator.predict_proba`` accepts.
        y : array-like of shape (n_samples,)
            Labels, each a class of the classifier; at least one fraud.
        n_days : float >= 1e-9 or None, default=None
            Number of days that the rows cover. Pass either ``n_days`` or ``day``.
        day : array-like of shape (n_samples,) or None, default=None
            Day of each row: a date, a whole number or a label, without a time of day.
            The number of different days is used as ``n_days``.
        budget : float > 0 or None, default=None
            Number of alerts a day to mark; None: no mark.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0, not all 0; None: 1 each.
        pos_label : label or None, default=None
            Label of fraud, of which the column of ``predict_proba`` is used; None: the
            second class, ``classes_[1]``.
        name : str or None, default=None
            Name of the model in the legend; None: the name of its class.
        ax : matplotlib axes or None, default=None
            Axes to draw on; None: axes of a new figure.
        **kwargs
            Keyword arguments of matplotlib for both lines.

        Returns
        -------
        display : AlertCurveDisplay

        Raises
        ------
        TypeError
            If ``estimator`` is not a fitted classifier with ``predict_proba``, or
            ``budget`` or ``n_days`` is not a number.
        ValueError
            If both or neither of ``n_days`` and ``day`` are passed, a label is not a
            class of the classifier, there is no fraud with a weight > 0, a day is
            missing or has a time of day, a weight is negative or not finite, lengths
            differ, or a number is out of range.

        Examples
        --------
        >>> from sklearn.linear_model import LogisticRegression
        >>> from focal_gbm.plotting import AlertCurveDisplay
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
        >>> model = LogisticRegression().fit(X, y)
        >>> display = AlertCurveDisplay.from_estimator(model, X, y, n_days=2)
        >>> display.alerts.tolist()
        [0.5, 1.0, 1.5, 2.0]
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
            Labels: 0 and 1, booleans, or any two labels with ``pos_label``; at least
            one fraud.
        y_score : array-like of shape (n_samples,)
            Scores, higher for fraud; infinite scores are ranked, NaN is refused.
        n_days : float >= 1e-9 or None, default=None
            Number of days that the rows cover. Pass either ``n_days`` or ``day``.
        day : array-like of shape (n_samples,) or None, default=None
            Day of each row: a date, a whole number or a label, without a time of day.
            The number of different days is used as ``n_days``.
        budget : float > 0 or None, default=None
            Number of alerts a day to mark; None: no mark.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Finite weights >= 0, not all 0; None: 1 each.
        pos_label : label or None, default=None
            Label of fraud, the class of which ``y_score`` is the score; None: 1, or
            True.
        name : str or None, default=None
            Name of the model in the legend; None: "model".
        ax : matplotlib axes or None, default=None
            Axes to draw on; None: axes of a new figure.
        **kwargs
            Keyword arguments of matplotlib for both lines.

        Returns
        -------
        display : AlertCurveDisplay

        Raises
        ------
        TypeError
            If ``budget`` or ``n_days`` is not a number.
        ValueError
            If both or neither of ``n_days`` and ``day`` are passed, a label is not one
            of two classes, there is no fraud with a weight > 0, a score is NaN, a day
            is missing or has a time of day, a weight is negative or not finite, lengths
            differ, or a number is out of range.

        Examples
        --------
        >>> from focal_gbm.plotting import AlertCurveDisplay
        >>> display = AlertCurveDisplay.from_predictions(
        ...     [1, 0, 1, 0], [0.9, 0.8, 0.7, 0.2], day=[1, 1, 2, 2])
        >>> display.precision.round(2).tolist()
        [1.0, 0.5, 0.67, 0.5]
        """
        if budget is not None:
            check_positive(budget, "budget")
        cuts = cuts_from(y_true, y_score, sample_weight, pos_label)
        days = days_covered(n_days, day, np.size(y_score))
        if cuts.positive[-1] == 0:  # recall is undefined
            msg = "y_true must hold a fraud with a weight, got none"
            raise ValueError(msg)
        alerts = cuts.positive + cuts.negative
        kept = alerts > 0  # precision is undefined where rows of weight 0 come first
        display = cls(
            alerts[kept] / days,
            cuts.positive[kept] / cuts.positive[-1],
            cuts.positive[kept] / alerts[kept],
            budget,
            name,
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> AlertCurveDisplay:
        """Draw recall and precision on axes.

        Parameters
        ----------
        ax : matplotlib axes or None, default=None
            Axes to draw on; None: axes of a new figure.
        **kwargs
            Keyword arguments of matplotlib for both lines.

        Returns
        -------
        self : AlertCurveDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If ``ax`` is not matplotlib axes.

        Examples
        --------
        >>> from focal_gbm.plotting import AlertCurveDisplay
        >>> display = AlertCurveDisplay([1.0, 2.0], [0.5, 1.0], [1.0, 1.0], name="tree")
        >>> [text.get_text() for text in display.plot().ax_.get_legend().get_texts()]
        ['tree']
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
        # steps: between two thresholds the alerts stay the same
        steps = {"where": "post", **kwargs}
        label = f"{self.name or 'model'}{reached}"
        (recall,) = ax.step(self.alerts, self.recall, label=label, **steps)
        # one colour a model: line styles separate recall and precision
        steps = {"color": recall.get_color(), "linestyle": "--", **steps}
        (precision,) = ax.step(self.alerts, self.precision, **steps)
        self.lines_ = [recall, precision]
        if at >= 0:
            marks = [self.recall[at], self.precision[at]]
            ax.plot([self.budget] * 2, marks, "o", color=recall.get_color(), ms=4)
        ax.set(
            xscale="log",  # budgets are small parts of all rows
            ylim=(0, 1.02),
            xlabel="Alerts a day",
            ylabel="Recall (solid), precision (dashed)",
        )
        # above the axes, so that the legend hides no curve
        ax.legend(
            fontsize="small",
            frameon=False,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            borderaxespad=0.2,
        )
        self.ax_, self.figure_ = ax, ax.figure
        return self
