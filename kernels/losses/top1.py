"""TOP1 (SPEC section 5; Hidasi et al., ICLR 2016).

    loss = (sum_j (sigma(y_j - y_i) + sigma(y_j^2)) - sigma(y_i^2)) / N         over all N columns

Statistics of a lane: positive score y_i, mean of sigma'(y_j - y_i), and 1 / N. `reference.top1`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.losses.loss import Loss


@triton.jit
def logistic_slope(x):
    """Derivative of sigma. sigma(-x) keeps the digits that 1 - sigma(x) loses."""
    return tl.sigmoid(x) * tl.sigmoid(-x)


@triton.jit
def top1_terms(e, y, positive):
    """`Loss.terms`: sigma(y_j - y_i) + sigma(y_j^2), and the derivative of the first by y_j."""
    x = y - positive
    return e * (tl.sigmoid(x) + tl.sigmoid(y * y)), e * logistic_slope(x)


@triton.jit
def top1_value(positive, total, means, OPTIONS: tl.constexpr):  # noqa: ARG001
    """`Loss.value`."""
    term, slope = means
    share = 1 / total
    return term - tl.sigmoid(positive * positive) * share, (positive, slope, share)


@triton.jit
def top1_gradient(y, weight, is_own, statistics, OPTIONS: tl.constexpr):  # noqa: ARG001
    """`Loss.gradient`."""
    positive, slope, share = statistics
    square = 2 * y * logistic_slope(y * y)
    count = weight[:, None]
    d = count * logistic_slope(y - positive) + (count - is_own) * square
    return d * share - is_own * slope


TOP1 = Loss(
    value=top1_value,
    n_statistics=3,
    gradient=top1_gradient,
    terms=top1_terms,
    n_terms=2,
    softmax=False,
)
