"""RMSProp (SPEC section 6).

    a = rho a + (1 - rho) g^2;  g^ = g / sqrt(a + eps)

`reference.RmsProp`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.optimisers.optimiser import Optimiser
from gru4rec_fast.reference import OPTIMISER_EPSILON

EPSILON = tl.constexpr(OPTIMISER_EPSILON)


@triton.jit
def rmsprop_update(states, g, rate, options, WIDTH: tl.constexpr):  # noqa: ARG001
    """`Optimiser.update`; constants: rho, 1 - rho."""
    rho, rest = options.constants
    a = rho * states[0] + rest * g * g
    return -rate * g / tl.sqrt(a + EPSILON), (a,)


RMSPROP = Optimiser(rmsprop_update, constants=lambda rho: (rho, 1 - rho))
