"""Gradients of a cell's two weight matrices and its biases, and their Adagrad update, at once.

    G = left^T right          left (B, P) gate gradients, right (B, Q) what the gates multiplied
    g_b = sum of left over the lanes
    a += G^2;  m = mu m - eta G / sqrt(a + eps);  theta += m          and the same for the bias

`reference.adagrad` on what autograd gives for the weights. A program owns a tile of one of the two
matrices: the sum over lanes stays in registers and never becomes a gradient in memory. Element
(p, q) of a matrix is at p * STRIDE_P + q * STRIDE_Q, so that the one-hot cell, whose matrices are
stored inputs x gates, is served too; `left` has rows of PITCH columns. Dead lanes have
gate gradients of zero, so the kernel reads nothing of the plan, and being the last of a step it
may advance the clock: nothing that runs beside it reads the clock.

Numerics: float32, products in PRECISION.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import triton
import triton.language as tl
from gru4rec_fast.kernels._tile import width_block
from gru4rec_fast.kernels.sparse_adagrad import Learned, adagrad_update

if TYPE_CHECKING:
    from gru4rec_fast.kernels._tuning import Tiles
    from gru4rec_fast.kernels.step_plan import StepPlan
    from torch import Tensor


@triton.jit
def _update_tile(
    tile, left_ptr, right_ptr, theta_ptr, a_ptr, m_ptr, bias_ptr, bias_a_ptr, bias_m_ptr,
    learning_rate, momentum,
    B: tl.constexpr, P: tl.constexpr, Q: tl.constexpr, PITCH: tl.constexpr,
    STRIDE_P: tl.constexpr, STRIDE_Q: tl.constexpr, HAS_MOMENTUM: tl.constexpr,
    PRECISION: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_B: tl.constexpr,
):  # fmt: skip
    """Gradient and update of one tile of a matrix, and by the first column of tiles of the bias."""
    # tile: BLOCK_P gates, BLOCK_Q inputs
    tiles_q: tl.constexpr = (Q + BLOCK_Q - 1) // BLOCK_Q
    p = tile // tiles_q * BLOCK_P + tl.arange(0, BLOCK_P)
    q = tile % tiles_q * BLOCK_Q + tl.arange(0, BLOCK_Q)

    # load and maths: the sum over all lanes
    g = tl.zeros((BLOCK_P, BLOCK_Q), dtype=tl.float32)
    # Summed over lanes at the end: a running tl.sum asserts in the compiler of triton 3.7.
    lefts = tl.zeros((BLOCK_P, BLOCK_B), dtype=tl.float32)
    for first in range(0, B, BLOCK_B):
        lane = first + tl.arange(0, BLOCK_B)
        mask = (p < P)[:, None] & (lane < B)[None, :]
        left = tl.load(left_ptr + lane[None, :] * PITCH + p[:, None], mask=mask, other=0.0)
        mask = (lane < B)[:, None] & (q < Q)[None, :]
        right = tl.load(right_ptr + lane[:, None] * Q + q[None, :], mask=mask, other=0.0)
        g = tl.dot(left, right, g, input_precision=PRECISION)
        lefts += left

    # store
    mask = (p < P)[:, None] & (q < Q)[None, :]
    at = p[:, None] * STRIDE_P + q[None, :] * STRIDE_Q
    theta = tl.load(theta_ptr + at, mask=mask, other=0.0)
    adagrad_update(
        theta_ptr, a_ptr, m_ptr, at, theta, g, mask, learning_rate, momentum, HAS_MOMENTUM
    )
    mask = (p < P) & (tile % tiles_q == 0)
    bias = tl.load(bias_ptr + p, mask=mask, other=0.0)
    adagrad_update(
        bias_ptr, bias_a_ptr, bias_m_ptr, p, bias, tl.sum(lefts, axis=1), mask,
        learning_rate, momentum, HAS_MOMENTUM,
    )  # fmt: skip


@triton.jit
def dense_adagrad_kernel(
    clock_ptr,
    left0_ptr, right0_ptr, theta0_ptr, a0_ptr, m0_ptr, bias0_ptr, bias_a0_ptr, bias_m0_ptr,
    left1_ptr, right1_ptr, theta1_ptr, a1_ptr, m1_ptr, bias1_ptr, bias_a1_ptr, bias_m1_ptr,
    learning_rate, momentum,
    B: tl.constexpr, PITCH: tl.constexpr,
    P0: tl.constexpr, Q0: tl.constexpr, STRIDE_P0: tl.constexpr, STRIDE_Q0: tl.constexpr,
    P1: tl.constexpr, Q1: tl.constexpr, STRIDE_P1: tl.constexpr, STRIDE_Q1: tl.constexpr,
    ADVANCE: tl.constexpr, HAS_MOMENTUM: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_Q0: tl.constexpr, BLOCK_Q1: tl.constexpr, BLOCK_B: tl.constexpr,
):  # fmt: skip
    """A program updates a tile of the first matrix, or of the second after those."""
    tile = tl.program_id(0)
    tiles0: tl.constexpr = ((P0 + BLOCK_P - 1) // BLOCK_P) * ((Q0 + BLOCK_Q0 - 1) // BLOCK_Q0)
    if tile < tiles0:
        _update_tile(
            tile, left0_ptr, right0_ptr, theta0_ptr, a0_ptr, m0_ptr,
            bias0_ptr, bias_a0_ptr, bias_m0_ptr, learning_rate, momentum,
            B, P0, Q0, PITCH, STRIDE_P0, STRIDE_Q0, HAS_MOMENTUM, PRECISION,
            BLOCK_P, BLOCK_Q0, BLOCK_B,
        )  # fmt: skip
    else:
        _update_tile(
            tile - tiles0, left1_ptr, right1_ptr, theta1_ptr, a1_ptr, m1_ptr,
            bias1_ptr, bias_a1_ptr, bias_m1_ptr, learning_rate, momentum,
            B, P1, Q1, PITCH, STRIDE_P1, STRIDE_Q1, HAS_MOMENTUM, PRECISION,
            BLOCK_P, BLOCK_Q1, BLOCK_B,
        )  # fmt: skip
    if ADVANCE and tile == 0:
        tl.store(clock_ptr, tl.load(clock_ptr) + 1)
        tl.store(clock_ptr + 1, tl.load(clock_ptr + 1) + 1)


@dataclass(frozen=True)
class MatrixUpdate:
    """One of the two matrices: weight, bias (P,), left (B, P) of a wider row, right (B, Q).

    The weight is (P, Q), or (Q, P) where `transposed`.
    """

    weight: Learned
    bias: Learned
    left: Tensor
    right: Tensor
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (P, Q) of the gradient."""
        return self.left.shape[1], self.right.shape[1]

    def tensors(self) -> tuple[Tensor, ...]:
        """The kernel's arguments, in its order."""
        return self.left, self.right, *self.weight.pointers(), *self.bias.pointers()


def dense_adagrad(
    plan: StepPlan,
    first: MatrixUpdate,
    second: MatrixUpdate,
    learning_rate: float,
    momentum: float,
    tiles: Tiles,
    precision: str,
    advance: bool,
) -> None:
    """Update both matrices and their biases in place; then advance the clock if `advance`.

    The left sides of both are parts of rows of equal length, contiguous in a row.
    """
    sizes = [(u.left.shape[1], u.right.shape[1]) for u in (first, second)]
    strides = [
        (1, p) if u.transposed else (q, 1) for u, (p, q) in zip((first, second), sizes, strict=True)
    ]
    blocks = [width_block(q, tiles.columns) for _, q in sizes]
    block_p = tiles.columns
    n_tiles = sum(
        triton.cdiv(p, block_p) * triton.cdiv(q, block)
        for (p, q), block in zip(sizes, blocks, strict=True)
    )
    dense_adagrad_kernel[(n_tiles,)](
        plan.clock, *first.tensors(), *second.tensors(), learning_rate, momentum,
        B=plan.lanes, PITCH=first.left.stride(0),
        P0=sizes[0][0], Q0=sizes[0][1], STRIDE_P0=strides[0][0], STRIDE_Q0=strides[0][1],
        P1=sizes[1][0], Q1=sizes[1][1], STRIDE_P1=strides[1][0], STRIDE_Q1=strides[1][1],
        ADVANCE=advance, HAS_MOMENTUM=first.weight.m is not None, PRECISION=precision,
        BLOCK_P=block_p, BLOCK_Q0=blocks[0], BLOCK_Q1=blocks[1], BLOCK_B=32,
        num_warps=tiles.warps, num_stages=tiles.stages,
    )  # fmt: skip
