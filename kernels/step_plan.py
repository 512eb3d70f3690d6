"""The record of a planned step: what the kernels of a step read instead of asking the host.

A block of T steps is one int32 array (T, words) on the device. A record holds, in this order and
each field at a multiple of 16 words, so that loads stay aligned:

    live M, scored rows                                            (a header of 16 words)
    item, source, restart, input_row, target_row                   (B each, as in _core.LaneBlock)
    row_item, target_count, sample_count, input_lane               (U each, as in _core.MergedRows)

`input_lane[u]` is one of the lanes whose input is row u, -1 if none: that lane owns the update of
the row. Dead lanes and padding rows are masked by the header, never by shapes, so the launches of
a step are always the same and a CUDA graph can hold them.

The clock is two int64 pairs on the device, of the next step and of the one under way, each the step
within the block and the step counted through all epochs, on which dropout and the place of the
state depend. The first kernels of a step read the next pair, and one of their programs sets the
other to it; all later ones read that; the last kernel, when none reads the next pair, advances it.
So no program reads a pair that another may be writing.

The state is kept twice, (2, B, H): step s reads slot s % 2 and writes the other, as lanes move to
other places when a lane dies.
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
    from gru4rec_fast.planning import StepBlock
    from numpy.typing import NDArray

ALIGNMENT = tl.constexpr(16)
LIVE, SCORED = tl.constexpr(0), tl.constexpr(1)
ITEM, SOURCE, RESTART, INPUT_ROW, TARGET_ROW = (tl.constexpr(i) for i in range(5))
ROW_ITEM, TARGET_COUNT, SAMPLE_COUNT, INPUT_LANE = (tl.constexpr(i) for i in range(4))
LANE_FIELDS, ROW_FIELDS = tl.constexpr(5), tl.constexpr(4)


@triton.jit
def step_record(plan_ptr, clock_ptr, B: tl.constexpr, U: tl.constexpr):
    """Where the record of the clock's step begins."""
    words: tl.constexpr = (
        ALIGNMENT
        + LANE_FIELDS * ((B + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
        + ROW_FIELDS * ((U + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)
    )
    return plan_ptr + tl.load(clock_ptr) * words


@triton.jit
def begin_step(next_ptr):
    """Make the next step the one under way; for one program of a kernel that reads `next`."""
    tl.store(next_ptr + 2, tl.load(next_ptr))
    tl.store(next_ptr + 3, tl.load(next_ptr + 1))


@triton.jit
def end_step(now_ptr):
    """Set the next step to the one after that under way; for one program of the last kernel."""
    tl.store(now_ptr - 2, tl.load(now_ptr) + 1)
    tl.store(now_ptr - 1, tl.load(now_ptr + 1) + 1)


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
class StepPlan:
    """The block on the device that the kernels work through.

    records (T, words) int32, clock (2, 2) int64, see the module's docstring; B lanes; U, the most
    unique rows that a step can touch.
    """

    records: Tensor
    clock: Tensor
    lanes: int
    rows: int

    @classmethod
    def empty(cls, steps: int, lanes: int, rows: int, device: torch.device) -> StepPlan:
        """Room for blocks of at most `steps` steps."""
        words = record_words(lanes, rows)
        records = torch.zeros((steps, words), dtype=torch.int32, device=device)
        clock = torch.zeros((2, 2), dtype=torch.int64, device=device)
        return cls(records, clock, lanes, rows)

    @property
    def next(self) -> Tensor:
        """The next step, for the first kernels of a step."""
        return self.clock[0]

    @property
    def now(self) -> Tensor:
        """The step under way, for all later kernels."""
        return self.clock[1]


class PlannedStep:
    """Fills the one step of a plan from tensors on its device; all lanes are alive.

    Names and meanings of the fields are those of the module's docstring.
    """

    LANES = ("item", "source", "restart", "input_row", "target_row")
    ROWS = ("row_item", "target_count", "sample_count", "input_lane")

    def __init__(self, plan: StepPlan) -> None:
        self.record, self.plan = plan.records[0], plan
        self.record[LIVE.value] = plan.lanes

    def set_lanes(self, **fields: Tensor) -> None:
        """Fill fields of the lanes."""
        for name, values in fields.items():
            at = ALIGNMENT.value + self.LANES.index(name) * _round_up(self.plan.lanes)
            self.record[at : at + len(values)] = values

    def set_rows(self, **fields: Tensor) -> None:
        """Fill fields of the unique rows, of which as many are scored."""
        first = ALIGNMENT.value + LANE_FIELDS.value * _round_up(self.plan.lanes)
        for name, values in fields.items():
            at = first + self.ROWS.index(name) * _round_up(self.plan.rows)
            self.record[at : at + len(values)] = values
            self.record[SCORED.value] = len(values)


def record_words(lanes: int, rows: int) -> int:
    """Length of a record in int32 words."""
    fields = LANE_FIELDS.value * _round_up(lanes) + ROW_FIELDS.value * _round_up(rows)
    return ALIGNMENT.value + fields


def pack_block(block: StepBlock, rows: int, out: NDArray[np.int32]) -> None:
    """Write a block's T records to the first T rows of `out` (T or more, words).

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
    lane_values = (block.inputs, block.source, block.restarts, block.input_row, block.target_row)
    at = ALIGNMENT.value
    for values in lane_values:
        out[:, at : at + lanes] = values
        at += _round_up(lanes)
    for values in (block.rows, block.target_count, block.sample_count, input_lanes(block)):
        out[:, at : at + values.shape[1]] = values
        at += _round_up(rows)


def input_lanes(block: StepBlock) -> NDArray[np.int32]:
    """(T, U) a lane whose input is each row, -1 for rows that no lane reads."""
    steps, lanes = block.inputs.shape
    width = block.rows.shape[1]
    # One column more takes what the dead lanes write, as their input_row is -1.
    owner = np.full((steps, width + 1), -1, dtype=np.int32)
    owner[np.arange(steps)[:, None], block.input_row] = np.arange(lanes)
    return owner[:, :width]
