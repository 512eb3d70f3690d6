"""Cross-entropy with label smoothing eps (SPEC section 5).

    loss = a (-log(p_i + 1e-24)) + b sum_j -log(p_j + 1e-24)        over all N columns j
    a = 1 - eps N / (N - 1),    b = eps / (N - 1),    p = softmax(y)

Statistics of a lane: log of the softmax's denominator, a p_i / (p_i + 1e-24), b, and the sum of
p_j / (p_j + 1e-24). `reference.cross_entropy`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.losses.loss import Loss
from gru4rec_fast.reference import LOG_EPSILON

TINY = tl.constexpr(LOG_EPSILON)


@triton.jit
def smoothed_column_terms(y, total):
    """`Loss.column_terms`: -log p_j, its derivative by -log of p_j alone, and 1 to count N."""
    p = tl.exp(y - total) + TINY
    return -tl.log(p), 1 - TINY / p, tl.full(y.shape, 1.0, dtype=tl.float32)


@triton.jit
def smoothed_value(positive, total, means, OPTIONS: tl.constexpr):
    """`Loss.value`; OPTIONS: eps."""
    spread, share, n = means
    likelihood = tl.exp(positive - total)
    b = OPTIONS[0] / (n - 1)
    a = 1 - n * b
    loss = a * -tl.log(likelihood + TINY) + b * spread
    return loss, (total, a * (likelihood / (likelihood + TINY)), b, share)


@triton.jit
def smoothed_gradient(y, weight, is_own, statistics, OPTIONS: tl.constexpr):  # noqa: ARG001
    """`Loss.gradient`, without what `smoothed_column_gradient` adds."""
    log_total, own, b, share = statistics
    return weight[:, None] * tl.exp(y - log_total) * (own + b * share) - is_own * own


@triton.jit
def smoothed_column_gradient(y, statistics, OPTIONS: tl.constexpr):  # noqa: ARG001
    """`Loss.column_gradient`."""
    log_total, _, b, _ = statistics
    p = tl.exp(y - log_total)
    return -b * (p / (p + TINY))


SMOOTHED_CROSS_ENTROPY = Loss(
    value=smoothed_value,
    n_statistics=4,
    gradient=smoothed_gradient,
    column_terms=smoothed_column_terms,
    n_column_terms=3,
    column_gradient=smoothed_column_gradient,
    takes_logq=True,
    options=("smoothing",),
)
