"""The update of a cell: two weight matrices with their biases, and the rows of the input table.

    G = left^T right          left (B, P) gate gradients, right (B, Q) what the gates multiplied
    g_b = sum of left over the lanes
    theta <- update(G)                                                    and the same for the bias

The gradients are those that autograd gives for the reference's cells; the optimiser is the
compile-time function UPDATE. The input rows (`input_rows`) belong to the first layer. None of the
three needs another's result, so they are one launch. A program owns a tile of one of the three: the
sum over lanes stays in registers, and no gradient is written to memory. Element (p, q) of a matrix
is at p * STRIDE_P + q * STRIDE_Q, so both storage orders of weights work; `left` has rows of PITCH
columns. Dead lanes are not read.

Without UPDATE, for optimisers of whole rows (`row_update`), the kernel stores the gradients. Each
goes to the parameter's only state table; that of the input rows is by unique row.

Numerics: float32, products in PRECISION.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import triton
import triton.language as tl

from gru4rec_fast.kernels._tile import long_offsets, width_block
from gru4rec_fast.kernels.dependent_launch import wait_for_writes
from gru4rec_fast.kernels.device_block import LIVE
from gru4rec_fast.kernels.input_rows import update_input_rows
from gru4rec_fast.kernels.optimisers.step import learning_rate, load_states, update_tile
from gru4rec_fast.kernels.parameter import Parameter

if TYPE_CHECKING:
    from torch import Tensor

    from gru4rec_fast.kernels.step_context import StepContext


@triton.jit
def _update_tile(
    tile, record, left_ptr, right_ptr, weight, bias, update_options,
    B: tl.constexpr, P: tl.constexpr, Q: tl.constexpr, PITCH: tl.constexpr,
    STRIDE_P: tl.constexpr, STRIDE_Q: tl.constexpr, DEPENDENT: tl.constexpr, UPDATE: tl.constexpr,
    PRECISION: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_B: tl.constexpr,
):  # fmt: skip
    """Update one tile of a matrix; the programs of its first column of tiles update the bias.

    Without UPDATE, store their gradients.
    """
    # tile: BLOCK_P gates, BLOCK_Q inputs
    tiles_q: tl.constexpr = (Q + BLOCK_Q - 1) // BLOCK_Q
    p = tile // tiles_q * BLOCK_P + tl.arange(0, BLOCK_P)
    q = tile % tiles_q * BLOCK_Q + tl.arange(0, BLOCK_Q)

    # load: what is updated
    live = tl.load(record + LIVE)
    if UPDATE is not None:
        rate = learning_rate(record, update_options)
    wait_for_writes(DEPENDENT)
    inside = (p < P)[:, None] & (q < Q)[None, :]
    at = p[:, None] * STRIDE_P + q[None, :] * STRIDE_Q
    of_bias = (p < P) & (tile % tiles_q == 0)
    if UPDATE is not None:
        theta = tl.load(weight.theta + at, mask=inside, other=0.0)
        states = load_states(weight, at, inside, at, inside, None)
        bias_theta = tl.load(bias.theta + p, mask=of_bias, other=0.0)
        bias_states = load_states(bias, p, of_bias, p, of_bias, None)

    # load and maths: the sum over all lanes
    g = tl.zeros((BLOCK_P, BLOCK_Q), dtype=tl.float32)
    # Summed over lanes after the loop: a running tl.sum fails in the compiler of triton 3.7.
    lefts = tl.zeros((BLOCK_P, BLOCK_B), dtype=tl.float32)
    for first in range(0, B, BLOCK_B):
        lane = first + tl.arange(0, BLOCK_B)
        mask = (p < P)[:, None] & (lane < live)[None, :]
        left = tl.load(left_ptr + lane[None, :] * PITCH + p[:, None], mask=mask, other=0.0)
        mask = (lane < live)[:, None] & (q < Q)[None, :]
        right = tl.load(right_ptr + lane[:, None] * Q + q[None, :], mask=mask, other=0.0)
        g = tl.dot(left, right, g, input_precision=PRECISION)
        lefts += left

    # store
    g_bias = tl.sum(lefts, axis=1)
    if UPDATE is not None:
        update_tile(
            weight, at, inside, at, inside, theta, states, g, rate, update_options, UPDATE, None, Q
        )
        update_tile(
            bias, p, of_bias, p, of_bias, bias_theta, bias_states, g_bias, rate, update_options,
            UPDATE, None, 1,
        )  # fmt: skip
    else:
        tl.store(weight.state[0] + at, g, mask=inside)
        tl.store(bias.state[0] + p, g_bias, mask=of_bias)


@triton.jit
def cell_update_kernel(
    record_ptr,
    left0_ptr, right0_ptr, weight0, bias0,
    left1_ptr, right1_ptr, weight1, bias1,
    table, d_ptr, deferred_ptr, update_options,
    B: tl.constexpr, PITCH: tl.constexpr,
    P0: tl.constexpr, Q0: tl.constexpr, STRIDE_P0: tl.constexpr, STRIDE_Q0: tl.constexpr,
    P1: tl.constexpr, Q1: tl.constexpr, STRIDE_P1: tl.constexpr, STRIDE_Q1: tl.constexpr,
    K: tl.constexpr, LONG: tl.constexpr, DEPENDENT: tl.constexpr,
    FIRST_LAYER: tl.constexpr, SHARED: tl.constexpr, UPDATE: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_Q0: tl.constexpr, BLOCK_Q1: tl.constexpr, BLOCK_B: tl.constexpr,
    BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program updates a tile of the first matrix, of the second, or of the input rows."""
    tile = tl.program_id(0)
    tiles0: tl.constexpr = ((P0 + BLOCK_P - 1) // BLOCK_P) * ((Q0 + BLOCK_Q0 - 1) // BLOCK_Q0)
    tiles1: tl.constexpr = ((P1 + BLOCK_P - 1) // BLOCK_P) * ((Q1 + BLOCK_Q1 - 1) // BLOCK_Q1)
    if tile < tiles0:
        _update_tile(
            tile, record_ptr, left0_ptr, right0_ptr, weight0, bias0, update_options,
            B, P0, Q0, PITCH, STRIDE_P0, STRIDE_Q0, DEPENDENT, UPDATE, PRECISION,
            BLOCK_P, BLOCK_Q0, BLOCK_B,
        )  # fmt: skip
    elif tile < tiles0 + tiles1:
        _update_tile(
            tile - tiles0, record_ptr, left1_ptr, right1_ptr, weight1, bias1, update_options,
            B, P1, Q1, PITCH, STRIDE_P1, STRIDE_Q1, DEPENDENT, UPDATE, PRECISION,
            BLOCK_P, BLOCK_Q1, BLOCK_B,
        )  # fmt: skip
    elif FIRST_LAYER:
        update_input_rows(
            tile - tiles0 - tiles1, record_ptr, table, d_ptr, deferred_ptr, update_options,
            B, K, LONG, DEPENDENT, SHARED, UPDATE, BLOCK_B, BLOCK_K,
        )  # fmt: skip


@dataclass(frozen=True)
class MatrixUpdate:
    """One of the two matrices with its bias (P,).

    left (B, P) may be columns of a wider matrix; right (B, Q). The weight is (P, Q), or (Q, P)
    where `transposed`.
    """

    weight: Parameter
    bias: Parameter
    left: Tensor
    right: Tensor
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (P, Q) of the gradient."""
        return self.left.shape[1], self.right.shape[1]

    @property
    def strides(self) -> tuple[int, int]:
        """Elements of the weight from (p, q) to (p + 1, q) and to (p, q + 1)."""
        p, q = self.shape
        return (1, p) if self.transposed else (q, 1)


@dataclass(frozen=True)
class InputRows:
    """The rows of `table` (V, K) that the step's lanes read as inputs.

    d (B, K): gradient of each lane's row. deferred: None, or where the table is the output's table
    too, the gradient of the row as a scored row. It is (B, K), at the lane that owns the row, or
    without an update (U, K), by unique row.
    """

    table: Parameter
    d: Tensor
    deferred: Tensor | None


def cell_update(
    context: StepContext,
    t: int,
    first: MatrixUpdate,
    second: MatrixUpdate,
    rows: InputRows | None,
) -> None:
    """Update both matrices, their biases and the rows in place, or store their gradients.

    t: the step's place in the block. The left sides of both matrices have the same pitch. `rows`
    belong to the first layer.
    """
    block, tiles, update = context.block, context.tiles, context.update
    (p0, q0), (p1, q1) = first.shape, second.shape
    block_p, block_b = tiles.update_gates, 32
    block_q0, block_q1 = width_block(q0, tiles.columns), width_block(q1, tiles.columns)
    n_tiles = triton.cdiv(p0, block_p) * triton.cdiv(q0, block_q0)
    n_tiles += triton.cdiv(p1, block_p) * triton.cdiv(q1, block_q1)
    # Without rows the kernel never reads these three arguments.
    table, d, deferred = Parameter(first.left), first.left, None
    if rows is not None:
        table, d, deferred = rows.table, rows.d, rows.deferred
    width = 16 if rows is None else table.theta.shape[1]
    block_k = width_block(width, 32)
    if rows is not None:
        n_tiles += triton.cdiv(block.lanes, block_b) * triton.cdiv(width, block_k)
    cell_update_kernel[(n_tiles,)](
        block.records[t],
        first.left, first.right, first.weight, first.bias,
        second.left, second.right, second.weight, second.bias,
        table, d, d if deferred is None else deferred,
        () if update is None else update.options,
        B=block.lanes, PITCH=first.left.stride(0),
        P0=p0, Q0=q0, STRIDE_P0=first.strides[0], STRIDE_Q0=first.strides[1],
        P1=p1, Q1=q1, STRIDE_P1=second.strides[0], STRIDE_Q1=second.strides[1],
        K=width, LONG=long_offsets(table.theta),
        FIRST_LAYER=rows is not None, SHARED=deferred is not None,
        UPDATE=None if update is None else update.function, PRECISION=context.precision,
        BLOCK_P=block_p, BLOCK_Q0=block_q0, BLOCK_Q1=block_q1, BLOCK_B=block_b, BLOCK_K=block_k,
        num_warps=tiles.warps, num_stages=tiles.stages, **context.launch,
    )  # fmt: skip
