"""What a fraud team decides with: measures at budgets, of cards, of money and of
probabilities, with intervals and as scorers.

What scikit-learn has is not here: ``average_precision_score``, ``brier_score_loss``,
``d2_log_loss_score`` (the skill score of log-loss), ``FixedThresholdClassifier``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.metrics import make_scorer

from focal_gbm._alerts import alert_threshold as alert_threshold
from focal_gbm._alerts import precision_at_alert_rate as precision_at_alert_rate
from focal_gbm._alerts import precision_at_daily_budget as precision_at_daily_budget
from focal_gbm._alerts import recall_at_alert_rate as recall_at_alert_rate
from focal_gbm._alerts import recall_at_daily_budget as recall_at_daily_budget
from focal_gbm._alerts import recall_at_fpr as recall_at_fpr
from focal_gbm._checks import check_option
from focal_gbm._decisions import bootstrap_interval as bootstrap_interval
from focal_gbm._decisions import calibration_in_the_large as calibration_in_the_large
from focal_gbm._decisions import calibration_slope as calibration_slope
from focal_gbm._decisions import card_precision_at_k as card_precision_at_k
from focal_gbm._decisions import expected_cost as expected_cost

_RANKS: dict[str, Callable[..., float]] = {
    "recall_at_fpr": recall_at_fpr,
    "recall_at_alert_rate": recall_at_alert_rate,
    "precision_at_alert_rate": precision_at_alert_rate,
    "recall_at_daily_budget": recall_at_daily_budget,
    "precision_at_daily_budget": precision_at_daily_budget,
    "card_precision_at_k": card_precision_at_k,
}


def _closeness_in_the_large(*args: Any, **kwargs: Any) -> float:
    ratio = calibration_in_the_large(*args, **kwargs)
    return max(ratio, 1.0 / ratio) if ratio else float("inf")


def _closeness_of_slope(*args: Any, **kwargs: Any) -> float:
    return abs(calibration_slope(*args, **kwargs) - 1.0)


# Losses of probabilities; the two of calibration have their best value inside.
_LOSSES: dict[str, Callable[..., float]] = {
    "expected_cost": expected_cost,
    "calibration_in_the_large": _closeness_in_the_large,
    "calibration_slope": _closeness_of_slope,
}


def scorer(name: str, **kwargs: Any) -> Any:
    """Return a measure as a scorer for scikit-learn's searches and cross-validation.

    Parameters
    ----------
    name : str
        A measure of this module: "recall_at_fpr", "recall_at_alert_rate",
        "precision_at_alert_rate", "recall_at_daily_budget",
        "precision_at_daily_budget", "card_precision_at_k", "expected_cost",
        "calibration_in_the_large" or "calibration_slope". Costs are negated, and so are
        the last two, as the factor and the distance by which they miss 1.
    **kwargs
        Its parameters, ``fpr=1e-3`` for one. Arrays of a value a row (day, card,
        fraud_cost) are routed as metadata:
        ``scorer("recall_at_daily_budget").set_score_request(day=True)``.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y)``; greater is better.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_score
    >>> from focal_gbm import FocalLGBMClassifier
    >>> from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
    >>> from focal_gbm.metrics import scorer
    >>> data = make_transactions(n_customers=200, n_terminals=400, n_days=60)
    >>> X, y = data[list(TRANSACTION_FEATURES)], data["is_fraud"]
    >>> model = FocalLGBMClassifier(n_estimators=30, verbose=-1)
    >>> scores = cross_val_score(model, X, y, scoring=scorer("recall_at_fpr", fpr=0.01))
    >>> bool((scores > 0.2).all())
    True
    """
    check_option(name, "name", (*_RANKS, *_LOSSES))
    if name in _RANKS:
        ranks = ("decision_function", "predict_proba")
        return make_scorer(_RANKS[name], response_method=ranks, **kwargs)
    return make_scorer(
        _LOSSES[name],
        response_method="predict_proba",
        greater_is_better=False,
        **kwargs,
    )
