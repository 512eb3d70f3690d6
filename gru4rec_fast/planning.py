"""The input of training, planned ahead: lanes, negatives and merged rows, a block at a time.

A background thread keeps two blocks ready, so that neither Python nor the device waits for them;
the C++ that makes them runs without the GIL.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gru4rec_fast._core import merge_rows
from gru4rec_fast.batching import DEFAULT_BLOCK_STEPS, lane_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from gru4rec_fast._core import Int32, Int64, LaneBlock, UInt8
    from gru4rec_fast.batching import GroupedEvents
    from gru4rec_fast.sampling import Negatives

BLOCKS_AHEAD = 2


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

    def __len__(self) -> int:
        """T, the number of steps."""
        return len(self.live)

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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
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
    order: Int64 | None = None,
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


def _step_blocks(
    lanes: Iterator[LaneBlock], sampler: Negatives, n_sample: int, seed: int, step: int
) -> Iterator[StepBlock]:
    for block in lanes:
        steps = len(block.live)
        negatives = sampler.draw(seed, step, steps, n_sample)
        yield StepBlock.merge(step, block, negatives)
        step += steps
