"""One GRU step, reset gate after the product, for all lanes of a planned step.

    x = dropout(table[item])                       (a stacked layer takes the state below instead)
    r = sigma(W_r x + b_r + U_r h + c_r)           h = carried state of the lane, 0 at a restart
    z = sigma(W_z x + b_z + U_z h + c_z)
    n = tanh(W_n x + b_n + r * (U_n h + c_n))
    h' = dropout((1 - z) * n + z * h)

`reference.gru_reset_after` and what surrounds it. Shapes: table (V, K), state (2, B, H) by parity
of the step, W_ih (3H, K), W_hh (3H, H), biases (3H,), gates stacked as (reset, update, new).

Forward is one kernel: row gather, restart mask, both dropouts, the six products in four
accumulators (the reset and update gates add x's and h's product in one; the new gate needs them
apart), gates and new state. Kept for backward: x and h as they entered the products, because the
rows of the table change before the weight gradient is taken, and r, z, n, U_n h + c_n.

Backward is two: gate gradients from those of the new state, which `sampled_loss` leaves in one part
per tile of rows, summed here in a fixed order; and the input gradient with the weights as they
were. The carried state is a constant of the step, so nothing goes back to it. The weight gradient
and its update follow in `cell_update`.

Numerics: float32 throughout; PRECISION says how products multiply, 'ieee' or 'tf32'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from gru4rec_fast.kernels._tile import tanh, width_block
from gru4rec_fast.kernels.dropout import Dropout, dropout_factor
from gru4rec_fast.kernels.step_plan import (
    ITEM,
    LIVE,
    RESTART,
    SCORED,
    SOURCE,
    StepPlan,
    begin_step,
    lane_field,
    step_record,
)

if TYPE_CHECKING:
    from gru4rec_fast.kernels._tuning import Tiles


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
def gru_step_fwd_kernel(
    plan_ptr, clock_ptr, x_ptr, state_ptr,
    w_ih_ptr, w_hh_ptr, b_ih_ptr, b_hh_ptr,
    kept_x_ptr, kept_h_ptr, gates_ptr, seed,
    B: tl.constexpr, U: tl.constexpr, K: tl.constexpr, H: tl.constexpr,
    FROM_TABLE: tl.constexpr,
    SITE_X: tl.constexpr, THRESHOLD_X: tl.constexpr, SCALE_X: tl.constexpr,
    SITE_H: tl.constexpr, THRESHOLD_H: tl.constexpr, SCALE_H: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_X: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program computes the gates and new state of a tile of lanes and units."""
    # tile: BLOCK_B lanes, BLOCK_H units
    record = step_record(plan_ptr, clock_ptr, B, U)
    step = tl.load(clock_ptr + 1)
    live = tl.load(record + LIVE)
    lane = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    unit = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    alive = lane < live
    if tl.program_id(0) * BLOCK_B >= live:
        return

    # load: where each lane's input and carried state lie
    if FROM_TABLE:
        x_row = tl.load(lane_field(record, ITEM, B) + lane, mask=alive, other=0).to(tl.int64)
    else:
        x_row = (step + 1) % 2 * B + lane
    h_row = step % 2 * B + tl.load(lane_field(record, SOURCE, B) + lane, mask=alive, other=0)
    goes_on = alive & (tl.load(lane_field(record, RESTART, B) + lane, mask=alive, other=1) == 0)

    # maths: the products, a slice of x and then of h at a time, as they are read
    b_ih, b_hh = b_ih_ptr + unit, b_hh_ptr + unit
    inside = unit < H
    zero = tl.zeros((BLOCK_B, BLOCK_H), dtype=tl.float32)
    b_r = tl.load(b_ih, mask=inside, other=0.0) + tl.load(b_hh, mask=inside, other=0.0)
    b_z = tl.load(b_ih + H, mask=inside, other=0.0) + tl.load(b_hh + H, mask=inside, other=0.0)
    r, z = zero + b_r[None, :], zero + b_z[None, :]
    n = zero + tl.load(b_ih + 2 * H, mask=inside, other=0.0)[None, :]
    n_h = zero + tl.load(b_hh + 2 * H, mask=inside, other=0.0)[None, :]
    keeps = tl.program_id(1) == 0
    if keeps & (tl.program_id(0) == 0):
        begin_step(clock_ptr)
    for k0 in range(0, K, BLOCK_X):
        k = k0 + tl.arange(0, BLOCK_X)
        mask = alive[:, None] & (k < K)[None, :]
        x = tl.load(x_ptr + x_row[:, None] * K + k[None, :], mask=mask, other=0.0)
        if THRESHOLD_X > 0:
            x *= dropout_factor(
                seed, step, lane, k0, K, SITE_X, THRESHOLD_X, SCALE_X, BLOCK_B, BLOCK_X
            )
        tl.store(kept_x_ptr + lane[:, None] * K + k[None, :], x, mask=mask & keeps)
        weights = inside[:, None] & (k < K)[None, :]
        r, z, n = _add_gate_products(x, w_ih_ptr, unit, k, weights, r, z, n, H, K, PRECISION)
    for k0 in range(0, H, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        mask = goes_on[:, None] & (k < H)[None, :]
        h = tl.load(state_ptr + h_row[:, None] * H + k[None, :], mask=mask, other=0.0)
        kept = kept_h_ptr + lane[:, None] * H + k[None, :]
        tl.store(kept, h, mask=alive[:, None] & (k < H)[None, :] & keeps)
        weights = inside[:, None] & (k < H)[None, :]
        r, z, n_h = _add_gate_products(h, w_hh_ptr, unit, k, weights, r, z, n_h, H, H, PRECISION)
    r, z = tl.sigmoid(r), tl.sigmoid(z)
    n = tanh(n + r * n_h)
    own = state_ptr + h_row[:, None] * H + unit[None, :]
    h = tl.load(own, mask=goes_on[:, None] & inside[None, :], other=0.0)
    h = (1 - z) * n + z * h
    if THRESHOLD_H > 0:
        h *= dropout_factor(
            seed, step, lane, tl.program_id(1) * BLOCK_H, H, SITE_H, THRESHOLD_H, SCALE_H,
            BLOCK_B, BLOCK_H,
        )  # fmt: skip

    # store
    mask = alive[:, None] & inside[None, :]
    at = lane[:, None] * H + unit[None, :]
    tl.store(state_ptr + (step + 1) % 2 * B * H + at, h, mask=mask)
    tl.store(gates_ptr + at, r, mask=mask)
    tl.store(gates_ptr + B * H + at, z, mask=mask)
    tl.store(gates_ptr + 2 * B * H + at, n, mask=mask)
    tl.store(gates_ptr + 3 * B * H + at, n_h, mask=mask)


@triton.jit
def sum_parts(
    d_ptr, lane, unit, mask, parts, B: tl.constexpr, H: tl.constexpr, BLOCK_B: tl.constexpr,
    BLOCK_H: tl.constexpr,
):  # fmt: skip
    """Gradient (lanes, units) of the new state from its parts (parts, B, H), in their order."""
    d = tl.zeros((BLOCK_B, BLOCK_H), dtype=tl.float32)
    for part in range(parts):
        at = (part * B + lane[:, None]) * H + unit[None, :]
        d += tl.load(d_ptr + at, mask=mask, other=0.0)
    return d


@triton.jit
def gru_gates_bwd_kernel(
    plan_ptr, clock_ptr, d_state_ptr, gates_ptr, kept_h_ptr, d_x_ptr, d_h_ptr, seed,
    B: tl.constexpr, U: tl.constexpr, H: tl.constexpr,
    ROWS_A_PART: tl.constexpr,
    SITE_H: tl.constexpr, THRESHOLD_H: tl.constexpr, SCALE_H: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """A program computes the gate gradients of a tile of lanes and units."""
    # tile: BLOCK_B lanes, BLOCK_H units; dead lanes get gradients of zero
    record = step_record(plan_ptr, clock_ptr, B, U)
    step = tl.load(clock_ptr + 1)
    lane = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    unit = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    mask = (lane < tl.load(record + LIVE))[:, None] & (unit < H)[None, :]
    at = lane[:, None] * H + unit[None, :]

    # load
    parts = 1
    if ROWS_A_PART > 0:
        parts = tl.cdiv(tl.load(record + SCORED), ROWS_A_PART)
    d = sum_parts(d_state_ptr, lane, unit, mask, parts, B, H, BLOCK_B, BLOCK_H)
    r = tl.load(gates_ptr + at, mask=mask, other=0.0)
    z = tl.load(gates_ptr + B * H + at, mask=mask, other=0.0)
    n = tl.load(gates_ptr + 2 * B * H + at, mask=mask, other=0.0)
    n_h = tl.load(gates_ptr + 3 * B * H + at, mask=mask, other=0.0)
    h = tl.load(kept_h_ptr + at, mask=mask, other=0.0)

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
def gru_input_bwd_kernel(
    clock_ptr, d_gates_ptr, w_ptr, d_x_ptr, seed,
    B: tl.constexpr, H3: tl.constexpr, K: tl.constexpr,
    SITE_X: tl.constexpr, THRESHOLD_X: tl.constexpr, SCALE_X: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_X: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program computes the input gradient of a tile of lanes and columns."""
    # tile: BLOCK_B lanes, BLOCK_X columns of x
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
        step = tl.load(clock_ptr + 1)
        d_x *= dropout_factor(
            seed, step, lane, tl.program_id(1) * BLOCK_X, K, SITE_X, THRESHOLD_X, SCALE_X,
            BLOCK_B, BLOCK_X,
        )  # fmt: skip

    # store
    mask = (lane < B)[:, None] & (column < K)[None, :]
    tl.store(d_x_ptr + lane[:, None] * K + column[None, :], d_x, mask=mask)


@dataclass(frozen=True)
class GRUStepBuffers:
    """What a layer's step leaves for its backward; B lanes, K inputs, H units, all float32."""

    x: Tensor
    """(B, K) input after dropout."""
    h: Tensor
    """(B, H) carried state after the restart mask."""
    gates: Tensor
    """(4, B, H) r, z, n and U_n h + c_n."""
    d_x_gates: Tensor
    """(B, 3H) gradients of the gates' sums on the side of x."""
    d_h_gates: Tensor
    """(B, 3H) on the side of h: the new gate's are multiplied by r."""
    d_x: Tensor
    """(B, K) gradient of the input before dropout."""

    @classmethod
    def empty(cls, lanes: int, inputs: int, units: int, device: torch.device) -> GRUStepBuffers:
        """Buffers for B lanes, K inputs and H units."""
        # Zeros: dead lanes are never written, and 0 * what they hold must be 0.
        shapes = [(lanes, inputs), (lanes, units), (4, lanes, units)]
        shapes += [(lanes, 3 * units), (lanes, 3 * units), (lanes, inputs)]
        return cls(*(torch.zeros(shape, device=device) for shape in shapes))


@dataclass(frozen=True)
class GRUWeights:
    """Parameters of a cell: w_ih (3H, K), w_hh (3H, H), b_ih and b_hh (3H,)."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor
    b_hh: Tensor


def gru_step_forward(
    plan: StepPlan,
    source: Tensor,
    state: Tensor,
    weights: GRUWeights,
    kept: GRUStepBuffers,
    seed: int,
    dropout_x: Dropout,
    dropout_h: Dropout,
    tiles: Tiles,
    precision: str,
    from_table: bool = True,
) -> None:
    """Step all lanes on: write the new state's slot of `state` (2, B, H), and `kept`.

    source: the item table (V, K) if from_table, else the state (2, B, K) of the layer below.
    """
    units, inputs = state.shape[2], source.shape[-1]
    block_h = width_block(units, tiles.gate_units)
    gru_step_fwd_kernel[(triton.cdiv(plan.lanes, tiles.lanes), triton.cdiv(units, block_h))](
        plan.records, plan.next, source, state,
        weights.w_ih, weights.w_hh, weights.b_ih, weights.b_hh,
        kept.x, kept.h, kept.gates, seed,
        B=plan.lanes, U=plan.rows, K=inputs, H=units, FROM_TABLE=from_table,
        SITE_X=dropout_x.site, THRESHOLD_X=dropout_x.threshold, SCALE_X=dropout_x.scale,
        SITE_H=dropout_h.site, THRESHOLD_H=dropout_h.threshold, SCALE_H=dropout_h.scale,
        PRECISION=precision, BLOCK_B=tiles.lanes, BLOCK_H=block_h,
        BLOCK_X=width_block(inputs, tiles.depth), BLOCK_K=width_block(units, tiles.depth),
        num_warps=tiles.warps, num_stages=tiles.stages,
    )  # fmt: skip


def gru_gates_backward(
    plan: StepPlan,
    d_state: Tensor,
    kept: GRUStepBuffers,
    seed: int,
    dropout_h: Dropout,
    rows_a_part: int,
) -> None:
    """Gate gradients of every lane, into `kept`; dead lanes get zeros.

    d_state: gradient of the new state after dropout, (parts, B, H), one part for each
    `rows_a_part` scored rows; rows_a_part = 0 means one part, (B, H).
    """
    units = kept.h.shape[1]
    block_b, block_h = 16, width_block(units, 32)
    gru_gates_bwd_kernel[(triton.cdiv(plan.lanes, block_b), triton.cdiv(units, block_h))](
        plan.records, plan.now, d_state, kept.gates, kept.h, kept.d_x_gates, kept.d_h_gates, seed,
        B=plan.lanes, U=plan.rows, H=units, ROWS_A_PART=rows_a_part,
        SITE_H=dropout_h.site, THRESHOLD_H=dropout_h.threshold, SCALE_H=dropout_h.scale,
        BLOCK_B=block_b, BLOCK_H=block_h, num_warps=4,
    )  # fmt: skip


def gru_input_backward(
    plan: StepPlan,
    d_gates: Tensor,
    w: Tensor,
    d_x: Tensor,
    seed: int,
    dropout_x: Dropout,
    tiles: Tiles,
    precision: str,
) -> None:
    """d_x (B, K) = d_gates (B, 3H) times w (3H, K), times the factors of the input's dropout."""
    gates, inputs = w.shape
    block_x = width_block(inputs, tiles.columns)
    gru_input_bwd_kernel[(triton.cdiv(plan.lanes, tiles.lanes), triton.cdiv(inputs, block_x))](
        plan.now, d_gates, w, d_x, seed,
        B=plan.lanes, H3=gates, K=inputs,
        SITE_X=dropout_x.site, THRESHOLD_X=dropout_x.threshold, SCALE_X=dropout_x.scale,
        PRECISION=precision, BLOCK_B=tiles.lanes, BLOCK_X=block_x,
        BLOCK_K=width_block(gates, tiles.depth), num_warps=tiles.warps, num_stages=tiles.stages,
    )  # fmt: skip
