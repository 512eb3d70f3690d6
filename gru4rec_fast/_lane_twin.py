"""Session-parallel mini-batches in plain Python: the oracle of csrc/lane_scheduler.h."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gru4rec_fast._core import Int32, Int64, UInt8


class LaneStep(NamedTuple):
    """One step of M live lanes; every array has shape (M,)."""

    inputs: Int32
    targets: Int32
    restarts: UInt8
    source: Int32
    events: Int64


@dataclass
class _Lane:
    event: int = 0
    last: int = 0  # the session's last event; from there on the lane has no pair left
    restart: int = 1
    source: int = -1  # the lane's place in the previous step


def session_parallel_batches(
    items: Int32, offsets: Int64, order: Int64, batch_size: int, min_live: int = 1
) -> Iterator[LaneStep]:
    """Yield the steps of one epoch (spec section 2); the fields are those of `_core.LaneBlock`.

    `items` (E,), `offsets` (n + 1,), `order` the sessions in the order in which lanes take them.
    """
    waiting = deque(order.tolist())
    lanes = [_Lane() for _ in range(min(batch_size, len(order)))]
    while True:
        while waiting and (free := [lane for lane in lanes if lane.event >= lane.last]):
            for lane in free[: len(waiting)]:
                session = waiting.popleft()
                lane.event, lane.last = int(offsets[session]), int(offsets[session + 1]) - 1
                lane.restart = 1
        lanes = [lane for lane in lanes if lane.event < lane.last]
        if len(lanes) < min_live:
            return
        events = np.array([lane.event for lane in lanes], dtype=np.int64)
        yield LaneStep(
            inputs=items[events],
            targets=items[events + 1],
            restarts=np.array([lane.restart for lane in lanes], dtype=np.uint8),
            source=np.array(
                [b if lane.source < 0 else lane.source for b, lane in enumerate(lanes)], np.int32
            ),
            events=events,
        )
        for b, lane in enumerate(lanes):
            lane.event, lane.source, lane.restart = lane.event + 1, b, 0
