"""An epoch of training steps, planned ahead by background threads, a block at a time.

They plan up to three blocks ahead, so that neither Python nor the device waits for them; the C++
that makes the blocks runs without the GIL.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

import numpy as np

from gru4rec_fast._core import SessionPermutation
from gru4rec_fast.plan.block import StepBlock
from gru4rec_fast.plan.lanes import DEFAULT_BLOCK_STEPS, lane_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gru4rec_fast._core import Int64, LaneBlock
    from gru4rec_fast.plan.lanes import GroupedEvents
    from gru4rec_fast.plan.negatives import Negatives

BLOCKS_AHEAD = 3
"""Blocks that are planned or being planned, and not taken yet."""
SHUFFLED_IN_MEMORY = 2**24
"""Sessions whose shuffled order is an array, of at most 128 MiB."""


class EpochPlan:
    """An epoch's blocks in order, made by background threads; a context manager and an iterator.

    Where lanes stand depends on the block before, so one thread at a time plans the lanes of the
    next block. All else of a block depends on its lanes alone, and takes most of the time: each
    thread then makes its own block complete.

    The threads end with the epoch, on `close`, when the `with` block is left, and when the plan is
    no longer referred to. What one of them raises is raised by `next`, after the blocks before it.
    """

    def __init__(
        self,
        lanes: Iterator[tuple[int, LaneBlock]],
        complete: Callable[[int, LaneBlock], StepBlock],
        threads: int = 1,
    ) -> None:
        # The threads must not hold the plan itself, or it would never be found unused.
        self._work = _Work(lanes, complete)
        self._ahead: deque[Future[StepBlock]] = deque()
        self._threads: list[threading.Thread] = []
        for _ in range(BLOCKS_AHEAD):
            self._ask()
        try:
            for _ in range(threads):
                thread = threading.Thread(
                    target=_plan, args=(self._work,), name="plan_epoch", daemon=True
                )
                thread.start()
                self._threads.append(thread)
        except BaseException:  # no more threads can be started
            self.close()
            raise

    def _ask(self) -> None:
        self._ahead.append(Future())
        self._work.asked.put(self._ahead[-1])

    def __iter__(self) -> EpochPlan:
        return self

    def __next__(self) -> StepBlock:
        if not self._ahead:
            raise StopIteration
        end = self._ahead[0].exception()  # waits
        if end is not None:
            self.close()
            raise end
        block = self._ahead.popleft().result()
        self._ask()
        return block

    def __enter__(self) -> EpochPlan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_threads"):
            self.close()

    def close(self) -> None:
        """End the threads and drop what they had planned. A second call does nothing."""
        self._work.stop.set()
        self._ahead.clear()
        for _ in self._threads:
            self._work.asked.put(None)
        # A garbage collection in one of the threads, which the others may wait for, may lead here.
        if threading.current_thread() not in self._threads:
            for thread in self._threads:
                thread.join()


@dataclass
class _Work:
    """What the threads of a plan share."""

    lanes: Iterator[tuple[int, LaneBlock]]
    """The number of a block's first step, and its lanes."""
    complete: Callable[[int, LaneBlock], StepBlock]
    asked: SimpleQueue[Future[StepBlock] | None] = field(default_factory=SimpleQueue)
    """The blocks to come, in their order; None wakes a thread that waits for one."""
    turn: threading.Lock = field(default_factory=threading.Lock)
    """Held by the thread that takes the next of `asked` and of `lanes`."""
    stop: threading.Event = field(default_factory=threading.Event)


def _plan(work: _Work) -> None:
    """Plan the blocks that are asked for, until told to stop or one ends in an exception."""
    while True:
        with work.turn:
            block = work.asked.get()
            if block is None or work.stop.is_set():
                return
            try:
                step, lanes = next(work.lanes)
            except BaseException as end:  # StopIteration at the end of the epoch
                work.stop.set()
                block.set_exception(end)
                return
        try:
            block.set_result(work.complete(step, lanes))
        except BaseException as error:
            work.stop.set()
            block.set_exception(error)
            return


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
    threads: int = 1,
) -> EpochPlan:
    """Plan one epoch ahead of its use.

    Args:
        sessions: the events, grouped by session.
        sampler: where the negatives come from; unused with n_sample = 0. Several threads may call
            it at once.
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
        threads: that plan at the same time. What is planned does not depend on it.

    Returns:
        A context manager and iterator of blocks; use it in a `with` statement.

    Raises:
        ValueError: for a size out of range, or an order that names no such session.
    """
    if n_sample < 0:
        raise ValueError(f"n_sample is {n_sample}; expected 0 or the number of negatives a step")
    if threads < 1:
        raise ValueError(f"threads is {threads}; expected at least 1")
    lanes = lane_blocks(
        sessions,
        batch_size,
        order=order,
        min_live=2 if n_sample == 0 else 1,
        block_steps=block_steps,
        skip_steps=skip_steps,
    )
    _let_freed_memory_stay()
    numbered = _numbered(lanes, first_step + skip_steps)
    return EpochPlan(numbered, partial(_step_block, sampler, n_sample, seed), threads)


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


def _let_freed_memory_stay() -> None:
    """Make glibc keep what a used block has freed, some megabytes, for the blocks to come.

    Else it returns the memory, and the next block has up to five page faults a step, a quarter of
    the time to plan it. It keeps as much as the largest mapping that was ever freed, up to 32 MiB:
    so one is freed here, whose pages nobody touches. Other allocators are not affected.
    """
    np.empty(31 * 2**20, dtype=np.uint8)


def _numbered(lanes: Iterator[LaneBlock], step: int) -> Iterator[tuple[int, LaneBlock]]:
    for block in lanes:
        yield step, block
        step += len(block.live)


def _step_block(
    sampler: Negatives, n_sample: int, seed: int, step: int, lanes: LaneBlock
) -> StepBlock:
    return StepBlock.merge(step, lanes, sampler.draw(seed, step, len(lanes.live), n_sample))
