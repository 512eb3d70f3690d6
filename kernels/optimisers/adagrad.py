"""Adagrad (SPEC section 6): a += g^2; g^ = g / sqrt(a + eps). `reference.Adagrad`.

Numerics: float32. The accumulator only grows and its square root divides, so half precision would
lose the small squares that are added to it.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.optimisers.optimiser import Optimiser
from gru4rec_fast.kernels.optimisers.step import take_step
from gru4rec_fast.reference import OPTIMISER_EPSILON

EPSILON = tl.constexpr(OPTIMISER_EPSILON)


@triton.jit
def adagrad_update(parameter, at, theta, g, mask, options):
    """`Optimiser.update`."""
    a = tl.load(parameter.state[0] + at, mask=mask, other=0.0) + g * g
    tl.store(parameter.state[0] + at, a, mask=mask)
    step = -options.learning_rate * g / tl.sqrt(a + EPSILON)
    take_step(parameter, at, theta, step, mask, options, 1)


ADAGRAD = Optimiser(adagrad_update)
