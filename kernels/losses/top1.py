"""TOP1 (SPEC section 5; Hidasi et al., ICLR 2016).

    loss = (sum_j (sigma(y_j - y_i) + sigma(y_j^2)) - sigma(y_i^2)) / N         over all N columns

Statistics of a lane: positive score y_i, mean of sigma'(y_j - y_i), and 1 / N. `reference.top1`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.losses.loss import Loss


@triton.jit
def logistic(x):
    """The logistic function and its derivative, which 1 - sigma would leave few digits."""
    z = tl.exp(-tl.abs(x))
    larger = 1 / (1 + z)
    return tl.where(x > 0, larger, z * larger), z * larger * larger


@triton.jit
def logistic_of_square(y):
    """The logistic function of y^2, and its derivative by y^2."""
    z = tl.exp(-y * y)
    sigma = 1 / (1 + z)
    return sigma, z * sigma * sigma


@triton.jit
def top1_terms(e, y, positive):
    """`Loss.terms`: sigma(y_j - y_i) + sigma(y_j^2), and the derivative of the first by y_j."""
    sigma, slope = logistic(y - positive)
    square, _ = logistic_of_square(y)
    return e * (sigma + square), e * slope


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
    _, own_slope = logistic(y - positive)
    _, square_slope = logistic_of_square(y)
    count = weight[:, None]
    d = count * own_slope + (count - is_own) * 2 * y * square_slope
    return d * share - is_own * slope


TOP1 = Loss(
    value=top1_value,
    n_statistics=3,
    gradient=top1_gradient,
    terms=top1_terms,
    n_terms=2,
    softmax=False,
)
