"""A block of planned training steps: lanes, negatives and merged rows, as arrays of all steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gru4rec_fast._core import merge_rows

if TYPE_CHECKING:
    from gru4rec_fast._core import Int32, Int64, LaneBlock, UInt8


@dataclass(frozen=True, eq=False)
class StepBlock:
    """T consecutive training steps. B lanes, S negatives a step, U unique rows at most.

    The fields are those of `_core.LaneBlock` and `_core.MergedRows`, where each is described.
    """

    first_step: int
    """The number of the first step, counted through all epochs."""
    inputs: Int32
    """(T, B)"""
    targets: Int32
    """(T, B)"""
    restarts: UInt8
    """(T, B)"""
    source: Int32
    """(T, B)"""
    events: Int64
    """(T, B)"""
    live: Int32
    """(T,)"""
    negatives: Int32
    """(T, S)"""
    rows: Int32
    """(T, U)"""
    target_count: Int32
    """(T, U)"""
    sample_count: Int32
    """(T, U)"""
    target_row: Int32
    """(T, B)"""
    input_row: Int32
    """(T, B)"""
    scored: Int32
    """(T,)"""
    touched: Int32
    """(T,)"""
    first_lane: int = 0
    """How many lanes of each step other processes compute before these: the dropout masks and the
    targets of a step are those of all its lanes."""

    def __len__(self) -> int:
        """T, the number of steps."""
        return len(self.live)

    def part(self, first: int, end: int) -> StepBlock:
        """Steps first .. end - 1 as a block of their own, of views."""
        arrays: dict[str, Any] = {
            name: value[first:end]
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray)
        }
        return replace(self, first_step=self.first_step + first, **arrays)

    def require_items(self, n_items: int) -> None:
        """Refuse a block of items that a catalogue lacks, as a damaged store may hold them.

        Raises:
            ValueError: which one. Items below 0 are refused when a block is made.
        """
        largest = int(self.rows.max(initial=0))
        if largest >= n_items:
            raise ValueError(
                f"the block names item {largest}, an item that does not exist; expected a block of "
                f"plan_epoch for a catalogue of {n_items} items. Look at a prepared store with "
                "gru4rec-fast prepare --verify"
            )

    @classmethod
    def merge(cls, first_step: int, lanes: LaneBlock, negatives: Int32) -> StepBlock:
        """The block of steps with these lanes (T, B) and these negatives (T, S)."""
        merged = merge_rows(lanes.inputs, lanes.targets, lanes.live, negatives)
        return cls(
            first_step=first_step,
            inputs=lanes.inputs,
            targets=lanes.targets,
            restarts=lanes.restarts,
            source=lanes.source,
            events=lanes.events,
            live=lanes.live,
            negatives=negatives,
            rows=merged.rows,
            target_count=merged.target_count,
            sample_count=merged.sample_count,
            target_row=merged.target_row,
            input_row=merged.input_row,
            scored=merged.scored,
            touched=merged.touched,
        )
