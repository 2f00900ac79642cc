"""One fit of FocalXGBClassifier: its parameters, its metrics, and the finished
model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xgboost import Booster

from focal_gbm._estimators.columns import readable
from focal_gbm._estimators.labels import encode
from focal_gbm._estimators.training import Training
from focal_gbm._estimators.xgboost.evaluation import (
    RANK_METRICS,
    Evaluation,
    split_metrics,
)
from focal_gbm._estimators.xgboost.objective import Rows, objective_on
from focal_gbm._estimators.xgboost.parameters import READER
from focal_gbm._estimators.xgboost.saved_model import (
    OBJECTIVES,
    base_score,
    completed,
)


@dataclass(frozen=True)
class Session:
    """One fit: the training, its metrics, and the completion of the model.

    XGBoost computes ``native_metrics`` itself; ``evaluation`` is a callable for the
    other metrics. ``continues`` is true where the trees of another model come first.
    """

    training: Training
    native_metrics: list[str]
    evaluation: Evaluation | None
    rows: Rows
    continues: bool
    calibrator: Any = None

    @classmethod
    def of(cls, training: Training, eval_metric: Any, *, continues: bool) -> Session:
        """Return the session of a fit with the metrics requested."""
        native, evaluation = split_metrics(training, eval_metric)
        return cls(training, native, evaluation, Rows(), continues)

    @property
    def objective(self) -> Any:
        """Objective for XGBoost: its own where the loss is log-loss, which spares
        copies.

        LightGBM is faster with ours.
        """
        training = self.training
        loss = training.loss
        is_log_loss = loss.gamma == 0 and loss.alpha is None and training.scale == 1
        if is_log_loss and training.label_maturity is None:
            return OBJECTIVES[loss.link]
        return objective_on(self.rows, training.objective)

    @property
    def rank_metrics(self) -> list[str]:
        """Names of the metrics that compare one class with the other."""
        native = self.native_metrics
        ranks = [name for name in native if name.partition("@")[0] in RANK_METRICS]
        measures = () if self.evaluation is None else self.evaluation.metrics
        ours = (m for m in measures if getattr(m, "is_higher_better", False))
        return [*ranks, *(m.name or m.metric for m in ours)]

    def encoded(
        self,
        eval_sets: list[Any] | None,
        weights: list[Any] | None,
        X: Any,
        y: Any,
        sample_weight: Any,
    ) -> tuple[list[Any] | None, list[Any] | None]:
        """Return evaluation sets with labels as codes, and their weights.

        A set that is the training data, as the user passed it, becomes the very objects
        that XGBoost trains on, because XGBoost compares by identity.
        """
        training = self.training
        pairs = []
        for i, (features, labels) in enumerate(eval_sets or ()):
            if features is X and labels is y:
                pairs.append((training.X, training.y))
                continue
            features = readable(features, READER)
            pairs.append((features, encode(labels, training.classes, f"eval_set[{i}]")))
        if weights is not None:
            own = training.sample_weight
            weights = [own if weight is sample_weight else weight for weight in weights]
        return pairs or None, weights

    def labelled(self, eval_sets: list[Any] | None) -> list[Any] | None:
        """Return evaluation sets with labels in place of their codes."""
        classes = self.training.classes
        if eval_sets is None:
            return None
        return [(features, classes[codes]) for features, codes in eval_sets]

    def parameters(self, parameters: dict[str, Any], model: Any) -> dict[str, Any]:
        """Return the parameters of the booster with what this fit adds; ``model`` is
        the one continued, if any."""
        training = self.training
        link = training.loss.link
        # the name in the saved model; training calls the objective of this session
        parameters = {**parameters, "objective": OBJECTIVES[link]}
        if model is None:  # the start of a model that is continued is in base_score
            parameters["base_score"] = base_score(training.raw_start, link)
        is_free = parameters.get("max_delta_step") is None
        # a linear booster warns of a parameter of trees
        if is_free and parameters.get("booster") != "gblinear":
            parameters["max_delta_step"] = training.leaf_bound
        parameters.pop("eval_metric", None)  # the user's, which may be our own
        if self.native_metrics:
            parameters["eval_metric"] = self.native_metrics
        else:
            parameters["disable_default_eval_metric"] = True
        return parameters

    def complete(self, booster: Booster) -> Booster:
        """Return the trained booster, cut at the best round, with closing constant and
        state."""
        training = self.training
        return completed(
            booster,
            training.loss,
            training.threshold,
            training.classes,
            # base_score does not act beside scores that differ by row
            self._closing_constant if training.init_score is None else None,
            self.calibrator,
        )

    def _closing_constant(self, booster: Booster) -> float:
        raw = booster.predict(self.rows.matrix, output_margin=True)
        return self.training.closing_constant(raw)
