"""GRU with the reset gate after the recurrent product, one step of all lanes (SPEC section 3).

    x = dropout(table[item])                       (a stacked layer takes the state below instead)
    r = sigma(W_r x + b_r + U_r h + c_r)           h = carried state of the lane, 0 at a restart
    z = sigma(W_z x + b_z + U_z h + c_z)
    n = tanh(W_n x + b_n + r * (U_n h + c_n))
    h' = dropout((1 - z) * n + z * h)

`reference.gru_reset_after` and what surrounds it. Shapes: table (V, K), state (2, B, H) by parity
of the step, W_ih (3H, K), W_hh (3H, H), biases (3H,), gates stacked as (reset, update, new).

Forward is one kernel: row gather, restart mask, both dropouts, the six products in four
accumulators (the reset and update gates sum the products of x and h in one; the new gate needs them
apart), gates and new state. It saves for the backward pass x and h as they entered the products,
because the rows of the table change before the weight gradient is computed, and r, z, n, U_n h +
c_n.

Backward is two kernels: the gate gradients from the gradient of the new state, which
`row_gradients` leaves in one part per tile of rows, summed here in a fixed order; and the input
gradient with the weights before their update. The carried state is a constant of the step, so it
gets no gradient. The weight gradient and its update follow in `cell_update`.

Numerics: float32 throughout; PRECISION says how products multiply, 'ieee' or 'tf32'.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import triton
import triton.language as tl

from gru4rec_fast.kernels._tile import depth_block, long_offsets, row_offset, tanh, width_block
from gru4rec_fast.kernels.cell_update import InputRows, MatrixUpdate, cell_update
from gru4rec_fast.kernels.cells.layer import GATE_LANES, lane_buffer, parts_of, sum_parts
from gru4rec_fast.kernels.dependent_launch import wait_for_writes
from gru4rec_fast.kernels.device_block import (
    ITEM,
    LIVE,
    RESTART,
    SCORED,
    SOURCE,
    lane_values,
    new_slot,
    old_slot,
    step_number,
)
from gru4rec_fast.kernels.dropout import dropout_constants, dropout_factor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gru4rec_fast.kernels.parameter import Parameter
    from gru4rec_fast.kernels.step_context import StepContext
    from gru4rec_fast.spec import DropoutSite


@triton.jit
def _add_gate_products(
    a, w_ptr, unit, k, mask, r, z, n, H: tl.constexpr, K: tl.constexpr, PRECISION: tl.constexpr
):
    """Add a (lanes, k) times the gates' weights (3H, K) to the accumulators (lanes, units)."""
    w = w_ptr + unit[:, None] * K + k[None, :]
    w_r = tl.load(w, mask=mask, other=0.0)
    w_z = tl.load(w + H * K, mask=mask, other=0.0)
    w_n = tl.load(w + 2 * H * K, mask=mask, other=0.0)
    r = tl.dot(a, tl.trans(w_r), r, input_precision=PRECISION)
    z = tl.dot(a, tl.trans(w_z), z, input_precision=PRECISION)
    n = tl.dot(a, tl.trans(w_n), n, input_precision=PRECISION)
    return r, z, n


@triton.jit
def gru_reset_after_fwd_kernel(
    record_ptr, x_ptr, state_ptr,
    w_ih_ptr, w_hh_ptr, b_ih_ptr, b_hh_ptr,
    saved_x_ptr, saved_h_ptr, gates_ptr, seed,
    B: tl.constexpr, K: tl.constexpr, H: tl.constexpr,
    FROM_TABLE: tl.constexpr, LONG: tl.constexpr, DEPENDENT: tl.constexpr,
    SITE_X: tl.constexpr, THRESHOLD_X: tl.constexpr, SCALE_X: tl.constexpr,
    SITE_H: tl.constexpr, THRESHOLD_H: tl.constexpr, SCALE_H: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_X: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program computes the gates and new state of a tile of lanes and units."""
    # tile: BLOCK_B lanes, BLOCK_H units
    live, step = tl.load(record_ptr + LIVE), step_number(record_ptr)
    lane = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    unit = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)

    # load: where each lane's input and carried state lie, and the latter's units of this tile
    new = new_slot(record_ptr, B)
    x_row = new + lane
    if FROM_TABLE:
        x_row = row_offset(lane_values(record_ptr, ITEM, lane, B), LONG)
    h_row = old_slot(record_ptr, B) + lane_values(record_ptr, SOURCE, lane, B)
    restart = lane_values(record_ptr, RESTART, lane, B)
    wait_for_writes(DEPENDENT)
    if tl.program_id(0) * BLOCK_B >= live:
        return
    alive, inside = lane < live, unit < H
    goes_on = alive & (restart == 0)
    own = state_ptr + h_row[:, None] * H + unit[None, :]
    own_h = tl.load(own, mask=goes_on[:, None] & inside[None, :], other=0.0)

    # maths: the products, a slice of x and then of h at a time, as they are read
    b_ih, b_hh = b_ih_ptr + unit, b_hh_ptr + unit
    zero = tl.zeros((BLOCK_B, BLOCK_H), dtype=tl.float32)
    b_r = tl.load(b_ih, mask=inside, other=0.0) + tl.load(b_hh, mask=inside, other=0.0)
    b_z = tl.load(b_ih + H, mask=inside, other=0.0) + tl.load(b_hh + H, mask=inside, other=0.0)
    r, z = zero + b_r[None, :], zero + b_z[None, :]
    n = zero + tl.load(b_ih + 2 * H, mask=inside, other=0.0)[None, :]
    n_h = zero + tl.load(b_hh + 2 * H, mask=inside, other=0.0)[None, :]
    saves = tl.program_id(1) == 0
    for k0 in range(0, K, BLOCK_X):
        k = k0 + tl.arange(0, BLOCK_X)
        mask = alive[:, None] & (k < K)[None, :]
        x = tl.load(x_ptr + x_row[:, None] * K + k[None, :], mask=mask, other=0.0)
        if THRESHOLD_X > 0:
            x *= dropout_factor(
                seed, step, lane, k0, K, SITE_X, THRESHOLD_X, SCALE_X, BLOCK_B, BLOCK_X
            )
        tl.store(saved_x_ptr + lane[:, None] * K + k[None, :], x, mask=mask & saves)
        weights = inside[:, None] & (k < K)[None, :]
        r, z, n = _add_gate_products(x, w_ih_ptr, unit, k, weights, r, z, n, H, K, PRECISION)
    for k0 in range(0, H, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        mask = goes_on[:, None] & (k < H)[None, :]
        h = tl.load(state_ptr + h_row[:, None] * H + k[None, :], mask=mask, other=0.0)
        saved = saved_h_ptr + lane[:, None] * H + k[None, :]
        tl.store(saved, h, mask=alive[:, None] & (k < H)[None, :] & saves)
        weights = inside[:, None] & (k < H)[None, :]
        r, z, n_h = _add_gate_products(h, w_hh_ptr, unit, k, weights, r, z, n_h, H, H, PRECISION)
    r, z = tl.sigmoid(r), tl.sigmoid(z)
    n = tanh(n + r * n_h)
    h = (1 - z) * n + z * own_h
    if THRESHOLD_H > 0:
        h *= dropout_factor(
            seed, step, lane, tl.program_id(1) * BLOCK_H, H, SITE_H, THRESHOLD_H, SCALE_H,
            BLOCK_B, BLOCK_H,
        )  # fmt: skip

    # store
    mask = alive[:, None] & inside[None, :]
    at = lane[:, None] * H + unit[None, :]
    tl.store(state_ptr + new * H + at, h, mask=mask)
    tl.store(gates_ptr + at, r, mask=mask)
    tl.store(gates_ptr + B * H + at, z, mask=mask)
    tl.store(gates_ptr + 2 * B * H + at, n, mask=mask)
    tl.store(gates_ptr + 3 * B * H + at, n_h, mask=mask)


@triton.jit
def gru_reset_after_gates_bwd_kernel(
    record_ptr, d_state_ptr, gates_ptr, saved_h_ptr, d_x_ptr, d_h_ptr, seed,
    B: tl.constexpr, H: tl.constexpr, DEPENDENT: tl.constexpr,
    ROWS_A_PART: tl.constexpr, PARTS: tl.constexpr, BLOCK_PARTS: tl.constexpr,
    SITE_H: tl.constexpr, THRESHOLD_H: tl.constexpr, SCALE_H: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """A program computes the gate gradients of a tile of lanes and units."""
    # tile: BLOCK_B lanes, BLOCK_H units; dead lanes get gradients of zero
    step, live, scored = (
        step_number(record_ptr), tl.load(record_ptr + LIVE), tl.load(record_ptr + SCORED)
    )  # fmt: skip
    wait_for_writes(DEPENDENT)
    lane = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    unit = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    mask = (lane < live)[:, None] & (unit < H)[None, :]
    at = lane[:, None] * H + unit[None, :]

    # load
    r = tl.load(gates_ptr + at, mask=mask, other=0.0)
    z = tl.load(gates_ptr + B * H + at, mask=mask, other=0.0)
    n = tl.load(gates_ptr + 2 * B * H + at, mask=mask, other=0.0)
    n_h = tl.load(gates_ptr + 3 * B * H + at, mask=mask, other=0.0)
    h = tl.load(saved_h_ptr + at, mask=mask, other=0.0)
    d = sum_parts(
        d_state_ptr, scored, lane, unit, mask, ROWS_A_PART, PARTS, BLOCK_PARTS,
        B, H, BLOCK_B, BLOCK_H,
    )  # fmt: skip

    # maths
    if THRESHOLD_H > 0:
        d *= dropout_factor(
            seed, step, lane, tl.program_id(1) * BLOCK_H, H, SITE_H, THRESHOLD_H, SCALE_H,
            BLOCK_B, BLOCK_H,
        )  # fmt: skip
    d_n = d * (1 - z) * (1 - n * n)
    d_z = d * (h - n) * z * (1 - z)
    d_r = d_n * n_h * r * (1 - r)

    # store
    mask = (lane < B)[:, None] & (unit < H)[None, :]
    at = lane[:, None] * 3 * H + unit[None, :]
    tl.store(d_x_ptr + at, d_r, mask=mask)
    tl.store(d_x_ptr + at + H, d_z, mask=mask)
    tl.store(d_x_ptr + at + 2 * H, d_n, mask=mask)
    tl.store(d_h_ptr + at, d_r, mask=mask)
    tl.store(d_h_ptr + at + H, d_z, mask=mask)
    tl.store(d_h_ptr + at + 2 * H, d_n * r, mask=mask)


@triton.jit
def gru_reset_after_input_bwd_kernel(
    record_ptr, d_gates_ptr, w_ptr, d_x_ptr, seed,
    B: tl.constexpr, H3: tl.constexpr, K: tl.constexpr, DEPENDENT: tl.constexpr,
    SITE_X: tl.constexpr, THRESHOLD_X: tl.constexpr, SCALE_X: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_X: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program computes the input gradient of a tile of lanes and columns."""
    # tile: BLOCK_B lanes, BLOCK_X columns of x
    if THRESHOLD_X > 0:
        step = step_number(record_ptr)
    wait_for_writes(DEPENDENT)
    lane = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    column = tl.program_id(1) * BLOCK_X + tl.arange(0, BLOCK_X)

    # load and maths: d_gates (B, 3H) times W (3H, K)
    d_x = tl.zeros((BLOCK_B, BLOCK_X), dtype=tl.float32)
    for k0 in range(0, H3, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        mask = (lane < B)[:, None] & (k < H3)[None, :]
        d_gates = tl.load(d_gates_ptr + lane[:, None] * H3 + k[None, :], mask=mask, other=0.0)
        mask = (k < H3)[:, None] & (column < K)[None, :]
        w = tl.load(w_ptr + k[:, None] * K + column[None, :], mask=mask, other=0.0)
        d_x = tl.dot(d_gates, w, d_x, input_precision=PRECISION)
    if THRESHOLD_X > 0:
        d_x *= dropout_factor(
            seed, step, lane, tl.program_id(1) * BLOCK_X, K, SITE_X, THRESHOLD_X, SCALE_X,
            BLOCK_B, BLOCK_X,
        )  # fmt: skip

    # store
    mask = (lane < B)[:, None] & (column < K)[None, :]
    tl.store(d_x_ptr + lane[:, None] * K + column[None, :], d_x, mask=mask)


class GRUResetAfter:
    """The cell as a `Layer`: weights w_ih (3H, K), w_hh (3H, H), b_ih and b_hh (3H,)."""

    def __init__(
        self,
        context: StepContext,
        weights: Sequence[Parameter],
        source: Tensor,
        dropout_x: DropoutSite,
        dropout_h: DropoutSite,
    ) -> None:
        self.context, self.source = context, source
        self.w_ih, self.w_hh, self.b_ih, self.b_hh = weights
        self.dropout_x = dropout_constants(dropout_x, "X")
        self.dropout_h = dropout_constants(dropout_h, "H")
        lanes, inputs = context.block.lanes, self.w_ih.theta.shape[1]
        units = self.w_hh.theta.shape[1]

        buffer = partial(lane_buffer, source.device)
        self.state = buffer(2, lanes, units)
        # Saved for the backward pass: input after dropout, carried state after the restart mask,
        # and the gates r, z, n and U_n h + c_n.
        self.x, self.h = buffer(lanes, inputs), buffer(lanes, units)
        self.gates = buffer(4, lanes, units)
        # Gradients of the gates' sums on the side of x and on the side of h, where the new gate's
        # are multiplied by r; gradient of the input before dropout.
        self.d_x_gates, self.d_h_gates = buffer(lanes, 3 * units), buffer(lanes, 3 * units)
        self.d_x = buffer(lanes, inputs)

    def forward(self, t: int) -> None:
        """`Layer.forward`."""
        block, tiles = self.context.block, self.context.tiles
        units, inputs = self.h.shape[1], self.x.shape[1]
        block_h = width_block(units, tiles.gate_units)
        grid = (triton.cdiv(block.lanes, tiles.lanes), triton.cdiv(units, block_h))
        gru_reset_after_fwd_kernel[grid](
            block.records[t], self.source, self.state,
            self.w_ih.theta, self.w_hh.theta, self.b_ih.theta, self.b_hh.theta,
            self.x, self.h, self.gates, self.context.seed,
            B=block.lanes, K=inputs, H=units,
            FROM_TABLE=self.source.ndim == 2, LONG=long_offsets(self.source),
            **self.dropout_x, **self.dropout_h, **self.context.launch,
            PRECISION=self.context.precision, BLOCK_B=tiles.lanes, BLOCK_H=block_h,
            BLOCK_X=depth_block(inputs, tiles.depth), BLOCK_K=depth_block(units, tiles.depth),
            num_warps=tiles.warps, num_stages=tiles.gate_stages,
        )  # fmt: skip

    def backward(self, t: int, d_state: Tensor, rows_a_part: int) -> Tensor:
        """Gradient (B, K) of the input; see `Layer.backward`."""
        block, units = self.context.block, self.h.shape[1]
        block_b, block_h = GATE_LANES, width_block(units, 32)
        grid = (triton.cdiv(block.lanes, block_b), triton.cdiv(units, block_h))
        gru_reset_after_gates_bwd_kernel[grid](
            block.records[t], d_state, self.gates, self.h,
            self.d_x_gates, self.d_h_gates, self.context.seed,
            B=block.lanes, H=units, ROWS_A_PART=rows_a_part, **parts_of(d_state),
            **self.dropout_h, **self.context.launch, BLOCK_B=block_b, BLOCK_H=block_h, num_warps=4,
        )  # fmt: skip
        input_gradient(self.context, t, self.d_x_gates, self.w_ih.theta, self.d_x, self.dropout_x)
        return self.d_x

    def update(self, t: int, rows: InputRows | None) -> None:
        """`Layer.update`."""
        cell_update(
            self.context, t,
            MatrixUpdate(self.w_ih, self.b_ih, left=self.d_x_gates, right=self.x),
            MatrixUpdate(self.w_hh, self.b_hh, left=self.d_h_gates, right=self.h),
            rows,
        )  # fmt: skip


def input_gradient(
    context: StepContext,
    t: int,
    d_gates: Tensor,
    w: Tensor,
    d_x: Tensor,
    dropout_x: dict[str, float],
) -> None:
    """d_x (B, K) = d_gates (B, 3H) times w (3H, K), times the factors of the input's dropout.

    t: the step's place in the block, whose number the dropout needs.
    """
    block, tiles, (gates, inputs) = context.block, context.tiles, w.shape
    block_x = width_block(inputs, tiles.columns)
    grid = (triton.cdiv(block.lanes, tiles.lanes), triton.cdiv(inputs, block_x))
    gru_reset_after_input_bwd_kernel[grid](
        block.records[t], d_gates, w, d_x, context.seed,
        B=block.lanes, H3=gates, K=inputs, **dropout_x, **context.launch,
        PRECISION=context.precision, BLOCK_B=tiles.lanes, BLOCK_X=block_x,
        BLOCK_K=depth_block(gates, tiles.input_depth),
        num_warps=tiles.warps, num_stages=tiles.deep_stages,
    )  # fmt: skip
