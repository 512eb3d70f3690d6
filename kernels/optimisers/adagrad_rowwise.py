"""Adagrad with one accumulator a row (SPEC section 6): a += mean of g^2 over the row.

g^ = g / sqrt(a + eps). `reference.AdagradRowwise`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.optimisers.optimiser import Optimiser
from gru4rec_fast.kernels.optimisers.step import learning_rate, whole_step
from gru4rec_fast.reference import OPTIMISER_EPSILON

EPSILON = tl.constexpr(OPTIMISER_EPSILON)


@triton.jit
def adagrad_rowwise_update(
    parameter, row, in_row, at, theta, g, mask, options, WIDTH: tl.constexpr
):  # fmt: skip
    """`Optimiser.update` of whole rows; the gradient of padding is zero."""
    mean = tl.sum(g * g, axis=1) / WIDTH
    a = tl.load(parameter.state[0] + row, mask=in_row, other=0.0) + mean
    step = -learning_rate(options) * g / tl.sqrt(a + EPSILON)[:, None]
    step = whole_step(parameter, at, theta, step, mask, options, 1)
    tl.store(parameter.state[0] + row, a, mask=in_row)
    tl.store(parameter.theta + at, theta + step, mask=mask)


ADAGRAD_ROWWISE = Optimiser(adagrad_rowwise_update, whole_rows=True)
