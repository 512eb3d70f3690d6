"""The update of the rows that the lanes of a step read as inputs, a part of `cell_update`.

    g[i] = sum of d[j] over the lanes j that read row i, + deferred[i];     theta[i] <- update(g[i])

The gradients of a row that several lanes read are summed before the update squares them. One of the
lanes owns the row (`device_block`). Its program sums over all lanes by a product with a 0/1 matrix,
exact in float32, and is the only one to write the row, so there are no atomics. If the table is the
output's table too, the row can have a gradient as a scored row. `row_gradients` computed it earlier
in the step and left it in `deferred` (B, K), at the lane that owns the row. Without UPDATE,
`deferred` and the stored gradients are (U, K), by unique row.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels._tile import row_offset
from gru4rec_fast.kernels.dependent_launch import wait_for_writes
from gru4rec_fast.kernels.device_block import (
    INPUT_ROW,
    ITEM,
    LIVE,
    OWNS_ROW,
    SCORED,
    lane_values,
)
from gru4rec_fast.kernels.optimisers.step import learning_rate, load_states, update_tile


@triton.jit
def update_input_rows(
    tile, record, table, d_ptr, deferred_ptr, update_options,
    B: tl.constexpr, K: tl.constexpr, LONG: tl.constexpr, DEPENDENT: tl.constexpr,
    SHARED: tl.constexpr, UPDATE: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Update the rows that a tile of lanes owns, in a tile of columns."""
    # tile: BLOCK_B lanes, of which those that own a row count, BLOCK_K columns
    tiles_k: tl.constexpr = (K + BLOCK_K - 1) // BLOCK_K
    live = tl.load(record + LIVE)
    lane = tile // tiles_k * BLOCK_B + tl.arange(0, BLOCK_B)
    column = tile % tiles_k * BLOCK_K + tl.arange(0, BLOCK_K)
    row = lane_values(record, INPUT_ROW, lane, B)
    owns = (lane < live) & (lane_values(record, OWNS_ROW, lane, B) == 1)
    item = row_offset(lane_values(record, ITEM, lane, B), LONG)
    scored = tl.load(record + SCORED)
    if UPDATE is not None:
        rate = learning_rate(record, update_options)
    wait_for_writes(DEPENDENT)
    mask = owns[:, None] & (column < K)[None, :]

    # load: the rows, and their gradients as scored rows
    if UPDATE is not None:
        at = item[:, None] * K + column[None, :]
        theta = tl.load(table.theta + at, mask=mask, other=0.0)
        states = load_states(table, at, mask, at, mask, None)
        place = lane
    else:
        place = row
    if SHARED:
        is_scored = mask & (row < scored)[:, None]
        deferred = deferred_ptr + place[:, None] * K + column[None, :]
        of_row = tl.load(deferred, mask=is_scored, other=0.0)

    # load and maths: the gradient of each row, summed over the lanes that read it
    g = tl.zeros((BLOCK_B, BLOCK_K), dtype=tl.float32)
    for first in range(0, live, BLOCK_B):
        other = first + tl.arange(0, BLOCK_B)
        other_row = tl.where(other < live, lane_values(record, INPUT_ROW, other, B), -2)
        same = (row[:, None] == other_row[None, :]).to(tl.float32)
        inside = (other < live)[:, None] & (column < K)[None, :]
        d = tl.load(d_ptr + other[:, None] * K + column[None, :], mask=inside, other=0.0)
        g = tl.dot(same, d, g, input_precision="ieee")
    if SHARED:
        g += of_row

    # store
    if UPDATE is None:
        tl.store(table.state[0] + row[:, None] * K + column[None, :], g, mask=mask)
    else:
        update_tile(
            table, at, mask, at, mask, theta, states, g, rate, update_options, UPDATE, None, K
        )
