"""GRU with the reset gate before the recurrent product and a one-hot input (SPEC section 3).

    n_x, r_x, z_x = Wx0[item] + b                   an item selects a row of the input weights
    r = sigma(r_x + h U_r),  z = sigma(z_x + h U_z)         h = carried state, 0 at a restart
    n = tanh(n_x + (r * h) U_n)
    h' = dropout((1 - z) * h + z * n)

`reference.gru_reset_before` and what surrounds it. Shapes: Wx0 (V, 3H), b (3H,), gates stacked as
(new, reset, update); Wrz0 (H, 2H) = [U_r, U_z], Wh0 (H, H) = U_n, inputs x units; state (2, B, H).

The second product needs r * h of all units, so forward and backward are two kernels each, before
and after that product. Saved for the backward pass: h, r * h, r, z, n. The input is no product, so
the gate gradients (B, 3H) are the gradients of the selected rows, which `cell_update` applies.

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
def gru_reset_before_gates_fwd_kernel(
    record_ptr, wx_ptr, state_ptr, w_rz_ptr, b_ptr,
    saved_h_ptr, saved_rh_ptr, gates_ptr,
    B: tl.constexpr, H: tl.constexpr, LONG: tl.constexpr, DEPENDENT: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program computes the reset and update gates of a tile of lanes and units."""
    # tile: BLOCK_B lanes, BLOCK_H units
    lane = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    unit = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    alive = lane < tl.load(record_ptr + LIVE)
    mask = alive[:, None] & (unit < H)[None, :]

    # load
    item = row_offset(lane_values(record_ptr, ITEM, lane, B), LONG)
    h_row = old_slot(record_ptr, B) + lane_values(record_ptr, SOURCE, lane, B)
    goes_on = alive & (lane_values(record_ptr, RESTART, lane, B) == 0)
    wait_for_writes(DEPENDENT)
    x = wx_ptr + item[:, None] * (3 * H) + unit[None, :]
    r = tl.load(x + H, mask=mask, other=0.0)
    z = tl.load(x + 2 * H, mask=mask, other=0.0)
    own = state_ptr + h_row[:, None] * H + unit[None, :]
    own_h = tl.load(own, mask=goes_on[:, None] & (unit < H)[None, :], other=0.0)

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

    # store
    at = lane[:, None] * H + unit[None, :]
    tl.store(saved_h_ptr + at, own_h, mask=mask)
    tl.store(saved_rh_ptr + at, r * own_h, mask=mask)
    tl.store(gates_ptr + at, r, mask=mask)
    tl.store(gates_ptr + B * H + at, z, mask=mask)


@triton.jit
def gru_reset_before_state_fwd_kernel(
    record_ptr, wx_ptr, state_ptr, w_h_ptr, b_ptr, saved_h_ptr, saved_rh_ptr, gates_ptr, seed,
    B: tl.constexpr, H: tl.constexpr, LONG: tl.constexpr, DEPENDENT: tl.constexpr,
    SITE_H: tl.constexpr, THRESHOLD_H: tl.constexpr, SCALE_H: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program computes the candidate and new state of a tile of lanes and units."""
    # tile: BLOCK_B lanes, BLOCK_H units
    step, new = step_number(record_ptr), new_slot(record_ptr, B)
    lane = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    unit = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    alive = lane < tl.load(record_ptr + LIVE)
    mask = alive[:, None] & (unit < H)[None, :]
    at = lane[:, None] * H + unit[None, :]

    # load
    item = row_offset(lane_values(record_ptr, ITEM, lane, B), LONG)
    wait_for_writes(DEPENDENT)
    n = tl.load(wx_ptr + item[:, None] * (3 * H) + unit[None, :], mask=mask, other=0.0)
    h = tl.load(saved_h_ptr + at, mask=mask, other=0.0)
    z = tl.load(gates_ptr + B * H + at, mask=mask, other=0.0)

    # maths
    n += tl.load(b_ptr + unit, mask=unit < H, other=0.0)[None, :]
    for k0 in range(0, H, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        inside = alive[:, None] & (k < H)[None, :]
        rh = tl.load(saved_rh_ptr + lane[:, None] * H + k[None, :], mask=inside, other=0.0)
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
    tl.store(state_ptr + new * H + at, h, mask=mask)
    tl.store(gates_ptr + 2 * B * H + at, n, mask=mask)


@triton.jit
def gru_reset_before_state_bwd_kernel(
    record_ptr, d_state_ptr, gates_ptr, saved_h_ptr, d_gates_ptr, seed,
    B: tl.constexpr, H: tl.constexpr, DEPENDENT: tl.constexpr,
    ROWS_A_PART: tl.constexpr, PARTS: tl.constexpr, BLOCK_PARTS: tl.constexpr,
    SITE_H: tl.constexpr, THRESHOLD_H: tl.constexpr, SCALE_H: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """A program computes the new and update gates' gradients of a tile."""
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
    z = tl.load(gates_ptr + B * H + at, mask=mask, other=0.0)
    n = tl.load(gates_ptr + 2 * B * H + at, mask=mask, other=0.0)
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
    d_n = d * z * (1 - n * n)
    d_z = d * (n - h) * z * (1 - z)

    # store
    mask = (lane < B)[:, None] & (unit < H)[None, :]
    at = lane[:, None] * 3 * H + unit[None, :]
    tl.store(d_gates_ptr + at, d_n, mask=mask)
    tl.store(d_gates_ptr + at + 2 * H, d_z, mask=mask)


@triton.jit
def gru_reset_before_reset_bwd_kernel(
    record_ptr, gates_ptr, saved_h_ptr, w_h_ptr, d_gates_ptr,
    B: tl.constexpr, H: tl.constexpr, DEPENDENT: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program computes the reset gate's gradients of a tile of lanes and units."""
    # tile: BLOCK_B lanes, BLOCK_H units; dead lanes get gradients of zero
    lane = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    unit = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    alive = lane < tl.load(record_ptr + LIVE)
    wait_for_writes(DEPENDENT)
    mask = alive[:, None] & (unit < H)[None, :]
    at = lane[:, None] * H + unit[None, :]

    # load and maths: the gradient of r * h is d_n (B, H) times U_n^T
    h = tl.load(saved_h_ptr + at, mask=mask, other=0.0)
    r = tl.load(gates_ptr + at, mask=mask, other=0.0)
    d = tl.zeros((BLOCK_B, BLOCK_H), dtype=tl.float32)
    for k0 in range(0, H, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        inside = alive[:, None] & (k < H)[None, :]
        d_n = tl.load(d_gates_ptr + lane[:, None] * 3 * H + k[None, :], mask=inside, other=0.0)
        inside = (unit < H)[:, None] & (k < H)[None, :]
        w = tl.load(w_h_ptr + unit[:, None] * H + k[None, :], mask=inside, other=0.0)
        d = tl.dot(d_n, tl.trans(w), d, input_precision=PRECISION)

    # store
    d_r = d * h * r * (1 - r)
    mask = (lane < B)[:, None] & (unit < H)[None, :]
    tl.store(d_gates_ptr + lane[:, None] * 3 * H + H + unit[None, :], d_r, mask=mask)


class GRUResetBefore:
    """The cell as a `Layer`: weights Wrz0 (H, 2H), Wh0 (H, H), Bh0 (3H,); source: Wx0 (V, 3H)."""

    def __init__(
        self,
        context: StepContext,
        weights: Sequence[Parameter],
        source: Tensor,
        dropout_x: DropoutSite,
        dropout_h: DropoutSite,
    ) -> None:
        if source.ndim != 2 or dropout_x.rate > 0:
            raise ValueError(
                f"gru-reset-before gets an input of shape {tuple(source.shape)} with dropout "
                f"{dropout_x.rate}; expected the table (V, 3H) of a one-hot first layer without "
                "dropout of its input: use gru-reset-after for other layers"
            )
        self.context, self.source = context, source
        self.w_rz, self.w_h, self.b = weights
        self.dropout_h = dropout_constants(dropout_h, "H")
        lanes, units = context.block.lanes, len(self.w_h.theta)

        buffer = partial(lane_buffer, source.device)
        self.state = buffer(2, lanes, units)
        # Saved for the backward pass: carried state after the restart mask, r * h, and r, z, n.
        self.h, self.rh, self.gates = (
            buffer(lanes, units),
            buffer(lanes, units),
            buffer(3, lanes, units),
        )
        # Gradients of the gates' sums: new, reset, update.
        self.d_gates = buffer(lanes, 3 * units)

    def forward(self, t: int) -> None:
        """`Layer.forward`."""
        block, tiles, units = self.context.block, self.context.tiles, self.h.shape[1]
        block_h = width_block(units, tiles.gate_units)
        grid = (triton.cdiv(block.lanes, tiles.lanes), triton.cdiv(units, block_h))
        shape = {
            "B": block.lanes, "H": units, "LONG": long_offsets(self.source),
            "PRECISION": self.context.precision,
            "BLOCK_B": tiles.lanes, "BLOCK_H": block_h,
            "BLOCK_K": depth_block(units, tiles.depth),
            "num_warps": tiles.warps, "num_stages": tiles.gate_stages, **self.context.launch,
        }  # fmt: skip
        gru_reset_before_gates_fwd_kernel[grid](
            block.records[t], self.source, self.state, self.w_rz.theta, self.b.theta,
            self.h, self.rh, self.gates, **shape,
        )  # fmt: skip
        gru_reset_before_state_fwd_kernel[grid](
            block.records[t], self.source, self.state, self.w_h.theta, self.b.theta,
            self.h, self.rh, self.gates, self.context.seed, **self.dropout_h, **shape,
        )  # fmt: skip

    def backward(self, t: int, d_state: Tensor, rows_a_part: int) -> Tensor:
        """Gradient (B, 3H) of the selected rows; see `Layer.backward`."""
        block, tiles, units = self.context.block, self.context.tiles, self.h.shape[1]
        block_b, block_h = GATE_LANES, width_block(units, 32)
        grid = (triton.cdiv(block.lanes, block_b), triton.cdiv(units, block_h))
        gru_reset_before_state_bwd_kernel[grid](
            block.records[t], d_state, self.gates, self.h, self.d_gates, self.context.seed,
            B=block.lanes, H=units, ROWS_A_PART=rows_a_part, **parts_of(d_state),
            **self.dropout_h, **self.context.launch, BLOCK_B=block_b, BLOCK_H=block_h, num_warps=4,
        )  # fmt: skip
        block_h = width_block(units, tiles.columns)
        grid = (triton.cdiv(block.lanes, tiles.lanes), triton.cdiv(units, block_h))
        gru_reset_before_reset_bwd_kernel[grid](
            block.records[t], self.gates, self.h, self.w_h.theta, self.d_gates,
            B=block.lanes, H=units, PRECISION=self.context.precision,
            BLOCK_B=tiles.lanes, BLOCK_H=block_h, BLOCK_K=depth_block(units, tiles.depth),
            num_warps=tiles.warps, num_stages=tiles.deep_stages, **self.context.launch,
        )  # fmt: skip
        return self.d_gates

    def update(self, t: int, rows: InputRows | None) -> None:
        """`Layer.update`."""
        units, gates = self.h.shape[1], self.d_gates
        new, reset_update = slice(0, units), slice(units, 3 * units)
        cell_update(
            self.context, t,
            MatrixUpdate(
                self.w_rz, self.b.part(reset_update), gates[:, reset_update], self.h, True
            ),
            MatrixUpdate(self.w_h, self.b.part(new), gates[:, new], self.rh, True),
            rows,
        )  # fmt: skip
