"""Focal loss in native training, for rows that do not fit in memory.

The estimators need all rows in one matrix. LightGBM and XGBoost do not: a
``lightgbm.Sequence`` or an ``xgboost.DataIter`` passes them part by part. Three steps
give a booster of the same kind as the estimators':

1. :func:`starting_point` computes the raw score at which boosting begins.
2. ``lightgbm.train`` or ``xgboost.train`` trains with
   ``FocalObjective(offset=<starting point>)``, and with the estimators' parameters that
   protect a rare class: ``max_delta_step=4`` and ``min_child_weight=1``.
3. :func:`complete` adds the start and the closing constant to the booster, and the
   objective by which any reader converts its raw scores to probabilities.

The rows of steps 1 and 3 come in batches, of which one is in memory at a time. A batch
is a tuple ``(X, y)`` or ``(X, y, sample_weight)``, or a dict with the keys "X", "y",
"sample_weight" and "label_maturity".
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from focal_gbm._estimators.classifier import without_split
from focal_gbm._estimators.closing import closing_root, expected_positives
from focal_gbm._estimators.labels import (
    as_labels,
    encode,
    maturity_of_rows,
)
from focal_gbm._validation import (
    Float64Array,
    check_expected,
    check_real,
    check_weights,
    did_you_mean,
)
from focal_gbm.loss import FocalLoss, log_odds_of_sums
from focal_gbm.objective import FocalObjective

__all__ = ["complete", "starting_point"]

_KEYS = ("X", "y", "sample_weight", "label_maturity")
_FORMS = "(X, y), (X, y, sample_weight), or a dict with the keys " + ", ".join(
    repr(key) for key in _KEYS
)


def starting_point(
    batches: Any,
    *,
    share: float = 0.5,
    loss: FocalLoss | None = None,
    classes: Iterable[Any] = (0, 1),
) -> float:
    """Return the raw score at which boosting begins, from the labels of the training
    rows.

    It is the start of the estimators: ``share`` times the log-odds of the base rate.
    Pass it to ``FocalObjective(offset=...)``, in LightGBM and in XGBoost, and to
    ``FocalMetric(offset=...)`` for evaluation sets. In XGBoost set the parameter
    ``objective`` too: "binary:logistic", or "binary:logitraw" with ``link="logit"``.

    Parameters
    ----------
    batches : iterable, callable, or array-like of shape (n_samples,)
        Training rows in batches: tuples ``(X, y)`` or ``(X, y, sample_weight)``, or
        dicts with the keys "X", "y", "sample_weight" and "label_maturity", of which all
        but "y" may be absent. X is not read and may be None. A callable returns the
        iterable. An array-like holds the labels of all rows.
    share : float in [0, 1], default=0.5
        Share of the base rate's log-odds: 0 begins at even odds, 1 at the base rate.
    loss : FocalLoss or None, default=None
        Loss whose link is the scale of the raw score: ``objective.loss``. None: the
        raw score is the log-odds.
    classes : iterable of two labels, default=(0, 1)
        Labels of the batches; the second is the positive class.

    Returns
    -------
    start : float
        A raw score.

    Raises
    ------
    ValueError, TypeError
        If there is no row, a batch or a label is of another kind, a weight or a
        maturity cannot be used, or lengths differ.

    See Also
    --------
    focal_gbm.native.complete : Adds the start to the trained booster.
    focal_gbm.FocalObjective : Takes the start as ``offset``.

    Examples
    --------
    >>> from focal_gbm.native import starting_point
    >>> y = [0] * 999 + [1]
    >>> round(starting_point(y), 4)   # half of log(1 / 999)
    -3.4534
    >>> parts = [{"y": y[:400]}, {"y": y[400:]}]
    >>> round(starting_point(parts), 4)
    -3.4534
    """
    share = check_real(share, "share", low=0.0, high=1.0)
    loss = FocalLoss() if loss is None else _checked_loss(loss)
    if _is_vector(batches):
        batches = [{"y": batches}]
    totals = _Totals()
    for batch in _read(batches, _checked_classes(classes), loss.link):
        totals.add(batch)
    return float(loss.raw_prediction([share * totals.log_odds()])[0])


def complete(
    booster: Any,
    batches: Any,
    *,
    objective: FocalObjective,
    classes: Iterable[Any] = (0, 1),
) -> Any:
    """Return the trained booster with start, closing constant and objective in it.

    The result is what the estimators have in ``booster_`` and ``get_booster()``. With
    ``link="posterior"`` its raw score is the log-odds, and ``predict`` of the library
    returns probabilities, from memory or from a saved model. Their mean over the
    training rows is the base rate, by weight; with maturities, as many positives are
    expected to be known as are. With ``link="logit"``, pass raw scores to
    ``objective.loss.probability``.

    Each batch is predicted once. What stays in memory is a raw score a row, of 8 bytes
    in LightGBM and 4 in XGBoost, and 8 bytes for weights or maturities if there are
    any.

    Parameters
    ----------
    booster : lightgbm.Booster or xgboost.Booster
        Booster trained with ``objective``, or by XGBoost's own "binary:logistic", in
        ``xgboost.spark`` too. It does not change.
    batches : iterable or callable
        All training rows, in batches: tuples ``(X, y)`` or ``(X, y, sample_weight)``,
        or dicts with the keys "X", "y", "sample_weight" and "label_maturity", of which
        the last two may be absent. A callable returns the iterable. X is anything that
        the booster's library predicts; for XGBoost, a DMatrix with its own settings for
        missing values or categories too. To show progress, wrap the iterable in tqdm.
    objective : FocalObjective
        Objective that the booster was trained with; ``FocalObjective(gamma=0.0)`` for
        XGBoost's own, with or without ``scale_pos_weight``.
    classes : iterable of two labels, default=(0, 1)
        Labels of the batches; the second is the positive class. An XGBoost booster
        keeps them, and ``FocalXGBClassifier.load_model`` reads them.

    Returns
    -------
    booster : lightgbm.Booster or xgboost.Booster
        A new booster. If training stopped early, an XGBoost booster ends at the best
        iteration, because XGBoost would predict with all; ``lightgbm.train`` returns
        boosters that end there.

    Raises
    ------
    ValueError, TypeError
        If there is no row, a batch or a label is of another kind, one class is missing,
        a weight or a maturity cannot be used, lengths differ, or the booster has
        another objective.

    See Also
    --------
    focal_gbm.native.starting_point : The start of the training.
    focal_gbm.FocalLGBMClassifier : Does all three steps, with the rows in memory.
    focal_gbm.FocalXGBClassifier : The same on XGBoost.
    focal_gbm.dask.FocalDaskLGBMClassifier : Rows in the memory of a cluster.

    Notes
    -----
    Complete a booster once, after its last tree. Training that was interrupted goes on
    from a saved booster, with the same objective and ``init_model`` of
    ``lightgbm.train`` or ``xgb_model`` of ``xgboost.train``; for LightGBM's Sequences,
    which it cannot predict, see ``examples/train_on_folder.py``. A completed booster
    has the start in it: continue it with ``FocalObjective(offset=0.0)``, since another
    offset would count the start twice. An XGBoost booster keeps the best iteration of
    early stopping, at which this function cuts: continue
    ``booster[: booster.best_iteration + 1]``, which keeps none.

    Examples
    --------
    >>> import lightgbm as lgb, numpy as np
    >>> from focal_gbm import FocalObjective
    >>> from focal_gbm.native import complete, starting_point
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(3000, 3))
    >>> y = (rng.random(3000) < 1 / (1 + np.exp(4 - 2 * X[:, 0]))).astype(int)
    >>> objective = FocalObjective(gamma=2.0, offset=starting_point(y))
    >>> params = {"objective": objective, "max_delta_step": 4.0, "verbosity": -1}
    >>> booster = lgb.train(params, lgb.Dataset(X, y), num_boost_round=20)
    >>> parts = ((X[i : i + 1000], y[i : i + 1000]) for i in range(0, 3000, 1000))
    >>> booster = complete(booster, parts, objective=objective)
    >>> probability = lgb.Booster(model_str=booster.model_to_string()).predict(X)
    >>> bool(np.isclose(probability.mean(), y.mean(), rtol=1e-6))
    True

    In XGBoost:

    >>> import xgboost as xgb
    >>> params = {"objective": "binary:logistic", "max_delta_step": 4.0}
    >>> booster = xgb.train(params, xgb.DMatrix(X, y), 20, obj=objective)
    >>> booster = complete(booster, [(X, y)], objective=objective)
    >>> bool(np.isclose(booster.predict(xgb.DMatrix(X)).mean(), y.mean(), rtol=1e-6))
    True
    """
    if not isinstance(objective, FocalObjective):
        msg = (
            "objective must be the FocalObjective that the booster was trained with, "
            f"got {type(objective).__name__}"
        )
        raise TypeError(msg)
    finish = _library_of(booster)
    rows = _Rows(batches, _checked_classes(classes), objective)
    return finish(booster, rows)


def _library_of(booster: Any) -> Callable[[Any, _Rows], Any]:
    """Return the function that completes the boosters of a library."""
    for library, finish in (
        ("lightgbm", _complete_lightgbm),
        ("xgboost", _complete_xgboost),
    ):
        module = sys.modules.get(library)  # a booster comes from a loaded library
        if module is not None and isinstance(booster, module.Booster):
            return finish
    msg = (
        "booster must be a lightgbm.Booster or an xgboost.Booster, as train returns "
        f"them, got {type(booster).__name__}"
    )
    raise TypeError(msg)


def _complete_lightgbm(booster: Any, rows: _Rows) -> Any:
    from focal_gbm._estimators.lightgbm import saved_model
    from focal_gbm._estimators.lightgbm.parameters import value_of

    link = rows.loss.link
    named = saved_model.objective_of(booster.model_to_string(num_iteration=1))
    if named not in ("", saved_model.LOG_ODDS if link == "posterior" else ""):
        msg = (
            f"the booster was trained with {named!r}, and its raw scores are not those "
            f"of link={link!r}; train with params={{'objective': FocalObjective(...)}}"
        )
        raise ValueError(msg)
    names = booster.feature_name()
    if names == [f"Column_{i}" for i in range(len(names))]:  # trained without names
        names = None
    threads = value_of(booster.params, "num_threads")
    options = {} if threads is None else {"num_threads": threads}

    def predict(X: Any) -> Any:
        _check_names(X, names)
        return booster.predict(X, raw_score=True, **options)

    constant = rows.predicted(predict).closing_constant()
    booster = saved_model.completed(booster, constant, link)
    _warn(without_split(saved_model.has_split(booster)))
    return booster


def _check_names(X: Any, names: list[str] | None) -> None:
    """Refuse a frame or a table whose columns are not those of the training in their
    order: LightGBM would take them by position."""
    found = getattr(X, "column_names", None)  # of Arrow, whose columns are arrays
    if found is None:
        found = getattr(X, "columns", None)
    if names is None or found is None:
        return
    # LightGBM writes blanks in names so
    found = [str(name).replace(" ", "_") for name in found]
    if found != names:
        msg = (
            "X must have the columns of the training in their order, "
            f"{names[:10]}, got {found[:10]}"
        )
        raise ValueError(msg)


def _complete_xgboost(booster: Any, rows: _Rows) -> Any:
    from xgboost import DMatrix

    from focal_gbm._estimators.xgboost import saved_model

    booster = saved_model.with_objective(booster, rows.loss.link)
    threads = saved_model.learner(booster)["generic_param"]["nthread"]
    before = constant = 0.0

    def closing(cut: Any) -> float:
        """Measure the closing constant of a booster, by its rows the first time, and by
        the change of its start the second."""
        nonlocal before, constant
        if rows.scores:
            return constant - (saved_model.score_of_nothing(cut) - before)

        def predict(X: Any) -> Any:
            if not isinstance(X, DMatrix):
                # columns of an array are those of the booster in their order
                is_named = hasattr(X, "columns") or hasattr(X, "column_names")
                X = DMatrix(
                    X,
                    feature_names=None if is_named else cut.feature_names,
                    feature_types=None if is_named else cut.feature_types,
                    enable_categorical=True,
                    nthread=int(threads),
                )
            elif len(X.get_base_margin()):
                msg = (
                    "X has a base_margin, which is not part of a model: make the "
                    "DMatrix without it, and begin at FocalObjective(offset=...)"
                )
                raise ValueError(msg)
            return cut.predict(X, output_margin=True)

        constant = rows.predicted(predict).closing_constant()
        before = saved_model.score_of_nothing(cut)
        return constant

    booster = saved_model.completed(booster, rows.loss, 0.5, rows.classes, closing)
    _warn(without_split(saved_model.has_split(booster)))
    return booster


def _warn(message: str) -> None:
    if message:
        warnings.warn(message, UserWarning, stacklevel=4)


@dataclass(frozen=True)
class _Batch:
    """A batch after checks; ``codes`` are 1 for the positive class."""

    number: int
    X: Any
    codes: NDArray[np.uint8]
    weight: Float64Array | None
    maturity: Float64Array | None


class _Totals:
    """Sums over the batches: rows of positive weight, and weights by class."""

    def __init__(self) -> None:
        self.n_rows = 0
        self.positive = self.negative = 0.0
        # the weights of positives expected to be known if every row were one
        self.most = 0.0
        self.is_late = False

    def add(self, batch: _Batch) -> None:
        """Add a batch."""
        weight, maturity = batch.weight, batch.maturity
        if weight is None:
            weight = np.ones(len(batch.codes))
        self.n_rows += int(np.count_nonzero(weight))
        self.positive += float(weight.sum(where=batch.codes > 0))
        self.negative += float(weight.sum(where=batch.codes == 0))
        self.is_late |= maturity is not None
        self.most += float((weight if maturity is None else weight * maturity).sum())

    def log_odds(self) -> float:
        """Return the log-odds of the base rate; with maturities, of the true class."""
        self._check_rows()
        negative = self.negative
        if self.is_late:
            check_expected(self.positive, self.most)
            negative = self.most - self.positive
        return log_odds_of_sums(self.positive, negative, self.n_rows)

    def check_classes(self, classes: NDArray[Any]) -> None:
        """Refuse rows of one class, which have no closing constant."""
        self._check_rows()
        if self.is_late:
            check_expected(self.positive, self.most)
        for sum_of_class, other in ((self.positive, 0), (self.negative, 1)):
            if sum_of_class == 0:
                msg = (
                    "batches must hold rows of both classes, with positive weight, got "
                    f"{classes.tolist()[other]!r} only; pass all training rows"
                )
                raise ValueError(msg)

    def _check_rows(self) -> None:
        if self.n_rows == 0:
            msg = (
                "batches held no row of positive weight; an iterator that was read "
                "before is empty: pass a list, or a function that returns a new "
                "iterator"
            )
            raise ValueError(msg)


class _Rows:
    """The training rows: read once, and then raw scores and weights by batch."""

    def __init__(
        self, batches: Any, classes: NDArray[Any], objective: FocalObjective
    ) -> None:
        self.classes = classes
        self.loss = objective.loss
        self.scores: list[tuple[NDArray[Any], Float64Array | None]] = []
        self._batches = batches
        self._objective = objective
        self._totals = _Totals()

    def predicted(self, predict: Callable[[Any], Any]) -> _Rows:
        """Return these rows with the raw scores that ``predict`` returns for each X."""
        for batch in _read(self._batches, self.classes, self.loss.link):
            self._totals.add(batch)
            if len(batch.codes) == 0:
                continue
            raw = np.asarray(predict(batch.X))
            if raw.ndim != 1:
                msg = (
                    f"the booster predicts raw scores of shape {raw.shape}; only "
                    "binary classification is supported, with one raw score a row"
                )
                raise ValueError(msg)
            if len(raw) != len(batch.codes):
                msg = (
                    f"X and y of batch {batch.number} must have one number of rows, "
                    f"got {len(raw)} and {len(batch.codes)}"
                )
                raise ValueError(msg)
            if np.isnan(raw).any():
                msg = (
                    f"the booster predicts NaN in row {int(np.isnan(raw).argmax())} of "
                    f"batch {batch.number}: its training diverged"
                )
                raise ValueError(msg)
            weight = batch.weight
            if batch.maturity is not None:
                weight = batch.maturity * (1.0 if weight is None else weight)
            self.scores.append((raw, weight))
        self._totals.check_classes(self.classes)
        is_late = self._objective.label_maturity is not None
        if is_late != self._totals.is_late:
            one, other = (
                ("objective", "batches") if is_late else ("batches", "objective")
            )
            msg = (
                f"label_maturity is below 1 in the {one}, but not in the {other}; pass "
                "the maturities of the training rows to both, as the key "
                "'label_maturity' of each batch"
            )
            raise ValueError(msg)
        return self

    def closing_constant(self) -> float:
        """Return the constant to be added to the booster's raw scores, start
        included."""
        offset = self._objective.offset

        def expected(constant: float) -> tuple[float, float]:
            total = spread = 0.0
            for raw, weight in self.scores:
                sums = expected_positives(self.loss, raw, weight, offset + constant)
                total, spread = total + sums[0], spread + sums[1]
            return total, spread

        return offset + closing_root(self.loss, expected, self._totals.positive)


def _read(batches: Any, classes: NDArray[Any], link: str) -> Iterator[_Batch]:
    """Yield the batches after checks."""
    source = batches() if callable(batches) else batches
    if isinstance(source, Mapping) or not isinstance(source, Iterable):
        msg = (
            "batches must be an iterable of batches, or a function that returns one, "
            f"got {type(source).__name__}; pass one batch as [batch]"
        )
        raise TypeError(msg)
    for number, batch in enumerate(source):
        parts = _parts(batch, number)
        of_batch = f"of batch {number}"
        codes = encode(parts["y"], classes, f"y {of_batch}")
        weight = check_weights(
            parts.get("sample_weight"),
            len(codes),
            f"sample_weight {of_batch}",
            of_all=False,
        )
        maturity = maturity_of_rows(
            parts.get("label_maturity"), codes, link, f"label_maturity {of_batch}"
        )
        yield _Batch(number, parts.get("X"), codes, weight, maturity)


def _parts(batch: Any, number: int) -> Mapping[str, Any]:
    """Return the parts of a batch by name."""
    if isinstance(batch, Mapping):
        for key in batch:
            if key not in _KEYS:
                hint = did_you_mean(str(key), _KEYS) or f"; it may be {_FORMS}"
                msg = f"batch {number} has an unknown key {key!r}{hint}"
                raise ValueError(msg)
        parts: Mapping[str, Any] = batch
    elif isinstance(batch, tuple) and len(batch) in (2, 3):
        parts = dict(zip(_KEYS, batch, strict=False))
    else:
        found = type(batch).__name__
        if isinstance(batch, tuple):
            found += f" of {len(batch)}"
        msg = f"a batch must be {_FORMS}; batch {number} is a {found}"
        raise TypeError(msg)
    if parts.get("y") is None:
        msg = f"batch {number} has no labels: y is missing"
        raise ValueError(msg)
    return parts


def _checked_classes(classes: Iterable[Any]) -> NDArray[Any]:
    """Return the two classes, the second being the positive one."""
    labels = as_labels(list(classes))
    if len(labels) != 2 or labels[0] == labels[1]:
        msg = (
            "classes must be two different labels, the second of the positive class, "
            f"got {labels.tolist()}"
        )
        raise ValueError(msg)
    return labels


def _checked_loss(loss: Any) -> FocalLoss:
    if not isinstance(loss, FocalLoss):
        msg = (
            "loss must be a FocalLoss, such as objective.loss, got "
            f"{type(loss).__name__}"
        )
        raise TypeError(msg)
    return loss


def _is_vector(values: Any) -> bool:
    """Whether the argument holds labels, in place of batches."""
    if isinstance(values, list):
        first = values[0] if values else ()
        return isinstance(first, str) or not hasattr(first, "__len__")
    return hasattr(values, "__array__")
