"""Session-parallel mini-batches: the C++ scheduler, its plain twin, and what both promise."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby, pairwise
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gru4rec_fast._core import LaneScheduler
from gru4rec_fast.plan.lanes import lane_blocks
from gru4rec_fast.reference import LaneStep, session_parallel_batches

if TYPE_CHECKING:
    from gru4rec_fast._core import Int32, Int64, LaneBlock


@dataclass(frozen=True)
class Log:
    """Sessions of these lengths; event e is item 10 + 3 e, so that items tell events apart."""

    lengths: list[int]
    order: Int64

    @property
    def offsets(self) -> Int64:
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)]).astype(np.int64)

    @property
    def items(self) -> Int32:
        return 10 + 3 * np.arange(sum(self.lengths), dtype=np.int32)

    def session_of(self, event: int) -> int:
        return int(np.searchsorted(self.offsets, event, side="right")) - 1


@st.composite
def logs(draw: st.DrawFn) -> Log:
    lengths = draw(st.lists(st.integers(1, 7) | st.just(1), max_size=25))
    order = draw(st.permutations(range(len(lengths))))
    return Log(lengths, np.array(order, dtype=np.int64))


batch_sizes = st.integers(1, 9) | st.sampled_from([40, 128])


def log_of(*lengths: int) -> Log:
    return Log(list(lengths), np.arange(len(lengths), dtype=np.int64))


def planned(log: Log, lanes: int, min_live: int = 1, block_steps: int = 128) -> list[LaneStep]:
    """The scheduler's steps, cut to the live lanes."""
    blocks = lane_blocks(log, lanes, min_live=min_live, block_steps=block_steps)
    return [step for block in blocks for step in steps_of(block)]


def steps_of(block: LaneBlock) -> list[LaneStep]:
    names = ("inputs", "targets", "restarts", "source", "events")
    fields = [getattr(block, name) for name in names]
    return [LaneStep(*(field[t, :live] for field in fields)) for t, live in enumerate(block.live)]


def assert_same(left: list[LaneStep], right: list[LaneStep]) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        for x, y in zip(list[Any](a), list[Any](b), strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)


@given(logs(), batch_sizes, st.integers(1, 3), st.integers(1, 10))
def test_equals_the_plain_twin(log: Log, lanes: int, min_live: int, block_steps: int) -> None:
    twin = list(session_parallel_batches(log.items, log.offsets, log.order, lanes, min_live))
    assert_same(planned(log, lanes, min_live, block_steps), twin)


@given(logs(), batch_sizes)
def test_a_session_without_events_is_like_one_of_a_single_event(log: Log, lanes: int) -> None:
    emptied = Log([n if n > 1 else 0 for n in log.lengths], log.order)
    for step, same in zip(planned(log, lanes), planned(emptied, lanes), strict=True):
        sessions, expected = (
            [of.session_of(int(e)) for e in s.events] for of, s in ((emptied, same), (log, step))
        )
        assert sessions == expected


@given(logs(), batch_sizes)
def test_every_pair_once_and_in_order_within_its_session(log: Log, lanes: int) -> None:
    steps = planned(log, lanes)
    events = [int(e) for step in steps for e in step.events]
    pairs = [e for e in range(len(log.items)) if log.session_of(e) == log.session_of(e + 1)]
    assert sorted(events) == pairs
    assert len(set(events)) == len(events)
    for session in range(len(log.lengths)):
        own = [e for e in events if log.session_of(e) == session]
        assert own == sorted(own)
    for step in steps:
        np.testing.assert_array_equal(step.inputs, log.items[step.events])
        np.testing.assert_array_equal(step.targets, log.items[step.events + 1])


@given(logs(), batch_sizes)
def test_restarts_exactly_at_session_starts(log: Log, lanes: int) -> None:
    for step in planned(log, lanes):
        starts = np.isin(step.events, log.offsets[:-1])
        np.testing.assert_array_equal(step.restarts.astype(bool), starts)


@given(logs(), batch_sizes)
def test_a_lane_continues_the_event_before_it_at_its_source(log: Log, lanes: int) -> None:
    steps = planned(log, lanes)
    for before, step in pairwise(steps):
        assert len(step.inputs) <= len(before.inputs)
        assert np.all(np.diff(step.source) > 0), "live lanes keep their relative order"
        going_on = step.restarts == 0
        np.testing.assert_array_equal(
            before.events[step.source[going_on]] + 1, step.events[going_on]
        )
    for step in steps[:1]:
        np.testing.assert_array_equal(step.source, np.arange(len(step.source)))


@given(logs(), batch_sizes)
def test_all_lanes_live_while_sessions_wait(log: Log, lanes: int) -> None:
    with_pairs = [s for s in log.order if log.lengths[s] > 1]
    taken: set[int] = set()
    for step in planned(log, lanes):
        taken |= {log.session_of(int(e)) for e in step.events}
        if len(taken) < len(with_pairs):
            assert len(step.inputs) == lanes


@given(logs(), batch_sizes, st.integers(1, 10))
def test_padding_beyond_the_live_lanes(log: Log, lanes: int, block_steps: int) -> None:
    for block in lane_blocks(log, lanes, block_steps=block_steps):
        assert block.inputs.shape == (len(block.live), lanes)
        dead = np.arange(lanes) >= block.live[:, None]
        for values, padding in (
            (block.inputs, 0),
            (block.targets, 0),
            (block.restarts, 0),
            (block.source, -1),
            (block.events, -1),
        ):
            assert np.all(values[dead] == padding)


@given(logs(), batch_sizes, st.integers(1, 9), st.integers(0, 40))
def test_blocks_and_skipping_do_not_change_the_plan(
    log: Log, lanes: int, block_steps: int, skip: int
) -> None:
    whole = planned(log, lanes, block_steps=10**9)
    assert_same(planned(log, lanes, block_steps=block_steps), whole)
    resumed = lane_blocks(log, lanes, block_steps=block_steps, skip_steps=skip)
    assert_same([step for block in resumed for step in steps_of(block)], whole[skip:])


@given(logs(), batch_sizes)
def test_without_samples_the_epoch_ends_at_the_last_lane(log: Log, lanes: int) -> None:
    assert_same(
        planned(log, lanes, min_live=2),
        [step for step in planned(log, lanes) if len(step.inputs) >= 2],
    )


def test_lanes_are_filled_in_rounds() -> None:
    # Sessions:      0  1  2  3  4  5  6
    log = log_of(2, 1, 3, 1, 2, 4, 2)
    steps = planned(log, 3)
    sessions = [[log.session_of(int(e)) for e in step.events] for step in steps]
    # Step 0: lanes 0, 2 hold sessions 0, 2; lane 1 got session 1, which has no pair, and in the
    # next round session 3, which has none either, and in the third session 4.
    assert sessions[0] == [0, 4, 2]
    assert sessions[1] == [5, 6, 2]
    assert sessions[2] == [5]
    assert [step.source.tolist() for step in steps] == [[0, 1, 2], [0, 1, 2], [0], [0]]


def test_rounds_go_on_in_lane_order() -> None:
    # In the first round lanes 0 and 1 get sessions without a pair, lane 2 session 2. The second
    # round offers 3 to lane 0 and 4 to lane 1: a lane does not try again before its neighbours.
    log = log_of(1, 1, 2, 1, 3, 4)
    first = planned(log, 3)[0]
    assert [log.session_of(int(e)) for e in first.events] == [5, 4, 2]


def test_lanes_compact_when_one_dies() -> None:
    steps = planned(log_of(4, 2, 3, 5), 4)
    assert [step.source.tolist() for step in steps] == [[0, 1, 2, 3], [0, 2, 3], [0, 2], [1]]
    assert [step.restarts.tolist() for step in steps] == [[1, 1, 1, 1], [0, 0, 0], [0, 0], [0]]


def test_fewer_sessions_than_lanes() -> None:
    block = next(lane_blocks(log_of(3, 2), 128))
    assert block.inputs.shape == (2, 128)
    assert block.live.tolist() == [2, 1]


@pytest.mark.parametrize("lengths", [[], [1], [1, 1, 1], [0, 1]])
def test_a_log_without_a_pair_has_no_step(lengths: list[int]) -> None:
    assert planned(log_of(*lengths), 2) == []


def test_an_order_may_leave_sessions_out() -> None:
    log = Log([3, 3, 3], np.array([2, 0], dtype=np.int64))
    events = sorted(int(e) for step in planned(log, 2) for e in step.events)
    assert events == [0, 1, 6, 7]


def test_an_ended_epoch_stays_ended() -> None:
    log = log_of(3)
    scheduler = LaneScheduler(log.items, log.offsets, log.order, 1)
    assert scheduler.plan(10).live.tolist() == [1, 1]
    ended = scheduler.plan(10)
    assert ended.live.shape == (0,)
    assert ended.inputs.shape == (0, 1)
    assert len(scheduler.plan(0).live) == 0


def test_block_arrays_are_views_that_outlive_their_block() -> None:
    log = log_of(*[5] * 50)
    scheduler = LaneScheduler(log.items, log.offsets, log.order, 8)
    del log
    block = scheduler.plan(16)
    assert np.shares_memory(block.inputs, block.inputs), "a second look makes no copy"
    inputs, kept = block.inputs, block.inputs.copy()
    assert inputs.flags.c_contiguous
    del block
    while len(scheduler.plan(16).live):
        pass
    np.testing.assert_array_equal(inputs, kept)


def test_threads_may_share_a_scheduler() -> None:
    log = log_of(*[4] * 3000)
    scheduler = LaneScheduler(log.items, log.offsets, log.order, 16)
    seen: list[int] = []

    def work() -> None:
        while len((block := scheduler.plan(4)).live):
            seen.extend(int(e) for e in block.events[block.events >= 0])

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == len(set(seen)) == 9000


ITEMS, OFFSETS, ORDER = (
    np.arange(5, dtype=np.int32),
    np.array([0, 2, 5], dtype=np.int64),
    np.array([1, 0], dtype=np.int64),
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lanes": 0}, r"lanes is 0; expected 1\.\."),
        ({"lanes": -3}, r"lanes is -3"),
        ({"min_live": 0}, r"min_live is 0; expected at least 1"),
        ({"order": np.array([0, 2])}, r"session 2 at position 1; expected codes of 0\.\.1"),
        ({"order": np.array([-1])}, r"session -1 at position 0"),
        ({"offsets": np.array([0, 2, 4])}, r"end at the number of events, 5"),
        ({"offsets": np.array([1, 5])}, r"start at 0"),
        ({"offsets": np.array([], dtype=np.int64)}, r"start at 0"),
        ({"offsets": np.array([0, 6, 5])}, r"go from 6 to 5 at session 1; expected them to asc"),
        ({"items": ITEMS.astype(np.int64)}, r"items is int64 of shape \(5,\); expected int32"),
        ({"items": ITEMS.reshape(1, 5)}, r"items is int32 of shape \(1, 5\); expected int32 of 1"),
        ({"order": ORDER.astype(np.float64)}, r"order is float64"),
    ],
)
def test_errors_name_value_and_expectation(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "items": ITEMS,
        "offsets": OFFSETS,
        "order": ORDER,
        "lanes": 2,
        "min_live": 1,
    }
    with pytest.raises(ValueError, match=message):
        LaneScheduler(**(arguments | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"block_steps": 0}, "block_steps is 0"), ({"skip_steps": -1}, "skip_steps is -1")],
)
def test_lane_blocks_checks_before_the_first_block(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lane_blocks(log_of(3), 1, **change)


def test_strided_arrays_are_accepted() -> None:
    doubled = np.repeat(ITEMS, 2)[::2]
    assert not doubled.flags.c_contiguous
    block = LaneScheduler(doubled, OFFSETS, ORDER, 2).plan(9)
    assert block.inputs[0].tolist() == [2, 0]


def test_the_twin_yields_whole_sessions_in_one_lane() -> None:
    # The oracle itself, against what one lane must give by definition.
    log = log_of(3, 1, 2)
    steps = list(session_parallel_batches(log.items, log.offsets, log.order, 1))
    assert [int(step.events[0]) for step in steps] == [0, 1, 4]
    assert [key for key, _ in groupby(int(step.restarts[0]) for step in steps)] == [1, 0, 1]
