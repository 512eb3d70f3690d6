"""Adam (SPEC section 6; Kingma & Ba 2015), with a count of steps for each row.

    m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  t += 1
    g^ = m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)

`reference.Adam`.

Numerics: float32. 1 - b2 and 1 - b2^t are small differences of numbers near 1. So 1 - b2 comes from
the host, and 1 - b2^t is -(exp(t log b2) - 1), by its series while t log b2 is small.
"""

from __future__ import annotations

import math

import triton
import triton.language as tl

from gru4rec_fast.kernels.optimisers.optimiser import Optimiser
from gru4rec_fast.reference import OPTIMISER_EPSILON

EPSILON = tl.constexpr(OPTIMISER_EPSILON)


@triton.jit
def one_less_power(t, log_b):
    """1 - b^t."""
    x = t * log_b
    series = x * (1 + x * (0.5 + x * (1.0 / 6 + x * (1.0 / 24))))
    return tl.where(x > -0.03, -series, 1 - tl.exp(x))


@triton.jit
def adam_update(states, g, rate, options, WIDTH: tl.constexpr):  # noqa: ARG001
    """`Optimiser.update` of whole rows; constants: b1, 1 - b1, log b1, b2, 1 - b2, log b2."""
    b1, rest1, log1, b2, rest2, log2 = options.constants
    m = b1 * states[0] + rest1 * g
    v = b2 * states[1] + rest2 * g * g
    t = states[2] + 1
    mean, variance = m / one_less_power(t, log1), v / one_less_power(t, log2)
    return -rate * mean / (tl.sqrt(variance) + EPSILON), (m, v, t)


def adam_constants(beta1: float, beta2: float) -> tuple[float, ...]:
    """Each b, 1 - b and log b."""
    return tuple(
        number for b in (beta1, beta2) for number in (b, 1 - b, math.log(b) if b > 0 else -math.inf)
    )


ADAM = Optimiser(adam_update, row_state=2, constants=adam_constants)
