"""Adagrad with momentum (SPEC section 6).

    a += g^2;   m = mu m - eta g / sqrt(a + eps);   theta += m

State tables: the accumulator a and, with momentum > 0, the momentum m. `reference.adagrad`.

Numerics: float32. The accumulator only grows and its square root divides, so half precision would
lose the small squares that are added to it.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.optimisers.optimiser import Optimiser
from gru4rec_fast.reference import ADAGRAD_EPSILON

EPSILON = tl.constexpr(ADAGRAD_EPSILON)


@triton.jit
def adagrad_update(parameter, at, theta, g, mask, options):
    """`Optimiser.update`; options: learning rate eta, momentum mu."""
    a = tl.load(parameter.state[0] + at, mask=mask, other=0.0) + g * g
    update = -options[0] * g / tl.sqrt(a + EPSILON)
    if len(parameter.state) > 1:
        update += options[1] * tl.load(parameter.state[1] + at, mask=mask, other=0.0)
        tl.store(parameter.state[1] + at, update, mask=mask)
    tl.store(parameter.state[0] + at, a, mask=mask)
    tl.store(parameter.theta + at, theta + update, mask=mask)


ADAGRAD = Optimiser(
    update=adagrad_update,
    options=("learning_rate", "momentum"),
    state_names=lambda config: ("accumulator", "momentum")[: 1 + (config.momentum > 0)],
)
