"""One serving step as an ONNX graph: an event of each of M sessions, its scores, the new states.

Inputs: `items` (M,) int64, the item index of each session's event, and `state_0`, `state_1`, ...
(M, states * H_l) float32, by layer, zeros where a session starts. Outputs: `top_items` (M, k) int64
and `top_scores` (M, k) float32, best first, equal scores by ascending index; or all `scores`
(M, V). Then `new_state_0`, ... for the next event. M is free in each call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnx import TensorProto, helper

from gru4rec_fast.export.activations import activate
from gru4rec_fast.export.cells import CELLS
from gru4rec_fast.export.graph import Graph

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import GraphProto

    from gru4rec_fast.spec import LayerSpec, NetworkSpec

LANES = "sessions"
"""The name of the free dimension M."""


def serving_step(
    spec: NetworkSpec, weights: Mapping[str, NDArray[Any]], k: int | None
) -> tuple[GraphProto, dict[str, NDArray[Any]]]:
    """The graph without its arrays, and these arrays by name; `k` None for all scores."""
    graph = Graph(weights)
    x = graph.op("Gather", graph.weight(spec.input_table), _checked_items(graph, spec), axis=0)
    inputs = [_value("items", TensorProto.INT64)]
    states = []
    for number, layer in enumerate(spec.layers):
        inputs.append(_value(f"state_{number}", TensorProto.FLOAT, layer.state_width))
        x, state = _layer(graph, layer, x, f"state_{number}")
        graph.named(state, f"new_state_{number}")
        states.append(_value(f"new_state_{number}", TensorProto.FLOAT, layer.state_width))
    for dense in spec.feed_forward:
        x = activate(graph, graph.linear(x, *dense.weights), dense.activation)
    bias = graph.array("By.row", weights["By.weight"].reshape(-1))
    scores = graph.op("Gemm", x, graph.weight("Wy.weight"), bias, transB=1)
    if k is None:
        graph.named(scores, "scores")
        best = [_value("scores", TensorProto.FLOAT, spec.n_items)]
    else:
        top_scores, top_items = graph.split("TopK", scores, graph.integer(k), parts=2)
        graph.named(top_items, "top_items")
        graph.named(top_scores, "top_scores")
        best = [_value("top_items", TensorProto.INT64, k)]
        best.append(_value("top_scores", TensorProto.FLOAT, k))
    return helper.make_graph(graph.nodes, "serving step", inputs, best + states), graph.arrays


def _value(name: str, dtype: int, *columns: int) -> Any:
    return helper.make_tensor_value_info(name, dtype, [LANES, *columns])


def _checked_items(graph: Graph, spec: NetworkSpec) -> str:
    """The items, where an index below 0 is V: ONNX would count it from the last item on."""
    negative = graph.op("Less", "items", graph.integer(0))
    return graph.op("Where", negative, graph.integer(spec.n_items), "items")


def _layer(graph: Graph, layer: LayerSpec, x: str, state: str) -> tuple[str, str]:
    """The hidden state (M, H) and the whole new state (M, states * H) of a layer."""
    names = {name.removeprefix(layer.prefix): name for name in layer.weights}
    bias = names.get("bias_ih")
    if not layer.one_hot:
        weight = graph.weight(names["weight_ih"])
        x = graph.op("Gemm", x, weight, *([graph.weight(bias)] if bias else []), transB=1)
    elif bias is not None:
        x = graph.op("Add", x, graph.weight(bias))
    old = graph.chunk(state, layer.kind.states)
    new = CELLS[layer.cell](graph, x, old, names, layer.activation)
    return new[0], new[0] if len(new) == 1 else graph.op("Concat", *new, axis=1)
