"""What the loss sends back: to the new state a gradient, to the scored rows their update.

    d = d loss / d s                 by score, from the scores and statistics of `sampled_loss`
    g[u] = sum_i d[i, u] h'[i],      g_b[u] = sum_i d[i, u],      d h'[i] = sum_u d[i, u] W[u]
    W[u], b[u] <- Adagrad of g[u], g_b[u]

The gradients of `reference.cross_entropy` and `bpr_max` with `correct_logq` and `elu`, and
`reference.sparse_adagrad`. A program owns a tile of unique rows and columns: it reads the rows
once, draws the score gradients of its rows anew for all lanes, and updates the rows at once, with
neither atomics nor a gradient buffer. Only rows that are inputs of the step too wait for the
cell's backward: their gradient is kept (B, H) at the lane that owns the row. A tile's share of the
state's gradient becomes one part of (parts, B, H); the cell sums the parts in order.

Numerics: float32; the reference's epsilon of 1e-24 in the logarithms' derivatives; products in
PRECISION.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import triton
import triton.language as tl

from gru4rec_fast.kernels._tile import width_block
from gru4rec_fast.kernels.sampled_loss import CROSS_ENTROPY, TINY, LossBuffers, LossOptions, elu
from gru4rec_fast.kernels.sparse_adagrad import Learned, adagrad_update
from gru4rec_fast.kernels.step_plan import (
    INPUT_LANE,
    LIVE,
    ROW_ITEM,
    SCORED,
    TARGET_ROW,
    StepPlan,
    lane_field,
    row_field,
    step_record,
)

if TYPE_CHECKING:
    from torch import Tensor

    from gru4rec_fast.kernels._tuning import Tiles


@triton.jit
def _score_gradients(
    s, weight, is_own, statistics_ptr, lane, alive,
    B: tl.constexpr, LOSS: tl.constexpr, BPREG: tl.constexpr, ELU: tl.constexpr,
):  # fmt: skip
    """B times the gradient of the loss by the scores s (rows, lanes)."""
    log_total = tl.load(statistics_ptr + lane, mask=alive, other=0.0)[None, :]
    likelihood = tl.load(statistics_ptr + B + lane, mask=alive, other=0.0)[None, :]
    if LOSS == CROSS_ENTROPY:
        w = weight[:, None] * tl.exp(s - log_total)
        d = (w - is_own) * (likelihood / (likelihood + TINY))
    else:
        positive = tl.load(statistics_ptr + 2 * B + lane, mask=alive, other=0.0)[None, :]
        slope = tl.load(statistics_ptr + 3 * B + lane, mask=alive, other=0.0)[None, :]
        square = tl.load(statistics_ptr + 4 * B + lane, mask=alive, other=0.0)[None, :]
        y = elu(s, ELU)
        count = weight[:, None] - is_own
        # A row that is no negative of a lane may score far above its negatives: no inf * 0.
        w = tl.where(count > 0, count * tl.exp(tl.where(count > 0, y - log_total, 0.0)), 0.0)
        sigma = tl.sigmoid(positive - y)
        d = w * BPREG * (y * y - square + 2 * y)
        d -= (w * (sigma - likelihood - sigma * (1 - sigma)) + is_own * slope) / (likelihood + TINY)
        if ELU > 0:
            d *= tl.where(s > 0, 1.0, ELU * tl.exp(tl.minimum(s, 0.0)))
    return d


@triton.jit
def row_gradients_kernel(
    plan_ptr, clock_ptr, state_ptr, scores_ptr, weights_ptr, statistics_ptr,
    w_ptr, w_a_ptr, w_m_ptr, bias_ptr, bias_a_ptr, bias_m_ptr,
    kept_ptr, kept_bias_ptr, d_state_ptr, learning_rate, momentum,
    B: tl.constexpr, U: tl.constexpr, H: tl.constexpr,
    LOSS: tl.constexpr, BPREG: tl.constexpr, ELU: tl.constexpr,
    UPDATE: tl.constexpr, SHARED: tl.constexpr, HAS_MOMENTUM: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_U: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_B: tl.constexpr,
):  # fmt: skip
    """A program updates a tile of rows and columns, and leaves its part of the state's gradient."""
    # tile: BLOCK_U unique rows, BLOCK_H columns
    record = step_record(plan_ptr, clock_ptr, B, U)
    state = (tl.load(clock_ptr + 1) + 1) % 2 * B
    live, scored = tl.load(record + LIVE), tl.load(record + SCORED)
    u = tl.program_id(0) * BLOCK_U + tl.arange(0, BLOCK_U)
    column = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    if tl.program_id(0) * BLOCK_U >= scored:
        return

    # load: the rows before their update
    in_u, in_h = u < scored, column < H
    mask = in_u[:, None] & in_h[None, :]
    item = tl.load(row_field(record, ROW_ITEM, B, U) + u, mask=in_u, other=0).to(tl.int64)
    weight = tl.load(weights_ptr + u, mask=in_u, other=0.0)
    at = item[:, None] * H + column[None, :]
    w = tl.load(w_ptr + at, mask=mask, other=0.0)

    # maths: gradient of the rows, and their share of the state's, BLOCK_B lanes at a time
    g = tl.zeros((BLOCK_U, BLOCK_H), dtype=tl.float32)
    g_bias = tl.zeros((BLOCK_U,), dtype=tl.float32)
    for first in range(0, live, BLOCK_B):
        lane = first + tl.arange(0, BLOCK_B)
        alive = lane < live
        pair = in_u[:, None] & alive[None, :]
        s = tl.load(scores_ptr + lane[None, :] * U + u[:, None], mask=pair, other=0.0)
        own = tl.load(lane_field(record, TARGET_ROW, B) + lane, mask=alive, other=-1)
        is_own = (u[:, None] == own[None, :]).to(tl.float32)
        d = _score_gradients(s, weight, is_own, statistics_ptr, lane, alive, B, LOSS, BPREG, ELU)
        d = tl.where(pair, d / B, 0.0)
        hidden = alive[:, None] & in_h[None, :]
        h = state_ptr + (state + lane[:, None]) * H + column[None, :]
        g = tl.dot(d, tl.load(h, mask=hidden, other=0.0), g, input_precision=PRECISION)
        g_bias += tl.sum(d, axis=1)
        part = tl.dot(tl.trans(d), w, input_precision=PRECISION)
        part_at = (tl.program_id(0) * B + lane[:, None]) * H + column[None, :]
        tl.store(d_state_ptr + part_at, part, mask=hidden)

    # store: update the rows; those that are inputs too keep their gradient for the cell's backward
    if UPDATE:
        if SHARED:
            owner = tl.load(row_field(record, INPUT_LANE, B, U) + u, mask=in_u, other=-1)
            kept = mask & (owner >= 0)[:, None]
            tl.store(kept_ptr + owner[:, None] * H + column[None, :], g, mask=kept)
            mask = mask & (owner < 0)[:, None]
        adagrad_update(w_ptr, w_a_ptr, w_m_ptr, at, w, g, mask, learning_rate, momentum,
                       HAS_MOMENTUM)  # fmt: skip
        mask = in_u & (tl.program_id(1) == 0)
        bias = tl.load(bias_ptr + item, mask=mask, other=0.0)
        adagrad_update(bias_ptr, bias_a_ptr, bias_m_ptr, item, bias, g_bias, mask, learning_rate,
                       momentum, HAS_MOMENTUM)  # fmt: skip
    else:
        tl.store(kept_ptr + u[:, None] * H + column[None, :], g, mask=mask)
        tl.store(kept_bias_ptr + u, g_bias, mask=in_u & (tl.program_id(1) == 0))


def sampled_loss_backward(
    plan: StepPlan,
    state: Tensor,
    w: Learned,
    bias: Learned,
    buffers: LossBuffers,
    options: LossOptions,
    tiles: Tiles,
    precision: str,
    *,
    kept: Tensor,
    kept_bias: Tensor | None = None,
    shared: bool = False,
    learning_rate: float = 0.0,
    momentum: float = 0.0,
) -> None:
    """Gradient of the state into `buffers.d_state`, and the update of the scored rows in place.

    With `shared`, rows that are inputs of the step too are not updated: their gradient goes to
    `kept` (B, H), at the lane that owns the row. With `kept_bias` (U,) nothing is updated: the
    rows' gradients go to `kept` (U, H) and `kept_bias`.
    """
    units = w.theta.shape[1]
    block_h = width_block(units, tiles.columns)
    row_gradients_kernel[(triton.cdiv(plan.rows, tiles.rows), triton.cdiv(units, block_h))](
        plan.records, plan.now, state, buffers.scores, buffers.weights, buffers.statistics,
        *w.pointers(), *bias.pointers(), kept, kept if kept_bias is None else kept_bias,
        buffers.d_state, learning_rate, momentum,
        B=plan.lanes, U=plan.rows, H=units, **options.constants(),
        UPDATE=kept_bias is None, SHARED=shared, HAS_MOMENTUM=w.m is not None, PRECISION=precision,
        BLOCK_U=tiles.rows, BLOCK_H=block_h, BLOCK_B=tiles.loss_lanes,
        num_warps=tiles.warps, num_stages=1,  # few rounds to overlap, and registers are short
    )  # fmt: skip
