"""Adadelta (SPEC section 6; Zeiler 2012).

    a = rho a + (1 - rho) g^2;  s = (u + eps) / (a + eps);  u = rho u + (1 - rho) s g^2
    g^ = g sqrt(s)

The learning rate is 1. `reference.Adadelta`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.optimisers.optimiser import Optimiser
from gru4rec_fast.reference import OPTIMISER_EPSILON

EPSILON = tl.constexpr(OPTIMISER_EPSILON)


@triton.jit
def adadelta_update(states, g, rate, options, WIDTH: tl.constexpr):  # noqa: ARG001
    """`Optimiser.update`; constants: rho, 1 - rho."""
    rho, rest = options.constants
    a = rho * states[0] + rest * g * g
    u = states[1]
    scale = (u + EPSILON) / (a + EPSILON)
    return -rate * g * tl.sqrt(scale), (a, rho * u + rest * scale * g * g)


ADADELTA = Optimiser(adadelta_update, constants=lambda rho: (rho, 1 - rho))
