"""One fit of FocalLGBMClassifier: its parameters, its metrics, and the finished
model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lightgbm import Booster
from numpy.typing import NDArray

from focal_gbm._estimators.columns import check_columns, in_memory
from focal_gbm._estimators.labels import encode
from focal_gbm._estimators.lightgbm.callbacks import Closing
from focal_gbm._estimators.lightgbm.evaluation import split_metrics
from focal_gbm._estimators.lightgbm.parameters import READER, value_of
from focal_gbm._estimators.lightgbm.saved_model import completed
from focal_gbm._estimators.training import Training


@dataclass(frozen=True)
class Session:
    """One fit: the training, its metrics, and the completion of the model.

    LightGBM computes ``native_metrics`` itself; ``measures`` are callables for the
    other metrics.
    """

    training: Training
    native_metrics: list[str]
    measures: list[Any]
    closing: Closing
    calibrator: Any = None

    @classmethod
    def of(cls, training: Training, *metrics: Any) -> Session:
        """Return the session of a fit with the metrics requested."""
        return cls(training, *split_metrics(training, *metrics), Closing(training))

    @property
    def rank_metrics(self) -> list[str]:
        """Names of the metrics that compare one class with the other."""
        ours = (m for m in self.measures if getattr(m, "is_higher_better", False))
        return [*self.native_metrics, *(m.name or m.metric for m in ours)]

    def encoded(
        self, eval_sets: list[Any] | None, X: Any, y: Any, labels: NDArray[Any]
    ) -> list[Any] | None:
        """Return evaluation sets whose labels are members of the fitted classes.

        A set that is the training data, ``X`` and ``y`` as the user passed them,
        becomes the very objects that LightGBM trains on, because LightGBM compares by
        identity. ``labels`` are the training labels.
        """
        training = self.training
        pairs = []
        for i, (features, of_rows) in enumerate(eval_sets or ()):
            # its own sets are listed as "training", and not binned again
            if features is X and of_rows is y:
                pairs.append((training.X, labels))
                continue
            features = in_memory(features)
            check_columns(features, READER)
            codes = encode(of_rows, training.classes, f"eval_set[{i}]")
            pairs.append((features, training.classes[codes]))
        return pairs or None

    def parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters of the booster with what this fit adds."""
        parameters = {
            **parameters,
            "objective": self.training.objective,
            # without "None" LightGBM adds the metric of its default objective
            "metric": self.native_metrics or "None",
        }
        # by any of its names, the user's bound comes before max_step
        if value_of(parameters, "max_delta_step") is None:
            parameters["max_delta_step"] = self.training.leaf_bound
        return parameters

    def complete(self, booster: Booster) -> Booster:
        """Return the trained booster with start, closing constant and objective in its
        text."""
        training = self.training
        constant = training.raw_start + self.closing.constant(booster)
        return completed(booster, constant, training.loss.link)
