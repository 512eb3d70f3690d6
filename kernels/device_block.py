"""A block of planned steps on the device: what the kernels of a step read instead of host data.

A block of T steps is one int32 array (T, words). Each step has a record. It holds, in this order
and each field at a multiple of 16 words, so that loads are aligned:

    live M, scored rows, the bits of the learning rate, the step's number in two words
                                                                   (a header of 16 words)
    item, source, restart, input_row, target_row, target_item, owns_row           (B each)
    row_item, target_count, sample_count, input_lane                               (U each)

The first three fields of the lanes are those of `_core.LaneBlock`; the next two, and the first
three of the rows, are those of `_core.MergedRows`. `target_item` is the item of the target's row.
`input_lane[u]` is one of the lanes whose input is row u, -1 if there is none; this lane owns the
row, it alone updates it, and its `owns_row` is 1. The header gives M and the number of scored rows.
Kernels mask dead lanes and padding rows by it, so all steps have the same launches. The learning
rate is there only where a schedule changes it. Dropout and the slot of the state depend on the
step's number, an int64 counted through all epochs.

A launch gets the address of its step's record. All fields of a record are read at once: none of
them tells where another lies, and what dead lanes and padding rows hold is dropped only then
(`lane_values`, `row_values`). CUDA graphs are captured with these addresses, and replayed
after the records have been filled anew. So kernels have no counter to read first, and there is none
that one program writes and another reads.

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
LIVE, SCORED, RATE, STEP_LOW, STEP_HIGH = (tl.constexpr(i) for i in range(5))
ITEM, SOURCE, RESTART, INPUT_ROW, TARGET_ROW, TARGET_ITEM, OWNS_ROW = (
    tl.constexpr(i) for i in range(7)
)
ROW_ITEM, TARGET_COUNT, SAMPLE_COUNT, INPUT_LANE = (tl.constexpr(i) for i in range(4))
LANE_FIELDS, ROW_FIELDS = tl.constexpr(7), tl.constexpr(4)


@triton.jit
def step_number(record):
    """The step's number, int64."""
    low = tl.load(record + STEP_LOW).to(tl.int64) & 0xFFFFFFFF
    return (tl.load(record + STEP_HIGH).to(tl.int64) << 32) | low


@triton.jit
def old_slot(record, B: tl.constexpr):
    """First row, in a state (2 B, H), of the slot that the step reads."""
    return (tl.load(record + STEP_LOW) & 1) * B


@triton.jit
def new_slot(record, B: tl.constexpr):
    """First row, in a state (2 B, H), of the slot that the step writes."""
    return ((tl.load(record + STEP_LOW) + 1) & 1) * B


@triton.jit
def lane_values(record, FIELD: tl.constexpr, lane, B: tl.constexpr):
    """Values of a field of the lanes; those of dead lanes mean nothing."""
    values = record + ALIGNMENT + FIELD * ((B + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
    return tl.load(values + lane, mask=lane < B, other=0)


@triton.jit
def row_values(record, FIELD: tl.constexpr, u, B: tl.constexpr, U: tl.constexpr):
    """Values of a field of the unique rows; those behind the scored rows mean nothing."""
    lanes: tl.constexpr = LANE_FIELDS * ((B + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
    field: tl.constexpr = FIELD * ((U + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
    return tl.load(record + ALIGNMENT + lanes + field + u, mask=u < U, other=0)


def _round_up(n: int) -> int:
    return -(-n // ALIGNMENT.value) * ALIGNMENT.value


@dataclass(frozen=True)
class DeviceBlock:
    """The records of a block of steps, on one device."""

    records: Tensor
    """(T, words) int32, see the module's docstring."""
    lanes: int
    """B"""
    rows: int
    """U, the most unique rows that a step can have."""

    @classmethod
    def empty(cls, steps: int, lanes: int, rows: int, device: torch.device) -> DeviceBlock:
        """Room for blocks of at most `steps` steps."""
        words = record_words(lanes, rows)
        return cls(torch.zeros((steps, words), dtype=torch.int32, device=device), lanes, rows)


class SingleStep:
    """Fills the only step of a block from tensors on its device; all lanes are alive.

    The names and meanings of the fields are those of the module's docstring.
    """

    LANES = (
        "item", "source", "restart", "input_row", "target_row", "target_item", "owns_row",
    )  # fmt: skip
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
    number = block.first_step + np.arange(steps, dtype=np.int64)
    out[:, STEP_LOW.value : STEP_HIGH.value + 1] = number[:, None].view(np.int32)
    if learning_rates is not None:
        out[:, RATE.value] = learning_rates.astype(np.float32).view(np.int32)
    owner = input_lanes(block)
    owns = np.take_along_axis(owner, np.maximum(block.input_row, 0), axis=1) == np.arange(lanes)
    of_lanes = (
        block.inputs, block.source, block.restarts, block.input_row, block.target_row,
        block.targets, owns,
    )  # fmt: skip
    at = ALIGNMENT.value
    for values in of_lanes:
        out[:, at : at + lanes] = values
        at += _round_up(lanes)
    for values in (block.rows, block.target_count, block.sample_count, owner):
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
