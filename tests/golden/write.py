"""Write the golden files of the installed libraries: models, and what they predict.

``python tests/golden/write.py [FOLDER]`` adds three files a library, named by its
version: pickles with what they predict, a model saved by ``focal_gbm.export.save``, and
its probabilities. A release runs it with the oldest and the newest versions. Files of
earlier releases are never written again: tests/test_golden.py checks that they still
load and predict the same.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import xgboost

import focal_gbm
from focal_gbm import FocalLGBMClassifier, FocalObjective, FocalXGBClassifier
from focal_gbm.export import save

FOLDER = Path(__file__).parent
SMALL = {"n_estimators": 6, "random_state": 0, "n_jobs": 1}
WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "class weight and calibration": {
        "link": "logit",
        "scale_pos_weight": 3.0,
        "calibration": "platt",
        "calibration_cv": 2,
    },
}


def rows() -> tuple[np.ndarray, np.ndarray]:
    """Return 400 rows with missing values, and labels in words."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(400, 3))
    fraud = rng.random(400) < 1 / (1 + np.exp(2.5 - 2 * X[:, 0]))
    X[::9, 1] = np.nan
    return X, np.where(fraud, "stolen", "genuine")


def write(folder: Path, library: Any, estimator: type, **small: Any) -> None:
    """Write the models of one library with their predictions."""
    X, y = rows()
    models = {
        way: estimator(focal_alpha=0.6, **SMALL, **small, **settings).fit(X, y)
        for way, settings in WAYS.items()
    }
    objective = FocalObjective(3.0, 0.4, link="logit", hessian="clipped", offset=0.5)
    derivatives = objective(y == "stolen", X[:, 0])
    content = {
        "written by": {
            "focal_gbm": focal_gbm.__version__,
            library.__name__: library.__version__,
        },
        "pickles": {way: pickle.dumps(model, 4) for way, model in models.items()},
        "log-odds": {way: model.decision_function(X) for way, model in models.items()},
        "alerts": {way: model.predict(X) == "stolen" for way, model in models.items()},
        "objective": pickle.dumps(objective, 4),
        "derivatives": np.array(derivatives),
    }
    name = f"{library.__name__}-{library.__version__}"
    (folder / f"{name}.pkl").write_bytes(pickle.dumps(content, 4))
    served = models["class weight and calibration"]
    save(served, folder / f"{name}.model")
    np.save(folder / f"{name}.npy", served.predict_proba(X)[:, 1].astype(np.float64))


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    write(folder, lightgbm, FocalLGBMClassifier, num_leaves=4, verbose=-1)
    write(folder, xgboost, FocalXGBClassifier, max_depth=2)
