"""An epoch of training steps, planned ahead by a background thread, a block at a time.

The thread prefetches two blocks, so that neither Python nor the device waits for them; the C++ that
makes them runs without the GIL.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING

import numpy as np

from gru4rec_fast._core import SessionPermutation
from gru4rec_fast.plan.block import StepBlock
from gru4rec_fast.plan.lanes import DEFAULT_BLOCK_STEPS, lane_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gru4rec_fast._core import Int64, LaneBlock
    from gru4rec_fast.plan.lanes import GroupedEvents
    from gru4rec_fast.plan.negatives import Negatives

BLOCKS_AHEAD = 2
SHUFFLED_IN_MEMORY = 2**24
"""Sessions whose shuffled order is an array, of at most 128 MiB."""


class EpochPlan:
    """An epoch's blocks in order, made by a background thread; a context manager and an iterator.

    The thread ends with the epoch, on `close`, when the `with` block is left, and when the plan is
    no longer referred to. What it raises is raised by `next`.
    """

    def __init__(self, blocks: Iterator[StepBlock]) -> None:
        self._queue: queue.Queue[StepBlock | BaseException] = queue.Queue(BLOCKS_AHEAD)
        self._stop = threading.Event()
        self._end: BaseException | None = None
        # The thread must not hold the plan itself, or it would never be found unused.
        self._thread = threading.Thread(
            target=_produce, args=(blocks, self._queue, self._stop), name="plan_epoch", daemon=True
        )
        self._thread.start()

    def __iter__(self) -> EpochPlan:
        return self

    def __next__(self) -> StepBlock:
        if self._end is None:
            block = self._queue.get()
            if isinstance(block, StepBlock):
                return block
            self._end = block
            self._thread.join()
            raise block
        raise StopIteration

    def __enter__(self) -> EpochPlan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_thread"):
            self.close()

    def close(self) -> None:
        """End the thread and drop what it had planned. A second call does nothing."""
        self._stop.set()
        self._end = self._end or StopIteration()
        # The thread may wait for room. It puts at most one more block after it sees this.
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        if self._thread is not threading.current_thread():
            self._thread.join()


def _produce(
    blocks: Iterator[StepBlock],
    ready: queue.Queue[StepBlock | BaseException],
    stop: threading.Event,
) -> None:
    """Put the blocks, then what ended them, an error or StopIteration, until told to stop."""
    while not stop.is_set():
        try:
            block = next(blocks)
        except BaseException as end:
            ready.put(end)
            return
        ready.put(block)


def plan_epoch(
    sessions: GroupedEvents,
    sampler: Negatives,
    *,
    batch_size: int,
    n_sample: int,
    seed: int,
    first_step: int,
    order: Int64 | SessionPermutation | None = None,
    block_steps: int = DEFAULT_BLOCK_STEPS,
    skip_steps: int = 0,
) -> EpochPlan:
    """Plan one epoch ahead of its use.

    Args:
        sessions: the events, grouped by session.
        sampler: where the negatives come from; unused with n_sample = 0.
        batch_size: B, the number of lanes.
        n_sample: S, negatives a step. With 0 a lane's only negatives are the other lanes' targets,
            and the epoch ends when fewer than two lanes live.
        seed: of the negatives.
        first_step: the number of the epoch's first step, counted through all epochs: the
            negatives depend on it.
        order: session codes in the order in which lanes take them; `sessions.order` if None.
        block_steps: most steps T of a block. What is planned does not depend on it.
        skip_steps: steps at the start of the epoch that are left out, to resume in its middle.
            The first block's `first_step` is then `first_step + skip_steps`.

    Returns:
        A context manager and iterator of blocks; use it in a `with` statement.

    Raises:
        ValueError: for a size out of range, or an order that names no such session.
    """
    if n_sample < 0:
        raise ValueError(f"n_sample is {n_sample}; expected 0 or the number of negatives a step")
    lanes = lane_blocks(
        sessions,
        batch_size,
        order=order,
        min_live=2 if n_sample == 0 else 1,
        block_steps=block_steps,
        skip_steps=skip_steps,
    )
    return EpochPlan(_step_blocks(lanes, sampler, n_sample, seed, first_step + skip_steps))


def epoch_order(
    sessions: GroupedEvents, shuffle: bool, seed: int, epoch: int
) -> Int64 | SessionPermutation:
    """Order in which the lanes take the sessions; a shuffle depends on seed and epoch alone.

    Above `SHUFFLED_IN_MEMORY` sessions a shuffle is computed instead of stored: no array of all
    sessions is made.
    """
    if not shuffle:
        return sessions.order
    n = len(sessions.order)
    if n > SHUFFLED_IN_MEMORY:
        return SessionPermutation(n, seed, epoch)
    return np.random.default_rng([seed, epoch]).permutation(sessions.order)


def _step_blocks(
    lanes: Iterator[LaneBlock], sampler: Negatives, n_sample: int, seed: int, step: int
) -> Iterator[StepBlock]:
    for block in lanes:
        steps = len(block.live)
        negatives = sampler.draw(seed, step, steps, n_sample)
        yield StepBlock.merge(step, block, negatives)
        step += steps
