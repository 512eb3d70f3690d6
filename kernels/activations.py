"""The activation of a score before the loss (SPEC section 4), and its gradient."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def elu(s, ELU: tl.constexpr):
    """Exponential linear unit with parameter ELU; 0 means no activation. `reference.elu`."""
    if ELU == 0:
        return s
    return tl.where(s > 0, s, ELU * (tl.exp(tl.minimum(s, 0.0)) - 1))


@triton.jit
def elu_backward(d, s, ELU: tl.constexpr):
    """Gradient by the score s from the gradient d by elu(s)."""
    if ELU > 0:
        d *= tl.where(s > 0, 1.0, ELU * tl.exp(tl.minimum(s, 0.0)))
    return d
