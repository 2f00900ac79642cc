"""The default settings on real data, if FOCAL_GBM_DATA names the folder."""

from __future__ import annotations

import os

import pytest
from lightgbm import LGBMClassifier
from sklearn.metrics import average_precision_score, log_loss
from xgboost import XGBClassifier

from benchmarks.common import data
from focal_gbm import FocalLGBMClassifier, FocalXGBClassifier

MODELS = {
    "lightgbm": (
        FocalLGBMClassifier(verbose=-1),
        LGBMClassifier(verbose=-1),
        LGBMClassifier(verbose=-1, boost_from_average=False),
    ),
    "xgboost": (
        FocalXGBClassifier(enable_categorical=True),
        XGBClassifier(enable_categorical=True),
    ),
}


@pytest.mark.slow
@pytest.mark.skipif(
    "FOCAL_GBM_DATA" not in os.environ,
    reason="FOCAL_GBM_DATA does not name the folder of the data sets",
)
@pytest.mark.parametrize("library", MODELS)
def test_defaults_earn_their_place(library):
    seen = []
    for split in data.splits(data.data_folder(None), 1):
        if split.name in seen:
            continue
        seen.append(split.name)
        p, *baselines = (
            model.fit(split.X_train, split.y_train).predict_proba(split.X_test)[:, 1]
            for model in MODELS[library]
        )
        y, w = split.y_test, split.test_weight
        precision = max(average_precision_score(y, q) for q in baselines)
        share = 0.95
        if library == "xgboost":  # by version, and by split where positives are few
            share = 0.94 if split.y_train.sum() > 30 else 0.85
        assert average_precision_score(y, p) >= share * precision, split.name
        loss = min(log_loss(y, q, sample_weight=w) for q in baselines)
        ours = log_loss(y, p, sample_weight=w)
        assert ours <= max(1.10 * loss, loss + 0.001), split.name
    assert len(seen) == len(data.FILES) + 1 + 2 * len(data.RARE)
