"""What the gradients of a cell update: two weight matrices, biases, and rows of the input table.

    G = left^T right          left (B, P) gate gradients, right (B, Q) what the gates multiplied
    g_b = sum of left over the lanes
    a += G^2;  m = mu m - eta G / sqrt(a + eps);  theta += m          and the same for the bias

`reference.adagrad` on what autograd gives for the weights, and `sparse_adagrad.update_lane_rows`
for the first layer's input rows; none of it needs another's result, so it is one launch. A program
owns a tile of one of the three: the sum over lanes stays in registers and never becomes a gradient
in memory. Element (p, q) of a matrix is at p * STRIDE_P + q * STRIDE_Q, so that the one-hot cell,
whose matrices are stored inputs x gates, is served too; `left` has rows of PITCH columns. Dead
lanes have gate gradients of zero. The first layer's is the last kernel of a step and ends it.

Numerics: float32, products in PRECISION.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import triton
import triton.language as tl

from gru4rec_fast.kernels._tile import width_block
from gru4rec_fast.kernels.sparse_adagrad import Learned, adagrad_update, update_lane_rows
from gru4rec_fast.kernels.step_plan import end_step, step_record

if TYPE_CHECKING:
    from torch import Tensor

    from gru4rec_fast.kernels._tuning import Tiles
    from gru4rec_fast.kernels.step_plan import StepPlan


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
def cell_update_kernel(
    plan_ptr, clock_ptr,
    left0_ptr, right0_ptr, theta0_ptr, a0_ptr, m0_ptr, bias0_ptr, bias_a0_ptr, bias_m0_ptr,
    left1_ptr, right1_ptr, theta1_ptr, a1_ptr, m1_ptr, bias1_ptr, bias_a1_ptr, bias_m1_ptr,
    table_ptr, table_a_ptr, table_m_ptr, d_ptr, kept_ptr, learning_rate, momentum,
    B: tl.constexpr, U: tl.constexpr, PITCH: tl.constexpr,
    P0: tl.constexpr, Q0: tl.constexpr, STRIDE_P0: tl.constexpr, STRIDE_Q0: tl.constexpr,
    P1: tl.constexpr, Q1: tl.constexpr, STRIDE_P1: tl.constexpr, STRIDE_Q1: tl.constexpr,
    K: tl.constexpr, FIRST_LAYER: tl.constexpr, SHARED: tl.constexpr,
    HAS_MOMENTUM: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_Q0: tl.constexpr, BLOCK_Q1: tl.constexpr, BLOCK_B: tl.constexpr,
    BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program updates a tile of the first matrix, of the second, or of the input rows."""
    tile = tl.program_id(0)
    tiles0: tl.constexpr = ((P0 + BLOCK_P - 1) // BLOCK_P) * ((Q0 + BLOCK_Q0 - 1) // BLOCK_Q0)
    tiles1: tl.constexpr = ((P1 + BLOCK_P - 1) // BLOCK_P) * ((Q1 + BLOCK_Q1 - 1) // BLOCK_Q1)
    if tile < tiles0:
        _update_tile(
            tile, left0_ptr, right0_ptr, theta0_ptr, a0_ptr, m0_ptr,
            bias0_ptr, bias_a0_ptr, bias_m0_ptr, learning_rate, momentum,
            B, P0, Q0, PITCH, STRIDE_P0, STRIDE_Q0, HAS_MOMENTUM, PRECISION,
            BLOCK_P, BLOCK_Q0, BLOCK_B,
        )  # fmt: skip
    elif tile < tiles0 + tiles1:
        _update_tile(
            tile - tiles0, left1_ptr, right1_ptr, theta1_ptr, a1_ptr, m1_ptr,
            bias1_ptr, bias_a1_ptr, bias_m1_ptr, learning_rate, momentum,
            B, P1, Q1, PITCH, STRIDE_P1, STRIDE_Q1, HAS_MOMENTUM, PRECISION,
            BLOCK_P, BLOCK_Q1, BLOCK_B,
        )  # fmt: skip
    elif FIRST_LAYER:
        update_lane_rows(
            tile - tiles0 - tiles1, step_record(plan_ptr, clock_ptr, B, U),
            table_ptr, table_a_ptr, table_m_ptr, d_ptr, kept_ptr, learning_rate, momentum,
            B, U, K, SHARED, HAS_MOMENTUM, BLOCK_B, BLOCK_K,
        )  # fmt: skip
    if FIRST_LAYER and tile == 0:
        end_step(clock_ptr)


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


@dataclass(frozen=True)
class RowsUpdate:
    """The rows of `table` (V, K) that the step's lanes read as inputs.

    d (B, K): gradient of each lane's row; kept (B, K): gradient of the row as a scored one, at the
    lane that owns it, where the table is shared with the output, else None.
    """

    table: Learned
    d: Tensor
    kept: Tensor | None

    def tensors(self) -> tuple[Tensor, ...]:
        """The kernel's arguments, in its order."""
        return *self.table.pointers(), self.d, self.d if self.kept is None else self.kept


def cell_update(
    plan: StepPlan,
    first: MatrixUpdate,
    second: MatrixUpdate,
    rows: RowsUpdate | None,
    learning_rate: float,
    momentum: float,
    tiles: Tiles,
    precision: str,
) -> None:
    """Update both matrices, their biases and the rows in place.

    The left sides of both are parts of rows of equal length, contiguous in a row. `rows` belong to
    the first layer, whose update is the last kernel of a step: with them the step ends.
    """
    (p0, q0), (p1, q1) = first.shape, second.shape
    strides = [(1, u.shape[0]) if u.transposed else (u.shape[1], 1) for u in (first, second)]
    block_p, block_b = tiles.columns, 32
    block_q0, block_q1 = width_block(q0, tiles.columns), width_block(q1, tiles.columns)
    n_tiles = triton.cdiv(p0, block_p) * triton.cdiv(q0, block_q0)
    n_tiles += triton.cdiv(p1, block_p) * triton.cdiv(q1, block_q1)
    unused = (first.left,) * 5
    width = 16 if rows is None else rows.table.theta.shape[1]
    block_k = width_block(width, 32)
    if rows is not None:
        n_tiles += triton.cdiv(plan.lanes, block_b) * triton.cdiv(width, block_k)
    cell_update_kernel[(n_tiles,)](
        plan.records, plan.now, *first.tensors(), *second.tensors(),
        *(unused if rows is None else rows.tensors()), learning_rate, momentum,
        B=plan.lanes, U=plan.rows, PITCH=first.left.stride(0),
        P0=p0, Q0=q0, STRIDE_P0=strides[0][0], STRIDE_Q0=strides[0][1],
        P1=p1, Q1=q1, STRIDE_P1=strides[1][0], STRIDE_Q1=strides[1][1],
        K=width, FIRST_LAYER=rows is not None, SHARED=rows is not None and rows.kept is not None,
        HAS_MOMENTUM=first.weight.m is not None, PRECISION=precision,
        BLOCK_P=block_p, BLOCK_Q0=block_q0, BLOCK_Q1=block_q1, BLOCK_B=block_b, BLOCK_K=block_k,
        num_warps=tiles.warps, num_stages=tiles.stages,
    )  # fmt: skip
