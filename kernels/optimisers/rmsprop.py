"""RMSProp (SPEC section 6).

    a = rho a + (1 - rho) g^2;  g^ = g / sqrt(a + eps)

`reference.RmsProp`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.optimisers.optimiser import Optimiser
from gru4rec_fast.kernels.optimisers.step import learning_rate, whole_step
from gru4rec_fast.reference import OPTIMISER_EPSILON

EPSILON = tl.constexpr(OPTIMISER_EPSILON)


@triton.jit
def rmsprop_update(parameter, at, theta, g, mask, options):
    """`Optimiser.update`; constants: rho, 1 - rho."""
    rho, rest = options.constants
    a = rho * tl.load(parameter.state[0] + at, mask=mask, other=0.0) + rest * g * g
    step = -learning_rate(options) * g / tl.sqrt(a + EPSILON)
    step = whole_step(parameter, at, theta, step, mask, options, 1)
    tl.store(parameter.state[0] + at, a, mask=mask)
    tl.store(parameter.theta + at, theta + step, mask=mask)


RMSPROP = Optimiser(rmsprop_update, constants=lambda rho: (rho, 1 - rho))
