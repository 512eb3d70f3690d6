"""A block of planned steps on the device: what the kernels of a step read instead of host data.

A block of T steps is one int32 array (T, words). Each step has a record. It holds, in this order
and each field at a multiple of 16 words, so that loads are aligned:

    live M, scored rows, the bits of the learning rate             (a header of 16 words)
    item, source, restart, input_row, target_row                   (B each, as in _core.LaneBlock)
    row_item, target_count, sample_count, input_lane               (U each, as in _core.MergedRows)

`input_lane[u]` is one of the lanes whose input is row u, -1 if there is none. This lane owns the
row: it alone updates it. The header gives M and the number of scored rows. Kernels mask dead lanes
and padding rows by it, so all steps have the same launches and one CUDA graph serves them all. The
learning rate is there only where a schedule changes it.

Two counters on the device say which step runs: `next`, the next step, and `current`, the step that
is being trained. Each counter is a pair of int64: the step's place in the block, and the step's
number counted through all epochs, on which dropout and the slot of the state depend. The first
forward kernel of each layer reads `next`, and one of its programs copies it to `current`. All other
kernels read `current`. The last kernel of a step sets `next` to the step after `current`. So no
program reads a counter that another program of the same kernel may write.

The state is stored twice, (2, B, H): step s reads slot s % 2 and writes the other slot. When a lane
dies, lanes move left, and with one slot a lane could overwrite a state that another still reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gru4rec_fast.plan.block import StepBlock

ALIGNMENT = tl.constexpr(16)
LIVE, SCORED, RATE = (tl.constexpr(i) for i in range(3))
ITEM, SOURCE, RESTART, INPUT_ROW, TARGET_ROW = (tl.constexpr(i) for i in range(5))
ROW_ITEM, TARGET_COUNT, SAMPLE_COUNT, INPUT_LANE = (tl.constexpr(i) for i in range(4))
LANE_FIELDS, ROW_FIELDS = tl.constexpr(5), tl.constexpr(4)


@triton.jit
def step_record(block_ptr, counter_ptr, B: tl.constexpr, U: tl.constexpr):
    """Where the record of the counter's step begins."""
    words: tl.constexpr = (
        ALIGNMENT
        + LANE_FIELDS * ((B + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
        + ROW_FIELDS * ((U + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
    )
    return block_ptr + tl.load(counter_ptr) * words


@triton.jit
def begin_step(next_ptr):
    """Copy `next` to `current`; for one program of a kernel that reads `next`."""
    tl.store(next_ptr + 2, tl.load(next_ptr))
    tl.store(next_ptr + 3, tl.load(next_ptr + 1))


@triton.jit
def end_step(current_ptr):
    """Set `next` to the step after `current`; for one program of the last kernel of a step."""
    tl.store(current_ptr - 2, tl.load(current_ptr) + 1)
    tl.store(current_ptr - 1, tl.load(current_ptr + 1) + 1)


@triton.jit
def lane_field(record, FIELD: tl.constexpr, B: tl.constexpr):
    """Where the B values of a field of the lanes begin."""
    return record + ALIGNMENT + FIELD * ((B + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)


@triton.jit
def row_field(record, FIELD: tl.constexpr, B: tl.constexpr, U: tl.constexpr):
    """Where the U values of a field of the unique rows begin."""
    lanes: tl.constexpr = LANE_FIELDS * ((B + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
    return record + ALIGNMENT + lanes + FIELD * ((U + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)


def _round_up(n: int) -> int:
    return -(-n // ALIGNMENT.value) * ALIGNMENT.value


@dataclass(frozen=True)
class DeviceBlock:
    """Records and counters of a block of steps, on one device."""

    records: Tensor
    """(T, words) int32, see the module's docstring."""
    counters: Tensor
    """(2, 2) int64: `next` and `current`."""
    lanes: int
    """B"""
    rows: int
    """U, the most unique rows that a step can have."""

    @classmethod
    def empty(cls, steps: int, lanes: int, rows: int, device: torch.device) -> DeviceBlock:
        """Room for blocks of at most `steps` steps."""
        words = record_words(lanes, rows)
        records = torch.zeros((steps, words), dtype=torch.int32, device=device)
        counters = torch.zeros((2, 2), dtype=torch.int64, device=device)
        return cls(records, counters, lanes, rows)

    @property
    def next(self) -> Tensor:
        """(2,) The counter that the first forward kernel of each layer gets."""
        return self.counters[0]

    @property
    def current(self) -> Tensor:
        """(2,) The counter that all other kernels of a step get."""
        return self.counters[1]


class SingleStep:
    """Fills the only step of a block from tensors on its device; all lanes are alive.

    The names and meanings of the fields are those of the module's docstring.
    """

    LANES = ("item", "source", "restart", "input_row", "target_row")
    ROWS = ("row_item", "target_count", "sample_count", "input_lane")

    def __init__(self, block: DeviceBlock) -> None:
        self.record, self.block = block.records[0], block
        self.record[LIVE.value] = block.lanes

    def set_lanes(self, **fields: Tensor) -> None:
        """Fill fields of the lanes, each (B,)."""
        for name, values in fields.items():
            at = ALIGNMENT.value + self.LANES.index(name) * _round_up(self.block.lanes)
            self.record[at : at + len(values)] = values

    def set_rows(self, **fields: Tensor) -> None:
        """Fill fields of the unique rows. Their common length is the number of scored rows."""
        first = ALIGNMENT.value + LANE_FIELDS.value * _round_up(self.block.lanes)
        for name, values in fields.items():
            at = first + self.ROWS.index(name) * _round_up(self.block.rows)
            self.record[at : at + len(values)] = values
            self.record[SCORED.value] = len(values)


def record_words(lanes: int, rows: int) -> int:
    """Length of a record in int32 words."""
    fields = LANE_FIELDS.value * _round_up(lanes) + ROW_FIELDS.value * _round_up(rows)
    return ALIGNMENT.value + fields


def pack_block(
    block: StepBlock,
    rows: int,
    out: NDArray[np.int32],
    learning_rates: NDArray[np.float64] | None = None,
) -> None:
    """Write a block's T records to the first T rows of `out` (T or more, words).

    learning_rates: (T,), or None where the kernels have the rate as an option.

    Raises:
        ValueError: `block` has more steps than `out`, or more unique rows than `rows`.
    """
    steps, lanes = block.inputs.shape
    if steps > len(out) or block.rows.shape[1] > rows:
        raise ValueError(
            f"the block has {steps} steps of {block.rows.shape[1]} unique rows; there is room for "
            f"{len(out)} steps of {rows} rows: plan smaller blocks"
        )
    out = out[:steps]
    out[:, LIVE.value] = block.live
    out[:, SCORED.value] = block.scored
    if learning_rates is not None:
        out[:, RATE.value] = learning_rates.astype(np.float32).view(np.int32)
    lane_values = (block.inputs, block.source, block.restarts, block.input_row, block.target_row)
    at = ALIGNMENT.value
    for values in lane_values:
        out[:, at : at + lanes] = values
        at += _round_up(lanes)
    for values in (block.rows, block.target_count, block.sample_count, input_lanes(block)):
        out[:, at : at + values.shape[1]] = values
        at += _round_up(rows)


def input_lanes(block: StepBlock) -> NDArray[np.int32]:
    """(T, U) one lane whose input is the row, -1 for rows that no lane reads."""
    steps, lanes = block.inputs.shape
    width = block.rows.shape[1]
    # Dead lanes have input_row -1, so they write to an extra last column.
    owner = np.full((steps, width + 1), -1, dtype=np.int32)
    owner[np.arange(steps)[:, None], block.input_row] = np.arange(lanes)
    return owner[:, :width]
