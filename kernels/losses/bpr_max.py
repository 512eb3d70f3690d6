"""BPR-max with score regularisation (SPEC section 5; Hidasi & Karatzoglou, CIKM 2018).

    loss = -log(sum_j w_j sigma(y_i - y_j) + 1e-24) + bpreg sum_j w_j y_j^2

w is the softmax over the negatives j of the lane, y its activated scores. Statistics of a lane:
log of the softmax's denominator, likelihood sum_j w_j sigma_j, positive score y_i, the means of
sigma' and of y^2. `reference.bpr_max`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.losses.loss import Loss
from gru4rec_fast.reference import LOG_EPSILON

TINY = tl.constexpr(LOG_EPSILON)


@triton.jit
def bpr_max_terms(e, y, positive):
    """`Loss.terms`: sigma(y_i - y_j), its derivative, y_j^2."""
    sigma = tl.sigmoid(positive - y)
    return e * sigma, e * sigma * (1 - sigma), e * y * y


@triton.jit
def bpr_max_value(positive, total, means, OPTIONS: tl.constexpr):
    """`Loss.value`; OPTIONS: bpreg."""
    likelihood, slope, square = means
    loss = -tl.log(likelihood + TINY) + OPTIONS[0] * square
    return loss, (total, likelihood, positive, slope, square)


@triton.jit
def bpr_max_gradient(y, weight, is_own, statistics, OPTIONS: tl.constexpr):
    """`Loss.gradient`; OPTIONS: bpreg."""
    log_total, likelihood, positive, slope, square = statistics
    count = weight[:, None] - is_own
    # A row that is no negative of the lane can score far above the negatives: avoid inf * 0.
    w = tl.where(count > 0, count * tl.exp(tl.where(count > 0, y - log_total, 0.0)), 0.0)
    sigma = tl.sigmoid(positive - y)
    d = w * OPTIONS[0] * (y * y - square + 2 * y)
    d -= (w * (sigma - likelihood - sigma * (1 - sigma)) + is_own * slope) / (likelihood + TINY)
    return d


BPR_MAX = Loss(
    value=bpr_max_value,
    n_statistics=5,
    gradient=bpr_max_gradient,
    terms=bpr_max_terms,
    n_terms=3,
    negatives_only=True,
    options=("bpreg",),
)
