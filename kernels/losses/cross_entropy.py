"""Cross-entropy over the sampled columns (SPEC section 5): -log(softmax(s)_i + 1e-24).

Statistics of a lane: log of the softmax's denominator, likelihood softmax(s)_i. Where the scores
are corrected by logq, the row weights and the positive score carry the correction already.
`reference.cross_entropy`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.losses.loss import Loss
from gru4rec_fast.kernels.losses.smoothed_cross_entropy import SMOOTHED_CROSS_ENTROPY
from gru4rec_fast.reference import LOG_EPSILON

TINY = tl.constexpr(LOG_EPSILON)


@triton.jit
def cross_entropy_value(positive, total, means, OPTIONS: tl.constexpr):  # noqa: ARG001
    """`Loss.value`."""
    likelihood = tl.exp(positive - total)
    return -tl.log(likelihood + TINY), (total, likelihood)


@triton.jit
def cross_entropy_gradient(y, weight, is_own, statistics, OPTIONS: tl.constexpr):  # noqa: ARG001
    """`Loss.gradient`."""
    log_total, likelihood = statistics
    w = weight[:, None] * tl.exp(y - log_total)
    return (w - is_own) * (likelihood / (likelihood + TINY))


CROSS_ENTROPY = Loss(
    value=cross_entropy_value,
    n_statistics=2,
    gradient=cross_entropy_gradient,
    takes_logq=True,
    smoothed=SMOOTHED_CROSS_ENTROPY,
)
