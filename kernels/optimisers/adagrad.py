"""Adagrad (SPEC section 6): a += g^2; g^ = g / sqrt(a + eps). `reference.Adagrad`.

Numerics: float32. The accumulator only grows and its square root divides, so half precision would
lose the small squares that are added to it.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.optimisers.optimiser import Optimiser
from gru4rec_fast.reference import OPTIMISER_EPSILON

EPSILON = tl.constexpr(OPTIMISER_EPSILON)


@triton.jit
def adagrad_update(states, g, rate, options, WIDTH: tl.constexpr):  # noqa: ARG001
    """`Optimiser.update`."""
    a = states[0] + g * g
    return -rate * g / tl.sqrt(a + EPSILON), (a,)


ADAGRAD = Optimiser(adagrad_update)
