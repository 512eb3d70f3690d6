"""Session-parallel mini-batches (2016, section 3.1.1), as in csrc/data/lane_scheduler.h."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor


class LaneStep(NamedTuple):
    """One step of M live lanes; every array has shape (M,). Fields as in `_core.LaneBlock`."""

    inputs: NDArray[np.int32]
    targets: NDArray[np.int32]
    restarts: NDArray[np.uint8]
    source: NDArray[np.int32]
    events: NDArray[np.int64]


@dataclass
class Lane:
    """Where a lane stands in its session; without a next event it is free."""

    event: int = 0
    last: int = 0
    restart: int = 1
    source: int | None = None


def session_parallel_batches(
    items: NDArray[np.int32],
    offsets: NDArray[np.int64],
    order: NDArray[np.int64],
    batch_size: int,
    min_live: int = 1,
) -> Iterator[LaneStep]:
    """The steps of one epoch (SPEC section 2), the same algorithm as csrc/data/lane_scheduler.h.

    Session s of `order` holds items[offsets[s]:offsets[s + 1]]. The epoch ends when fewer than
    `min_live` lanes live.
    """
    waiting = iter(order)
    lanes = [Lane() for _ in range(min(batch_size, len(order)))]
    while True:
        # In rounds: a lane that got a session without a pair is free again.
        while free := [lane for lane in lanes if lane.event >= lane.last]:
            sessions = list(itertools.islice(waiting, len(free)))
            for lane, s in zip(free, sessions, strict=False):
                lane.event, lane.last, lane.restart = offsets[s], offsets[s + 1] - 1, 1
            if len(sessions) < len(free):
                lanes = [lane for lane in lanes if lane.event < lane.last]
        if len(lanes) < max(1, min_live):
            return
        events = np.array([lane.event for lane in lanes], dtype=np.int64)
        restarts = np.array([lane.restart for lane in lanes], dtype=np.uint8)
        source = [b if lane.source is None else lane.source for b, lane in enumerate(lanes)]
        yield LaneStep(
            items[events], items[events + 1], restarts, np.array(source, dtype=np.int32), events
        )
        for b, lane in enumerate(lanes):
            lane.source, lane.event, lane.restart = b, lane.event + 1, 0


def carry(state: Tensor, source: Tensor, restarts: Tensor) -> Tensor:
    """State (M, H) of the live lanes: lane j goes on from row source[j], or from zero."""
    return state[source].masked_fill(restarts[:, None], 0.0)
