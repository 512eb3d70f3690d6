"""The update of whole rows, for optimisers that keep one number a row.

    theta[r] <- update(g[r])                                   for every row r that the step touches

Such a rule (adagrad-rowwise, adam) needs all columns of a row in one program. `row_gradients` and
`cell_update` own tiles of columns, so with these rules they only write the gradients, and this
kernel is launched once more for each parameter at the end of the step. A program owns a few whole
rows of one parameter, so there are no atomics. Of an item table the rows are the step's unique
rows, and gradient r is that of unique row r; of a cell's weights they are all rows. A vector has
rows of one number.

Costs, beside a fused rule: each gradient is written once and read once, and a step has one more
launch for each parameter, six for one layer with a shared embedding.

Numerics: float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import triton
import triton.language as tl

from gru4rec_fast.kernels.dependent_launch import wait_for_writes
from gru4rec_fast.kernels.device_block import (
    INPUT_LANE,
    INPUT_ROW,
    LIVE,
    ROW_ITEM,
    SCORED,
    lane_values,
    row_values,
)
from gru4rec_fast.kernels.optimisers.step import learning_rate, load_states, update_tile

if TYPE_CHECKING:
    from torch import Tensor

    from gru4rec_fast.kernels.optimisers import Update
    from gru4rec_fast.kernels.parameter import Parameter
    from gru4rec_fast.kernels.step_context import StepContext


@triton.jit
def row_update_kernel(
    record_ptr, parameter, gradient_ptr, update_options,
    B: tl.constexpr, U: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
    SCORED_ROWS: tl.constexpr, INPUT_ROWS: tl.constexpr, DEPENDENT: tl.constexpr,
    UPDATE: tl.constexpr, ROW_STATE: tl.constexpr,
    BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """A program updates a few rows; of a table those that are scored, inputs, or either."""
    # tile: BLOCK_R rows, all WIDTH columns
    r = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    column = tl.arange(0, BLOCK_C)
    in_row, row = r < ROWS, r
    rate = learning_rate(record_ptr, update_options)
    if SCORED_ROWS or INPUT_ROWS:
        row = row_values(record_ptr, ROW_ITEM, r, B, U).to(tl.int64)
        touched = r < 0
        if SCORED_ROWS:
            touched = r < tl.load(record_ptr + SCORED)
        if INPUT_ROWS:
            # Behind the step's last row a record can hold what an earlier block left there.
            lane = row_values(record_ptr, INPUT_LANE, r, B, U)
            is_lane = (lane >= 0) & (lane < tl.load(record_ptr + LIVE))
            read = lane_values(record_ptr, INPUT_ROW, tl.where(is_lane, lane, B), B)
            touched = touched | (is_lane & (read == r))
        in_row = in_row & touched
    wait_for_writes(DEPENDENT)

    # load, maths and store
    mask = in_row[:, None] & (column < WIDTH)[None, :]
    at = row[:, None] * WIDTH + column[None, :]
    g = tl.load(gradient_ptr + r[:, None] * WIDTH + column[None, :], mask=mask, other=0.0)
    theta = tl.load(parameter.theta + at, mask=mask, other=0.0)
    states = load_states(parameter, at, mask, row[:, None], in_row[:, None], ROW_STATE)
    update_tile(
        parameter, at, mask, row[:, None], in_row[:, None], theta, states, g, rate, update_options,
        UPDATE, ROW_STATE, WIDTH,
    )  # fmt: skip


@dataclass(frozen=True)
class RowUpdate:
    """The update of the rows of one parameter that a step touches."""

    parameter: Parameter
    gradient: Tensor
    """Of a table (U, width), by unique row; else of theta's shape."""
    scored: bool = False
    """Of a table, whether the step updates its scored rows."""
    inputs: bool = False
    """Of a table, whether the step updates the rows that lanes read."""

    def launch(self, context: StepContext, t: int, update: Update) -> None:
        """Update the rows of step t of the block."""
        rows, width = len(self.gradient), self.gradient[0].numel()
        block_c = triton.next_power_of_2(width)
        block_r = max(1, 1024 // block_c) if width > 1 else 128
        row_update_kernel[(triton.cdiv(rows, block_r),)](
            context.block.records[t], self.parameter, self.gradient, update.options,
            B=context.block.lanes, U=context.block.rows, ROWS=rows, WIDTH=width,
            SCORED_ROWS=self.scored, INPUT_ROWS=self.inputs,
            UPDATE=update.function, ROW_STATE=update.row_state,
            BLOCK_R=block_r, BLOCK_C=block_c, num_warps=4 if block_c <= 2048 else 16,
            **context.launch,
        )  # fmt: skip
