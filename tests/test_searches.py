"""Searches over both estimators: Optuna, halving, and thresholds for a budget."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from libraries import BOTH, LIGHTGBM, XGBOOST, make_rows
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import average_precision_score, log_loss
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
)

from focal_gbm import FocalClassifierCV, FocalLGBMClassifier
from focal_gbm.metrics import alert_threshold, scorer

# of other packages, about their own methods
pytestmark = pytest.mark.filterwarnings(
    "ignore:OptunaSearchCV is experimental",
    "ignore:.*optuna.terminator",
    "ignore:One or more of the .* scores are non-finite",
)

OWN = {"focal_gamma", "max_step", "start"}
OF_TREES = {
    "lightgbm": {"max_bin", "num_leaves", "min_child_samples", "subsample_freq"},
    "xgboost": {"max_bin", "max_depth"},
}


@pytest.fixture(scope="module")
def optuna():
    optuna = pytest.importorskip("optuna", reason="needs optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


@pytest.fixture(scope="module")
def integration():
    reason = "needs optuna-integration"
    return pytest.importorskip("optuna_integration", reason=reason)


def study_of(optuna, direction="maximize", **kwargs):
    sampler = optuna.samplers.RandomSampler(seed=0)
    return optuna.create_study(direction=direction, sampler=sampler, **kwargs)


def prune_at(optuna, step):
    """Return a pruner that ends each trial at a step."""

    class Pruner(optuna.pruners.BasePruner):
        def prune(self, study, trial):
            return trial.last_step >= step

    return Pruner()


class Ends:
    """A trial that draws the lowest or the highest value of each range."""

    def __init__(self, at):
        self.at = at

    def suggest_float(self, name, low, high, *, log=False):
        return (low, high)[self.at]

    suggest_int = suggest_float

    def suggest_categorical(self, name, choices):
        return choices[-self.at]


@BOTH
@pytest.mark.parametrize("at", [0, 1])
def test_ends_of_the_ranges_train(library, at, data):
    """A trial that fails at the end of a range ends the search of a user."""
    X, y = data
    drawn = library.estimator.suggest_params(Ends(at), y)
    assert OWN | OF_TREES[library.name] | {"scale_pos_weight"} < set(drawn)
    ratio = (len(y) - y.sum()) / y.sum()
    assert drawn["scale_pos_weight"] == pytest.approx(ratio if at else 1.0)
    model = library.estimator(**drawn, **library.quiet, n_jobs=1)
    p = model.set_params(n_estimators=20).fit(X, y).predict_proba(X)[:, 1]
    assert average_precision_score(y, p) > 3 * y.mean()
    assert p.mean() == pytest.approx(y.mean(), rel=1e-4)  # at each weight too


@BOTH
def test_a_trial_draws_what_the_study_reports(library, optuna):
    study = study_of(optuna)
    trial = study.ask()
    drawn = library.estimator.suggest_params(trial)
    assert drawn == trial.params  # best_params alone rebuild the model
    assert set(drawn) > OWN | OF_TREES[library.name]
    assert "scale_pos_weight" not in drawn
    assert library.estimator(**drawn).get_params().items() >= drawn.items()
    same = optuna.trial.FixedTrial(drawn)
    assert library.estimator.suggest_params(same) == drawn
    study.tell(trial, 1.0)


@BOTH
def test_fixed_parameters_are_not_drawn(library, optuna):
    """Each other name of a parameter fixes it as well: both would be set otherwise."""
    synonym = "eta"  # of learning_rate, in both libraries
    fixed = {"n_estimators": 7, synonym: 0.2, "random_state": 3}
    trial = study_of(optuna).ask()
    drawn = library.estimator.suggest_params(trial, [0, 0, 1], **fixed)
    assert drawn.items() >= fixed.items()
    assert "learning_rate" not in drawn
    assert trial.params == {k: v for k, v in drawn.items() if k not in fixed}
    weight = library.estimator.suggest_params(trial, [0, 0, 1], scale_pos_weight=2.0)
    assert weight["scale_pos_weight"] == 2.0


@BOTH
def test_labels_bound_the_class_weight(library, optuna):
    def bounds(y):
        trial = study_of(optuna).ask()
        library.estimator.suggest_params(trial, y)
        distribution = trial.distributions["scale_pos_weight"]
        return distribution.low, distribution.high, distribution.log

    assert bounds([0, 0, 0, 1]) == (1.0, pytest.approx(3.0), True)
    assert bounds(["fraud", "good", "good", "good"]) == (pytest.approx(1 / 3), 1, True)
    assert bounds([False, True]) == (1.0, 1.0, True)


@BOTH
def test_what_cannot_draw(library):
    suggest = library.estimator.suggest_params
    with pytest.raises(TypeError, match=r"must be a trial of Optuna, got 3; call"):
        suggest(3)
    with pytest.raises(ValueError, match=r"needs two classes in y, got .*\[0\]"):
        suggest(Ends(0), [0, 0])


@pytest.mark.slow
@BOTH
def test_search_by_the_documentation(library, optuna, data):
    X, y = data
    fixed = {"n_estimators": 10, "n_jobs": 1, **library.quiet}

    def objective(trial):
        model = library.estimator(**library.estimator.suggest_params(trial, **fixed))
        return cross_val_score(model, X, y, scoring="average_precision", cv=2).mean()

    study = study_of(optuna)
    study.optimize(objective, n_trials=3)
    best = library.estimator(**study.best_params, **fixed)
    score = cross_val_score(best, X, y, scoring="average_precision", cv=2).mean()
    assert score == pytest.approx(study.best_value, abs=1e-12)
    assert len({trial.value for trial in study.trials}) == 3


def pruned(library, integration, trial, metric, **kwargs):
    """Return an estimator and the arguments of fit by which a trial prunes it."""
    model = library.model(learning_rate=0.2, n_estimators=8, **kwargs)
    if library is LIGHTGBM:
        callback = integration.LightGBMPruningCallback(trial, metric)
        return model, {"callbacks": [callback]}
    callback = integration.XGBoostPruningCallback(trial, f"validation_0-{metric}")
    return model.set_params(callbacks=[callback]), {}


METRICS = {
    "log-loss": ("minimize", {"lightgbm": "binary_logloss", "xgboost": "logloss"}),
    "rank": ("maximize", {"lightgbm": "average_precision", "xgboost": "aucpr"}),
}


@BOTH
@pytest.mark.parametrize("kind", METRICS)
def test_pruning(library, kind, optuna, integration, data):
    """The second trial is bad: it reports the values of a slower learner, and ends."""
    X, y = data
    fit, later = (X[:2000], y[:2000]), (X[2000:], y[2000:])
    direction, names = METRICS[kind]
    metric = names[library.name]
    parameters, arguments = library.measuring([metric])
    seen = []

    def objective(trial):
        model, given = pruned(library, integration, trial, metric, **parameters)
        if trial.number:
            model.set_params(learning_rate=1e-4)
        seen.append((model, copy.copy(model.__dict__)))
        model.fit(*fit, **library.later(*later), **arguments, **given)
        p = model.predict_proba(later[0])[:, 1]
        return (log_loss if direction == "minimize" else average_precision_score)(
            later[1], p
        )

    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=2)
    study = study_of(optuna, direction, pruner=pruner)
    study.optimize(objective, n_trials=2)
    states = [trial.state.name for trial in study.trials]
    assert states == ["COMPLETE", "PRUNED"]
    whole, short = (list(trial.intermediate_values.items()) for trial in study.trials)
    assert [step for step, _ in whole] == list(range(8))
    assert [step for step, _ in short] == [0, 1, 2]
    assert study.best_trial.number == 0
    (recorded,) = seen[0][0].evals_result_.values()
    history = recorded[metric]
    assert [value for _, value in whole] == list(history)
    assert study.trials[1].value == short[-1][1]
    model, before = seen[1]
    assert not hasattr(model, "loss_")
    assert model.__dict__.keys() == before.keys()
    assert model.get_params() == type(model)(**model.get_params()).get_params()
    assert all(model.__dict__[name] is value for name, value in before.items())


@BOTH
def test_a_fitted_model_outlives_a_pruned_fit(library, optuna, integration, data):
    X, y = data
    fit, later = (X[:2000], y[:2000]), (X[2000:], y[2000:])
    model = library.model().fit(*fit)
    before = model.predict_proba(X)

    study = study_of(optuna, "minimize", pruner=prune_at(optuna, 0))
    trial = study.ask()
    metric = METRICS["log-loss"][1][library.name]
    twin, given = pruned(library, integration, trial, metric)
    if library.name == "xgboost":
        model.set_params(callbacks=twin.callbacks)
    with pytest.raises(optuna.TrialPruned, match="pruned at iteration 0"):
        model.fit(*fit, **library.later(*later), **given)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    if library.name == "xgboost":
        model.set_params(callbacks=None)
    np.testing.assert_array_equal(model.fit(*fit).predict_proba(X), before)


class Reports:
    """A callback of a user, for LightGBM, that reports to a trial."""

    def __init__(self, trial, error):
        self.trial = trial
        self.error = error

    def __call__(self, env):
        self.trial.report(env.evaluation_result_list[0][2], step=env.iteration)
        if self.trial.should_prune():
            raise self.error


@pytest.mark.parametrize(
    ("library", "is_own"),
    [(LIGHTGBM, False), (LIGHTGBM, True), (XGBOOST, False)],
    ids=str,
)
def test_folds_of_a_calibrator_do_not_report(
    library, is_own, optuna, integration, data
):
    """A copy of the trial would prune the fit by values that the study never sees."""
    X, y = data
    trial = study_of(optuna, "minimize", pruner=prune_at(optuna, 3)).ask()
    metric = METRICS["log-loss"][1][library.name]
    model, given = pruned(library, integration, trial, metric)
    model.set_params(calibration="intercept", calibration_cv=2)
    if is_own:
        given = {"callbacks": [Reports(trial, optuna.TrialPruned)]}
    with pytest.raises(optuna.TrialPruned):
        model.fit(X[:2000], y[:2000], **library.later(X[2000:], y[2000:]), **given)
    assert list(trial.study.trials[0].intermediate_values) == [0, 1, 2, 3]


@pytest.mark.slow
@BOTH
def test_optuna_search_cv(library, optuna, integration, data):
    X, y = data
    trial = study_of(optuna).ask()
    library.estimator.suggest_params(trial)
    ranges = trial.distributions
    search = integration.OptunaSearchCV(
        library.model(n_estimators=5),
        {name: ranges[name] for name in ("focal_gamma", "learning_rate", "max_bin")},
        n_trials=3,
        cv=2,
        scoring="average_precision",
        random_state=0,
    ).fit(X, y)
    best = clone(search.estimator).set_params(**search.best_params_)
    score = cross_val_score(best, X, y, cv=2, scoring="average_precision").mean()
    assert search.best_score_ == pytest.approx(score, abs=1e-12)
    assert search.best_score_ > 0.3
    p = search.predict_proba(X)[:, 1]
    assert p.mean() == pytest.approx(y.mean(), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("is_default", [True, False])
def test_searches_of_the_estimator_of_folds(is_default, optuna, integration, data):
    """estimator=None is a classifier too, whose parameters a search may set."""
    X, y = data
    base = None if is_default else FocalLGBMClassifier(verbose=-1)
    model = FocalClassifierCV(base, cv=2, max_trees=15, sizes=[{"num_leaves": 8}])
    name, gammas = "estimator__focal_gamma", [0.0, 4.0]
    categorical = optuna.distributions.CategoricalDistribution
    search = integration.OptunaSearchCV(
        model,
        {name: categorical(gammas), "estimator__n_jobs": categorical([1])},
        n_trials=3,
        cv=2,
        random_state=0,
        scoring="neg_log_loss",
    ).fit(X, y)
    values = {name: gammas, "estimator__n_jobs": [1]}
    grid = GridSearchCV(model, values, cv=2, scoring="neg_log_loss").fit(X, y)
    scores = dict(zip(gammas, grid.cv_results_["mean_test_score"], strict=True))
    assert len(set(scores.values())) == 2
    assert search.best_score_ == pytest.approx(scores[search.best_params_[name]])
    fitted = grid.best_estimator_.estimator_
    assert fitted.focal_gamma == grid.best_params_[name]
    assert fitted.get_params()["verbose"] == -1


def test_parameters_of_the_default_estimator():
    model = FocalClassifierCV()
    assert model.set_params(cv=3, estimator__focal_gamma=1.0) is model
    assert model.cv == 3
    assert repr(model.estimator) == "FocalLGBMClassifier(focal_gamma=1.0, verbose=-1)"
    model.set_params(estimator=None, estimator__start=0.0)
    assert repr(model.estimator) == "FocalLGBMClassifier(start=0.0, verbose=-1)"
    assert FocalClassifierCV().set_params(cv=3).estimator is None
    with pytest.raises(ValueError, match="Invalid parameter 'cvv'"):
        model.set_params(cvv=3)


RARE = make_rows(12_000, 5, seed=5)


@pytest.mark.slow
@BOTH
def test_halving_over_rows(library):
    """The first rows of a halving search hold no fraud; the error has the cure."""
    X, y = RARE
    y = y * (np.random.default_rng(0).random(len(y)) < 0.2)
    model = library.model(n_estimators=5)
    choices = {"focal_gamma": [0.0, 2.0, 4.0]}

    def search(**kwargs):
        return HalvingRandomSearchCV(
            model,
            choices,
            n_candidates=3,
            cv=StratifiedKFold(5, shuffle=True, random_state=0),
            scoring="average_precision",
            random_state=0,
            **kwargs,
        ).fit(X, y)

    cure = r"two classes in y, .*\[0\] in 16 rows.* min_resources >= 10 \* n_splits / "
    with pytest.raises(ValueError, match=cure):
        search()
    with pytest.warns(FitFailedWarning, match=r"in \d+ rows.* min_resources >= "):
        search(min_resources=100)  # some fits fail, with NaN for a score
    enough = int(10 * 5 / y.mean())
    found = search(min_resources=enough)
    assert found.n_resources_[0] == enough
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()
    assert found.best_score_ > 5 * y.mean()


@BOTH
def test_halving_over_trees(library, data):
    X, y = data
    search = HalvingGridSearchCV(
        library.model(),
        {"focal_gamma": [0.0, 2.0, 4.0]},
        resource="n_estimators",
        min_resources=4,
        max_resources=12,
        cv=2,
        scoring="average_precision",
    ).fit(X, y)
    assert search.n_resources_ == [4, 12]
    assert search.best_estimator_.n_estimators == 12
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.fixture(scope="module")
def tuned_rows():
    X, y = RARE
    return (X[:6000], y[:6000]), (X[6000:], y[6000:])


@BOTH
@pytest.mark.parametrize("name", ["recall_at_alert_rate", "precision_at_alert_rate"])
def test_threshold_of_a_rate(library, name, tuned_rows):
    """A rate that is exceeded has no precision; the threshold of NaN alerts all."""
    (X, y), (X_later, _) = tuned_rows
    folds, rate = StratifiedKFold(3), 0.02
    model = library.model(n_estimators=10)
    tuned = TunedThresholdClassifierCV(
        model, scoring=scorer(name, rate=rate), cv=folds, thresholds=200
    ).fit(X, y)
    p = cross_val_predict(model, X, y, cv=folds, method="predict_proba")[:, 1]
    alerted = p >= tuned.best_threshold_
    assert alerted.mean() <= rate
    assert tuned.predict(X_later).mean() < 1.25 * rate
    if name == "recall_at_alert_rate":
        assert tuned.predict(X_later).mean() > 0.5 * rate
        recall = y[alerted].sum() / y.sum()
        assert tuned.best_score_ == pytest.approx(recall, abs=0.03)


@pytest.mark.parametrize("name", ["recall_at_fpr", "precision_at_alert_rate"])
def test_undefined_values_of_decisions_are_the_worst(name):
    decisions = scorer(name)._score_func
    assert decisions(np.zeros(4, int), np.zeros(4, int)) == 0.0
    assert decisions(np.zeros(4, int), np.ones(4, int)) == 0.0


@BOTH
def test_fixed_threshold_of_a_budget(library, tuned_rows):
    (X, y), (X_later, _) = tuned_rows
    model = library.model().fit(X, y)
    later = model.decision_function(X_later)
    threshold = alert_threshold(later, budget=20, n_days=3)
    fixed = FixedThresholdClassifier(
        FrozenEstimator(model),
        threshold=threshold,
        response_method="decision_function",
    ).fit(X, y)
    assert fixed.predict(X_later).sum() == 60
