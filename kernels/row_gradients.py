"""What the loss sends back: the gradient of the new state, and the update of the scored rows.

    d = d loss / d s                 by score, from the scores and statistics of `sampled_loss`
    g[u] = sum_i d[i, u] h'[i],      g_b[u] = sum_i d[i, u],      d h'[i] = sum_u d[i, u] W[u]
    W[u], b[u] <- update(g[u], g_b[u])

The gradients are those that autograd gives for the losses of the reference. The loss's GRADIENT and
the optimiser's UPDATE are compile-time functions. A program owns a tile of unique rows and columns.
It reads its rows, computes their score gradients for all lanes, reads the rows again from the cache
and updates them, so there are no atomics. Without UPDATE it writes the gradients by unique row, for
`row_update`. A row that is also an input of the step
has a second gradient, which the cell's backward pass computes later. Its first gradient is
deferred: it goes to (B, H) at the lane that owns the row, and `cell_update` adds it. A tile's share
of the state's gradient becomes one part of (parts, B, H); the cell sums the parts in order.

Numerics: float32; products in PRECISION.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import triton
import triton.language as tl

from gru4rec_fast.kernels._tile import appended, long_offsets, row_offset, width_block
from gru4rec_fast.kernels.dependent_launch import wait_for_writes
from gru4rec_fast.kernels.device_block import (
    INPUT_LANE,
    LIVE,
    ROW_ITEM,
    SCORED,
    TARGET_ROW,
    lane_values,
    new_slot,
    row_values,
)
from gru4rec_fast.kernels.logq import row_columns
from gru4rec_fast.kernels.optimisers.step import learning_rate, load_states, update_tile

if TYPE_CHECKING:
    from torch import Tensor

    from gru4rec_fast.kernels.logq import Correction
    from gru4rec_fast.kernels.parameter import Parameter
    from gru4rec_fast.kernels.sampled_loss import LossBuffers, LossOptions
    from gru4rec_fast.kernels.step_context import StepContext


@triton.jit
def row_gradients_kernel(
    record_ptr, state_ptr, scores_ptr, weights_ptr, log_q_ptr, statistics_ptr,
    table, bias, deferred_ptr, deferred_bias_ptr, d_state_ptr, correction, update_options,
    B: tl.constexpr, U: tl.constexpr, H: tl.constexpr, LONG: tl.constexpr, DEPENDENT: tl.constexpr,
    GRADIENT: tl.constexpr, N_STATISTICS: tl.constexpr, OPTIONS: tl.constexpr,
    COLUMN_GRADIENT: tl.constexpr, CORRECT: tl.constexpr,
    ACTIVATE: tl.constexpr, BACKWARD: tl.constexpr, ACTIVATION: tl.constexpr,
    UPDATE: tl.constexpr, SHARED: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_U: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_B: tl.constexpr,
):  # fmt: skip
    """A program updates a tile of rows and columns, and writes its part of the state's gradient."""
    # tile: BLOCK_U unique rows, BLOCK_H columns
    live, scored = tl.load(record_ptr + LIVE), tl.load(record_ptr + SCORED)
    state = new_slot(record_ptr, B)
    u = tl.program_id(0) * BLOCK_U + tl.arange(0, BLOCK_U)
    column = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    item = row_values(record_ptr, ROW_ITEM, u, B, U)
    if UPDATE is not None:
        rate = learning_rate(record_ptr, update_options)
        if SHARED:
            owner = row_values(record_ptr, INPUT_LANE, u, B, U)
    wait_for_writes(DEPENDENT)
    if tl.program_id(0) * BLOCK_U >= scored:
        return

    # load: the rows before their update
    in_u, in_h = u < scored, column < H
    mask = in_u[:, None] & in_h[None, :]
    weight = tl.load(weights_ptr + u, mask=in_u, other=0.0)
    at = row_offset(item, LONG)[:, None] * H + column[None, :]
    w = tl.load(table.theta + at, mask=mask, other=0.0)
    of_bias = in_u & (tl.program_id(1) == 0)
    if UPDATE is not None:
        bias_theta = tl.load(bias.theta + item, mask=of_bias, other=0.0)
        bias_states = load_states(bias, item, of_bias, item, of_bias, None)
    if COLUMN_GRADIENT is not None:
        columns = row_columns(record_ptr, u, in_u, log_q_ptr, correction, CORRECT, B, U)
        targets, of_targets, samples, of_samples = columns

    # maths: gradient of the rows, and their share of the state's, BLOCK_B lanes at a time
    part_ptr = d_state_ptr + tl.program_id(0).to(tl.int64) * B * H  # all parts can be over 2^31
    g = tl.zeros((BLOCK_U, BLOCK_H), dtype=tl.float32)
    g_bias = tl.zeros((BLOCK_U,), dtype=tl.float32)
    for first in range(0, live, BLOCK_B):
        lane = first + tl.arange(0, BLOCK_B)
        alive = lane < live
        pair = in_u[:, None] & alive[None, :]
        s = tl.load(scores_ptr + lane[None, :] * U + u[:, None], mask=pair, other=0.0)
        own = lane_values(record_ptr, TARGET_ROW, lane, B)
        is_own = (u[:, None] == own[None, :]).to(tl.float32)
        statistics = ()
        for i in tl.static_range(N_STATISTICS):
            value = tl.load(statistics_ptr + i * B + lane, mask=alive, other=0.0)
            statistics = appended(statistics, value[None, :])
        y = ACTIVATE(s, ACTIVATION)
        d = GRADIENT(y, weight, is_own, statistics, OPTIONS)
        if COLUMN_GRADIENT is not None:
            of_column = COLUMN_GRADIENT(y - of_targets[:, None], statistics, OPTIONS)
            d += targets[:, None] * of_column
            if CORRECT:
                of_column = COLUMN_GRADIENT(y - of_samples[:, None], statistics, OPTIONS)
                d += samples[:, None] * of_column
        d = tl.where(pair, BACKWARD(d, s, ACTIVATION) / B, 0.0)
        hidden = alive[:, None] & in_h[None, :]
        h = state_ptr + (state + lane[:, None]) * H + column[None, :]
        g = tl.dot(d, tl.load(h, mask=hidden, other=0.0), g, input_precision=PRECISION)
        g_bias += tl.sum(d, axis=1)
        part = tl.dot(tl.trans(d), w, input_precision=PRECISION)
        tl.store(part_ptr + lane[:, None] * H + column[None, :], part, mask=hidden)

    # store: update the rows; rows that are inputs too defer their gradient to the cell's update
    if UPDATE is not None:
        if SHARED:
            is_input = mask & (owner >= 0)[:, None]
            tl.store(deferred_ptr + owner[:, None] * H + column[None, :], g, mask=is_input)
            mask = mask & (owner < 0)[:, None]
        # Read again, from the cache: kept through the loop, they would cost registers.
        w = tl.load(table.theta + at, mask=mask, other=0.0)
        states = load_states(table, at, mask, at, mask, None)
        update_tile(table, at, mask, at, mask, w, states, g, rate, update_options, UPDATE, None, H)
        update_tile(
            bias, item, of_bias, item, of_bias, bias_theta, bias_states, g_bias, rate,
            update_options, UPDATE, None, 1,
        )  # fmt: skip
    else:
        tl.store(deferred_ptr + u[:, None] * H + column[None, :], g, mask=mask)
        tl.store(deferred_bias_ptr + u, g_bias, mask=of_bias)


def row_gradients(
    context: StepContext,
    t: int,
    state: Tensor,
    w: Parameter,
    bias: Parameter,
    correction: Correction,
    buffers: LossBuffers,
    options: LossOptions,
    *,
    deferred: Tensor,
    deferred_bias: Tensor | None = None,
    shared: bool = False,
) -> None:
    """Gradient of the state into `buffers.d_state`, and the update of the scored rows in place.

    state (2, B, H), of which the new slot is read; w (V, H); bias (V, 1). With `shared`, rows that
    are inputs of the step too are not updated: their gradient goes to `deferred` (B, H), at the
    lane that owns the row. If the context has no update, the gradients of all rows go to `deferred`
    (U, H) and `deferred_bias` (U,) instead.
    """
    block, tiles, update, units = context.block, context.tiles, context.update, w.theta.shape[1]
    block_h = width_block(units, tiles.columns)
    grid = (triton.cdiv(block.rows, tiles.gradient_rows), triton.cdiv(units, block_h))
    row_gradients_kernel[grid](
        block.records[t], state, buffers.scores, buffers.weights, buffers.log_q,
        buffers.statistics, w, bias, deferred, deferred if deferred_bias is None else deferred_bias,
        buffers.d_state, correction, () if update is None else update.options,
        B=block.lanes, U=block.rows, H=units, LONG=long_offsets(w.theta),
        GRADIENT=options.loss.gradient, N_STATISTICS=options.loss.n_statistics,
        OPTIONS=options.values, COLUMN_GRADIENT=options.loss.column_gradient,
        CORRECT=options.corrects, ACTIVATE=options.activation.activate,
        BACKWARD=options.activation.backward, ACTIVATION=options.activation_parameters,
        UPDATE=None if update is None else update.function, SHARED=shared,
        PRECISION=context.precision,
        BLOCK_U=tiles.gradient_rows, BLOCK_H=block_h, BLOCK_B=tiles.gradient_lanes,
        num_warps=tiles.warps, num_stages=tiles.gradient_stages, **context.launch,
    )  # fmt: skip
