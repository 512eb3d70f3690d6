"""The correction of scores by logq, and the columns of a unique row that it tells apart.

    y = s - logq log(support)            of an item in a target's column
    y = s - logq alpha log(support)      of an item in a sampled column

`reference.correct_logq`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import triton
import triton.language as tl

from gru4rec_fast.kernels.device_block import (
    ROW_ITEM,
    SAMPLE_COUNT,
    TARGET_COUNT,
    row_field,
)

if TYPE_CHECKING:
    from torch import Tensor


class Correction(NamedTuple):
    """What the correction needs, as one argument of a kernel."""

    log_support: Tensor
    """(V,) float32"""
    logq: float
    alpha: float


@triton.jit
def row_columns(record, u, in_u, correction, CORRECT: tl.constexpr, B: tl.constexpr,
                U: tl.constexpr):  # fmt: skip
    """How many columns the unique rows u have as targets and as samples, and their corrections.

    Returns counts of the targets, their corrections, and the same of the samples, all (rows,).
    Without CORRECT the first counts are of all columns.
    """
    targets = tl.load(row_field(record, TARGET_COUNT, B, U) + u, mask=in_u, other=0)
    samples = tl.load(row_field(record, SAMPLE_COUNT, B, U) + u, mask=in_u, other=0)
    targets, samples = targets.to(tl.float32), samples.to(tl.float32)
    none = tl.zeros_like(targets)
    if CORRECT:
        item = tl.load(row_field(record, ROW_ITEM, B, U) + u, mask=in_u, other=0)
        log_q = tl.load(correction.log_support + item, mask=in_u, other=0.0)
        of_targets = correction.logq * log_q
        columns = targets, of_targets, samples, of_targets * correction.alpha
    else:
        columns = targets + samples, none, none, none
    return columns
