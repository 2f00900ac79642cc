"""Converters for skl2onnx: trees, link, calibrator and threshold in one graph.

The graph computes in float64, as LightGBM and the calibrators do:

    columns -> raw score -> log-odds -> calibrator -> probability -> class
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from focal_gbm.calibration import map_of
from focal_gbm.cross_fit import FocalClassifierCV
from focal_gbm.export._onnx_graph import ML_OPSET, Column, Graph
from focal_gbm.export._onnx_trees import lightgbm_score, xgboost_score
from focal_gbm.lightgbm import FocalLGBMClassifier
from focal_gbm.loss import FocalLoss
from focal_gbm.xgboost import FocalXGBClassifier

# Those of skl2onnx's own classifiers.
_OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "raw_scores": [True, False],
}
_NUMBERS = "biuf"


def register_onnx() -> None:
    """Register the converters of the classifiers with skl2onnx.

    After the call ``skl2onnx.to_onnx`` and ``skl2onnx.convert_sklearn`` convert
    :class:`FocalLGBMClassifier`, :class:`FocalXGBClassifier` and
    :class:`FocalClassifierCV`, alone or at the end of a pipeline. The graph contains
    the link, the calibrator and ``threshold_``: its probabilities are those of
    ``predict_proba``, its labels those of ``predict``. A second call changes nothing.
    The graph is for the CPU provider of onnxruntime.

    The options of a conversion are those of other classifiers: ``zipmap``, ``nocl``,
    ``output_class_labels``, and ``raw_scores``, which returns log-odds in place of
    probabilities, minus ``decision_function`` in the first column and
    ``decision_function`` in the second.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.

    See Also
    --------
    focal_gbm.export.save : File of a model for Python, which runs no code.

    Notes
    -----
    A conversion is refused, with the reason, for an estimator that is not fitted,
    ``linear_tree=True``, ``booster="gblinear"``, a calibrator of another library,
    columns of texts, another number of columns than in the fit, labels that are neither
    texts nor numbers, and a ``target_opset`` below 3 of the domain "ai.onnx.ml".

    Columns may be float32 (``FloatTensorType``) or float64 (``DoubleTensorType``). The
    graph compares both with LightGBM's thresholds in float64, so that every row reaches
    the leaves that it reaches in LightGBM. XGBoost rounds its columns to float32, and
    so does the graph. float64 costs twice the memory of the columns. A scaler in front
    of the model computes in the type of the columns: in float32, a row next to a
    threshold may fall on its other side.

    XGBoost adds its leaves in float32, the graph in float64: log-odds differ by less
    than 1e-5. The steps of ``calibration="isotonic"`` can enlarge that difference.

    A column of categories contains the numbers that the booster was trained with, those
    of an ``OrdinalEncoder`` or the codes of a pandas column, and NaN for a missing
    value. ONNX has no sparse matrices, and XGBoost takes the zeros that a sparse matrix
    leaves out for missing values: encoders in front of FocalXGBClassifier must return
    dense rows in the fit too.

    Set ``threshold_`` of the classifier (``estimator_.threshold_`` of a
    FocalClassifierCV) before the conversion to alert above another probability. A row
    at ``threshold_`` is negative; :func:`focal_gbm.metrics.alert_threshold` counts a
    row at its threshold as an alert.
    skl2onnx (1.17 to 1.20) drops the threshold of a ``TunedThresholdClassifierCV``.

    Examples
    --------
    >>> import onnxruntime, skl2onnx
    >>> from focal_gbm import FocalLGBMClassifier
    >>> from focal_gbm.datasets import TRANSACTION_FEATURES, make_transactions
    >>> from focal_gbm.export import register_onnx
    >>> data = make_transactions(n_customers=200, n_terminals=400, n_days=60)
    >>> X = data[list(TRANSACTION_FEATURES)].to_numpy("float32")
    >>> model = FocalLGBMClassifier(n_estimators=30, verbose=-1)
    >>> model = model.fit(X, data["is_fraud"])
    >>> register_onnx()
    >>> graph = skl2onnx.to_onnx(model, X[:1], options={"zipmap": False})
    >>> session = onnxruntime.InferenceSession(
    ...     graph.SerializeToString(), providers=["CPUExecutionProvider"]
    ... )
    >>> label, probability = session.run(None, {"X": X})
    >>> bool(abs(probability - model.predict_proba(X)).max() < 1e-6)
    True
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError as error:
        msg = (
            "register_onnx needs skl2onnx, which is not installed: "
            "python -m pip install 'focal_gbm[export]'"
        )
        raise ImportError(msg) from error
    for estimator in (FocalLGBMClassifier, FocalXGBClassifier, FocalClassifierCV):
        update_registered_converter(
            estimator,
            estimator.__name__,
            _set_shapes,
            _convert,
            parser=_parse,
            options=_OPTIONS,
        )


# What skl2onnx (1.17 to 1.20) calls first, before it reads classes_.
def _parse(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """Check model and columns, and return the outputs as for other classifiers."""
    # what skl2onnx registers itself for a classifier with the option zipmap
    from skl2onnx._parse import _parse_sklearn_classifier
    from skl2onnx.common.data_types import StringTensorType

    check_is_fitted(model)
    classes = model.classes_
    is_nameable = classes.dtype.kind in _NUMBERS or all(
        isinstance(label, str) for label in classes
    )
    if not is_nameable and not scope.get_options(model, {"nocl": False})["nocl"]:
        msg = (
            f"classes_ are {classes.tolist()}, and labels in ONNX are texts or whole "
            "numbers; fit with such labels, or convert with the option nocl=True, "
            "which returns 0 and 1"
        )
        raise ValueError(msg)
    texts = [v.raw_name for v in inputs if isinstance(v.type, StringTensorType)]
    if texts:
        msg = (
            f"the columns {texts} are texts, and trees in ONNX compare numbers: put an "
            "OrdinalEncoder in front, or pass the codes of pandas categories as "
            "numbers"
        )
        raise ValueError(msg)
    n_columns = [(v.type.shape or [None, None])[-1] for v in inputs]
    if all(isinstance(n, int) for n in n_columns):
        total, wanted = sum(n_columns), model.n_features_in_
        if total != wanted:
            msg = (
                f"the rows have {total} columns, and {type(model).__name__} was fitted "
                f"to {wanted}; pass rows, or initial_types, of {wanted} columns"
            )
            raise ValueError(msg)
    return _parse_sklearn_classifier(scope, model, inputs, custom_parsers)


def _labels(scope: Any, model: Any) -> NDArray[Any]:
    """Return the labels of the graph, as texts or int64."""
    from skl2onnx.common.utils_classifier import get_label_classes

    classes = get_label_classes(scope, model)
    kind = np.int64 if classes.dtype.kind in _NUMBERS else np.object_
    labels: NDArray[Any] = classes.astype(kind)
    return labels


def _set_shapes(operator: Any) -> None:
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    labels = _labels(operator.scope_inst, operator.raw_operator)
    rows = operator.inputs[0].get_first_dimension()
    kind = StringTensorType if labels.dtype == object else Int64TensorType
    operator.outputs[0].set_type(kind([rows]))
    operator.outputs[1].type.shape = [rows, 2]


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of a fitted classifier to the graph of ``container``."""
    from skl2onnx.common.data_types import guess_proto_type

    opset = container.target_opset_any_domain("ai.onnx.ml")
    if opset < ML_OPSET:
        msg = (
            f"target_opset has version {opset} of ai.onnx.ml, in which trees are "
            f"float32; pass {{'': {container.target_opset}, 'ai.onnx.ml': {ML_OPSET}}}"
        )
        raise ValueError(msg)
    named = operator.raw_operator
    model = named.estimator_ if isinstance(named, FocalClassifierCV) else named
    graph = Graph(scope, container)
    parts = [
        graph.cast(Column(graph, v.full_name), np.float64) for v in operator.inputs
    ]
    x = parts[0] if len(parts) == 1 else graph.node("Concat", *parts, axis=1)
    is_xgboost = isinstance(model, FocalXGBClassifier)
    raw = xgboost_score(model, x) if is_xgboost else lightgbm_score(model, x)
    log_odds = _calibrated(model.calibrator_, _log_odds(model.loss_, raw))
    p = graph.node("Sigmoid", log_odds)
    if container.get_options(named, {"raw_scores": False})["raw_scores"]:
        scores = graph.node("Concat", -log_odds, log_odds, axis=1)
    else:
        scores = graph.node("Concat", 1.0 - p, p, axis=1)
    kind = guess_proto_type(operator.outputs[1].type)
    graph.node("Cast", scores, to=kind, output=operator.outputs[1].full_name)
    # predict compares in the type of the library's probabilities
    dtype = np.float32 if is_xgboost else np.float64
    is_positive = graph.cast(p, dtype) > dtype(model.threshold_)
    row = graph.node("Reshape", graph.cast(is_positive, np.int64), np.array([-1]))
    labels = _labels(scope, named)
    graph.node("Gather", labels, row, output=operator.outputs[0].full_name)


def _log_odds(loss: FocalLoss, z: Any) -> Any:
    """Return log-odds for raw scores, by the formula of ``log_odds`` in
    focal_gbm/_kernels/formulas.py."""
    if loss.link == "posterior":
        return z
    a = np.abs(z)
    u = np.exp(-a)
    # log1p(u) / u: the rounding of 1 + u cancels
    rounded = 1.0 + u
    step = np.maximum(rounded - 1.0, 1e-300)
    rho = np.where(rounded <= 1.0, 1.0, np.log(rounded) / step)
    below = u * (a + rho * u)
    ratio = loss.gamma * (rho - below) / (1.0 + loss.gamma * below)
    x = (1.0 + loss.gamma) * a - np.log(1.0 + ratio)
    return np.sign(z) * x - loss.shift


def _calibrated(calibrator: Any, log_odds: Any) -> Any:
    """Return calibrated log-odds."""
    if calibrator is None:
        return log_odds
    calibrate = map_of(calibrator)
    if calibrate is None:
        msg = (
            f"the calibrator {type(calibrator).__name__} is not one of focal_gbm, and "
            "its predict cannot be converted; use a method of LogOddsCalibrator or a "
            "PriorShift"
        )
        raise ValueError(msg)
    return calibrate(log_odds)
