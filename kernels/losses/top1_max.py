"""TOP1-max (SPEC section 5; Hidasi & Karatzoglou, CIKM 2018).

    loss = sum_j w_j (sigma(y_j - y_i) + sigma(y_j^2))

w is the softmax over the negatives j of the lane. Statistics of a lane: log of the softmax's
denominator, positive score y_i, the loss, and the mean of sigma'(y_j - y_i). `reference.top1_max`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.losses.loss import Loss
from gru4rec_fast.kernels.losses.top1 import logistic, logistic_of_square, top1_terms


@triton.jit
def top1_max_value(positive, total, means, OPTIONS: tl.constexpr):  # noqa: ARG001
    """`Loss.value`."""
    loss, slope = means
    return loss, (total, positive, loss, slope)


@triton.jit
def top1_max_gradient(y, weight, is_own, statistics, OPTIONS: tl.constexpr):  # noqa: ARG001
    """`Loss.gradient`."""
    log_total, positive, loss, slope = statistics
    count = weight[:, None] - is_own
    # A row that is no negative of the lane can score far above the negatives: avoid inf * 0.
    w = tl.where(count > 0, count * tl.exp(tl.where(count > 0, y - log_total, 0.0)), 0.0)
    sigma, sigma_slope = logistic(y - positive)
    square, square_slope = logistic_of_square(y)
    d = sigma + square - loss + sigma_slope + 2 * y * square_slope
    return w * d - is_own * slope


TOP1_MAX = Loss(
    value=top1_max_value,
    n_statistics=4,
    gradient=top1_max_gradient,
    terms=top1_terms,
    n_terms=2,
    negatives_only=True,
)
