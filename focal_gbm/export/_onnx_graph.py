"""A graph of ONNX, to which functions of NumPy add nodes, and its trees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray
from scipy.special import logit

from focal_gbm._validation import Float64Array

# The version of the operators of "ai.onnx.ml" that first hold float64.
ML_OPSET = 3


class Graph:
    """The nodes and constants that a converter adds to the model of skl2onnx."""

    def __init__(self, scope: Any, container: Any) -> None:
        self._scope, self._container = scope, container

    # Any: NumPy's types do not know arrays that are not NumPy's
    def node(
        self,
        op_type: str,
        *inputs: Any,
        domain: str = "",
        output: str | None = None,
        **attributes: Any,
    ) -> Any:
        """Add a node, whose inputs are columns, numbers or arrays, and return its
        output as a column."""
        name = output or self._scope.get_unique_variable_name(op_type.lower())
        self._container.add_node(
            op_type,
            [v.name if isinstance(v, Column) else self._constant(v) for v in inputs],
            name,
            op_domain=domain,
            name=self._scope.get_unique_operator_name(op_type),
            **attributes,
        )
        return Column(self, name)

    def cast(self, column: Any, dtype: Any) -> Any:
        """Return a column in another dtype of NumPy."""
        return self.node("Cast", column, to=_tensor_type(dtype))

    def _constant(self, value: Any) -> str:
        array = np.asarray(value)
        content = array.ravel().tolist()
        if array.dtype == object:
            content = [text.encode() for text in content]
        name: str = self._scope.get_unique_variable_name("constant")
        self._container.add_initializer(
            name, _tensor_type(array.dtype), list(array.shape), content
        )
        return name


def _tensor_type(dtype: Any) -> int:
    from onnx.helper import np_dtype_to_tensor_dtype

    return int(np_dtype_to_tensor_dtype(np.dtype(dtype)))


class Column(NDArrayOperatorsMixin):
    """A column of a graph, or several side by side."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any) -> Any:
        if ufunc in _NODES and method == "__call__":
            inputs = tuple(float(v) if isinstance(v, int) else v for v in inputs)
            return self.graph.node(_NODES[ufunc], *inputs)
        return self.__array_function__(ufunc, (), inputs, {})

    def __array_function__(
        self, function: Any, _types: Any, inputs: Any, _named: Any
    ) -> Any:
        replaced = _FUNCTIONS.get(function)
        return NotImplemented if replaced is None else replaced(*inputs)


_NODES: dict[Callable[..., Any], str] = {
    np.absolute: "Abs",
    np.add: "Add",
    np.divide: "Div",
    np.equal: "Equal",
    np.exp: "Exp",
    np.floor: "Floor",
    np.greater: "Greater",
    np.less_equal: "LessOrEqual",
    np.log: "Log",
    np.logical_and: "And",
    np.maximum: "Max",
    np.minimum: "Min",
    np.multiply: "Mul",
    np.negative: "Neg",
    np.sign: "Sign",
    np.subtract: "Sub",
}


class _Basis(list[Any]):
    """Columns side by side, of which a calibrator takes one combination."""

    def __matmul__(self, coef: Float64Array) -> Any:
        return sum(float(k) * column for k, column in zip(coef, self, strict=True))


def _where(condition: Any, one: Any, other: Any) -> Any:
    graph = next(v.graph for v in (condition, one, other) if isinstance(v, Column))
    return graph.node("Where", condition, one, other)


def _logaddexp(one: Any, other: Any) -> Any:
    return np.maximum(one, other) + np.log(1.0 + np.exp(-np.abs(one - other)))


def _interp(x: Any, knots: Float64Array, values: Float64Array) -> Any:
    """Interpolate by a table of straight lines, in which a tree finds a row's line."""
    if len(knots) == 1:
        return 0.0 * x + float(values[0])
    x = np.clip(x, float(knots[0]), float(knots[-1]))
    line = x.graph.cast(leaf_sums(x, [_search(knots[1:-1])], 1), np.int64)
    slope, knot, value = (
        x.graph.node("Gather", table, line)
        for table in (np.diff(values) / np.diff(knots), knots, values)
    )
    return slope * (x - knot) + value


_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    logit: lambda p: np.log(p / (1.0 - p)),
    np.clip: lambda x, low, high: np.minimum(np.maximum(x, low), high),
    np.column_stack: _Basis,
    np.interp: _interp,
    np.logaddexp: _logaddexp,
    np.ones_like: lambda _: 1.0,
    np.where: _where,
}


class Node(NamedTuple):
    """A node of a tree: a leaf with ``weights``, one for each output, or a branch."""

    weights: tuple[float, ...] = ()
    mode: str = "LEAF"
    feature: int = 0
    value: float = 0.0
    true: int = 0
    false: int = 0
    is_missing_true: bool = False


def leaf_sums(x: Any, trees: Sequence[Sequence[Node]], n_outputs: int) -> Any:
    """Return the sums of the leaves that rows reach, of shape (n_samples, n_outputs)
    and float32. The first node of a tree is its root."""
    from onnx.numpy_helper import from_array

    flat = [(t, i, node) for t, tree in enumerate(trees) for i, node in enumerate(tree)]
    leaves = [
        (t, i, k, weight)
        for t, i, node in flat
        for k, weight in enumerate(node.weights)
    ]
    tree_of, number_of, nodes = zip(*flat, strict=True)
    leaf_trees, leaf_numbers, outputs, weights = zip(*leaves, strict=True)
    return x.graph.node(
        "TreeEnsembleRegressor",
        x,
        domain="ai.onnx.ml",
        op_version=ML_OPSET,
        n_targets=n_outputs,
        nodes_treeids=tree_of,
        nodes_nodeids=number_of,
        nodes_modes=[node.mode for node in nodes],
        nodes_featureids=[node.feature for node in nodes],
        nodes_values_as_tensor=from_array(np.array([node.value for node in nodes])),
        nodes_truenodeids=[node.true for node in nodes],
        nodes_falsenodeids=[node.false for node in nodes],
        nodes_missing_value_tracks_true=[int(node.is_missing_true) for node in nodes],
        target_treeids=leaf_trees,
        target_nodeids=leaf_numbers,
        target_ids=outputs,
        target_weights_as_tensor=from_array(np.array(weights)),
    )


def _search(knots: NDArray[np.float64]) -> list[Node]:
    """Return a balanced tree whose leaves are the number of knots below its input."""
    nodes: list[Node] = []

    def add(low: int, high: int) -> int:
        number = len(nodes)
        nodes.append(Node((float(low),)))
        if low < high:
            middle = (low + high) // 2
            value = float(knots[middle])
            true, false = add(low, middle), add(middle + 1, high)
            nodes[number] = Node((), "BRANCH_LEQ", 0, value, true, false)
        return number

    add(0, len(knots))
    return nodes
