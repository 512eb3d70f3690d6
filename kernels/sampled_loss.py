"""Sampled losses of a planned step: scores of the unique rows, and the online softmax over them.

    s = h' W[u]^T + b[u]                                    over the step's U unique scored rows u
    loss = sum over lanes of the loss of their activated scores, divided by B

An item that occurs several times among the N columns has equal scores. So the softmax over columns
is one over unique rows, each with a weight: how often the item occurs, and with logq the sum of
q^-logq over its occurrences. This is exact. A loss over negatives only (BPR-max) takes the lane's
own target out by one less in the weight of its row. A loss without a softmax (BPR, TOP1) sums over
the same rows with the same weights. `reference.scores`, `correct_logq`, `activate` and `losses/`.

There are two kernels. The scores between them, (B, U), are 0.3 MB at rsc15 and 2.4 MB at rees46 and
stay in the L2 cache:
`scores_kernel`     a tile of rows x lanes: the product, the bias, and the weight of each row; where
    the loss sums nothing but the softmax (`Loss.plain_softmax`), also the tile's part of it: each
    lane's maximum, and the sum of weight * exp(y - maximum);
`lane_loss_kernel`  a few lanes: the softmax from these parts, or online over all their rows, ->
    loss and lane statistics, from which `row_gradients` computes the gradient of every score. Label
    smoothing sums a function of the softmax itself over all columns, which takes a pass of its own
    over the lane's scores.

Numerics: float32; running maximum over the rows with weight > 0; products in PRECISION.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from gru4rec_fast.kernels._tile import (
    LOWEST,
    check_offsets,
    depth_block,
    long_offsets,
    row_offset,
)
from gru4rec_fast.kernels.activations import ACTIVATIONS, ActivationPart
from gru4rec_fast.kernels.dependent_launch import wait_for_writes
from gru4rec_fast.kernels.device_block import (
    LIVE,
    ROW_ITEM,
    SAMPLE_COUNT,
    SCORED,
    TARGET_COUNT,
    new_slot,
    row_values,
)
from gru4rec_fast.kernels.lane_loss import lane_loss_kernel
from gru4rec_fast.kernels.logq import Correction
from gru4rec_fast.kernels.losses import LOSSES, Loss

if TYPE_CHECKING:
    from gru4rec_fast.config import Config
    from gru4rec_fast.kernels._tuning import Tiles
    from gru4rec_fast.kernels.device_block import DeviceBlock
    from gru4rec_fast.kernels.step_context import StepContext


@triton.jit
def scores_kernel(
    record_ptr, state_ptr, w_ptr, bias_ptr, scores_ptr, weights_ptr, log_q_ptr,
    tops_ptr, totals_ptr, correction,
    B: tl.constexpr, U: tl.constexpr, H: tl.constexpr, LONG: tl.constexpr, CORRECT: tl.constexpr,
    SOFTMAX_PARTS: tl.constexpr, DEPENDENT: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_U: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program scores a tile of rows for a tile of lanes."""
    # tile: BLOCK_U unique rows, BLOCK_B lanes
    live, scored = tl.load(record_ptr + LIVE), tl.load(record_ptr + SCORED)
    u = tl.program_id(0) * BLOCK_U + tl.arange(0, BLOCK_U)
    lane = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
    state = new_slot(record_ptr, B)
    item = row_values(record_ptr, ROW_ITEM, u, B, U)
    targets = row_values(record_ptr, TARGET_COUNT, u, B, U)
    samples = row_values(record_ptr, SAMPLE_COUNT, u, B, U)
    wait_for_writes(DEPENDENT)
    if tl.program_id(0) * BLOCK_U >= scored or tl.program_id(1) * BLOCK_B >= live:
        return

    # load
    in_u, alive = u < scored, lane < live
    bias = tl.load(bias_ptr + item, mask=in_u, other=0.0)
    if CORRECT:
        log_q = tl.load(correction.log_support + item, mask=in_u, other=0.0)

    # maths: rows are the first dimension, as 64 of them fill a tensor-core instruction
    w_row = w_ptr + row_offset(item, LONG)[:, None] * H
    s = tl.zeros((BLOCK_U, BLOCK_B), dtype=tl.float32)
    for k0 in range(0, H, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        mask = in_u[:, None] & (k < H)[None, :]
        w = tl.load(w_row + k[None, :], mask=mask, other=0.0)
        mask = alive[:, None] & (k < H)[None, :]
        h = tl.load(state_ptr + (state + lane[:, None]) * H + k[None, :], mask=mask, other=0.0)
        s = tl.dot(w, tl.trans(h), s, input_precision=PRECISION)
    # After the loop, which need not wait for what is only needed here.
    s += bias[:, None]
    weight = targets.to(tl.float32) + samples.to(tl.float32)
    if CORRECT:
        weight = targets * tl.exp(-correction.logq * log_q)
        weight += samples * tl.exp(-correction.logq * correction.alpha * log_q)

    # store
    mask, first = in_u[:, None] & alive[None, :], in_u & (tl.program_id(1) == 0)
    tl.store(weights_ptr + u, weight, mask=first)
    if CORRECT:
        tl.store(log_q_ptr + u, log_q, mask=first)
    tl.store(scores_ptr + lane[None, :] * U + u[:, None], s, mask=mask)
    if SOFTMAX_PARTS:
        counted = mask & (weight > 0)[:, None]
        top = tl.max(tl.where(counted, s, LOWEST), axis=0)
        e = weight[:, None] * tl.exp(tl.where(counted, s - top[None, :], LOWEST))
        at = tl.program_id(0) * B + lane
        tl.store(tops_ptr + at, top, mask=alive)
        tl.store(totals_ptr + at, tl.sum(e, axis=0), mask=alive)


@dataclass(frozen=True)
class LossOptions:
    """The loss of a model and its options."""

    loss: Loss
    values: tuple[float, ...]
    """Of `loss.options`."""
    activation: ActivationPart
    """Of the scores."""
    activation_parameters: tuple[float, ...]
    logq: float
    """0 means no correction."""
    sample_alpha: float

    @classmethod
    def of(cls, config: Config) -> LossOptions:
        """The loss of a configuration.

        Raises:
            KeyError: the loss is not in `losses.LOSSES`.
        """
        loss = LOSSES[config.loss]
        if config.smoothing > 0 and loss.smoothed is not None:
            loss = loss.smoothed
        logq = config.logq if loss.takes_logq else 0.0
        name, parameters = config.score_activation
        activation = ACTIVATIONS[name]
        return cls(loss, loss.of(config), activation, parameters, logq, config.sample_alpha)

    @property
    def corrects(self) -> bool:
        """Whether scores are corrected by logq."""
        return self.logq > 0

    @property
    def softmax_parts(self) -> bool:
        """Whether `scores` can compute the softmax's parts: it sums nothing else."""
        return self.loss.plain_softmax and self.activation is ACTIVATIONS["linear"]

    def correction(self, log_support: Tensor) -> Correction:
        """The correction by log_support (V,)."""
        return Correction(log_support, self.logq, self.sample_alpha)


@dataclass(frozen=True)
class LossBuffers:
    """What the kernels of the loss hand on; B lanes, U rows, H units, all float32.

    A part is a tile of rows: of `scores`, and of d_state of `row_gradients`.
    """

    scores: Tensor
    """(B, U)"""
    weights: Tensor
    """(U,) of each unique row in the softmax."""
    log_q: Tensor
    """(U,) log(support) of each unique row, with logq."""
    tops: Tensor
    """(parts, B) of each lane the largest score of the part, where the loss is a plain softmax."""
    totals: Tensor
    """(parts, B) and the sum of weight * exp(score - largest)."""
    statistics: Tensor
    """(n, B): the loss's statistics of each lane."""
    losses: Tensor
    """(T, B) of each lane, 0 for dead ones; their sum over lanes / B is the step's loss. The rows
    begin at multiples of 16 numbers, so that the addresses of all steps compile to one code."""
    d_state: Tensor
    """(parts, B, H) gradient of the new state."""

    @classmethod
    def empty(cls, block: DeviceBlock, loss: Loss, units: int, tiles: Tiles) -> LossBuffers:
        """Buffers for the steps, lanes and rows of a block, and H units.

        Raises:
            ValueError: as many lanes, rows or units as 32-bit offsets cannot tell apart.
        """
        lanes, rows, device = block.lanes, block.rows, block.records.device
        check_offsets("the scores", lanes, rows)
        check_offsets("the gradient of the scored rows", rows, units)
        parts, of_state = triton.cdiv(rows, tiles.rows), triton.cdiv(rows, tiles.gradient_rows)

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, device=device)

        return cls(
            zeros(lanes, rows), zeros(rows), zeros(rows), zeros(parts, lanes), zeros(parts, lanes),
            zeros(loss.n_statistics, lanes),
            zeros(len(block.records), -(-lanes // 16) * 16)[:, :lanes],
            zeros(of_state, lanes, units),
        )  # fmt: skip


def sampled_loss(
    context: StepContext,
    t: int,
    state: Tensor,
    w: Tensor,
    bias: Tensor,
    correction: Correction,
    buffers: LossBuffers,
    options: LossOptions,
) -> None:
    """Scores, losses and statistics of the lanes at step t of the block, into `buffers`.

    state (2, B, H), of which the new slot is read; w (V, H); bias (V, 1).
    """
    block, tiles, loss, units = context.block, context.tiles, options.loss, w.shape[1]
    record = block.records[t]
    grid = (triton.cdiv(block.rows, tiles.rows), triton.cdiv(block.lanes, tiles.loss_lanes))
    scores_kernel[grid](
        record, state, w, bias, buffers.scores, buffers.weights, buffers.log_q,
        buffers.tops, buffers.totals, correction,
        B=block.lanes, U=block.rows, H=units, LONG=long_offsets(w), CORRECT=options.corrects,
        SOFTMAX_PARTS=options.softmax_parts, PRECISION=context.precision,
        BLOCK_U=tiles.rows, BLOCK_B=tiles.loss_lanes, BLOCK_K=depth_block(units, tiles.depth),
        num_warps=tiles.warps, num_stages=tiles.deep_stages, **context.launch,
    )  # fmt: skip
    lane_loss_kernel[(triton.cdiv(block.lanes, tiles.softmax_lanes),)](
        record, buffers.scores, buffers.weights, buffers.log_q, buffers.tops, buffers.totals,
        buffers.statistics, buffers.losses[t], correction,
        B=block.lanes, U=block.rows, CORRECT=options.corrects,
        ACTIVATE=options.activation.activate, ACTIVATION=options.activation_parameters,
        TERMS=loss.terms, N_TERMS=loss.n_terms, VALUE=loss.value, OPTIONS=options.values,
        SOFTMAX=loss.softmax, NEGATIVES_ONLY=loss.negatives_only,
        SOFTMAX_PARTS=options.softmax_parts, ROWS_A_PART=tiles.rows,
        COLUMN_TERMS=loss.column_terms, N_COLUMN_TERMS=loss.n_column_terms,
        BLOCK_B=tiles.softmax_lanes, BLOCK_U=1024 if loss.softmax else 512,
        BLOCK_PARTS=min(1024, triton.next_power_of_2(len(buffers.tops))), num_warps=4,
        **context.launch,
    )  # fmt: skip
