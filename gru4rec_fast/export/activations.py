"""The activations as ONNX operators (SPEC section 3; the twin of `reference.activations`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gru4rec_fast.activation import Activation
    from gru4rec_fast.export.graph import Graph

ACTIVATIONS: dict[str, Callable[..., str]] = {
    "linear": lambda _, x: x,
    "relu": lambda graph, x: graph.op("Relu", x),
    "tanh": lambda graph, x: graph.op("Tanh", x),
    "leaky": lambda graph, x, slope: graph.op("LeakyRelu", x, alpha=slope),
    "elu": lambda graph, x, alpha: graph.op("Elu", x, alpha=alpha),
    "selu": lambda graph, x, scale, alpha: graph.op("Selu", x, gamma=scale, alpha=alpha),
}
"""By the names of `activation.PARAMETERS`; each takes the graph, x, then its parameters."""


def activate(graph: Graph, x: str, activation: Activation) -> str:
    """The activation of every element of x."""
    return ACTIVATIONS[activation.name](graph, x, *activation.parameters)
