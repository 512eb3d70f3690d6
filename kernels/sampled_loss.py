"""Sampled losses of a planned step: scores of the unique rows, and the online softmax over them.

    s = h' W[u]^T + b[u]                                    over the step's U unique scored rows u
    loss = sum over lanes of cross_entropy(s) or bpr_max(elu(s)), divided by B

`reference.scores`, `correct_logq`, `cross_entropy`, `elu`, `bpr_max`. An item that occurs several
times among the N columns has equal scores, so the softmax over columns is one over unique rows,
each with a weight: how often it occurs, and with logq the sum of q^-logq over its occurrences,
exactly. Own positives leave BPR-max's softmax by one less in the weight of their row.

Two kernels, on scores kept as (B, U), 0.3 MB at rsc15 and 2.4 MB at rees46, which stays in L2:
`scores_kernel`     a tile of rows x lanes: the product, bias, and the weight of each row;
`lane_loss_kernel`  a few lanes: online softmax over all their rows -> loss and lane statistics,
    from which `row_gradients` draws the gradient of every score anew.

Numerics: float32, running maximum over rows of weight > 0, the reference's epsilon of 1e-24 in the
logarithms; products in PRECISION.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

from gru4rec_fast.kernels._tile import LOWEST, width_block
from gru4rec_fast.kernels.step_plan import (
    LIVE,
    ROW_ITEM,
    SAMPLE_COUNT,
    SCORED,
    TARGET_COUNT,
    TARGET_ROW,
    StepPlan,
    lane_field,
    row_field,
    step_record,
)
from gru4rec_fast.reference import LOG_EPSILON

if TYPE_CHECKING:
    from gru4rec_fast.config import Config
    from gru4rec_fast.kernels._tuning import Tiles

TINY = tl.constexpr(LOG_EPSILON)
CROSS_ENTROPY, BPR_MAX = tl.constexpr(0), tl.constexpr(1)
LOSSES = {"cross-entropy": CROSS_ENTROPY.value, "bpr-max": BPR_MAX.value}


@triton.jit
def scores_kernel(
    plan_ptr, clock_ptr, state_ptr, w_ptr, bias_ptr, log_support_ptr, scores_ptr, weights_ptr,
    logq, alpha,
    B: tl.constexpr, U: tl.constexpr, H: tl.constexpr, CORRECT: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_U: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """A program scores a tile of rows for a tile of lanes."""
    # tile: BLOCK_U unique rows, BLOCK_B lanes
    record = step_record(plan_ptr, clock_ptr, B, U)
    state = (tl.load(clock_ptr + 1) + 1) % 2 * B
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

    # maths: rows are the tall side, as a tile of 64 of them fills a tensor-core instruction
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
        log_q = tl.load(log_support_ptr + item, mask=in_u, other=0.0)
        weight = targets * tl.exp(-logq * log_q) + samples * tl.exp(-logq * alpha * log_q)

    # store
    mask = in_u[:, None] & alive[None, :]
    tl.store(scores_ptr + lane[None, :] * U + u[:, None], s, mask=mask)
    tl.store(weights_ptr + u, weight, mask=in_u & (tl.program_id(1) == 0))


@triton.jit
def elu(s, ELU: tl.constexpr):
    """Exponential linear unit of parameter ELU; 0 means no activation at all."""
    if ELU == 0:
        return s
    return tl.where(s > 0, s, ELU * (tl.exp(tl.minimum(s, 0.0)) - 1))


@triton.jit
def lane_loss_kernel(
    plan_ptr, clock_ptr, scores_ptr, weights_ptr, log_support_ptr, statistics_ptr, losses_ptr, logq,
    B: tl.constexpr, U: tl.constexpr, LOSS: tl.constexpr, CORRECT: tl.constexpr,
    BPREG: tl.constexpr, ELU: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_U: tl.constexpr,
):  # fmt: skip
    """A program computes the loss and the statistics of a few lanes."""
    # tile: BLOCK_B lanes, all their rows, BLOCK_U at a time
    record = step_record(plan_ptr, clock_ptr, B, U)
    lane = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    alive = lane < tl.load(record + LIVE)
    scored = tl.load(record + SCORED)

    # load: score of the positive; with CORRECT also its support
    own = tl.load(lane_field(record, TARGET_ROW, B) + lane, mask=alive, other=0)
    positive = tl.load(scores_ptr + lane * U + own, mask=alive, other=0.0)
    if LOSS == BPR_MAX:
        positive = elu(positive, ELU)
    if CORRECT:
        item = tl.load(row_field(record, ROW_ITEM, B, U) + own, mask=alive, other=0)
        positive -= logq * tl.load(log_support_ptr + item, mask=alive, other=0.0)

    # maths: running maximum and sums of weight * exp(s - maximum) times 1 and BPR-max's terms
    top = tl.full((BLOCK_B,), LOWEST, dtype=tl.float32)
    total = tl.zeros((BLOCK_B,), dtype=tl.float32)
    ahead = tl.zeros((BLOCK_B,), dtype=tl.float32)  # sigma(s_i - s_j)
    slope = tl.zeros((BLOCK_B,), dtype=tl.float32)  # its derivative
    square = tl.zeros((BLOCK_B,), dtype=tl.float32)  # s_j^2
    for u0 in range(0, scored, BLOCK_U):
        u = u0 + tl.arange(0, BLOCK_U)
        mask = alive[:, None] & (u < scored)[None, :]
        s = tl.load(scores_ptr + lane[:, None] * U + u[None, :], mask=mask, other=0.0)
        weight = tl.load(weights_ptr + u, mask=u < scored, other=0.0)[None, :]
        if LOSS == BPR_MAX:
            s = elu(s, ELU)
            weight = weight - (u[None, :] == own[:, None]).to(tl.float32)
        counted = mask & (weight > 0)
        new_top = tl.maximum(top, tl.max(tl.where(counted, s, LOWEST), axis=1))
        e = weight * tl.exp(tl.where(counted, s - new_top[:, None], LOWEST))
        shrink = tl.exp(top - new_top)
        total = total * shrink + tl.sum(e, axis=1)
        if LOSS == BPR_MAX:
            sigma = tl.sigmoid(positive[:, None] - s)
            ahead = ahead * shrink + tl.sum(e * sigma, axis=1)
            slope = slope * shrink + tl.sum(e * sigma * (1 - sigma), axis=1)
            square = square * shrink + tl.sum(e * s * s, axis=1)
        top = new_top
    total = tl.where(alive, total, 1.0)
    log_total = tl.where(alive, top, 0.0) + tl.log(total)
    if LOSS == CROSS_ENTROPY:
        likelihood = tl.exp(positive - log_total)
        loss = -tl.log(likelihood + TINY)
    else:
        likelihood, slope, square = ahead / total, slope / total, square / total
        loss = -tl.log(likelihood + TINY) + BPREG * square

    # store; a dead lane's loss is 0
    t = tl.load(clock_ptr)
    tl.store(losses_ptr + t * B + lane, tl.where(alive, loss, 0.0), mask=lane < B)
    tl.store(statistics_ptr + lane, log_total, mask=alive)
    tl.store(statistics_ptr + B + lane, likelihood, mask=alive)
    if LOSS == BPR_MAX:
        tl.store(statistics_ptr + 2 * B + lane, positive, mask=alive)
        tl.store(statistics_ptr + 3 * B + lane, slope, mask=alive)
        tl.store(statistics_ptr + 4 * B + lane, square, mask=alive)


@dataclass(frozen=True)
class LossOptions:
    """What is computed: the loss and its parameters, by the names of `Config`."""

    loss: str
    bpreg: float
    elu_param: float
    logq: float
    sample_alpha: float

    @classmethod
    def of(cls, config: Config) -> LossOptions:
        """The loss of a model's options."""
        return cls(*(getattr(config, field.name) for field in fields(cls)))

    @property
    def corrects(self) -> bool:
        """Whether scores are corrected by logq."""
        return self.logq > 0 and self.loss == "cross-entropy"

    def constants(self) -> dict[str, float]:
        """The kernels' compile-time constants."""
        return {"LOSS": LOSSES[self.loss], "BPREG": self.bpreg, "ELU": self.elu_param}


@dataclass(frozen=True)
class LossBuffers:
    """What the three kernels hand on; B lanes, U rows, H units, all float32."""

    scores: Tensor
    """(B, U)"""
    weights: Tensor
    """(U,) of each unique row in the softmax."""
    statistics: Tensor
    """(5, B): log of the softmax's denominator, likelihood, and for BPR-max the activated positive
    score and the means of sigma's derivative and of the squared scores."""
    losses: Tensor
    """(T, B) of each lane, 0 for dead ones; their sum over lanes / B is the step's loss."""
    d_state: Tensor
    """(parts, B, H) gradient of the new state, a part for each tile of rows."""

    @classmethod
    def empty(
        cls, steps: int, lanes: int, rows: int, units: int, tiles: Tiles, device: torch.device
    ) -> LossBuffers:
        """Buffers for blocks of so many steps, B lanes, U rows and H units."""
        parts = triton.cdiv(rows, tiles.rows)
        shapes = ((lanes, rows), (rows,), (5, lanes), (steps, lanes), (parts, lanes, units))
        return cls(*(torch.zeros(shape, device=device) for shape in shapes))


def sampled_loss_forward(
    plan: StepPlan,
    state: Tensor,
    w: Tensor,
    bias: Tensor,
    log_support: Tensor,
    buffers: LossBuffers,
    options: LossOptions,
    tiles: Tiles,
    precision: str,
) -> None:
    """Scores, losses and statistics of the step's lanes, into `buffers`.

    state (2, B, H), of which the new slot counts; w (V, H); bias (V, 1); log_support (V,).
    """
    units = w.shape[1]
    grid = (triton.cdiv(plan.rows, tiles.rows), triton.cdiv(plan.lanes, tiles.loss_lanes))
    scores_kernel[grid](
        plan.records, plan.now, state, w, bias, log_support, buffers.scores, buffers.weights,
        options.logq, options.sample_alpha,
        B=plan.lanes, U=plan.rows, H=units, CORRECT=options.corrects, PRECISION=precision,
        BLOCK_U=tiles.rows, BLOCK_B=tiles.loss_lanes, BLOCK_K=width_block(units, tiles.depth),
        num_warps=tiles.warps, num_stages=tiles.stages,
    )  # fmt: skip
    lane_loss_kernel[(triton.cdiv(plan.lanes, tiles.softmax_lanes),)](
        plan.records, plan.now, buffers.scores, buffers.weights, log_support, buffers.statistics,
        buffers.losses, options.logq,
        B=plan.lanes, U=plan.rows, CORRECT=options.corrects, **options.constants(),
        BLOCK_B=tiles.softmax_lanes, BLOCK_U=1024, num_warps=4,
    )  # fmt: skip
