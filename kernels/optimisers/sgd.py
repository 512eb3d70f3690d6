"""Stochastic gradient descent (SPEC section 6): g^ = g. `reference.Sgd`."""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.optimisers.optimiser import Optimiser
from gru4rec_fast.kernels.optimisers.step import learning_rate, whole_step

N_STATES = tl.constexpr(0)


@triton.jit
def sgd_update(parameter, at, theta, g, mask, options):
    """`Optimiser.update`."""
    step = whole_step(parameter, at, theta, -learning_rate(options) * g, mask, options, N_STATES)
    tl.store(parameter.theta + at, theta + step, mask=mask)


SGD = Optimiser(sgd_update)
