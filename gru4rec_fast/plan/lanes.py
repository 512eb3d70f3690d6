"""Session-parallel mini-batches: from sessions to blocks of planned steps.

B lanes each hold one session; a step takes each live lane's current item as input and its next
item as target (Hidasi et al., ICLR 2016, section 3.1.1). The plan itself is made in C++, see
csrc/data/lane_scheduler.h; `gru4rec_fast.reference.session_parallel_batches` is the same in plain
Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gru4rec_fast._core import LaneScheduler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gru4rec_fast._core import Int32, Int64, LaneBlock, SessionPermutation

DEFAULT_BLOCK_STEPS = 128
"""Steps planned at a time: long enough to cost nothing per step, short enough to stay in cache."""


class GroupedEvents(Protocol):
    """What batching needs of `gru4rec_fast.data.sessions.Sessions`."""

    @property
    def items(self) -> Int32:
        """(E,) items, session after session."""

    @property
    def offsets(self) -> Int64:
        """(n + 1,) session s holds `items[offsets[s]:offsets[s + 1]]`."""

    @property
    def order(self) -> Int64:
        """(n,) the order in which lanes take the sessions."""


def lane_blocks(
    sessions: GroupedEvents,
    batch_size: int,
    *,
    order: Int64 | SessionPermutation | None = None,
    min_live: int = 1,
    block_steps: int = DEFAULT_BLOCK_STEPS,
    skip_steps: int = 0,
) -> Iterator[LaneBlock]:
    """One epoch as blocks of at most `block_steps` steps, planned as they are asked for.

    Args:
        sessions: the events, grouped by session.
        batch_size: B, the number of lanes.
        order: session codes in the order in which lanes take them; `sessions.order` if None.
        min_live: the epoch ends when fewer lanes live; 2 where a lane needs another's target.
        block_steps: most steps T of a block. The plan does not depend on it.
        skip_steps: steps at the start of the epoch that are left out, to resume in its middle.

    Yields:
        Blocks of T >= 1 steps whose arrays are views, without a copy, of what C++ planned.

    Raises:
        ValueError: for a size out of range, or an order that names no such session.
    """
    if block_steps < 1:
        raise ValueError(f"block_steps is {block_steps}; expected at least 1")
    if skip_steps < 0:
        raise ValueError(f"skip_steps is {skip_steps}; expected the number of steps already done")
    scheduler = LaneScheduler(
        sessions.items,
        sessions.offsets,
        sessions.order if order is None else order,
        batch_size,
        min_live,
    )
    return _blocks(scheduler, block_steps, skip_steps)


def _blocks(scheduler: LaneScheduler, block_steps: int, skip_steps: int) -> Iterator[LaneBlock]:
    while skip_steps > 0:
        skipped = len(scheduler.plan(min(block_steps, skip_steps)).live)
        if skipped == 0:
            return
        skip_steps -= skipped
    while len((block := scheduler.plan(block_steps)).live):
        yield block
