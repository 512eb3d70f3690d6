"""Stochastic gradient descent (SPEC section 6): g^ = g. `reference.Sgd`."""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.optimisers.optimiser import Optimiser


@triton.jit
def sgd_update(states, g, rate, options, WIDTH: tl.constexpr):  # noqa: ARG001
    """`Optimiser.update`."""
    return -rate * g, ()


SGD = Optimiser(sgd_update)
