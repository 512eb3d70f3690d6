"""Loss and statistics of each lane from its scores; `sampled_loss` launches it and says how.

    top + log(sum_u weight(u) exp(y_u - top))           the logarithm of the softmax's denominator
    sum_u e(u) term(u) / sum_u e(u)                     means of the loss's terms, if it has any

A plain softmax comes in parts from `scores_kernel`. Other losses read all scores of the lane.

Numerics: float32; running maximum over the rows with weight > 0.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels._tile import LOWEST, appended
from gru4rec_fast.kernels.dependent_launch import wait_for_writes
from gru4rec_fast.kernels.device_block import (
    LIVE,
    SCORED,
    TARGET_ITEM,
    TARGET_ROW,
    lane_values,
)
from gru4rec_fast.kernels.logq import row_columns


@triton.jit
def _softmax_of_parts(
    tops_ptr, totals_ptr, lane, alive, parts, B: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_PARTS: tl.constexpr,
):  # fmt: skip
    """Maximum of the lanes' scores, and sum of weight * exp(score - maximum)."""
    top = tl.full((BLOCK_B,), LOWEST, dtype=tl.float32)
    total = tl.zeros((BLOCK_B,), dtype=tl.float32)
    for first in range(0, parts, BLOCK_PARTS):
        part = first + tl.arange(0, BLOCK_PARTS)
        mask = alive[:, None] & (part < parts)[None, :]
        at = part[None, :] * B + lane[:, None]
        tops = tl.load(tops_ptr + at, mask=mask, other=LOWEST)
        totals = tl.load(totals_ptr + at, mask=mask, other=0.0)
        new_top = tl.maximum(top, tl.max(tops, axis=1))
        total *= tl.exp(top - new_top)
        total += tl.sum(totals * tl.exp(tops - new_top[:, None]), axis=1)
        top = new_top
    return top, total


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
    record_ptr, scores_ptr, weights_ptr, log_q_ptr, tops_ptr, totals_ptr,
    statistics_ptr, losses_ptr, correction,
    B: tl.constexpr, U: tl.constexpr, CORRECT: tl.constexpr, DEPENDENT: tl.constexpr,
    ACTIVATE: tl.constexpr, ACTIVATION: tl.constexpr,
    TERMS: tl.constexpr, N_TERMS: tl.constexpr, VALUE: tl.constexpr, OPTIONS: tl.constexpr,
    SOFTMAX: tl.constexpr, NEGATIVES_ONLY: tl.constexpr,
    SOFTMAX_PARTS: tl.constexpr, ROWS_A_PART: tl.constexpr,
    COLUMN_TERMS: tl.constexpr, N_COLUMN_TERMS: tl.constexpr,
    BLOCK_B: tl.constexpr, BLOCK_U: tl.constexpr, BLOCK_PARTS: tl.constexpr,
):  # fmt: skip
    """A program computes the loss and the statistics of a few lanes."""
    # tile: BLOCK_B lanes, all their rows, BLOCK_U at a time
    lane = tl.program_id(0) * BLOCK_B + tl.arange(0, BLOCK_B)
    alive = lane < tl.load(record_ptr + LIVE)
    scored = tl.load(record_ptr + SCORED)
    own = lane_values(record_ptr, TARGET_ROW, lane, B)
    if CORRECT:
        item = lane_values(record_ptr, TARGET_ITEM, lane, B)
    wait_for_writes(DEPENDENT)

    # load: score of the positive; with CORRECT also its support
    positive = tl.load(scores_ptr + lane * U + own, mask=alive, other=0.0)
    if CORRECT:
        own_log_q = tl.load(correction.log_support + item, mask=alive, other=0.0)
    positive = ACTIVATE(positive, ACTIVATION)
    if CORRECT:
        positive -= correction.logq * own_log_q

    # maths: maximum, sum of e = weight * exp(y - maximum), and sums of the loss's terms
    sums = (tl.zeros((BLOCK_B,), dtype=tl.float32),) * N_TERMS
    if SOFTMAX_PARTS:
        parts = tl.cdiv(scored, ROWS_A_PART)
        top, total = _softmax_of_parts(
            tops_ptr, totals_ptr, lane, alive, parts, B, BLOCK_B, BLOCK_PARTS
        )
    else:
        top = tl.full((BLOCK_B,), LOWEST, dtype=tl.float32)
        total = tl.zeros((BLOCK_B,), dtype=tl.float32)
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
            columns = row_columns(record_ptr, u, u < scored, log_q_ptr, correction, CORRECT, B, U)
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
    tl.store(losses_ptr + lane, tl.where(alive, loss, 0.0), mask=lane < B)
    for i in tl.static_range(len(statistics)):
        tl.store(statistics_ptr + i * B + lane, statistics[i], mask=alive)
