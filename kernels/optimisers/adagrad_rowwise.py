"""Adagrad with one accumulator a row (SPEC section 6): a += mean of g^2 over the row.

g^ = g / sqrt(a + eps). `reference.AdagradRowwise`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.optimisers.optimiser import Optimiser
from gru4rec_fast.reference import OPTIMISER_EPSILON

EPSILON = tl.constexpr(OPTIMISER_EPSILON)


@triton.jit
def adagrad_rowwise_update(states, g, rate, options, WIDTH: tl.constexpr):  # noqa: ARG001
    """`Optimiser.update` of whole rows; the gradient of padding is zero."""
    mean = tl.sum(g * g, axis=1) / WIDTH
    a = states[0] + mean[:, None]
    return -rate * g / tl.sqrt(a + EPSILON), (a,)


ADAGRAD_ROWWISE = Optimiser(adagrad_rowwise_update, row_state=0)
