"""BPR (SPEC section 5; Hidasi et al., ICLR 2016): -sum_j log sigma(y_i - y_j) over all N columns.

The own column adds log 2, and no gradient. Statistics of a lane: positive score y_i and
sum_j sigma(y_j - y_i). `reference.bpr`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.losses.loss import Loss


@triton.jit
def bpr_terms(e, y, positive):
    """`Loss.terms`: log(1 + exp(y_j - y_i)) and its derivative."""
    x = y - positive
    small = tl.exp(-tl.abs(x))
    # The series keeps the digits of log(1 + small) that the sum 1 + small loses.
    series = small * (1 - small * (0.5 - small * (1.0 / 3)))
    log_one_more = tl.where(small < 0.01, series, tl.log(1 + small))
    return e * (tl.maximum(x, 0.0) + log_one_more), e * tl.sigmoid(x)


@triton.jit
def bpr_value(positive, total, means, OPTIONS: tl.constexpr):  # noqa: ARG001
    """`Loss.value`."""
    softplus, slope = means
    return softplus * total, (positive, slope * total)


@triton.jit
def bpr_gradient(y, weight, is_own, statistics, OPTIONS: tl.constexpr):  # noqa: ARG001
    """`Loss.gradient`."""
    positive, slopes = statistics
    return weight[:, None] * tl.sigmoid(y - positive) - is_own * slopes


BPR = Loss(
    value=bpr_value,
    n_statistics=2,
    gradient=bpr_gradient,
    terms=bpr_terms,
    n_terms=2,
    softmax=False,
)
