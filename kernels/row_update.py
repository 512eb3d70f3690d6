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

from gru4rec_fast.kernels.device_block import (
    INPUT_LANE,
    INPUT_ROW,
    LIVE,
    ROW_ITEM,
    SCORED,
    lane_field,
    row_field,
    step_record,
)

if TYPE_CHECKING:
    from torch import Tensor

    from gru4rec_fast.kernels.device_block import DeviceBlock
    from gru4rec_fast.kernels.optimisers import Update
    from gru4rec_fast.kernels.parameter import Parameter


@triton.jit
def row_update_kernel(
    block_ptr, counter_ptr, parameter, gradient_ptr, update_options,
    B: tl.constexpr, U: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
    SCORED_ROWS: tl.constexpr, INPUT_ROWS: tl.constexpr, UPDATE: tl.constexpr,
    BLOCK_R: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """A program updates a few rows; of a table those that are scored, inputs, or either."""
    # tile: BLOCK_R rows, all WIDTH columns
    r = tl.program_id(0) * BLOCK_R + tl.arange(0, BLOCK_R)
    column = tl.arange(0, BLOCK_C)
    in_row, row = r < ROWS, r
    if SCORED_ROWS or INPUT_ROWS:
        record = step_record(block_ptr, counter_ptr, B, U)
        touched = r < 0
        if SCORED_ROWS:
            touched = r < tl.load(record + SCORED)
        if INPUT_ROWS:
            # Behind the step's last row a record can hold what an earlier block left there.
            lane = tl.load(row_field(record, INPUT_LANE, B, U) + r, mask=in_row, other=-1)
            is_lane = (lane >= 0) & (lane < tl.load(record + LIVE))
            read = tl.load(lane_field(record, INPUT_ROW, B) + lane, mask=is_lane, other=-1)
            touched = touched | (read == r)
        in_row = in_row & touched
        row = tl.load(row_field(record, ROW_ITEM, B, U) + r, mask=in_row, other=0).to(tl.int64)

    # load, maths and store
    mask = in_row[:, None] & (column < WIDTH)[None, :]
    at = row[:, None] * WIDTH + column[None, :]
    g = tl.load(gradient_ptr + r[:, None] * WIDTH + column[None, :], mask=mask, other=0.0)
    theta = tl.load(parameter.theta + at, mask=mask, other=0.0)
    UPDATE(parameter, row, in_row, at, theta, g, mask, update_options, WIDTH)


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

    def launch(self, block: DeviceBlock, update: Update) -> None:
        """Update the rows of the current step."""
        rows, width = len(self.gradient), self.gradient[0].numel()
        block_c = triton.next_power_of_2(width)
        block_r = max(1, 1024 // block_c) if width > 1 else 128
        row_update_kernel[(triton.cdiv(rows, block_r),)](
            block.records, block.current, self.parameter, self.gradient, update.options,
            B=block.lanes, U=block.rows, ROWS=rows, WIDTH=width,
            SCORED_ROWS=self.scored, INPUT_ROWS=self.inputs, UPDATE=update.function,
            BLOCK_R=block_r, BLOCK_C=block_c, num_warps=4 if block_c <= 2048 else 16,
        )  # fmt: skip
