"""Measure predicted probabilities, and warm up the kernels before."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
)

from benchmarks.common.data import Split
from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier
from focal_gbm.metrics import (
    calibration_in_the_large,
    card_precision_at_k,
    precision_at_alert_rate,
    recall_at_fpr,
)


def measures(split: Split, p: np.ndarray) -> dict[str, float]:
    """Return every measure of the probabilities of the test rows."""
    y, rate = split.y_test, float(split.y_train.mean())
    brier = brier_score_loss(y, p)
    record = {
        "ap": average_precision_score(y, p),
        "recall_01": recall_at_fpr(y, p, fpr=1e-3),
        "recall_1": recall_at_fpr(y, p, fpr=1e-2),
        "precision": precision_at_alert_rate(y, p, rate=rate),
        "auc": roc_auc_score(y, p),
        "log_loss": log_loss(y, p),
        "brier_skill": 1 - brier / (y.mean() * (1 - y.mean())),
        "in_the_large": calibration_in_the_large(y, p),
        "rate": y.mean(),
        "n_train": len(split.y_train),
        "n_positive": int(split.y_train.sum()),
        "n_test": len(y),
        "overlap": split.overlap,
    }
    if split.card is not None:
        record["card_precision"] = card_precision_at_k(
            y, p, split.card, split.day, k=split.cards_a_day
        )
    return record


def warm_up() -> None:
    """Load the kernels before jobs fork.

    A process loads the kernels once, and the time and memory of a fit leave that out;
    ``python -m benchmarks.speed start_up`` measures it.
    """
    X, y = np.arange(200.0)[:, None], np.arange(200) % 2
    for model in (
        FocalLGBMClassifier(n_estimators=1, n_jobs=1, verbose=-1),
        FocalXGBClassifier(n_estimators=1, n_jobs=1),
    ):
        model.fit(X, y)
