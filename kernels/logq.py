"""The correction of scores by logq, and the columns of a unique row that it tells apart.

    y = s - logq log(support)            of an item in a target's column
    y = s - logq alpha log(support)      of an item in a sampled column

`reference.correct_logq`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import triton
import triton.language as tl

from gru4rec_fast.kernels.device_block import SAMPLE_COUNT, TARGET_COUNT, row_values

if TYPE_CHECKING:
    from torch import Tensor


class Correction(NamedTuple):
    """What the correction needs, as one argument of a kernel."""

    log_support: Tensor
    """(V,) float32"""
    logq: float
    alpha: float


@triton.jit
def row_columns(
    record, u, in_u, log_q_ptr, correction, CORRECT: tl.constexpr, B: tl.constexpr, U: tl.constexpr
):
    """How many columns the unique rows u have as targets and as samples, and their corrections.

    Returns counts of the targets, their corrections, and the same of the samples, all (rows,).
    Without CORRECT the first counts are of all columns. log_q_ptr: log(support) of each unique row.
    """
    targets = row_values(record, TARGET_COUNT, u, B, U).to(tl.float32)
    samples = row_values(record, SAMPLE_COUNT, u, B, U).to(tl.float32)
    none = tl.zeros_like(targets)
    if CORRECT:
        log_q = tl.load(log_q_ptr + u, mask=in_u, other=0.0)
        of_targets = correction.logq * log_q
        columns = targets, of_targets, samples, of_targets * correction.alpha
    else:
        columns = targets + samples, none, none, none
    return columns
