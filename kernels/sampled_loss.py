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
`scores_kernel`     a tile of rows x lanes: the product, the bias, and the weight of each row;
`lane_loss_kernel`  a few lanes: online softmax over all their rows -> loss and lane statistics,
    from which `row_gradients` computes the gradient of every score. Label smoothing sums a function
    of the softmax itself over all columns, which takes a second pass over the lane's scores.

Numerics: float32; running maximum over the rows with weight > 0; products in PRECISION.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from gru4rec_fast.kernels._tile import LOWEST, appended, check_offsets, depth_block
from gru4rec_fast.kernels.activations import ACTIVATIONS, ActivationPart
from gru4rec_fast.kernels.device_block import (
    LIVE,
    ROW_ITEM,
    SAMPLE_COUNT,
    SCORED,
    TARGET_COUNT,
    TARGET_ROW,
    lane_field,
    row_field,
    step_record,
)
from gru4rec_fast.kernels.logq import Correction, row_columns
from gru4rec_fast.kernels.losses import LOSSES, Loss

if TYPE_CHECKING:
    from gru4rec_fast.config import Config
    from gru4rec_fast.kernels._tuning import Tiles
    from gru4rec_fast.kernels.device_block import DeviceBlock
    from gru4rec_fast.kernels.step_context import StepContext


@triton.jit
def scores_kernel(
    block_ptr, counter_ptr, state_ptr, w_ptr, bias_ptr, scores_ptr, weights_ptr, correction,
    B: tl.constexpr, U: tl.constexpr, H: tl.constexpr, CORRECT: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_U: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program scores a tile of rows for a tile of lanes."""
    # tile: BLOCK_U unique rows, BLOCK_B lanes
    record = step_record(block_ptr, counter_ptr, B, U)
    state = (tl.load(counter_ptr + 1) + 1) % 2 * B
    live, scored = tl.load(record + LIVE), tl.load(record + SCORED)
    u = tl.program_id(0) * BLOCK_U + tl.arange(0, BLOCK_U)
    lane = tl.program_id(1) * BLOCK_B + tl.arange(0, BLOCK_B)
    if tl.program_id(0) * BLOCK_U >= scored or tl.program_id(1) * BLOCK_B >= live:
        return

    # load
    in_u, alive = u < scored, lane < live
    item = tl.load(row_field(record, ROW_ITEM, B, U) + u, mask=in_u, other=0).to(tl.int64)
    targets = tl.load(row_field(record, TARGET_COUNT, B, U) + u, mask=in_u, other=0)
    samples = tl.load(row_field(record, SAMPLE_COUNT, B, U) + u, mask=in_u, other=0)
    bias = tl.load(bias_ptr + item, mask=in_u, other=0.0)

    # maths: rows are the first dimension, as 64 of them fill a tensor-core instruction
    s = tl.zeros((BLOCK_U, BLOCK_B), dtype=tl.float32) + bias[:, None]
    for k0 in range(0, H, BLOCK_K):
        k = k0 + tl.arange(0, BLOCK_K)
        mask = in_u[:, None] & (k < H)[None, :]
        w = tl.load(w_ptr + item[:, None] * H + k[None, :], mask=mask, other=0.0)
        mask = alive[:, None] & (k < H)[None, :]
        h = tl.load(state_ptr + (state + lane[:, None]) * H + k[None, :], mask=mask, other=0.0)
        s = tl.dot(w, tl.trans(h), s, input_precision=PRECISION)
    weight = targets.to(tl.float32) + samples.to(tl.float32)
    if CORRECT:
        log_q = tl.load(correction.log_support + item, mask=in_u, other=0.0)
        weight = targets * tl.exp(-correction.logq * log_q)
        weight += samples * tl.exp(-correction.logq * correction.alpha * log_q)

    # store
    mask = in_u[:, None] & alive[None, :]
    tl.store(scores_ptr + lane[None, :] * U + u[:, None], s, mask=mask)
    tl.store(weights_ptr + u, weight, mask=in_u & (tl.program_id(1) == 0))


@triton.jit
def _add_terms(sums, terms, count, mask):
    """The sums over rows, with the next rows' terms (lanes, rows), count (rows,) times each."""
    added = ()
    for i in tl.static_range(len(sums)):
        term = tl.where(mask, count[None, :] * terms[i], 0.0)
        added = appended(added, sums[i] + tl.sum(term, axis=1))
    return added


@triton.jit
def lane_loss_kernel(
    block_ptr, counter_ptr, scores_ptr, weights_ptr, statistics_ptr, losses_ptr, correction,
    B: tl.constexpr, U: tl.constexpr, CORRECT: tl.constexpr,
    ACTIVATE: tl.constexpr, ACTIVATION: tl.constexpr,
    TERMS: tl.constexpr, N_TERMS: tl.constexpr, VALUE: tl.constexpr, OPTIONS: tl.constexpr,
    SOFTMAX: tl.constexpr, NEGATIVES_ONLY: tl.constexpr,
    COLUMN_TERMS: tl.constexpr, N_COLUMN_TERMS: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_U: tl.constexpr,
):  # fmt: skip
    """A program computes the loss and the statistics of a few lanes."""
    # tile: BLOCK_B lanes, all their rows, BLOCK_U at a time
    record = step_record(block_ptr, counter_ptr, B, U)
    lane = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    alive = lane < tl.load(record + LIVE)
    scored = tl.load(record + SCORED)

    # load: score of the positive; with CORRECT also its support
    own = tl.load(lane_field(record, TARGET_ROW, B) + lane, mask=alive, other=0)
    positive = tl.load(scores_ptr + lane * U + own, mask=alive, other=0.0)
    positive = ACTIVATE(positive, ACTIVATION)
    if CORRECT:
        item = tl.load(row_field(record, ROW_ITEM, B, U) + own, mask=alive, other=0)
        log_q = tl.load(correction.log_support + item, mask=alive, other=0.0)
        positive -= correction.logq * log_q

    # maths: running maximum, sum of e = weight * exp(y - maximum), and sums of the loss's terms
    top = tl.full((BLOCK_B,), LOWEST, dtype=tl.float32)
    total = tl.zeros((BLOCK_B,), dtype=tl.float32)
    sums = (tl.zeros((BLOCK_B,), dtype=tl.float32),) * N_TERMS
    for u0 in range(0, scored, BLOCK_U):
        u = u0 + tl.arange(0, BLOCK_U)
        mask = alive[:, None] & (u < scored)[None, :]
        s = tl.load(scores_ptr + lane[:, None] * U + u[None, :], mask=mask, other=0.0)
        weight = tl.load(weights_ptr + u, mask=u < scored, other=0.0)[None, :]
        y = ACTIVATE(s, ACTIVATION)
        if NEGATIVES_ONLY:
            weight = weight - (u[None, :] == own[:, None]).to(tl.float32)
        counted = mask & (weight > 0)
        if SOFTMAX:
            new_top = tl.maximum(top, tl.max(tl.where(counted, y, LOWEST), axis=1))
            e = weight * tl.exp(tl.where(counted, y - new_top[:, None], LOWEST))
            shrink = tl.exp(top - new_top)
            top = new_top
        else:
            e = tl.where(counted, weight, 0.0)
            shrink = 1.0
        total = total * shrink + tl.sum(e, axis=1)
        if N_TERMS > 0:
            terms = TERMS(e, y, positive[:, None])
            new_sums = ()
            for i in tl.static_range(N_TERMS):
                new_sums = appended(new_sums, sums[i] * shrink + tl.sum(terms[i], axis=1))
            sums = new_sums
    total = tl.where(alive, total, 1.0)
    means = ()
    for i in tl.static_range(N_TERMS):
        means = appended(means, sums[i] / total)
    if SOFTMAX:
        total = tl.where(alive, top, 0.0) + tl.log(total)

    # maths: sums over all columns, those of an item in one row
    if COLUMN_TERMS is not None:
        sums = (tl.zeros((BLOCK_B,), dtype=tl.float32),) * N_COLUMN_TERMS
        for u0 in range(0, scored, BLOCK_U):
            u = u0 + tl.arange(0, BLOCK_U)
            mask = alive[:, None] & (u < scored)[None, :]
            s = tl.load(scores_ptr + lane[:, None] * U + u[None, :], mask=mask, other=0.0)
            y = ACTIVATE(s, ACTIVATION)
            columns = row_columns(record, u, u < scored, correction, CORRECT, B, U)
            targets, of_targets, samples, of_samples = columns
            terms = COLUMN_TERMS(y - of_targets[None, :], total[:, None])
            sums = _add_terms(sums, terms, targets, mask)
            if CORRECT:
                terms = COLUMN_TERMS(y - of_samples[None, :], total[:, None])
                sums = _add_terms(sums, terms, samples, mask)
        for i in tl.static_range(N_COLUMN_TERMS):
            means = appended(means, sums[i])
    loss, statistics = VALUE(positive, total, means, OPTIONS)

    # store; a dead lane's loss is 0
    t = tl.load(counter_ptr)
    tl.store(losses_ptr + t * B + lane, tl.where(alive, loss, 0.0), mask=lane < B)
    for i in tl.static_range(len(statistics)):
        tl.store(statistics_ptr + i * B + lane, statistics[i], mask=alive)


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

    def correction(self, log_support: Tensor) -> Correction:
        """The correction by log_support (V,)."""
        return Correction(log_support, self.logq, self.sample_alpha)


@dataclass(frozen=True)
class LossBuffers:
    """What the kernels of the loss hand on; B lanes, U rows, H units, all float32."""

    scores: Tensor
    """(B, U)"""
    weights: Tensor
    """(U,) of each unique row in the softmax."""
    statistics: Tensor
    """(n, B): the loss's statistics of each lane."""
    losses: Tensor
    """(T, B) of each lane, 0 for dead ones; their sum over lanes / B is the step's loss."""
    d_state: Tensor
    """(parts, B, H) gradient of the new state, a part for each tile of rows."""

    @classmethod
    def empty(cls, block: DeviceBlock, loss: Loss, units: int, tiles: Tiles) -> LossBuffers:
        """Buffers for the steps, lanes and rows of a block, and H units.

        Raises:
            ValueError: as many lanes, rows or units as 32-bit offsets cannot tell apart.
        """
        lanes, rows, device = block.lanes, block.rows, block.records.device
        check_offsets("the scores", lanes, rows)
        check_offsets("the gradient of the scored rows", rows, units)
        shapes = (
            (lanes, rows),
            (rows,),
            (loss.n_statistics, lanes),
            (len(block.records), lanes),
            (triton.cdiv(rows, tiles.rows), lanes, units),
        )
        return cls(*(torch.zeros(shape, device=device) for shape in shapes))


def sampled_loss(
    context: StepContext,
    state: Tensor,
    w: Tensor,
    bias: Tensor,
    correction: Correction,
    buffers: LossBuffers,
    options: LossOptions,
) -> None:
    """Scores, losses and statistics of the step's lanes, into `buffers`.

    state (2, B, H), of which the new slot is read; w (V, H); bias (V, 1).
    """
    block, tiles, loss, units = context.block, context.tiles, options.loss, w.shape[1]
    grid = (triton.cdiv(block.rows, tiles.rows), triton.cdiv(block.lanes, tiles.loss_lanes))
    scores_kernel[grid](
        block.records, block.current, state, w, bias, buffers.scores, buffers.weights, correction,
        B=block.lanes, U=block.rows, H=units, CORRECT=options.corrects,
        PRECISION=context.precision,
        BLOCK_U=tiles.rows, BLOCK_B=tiles.loss_lanes, BLOCK_K=depth_block(units, tiles.depth),
        num_warps=tiles.warps, num_stages=tiles.deep_stages,
    )  # fmt: skip
    lane_loss_kernel[(triton.cdiv(block.lanes, tiles.softmax_lanes),)](
        block.records, block.current, buffers.scores, buffers.weights,
        buffers.statistics, buffers.losses, correction,
        B=block.lanes, U=block.rows, CORRECT=options.corrects,
        ACTIVATE=options.activation.activate, ACTIVATION=options.activation_parameters,
        TERMS=loss.terms, N_TERMS=loss.n_terms, VALUE=loss.value, OPTIONS=options.values,
        SOFTMAX=loss.softmax, NEGATIVES_ONLY=loss.negatives_only,
        COLUMN_TERMS=loss.column_terms, N_COLUMN_TERMS=loss.n_column_terms,
        BLOCK_B=tiles.softmax_lanes, BLOCK_U=1024 if loss.softmax else 512, num_warps=4,
    )  # fmt: skip
