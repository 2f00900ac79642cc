"""Plot of the calibration and the ranking of a model in service, by period."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from focal_gbm.metrics import calibration_by_period
from focal_gbm.plotting._axes import axes_for, predictions_of

_COLUMNS = ("period", "ratio", "low", "high", "average_precision", "advice")
# Ends of intervals on the logarithmic axis, where the true ends may be 0 or inf.
_LEAST, _MOST = 1e-9, 1e9
# A ratio beyond these does not stretch the axis.
_FARTHEST = 10.0


@dataclass
class CalibrationByPeriodDisplay:
    """Plot of predicted over observed positives, and of average precision, by period.

    Use it on the rows that a model has scored in service. The left axes have the ratio
    of each period with its confidence interval: a calibrator is due where intervals
    leave 1. A triangle at the upper edge is a period without positives, one at the
    lower edge a period of which none was predicted. The right axes have average
    precision, and the interval at training time as a band. Rings mark the periods whose
    advice is "calibrate" (left) or "retrain" (right).

    Parameters
    ----------
    table : pandas.DataFrame
        Table of :func:`~focal_gbm.metrics.calibration_by_period`.
    reference : tuple of two floats in [0, 1], or None, default=None
        Interval of average precision at training time; None: no band.
    name : str or None, default=None
        Name of the model in the legend; None: "model".

    Attributes
    ----------
    axes_ : ndarray of two matplotlib axes
        Axes of the last drawing: of the ratio, and of average precision.
    figure_ : matplotlib figure
        Figure of the last drawing.
    marks_ : matplotlib Line2D
        Ratios of the last drawing; NaN where one is 0 or infinite.
    bars_ : matplotlib ErrorbarContainer
        Intervals of the last drawing.
    line_ : matplotlib Line2D
        Average precision of the last drawing.
    rings_ : list of two matplotlib Line2D
        Rings of the last drawing: "calibrate" and "retrain".

    See Also
    --------
    focal_gbm.metrics.calibration_by_period : The table of the picture.
    focal_gbm.plotting.ReliabilityDisplay :
        Observed against predicted rates, all periods together.

    Examples
    --------
    >>> from focal_gbm.metrics import calibration_by_period
    >>> from focal_gbm.plotting import CalibrationByPeriodDisplay
    >>> table = calibration_by_period([0, 1, 0, 1], [0.1, 0.8, 0.3, 0.8], [0, 1, 7, 8])
    >>> display = CalibrationByPeriodDisplay(table).plot()
    >>> display.line_.get_ydata().tolist()
    [1.0, 1.0]
    """

    table: pd.DataFrame
    reference: tuple[float, float] | None = None
    name: str | None = None
    # set by plot; not parameters
    axes_: Any = field(default=None, init=False, repr=False)
    figure_: Any = field(default=None, init=False, repr=False)
    marks_: Any = field(default=None, init=False, repr=False)
    bars_: Any = field(default=None, init=False, repr=False)
    line_: Any = field(default=None, init=False, repr=False)
    rings_: list[Any] = field(default_factory=list, init=False, repr=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        time: ArrayLike,
        *,
        reference: tuple[float, float] | None = None,
        pos_label: Any = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> CalibrationByPeriodDisplay:
        """Draw the periods of rows that a fitted classifier scores now.

        Parameters
        ----------
        estimator : classifier
            Fitted classifier of two classes with ``predict_proba``.
        X : array-like of shape (n_samples, n_features)
            Features, in the form that ``estimator.predict_proba`` accepts.
        y : array-like of shape (n_samples,)
            Labels as known by now, each a class of the classifier.
        time : array-like of shape (n_samples,)
            Time of each row, in any order: dates, durations or numbers.
        reference : tuple of two floats in [0, 1], or None, default=None
            Interval of average precision at training time, on held-out rows of one
            period; None: no band, and no advice to train again.
        pos_label : label or None, default=None
            Label of the positive class, of which the column of ``predict_proba`` is
            used; None: the second class, ``classes_[1]``.
        name : str or None, default=None
            Name of the model in the legend; None: the name of its class.
        ax : array-like of two matplotlib axes or None, default=None
            Axes to draw on; None: axes of a new figure.
        **kwargs
            Keyword arguments of :func:`~focal_gbm.metrics.calibration_by_period`:
            ``period``, ``origin``, ``label_maturity``, ``groups``, ``sample_weight``,
            ``confidence`` and ``n_periods``.

        Returns
        -------
        display : CalibrationByPeriodDisplay

        Raises
        ------
        TypeError
            If ``estimator`` is no fitted classifier with ``predict_proba``, or an
            argument is of a wrong type.
        ValueError
            If labels, times, maturities, weights or other arguments cannot be used.

        Examples
        --------
        >>> from sklearn.linear_model import LogisticRegression
        >>> from focal_gbm.plotting import CalibrationByPeriodDisplay
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]
        >>> display = CalibrationByPeriodDisplay.from_estimator(
        ...     LogisticRegression().fit(X, y), X, y, [0, 3, 8, 12])
        >>> display.table["n"].tolist()
        [2, 2]
        """
        labels, p = predictions_of(estimator, X, y, pos_label)
        return cls.from_predictions(
            labels,
            p,
            time,
            reference=reference,
            name=type(estimator).__name__ if name is None else name,
            ax=ax,
            **kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_prob: ArrayLike,
        time: ArrayLike,
        *,
        reference: tuple[float, float] | None = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> CalibrationByPeriodDisplay:
        """Draw the periods of labels and of the probabilities given in service.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels as known by now: 0 and 1, booleans, or any two labels with
            ``pos_label``.
        y_prob : array-like of shape (n_samples,)
            Probabilities of the positive class, in [0, 1].
        time : array-like of shape (n_samples,)
            Time of each row, in any order: dates, durations or numbers.
        reference : tuple of two floats in [0, 1], or None, default=None
            Interval of average precision at training time, on held-out rows of one
            period; None: no band, and no advice to train again.
        name : str or None, default=None
            Name of the model in the legend; None: "model".
        ax : array-like of two matplotlib axes or None, default=None
            Axes to draw on; None: axes of a new figure.
        **kwargs
            Keyword arguments of :func:`~focal_gbm.metrics.calibration_by_period`:
            ``period``, ``origin``, ``label_maturity``, ``groups``, ``sample_weight``,
            ``pos_label``, ``confidence`` and ``n_periods``.

        Returns
        -------
        display : CalibrationByPeriodDisplay

        Raises
        ------
        TypeError
            If an argument is of a wrong type.
        ValueError
            If labels, times, maturities, weights or other arguments cannot be used.

        Examples
        --------
        >>> from focal_gbm.plotting import CalibrationByPeriodDisplay
        >>> display = CalibrationByPeriodDisplay.from_predictions(
        ...     [0, 1, 0, 1], [0.1, 0.8, 0.3, 0.8], [0, 1, 7, 8], reference=(0.5, 1.0))
        >>> display.table["ratio"].round(1).tolist()
        [0.9, 1.1]
        """
        table = calibration_by_period(
            y_true, y_prob, time, reference=reference, **kwargs
        )
        return cls(table, reference, name).plot(ax)

    def plot(self, ax: Any = None) -> CalibrationByPeriodDisplay:
        """Draw the ratio and average precision on two axes.

        Parameters
        ----------
        ax : array-like of two matplotlib axes or None, default=None
            Axes to draw on; None: axes of a new figure.

        Returns
        -------
        self : CalibrationByPeriodDisplay

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If ``ax`` is not two matplotlib axes, or a column of ``table`` is missing.

        Examples
        --------
        >>> from focal_gbm.plotting import CalibrationByPeriodDisplay
        >>> display = CalibrationByPeriodDisplay.from_predictions(
        ...     [0, 1, 0, 1], [0.1, 0.8, 0.3, 0.8], [0, 1, 7, 8])
        >>> display.plot().axes_[0].get_yscale()
        'log'
        """
        missing = [name for name in _COLUMNS if name not in self.table]
        if missing:
            msg = (
                f"table has no column {missing[0]!r}; pass the table that "
                "calibration_by_period returns"
            )
            raise ValueError(msg)
        axes = axes_for(ax, 2)
        of_ratio, of_precision = axes
        is_first = not of_ratio.has_data()
        x, advice = _positions(self.table["period"]), self.table["advice"].to_numpy()
        ratio, low, high = (
            self.table[name].to_numpy(np.float64) for name in ("ratio", "low", "high")
        )
        is_shown = (ratio > 0) & np.isfinite(ratio)
        mark = np.where(is_shown, ratio, np.nan)
        # a bar without a mark begins at its other end
        middle = np.where(is_shown, ratio, np.clip(low, _LEAST, _MOST))
        lower, upper = np.clip(low, _LEAST, _MOST), np.clip(high, _LEAST, _MOST)
        (self.marks_,) = of_ratio.plot(x, mark, "o", label=self.name or "model")
        colour = self.marks_.get_color()
        self.bars_ = of_ratio.errorbar(
            x,
            middle,
            [middle - lower, upper - middle],
            fmt="none",
            color=colour,
            elinewidth=1.2,
            capsize=2,
        )
        for edge, marker, of in ((0.98, "^", np.inf), (0.02, "v", 0.0)):
            at = x[ratio == of]
            of_ratio.plot(
                at,
                np.full(len(at), edge),
                marker,
                color=colour,
                transform=of_ratio.get_xaxis_transform(),
            )
        _set_limits(of_ratio, np.r_[mark, low, high], is_first)
        precision = self.table["average_precision"].to_numpy(np.float64)
        (self.line_,) = of_precision.plot(x, precision, "o-", color=colour)
        if self.reference is not None:
            of_precision.axhspan(*self.reference, color=colour, alpha=0.15, linewidth=0)
        self.rings_ = [
            one.plot(
                x[advice == wanted],
                values[advice == wanted],
                "o",
                markersize=12,
                markerfacecolor="none",
                markeredgecolor="0.1",
            )[0]
            for one, values, wanted in (
                (of_ratio, mark, "calibrate"),
                (of_precision, precision, "retrain"),
            )
        ]
        if is_first:
            of_ratio.axhline(1.0, color="0.6", linewidth=1, zorder=1)
            of_ratio.set_ylabel("Predicted / observed positives")
            of_precision.set_ylabel("Average precision")
            of_ratio.set_title("ring: calibrate", fontsize="small")
            band = "band: at training; " if self.reference is not None else ""
            of_precision.set_title(f"{band}ring: retrain", fontsize="small")
        of_precision.set_ylim(bottom=0.0, auto=None)  # the top follows the data
        for one in axes:
            one.set_xlabel("Start of the period")
            _thin_dates(one, self.table["period"])
        of_ratio.legend(fontsize="small")
        self.axes_, self.figure_ = axes, of_ratio.figure
        return self


def _positions(period: pd.Series[Any]) -> Any:
    """Return starts of periods as matplotlib can draw them."""
    if pd.api.types.is_timedelta64_dtype(period):
        return period.dt.total_seconds().to_numpy() / 86_400
    if isinstance(period.dtype, pd.DatetimeTZDtype):
        period = period.dt.tz_localize(None)  # the clock on the wall
    return period.to_numpy()


def _set_limits(ax: Any, values: Any, is_first: bool) -> None:
    """Set the limits of the ratio to contain 1 and most of the values."""
    shown = values[(values > 0) & np.isfinite(values)]
    bottom = max(min([*shown, 0.5]), 1 / _FARTHEST) / 1.2
    top = min(max([*shown, 2.0]), _FARTHEST) * 1.2
    if not is_first:
        earlier = ax.get_ylim()
        bottom, top = min(bottom, earlier[0]), max(top, earlier[1])
    ax.set(yscale="log", ylim=(bottom, top))
    ticks = [t for t in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0) if bottom <= t <= top]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()


def _thin_dates(ax: Any, period: pd.Series[Any]) -> None:
    """Write dates so that they do not touch."""
    if pd.api.types.is_datetime64_any_dtype(period):
        from matplotlib import dates

        locator = dates.AutoDateLocator(maxticks=6)  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(locator)
        short = dates.ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_formatter(short)
