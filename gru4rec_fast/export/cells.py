"""The recurrent cells as ONNX operators (SPEC section 3; the twin of `reference.cells`).

Every cell takes wx (M, gates * H), the products of the input with the gates' weights, the carried
states (M, H) one by one, and the names of its weights. It returns the new states, h' first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gru4rec_fast.activation import Activation
from gru4rec_fast.export.activations import activate
from gru4rec_fast.export.graph import Graph

States = list[str]
Cell = Callable[[Graph, str, States, Mapping[str, str], Activation], States]


def _gate(graph: Graph, x: str, h: str) -> str:
    return graph.op("Sigmoid", graph.op("Add", x, h))


def _weighed(graph: Graph, z: str, new: str, old: str) -> str:
    """Z * new + (1 - z) * old, as old + z * (new - old)."""
    return graph.op("Add", old, graph.op("Mul", z, graph.op("Sub", new, old)))


def gru_reset_after(
    graph: Graph, wx: str, states: States, w: Mapping[str, str], _: Activation
) -> States:
    """The GRU with the reset gate after the product; gates (reset, update, new)."""
    (h,) = states
    r_x, z_x, n_x = graph.chunk(wx, 3)
    r_h, z_h, n_h = graph.chunk(graph.linear(h, w["weight_hh"], w["bias_hh"]), 3)
    r, z = _gate(graph, r_x, r_h), _gate(graph, z_x, z_h)
    n = graph.op("Tanh", graph.op("Add", n_x, graph.op("Mul", r, n_h)))
    return [_weighed(graph, z, h, n)]


def gru_reset_before(
    graph: Graph, wx: str, states: States, w: Mapping[str, str], act: Activation
) -> States:
    """The GRU with the reset gate before the product; gates (new, reset, update)."""
    (h,) = states
    n_x, r_x, z_x = graph.chunk(graph.op("Add", wx, graph.weight(w["Bh0"])), 3)
    r_h, z_h = graph.chunk(graph.op("MatMul", h, graph.weight(w["Wrz0"])), 2)
    r, z = _gate(graph, r_x, r_h), _gate(graph, z_x, z_h)
    n_h = graph.op("MatMul", graph.op("Mul", r, h), graph.weight(w["Wh0"]))
    n = activate(graph, graph.op("Add", n_x, n_h), act)
    return [_weighed(graph, z, n, h)]


def lstm(graph: Graph, wx: str, states: States, w: Mapping[str, str], _: Activation) -> States:
    """The LSTM; gates (input, forget, cell, output), states h and c."""
    h, c = states
    gates = graph.op("Add", wx, graph.linear(h, w["weight_hh"], w["bias_hh"]))
    i, f, g, o = graph.chunk(gates, 4)
    kept = graph.op("Mul", graph.op("Sigmoid", f), c)
    written = graph.op("Mul", graph.op("Sigmoid", i), graph.op("Tanh", g))
    c = graph.op("Add", kept, written)
    return [graph.op("Mul", graph.op("Sigmoid", o), graph.op("Tanh", c)), c]


def rnn(graph: Graph, wx: str, states: States, w: Mapping[str, str], act: Activation) -> States:
    """The plain recurrent cell."""
    recurrent = graph.linear(states[0], w["weight_hh"], w["bias_hh"])
    return [activate(graph, graph.op("Add", wx, recurrent), act)]


CELLS: dict[str, Cell] = {
    "gru-reset-after": gru_reset_after,
    "gru-reset-before": gru_reset_before,
    "lstm": lstm,
    "rnn": rnn,
}
"""By the names of `spec.CELLS`."""
