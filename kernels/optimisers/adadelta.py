"""Adadelta (SPEC section 6; Zeiler 2012).

    a = rho a + (1 - rho) g^2;  s = (u + eps) / (a + eps);  u = rho u + (1 - rho) s g^2
    g^ = g sqrt(s)

The learning rate is 1. `reference.Adadelta`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.optimisers.optimiser import Optimiser
from gru4rec_fast.kernels.optimisers.step import learning_rate, whole_step
from gru4rec_fast.reference import OPTIMISER_EPSILON

EPSILON = tl.constexpr(OPTIMISER_EPSILON)


@triton.jit
def adadelta_update(parameter, at, theta, g, mask, options):
    """`Optimiser.update`; constants: rho, 1 - rho."""
    rho, rest = options.constants
    a = rho * tl.load(parameter.state[0] + at, mask=mask, other=0.0) + rest * g * g
    u = tl.load(parameter.state[1] + at, mask=mask, other=0.0)
    scale = (u + EPSILON) / (a + EPSILON)
    step = -learning_rate(options) * g * tl.sqrt(scale)
    step = whole_step(parameter, at, theta, step, mask, options, 2)
    tl.store(parameter.state[0] + at, a, mask=mask)
    tl.store(parameter.state[1] + at, rho * u + rest * scale * g * g, mask=mask)
    tl.store(parameter.theta + at, theta + step, mask=mask)


ADADELTA = Optimiser(adadelta_update, constants=lambda rho: (rho, 1 - rho))
