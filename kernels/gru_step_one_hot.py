"""One step of the one-hot first layer, reset gate before the product, for all lanes of a step.

    n_x, r_x, z_x = Wx0[item] + b                   an item selects a row of the input weights
    r = sigma(r_x + h U_r),  z = sigma(z_x + h U_z)         h = carried state, 0 at a restart
    n = tanh(n_x + (r * h) U_n)
    h' = dropout((1 - z) * h + z * n)

`reference.gru_reset_before` and what surrounds it. Shapes: Wx0 (V, 3H), b (3H,), gates stacked as
(new, reset, update); Wrz0 (H, 2H) = [U_r, U_z], Wh0 (H, H) = U_n, inputs x units; state (2, B, H).

The second product needs r * h of all units, so forward and backward are two kernels each, cut at
that product. Kept for backward: h, r * h, r, z, n. The input is no product, so the gate gradients
(B, 3H) are at once the gradients of the selected rows, which `cell_update` applies.

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
from gru4rec_fast.kernels.gru_step import sum_parts
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
def one_hot_gates_fwd_kernel(
    plan_ptr, clock_ptr, wx_ptr, state_ptr, w_rz_ptr, b_ptr, kept_h_ptr, kept_rh_ptr, gates_ptr,
    B: tl.constexpr, U: tl.constexpr, H: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program computes the reset and update gates of a tile of lanes and units."""
    # tile: BLOCK_B lanes, BLOCK_H units
    record = step_record(plan_ptr, clock_ptr, B, U)
    lane = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    unit = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    alive = lane < tl.load(record + LIVE)
    mask = alive[:, None] & (unit < H)[None, :]
    if (tl.program_id(0) == 0) & (tl.program_id(1) == 0):
        begin_step(clock_ptr)

    # load
    item = tl.load(lane_field(record, ITEM, B) + lane, mask=alive, other=0).to(tl.int64)
    source = tl.load(lane_field(record, SOURCE, B) + lane, mask=alive, other=0)
    h_row = tl.load(clock_ptr + 1) % 2 * B + source
    goes_on = alive & (tl.load(lane_field(record, RESTART, B) + lane, mask=alive, other=1) == 0)
    x = wx_ptr + item[:, None] * (3 * H) + unit[None, :]
    r = tl.load(x + H, mask=mask, other=0.0)
    z = tl.load(x + 2 * H, mask=mask, other=0.0)

    # maths
    r += tl.load(b_ptr + H + unit, mask=unit < H, other=0.0)[None, :]
    z += tl.load(b_ptr + 2 * H + unit, mask=unit < H, other=0.0)[None, :]
    for k0 in range(0, H, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        going = goes_on[:, None] & (k < H)[None, :]
        h = tl.load(state_ptr + h_row[:, None] * H + k[None, :], mask=going, other=0.0)
        w = w_rz_ptr + k[:, None] * (2 * H) + unit[None, :]
        inside = (k < H)[:, None] & (unit < H)[None, :]
        w_r = tl.load(w, mask=inside, other=0.0)
        w_z = tl.load(w + H, mask=inside, other=0.0)
        r = tl.dot(h, w_r, r, input_precision=PRECISION)
        z = tl.dot(h, w_z, z, input_precision=PRECISION)
    r, z = tl.sigmoid(r), tl.sigmoid(z)
    going = goes_on[:, None] & (unit < H)[None, :]
    h = tl.load(state_ptr + h_row[:, None] * H + unit[None, :], mask=going, other=0.0)

    # store
    at = lane[:, None] * H + unit[None, :]
    tl.store(kept_h_ptr + at, h, mask=mask)
    tl.store(kept_rh_ptr + at, r * h, mask=mask)
    tl.store(gates_ptr + at, r, mask=mask)
    tl.store(gates_ptr + B * H + at, z, mask=mask)


@triton.jit
def one_hot_state_fwd_kernel(
    plan_ptr, clock_ptr, wx_ptr, state_ptr, w_h_ptr, b_ptr, kept_h_ptr, kept_rh_ptr, gates_ptr,
    seed,
    B: tl.constexpr, U: tl.constexpr, H: tl.constexpr,
    SITE_H: tl.constexpr, THRESHOLD_H: tl.constexpr, SCALE_H: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program computes the candidate and new state of a tile of lanes and units."""
    # tile: BLOCK_B lanes, BLOCK_H units
    record = step_record(plan_ptr, clock_ptr, B, U)
    step = tl.load(clock_ptr + 1)
    lane = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    unit = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    alive = lane < tl.load(record + LIVE)
    mask = alive[:, None] & (unit < H)[None, :]
    at = lane[:, None] * H + unit[None, :]

    # load
    item = tl.load(lane_field(record, ITEM, B) + lane, mask=alive, other=0).to(tl.int64)
    n = tl.load(wx_ptr + item[:, None] * (3 * H) + unit[None, :], mask=mask, other=0.0)
    h = tl.load(kept_h_ptr + at, mask=mask, other=0.0)
    z = tl.load(gates_ptr + B * H + at, mask=mask, other=0.0)

    # maths
    n += tl.load(b_ptr + unit, mask=unit < H, other=0.0)[None, :]
    for k0 in range(0, H, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        inside = alive[:, None] & (k < H)[None, :]
        rh = tl.load(kept_rh_ptr + lane[:, None] * H + k[None, :], mask=inside, other=0.0)
        inside = (k < H)[:, None] & (unit < H)[None, :]
        w = tl.load(w_h_ptr + k[:, None] * H + unit[None, :], mask=inside, other=0.0)
        n = tl.dot(rh, w, n, input_precision=PRECISION)
    n = tanh(n)
    h = (1 - z) * h + z * n
    if THRESHOLD_H > 0:
        h *= dropout_factor(
            seed, step, lane, tl.program_id(1) * BLOCK_H, H, SITE_H, THRESHOLD_H, SCALE_H,
            BLOCK_B, BLOCK_H,
        )  # fmt: skip

    # store
    tl.store(state_ptr + (step + 1) % 2 * B * H + at, h, mask=mask)
    tl.store(gates_ptr + 2 * B * H + at, n, mask=mask)


@triton.jit
def one_hot_state_bwd_kernel(
    plan_ptr, clock_ptr, d_state_ptr, gates_ptr, kept_h_ptr, d_gates_ptr, seed,
    B: tl.constexpr, U: tl.constexpr, H: tl.constexpr,
    ROWS_A_PART: tl.constexpr,
    SITE_H: tl.constexpr, THRESHOLD_H: tl.constexpr, SCALE_H: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """A program computes the new and update gates' gradients of a tile."""
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
    z = tl.load(gates_ptr + B * H + at, mask=mask, other=0.0)
    n = tl.load(gates_ptr + 2 * B * H + at, mask=mask, other=0.0)
    h = tl.load(kept_h_ptr + at, mask=mask, other=0.0)

    # maths
    if THRESHOLD_H > 0:
        d *= dropout_factor(
            seed, step, lane, tl.program_id(1) * BLOCK_H, H, SITE_H, THRESHOLD_H, SCALE_H,
            BLOCK_B, BLOCK_H,
        )  # fmt: skip
    d_n = d * z * (1 - n * n)
    d_z = d * (n - h) * z * (1 - z)

    # store
    mask = (lane < B)[:, None] & (unit < H)[None, :]
    at = lane[:, None] * 3 * H + unit[None, :]
    tl.store(d_gates_ptr + at, d_n, mask=mask)
    tl.store(d_gates_ptr + at + 2 * H, d_z, mask=mask)


@triton.jit
def one_hot_reset_bwd_kernel(
    gates_ptr, kept_h_ptr, w_h_ptr, d_gates_ptr,
    B: tl.constexpr, H: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program computes the reset gate's gradients of a tile of lanes and units."""
    # tile: BLOCK_B lanes, BLOCK_H units
    lane = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    unit = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    mask = (lane < B)[:, None] & (unit < H)[None, :]
    at = lane[:, None] * H + unit[None, :]

    # load and maths: gradient of r * h is d_n (B, H) times U_n^T
    d = tl.zeros((BLOCK_B, BLOCK_H), dtype=tl.float32)
    for k0 in range(0, H, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        inside = (lane < B)[:, None] & (k < H)[None, :]
        d_n = tl.load(d_gates_ptr + lane[:, None] * 3 * H + k[None, :], mask=inside, other=0.0)
        inside = (unit < H)[:, None] & (k < H)[None, :]
        w = tl.load(w_h_ptr + unit[:, None] * H + k[None, :], mask=inside, other=0.0)
        d = tl.dot(d_n, tl.trans(w), d, input_precision=PRECISION)
    h = tl.load(kept_h_ptr + at, mask=mask, other=0.0)
    r = tl.load(gates_ptr + at, mask=mask, other=0.0)

    # store
    d_r = d * h * r * (1 - r)
    tl.store(d_gates_ptr + lane[:, None] * 3 * H + H + unit[None, :], d_r, mask=mask)


@dataclass(frozen=True)
class OneHotBuffers:
    """What the layer's step leaves for its backward; B lanes, H units, all float32."""

    h: Tensor
    """(B, H) carried state after the restart mask."""
    rh: Tensor
    """(B, H) r * h."""
    gates: Tensor
    """(3, B, H) r, z, n."""
    d_gates: Tensor
    """(B, 3H) gradients of the gates' sums: new, reset, update."""

    @classmethod
    def empty(cls, lanes: int, units: int, device: torch.device) -> OneHotBuffers:
        """Buffers for B lanes and H units."""
        shapes = ((lanes, units), (lanes, units), (3, lanes, units), (lanes, 3 * units))
        return cls(*(torch.zeros(shape, device=device) for shape in shapes))


@dataclass(frozen=True)
class OneHotWeights:
    """Parameters of the layer: wx (V, 3H), w_rz (H, 2H), w_h (H, H), b (3H,)."""

    wx: Tensor
    w_rz: Tensor
    w_h: Tensor
    b: Tensor


def one_hot_forward(
    plan: StepPlan,
    state: Tensor,
    weights: OneHotWeights,
    kept: OneHotBuffers,
    seed: int,
    dropout_h: Dropout,
    tiles: Tiles,
    precision: str,
) -> None:
    """Step all lanes on: write the new state's slot of `state` (2, B, H), and `kept`."""
    units = state.shape[2]
    block_h = width_block(units, tiles.gate_units)
    grid = (triton.cdiv(plan.lanes, tiles.lanes), triton.cdiv(units, block_h))
    shape = {
        "B": plan.lanes, "U": plan.rows, "H": units, "PRECISION": precision,
        "BLOCK_B": tiles.lanes, "BLOCK_H": block_h, "BLOCK_K": width_block(units, tiles.depth),
        "num_warps": tiles.warps, "num_stages": tiles.stages,
    }  # fmt: skip
    one_hot_gates_fwd_kernel[grid](
        plan.records, plan.next, weights.wx, state, weights.w_rz, weights.b,
        kept.h, kept.rh, kept.gates, **shape,
    )  # fmt: skip
    one_hot_state_fwd_kernel[grid](
        plan.records, plan.now, weights.wx, state, weights.w_h, weights.b,
        kept.h, kept.rh, kept.gates, seed,
        SITE_H=dropout_h.site, THRESHOLD_H=dropout_h.threshold, SCALE_H=dropout_h.scale, **shape,
    )  # fmt: skip


def one_hot_backward(
    plan: StepPlan,
    d_state: Tensor,
    weights: OneHotWeights,
    kept: OneHotBuffers,
    seed: int,
    dropout_h: Dropout,
    rows_a_part: int,
    tiles: Tiles,
    precision: str,
) -> None:
    """Gate gradients of every lane, into `kept`; d_state as for `gru_step.gru_gates_backward`."""
    units = kept.h.shape[1]
    block_b, block_h = 16, width_block(units, 32)
    one_hot_state_bwd_kernel[(triton.cdiv(plan.lanes, block_b), triton.cdiv(units, block_h))](
        plan.records, plan.now, d_state, kept.gates, kept.h, kept.d_gates, seed,
        B=plan.lanes, U=plan.rows, H=units, ROWS_A_PART=rows_a_part,
        SITE_H=dropout_h.site, THRESHOLD_H=dropout_h.threshold, SCALE_H=dropout_h.scale,
        BLOCK_B=block_b, BLOCK_H=block_h, num_warps=4,
    )  # fmt: skip
    block_h = width_block(units, tiles.columns)
    one_hot_reset_bwd_kernel[(triton.cdiv(plan.lanes, tiles.lanes), triton.cdiv(units, block_h))](
        kept.gates, kept.h, weights.w_h, kept.d_gates,
        B=plan.lanes, H=units, PRECISION=precision,
        BLOCK_B=tiles.lanes, BLOCK_H=block_h, BLOCK_K=width_block(units, tiles.depth),
        num_warps=tiles.warps, num_stages=tiles.stages,
    )  # fmt: skip
