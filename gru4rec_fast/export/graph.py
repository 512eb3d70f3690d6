"""An ONNX graph under construction: nodes in the order in which they compute, and the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import NodeProto


class Graph:
    """Nodes and the arrays that they use; values are known by their names.

    Args:
        weights: name -> array of the model's parameters, which stay as they are.
    """

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self._weights = weights
        self.nodes: list[NodeProto] = []
        self.arrays: dict[str, NDArray[Any]] = {}

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add the operator `kind`; returns the name of its value."""
        return self.split(kind, *inputs, parts=1, **attributes)[0]

    def split(self, kind: str, *inputs: str, parts: int, **attributes: Any) -> list[str]:
        """Add an operator of several values; returns their names."""
        outputs = [f"{kind}_{len(self.nodes)}_{part}" for part in range(parts)]
        self.nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        return outputs

    def chunk(self, x: str, parts: int) -> list[str]:
        """The columns of x (M, parts * n) in `parts` matrices (M, n)."""
        return self.split("Split", x, parts=parts, axis=1) if parts > 1 else [x]

    def named(self, x: str, name: str) -> None:
        """Give the value x the name of an output."""
        self.nodes.append(helper.make_node("Identity", [x], [name]))

    def weight(self, name: str) -> str:
        """The model's parameter of this name; a parameter used twice is stored once."""
        return self.array(name, self._weights[name])

    def array(self, name: str, value: NDArray[Any]) -> str:
        """An array that is no parameter of the model, or has another shape there."""
        self.arrays[name] = value
        return name

    def integer(self, value: int) -> str:
        """The constant (1,) int64."""
        return self.array(f"integer_{value}", np.array([value], dtype=np.int64))

    def linear(self, x: str, weight: str, bias: str) -> str:
        """X W^T + b of the parameters of these names, W (n, K), b (n,)."""
        return self.op("Gemm", x, self.weight(weight), self.weight(bias), transB=1)
