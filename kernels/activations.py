"""The activations of a score before the loss (SPEC section 3), and their gradients.

`activate` gets scores s and the activation's parameters, `backward` the gradient d by the activated
scores, s and the parameters again. `reference.activate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import triton
import triton.language as tl

from gru4rec_fast.kernels._tile import tanh


@dataclass(frozen=True)
class ActivationPart:
    """An activation as a compile-time part of the loss's kernels."""

    activate: Any
    """Jit function (s, P) -> activated scores; P: the parameters, compile-time numbers."""
    backward: Any
    """Jit function (d, s, P) -> gradient by s."""


@triton.jit
def linear(s, P: tl.constexpr):  # noqa: ARG001
    """The score itself."""
    return s


@triton.jit
def linear_backward(d, s, P: tl.constexpr):  # noqa: ARG001
    """The gradient itself."""
    return d


@triton.jit
def relu(s, P: tl.constexpr):  # noqa: ARG001
    """The score, below 0 zero."""
    return tl.maximum(s, 0.0)


@triton.jit
def relu_backward(d, s, P: tl.constexpr):  # noqa: ARG001
    """The gradient, below 0 zero."""
    return tl.where(s > 0, d, 0.0)


@triton.jit
def tanh_activate(s, P: tl.constexpr):  # noqa: ARG001
    """Hyperbolic tangent of s."""
    return tanh(s)


@triton.jit
def tanh_backward(d, s, P: tl.constexpr):  # noqa: ARG001
    """The gradient times 1 - tanh^2, of which `tanh` has computed sigma already."""
    sigma = tl.sigmoid(2 * s)
    return d * 4 * sigma * (1 - sigma)


@triton.jit
def leaky(s, P: tl.constexpr):
    """The score, below 0 times P[0]."""
    return tl.where(s > 0, s, P[0] * s)


@triton.jit
def leaky_backward(d, s, P: tl.constexpr):
    """The gradient, below 0 times P[0]."""
    return tl.where(s > 0, d, P[0] * d)


@triton.jit
def elu(s, P: tl.constexpr):
    """The score, below 0 P[0] (exp(s) - 1)."""
    return tl.where(s > 0, s, P[0] * (tl.exp(tl.minimum(s, 0.0)) - 1))


@triton.jit
def elu_backward(d, s, P: tl.constexpr):
    """The gradient, below 0 times P[0] exp(s)."""
    return d * tl.where(s > 0, 1.0, P[0] * tl.exp(tl.minimum(s, 0.0)))


@triton.jit
def selu(s, P: tl.constexpr):
    """P[0] times the ELU of parameter P[1]."""
    return P[0] * tl.where(s > 0, s, P[1] * (tl.exp(tl.minimum(s, 0.0)) - 1))


@triton.jit
def selu_backward(d, s, P: tl.constexpr):
    """The gradient times P[0], below 0 also times P[1] exp(s)."""
    return d * P[0] * tl.where(s > 0, 1.0, P[1] * tl.exp(tl.minimum(s, 0.0)))


ACTIVATIONS: dict[str, ActivationPart] = {
    "linear": ActivationPart(linear, linear_backward),
    "relu": ActivationPart(relu, relu_backward),
    "tanh": ActivationPart(tanh_activate, tanh_backward),
    "leaky": ActivationPart(leaky, leaky_backward),
    "elu": ActivationPart(elu, elu_backward),
    "selu": ActivationPart(selu, selu_backward),
}
"""By the names of `activation.PARAMETERS`."""
